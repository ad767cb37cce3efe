//! Policies that change while requests are open.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use mesh::{
    Resource,
    access::{Policies, authorization::Rule},
    route::{Backend, RouteTable},
};
use tokio::sync::mpsc;

use super::kit::*;
use crate::{
    access::{flip::Lost, testkit::*},
    body::{Body, BodyError},
};

mod kept;
mod tokens;

fn under(policies: Policies) -> RouteTable {
    RouteTable {
        policies,
        ..table(vec![forward()])
    }
}

fn now(policies: Policies) -> Vec<Resource> {
    vec![Resource::RouteTable(Arc::new(under(policies)))]
}

/// A body of what is sent.
fn streaming() -> (mpsc::UnboundedSender<&'static str>, Body) {
    let (say, mut said) = mpsc::unbounded_channel::<&'static str>();
    let frames = futures_util::stream::poll_fn(move |cx| {
        said.poll_recv(cx)
            .map(|said| said.map(|text| Ok::<_, BodyError>(Frame::data(Bytes::from(text)))))
    });
    (say, Body::boxed(StreamBody::new(frames)))
}

/// A kit whose client speaks HTTP/2, and a backend that says something and then nothing.
async fn endless(policies: Policies) -> Kit {
    let address = backend(Version::HTTP_11, |_| async {
        let (say, body) = streaming();
        say.send("some").unwrap();
        // For ever.
        std::mem::forget(say);
        Ok(Response::new(body))
    })
    .await;
    let plan = Plan {
        table: Some(under(policies)),
        client: Version::HTTP_2,
        ..Plan::default()
    };
    Kit::new(&[address], plan)
}

async fn frame(body: &mut Body) -> Option<Result<Frame<Bytes>, BodyError>> {
    tokio::time::timeout(PATIENCE, body.frame()).await.unwrap()
}

/// A response of which the first frame has come.
async fn begun(kit: &Kit, path: &str) -> Body {
    let mut body = kit.serve(get(path)).await.into_body();
    let first = frame(&mut body).await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "some");
    body
}

#[tokio::test]
async fn a_stream_that_would_be_denied_now_is_cut_and_another_goes_on() {
    let kit = endless(Policies::default()).await;
    let mut denied = begun(&kit, "/denied").await;
    let mut other = begun(&kit, "/other").await;
    let waits = tokio::spawn(async move { frame(&mut denied).await });
    let goes_on = tokio::spawn(async move { other.frame().await });
    // Both wait for the next frame.
    soon(|| kit.session.flips.waiting() == 2).await;
    kit.turn(now(deny(vec![path("/denied")])));
    let cut = waits.await.unwrap().unwrap().unwrap_err();
    assert_eq!(
        why(&cut),
        "policies deny it now: rbac_access_denied_matched_policy[ns[shop]-policy[deny]-rule[0]]"
    );
    let line = kit.line_soon().await;
    assert_eq!(line["path"], "/denied");
    assert_eq!(line["code"], 200);
    assert_eq!(
        line["details"],
        "rbac_access_denied_matched_policy[ns[shop]-policy[deny]-rule[0]]"
    );
    assert!(!goes_on.is_finished());
    goes_on.abort();
    drop(goes_on.await);
    // Nobody is left behind.
    soon(|| kit.session.flips.waiting() == 0).await;
}

fn why(cut: &BodyError) -> String {
    std::error::Error::source(cut).unwrap().to_string()
}

async fn soon(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

#[tokio::test]
async fn who_waits_for_an_answer_and_is_denied_now_gets_one_of_ours() {
    let calls = Calls::default();
    let counted = calls.clone();
    let address = backend(Version::HTTP_11, move |_| {
        counted.next();
        std::future::pending::<std::io::Result<Response<Body>>>()
    })
    .await;
    let plan = Plan {
        table: Some(under(Policies::default())),
        client: Version::HTTP_2,
        ..Plan::default()
    };
    let kit = Kit::new(&[address], plan);
    let (answered, ()) = tokio::join!(kit.ask(get("/denied")), async {
        calls.reach(1).await;
        kit.turn(now(deny(vec![path("/denied")])));
    });
    assert_eq!(answered.status(), 403);
    assert_eq!(answered.body, "RBAC: access denied");
    assert_eq!(
        kit.line()["details"],
        "rbac_access_denied_matched_policy[ns[shop]-policy[deny]-rule[0]]"
    );
}

#[tokio::test]
async fn what_is_judged_by_a_header_is_judged_by_the_one_that_came() {
    // Somebody looked at it when the request came, so it is known later.
    let kit = endless(deny(vec![header("x-who", "nobody")])).await;
    let with = |who: &str| {
        let mut request = get("/");
        request.headers_mut().insert("x-who", who.parse().unwrap());
        request
    };
    let mut alice = kit.serve(with("alice")).await.into_body();
    let mut bob = kit.serve(with("bob")).await.into_body();
    frame(&mut alice).await.unwrap().unwrap();
    frame(&mut bob).await.unwrap().unwrap();
    kit.turn(now(deny(vec![header("x-who", "bob")])));
    frame(&mut bob).await.unwrap().unwrap_err();
    let waits = tokio::spawn(async move { alice.frame().await });
    soon(|| kit.session.flips.waiting() == 1).await;
    assert!(!waits.is_finished());
    waits.abort();
}

#[tokio::test]
async fn what_would_be_judged_by_a_header_that_is_not_known_any_more_is_cut() {
    let kit = endless(Policies::default()).await;
    let mut body = begun(&kit, "/").await;
    kit.turn(now(deny(vec![header("x-who", "bob")])));
    let cut = frame(&mut body).await.unwrap().unwrap_err();
    assert_eq!(why(&cut), Lost::Unknown.to_string());
    assert_eq!(kit.line_soon().await["details"], "policy_changed");
}

#[tokio::test]
async fn who_waits_for_an_answer_is_judged_by_all_headers() {
    for (who, status) in [("alice", 200), ("bob", 403)] {
        let calls = Calls::default();
        let counted = calls.clone();
        let (say, said) = tokio::sync::watch::channel(false);
        let address = backend(Version::HTTP_11, move |_| {
            counted.next();
            let mut said = said.clone();
            async move {
                said.wait_for(|said| *said).await.unwrap();
                Ok(text("ok"))
            }
        })
        .await;
        let plan = Plan {
            table: Some(under(Policies::default())),
            client: Version::HTTP_2,
            ..Plan::default()
        };
        let kit = Kit::new(&[address], plan);
        let mut request = get("/");
        request.headers_mut().insert("x-who", who.parse().unwrap());
        let (answered, ()) = tokio::join!(kit.ask(request), async {
            calls.reach(1).await;
            kit.turn(now(deny(vec![header("x-who", "bob")])));
            say.send(true).unwrap();
        });
        assert_eq!(answered.status(), status, "{who}");
    }
}

#[tokio::test]
async fn what_another_authorizer_would_have_to_be_asked_about_is_cut() {
    let kit = endless(Policies::default()).await;
    let mut body = begun(&kit, "/").await;
    kit.turn(now(custom(Backend::new(key(), 80))));
    frame(&mut body).await.unwrap().unwrap_err();
    assert_eq!(kit.line_soon().await["details"], "policy_changed");
}

#[tokio::test]
async fn nothing_of_a_body_goes_by_that_comes_after_the_flip() {
    // The client does not read, so nobody asks for the next frame of the answer.
    let (heard, mut hears) = mpsc::unbounded_channel();
    let address = backend(
        Version::HTTP_11,
        move |request: http::Request<hyper::body::Incoming>| {
            let heard = heard.clone();
            tokio::spawn(async move {
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    let said = frame.map(|frame| frame.into_data().unwrap());
                    let is_over = said.is_err();
                    drop(heard.send(said.ok()));
                    if is_over {
                        return;
                    }
                }
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
        table: Some(under(Policies::default())),
        client: Version::HTTP_2,
        ..Plan::default()
    };
    let kit = Kit::new(&[address], plan);
    let (say, body) = streaming();
    say.send("before").unwrap();
    let mut request = post("/", "");
    request.headers_mut().remove("content-length");
    *request.body_mut() = body;
    let mut answer = kit.serve(request).await.into_body();
    frame(&mut answer).await.unwrap().unwrap();
    let mut next = async || {
        let said = tokio::time::timeout(PATIENCE, hears.recv());
        said.await.unwrap().unwrap()
    };
    assert_eq!(next().await.unwrap(), "before");
    // One that lets it go on changes nothing.
    kit.turn(now(deny(vec![path("/other")])));
    say.send("between").unwrap();
    assert_eq!(next().await.unwrap(), "between");
    kit.turn(now(deny(vec![Rule::default()])));
    say.send("after").unwrap();
    assert_eq!(next().await, None);
    frame(&mut answer).await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_change_of_routes_alone_wakes_nobody() {
    let kit = endless(deny(vec![path("/never")])).await;
    let before = kit.session.flips.epoch();
    let mut routes = under(deny(vec![path("/never")]));
    routes.grpc_web = true;
    kit.turn(vec![Resource::RouteTable(Arc::new(routes))]);
    assert_eq!(kit.session.flips.epoch(), before);
    kit.turn(now(deny(vec![path("/ever")])));
    assert_eq!(kit.session.flips.epoch(), before + 1);
}

#[tokio::test]
async fn a_stream_goes_on_while_nothing_is_known_of_its_port_and_is_judged_by_what_comes_then() {
    let kit = endless(Policies::default()).await;
    let mut body = begun(&kit, "/").await;
    kit.turn(Vec::new());
    kit.forget_table();
    kit.turn(Vec::new());
    let waits = tokio::spawn(async move { frame(&mut body).await });
    soon(|| kit.session.flips.waiting() == 1).await;
    kit.turn(now(deny(vec![Rule::default()])));
    waits.await.unwrap().unwrap().unwrap_err();
}

#[tokio::test]
async fn a_body_whose_request_may_go_on_goes_on_before_there_is_an_answer() {
    let (heard, mut hears) = mpsc::unbounded_channel();
    let address = backend(
        Version::HTTP_11,
        move |request: http::Request<hyper::body::Incoming>| {
            let heard = heard.clone();
            async move {
                let mut body = request.into_body();
                while let Some(Ok(frame)) = body.frame().await {
                    heard.send(frame.into_data().unwrap()).unwrap();
                }
                Ok(text("ok"))
            }
        },
    )
    .await;
    let plan = Plan {
        table: Some(under(Policies::default())),
        client: Version::HTTP_2,
        ..Plan::default()
    };
    let kit = Kit::new(&[address], plan);
    let (say, body) = streaming();
    let mut request = post("/", "");
    request.headers_mut().remove("content-length");
    *request.body_mut() = body;
    let mut next = async || {
        let said = tokio::time::timeout(PATIENCE, hears.recv());
        said.await.unwrap().unwrap()
    };
    let (answered, ()) = tokio::join!(kit.ask(request), async {
        say.send("before").unwrap();
        assert_eq!(next().await, "before");
        // By a header that only the live head has.
        kit.turn(now(deny(vec![header("x-who", "bob")])));
        say.send("after").unwrap();
        assert_eq!(next().await, "after");
        drop(say);
    });
    assert_eq!((answered.status(), &*answered.body), (200, "ok"));
}

#[tokio::test]
async fn what_rules_have_changed_is_no_head_to_judge_by() {
    // The rule takes the header away that the policy looks at: nobody can say what it was.
    let calls = Calls::default();
    let counted = calls.clone();
    let address = backend(Version::HTTP_11, move |_| {
        counted.next();
        std::future::pending::<std::io::Result<Response<Body>>>()
    })
    .await;
    let mut removing = forward();
    removing.request_headers.remove = vec!["x-who".into()];
    let plan = Plan {
        table: Some(table(vec![removing.clone()])),
        client: Version::HTTP_2,
        ..Plan::default()
    };
    let kit = Kit::new(&[address], plan);
    let mut request = get("/");
    request
        .headers_mut()
        .insert("x-who", "bob".parse().unwrap());
    let (answered, ()) = tokio::join!(kit.ask(request), async {
        calls.reach(1).await;
        let denied = RouteTable {
            policies: deny(vec![header("x-who", "bob")]),
            ..table(vec![removing])
        };
        kit.turn(vec![Resource::RouteTable(Arc::new(denied))]);
    });
    assert_eq!(answered.status(), 503);
    assert_eq!(kit.line()["details"], "policy_changed");
}
