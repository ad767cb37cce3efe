//! Tests of backend policies: which one counts for a port, and their defaults.

use super::*;
use crate::{
    service::Scope,
    workload::{Locality, Workload},
};

fn at(region: &str, zone: &str, subzone: &str) -> Locality {
    Locality {
        region: region.into(),
        zone: zone.into(),
        subzone: subzone.into(),
    }
}

#[test]
fn a_key_is_written_with_its_subset_if_it_has_one() {
    let service = ServiceKey::new("shop", "cart.shop.svc.cluster.local");
    let all = BackendKey::new(service.clone(), "");
    assert_eq!(all.to_string(), "shop/cart.shop.svc.cluster.local");
    let canary = BackendKey::new(service, "canary");
    assert_eq!(
        canary.to_string(),
        "shop/cart.shop.svc.cluster.local/canary"
    );
}

#[test]
fn the_policy_of_a_port_takes_the_place_of_the_general_one() {
    let limited = Arc::new(TrafficPolicy {
        pool: ConnectionPool {
            max_requests: Some(1),
            ..ConnectionPool::default()
        },
        ..TrafficPolicy::default()
    });
    let policy = BackendPolicy {
        key: BackendKey::new(ServiceKey::new("shop", "cart"), ""),
        policy: Arc::default(),
        ports: BTreeMap::from([(80, Arc::clone(&limited))]),
    };
    assert!(Arc::ptr_eq(policy.of_port(80), &limited));
    assert!(Arc::ptr_eq(policy.of_port(81), &policy.policy));
}

#[test]
fn a_pattern_matches_what_it_does_not_name() {
    let zone = LocalityPattern {
        region: Some("eu".into()),
        zone: Some("a".into()),
        subzone: None,
    };
    assert!(zone.matches(&at("eu", "a", "1")));
    assert!(zone.matches(&at("eu", "a", "")));
    assert!(!zone.matches(&at("eu", "b", "1")));
    assert!(!zone.matches(&at("us", "a", "1")));
    assert!(LocalityPattern::default().matches(&at("", "", "")));
}

#[test]
fn a_priority_key_compares_with_the_proxy_or_with_a_value() {
    let own = Workload {
        locality: at("eu", "a", ""),
        ..Workload::default()
    };
    let other = Workload {
        locality: at("eu", "b", ""),
        ..Workload::default()
    };
    let key = |label: &str, value: Option<&str>| PriorityKey {
        label: PriorityLabel::named(label),
        value: value.map(Name::from),
    };
    assert!(key("topology.kubernetes.io/region", None).matches(&own, &other));
    assert!(!key("topology.kubernetes.io/zone", None).matches(&own, &other));
    assert!(key("topology.kubernetes.io/zone", Some("b")).matches(&own, &other));
    assert!(!key("topology.kubernetes.io/zone", Some("a")).matches(&own, &other));
    assert_eq!(
        PriorityLabel::named("kubernetes.io/hostname"),
        PriorityLabel::Topology(Scope::Node)
    );
    assert!(key("version", Some("v2")).matches(&own, &other));
}

#[test]
fn a_probe_without_statuses_expects_200() {
    let probe = |expected: Vec<StatusRange>| Probe::Http {
        path: "/".into(),
        host: Name::default(),
        expected,
    };
    assert!(probe(Vec::new()).expects(200));
    assert!(!probe(Vec::new()).expects(204));
    let ranges = vec![
        StatusRange {
            first: 200,
            last: 299,
        },
        StatusRange {
            first: 401,
            last: 401,
        },
    ];
    let read: Vec<u16> = (100..600)
        .filter(|status| probe(ranges.clone()).expects(*status))
        .collect();
    let expected: Vec<u16> = (200..=299).chain([401]).collect();
    assert_eq!(read, expected);
}
