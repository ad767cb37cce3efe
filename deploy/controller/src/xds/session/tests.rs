//! All types together: what waits for what, and what one stream may ask for.

use std::sync::Arc;

use wire::proto::{
    ADDRESS_TYPE, AUTHORIZATION_TYPE,
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
};

use super::{MAX_NAMES_BYTES, MAX_TYPE, Refusal, Session};
use crate::{
    output::ResourceType,
    publish::Publisher,
    xds::{
        testkit::{ack, names, on_demand, policy, puts, read, subscribe, workload},
        viewer::{Scope, Viewer},
    },
};

mod groups;
mod moves;

struct Bench {
    publisher: Publisher,
    session: Session,
}

impl Bench {
    fn new() -> Self {
        let viewer = Viewer {
            scope: Scope::Everything,
            node: None,
        };
        Self {
            publisher: Publisher::new(),
            session: Session::new(&Arc::new(viewer), 7),
        }
    }

    fn try_say(&mut self, request: DeltaDiscoveryRequest) -> Result<(), Refusal> {
        let answered = self.session.request(request, net::clock::now());
        answered.map(|_| ())
    }

    fn say(&mut self, request: DeltaDiscoveryRequest) {
        self.try_say(request).unwrap();
    }

    fn hear(&mut self) -> Option<DeltaDiscoveryResponse> {
        let snapshot = self.publisher.view().load();
        let (_, message) = self.session.next(&snapshot)?;
        Some(read(message))
    }

    fn take(&mut self) -> DeltaDiscoveryResponse {
        let response = self.hear().expect("a response");
        self.say(ack(&response));
        response
    }

    /// Has everything of both types.
    fn synced() -> Self {
        let mut bench = Self::new();
        bench.say(subscribe(ADDRESS_TYPE, &[]));
        bench.say(subscribe(AUTHORIZATION_TYPE, &[]));
        bench.publisher.apply(puts([policy("ns", "old", 0)]));
        assert_eq!(bench.take().type_url, AUTHORIZATION_TYPE);
        assert_eq!(bench.take().type_url, ADDRESS_TYPE);
        assert!(bench.hear().is_none());
        bench
    }
}

#[test]
fn a_workload_does_not_overtake_a_policy_that_waits_for_an_acknowledgement() {
    let mut bench = Bench::synced();
    bench.publisher.apply(puts([policy("ns", "old", 1)]));
    let slow = bench.hear().unwrap();
    assert_eq!(names(&slow).0, ["ns/old"]);
    bench.publisher.apply(puts([
        policy("ns", "deny", 1),
        workload("w", [10, 0, 0, 1], "n1", &[]),
    ]));
    assert!(bench.hear().is_none(), "the workload waits with its policy");
    let (ahead, newest) = (
        bench.session.subscription(ResourceType::Address).planned(),
        bench.publisher.view().load().generation(),
    );
    assert!(ahead < newest, "and nobody says that it was sent");
    bench.say(ack(&slow));
    // Sent is enough: it is read in the order in which it is sent.
    assert_eq!(names(&bench.hear().unwrap()).0, ["ns/deny"]);
    assert_eq!(names(&bench.hear().unwrap()).0, ["w"]);
}

#[test]
fn a_workload_does_not_overtake_policies_that_are_asked_for_with_it() {
    let mut bench = Bench::new();
    bench.say(on_demand(AUTHORIZATION_TYPE));
    bench.publisher.apply(puts([
        policy("ns", "deny", 1),
        workload("w", [10, 0, 0, 1], "n1", &[]),
    ]));
    let slow = bench.hear().unwrap();
    assert_eq!(slow.type_url, AUTHORIZATION_TYPE);
    bench.say(subscribe(ADDRESS_TYPE, &["w"]));
    bench.say(subscribe(AUTHORIZATION_TYPE, &["ns/deny"]));
    assert!(bench.hear().is_none());
    bench.say(ack(&slow));
    assert_eq!(names(&bench.hear().unwrap()).0, ["ns/deny"]);
    assert_eq!(names(&bench.hear().unwrap()).0, ["w"]);
}

#[test]
fn who_does_not_ask_for_policies_waits_for_none() {
    let mut bench = Bench::new();
    bench.say(subscribe(ADDRESS_TYPE, &[]));
    for (generation, name) in ["a", "b"].into_iter().enumerate() {
        let ip = [10, 0, 0, u8::try_from(generation).unwrap()];
        bench
            .publisher
            .apply(puts([policy("ns", name, 0), workload(name, ip, "n1", &[])]));
        assert_eq!(names(&bench.take()).0, [name]);
    }
}

#[test]
fn names_are_bounded_in_bytes_over_both_types_and_those_let_go_of_count() {
    let name = |i: usize| format!("{i:0>2000}");
    let fits = MAX_NAMES_BYTES / 2_000;
    let mut bench = Bench::new();
    bench.publisher.apply(puts([]));
    for (i, of) in [ADDRESS_TYPE, AUTHORIZATION_TYPE].into_iter().enumerate() {
        for n in 0..fits / 2 {
            bench.say(subscribe(of, &[&name(i * fits + n)]));
        }
    }
    // The same again is no more.
    bench.say(subscribe(ADDRESS_TYPE, &[&name(0)]));
    bench.say(DeltaDiscoveryRequest {
        resource_names_unsubscribe: vec![name(0)],
        ..subscribe(ADDRESS_TYPE, &[])
    });
    let last = "x".repeat(2_000);
    assert_eq!(
        bench.try_say(subscribe(ADDRESS_TYPE, &[&last])),
        Err(Refusal::Bytes)
    );
    // What was let go of has been dealt with once it is answered.
    while bench.hear().is_some() {}
    bench.say(subscribe(ADDRESS_TYPE, &["y"]));
}

#[test]
fn a_type_is_bounded_in_length() {
    let mut bench = Bench::new();
    bench.say(subscribe(&"t".repeat(MAX_TYPE), &[]));
    assert_eq!(
        bench.try_say(subscribe(&"t".repeat(MAX_TYPE + 1), &[])),
        Err(Refusal::Type {
            length: MAX_TYPE + 1
        })
    );
}
