//! What is there of a request to judge it by when policies change, and what is kept for that alone.

use mesh::{
    access::authorization::TextAttribute,
    route::{HttpMatch, PathKind, PathMatch, PathRewrite, Rewrite},
};

use super::*;
use crate::request::{account::Account, upload::Upload};

/// A rule that sends what asks for `/asked` on as `/sent`, and to another host.
fn rewriting() -> RouteTable {
    let mut rule = forward();
    rule.matches = vec![HttpMatch {
        path: Some(PathMatch::new(PathKind::Prefix("/asked".into()), false)),
        ..HttpMatch::default()
    }];
    rule.rewrite = Some(Rewrite {
        authority: Some("other.example".into()),
        path: Some(PathRewrite::Prefix("/sent".into())),
    });
    table(vec![rule])
}

fn host(value: &str) -> Rule {
    rule(vec![is(TextAttribute::Host, value)])
}

fn turned(policies: Policies) -> Vec<Resource> {
    let table = RouteTable {
        policies,
        ..rewriting()
    };
    vec![Resource::RouteTable(Arc::new(table))]
}

/// Rules that deny what was asked for, and rules that would deny what is sent in its place.
fn asked_and_sent() -> [(Rule, bool); 4] {
    [
        (path("/asked"), true),
        (host("reviews:80"), true),
        (path("/sent"), false),
        (host("other.example"), false),
    ]
}

#[tokio::test]
async fn a_request_that_a_rule_has_rewritten_is_judged_by_what_it_asked_for() {
    for (denied, cuts) in asked_and_sent() {
        let kit = endless(Policies::default()).await;
        kit.turn(turned(Policies::default()));
        let mut body = begun(&kit, "/asked").await;
        let said = format!("{denied:?}");
        kit.turn(turned(deny(vec![denied])));
        if cuts {
            frame(&mut body).await.unwrap().unwrap_err();
        } else {
            let waits = tokio::spawn(async move { body.frame().await });
            soon(|| kit.session.flips.waiting() == 1).await;
            assert!(!waits.is_finished(), "{said}");
            waits.abort();
        }
    }
}

#[tokio::test]
async fn a_body_that_outlasts_the_head_of_its_answer_is_judged_by_what_was_asked_for() {
    for (denied, cuts) in asked_and_sent() {
        let (heard, mut hears) = mpsc::unbounded_channel();
        let address = backend(
            Version::HTTP_11,
            move |request: http::Request<hyper::body::Incoming>| {
                let heard = heard.clone();
                tokio::spawn(async move {
                    let mut body = request.into_body();
                    while let Some(Ok(frame)) = body.frame().await {
                        drop(heard.send(Some(frame.into_data().unwrap())));
                    }
                    drop(heard.send(None));
                });
                async {
                    let (say, body) = streaming();
                    say.send("some").unwrap();
                    std::mem::forget(say);
                    Ok(Response::new(body))
                }
            },
        )
        .await;
        let plan = Plan {
            table: Some(rewriting()),
            client: Version::HTTP_2,
            ..Plan::default()
        };
        let kit = Kit::new(&[address], plan);
        let (say, body) = streaming();
        let mut request = post("/asked", "");
        request.headers_mut().remove("content-length");
        *request.body_mut() = body;
        let mut answer = kit.serve(request).await.into_body();
        frame(&mut answer).await.unwrap().unwrap();
        // Nobody asks for more of the answer: it is the body that looks.
        let said = format!("{denied:?}");
        kit.turn(turned(deny(vec![denied])));
        say.send("after").unwrap();
        let came = tokio::time::timeout(PATIENCE, hears.recv()).await;
        assert_eq!(came.unwrap().unwrap().is_none(), cuts, "{said}");
    }
}

#[tokio::test]
async fn what_was_not_let_in_does_not_go_on() {
    let kit = endless(Policies::default()).await;
    let mut account = Account::open(&kit.session, &get("/"));
    assert!(account.basis().is_none());
    assert_eq!(account.seen(), None);
    assert_eq!(account.look_again(None), Err(Lost::Unknown));
    let upload = Upload::new(Body::Empty, false, false, Vec::new());
    let lost = tokio::time::timeout(PATIENCE, account.lost(None, &upload));
    assert_eq!(lost.await.unwrap(), Lost::Unknown);
}

#[tokio::test]
async fn a_body_without_what_it_was_let_in_on_does_not_go_on() {
    let kit = endless(Policies::default()).await;
    let (say, body) = streaming();
    let seen = kit.session.flips.epoch();
    let upload = Upload::new(body, false, false, Vec::new()).guarded(&kit.session, seen);
    let mut attempt = upload.attempt().unwrap();
    say.send("before").unwrap();
    frame(&mut attempt).await.unwrap().unwrap();
    upload.answered(|| None);
    say.send("after").unwrap();
    frame(&mut attempt).await.unwrap().unwrap_err();
}

#[tokio::test]
async fn of_a_body_that_is_over_nothing_is_kept_and_of_one_that_is_not_all() {
    let kit = endless(Policies::default()).await;
    let seen = kit.session.flips.epoch();
    let guarded = |body| Upload::new(body, true, false, Vec::new()).guarded(&kit.session, seen);
    let over = guarded(Body::Full(Bytes::from("all")));
    let before = Arc::strong_count(&kit.session);
    let whole = over.attempt().unwrap().collect().await.unwrap();
    assert_eq!(whole.to_bytes(), "all");
    over.answered(|| panic!("nobody needs it"));
    assert_eq!(Arc::strong_count(&kit.session), before - 1);
    // All has come, but the attempt that sends it now has yet to take it.
    let repeated = guarded(Body::Full(Bytes::from("all")));
    drop(repeated.attempt().unwrap().collect().await.unwrap());
    let mut again = repeated.attempt().unwrap();
    let mut is_asked = false;
    repeated.answered(|| {
        is_asked = true;
        None
    });
    assert!(is_asked);
    frame(&mut again).await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_request_holds_nothing_of_its_connection_but_its_account() {
    let address = backend(Version::HTTP_11, |_| async {
        let (say, body) = streaming();
        say.send("some").unwrap();
        std::mem::forget(say);
        Ok(Response::new(body))
    })
    .await;
    for client in [Version::HTTP_11, Version::HTTP_2] {
        let plan = Plan {
            table: Some(under(Policies::default())),
            client,
            ..Plan::default()
        };
        let kit = Kit::new(&[address], plan);
        let before = Arc::strong_count(&kit.session);
        let body = begun(&kit, "/").await;
        assert_eq!(Arc::strong_count(&kit.session), before + 1, "{client:?}");
        drop(body);
        soon(|| Arc::strong_count(&kit.session) == before).await;
    }
}
