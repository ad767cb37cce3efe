//! The protocol of one type, request by request.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use wire::proto::{ADDRESS_TYPE, AUTHORIZATION_TYPE, discovery::DeltaDiscoveryResponse};

use super::{Known, MAX_NAME, MAX_NAMES, Refusal, Settled, Subscription};
use crate::{
    output::{Account, Output, ResourceType},
    publish::{Publisher, Snapshot},
    xds::{
        message::Message,
        testkit::{
            ack, back, nack, names, on_demand, policy, puts, read, service, subscribe, versions,
            workload,
        },
        viewer::{Scope, Viewer},
    },
};

mod model;
mod on_demand;

const ADDRESS: ResourceType = ResourceType::Address;

/// What a session does with one type alone.
fn next(subscription: &mut Subscription, snapshot: &Arc<Snapshot>) -> Option<Message> {
    subscription.notice(snapshot);
    if subscription.waits() {
        return None;
    }
    let rest = subscription.rest();
    let message = rest.or_else(|| subscription.lead(snapshot))?;
    subscription.sends(&message);
    Some(message)
}

struct Bench {
    publisher: Publisher,
    subscription: Subscription,
    now: Instant,
}

fn viewer(scope: Scope, node: Option<&str>) -> Arc<Viewer> {
    Arc::new(Viewer {
        scope,
        node: node.map(Arc::from),
    })
}

impl Bench {
    fn new(of: ResourceType, viewer: Arc<Viewer>) -> Self {
        Self {
            publisher: Publisher::new(),
            subscription: Subscription::new(of, viewer, 7),
            now: net::clock::now(),
        }
    }

    fn addresses() -> Self {
        Self::new(ADDRESS, viewer(Scope::Everything, Some("n1")))
    }

    fn say(&mut self, request: wire::proto::discovery::DeltaDiscoveryRequest) -> Option<Settled> {
        self.subscription.request(request, self.now).unwrap()
    }

    fn hear(&mut self) -> Option<DeltaDiscoveryResponse> {
        let snapshot = self.publisher.view().load();
        next(&mut self.subscription, &snapshot).map(read)
    }

    /// Hears a response and acknowledges it.
    fn take(&mut self) -> DeltaDiscoveryResponse {
        let response = self.hear().expect("a response");
        assert!(self.say(ack(&response)).is_some());
        response
    }

    fn publish(&self, resources: impl IntoIterator<Item = crate::output::Resource>) {
        self.publisher.apply(puts(resources));
    }

    fn remove(&self, name: &str) {
        self.publisher.apply(Output {
            removals: vec![(ADDRESS, name.to_owned())],
            ..Output::default()
        });
    }
}

fn a() -> crate::output::Resource {
    workload("a", [10, 0, 0, 1], "n1", &[])
}

fn b() -> crate::output::Resource {
    workload("b", [10, 0, 0, 2], "n2", &["ns/s"])
}

fn s() -> crate::output::Resource {
    service("ns", "s", [10, 9, 0, 1], None)
}

#[test]
fn no_names_at_first_are_everything_and_then_what_changes() {
    let mut bench = Bench::addresses();
    bench.publish([a(), b()]);
    bench.say(subscribe(ADDRESS_TYPE, &[]));
    let first = bench.take();
    assert_eq!(first.type_url, ADDRESS_TYPE);
    assert_eq!(names(&first), (vec!["a", "b"], vec![]));
    assert_eq!(bench.hear(), None);
    bench.publish([s(), workload("a", [10, 0, 0, 9], "n1", &[])]);
    bench.remove("b");
    assert_eq!(names(&bench.take()), (vec!["a", "ns/s"], vec!["b"]));
    assert_eq!(bench.hear(), None);
}

#[test]
fn a_star_is_everything() {
    let mut bench = Bench::addresses();
    bench.publish([a()]);
    bench.say(subscribe(ADDRESS_TYPE, &["*"]));
    assert_eq!(names(&bench.take()), (vec!["a"], vec![]));
    assert!(bench.subscription.is_wildcard());
}

#[test]
fn an_empty_mesh_is_answered_once_something_was_published_and_not_before() {
    let mut bench = Bench::addresses();
    bench.say(back(
        ADDRESS_TYPE,
        BTreeMap::from([("a".to_owned(), String::new())]),
    ));
    assert_eq!(
        bench.hear(),
        None,
        "what it has must not be taken away by a server that has just begun"
    );
    bench.publisher.apply(Output::default());
    assert_eq!(names(&bench.take()), (vec![], vec!["a"]));
}

#[test]
fn one_response_is_under_way_and_later_changes_merge() {
    let mut bench = Bench::addresses();
    bench.publish([a()]);
    bench.say(subscribe(ADDRESS_TYPE, &[]));
    let first = bench.hear().unwrap();
    for port in 2..9 {
        bench.publish([workload("b", [10, 0, 0, port], "n1", &[]), a()]);
        assert_eq!(bench.hear(), None);
    }
    bench.publish([workload("c", [10, 0, 0, 1], "n1", &[])]);
    bench.remove("c");
    bench.say(ack(&first));
    assert_eq!(
        names(&bench.take()),
        (vec!["b"], vec![]),
        "c came and went unseen"
    );
    assert_eq!(bench.hear(), None);
}

#[test]
fn a_stale_nonce_acknowledges_nothing() {
    let mut bench = Bench::addresses();
    bench.publish([a()]);
    bench.say(subscribe(ADDRESS_TYPE, &[]));
    let first = bench.take();
    bench.publish([b()]);
    let second = bench.hear().unwrap();
    assert_ne!(first.nonce, second.nonce);
    assert_eq!(bench.say(ack(&first)), None);
    bench.publish([s()]);
    assert_eq!(bench.hear(), None, "the second is still awaited");
    assert!(bench.say(ack(&second)).is_some());
    assert!(bench.hear().is_some());
}

#[test]
fn what_was_refused_is_sent_again_only_when_it_changes() {
    let mut bench = Bench::addresses();
    bench.publish([a(), b()]);
    bench.say(subscribe(ADDRESS_TYPE, &[]));
    let first = bench.hear().unwrap();
    let settled = bench.say(nack(&first, "b: no")).unwrap();
    assert_eq!(settled.refused.as_deref(), Some("b: no"));
    assert_eq!(settled.resources, 2);
    assert_eq!(bench.hear(), None);
    bench.publish([s()]);
    assert_eq!(names(&bench.take()), (vec!["ns/s"], vec![]), "others go on");
    bench.publish([workload("b", [10, 0, 0, 3], "n2", &[])]);
    assert_eq!(names(&bench.take()), (vec!["b"], vec![]));
}

#[test]
fn who_comes_back_gets_what_differs_from_what_it_has() {
    let mut bench = Bench::addresses();
    bench.publish([a(), b(), s()]);
    bench.say(subscribe(ADDRESS_TYPE, &[]));
    let mut has = versions(&bench.take());
    bench.publish([workload("a", [10, 0, 0, 9], "n1", &[])]);
    bench.remove("ns/s");
    has.insert("gone".to_owned(), "whatever".to_owned());
    bench.subscription = Subscription::new(ADDRESS, viewer(Scope::Everything, None), 8);
    bench.say(back(ADDRESS_TYPE, has.clone()));
    let second = bench.take();
    assert_eq!(names(&second), (vec!["a"], vec!["gone", "ns/s"]));
    // With everything as it is, an answer comes all the same, and it is empty.
    has.extend(versions(&second));
    has.retain(|name, _| name != "gone" && name != "ns/s");
    bench.subscription = Subscription::new(ADDRESS, viewer(Scope::Everything, None), 9);
    bench.say(back(ADDRESS_TYPE, has));
    assert_eq!(names(&bench.take()), (vec![], vec![]));
    assert_eq!(bench.hear(), None);
}

#[test]
fn a_client_goes_from_names_to_everything_and_back() {
    let mut bench = Bench::new(ADDRESS, viewer(Scope::Everything, None));
    bench.publish([a(), b(), s()]);
    bench.say(subscribe(ADDRESS_TYPE, &["a"]));
    assert_eq!(names(&bench.take()), (vec!["a"], vec![]));
    bench.say(subscribe(ADDRESS_TYPE, &["*"]));
    assert_eq!(
        names(&bench.take()),
        (vec!["b", "ns/s"], vec![]),
        "a is there"
    );
    bench.say(subscribe(ADDRESS_TYPE, &["nobody", "b"]));
    assert_eq!(names(&bench.take()), (vec!["b"], vec!["nobody"]));
    let mut request = subscribe(ADDRESS_TYPE, &[]);
    request.resource_names_unsubscribe = vec!["*".to_owned()];
    bench.say(request);
    assert_eq!(names(&bench.take()), (vec!["a", "b"], vec!["nobody"]));
    bench.publish([service("ns", "s", [10, 9, 0, 3], None)]);
    assert_eq!(bench.hear(), None);
}

#[test]
fn a_waypoint_sees_policies_of_its_own_and_the_root_namespace() {
    let scope = Scope::Waypoint {
        root: "istio-system".into(),
        account: Account {
            namespace: "own".into(),
            name: "waypoint".into(),
        },
    };
    let mut bench = Bench::new(ResourceType::Authorization, viewer(scope, None));
    bench.publish([
        policy("own", "p", 0),
        policy("istio-system", "p", 0),
        policy("foreign", "p", 0),
        policy("owner", "p", 0),
    ]);
    bench.say(subscribe(AUTHORIZATION_TYPE, &["*", "foreign/p"]));
    let first = bench.take();
    assert_eq!(
        names(&first),
        (vec!["istio-system/p", "own/p"], vec!["foreign/p"])
    );
    bench.publish([policy("foreign", "p", 1), policy("own", "p", 1)]);
    assert_eq!(names(&bench.take()), (vec!["own/p"], vec![]));
    bench.publish([policy("foreign", "p", 0)]);
    assert_eq!(bench.hear(), None);
    let mut bench_two = bench;
    bench_two.subscription = Subscription::new(
        ResourceType::Authorization,
        Arc::clone(&bench_two.subscription.viewer),
        9,
    );
    bench_two.say(on_demand(AUTHORIZATION_TYPE));
    bench_two.take();
    bench_two.say(subscribe(AUTHORIZATION_TYPE, &["foreign/p", "own/p"]));
    assert_eq!(names(&bench_two.take()), (vec!["own/p"], vec!["foreign/p"]));
}

#[test]
fn a_client_too_far_behind_for_the_record_gets_the_same() {
    for wildcard in [true, false] {
        let mut bench = Bench::new(ADDRESS, viewer(Scope::Everything, Some("n1")));
        bench.publisher = Publisher::with_history(1);
        bench.publish([a(), b(), s()]);
        bench.say(if wildcard {
            subscribe(ADDRESS_TYPE, &[])
        } else {
            subscribe(ADDRESS_TYPE, &["ns/s"])
        });
        bench.take();
        bench.publish([workload("a", [10, 0, 0, 9], "n1", &[])]);
        bench.publish([workload("c", [10, 0, 0, 3], "n3", &["ns/s"])]);
        bench.remove("b");
        bench.publish([workload("d", [10, 0, 0, 4], "n1", &[])]);
        assert_eq!(names(&bench.take()), (vec!["a", "c", "d"], vec!["b"]));
    }
}

#[test]
fn what_is_too_large_for_one_message_comes_in_several_and_nothing_is_lost() {
    let mut bench = Bench::addresses();
    bench.subscription =
        Subscription::new(ADDRESS, viewer(Scope::Everything, None), 7).with_limit(500);
    bench.publish((0..20).map(|i| workload(&format!("w{i:02}"), [10, 0, 1, i], "", &[])));
    bench.say(subscribe(ADDRESS_TYPE, &[]));
    let mut seen = Vec::new();
    let mut messages = 0;
    while let Some(response) = bench.hear() {
        // What is published in between comes after.
        bench.publish([workload("late", [10, 0, 2, messages], "", &[])]);
        seen.extend(response.resources.iter().map(|one| one.name.clone()));
        messages += 1;
        bench.say(ack(&response));
        if seen.iter().any(|name| name == "late") {
            break;
        }
    }
    seen.sort();
    assert!(messages > 3, "{messages} messages");
    assert_eq!(seen.len(), 21, "{seen:?}");
    assert_eq!(seen[0], "late");
}

#[test]
fn convergence_counts_from_the_first_change_that_the_client_lacks() {
    let mut bench = Bench::addresses();
    bench.publish([a()]);
    bench.say(subscribe(ADDRESS_TYPE, &[]));
    let first = bench.hear().unwrap();
    assert_eq!(
        bench.say(ack(&first)).unwrap().convergence,
        None,
        "it lacked everything"
    );
    bench.publish([b()]);
    let second = bench.hear().unwrap();
    bench.now = net::clock::now() + Duration::from_secs(5);
    let took = bench.say(ack(&second)).unwrap().convergence.unwrap();
    assert!(
        took >= Duration::from_secs(5) && took < Duration::from_secs(60),
        "{took:?}"
    );
}

#[test]
fn names_are_bounded_in_length_and_number() {
    let mut bench = Bench::addresses();
    let long = "n".repeat(MAX_NAME + 1);
    let refused = bench
        .subscription
        .request(subscribe(ADDRESS_TYPE, &[&long]), bench.now);
    assert_eq!(
        refused,
        Err(Refusal::Name {
            length: MAX_NAME + 1
        })
    );
    let mut bench = Bench::addresses();
    let names: Vec<_> = (0..=MAX_NAMES).map(|i| i.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    bench.say(subscribe(ADDRESS_TYPE, &names[..MAX_NAMES]));
    let refused = bench
        .subscription
        .request(subscribe(ADDRESS_TYPE, &names[MAX_NAMES..]), bench.now);
    assert_eq!(refused, Err(Refusal::Names));
    assert!(Known::new().is_empty());
}
