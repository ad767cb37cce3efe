//! Random changes of a small mesh, in random batches: the end is that of a fresh start with the final objects.

mod limits;
mod objects;
mod routing;

use std::collections::{BTreeMap, BTreeSet};

use objects::Random;
use wire::proto::waypoint::{AuthorizationAction, Policies};

use super::Accumulated;
use crate::{
    index::{Index, Options},
    objects::{Object, ObjectKey, Update},
    output::{Output, Resource},
};

const SEEDS: u64 = 100;
const BATCHES: usize = 150;
/// Small batches find relations that are missed; large ones, orders that matter.
const MAX_BATCH: usize = 12;
/// How many batches pass between two comparisons.
const INTERVAL: usize = 5;

/// What the choice of objects must have led to at least once, or this would show little.
const MUST_BE_SEEN: [&str; 61] = [
    "Accepted HostConflict",
    "ZtunnelAccepted Accepted",
    "ZtunnelAccepted UnsupportedValue",
    "application tunnel",
    "endpoint of a slice",
    "host network",
    "implicit endpoint",
    "inline endpoint",
    "istio.io/WaypointBound AttachmentDenied",
    "istio.io/WaypointBound CanaryInvalidWeight",
    "istio.io/WaypointBound CanarySameAsPrimary",
    "istio.io/WaypointBound CrossNamespaceWaypointForbidden",
    "istio.io/WaypointBound UnsupportedTrafficType",
    "istio.io/WaypointBound WaypointAccepted",
    "istio.io/WaypointBound WaypointIsNotReady",
    "locality",
    "native tunnel",
    "pod with a waypoint",
    "policy of a peer authentication",
    "policy of the mesh",
    "static strict",
    "unready",
    "waypoint",
    "weighted waypoints",
    "workload of two policies",
    "workload of two services",
    "Accepted Accepted",
    "Accepted NoMatchingParent",
    "ResolvedRefs BackendNotFound",
    "ResolvedRefs RefNotPermitted",
    "WaypointAccepted Accepted",
    "WaypointAccepted UnsupportedValue",
    "client address of a service",
    "consumer routes",
    "limit of a service",
    "PROXY headers",
    "several limits of a Gateway",
    "health check",
    "policy of a subset",
    "route to a subset",
    "route to nothing",
    "routes of TCP",
    "subsets",
    "table of two waypoints",
    "unenforced Gateway",
    "unenforced table",
    "Accepted Conflicted",
    "WaypointAccepted AncestorNotBound",
    "WaypointAccepted Invalid",
    "WaypointAccepted PartiallyInvalid",
    "WaypointAccepted TargetNotFound",
    "policies of a table",
    "policies of a Gateway",
    "tokens of a table",
    "tokens of a Gateway",
    "authorizer of a Service",
    "authorizer of a ServiceEntry",
    "dry run in a waypoint",
    "policy without rules",
    "audit",
    "table closed for an authorizer",
];

#[test]
fn random_changes_end_as_a_fresh_start_does() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let mut index = Index::new(Options::default());
        let mut accumulated = Accumulated::default();
        let mut objects: BTreeMap<ObjectKey, Object> = BTreeMap::new();
        for batch in 1..=BATCHES {
            let updates: Vec<_> = (0..random.below(MAX_BATCH) + 1)
                .map(|_| random.update())
                .collect();
            for update in &updates {
                match update {
                    Update::Put(object) => drop(objects.insert(object.key(), object.clone())),
                    Update::Delete(key) => drop(objects.remove(key)),
                }
            }
            accumulated.take(index.apply(updates));
            if batch % INTERVAL == 0 {
                compare(&objects, &accumulated, &mut random, seed, batch);
                look(&accumulated, &mut seen);
            }
        }
        let again = objects.values().cloned().map(Update::Put).collect();
        assert_eq!(index.apply(again), Output::default(), "seed {seed}");
        let keys = objects.into_keys().map(Update::Delete).collect();
        accumulated.take(index.apply(keys));
        let empty = Accumulated {
            trust_domain: Some("cluster.local".to_owned()),
            ..Accumulated::default()
        };
        assert_eq!(accumulated, empty, "seed {seed}");
        assert!(index.store.is_empty(), "seed {seed}: {:#?}", index.store);
    }
    let missed: Vec<_> = MUST_BE_SEEN
        .iter()
        .filter(|it| !seen.contains(**it))
        .collect();
    assert!(missed.is_empty(), "never seen: {missed:?}; seen: {seen:?}");
}

/// Notes what a state shows.
fn look(accumulated: &Accumulated, seen: &mut BTreeSet<String>) {
    let mut see = |is: bool, what: &str| {
        if is {
            seen.insert(what.to_owned());
        }
    };
    for condition in accumulated.conditions.values().flatten() {
        see(true, &format!("{} {}", condition.kind, condition.reason));
    }
    see(!accumulated.waypoints.is_empty(), "waypoint");
    for ((_, name), resource) in &accumulated.resources {
        match resource {
            Resource::Workload(it) => {
                let policies = &it.authorization_policies;
                see(it.application_tunnel.is_some(), "application tunnel");
                see(it.native_tunnel, "native tunnel");
                see(!it.extensions.is_empty(), "subsets");
                see(it.locality.is_some(), "locality");
                see(it.status != 0, "unready");
                see(it.network_mode != 0, "host network");
                see(it.services.len() > 1, "workload of two services");
                see(policies.len() > 1, "workload of two policies");
                let of_mesh = |it: &String| it.starts_with("istio-system/t");
                see(policies.iter().any(of_mesh), "policy of the mesh");
                let is_pod = name.contains("/Pod/");
                see(is_pod && it.waypoint.is_some(), "pod with a waypoint");
                see(name.contains("/EndpointSlice/"), "endpoint of a slice");
                see(name.contains("/ServiceEntry/"), "inline endpoint");
                see(name.ends_with("x.example.com"), "implicit endpoint");
            }
            Resource::Service(it) => {
                see(!it.weighted_waypoints.is_empty(), "weighted waypoints");
            }
            Resource::RouteTable(it, audience) => {
                see_policies(it.policies.as_ref(), "table", &mut see);
                let mut closing = it.unenforced.iter();
                let is_policy = |it: &String| it.starts_with("AuthorizationPolicy");
                see(
                    it.policies.is_none() && closing.any(is_policy),
                    "table closed for an authorizer",
                );
                see(audience.len() > 1, "table of two waypoints");
                see(!it.unenforced.is_empty(), "unenforced table");
                see(!it.consumers.is_empty(), "consumer routes");
                see(it.client_address.is_some(), "client address of a service");
                let limits = it.policies.as_ref().map(|it| &it.rate_limits);
                see(
                    limits.is_some_and(|it| !it.is_empty()),
                    "limit of a service",
                );
                see(!it.tcp.is_empty(), "routes of TCP");
                let debug = format!("{it:?}");
                see(debug.contains("subset: \"v1\""), "route to a subset");
                see(debug.contains("Missing"), "route to nothing");
            }
            Resource::BackendPolicy(it) => {
                see(!it.subset.is_empty(), "policy of a subset");
                see(
                    it.policy
                        .as_ref()
                        .is_some_and(|it| it.health_check.is_some()),
                    "health check",
                );
            }
            Resource::Settings(it, _) => {
                see_policies(it.policies.as_ref(), "Gateway", &mut see);
                see(!it.unenforced.is_empty(), "unenforced Gateway");
                let address = it.client_address.as_ref();
                see(address.is_some_and(|it| it.proxy_protocol), "PROXY headers");
                let limits = it.policies.iter().flat_map(|it| &it.rate_limits);
                see(limits.count() > 1, "several limits of a Gateway");
            }
            Resource::Authorization(it) => {
                see(
                    it.name.starts_with("converted"),
                    "policy of a peer authentication",
                );
                see(it.name.starts_with("istio_converted"), "static strict");
            }
        }
    }
}

/// Notes what the policies of something show.
fn see_policies(policies: Option<&Policies>, of: &str, see: &mut impl FnMut(bool, &str)) {
    let Some(policies) = policies else {
        return;
    };
    let tokens = !policies.authentication.is_empty();
    see(tokens, &format!("tokens of a {of}"));
    for policy in &policies.authorization {
        see(true, &format!("policies of a {of}"));
        see(policy.dry_run, "dry run in a waypoint");
        see(policy.rules.is_empty(), "policy without rules");
        see(policy.action() == AuthorizationAction::Audit, "audit");
        let external = policy.external.as_ref().and_then(|it| it.backend.as_ref());
        let kind = external.map(|it| it.service.ends_with(".svc.cluster.local"));
        see(kind == Some(true), "authorizer of a Service");
        see(kind == Some(false), "authorizer of a ServiceEntry");
    }
}

fn compare(
    objects: &BTreeMap<ObjectKey, Object>,
    accumulated: &Accumulated,
    random: &mut Random,
    seed: u64,
    batch: usize,
) {
    let mut updates: Vec<_> = objects.values().cloned().map(Update::Put).collect();
    random.shuffle(&mut updates);
    let mut fresh = Accumulated::default();
    fresh.take(Index::new(Options::default()).apply(updates));
    for (name, resource) in &fresh.resources {
        let found = accumulated.resources.get(name);
        assert_eq!(found, Some(resource), "seed {seed}, batch {batch}");
    }
    for (key, conditions) in &fresh.conditions {
        let found = accumulated.conditions.get(key);
        assert_eq!(found, Some(conditions), "{key}, seed {seed}, batch {batch}");
    }
    assert_eq!(*accumulated, fresh, "seed {seed}, batch {batch}");
}
