//! Tests of names that are fetched when somebody needs them.

use wire::proto::{ADDRESS_TYPE, AUTHORIZATION_TYPE};

use super::{
    POD, Ztunnel, acked,
    plane::{Plane, within},
    welcome,
};
use crate::xds::{
    Outcome,
    tests::{pod, response, service},
};

#[tokio::test]
async fn a_name_is_fetched_once_for_all_who_ask_and_known_for_all_who_ask_later() {
    let mut plane = Plane::start();
    let ztunnel = Ztunnel::start(plane.address(), true);
    let mut talk = plane.accept().await;
    welcome(&mut talk, vec![], vec![]).await;
    let ask = |name: &'static str| {
        let (demand, view) = (ztunnel.demand.clone(), ztunnel.view.clone());
        // Another thread with a runtime of its own, as the workers are.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let outcome = runtime.block_on(demand.fetch(name));
            let workloads = view.load().iter_workloads().len();
            (outcome, workloads)
        })
    };
    let asked = [ask("/10.0.0.1"), ask("/10.0.0.1")];
    let request = talk.request().await;
    assert_eq!(request.resource_names_subscribe, ["/10.0.0.1"]);
    assert_eq!(request.response_nonce, "");
    talk.send(response(
        ADDRESS_TYPE,
        "1",
        vec![pod(POD, [10, 0, 0, 1])],
        &[],
    ))
    .await;
    assert_eq!(acked(&mut talk).await.1, "1");
    for thread in asked {
        let told = tokio::task::spawn_blocking(|| thread.join().unwrap());
        assert_eq!(within(told).await.unwrap(), (Outcome::Present, 1));
    }
    let absent = ask("/192.0.2.1");
    let request = talk.request().await;
    assert_eq!(request.resource_names_subscribe, ["/192.0.2.1"]);
    talk.send(response(ADDRESS_TYPE, "2", vec![], &["/192.0.2.1"]))
        .await;
    assert_eq!(acked(&mut talk).await.1, "2");
    let told = tokio::task::spawn_blocking(|| absent.join().unwrap());
    assert_eq!(within(told).await.unwrap().0, Outcome::Absent);
    // At once, whatever becomes of the stream.
    drop(talk);
    assert_eq!(
        within(ztunnel.demand.fetch("/192.0.2.1")).await,
        Outcome::Absent
    );
    assert_eq!(
        within(ztunnel.demand.fetch("/10.0.0.1")).await,
        Outcome::Present
    );
}

#[tokio::test]
async fn names_are_subscribed_again_on_the_next_stream_and_a_question_survives_it() {
    let mut plane = Plane::start();
    let ztunnel = Ztunnel::start(plane.address(), true);
    let mut talk = plane.accept().await;
    welcome(&mut talk, vec![], vec![]).await;
    let demand = ztunnel.demand.clone();
    let asked = tokio::spawn(async move { demand.fetch("default/web.example").await });
    assert_eq!(
        talk.request().await.resource_names_subscribe,
        ["default/web.example"]
    );
    drop(talk);
    let mut talk = plane.accept().await;
    assert_eq!(talk.request().await.type_url, AUTHORIZATION_TYPE);
    let first = talk.request().await;
    assert_eq!(first.resource_names_subscribe, ["*"]);
    assert_eq!(first.resource_names_unsubscribe, ["*"]);
    let names = talk.request().await;
    assert_eq!(names.resource_names_subscribe, ["default/web.example"]);
    let web = service("web.example", [10, 96, 0, 1]);
    talk.send(response(ADDRESS_TYPE, "1", vec![web], &[])).await;
    assert_eq!(within(asked).await.unwrap(), Outcome::Present);
}
