//! What is one change is one group of responses.

use std::collections::BTreeMap;

use wire::proto::{ADDRESS_TYPE, AUTHORIZATION_TYPE, discovery::DeltaDiscoveryRequest};

use super::{
    super::{MAX_FOLLOWED, Refusal},
    Bench,
};
use crate::{
    output::{Output, ResourceType},
    xds::testkit::{ack, back, nack, names, on_demand, policy, puts, subscribe, workload},
};

fn followed_by(requests: u32, request: DeltaDiscoveryRequest) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        followed_by: requests,
        ..request
    }
}

fn both(number: u8) -> Output {
    let name = number.to_string();
    puts([
        policy("ns", &name, 1),
        workload(&name, [10, 0, 0, number], "n1", &[]),
    ])
}

#[test]
fn responses_of_one_change_say_how_many_of_it_come_after_them() {
    let mut bench = Bench::synced();
    bench.publisher.apply(both(1));
    let policies = bench.hear().unwrap();
    assert_eq!(
        (names(&policies).0, policies.followed_by),
        (vec!["ns/1"], 1)
    );
    let addresses = bench.hear().unwrap();
    assert_eq!((names(&addresses).0, addresses.followed_by), (vec!["1"], 0));
    assert!(bench.hear().is_none());
    // What is one type's business is a group of its own.
    bench.say(ack(&policies));
    bench.say(ack(&addresses));
    bench.publisher.apply(puts([policy("ns", "2", 1)]));
    assert_eq!(bench.take().followed_by, 0);
    assert!(bench.hear().is_none());
}

#[test]
fn a_newer_version_waits_until_the_group_is_sent_and_acknowledged_as_a_whole() {
    let mut bench = Bench::synced();
    bench.publisher.apply(both(1));
    let policies = bench.hear().unwrap();
    bench.publisher.apply(Output {
        removals: vec![(ResourceType::Address, "1".to_owned())],
        ..both(2)
    });
    let addresses = bench.hear().unwrap();
    assert_eq!(
        (names(&addresses), addresses.followed_by),
        ((vec!["1"], vec![]), 0),
        "as it was when the group began"
    );
    assert!(bench.hear().is_none());
    bench.say(ack(&addresses));
    assert!(bench.hear().is_none(), "the policies are not acknowledged");
    assert_eq!(bench.session.reached(ResourceType::Authorization), None);
    bench.say(ack(&policies));
    assert_eq!(names(&bench.hear().unwrap()).0, ["ns/2"]);
    assert_eq!(names(&bench.hear().unwrap()), (vec!["2"], vec!["1"]));
}

#[test]
fn who_does_not_acknowledge_one_type_is_told_of_another_as_it_was_then() {
    let mut bench = Bench::new();
    bench.publisher.apply(both(1));
    bench.say(subscribe(AUTHORIZATION_TYPE, &[]));
    let policies = bench.hear().unwrap();
    bench.publisher.apply(both(2));
    bench.say(subscribe(ADDRESS_TYPE, &[]));
    let addresses = bench.hear().unwrap();
    assert_eq!(names(&addresses).0, ["1"]);
    bench.say(ack(&addresses));
    assert!(bench.hear().is_none());
    bench.say(ack(&policies));
    let policies = bench.hear().unwrap();
    assert_eq!(
        (names(&policies).0, policies.followed_by),
        (vec!["ns/2"], 1)
    );
    assert_eq!(names(&bench.hear().unwrap()).0, ["2"]);
}

#[test]
fn what_is_queued_does_not_count_as_told() {
    let mut bench = Bench::synced();
    bench.publisher.apply(both(1));
    let policies = bench.hear().unwrap();
    bench.say(ack(&policies));
    assert!(bench.session.reached(ResourceType::Authorization).is_some());
    assert_eq!(bench.session.reached(ResourceType::Address), None);
    bench.take();
    assert!(bench.session.reached(ResourceType::Address).is_some());
}

#[test]
fn a_refusal_of_one_response_of_a_group_is_an_answer_like_any_other() {
    let mut bench = Bench::synced();
    bench.publisher.apply(both(1));
    let [policies, addresses] = [bench.hear().unwrap(), bench.hear().unwrap()];
    bench.say(nack(&policies, "no"));
    bench.say(ack(&addresses));
    assert!(bench.hear().is_none());
    bench.publisher.apply(both(2));
    assert_eq!(names(&bench.take()).0, ["ns/2"]);
}

#[test]
fn nothing_comes_between_the_responses_of_a_group() {
    let mut bench = Bench::synced();
    bench.publisher.apply(both(1));
    let policies = bench.hear().unwrap();
    assert_eq!(policies.followed_by, 1);
    bench.say(subscribe("type/other", &["x"]));
    bench.say(subscribe(ADDRESS_TYPE, &["old"]));
    assert_eq!(names(&bench.hear().unwrap()), (vec!["1"], vec![]));
    assert_eq!(bench.hear().unwrap().type_url, "type/other");
}

#[test]
fn requests_that_belong_together_are_answered_together() {
    let mut bench = Bench::new();
    bench.publisher.apply(both(1));
    let had = BTreeMap::from([("gone".to_owned(), "1".to_owned())]);
    bench.say(followed_by(2, back(AUTHORIZATION_TYPE, had)));
    assert!(bench.hear().is_none());
    bench.say(followed_by(1, on_demand(ADDRESS_TYPE)));
    assert!(bench.hear().is_none());
    bench.say(subscribe(ADDRESS_TYPE, &["1"]));
    let policies = bench.hear().unwrap();
    assert_eq!(
        (names(&policies), policies.followed_by),
        ((vec!["ns/1"], vec!["gone"]), 1)
    );
    let addresses = bench.hear().unwrap();
    assert_eq!((names(&addresses).0, addresses.followed_by), (vec!["1"], 0));
}

#[test]
fn an_acknowledgement_announces_no_requests_and_is_none_of_those_announced() {
    let mut bench = Bench::synced();
    bench.publisher.apply(puts([policy("ns", "1", 1)]));
    let policies = bench.hear().unwrap();
    bench.say(followed_by(1, ack(&policies)));
    assert!(!bench.session.is_followed());
    // Nor does a subscription to a type that was begun before.
    bench.say(followed_by(1, subscribe(ADDRESS_TYPE, &["1"])));
    assert!(!bench.session.is_followed());
    bench.publisher.apply(both(2));
    assert_eq!(bench.take().followed_by, 1);
    assert_eq!(names(&bench.take()).0, ["2"]);

    let mut bench = Bench::new();
    bench.publisher.apply(both(1));
    bench.say(subscribe(AUTHORIZATION_TYPE, &[]));
    let policies = bench.hear().unwrap();
    bench.say(followed_by(1, on_demand(ADDRESS_TYPE)));
    // What is under way is acknowledged in between, whatever it says of others.
    bench.say(followed_by(7, ack(&policies)));
    assert!(bench.session.is_followed() && bench.hear().is_none());
    bench.say(subscribe(ADDRESS_TYPE, &["1"]));
    assert!(!bench.session.is_followed());
    assert_eq!(names(&bench.hear().unwrap()).0, ["1"]);
}

#[test]
fn requests_that_are_not_those_announced_end_the_stream() {
    for (said, next) in [(1, 1), (2, 0), (2, 2), (2, 7), (MAX_FOLLOWED, 0)] {
        let mut bench = Bench::new();
        bench.say(followed_by(said, subscribe(AUTHORIZATION_TYPE, &[])));
        assert_eq!(
            bench.try_say(followed_by(next, subscribe(ADDRESS_TYPE, &[]))),
            Err(Refusal::Order {
                found: next,
                expected: said - 1
            })
        );
    }
    let mut bench = Bench::new();
    let found = MAX_FOLLOWED + 1;
    assert_eq!(
        bench.try_say(followed_by(found, subscribe(ADDRESS_TYPE, &[]))),
        Err(Refusal::Followed {
            found,
            limit: MAX_FOLLOWED
        })
    );
}

#[test]
fn a_group_that_is_too_large_is_sent_one_by_one_and_in_order() {
    let mut bench = Bench::synced();
    bench.session = bench.session.with_limits(usize::MAX, 60);
    bench.publisher.apply(puts([
        policy("ns", "1", 1),
        policy("ns", "2", 1),
        workload("w", [10, 0, 0, 1], "n1", &[]),
    ]));
    let first = bench.hear().unwrap();
    assert_eq!((first.resources.len(), first.followed_by), (1, 0));
    assert!(
        bench.hear().is_none(),
        "the rest waits, and so does what is guarded"
    );
    bench.say(ack(&first));
    assert_eq!(bench.session.reached(ResourceType::Authorization), None);
    let rest = bench.hear().unwrap();
    assert_eq!((rest.resources.len(), rest.followed_by), (1, 0));
    let workloads = bench.hear().unwrap();
    assert_eq!((names(&workloads).0, workloads.followed_by), (vec!["w"], 0));

    let mut bench = Bench::synced();
    bench.session = bench.session.with_limits(100, usize::MAX);
    bench.publisher.apply(both(1));
    assert_eq!(bench.take().followed_by, 0);
    assert_eq!(bench.take().followed_by, 0);
}
