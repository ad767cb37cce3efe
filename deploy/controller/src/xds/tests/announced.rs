//! Requests that a client has announced: they come, in order and in time, or the stream ends.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_client_whose_announced_requests_do_not_come_is_cut_off() {
    let bench = Bench::new();
    bench.publisher.apply(Output::default());
    let mut client = bench.open("node").await.unwrap();
    client.say(&DeltaDiscoveryRequest {
        followed_by: 2,
        ..subscribe(AUTHORIZATION_TYPE, &[])
    });
    // One of the two.
    client.say(&DeltaDiscoveryRequest {
        followed_by: 1,
        ..subscribe(ADDRESS_TYPE, &[])
    });
    tokio::time::timeout(Duration::from_secs(600), bench.connection.was_cut())
        .await
        .expect("it is cut off, and long before its token is");
    assert!(matches!(client.hear().await, Next::Cut));
}

#[tokio::test(start_paused = true)]
async fn an_announced_request_that_waits_for_its_turn_is_not_missing() {
    let bench = Bench::new();
    bench
        .publisher
        .apply(puts([workload("a", [10, 0, 0, 1], "n1", &[])]));
    let turns = Arc::clone(&bench.service.large);
    let all = u32::try_from(super::super::frame::MAX_LARGE_REQUESTS).unwrap();
    let others = turns.acquire_many(all).await.unwrap();
    let mut client = bench.open("node").await.unwrap();
    client.say(&DeltaDiscoveryRequest {
        followed_by: 1,
        ..subscribe(AUTHORIZATION_TYPE, &[])
    });
    let versions = (0..4_000).map(|i| (format!("an old workload {i}"), "1".to_owned()));
    client.say(&testkit::back(ADDRESS_TYPE, versions.collect()));
    tokio::time::timeout(
        3 * super::super::stream::ACK_DEADLINE,
        bench.connection.was_cut(),
    )
    .await
    .expect_err("it is others that keep it waiting");
    drop(others);
    assert_eq!(client.response().await.followed_by, 1);
    assert_eq!(names(&client.response().await).0, ["a"]);
}

#[tokio::test]
async fn requests_that_are_not_those_announced_end_the_stream_with_a_reason() {
    let bench = Bench::new();
    let mut client = bench.open("node").await.unwrap();
    client.say(&DeltaDiscoveryRequest {
        followed_by: 1,
        ..subscribe(AUTHORIZATION_TYPE, &[])
    });
    client.say(&DeltaDiscoveryRequest {
        followed_by: 1,
        ..subscribe(ADDRESS_TYPE, &[])
    });
    let end = client.end().await;
    // Not as what is too large is, or it would come back without its versions.
    assert_eq!(end.code(), Code::InvalidArgument);
    assert!(end.message().contains("followed_by"), "{}", end.message());
}
