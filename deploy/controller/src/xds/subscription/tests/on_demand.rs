//! Clients that name what they want.

use std::collections::BTreeMap;

use wire::proto::ADDRESS_TYPE;

use super::{ADDRESS, Bench, a, b, s, viewer};
use crate::{
    output::Output,
    xds::{
        testkit::{names, on_demand, service, subscribe, workload},
        viewer::Scope,
    },
};

#[test]
fn on_demand_begins_with_the_node_s_own_workloads_and_goes_on_by_name() {
    let mut bench = Bench::addresses();
    bench.publish([a(), b(), s()]);
    bench.say(on_demand(ADDRESS_TYPE));
    assert_eq!(names(&bench.take()), (vec!["a"], vec![]));
    assert_eq!(bench.hear(), None);
    bench.say(subscribe(ADDRESS_TYPE, &["/10.0.0.2"]));
    let found = bench.take();
    assert_eq!(names(&found), (vec!["b"], vec![]));
    assert_eq!(found.resources[0].aliases, ["/10.0.0.2"]);
    bench.publish([
        workload("c", [10, 0, 0, 3], "n3", &[]),
        workload("d", [10, 0, 0, 4], "n1", &[]),
    ]);
    assert_eq!(
        names(&bench.take()),
        (vec!["d"], vec![]),
        "d came to the node, nobody asked for c"
    );
    bench.remove("d");
    assert_eq!(names(&bench.take()), (vec![], vec!["d"]));
}

#[test]
fn on_demand_with_nothing_is_answered_with_nothing() {
    let mut bench = Bench::new(ADDRESS, viewer(Scope::Everything, None));
    bench.publish([a()]);
    bench.say(on_demand(ADDRESS_TYPE));
    assert_eq!(names(&bench.take()), (vec![], vec![]));
    assert!(!bench.subscription.is_wildcard());
}

#[test]
fn a_name_that_does_not_exist_is_said_to_be_removed_and_sent_when_it_comes() {
    let mut bench = Bench::addresses();
    bench.publisher.apply(Output::default());
    bench.say(on_demand(ADDRESS_TYPE));
    bench.take();
    bench.say(subscribe(ADDRESS_TYPE, &["/10.0.0.2", "ns/s"]));
    assert_eq!(names(&bench.take()), (vec![], vec!["/10.0.0.2", "ns/s"]));
    bench.publish([b()]);
    assert_eq!(names(&bench.take()), (vec!["b"], vec![]));
}

#[test]
fn a_service_brings_its_endpoints_and_a_workload_brings_itself() {
    let mut bench = Bench::new(ADDRESS, viewer(Scope::Everything, None));
    bench.publish([a(), b(), s()]);
    bench.say(on_demand(ADDRESS_TYPE));
    bench.take();
    bench.say(subscribe(ADDRESS_TYPE, &["b"]));
    assert_eq!(
        names(&bench.take()),
        (vec!["b"], vec![]),
        "not the service: it would look whole"
    );
    bench.publish([workload("c", [10, 0, 0, 3], "n3", &["ns/s"])]);
    assert_eq!(bench.hear(), None);
    bench.say(subscribe(ADDRESS_TYPE, &["/10.9.0.1"]));
    let found = bench.take();
    assert_eq!(names(&found), (vec!["c", "ns/s"], vec![]));
    assert_eq!(found.resources[1].name, "ns/s", "after its endpoints");
    bench.publish([workload("d", [10, 0, 0, 4], "n3", &["ns/s"])]);
    assert_eq!(names(&bench.take()), (vec!["d"], vec![]), "it joined");
    bench.publish([workload("c", [10, 0, 0, 3], "n3", &[])]);
    assert_eq!(names(&bench.take()), (vec![], vec!["c"]), "it left");
}

#[test]
fn a_service_that_comes_later_brings_endpoints_that_were_there() {
    let mut bench = Bench::new(ADDRESS, viewer(Scope::Everything, None));
    bench.publish([b()]);
    bench.say(on_demand(ADDRESS_TYPE));
    bench.take();
    bench.say(subscribe(ADDRESS_TYPE, &["/10.9.0.1"]));
    assert_eq!(names(&bench.take()), (vec![], vec!["/10.9.0.1"]));
    bench.publish([s()]);
    assert_eq!(names(&bench.take()), (vec!["b", "ns/s"], vec![]));
    // Its address changes: the name leads nowhere any more.
    bench.publish([service("ns", "s", [10, 9, 0, 2], None)]);
    assert_eq!(names(&bench.take()), (vec![], vec!["b", "ns/s"]));
}

#[test]
fn a_range_is_answered_under_the_name_that_was_asked_for() {
    let mut bench = Bench::new(ADDRESS, viewer(Scope::Everything, None));
    bench.publish([service("ns", "wide", [10, 0, 0, 0], Some(8))]);
    bench.say(on_demand(ADDRESS_TYPE));
    bench.take();
    bench.say(subscribe(ADDRESS_TYPE, &["/10.1.2.3", "/11.1.2.3"]));
    let found = bench.take();
    assert_eq!(names(&found), (vec!["ns/wide"], vec!["/11.1.2.3"]));
    assert_eq!(found.resources[0].aliases, ["/10.1.2.3"]);
    bench.publish([service("ns", "wide", [11, 0, 0, 0], Some(8))]);
    assert_eq!(
        names(&bench.take()),
        (vec!["ns/wide"], vec![]),
        "now by the other"
    );
}

#[test]
fn who_asks_again_is_answered_again() {
    let mut bench = Bench::addresses();
    bench.publish([a()]);
    bench.say(on_demand(ADDRESS_TYPE));
    assert_eq!(names(&bench.take()), (vec!["a"], vec![]));
    for _ in 0..2 {
        bench.say(subscribe(ADDRESS_TYPE, &["a", "nobody"]));
        assert_eq!(names(&bench.take()), (vec!["a"], vec!["nobody"]));
    }
    assert_eq!(bench.hear(), None);
}

#[test]
fn what_a_client_lets_go_of_is_not_mentioned_but_what_came_along_is_removed() {
    let mut bench = Bench::new(ADDRESS, viewer(Scope::Everything, None));
    bench.publish([b(), s()]);
    bench.say(on_demand(ADDRESS_TYPE));
    bench.take();
    bench.say(subscribe(ADDRESS_TYPE, &["ns/s"]));
    bench.take();
    let mut request = subscribe(ADDRESS_TYPE, &[]);
    request.resource_names_unsubscribe = vec!["ns/s".to_owned()];
    bench.say(request);
    assert_eq!(names(&bench.take()), (vec![], vec!["b"]));
    bench.publish([service("ns", "s", [10, 9, 0, 3], None)]);
    assert_eq!(bench.hear(), None);
}

#[test]
fn who_comes_back_on_demand_is_taken_to_want_what_it_has() {
    let mut bench = Bench::new(ADDRESS, viewer(Scope::Everything, None));
    bench.publish([a(), b(), s()]);
    let has = {
        let snapshot = bench.publisher.view().load();
        let version = |name| {
            snapshot
                .resource(ADDRESS, name)
                .unwrap()
                .version()
                .to_string()
        };
        BTreeMap::from([
            ("b".to_owned(), version("b")),
            // Istio's ztunnel remembers names, aliases too, without versions.
            ("/10.9.0.1".to_owned(), String::new()),
            ("/10.0.0.7".to_owned(), String::new()),
        ])
    };
    let mut request = on_demand(ADDRESS_TYPE);
    request.initial_resource_versions = has;
    bench.say(request);
    assert_eq!(
        names(&bench.take()),
        (vec!["ns/s"], vec!["/10.0.0.7"]),
        "b is as it was"
    );
    bench.publish([workload("b", [10, 0, 0, 8], "n2", &["ns/s"])]);
    assert_eq!(names(&bench.take()), (vec!["b"], vec![]));
}

#[test]
fn what_has_moved_to_a_name_that_was_let_go_of_is_removed() {
    let mut bench = Bench::new(ADDRESS, viewer(Scope::Everything, None));
    bench.publish([s()]);
    bench.say(subscribe(ADDRESS_TYPE, &["/10.9.0.1", "/10.9.0.2"]));
    assert_eq!(names(&bench.take()), (vec!["ns/s"], vec!["/10.9.0.2"]));
    let mut request = subscribe(ADDRESS_TYPE, &[]);
    request.resource_names_unsubscribe = vec!["/10.9.0.2".to_owned()];
    bench.say(request);
    // The client has it by the other name, and does not know that it answers to this one now.
    bench.publish([service("ns", "s", [10, 9, 0, 2], None)]);
    assert_eq!(names(&bench.take()), (vec![], vec!["ns/s"]));
}
