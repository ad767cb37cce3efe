//! What rules make of a request on its way to a backend.

use http::Version;
use mesh::route::{
    HeaderText, HttpMatch, PathKind, PathMatch, PathRewrite, Rewrite, RouteTable, StringMatch,
};

use super::kit::*;

fn plan(rules: Vec<mesh::route::HttpRule>) -> Plan {
    Plan {
        table: Some(table(rules)),
        ..Plan::default()
    }
}

fn on_path(kind: PathKind) -> Vec<HttpMatch> {
    vec![HttpMatch {
        path: Some(PathMatch::new(kind, false)),
        ..HttpMatch::default()
    }]
}

#[tokio::test]
async fn a_path_and_an_authority_are_rewritten_and_the_backend_is_told_of_the_path_before() {
    let address = backend(Version::HTTP_11, |request| async move {
        assert_eq!(request.uri(), "/new/x?y=1");
        assert_eq!(request.headers()["host"], "other.example");
        assert_eq!(request.headers()["x-envoy-original-path"], "/old/x?y=1");
        Ok(text("ok"))
    })
    .await;
    let mut rule = forward();
    rule.name = "renamed".into();
    rule.matches = on_path(PathKind::Segments("/old".into()));
    rule.rewrite = Some(Rewrite {
        authority: Some("other.example".into()),
        path: Some(PathRewrite::Prefix("/new".into())),
    });
    let kit = Kit::new(&[address], plan(vec![rule]));
    assert_eq!(kit.ask(get("/old/x?y=1")).await.status(), 200);
    let line = kit.line();
    assert_eq!(line["path"], "/old/x?y=1");
    assert_eq!(line["authority"], "other.example");
    assert_eq!(line["route"], "renamed");
    assert_eq!(kit.ask(get("/other")).await.status(), 404);
}

#[tokio::test]
async fn headers_are_edited_for_the_backend_and_then_for_the_rule() {
    let address = backend(Version::HTTP_11, |request| async move {
        let headers = request.headers();
        assert_eq!(headers["x-who"], "rule");
        assert_eq!(headers["x-method"], "GET /");
        assert_eq!(headers["host"], "set.example");
        assert!(!headers.contains_key("x-gone"));
        Ok(text("ok"))
    })
    .await;
    let text = |name: &str, value: &str| HeaderText {
        name: name.into(),
        value: value.into(),
    };
    let mut rule = forward();
    if let mesh::route::Action::Forward(forward) = &mut rule.action {
        let edits = &mut forward.backends[0].request_headers;
        edits.set = vec![
            text("x-who", "backend"),
            text("x-method", "%REQ(:METHOD)% %REQ(:PATH)%"),
        ];
        edits.remove = vec!["x-gone".into()];
    }
    rule.request_headers.set = vec![text("x-who", "rule"), text(":authority", "set.example")];
    let kit = Kit::new(&[address], plan(vec![rule]));
    let mut request = get("/");
    request.headers_mut().insert("x-gone", "1".parse().unwrap());
    assert_eq!(kit.ask(request).await.status(), 200);
}

#[tokio::test]
async fn the_first_rule_that_matches_wins_by_header() {
    let one = backend(Version::HTTP_11, |_| async { Ok(text("canary")) }).await;
    let mut canary =
        mesh::route::HttpRule::new(mesh::route::Action::Respond(mesh::route::DirectResponse {
            status: 200,
            body: b"answered".as_slice().into(),
        }));
    canary.matches = vec![HttpMatch {
        headers: vec![mesh::route::HeaderMatch {
            name: "x-canary".into(),
            value: Some(StringMatch::Exact("yes".into())),
            invert: false,
        }],
        ..HttpMatch::default()
    }];
    let kit = Kit::new(&[one], plan(vec![canary, forward()]));
    assert_eq!(kit.ask(get("/")).await.body, "canary");
    let mut request = get("/");
    request
        .headers_mut()
        .insert("x-canary", "yes".parse().unwrap());
    assert_eq!(kit.ask(request).await.body, "answered");
}

#[tokio::test]
async fn grpc_web_is_translated_where_the_port_says_so() {
    let address = backend(Version::HTTP_2, |request| async move {
        assert_eq!(request.headers()["content-type"], "application/grpc+proto");
        let frames = [
            http_body::Frame::data("\0\0\0\0\x01x".into()),
            http_body::Frame::trailers(
                [("grpc-status".parse().unwrap(), "0".parse().unwrap())]
                    .into_iter()
                    .collect(),
            ),
        ];
        let frames = frames.map(Ok::<_, crate::body::BodyError>);
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
        let mut response = http::Response::new(crate::body::Body::boxed(body));
        response
            .headers_mut()
            .insert("content-type", "application/grpc+proto".parse().unwrap());
        Ok(response)
    })
    .await;
    let mut wanted = Plan {
        table: Some(RouteTable {
            grpc_web: true,
            ..table(vec![forward()])
        }),
        ..Plan::default()
    };
    wanted.policy.pool.http2 = mesh::backend::Upgrade::Http2;
    let kit = Kit::new(&[address], wanted);
    let mut request = post("/a.B/C", "AAAAAAF4");
    request.headers_mut().insert(
        "content-type",
        "application/grpc-web-text+proto".parse().unwrap(),
    );
    let answered = kit.ask(request).await;
    assert_eq!(
        answered.header("content-type"),
        Some("application/grpc-web-text+proto")
    );
    assert_eq!(answered.body, "AAAAAAF4gAAAAA9ncnBjLXN0YXR1czowDQo=");
    let line = kit.line();
    assert_eq!(line["grpc"], 0);
    assert_eq!(line["code"], 200);
}

#[tokio::test]
async fn a_client_of_grpc_web_is_refused_in_its_own_words() {
    for (rules, unenforced, status) in [
        (Vec::new(), Vec::new(), "12"),
        (
            vec![forward()],
            vec!["AuthorizationPolicy default/x".into()],
            "7",
        ),
    ] {
        let kit = Kit::new(
            &[],
            Plan {
                table: Some(RouteTable {
                    grpc_web: true,
                    ..table(rules)
                }),
                unenforced,
                ..Plan::default()
            },
        );
        let mut request = post("/a.B/C", "AAAAAAF4");
        request.headers_mut().insert(
            "content-type",
            "application/grpc-web-text+proto".parse().unwrap(),
        );
        let answered = kit.ask(request).await;
        assert_eq!(answered.status(), 200);
        assert_eq!(answered.header("grpc-status"), Some(status));
        assert_eq!(
            answered.header("content-type"),
            Some("application/grpc-web-text+proto")
        );
    }
}
