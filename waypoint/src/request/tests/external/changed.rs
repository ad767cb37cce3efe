//! Requests that an authorizer changes: who sees what of them.

use std::sync::OnceLock;

use mesh::{
    access::authorization::TextMatch,
    settings::{Normalization, WaypointSettings},
};
use wire::proto::external_auth::{HeaderValue as Said, HeaderValueOption, OkHttpResponse};

use super::{
    over_grpc::{Questions, provider, yes},
    *,
};
use crate::access::testkit;

fn sets(headers: &[(&str, &str)], removes: &[&str]) -> OkHttpResponse {
    let header = |(name, value): &(&str, &str)| HeaderValueOption {
        header: Some(Said {
            key: (*name).to_owned(),
            value: (*value).to_owned(),
            raw_value: Bytes::new(),
        }),
        ..HeaderValueOption::default()
    };
    OkHttpResponse {
        headers: headers.iter().map(header).collect(),
        headers_to_remove: removes.iter().map(|name| (*name).to_owned()).collect(),
        ..OkHttpResponse::default()
    }
}

fn asked_for(path: &str, external: &Arc<ExternalAuthorization>) -> Policy {
    let action = Action::Custom(Arc::clone(external));
    testkit::policy(&format!("ask{path}"), action, vec![testkit::path(path)])
}

/// A request for `/in` with `x-role: admin`, which the authorizer turns into one for `/out` without it and with `x-user: alice`.
async fn changed(further: Vec<Policy>) -> (u16, Got, Questions) {
    let (questions, reached) = (Questions::default(), Got::default());
    let answer = || {
        Ok(yes(sets(
            &[(":path", "/out"), ("x-user", "alice")],
            &["x-role"],
        )))
    };
    let provider = provider(&questions, answer).await;
    let mut policies = vec![asked_for("/in", &Arc::new(by_grpc()))];
    policies.extend(further);
    let kit = with_policies(echo(&reached).await, provider, policies, None);
    let mut request = get("/in");
    let headers = request.headers_mut();
    headers.insert("x-role", "admin".parse().unwrap());
    headers.insert("x-user", "bob".parse().unwrap());
    (kit.ask(request).await.status(), reached, questions)
}

fn deny(rule: Rule) -> Vec<Policy> {
    vec![testkit::policy("deny", Action::Deny, vec![rule])]
}

fn allow(rule: Rule) -> Vec<Policy> {
    vec![testkit::policy("allow", Action::Allow, vec![rule])]
}

#[tokio::test]
async fn deny_and_allow_see_what_the_authorizer_made_of_a_request() {
    for (policies, status) in [
        (deny(testkit::path("/out")), 403),
        (deny(testkit::path("/in")), 200),
        (deny(testkit::header("x-user", "alice")), 403),
        (deny(testkit::header("x-user", "bob")), 200),
        (deny(testkit::header("x-role", "admin")), 200),
        (deny(testkit::header(":path", "/out")), 403),
        (allow(testkit::path("/out")), 200),
        (allow(testkit::path("/in")), 403),
        (allow(testkit::header("x-user", "alice")), 200),
        (allow(testkit::header("x-user", "bob")), 403),
        (allow(testkit::header("x-role", "admin")), 403),
    ] {
        let words = format!("{policies:?}");
        let (got, reached, _) = changed(policies).await;
        assert_eq!(got, status, "{words}");
        assert_eq!(reached.count(), usize::from(status == 200), "{words}");
    }
}

#[tokio::test]
async fn what_an_authorizer_made_of_a_request_asks_nobody_anew() {
    // Another provider, who would refuse, for what the request is now; and the same one once more.
    let nobody_there = ExternalAuthorization {
        provider: "other".into(),
        backend: Backend::new(authorizer(), 81),
        ..by_grpc()
    };
    let same = Arc::new(by_grpc());
    let mut further = vec![asked_for("/out", &Arc::new(nobody_there))];
    further.push(testkit::policy(
        "again",
        Action::Custom(Arc::clone(&same)),
        vec![testkit::path("/in"), testkit::header("x-role", "admin")],
    ));
    further.push(asked_for("/out", &same));
    let (status, reached, questions) = changed(further).await;
    assert_eq!(status, 200);
    // Once, by three policies.
    let question = questions.only().attributes.unwrap().request.unwrap();
    assert_eq!(question.http.unwrap().path, "/in");
    let request = reached.only();
    assert_eq!(request.head.uri.path(), "/out");
    assert_eq!(request.header("x-role"), None);
}

#[tokio::test]
async fn a_cookie_that_an_authorizer_adds_is_one_of_the_cookies_for_policies_too() {
    let questions = Questions::default();
    let answer = || {
        use wire::proto::external_auth::HeaderAppendAction;
        let mut ok = sets(&[("cookie", "b=2")], &[]);
        ok.headers[0].append = Some(true);
        ok.headers[0].append_action = HeaderAppendAction::AppendIfExistsOrAdd.into();
        Ok(yes(ok))
    };
    let provider = provider(&questions, answer).await;
    let mut policies = vec![asked_for("/in", &Arc::new(by_grpc()))];
    policies.extend(deny(testkit::header("cookie", "a=1; b=2")));
    let kit = with_policies(nobody().await, provider, policies, None);
    let mut request = get("/in");
    request
        .headers_mut()
        .insert("cookie", "a=1".parse().unwrap());
    assert_eq!(kit.ask(request).await.status(), 403);
}

#[tokio::test]
async fn a_path_gets_the_spelling_of_the_snapshot_that_its_request_is_judged_by() {
    let (questions, reached) = (Questions::default(), Got::default());
    let kit: Arc<OnceLock<Kit>> = Arc::default();
    let publisher = Arc::clone(&kit);
    let provider = provider(&questions, move || {
        // While it is asked, the configuration changes.
        let kit = publisher.get().unwrap();
        let own = &kit.proxy.own;
        let settings = {
            let mesh = kit.proxy.view.borrow();
            let settings = mesh.waypoint_settings(&own.namespace, &own.gateway);
            settings.unwrap().as_ref().clone()
        };
        kit.publish(vec![Resource::WaypointSettings(Arc::new(
            WaypointSettings {
                normalization: Normalization::MergeSlashes,
                ..settings
            },
        ))]);
        Ok(yes(sets(&[(":path", "/a//b")], &[])))
    })
    .await;
    let made = asking(echo(&reached).await, provider, by_grpc());
    assert!(kit.set(made).is_ok());
    let kit = kit.get().unwrap();
    for path in ["/a//b", "/a/b"] {
        assert_eq!(kit.ask(get("/")).await.status(), 200);
        assert_eq!(reached.only().head.uri.path(), path);
    }
}

#[tokio::test]
async fn each_of_several_who_look_at_a_body_sees_as_much_as_it_is_to() {
    let (asked, reached) = (Got::default(), Got::default());
    let provider = saying(&asked, |_| status(200)).await;
    let custom = |name: &str, include_body| {
        let external = ExternalAuthorization {
            provider: name.into(),
            include_body,
            ..by_http(HttpCheck {
                path_prefix: format!("/{name}").as_str().into(),
                include_headers: vec![TextMatch::Exact("x-none".into())],
                ..HttpCheck::default()
            })
        };
        policy(name, Action::Custom(Arc::new(external)))
    };
    let policies = vec![
        custom("a", including(3, true)),
        custom("b", None),
        custom("c", including(100, false)),
        custom("d", including(5, true)),
    ];
    let kit = with_policies(echo(&reached).await, provider, policies, None);
    assert_eq!(kit.ask(post("/", "hello world")).await.status(), 200);
    let seen: Vec<_> = asked.0.lock().iter().map(|got| got.body.clone()).collect();
    assert_eq!(seen, ["hel", "", "hello world", "hello"]);
    assert_eq!(reached.only().body, "hello world");
}
