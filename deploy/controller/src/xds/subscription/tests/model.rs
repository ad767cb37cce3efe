//! A model client under random publishing, refusing, lagging, asking and reconnecting ends with what it should have.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};
use wire::proto::{
    ADDRESS_TYPE,
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
};

use super::{Subscription, next, viewer};
use crate::{
    output::{Output, Resource, ResourceType},
    publish::{Encoded, Publisher, Snapshot},
    xds::{
        testkit::{nack, on_demand, puts, read, service, subscribe, workload},
        viewer::Scope,
    },
};

const ADDRESS: ResourceType = ResourceType::Address;
/// The node of the client's token.
const NODE: &str = "n0";

#[derive(Clone, Debug)]
enum Step {
    /// A workload with an address, a node and services as bits.
    Workload(u8, u8, u8, u8),
    Service(u8, u8),
    Range(u8, u8),
    RemoveWorkload(u8),
    RemoveService(u8),
    /// Takes a response, if there is one.
    Hear,
    /// Answers it. Each bit refuses one of its resources.
    Answer(u16),
    Ask(u8),
    Leave(u8),
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..8_u8, 0..6_u8, 0..3_u8, 0..8_u8).prop_map(|(w, ip, n, s)| Step::Workload(w, ip, n, s)),
        3 => (0..3_u8, 0..6_u8).prop_map(|(s, ip)| Step::Service(s, ip)),
        1 => (0..3_u8, 28..31_u8).prop_map(|(s, length)| Step::Range(s, length)),
        3 => (0..8_u8).prop_map(Step::RemoveWorkload),
        2 => (0..3_u8).prop_map(Step::RemoveService),
        8 => Just(Step::Hear),
        5 => Just(Step::Answer(0)),
        2 => any::<u16>().prop_map(Step::Answer),
        3 => (0..18_u8).prop_map(Step::Ask),
        2 => (0..18_u8).prop_map(Step::Leave),
        1 => Just(Step::Reconnect),
    ]
}

/// Names that a client may ask for: workloads, services, addresses.
fn name(index: u8) -> String {
    match index {
        0..8 => format!("w{index}"),
        8..11 => format!("ns/s{}", index - 8),
        _ => format!("/10.0.0.{}", index - 11),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "most steps publish nothing")]
fn resource(step: &Step) -> Option<Resource> {
    match *step {
        Step::Workload(w, ip, node, bits) => {
            let services: Vec<_> = (0..3)
                .filter(|s| bits & 1 << s != 0)
                .map(|s| format!("ns/s{s}"))
                .collect();
            let services: Vec<_> = services.iter().map(String::as_str).collect();
            Some(workload(
                &format!("w{w}"),
                [10, 0, 0, ip],
                &format!("n{node}"),
                &services,
            ))
        }
        Step::Service(s, ip) => Some(service("ns", &format!("s{s}"), [10, 0, 0, ip], None)),
        Step::Range(s, length) => Some(service(
            "ns",
            &format!("s{s}"),
            [10, 0, 0, 0],
            Some(length.into()),
        )),
        _ => None,
    }
}

struct Client {
    wildcard: bool,
    limit: usize,
    lives: u32,
    subscription: Subscription,
    /// What is under way.
    unanswered: Option<DeltaDiscoveryResponse>,
    held: BTreeMap<String, String>,
    refused: BTreeMap<String, String>,
    names: BTreeSet<String>,
    /// Asked for since the last response: may be sent again.
    asked: bool,
    /// Let go of: nothing is promised about it.
    loose: BTreeSet<String>,
    aliases: BTreeMap<String, Vec<String>>,
}

impl Client {
    fn new(wildcard: bool, limit: usize) -> Self {
        let mut client = Self {
            wildcard,
            limit,
            lives: 0,
            subscription: Subscription::new(ADDRESS, viewer(Scope::Everything, None), 0),
            unanswered: None,
            held: BTreeMap::new(),
            refused: BTreeMap::new(),
            names: BTreeSet::new(),
            asked: false,
            loose: BTreeSet::new(),
            aliases: BTreeMap::new(),
        };
        client.connect();
        client
    }

    fn say(&mut self, request: DeltaDiscoveryRequest) {
        self.subscription
            .request(request, net::clock::now())
            .unwrap();
    }

    fn connect(&mut self) {
        self.lives += 1;
        let viewer = viewer(Scope::Everything, Some(NODE));
        self.subscription = Subscription::new(ADDRESS, viewer, self.lives).with_limit(self.limit);
        self.unanswered = None;
        self.refused.clear();
        let loose = std::mem::take(&mut self.loose);
        self.held.retain(|name, _| !loose.contains(name));
        let mut request = if self.wildcard {
            subscribe(ADDRESS_TYPE, &[])
        } else {
            // What it has counts as asked for from now on.
            let mut request = on_demand(ADDRESS_TYPE);
            request
                .resource_names_subscribe
                .extend(self.names.iter().cloned());
            self.names.extend(self.held.keys().cloned());
            self.asked = true;
            request
        };
        request.initial_resource_versions = self.held.clone();
        self.say(request);
    }

    fn hear(&mut self, snapshot: &std::sync::Arc<Snapshot>) -> bool {
        let rest = self.subscription.rest.is_some();
        let Some(message) = next(&mut self.subscription, snapshot) else {
            return false;
        };
        assert!(self.unanswered.is_none(), "two responses are under way");
        let response = read(message);
        // What the server plans now it knows to be wanted; what is left of an older plan may have been let go of.
        if !rest {
            for resource in &response.resources {
                self.loose.remove(&resource.name);
            }
        }
        self.unanswered = Some(response);
        true
    }

    fn answer(&mut self, refuse: u16) {
        let Some(response) = self.unanswered.take() else {
            return;
        };
        let mut refused = false;
        for (index, resource) in response.resources.iter().enumerate() {
            if self.wildcard && !self.refused.contains_key(&resource.name) {
                assert_ne!(
                    self.held.get(&resource.name),
                    Some(&resource.version),
                    "{} was sent for nothing",
                    resource.name
                );
            }
            if refuse & 1 << (index % 16) == 0 {
                self.refused.remove(&resource.name);
                self.held
                    .insert(resource.name.clone(), resource.version.clone());
            } else {
                refused = true;
                self.refused
                    .insert(resource.name.clone(), resource.version.clone());
            }
            self.aliases
                .insert(resource.name.clone(), resource.aliases.clone());
        }
        for name in &response.removed_resources {
            self.held.remove(name);
            self.refused.remove(name);
        }
        let mut request = nack(&response, "no");
        if !refused {
            request.error_detail = None;
        }
        self.say(request);
    }

    fn ask(&mut self, name: String) {
        self.say(subscribe(ADDRESS_TYPE, &[&name]));
        self.names.insert(name);
    }

    fn leave(&mut self, name: &str, snapshot: &Snapshot) {
        if !self.names.remove(name) {
            return;
        }
        let mut request = subscribe(ADDRESS_TYPE, &[]);
        request.resource_names_unsubscribe = vec![name.to_owned()];
        self.say(request);
        // Whatever the name led to, as the server sees it now or as the client saw it.
        let now = snapshot
            .by_alias(name)
            .into_iter()
            .map(|one| one.name().to_string());
        let then = self
            .aliases
            .iter()
            .filter(|(_, aliases)| aliases.iter().any(|one| one == name));
        let loose: Vec<_> = now.chain(then.map(|(name, _)| name.clone())).collect();
        self.loose.extend(loose);
        self.loose.insert(name.to_owned());
    }

    /// Whether the client should have it: the rule, said another way than the server computes it.
    fn wants(&self, encoded: &Encoded, snapshot: &Snapshot) -> bool {
        let named = |encoded: &Encoded| {
            self.names.iter().any(|name| {
                *name == **encoded.name()
                    || snapshot
                        .by_alias(name)
                        .iter()
                        .any(|one| one.name() == encoded.name())
            })
        };
        self.wildcard
            || encoded.node() == Some(NODE)
            || named(encoded)
            || encoded
                .services()
                .iter()
                .filter_map(|service| snapshot.resource(ADDRESS, service))
                .any(|service| named(service))
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each question is about a few of the steps"
)]
fn ends_with_the_snapshot(wildcard: bool, limit: usize, history: usize, steps: &[Step]) {
    let publisher = Publisher::with_history(history);
    publisher.apply(Output::default());
    let view = publisher.view();
    let mut client = Client::new(wildcard, limit);
    for step in steps {
        let removed = match step {
            Step::RemoveWorkload(w) => Some(format!("w{w}")),
            Step::RemoveService(s) => Some(format!("ns/s{s}")),
            _ => None,
        };
        if let Some(name) = removed {
            publisher.apply(Output {
                removals: vec![(ADDRESS, name)],
                ..Output::default()
            });
        }
        if let Some(resource) = resource(step) {
            publisher.apply(puts([resource]));
        }
        match step {
            Step::Hear if client.unanswered.is_none() => {
                client.hear(&view.load());
            }
            Step::Answer(refuse) => client.answer(*refuse),
            Step::Ask(index) if !wildcard => client.ask(name(*index)),
            Step::Leave(index) if !wildcard => client.leave(&name(*index), &view.load()),
            Step::Reconnect => client.connect(),
            _ => {}
        }
    }
    client.answer(0);
    let snapshot = view.load();
    while client.hear(&snapshot) {
        client.answer(0);
    }
    for encoded in snapshot.iter(ADDRESS) {
        let (name, version) = (encoded.name().to_string(), encoded.version().to_string());
        if client.wants(encoded, &snapshot) {
            let has = client.held.get(&name) == Some(&version)
                || client.refused.get(&name) == Some(&version);
            assert!(
                has,
                "{name} is missing or old: {:?}",
                client.held.get(&name)
            );
        } else {
            let has = client.held.contains_key(&name) && !client.loose.contains(&name);
            assert!(!has, "{name} should have been removed");
        }
    }
    for name in client.held.keys() {
        let known = snapshot.resource(ADDRESS, name).is_some() || client.loose.contains(name);
        assert!(known, "{name} is gone and was not removed");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_client_of_everything_ends_with_the_snapshot(
        steps in vec(step(), 0..120),
        limit in prop_oneof![Just(usize::MAX), 200..2_000_usize],
        history in prop_oneof![Just(1_000), 0..6_usize],
    ) {
        ends_with_the_snapshot(true, limit, history, &steps);
    }

    #[test]
    fn a_client_on_demand_ends_with_what_it_asked_for(
        steps in vec(step(), 0..120),
        limit in prop_oneof![Just(usize::MAX), 200..2_000_usize],
        history in prop_oneof![Just(1_000), 0..6_usize],
    ) {
        ends_with_the_snapshot(false, limit, history, &steps);
    }
}
