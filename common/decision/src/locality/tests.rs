//! Where endpoints stand.

use mesh::{
    backend::{Distribute, HealthCheck, OutlierDetection, PriorityLabel, Probe},
    service::HealthPolicy,
};

use super::*;

fn locality(text: &str) -> Locality {
    let mut parts = text.split('/').map(Into::into);
    Locality {
        region: parts.next().unwrap_or_default(),
        zone: parts.next().unwrap_or_default(),
        subzone: parts.next().unwrap_or_default(),
    }
}

fn at(text: &str) -> Workload {
    Workload {
        locality: locality(text),
        ..Workload::default()
    }
}

fn pattern(text: &str) -> LocalityPattern {
    let mut parts = text.split('/');
    let mut part = || parts.next().filter(|part| *part != "*").map(Into::into);
    LocalityPattern {
        region: part(),
        zone: part(),
        subzone: part(),
    }
}

/// A policy that notices.
fn policy(locality: LocalityPolicy) -> TrafficPolicy {
    TrafficPolicy {
        outlier: Some(OutlierDetection::default()),
        locality: Some(locality),
        ..TrafficPolicy::default()
    }
}

fn priorities(layout: &Layout) -> Vec<Option<usize>> {
    let priority = |place: &Option<Place>| place.map(|place| place.priority);
    layout.places.iter().map(priority).collect()
}

/// The priorities of endpoints as a proxy in `eu/a/1` sees them; -1 is never.
fn seen(policy: &TrafficPolicy, service: &LoadBalancing, endpoints: &[&str]) -> Vec<Option<usize>> {
    let endpoints: Vec<Workload> = endpoints.iter().map(|text| at(text)).collect();
    let endpoints: Vec<&Workload> = endpoints.iter().collect();
    priorities(&arrange(policy, service, &at("eu/a/1"), &endpoints))
}

const SIX: [&str; 6] = ["us/a/1", "eu/b/1", "eu/a/1", "asia/c/3", "eu/a/2", ""];

#[test]
fn without_a_policy_and_a_preference_all_are_alike() {
    let none = LoadBalancing::default();
    let seen = seen(&TrafficPolicy::default(), &none, &SIX);
    assert_eq!(seen, [Some(0); 6]);
}

#[test]
fn failover_goes_by_subzone_zone_region_and_the_rest() {
    let service = LoadBalancing::default();
    let policy = policy(LocalityPolicy::default());
    let near_first = seen(&policy, &service, &SIX);
    assert_eq!(near_first, [3, 2, 0, 3, 1, 3].map(Some));
    // What nobody has leaves no gap.
    let gaps = seen(&policy, &service, &["us/a/1", "eu/b/1", "us/b/1"]);
    assert_eq!(gaps, [1, 0, 1].map(Some));
}

#[test]
fn a_named_region_comes_before_the_other_ones() {
    let failover = |from: &str, to: &str| Failover {
        from: from.into(),
        to: to.into(),
    };
    let policy = policy(LocalityPolicy {
        failover: vec![failover("us", "eu"), failover("eu", "asia")],
        ..LocalityPolicy::default()
    });
    let seen = seen(&policy, &LoadBalancing::default(), &SIX);
    assert_eq!(seen, [4, 2, 0, 3, 1, 4].map(Some));
}

#[test]
fn failover_needs_something_that_notices() {
    let mut policy = policy(LocalityPolicy::default());
    policy.outlier = None;
    let none = LoadBalancing::default();
    assert_eq!(seen(&policy, &none, &SIX), [Some(0); 6]);
    policy.health_check = Some(HealthCheck {
        probe: Probe::Tcp,
        port: None,
        interval: std::time::Duration::from_secs(1),
        timeout: std::time::Duration::from_secs(1),
        unhealthy_threshold: std::num::NonZeroU32::MIN,
        healthy_threshold: std::num::NonZeroU32::MIN,
    });
    assert_eq!(seen(&policy, &none, &SIX)[2], Some(0));
    assert_eq!(seen(&policy, &none, &SIX)[0], Some(3));
}

#[test]
fn keys_of_priority_count_up_to_the_first_that_is_missing() {
    let key = |label: &str, value: Option<&str>| PriorityKey {
        label: PriorityLabel::named(label),
        value: value.map(Into::into),
    };
    let policy = policy(LocalityPolicy {
        failover_priority: vec![
            key("topology.istio.io/network", None),
            key("topology.kubernetes.io/region", Some("us")),
            key("topology.kubernetes.io/zone", None),
        ],
        ..LocalityPolicy::default()
    });
    let all = ["us/a/1", "us/b/1", "eu/a/1"];
    let seen = seen(&policy, &LoadBalancing::default(), &all);
    assert_eq!(seen, [0, 1, 2].map(Some));
    let mut far = at("us/a/1");
    far.network = "other".into();
    let near = at("eu/a/1");
    let layout = arrange(
        &policy,
        &LoadBalancing::default(),
        &at("eu/a/1"),
        &[&far, &near],
    );
    assert_eq!(priorities(&layout), [Some(1), Some(0)]);
}

fn preference(mode: LoadBalancingMode) -> LoadBalancing {
    LoadBalancing {
        routing_preference: vec![Scope::Region, Scope::Zone],
        mode,
        health_policy: HealthPolicy::OnlyHealthy,
    }
}

#[test]
fn a_service_prefers_what_shares_its_scopes() {
    let none = TrafficPolicy::default();
    let failover = seen(&none, &preference(LoadBalancingMode::Failover), &SIX);
    // `us/a` shares a zone's name, but not the region before it.
    assert_eq!(failover, [2, 1, 0, 2, 0, 2].map(Some));
    let strict = seen(&none, &preference(LoadBalancingMode::Strict), &SIX);
    assert_eq!(strict, [None, None, Some(0), None, Some(0), None]);
    let other = seen(&none, &preference(LoadBalancingMode::Passthrough), &SIX);
    assert_eq!(other, [Some(0); 6]);
}

#[test]
fn a_policy_takes_the_place_of_a_services_preference() {
    let policy = policy(LocalityPolicy::default());
    let seen = seen(&policy, &preference(LoadBalancingMode::Strict), &SIX);
    assert_eq!(seen, [3, 2, 0, 3, 1, 3].map(Some));
}

fn distribution(of: &[(&str, &[(&str, u32)])]) -> TrafficPolicy {
    let share = |(from, to): &(&str, &[(&str, u32)])| Distribute {
        from: pattern(from),
        to: to.iter().map(|(to, share)| (pattern(to), *share)).collect(),
    };
    policy(LocalityPolicy {
        distribute: of.iter().map(share).collect(),
        ..LocalityPolicy::default()
    })
}

fn shared(policy: &TrafficPolicy, endpoints: &[&Workload]) -> Vec<Option<u32>> {
    let layout = arrange(policy, &LoadBalancing::default(), &at("eu/a/1"), endpoints);
    let share = |place: &Option<Place>| {
        let place = place.as_ref()?;
        assert_eq!(place.priority, 0);
        layout.locality_shares.get(place.locality).copied()
    };
    layout.places.iter().map(share).collect()
}

#[test]
fn shares_go_by_the_first_pattern_of_the_proxys_own_locality() {
    let policy = distribution(&[
        ("us", &[("us", 100)]),
        ("eu/a", &[("eu/a", 70), ("eu/b", 30)]),
        ("eu", &[("asia", 100)]),
    ]);
    let (one, two, three) = (at("eu/a/1"), at("eu/b/1"), at("us/a/1"));
    let shares = shared(&policy, &[&one, &two, &two, &three]);
    assert_eq!(shares, [Some(70), Some(30), Some(30), None]);
}

#[test]
fn a_share_is_divided_among_localities_by_the_weight_of_their_endpoints() {
    let policy = distribution(&[("*", &[("eu/a", 70), ("*", 30)])]);
    let mut heavy = at("us/a/1");
    heavy.capacity = 3;
    let (near, far) = (at("eu/a/1"), at("us/b/1"));
    // 30 * 3 / 4 and 30 * 1 / 4, rounded up.
    let shares = shared(&policy, &[&near, &heavy, &far]);
    assert_eq!(shares, [Some(70), Some(23), Some(8)]);
}

#[test]
fn shares_of_other_localities_play_no_part() {
    let policy = distribution(&[("us", &[("us", 100)])]);
    let seen = seen(&policy, &LoadBalancing::default(), &SIX);
    assert_eq!(seen, [Some(0); 6]);
}
