//! Responses that belong together, over a stream.

use tonic::Status;
use wire::proto::{ADDRESS_TYPE, AUTHORIZATION_TYPE, discovery::DeltaDiscoveryResponse};

use super::{
    super::MAX_GROUP_WAIT,
    POD, Plane, Ztunnel, acked,
    plane::{Talk, within},
    welcome,
};
use crate::xds::tests::{broken, pod, policy, response};

fn followed_by(responses: u32, response: DeltaDiscoveryResponse) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        followed_by: responses,
        ..response
    }
}

/// A policy that goes, and a workload that comes with that.
async fn send_first(talk: &Talk) {
    let first = response(AUTHORIZATION_TYPE, "1", vec![], &["default/deny"]);
    talk.send(followed_by(1, first)).await;
}

async fn send_second(talk: &Talk) {
    let second = response(ADDRESS_TYPE, "2", vec![pod("b", [10, 0, 0, 2])], &[POD]);
    talk.send(second).await;
}

async fn started() -> (Plane, Ztunnel, Talk) {
    let mut plane = Plane::start();
    let ztunnel = Ztunnel::start(plane.address(), false);
    let mut talk = plane.accept().await;
    let (a, deny) = (pod(POD, [10, 0, 0, 1]), policy("deny", 1));
    welcome(&mut talk, vec![deny], vec![a]).await;
    (plane, ztunnel, talk)
}

#[tokio::test]
async fn responses_that_belong_together_are_in_force_at_once_and_acknowledged_then() {
    let (_plane, ztunnel, mut talk) = started().await;
    let before = ztunnel.publisher.version();
    send_first(&talk).await;
    ztunnel
        .until(|ztunnel| ztunnel.state().types[1].messages == 2)
        .await;
    assert_eq!(ztunnel.publisher.version(), before, "one is not enough");
    send_second(&talk).await;
    assert_eq!(acked(&mut talk).await.1, "1");
    assert_eq!(acked(&mut talk).await.1, "2");
    assert_eq!(ztunnel.names(), ["b"]);
    assert_eq!(ztunnel.publisher.version(), before + 1);
}

#[tokio::test]
async fn a_bad_resource_of_a_group_is_refused_and_the_rest_of_the_group_is_in_force() {
    let (_plane, ztunnel, mut talk) = started().await;
    send_first(&talk).await;
    let second = vec![broken(POD), pod("b", [10, 0, 0, 2])];
    talk.send(response(ADDRESS_TYPE, "2", second, &[])).await;
    assert_eq!(acked(&mut talk).await.1, "1");
    let nack = talk.request().await;
    assert_eq!(nack.response_nonce, "2");
    assert!(nack.error_detail.is_some());
    assert_eq!(ztunnel.names(), ["b", POD]);
}

#[tokio::test]
async fn a_group_that_a_stream_did_not_finish_was_never_there() {
    let (mut plane, ztunnel, talk) = started().await;
    let before = ztunnel.publisher.version();
    send_first(&talk).await;
    ztunnel
        .until(|ztunnel| ztunnel.state().types[1].messages == 2)
        .await;
    talk.fail(Status::unavailable("come again")).await;
    let mut talk = plane.accept().await;
    let policies = talk.request().await;
    assert!(
        policies
            .initial_resource_versions
            .contains_key("default/deny")
    );
    assert_eq!(policies.followed_by, 1, "both types are asked for together");
    let addresses = talk.request().await;
    assert!(addresses.initial_resource_versions.contains_key(POD));
    assert_eq!(addresses.followed_by, 0);
    assert_eq!(ztunnel.publisher.version(), before);
    // And it begins anew.
    send_first(&talk).await;
    send_second(&talk).await;
    assert_eq!(acked(&mut talk).await.1, "1");
    assert_eq!(ztunnel.names(), ["b"]);
}

#[tokio::test]
async fn a_group_that_is_none_ends_the_stream_and_nothing_of_it_is_in_force() {
    let (mut plane, ztunnel, talk) = started().await;
    let before = ztunnel.publisher.version();
    // The next stream would make it forget why the last one ended.
    let shut = plane.shut().await;
    send_first(&talk).await;
    send_first(&talk).await;
    ztunnel
        .until(|ztunnel| ztunnel.state().connection_terminations.error == 1)
        .await;
    let error = ztunnel.state().last_error;
    assert!(
        error
            .as_deref()
            .is_some_and(|it| it.contains("followed_by")),
        "{error:?}"
    );
    drop(shut);
    let mut talk = plane.accept().await;
    talk.request().await;
    assert_eq!(ztunnel.publisher.version(), before);
}

#[tokio::test]
async fn a_group_that_nobody_goes_on_with_ends_the_stream() {
    let (mut plane, ztunnel, talk) = started().await;
    send_first(&talk).await;
    ztunnel
        .until(|ztunnel| ztunnel.state().types[1].messages == 2)
        .await;
    tokio::time::pause();
    tokio::time::advance(MAX_GROUP_WAIT).await;
    tokio::time::resume();
    let mut again = within(plane.accept()).await;
    assert_eq!(ztunnel.state().connection_terminations.error, 1);
    assert!(
        again
            .request()
            .await
            .initial_resource_versions
            .contains_key("default/deny")
    );
    drop(talk);
}
