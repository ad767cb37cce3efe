//! Policies that change after an authorizer has let something by.

use http_body::Frame;
use http_body_util::StreamBody;
use mesh::access::authorization::TextMatch;

use super::*;
use crate::{
    access::{flip::Lost, testkit},
    body::BodyError,
};

/// A backend that says something and then nothing, for ever.
async fn endless() -> SocketAddr {
    backend(Version::HTTP_11, |_| async {
        let first =
            futures_util::stream::iter([Ok::<_, BodyError>(Frame::data(Bytes::from("some")))]);
        let frames = futures_util::StreamExt::chain(first, futures_util::stream::pending());
        Ok(Response::new(Body::boxed(StreamBody::new(frames))))
    })
    .await
}

fn under(policies: Vec<Policy>) -> RouteTable {
    RouteTable {
        policies: testkit::policies(policies),
        ..table(vec![forward()])
    }
}

/// A waypoint before that backend, whose client speaks HTTP/2.
async fn open(provider: SocketAddr, policies: Vec<Policy>) -> Kit {
    let plan = Plan {
        table: Some(under(policies)),
        client: Version::HTTP_2,
        ..Plan::default()
    };
    let kit = Kit::new(&[endless().await], plan);
    kit.publish(serving(provider, None));
    kit
}

fn turn(kit: &Kit, policies: Vec<Policy>) {
    kit.turn(vec![Resource::RouteTable(Arc::new(under(policies)))]);
}

fn asking(external: ExternalAuthorization) -> Policy {
    policy("ask", Action::Custom(Arc::new(external)))
}

fn denying(name: &str) -> Policy {
    testkit::policy("deny", Action::Deny, vec![testkit::path(name)])
}

async fn frame(body: &mut Body) -> Option<Result<Frame<Bytes>, BodyError>> {
    tokio::time::timeout(PATIENCE, body.frame()).await.unwrap()
}

async fn begun(kit: &Kit, request: Request<Body>) -> Body {
    let answer = kit.serve(request).await;
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    frame(&mut body).await.unwrap().unwrap();
    body
}

/// Whether what is open goes on after a change, which it has looked at.
async fn goes_on(kit: &Kit, mut body: Body, change: impl FnOnce(&Kit)) -> bool {
    let before = kit.session.flips.epoch();
    change(kit);
    assert_eq!(kit.session.flips.epoch(), before + 1, "nothing has changed");
    let cut = async {
        let error = body.frame().await.unwrap().unwrap_err();
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(why, Lost::Unknown.to_string());
    };
    // It looks when it is polled first, and waits for the next change after that.
    tokio::select! {
        biased;
        () = cut => false,
        () = std::future::ready(()) => true,
    }
}

fn failing_open() -> ExternalAuthorization {
    ExternalAuthorization {
        fail_open: true,
        ..by_http(HttpCheck::default())
    }
}

#[tokio::test]
async fn what_failed_open_was_no_yes_when_policies_change() {
    let other = ExternalAuthorization {
        timeout: 2 * PATIENCE,
        ..failing_open()
    };
    for (now, passes) in [
        // The same, beside a change of something else.
        (vec![asking(failing_open()), denying("/other")], true),
        (vec![asking(by_http(HttpCheck::default()))], false),
        (vec![asking(other)], false),
        (
            vec![asking(ExternalAuthorization {
                protocol: Protocol::Grpc,
                ..failing_open()
            })],
            false,
        ),
        // Nobody is asked any more.
        (vec![denying("/other")], true),
    ] {
        let kit = open(nobody().await, vec![asking(failing_open())]).await;
        let body = begun(&kit, get("/")).await;
        let words = format!("{now:?}");
        let went_on = goes_on(&kit, body, |kit| turn(kit, now)).await;
        assert_eq!(went_on, passes, "{words}");
    }
}

#[tokio::test]
async fn who_waits_for_an_answer_is_refused_where_what_failed_open_does_not_any_more() {
    let calls = Calls::default();
    let counted = calls.clone();
    let silent = backend(Version::HTTP_11, move |_| {
        counted.next();
        std::future::pending::<io::Result<Response<Body>>>()
    })
    .await;
    let plan = Plan {
        table: Some(under(vec![asking(failing_open())])),
        client: Version::HTTP_2,
        ..Plan::default()
    };
    let kit = Kit::new(&[silent], plan);
    kit.publish(serving(nobody().await, None));
    let (answer, ()) = tokio::join!(kit.ask(get("/")), async {
        calls.reach(1).await;
        turn(&kit, vec![asking(by_http(HttpCheck::default()))]);
    });
    assert_eq!(answer.status(), 503);
    assert_eq!(kit.line()["details"], "policy_changed");
}

#[tokio::test]
async fn a_yes_counts_as_long_as_the_same_service_would_be_asked() {
    let mut elsewhere = by_http(HttpCheck::default());
    elsewhere.backend.port = 81;
    let renamed = ExternalAuthorization {
        provider: "another".into(),
        ..by_http(HttpCheck::default())
    };
    for (now, passes) in [
        (failing_open(), true),
        (
            ExternalAuthorization {
                status_on_error: 500,
                ..by_http(HttpCheck::default())
            },
            true,
        ),
        (elsewhere, false),
        (renamed, false),
    ] {
        let provider = saying(&Got::default(), |_| status(200)).await;
        let kit = open(provider, vec![asking(by_http(HttpCheck::default()))]).await;
        let body = begun(&kit, get("/")).await;
        let words = format!("{now:?}");
        let went_on = goes_on(&kit, body, |kit| turn(kit, vec![asking(now)])).await;
        assert_eq!(went_on, passes, "{words}");
    }
}

#[tokio::test]
async fn a_connection_that_failed_open_is_looked_at_like_a_request() {
    use crate::access::connection;
    let by_grpc_open = ExternalAuthorization {
        fail_open: true,
        ..by_grpc()
    };
    let mut kit = open(nobody().await, vec![asking(by_grpc_open)]).await;
    Arc::get_mut(&mut kit.session).unwrap().protocol = crate::session::Protocol::Tcp;
    let mut grant = connection::admit(&kit.session).await.unwrap();
    turn(&kit, vec![asking(by_grpc())]);
    let lost = tokio::time::timeout(PATIENCE, grant.lost(None, None)).await;
    assert_eq!(lost.unwrap(), Lost::Unknown);
}

/// Asked where a header is so, by a provider of its own.
fn asking_by_header(name: &str, value: &str) -> Policy {
    let external = ExternalAuthorization {
        provider: "second".into(),
        ..by_http(HttpCheck::default())
    };
    testkit::policy(
        "second",
        Action::Custom(Arc::new(external)),
        vec![testkit::header(name, value)],
    )
}

#[tokio::test]
async fn whom_to_ask_is_found_out_by_the_head_that_came_also_later() {
    // The authorizer takes the header away by which somebody else would have to be asked, and sets another.
    let provider = || async {
        saying(&Got::default(), |_| {
            Response::builder()
                .header("x-envoy-auth-headers-to-remove", "x-role")
                .header("x-user", "alice")
                .body(Body::Empty)
                .unwrap()
        })
        .await
    };
    let first = || {
        asking(by_http(HttpCheck {
            upstream_on_allow: vec![TextMatch::Exact("x-user".into())],
            ..HttpCheck::default()
        }))
    };
    // Somebody looks at both headers from the beginning.
    let looks = || {
        let rules = vec![
            testkit::header("x-role", "nobody"),
            testkit::header("x-user", "nobody"),
        ];
        testkit::policy("looks", Action::Deny, rules)
    };
    for (name, value, passes) in [
        ("x-role", "admin", false),
        ("x-role", "guest", true),
        // It did not come.
        ("x-user", "alice", true),
        // Nobody looked at it, and the head has gone.
        ("x-other", "1", false),
    ] {
        let kit = open(provider().await, vec![first(), looks()]).await;
        let mut request = get("/");
        let role = "admin".parse().unwrap();
        request.headers_mut().insert("x-role", role);
        let body = begun(&kit, request).await;
        let second = asking_by_header(name, value);
        let went_on = goes_on(&kit, body, |kit| turn(kit, vec![first(), looks(), second])).await;
        assert_eq!(went_on, passes, "{name}: {value}");
    }
}

#[tokio::test]
async fn what_an_authorizer_made_of_a_head_decides_about_deny_and_allow_later_too() {
    let provider = saying(&Got::default(), |_| {
        Response::builder()
            .header("x-user", "alice")
            .body(Body::Empty)
            .unwrap()
    })
    .await;
    let first = || {
        asking(by_http(HttpCheck {
            upstream_on_allow: vec![TextMatch::Exact("x-user".into())],
            ..HttpCheck::default()
        }))
    };
    let about =
        |user: &str| testkit::policy("deny", Action::Deny, vec![testkit::header("x-user", user)]);
    let kit = open(provider, vec![first(), about("bob")]).await;
    let mut spoofing = get("/");
    let bob = "bob".parse().unwrap();
    spoofing.headers_mut().insert("x-user", bob);
    let mut body = begun(&kit, spoofing).await;
    turn(&kit, vec![first(), about("alice")]);
    let error = frame(&mut body).await.unwrap().unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.starts_with("policies deny it now"), "{why}");
}
