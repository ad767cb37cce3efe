//! Who comes before whom, against a ranking that looks at every endpoint.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*, sample::select};

use super::{Arc, Endpoints, HealthPolicy, POLICIES, Workload, random, weight};
use crate::{
    Uid,
    endpoints::Preference,
    service::{LoadBalancing, LoadBalancingMode, Scope},
    workload::{Health, Locality},
};

const SCOPES: [Scope; 6] = [
    Scope::Region,
    Scope::Zone,
    Scope::Subzone,
    Scope::Node,
    Scope::Cluster,
    Scope::Network,
];

fn prefer(mode: LoadBalancingMode, scopes: &[Scope]) -> LoadBalancing {
    LoadBalancing {
        routing_preference: scopes.to_vec(),
        mode,
        ..LoadBalancing::default()
    }
}

fn has(scope: Scope, one: &Workload, other: &Workload) -> bool {
    match scope {
        Scope::Region => one.locality.region == other.locality.region,
        Scope::Zone => one.locality.zone == other.locality.zone,
        Scope::Subzone => one.locality.subzone == other.locality.subzone,
        Scope::Node => one.node == other.node,
        Scope::Cluster => one.cluster == other.cluster,
        Scope::Network => one.network == other.network,
    }
}

/// How many leading scopes two workloads share.
fn shared(scopes: &[Scope], one: &Workload, other: &Workload) -> usize {
    scopes
        .iter()
        .take_while(|scope| has(**scope, one, other))
        .count()
}

/// The ranks of the whole list, best first, each with those before it.
fn expected(
    load_balancing: &LoadBalancing,
    model: &BTreeMap<Uid, Arc<Workload>>,
    client: &Workload,
) -> Vec<BTreeSet<Uid>> {
    let scopes: &[Scope] = match load_balancing.mode {
        LoadBalancingMode::Unspecified | LoadBalancingMode::Passthrough => &[],
        LoadBalancingMode::Strict | LoadBalancingMode::Failover => {
            &load_balancing.routing_preference
        }
    };
    let at_least = |count: usize| -> BTreeSet<Uid> {
        let found = model
            .values()
            .filter(|workload| shared(scopes, client, workload) >= count);
        found.map(|workload| workload.uid.clone()).collect()
    };
    let lowest = if load_balancing.mode == LoadBalancingMode::Strict {
        scopes.len()
    } else {
        0
    };
    let mut ranks: Vec<_> = (lowest..=scopes.len())
        .rev()
        .map(at_least)
        .filter(|rank| !rank.is_empty())
        .collect();
    // Where two of them hold the same, one is enough.
    ranks.dedup();
    ranks
}

fn name() -> impl Strategy<Value = &'static str> {
    select(&["", "a", "b"][..])
}

prop_compose! {
    fn placed()(
        number in 0..40_usize,
        region in name(), zone in name(), subzone in name(), node in name(), cluster in name(), network in name(),
        healthy in any::<bool>(),
        capacity in 0..3_u32,
    ) -> Workload {
        Workload {
            uid: format!("w{number}").into(),
            locality: Locality { region: region.into(), zone: zone.into(), subzone: subzone.into() },
            node: node.into(),
            cluster: cluster.into(),
            network: network.into(),
            health: if healthy { Health::Healthy } else { Health::Unhealthy },
            capacity,
            ..Workload::default()
        }
    }
}

fn balancing() -> impl Strategy<Value = LoadBalancing> {
    let mode = select(
        &[
            LoadBalancingMode::Unspecified,
            LoadBalancingMode::Strict,
            LoadBalancingMode::Failover,
            LoadBalancingMode::Passthrough,
        ][..],
    );
    // Now and then a scope is listed twice.
    (mode, vec(select(&SCOPES[..]), 0..8)).prop_map(|(mode, scopes)| prefer(mode, &scopes))
}

#[derive(Clone, Debug)]
enum Step {
    Upsert(Arc<Workload>),
    Remove(usize),
    Prefer(LoadBalancing),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => placed().prop_map(|workload| Step::Upsert(Arc::new(workload))),
        4 => (0..40_usize).prop_map(Step::Remove),
        1 => balancing().prop_map(Step::Prefer),
    ]
}

fn agree(
    endpoints: &Endpoints,
    load_balancing: &LoadBalancing,
    model: &BTreeMap<Uid, Arc<Workload>>,
    client: &Workload,
    seed: &mut u64,
) -> Result<(), TestCaseError> {
    let wanted = expected(load_balancing, model, client);
    let ranks: Vec<_> = endpoints.ranks(client, load_balancing.mode).collect();
    let mut found: Vec<BTreeSet<Uid>> = ranks
        .iter()
        .map(|rank| rank.iter().map(|workload| workload.uid.clone()).collect())
        .filter(|rank: &BTreeSet<Uid>| !rank.is_empty())
        .collect();
    found.dedup();
    prop_assert_eq!(&found, &wanted);
    for policy in POLICIES {
        for rank in &ranks {
            let sum: u64 = rank.iter().map(|workload| weight(workload, policy)).sum();
            prop_assert_eq!(rank.weight(policy), sum);
        }
        let is_eligible = |uid: &&Uid| weight(&model[*uid], policy) > 0;
        let best: Option<BTreeSet<&Uid>> = wanted
            .iter()
            .map(|rank| rank.iter().filter(is_eligible).collect())
            .find(|rank: &BTreeSet<_>| !rank.is_empty());
        for _ in 0..4 {
            let random = random(seed);
            let drawn = ranks.iter().find_map(|rank| rank.draw(policy, random));
            match (&best, drawn) {
                (None, None) => {}
                (Some(best), Some(drawn)) => prop_assert!(best.contains(&drawn.uid)),
                (best, drawn) => prop_assert!(false, "{:?} of {:?}", drawn, best),
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn ranks_are_those_of_a_search_through_everything(
        steps in vec(step(), 0..120),
        clients in vec(placed(), 1..4),
        first in balancing(),
        fork_at in 0..120_usize,
    ) {
        let mut load_balancing = first;
        let mut endpoints = Endpoints::new(Preference::from(&load_balancing));
        let mut model = BTreeMap::new();
        let mut seed = 1;
        let mut fork = None;
        for (index, step) in steps.into_iter().enumerate() {
            if index == fork_at {
                fork = Some((endpoints.clone(), load_balancing.clone(), model.clone()));
            }
            match step {
                Step::Upsert(workload) => {
                    match model.insert(workload.uid.clone(), Arc::clone(&workload)) {
                        Some(old) => endpoints.replace(&old, workload),
                        None => endpoints.insert(workload),
                    }
                }
                Step::Remove(number) => {
                    if let Some(old) = model.remove(format!("w{number}").as_str()) {
                        endpoints.remove(&old);
                    }
                }
                Step::Prefer(next) => {
                    endpoints.arrange(Preference::from(&next));
                    load_balancing = next;
                }
            }
            prop_assert_eq!(endpoints.len(), model.len());
            for client in &clients {
                agree(&endpoints, &load_balancing, &model, client, &mut seed)?;
            }
        }
        if let Some((endpoints, load_balancing, model)) = fork {
            for client in &clients {
                agree(&endpoints, &load_balancing, &model, client, &mut seed)?;
            }
        }
        for old in model.into_values() {
            endpoints.remove(&old);
        }
        prop_assert!(endpoints.is_empty() && endpoints.iter().next().is_none());
        prop_assert_eq!(endpoints.weight(HealthPolicy::AllowAll), 0);
        // No group of those that were is kept.
        prop_assert!(endpoints.root.is_empty());
    }
}

/// An endpoint of capacity 1 at `region/zone`.
fn at(name: &str, place: &str) -> Workload {
    let (region, zone) = place.split_once('/').unwrap();
    Workload {
        uid: name.into(),
        locality: Locality {
            region: region.into(),
            zone: zone.into(),
            subzone: "".into(),
        },
        ..Workload::default()
    }
}

fn zones(mode: LoadBalancingMode, endpoints: &[Workload]) -> Endpoints {
    let preference = Preference::from(&prefer(mode, &[Scope::Region, Scope::Zone]));
    let mut all = Endpoints::new(preference);
    for workload in endpoints {
        all.insert(Arc::new(workload.clone()));
    }
    all
}

/// The names of each rank, best first.
fn names(endpoints: &Endpoints, client: &str, mode: LoadBalancingMode) -> Vec<Vec<String>> {
    let ranks = endpoints.ranks(&at("client", client), mode);
    ranks
        .map(|rank| {
            let mut names: Vec<_> = rank.iter().map(|it| it.uid.to_string()).collect();
            names.sort();
            names
        })
        .collect()
}

#[test]
fn only_leading_scopes_count() {
    let endpoints = [
        at("near", "eu/a"),
        at("same name", "us/a"),
        at("far", "us/b"),
    ];
    let mode = LoadBalancingMode::Failover;
    // A zone of another region is another zone, also where both have the same name.
    assert_eq!(
        names(&zones(mode, &endpoints), "eu/b", mode),
        [
            vec!["near".to_owned()],
            vec!["far".to_owned(), "near".to_owned(), "same name".to_owned()]
        ]
    );
}

#[test]
fn a_strict_service_has_one_rank_or_none() {
    let mode = LoadBalancingMode::Strict;
    let endpoints = zones(mode, &[at("near", "eu/a"), at("far", "eu/b")]);
    assert_eq!(names(&endpoints, "eu/a", mode), [["near"]]);
    assert!(names(&endpoints, "eu/c", mode).is_empty());
    assert!(names(&endpoints, "us/a", mode).is_empty());
}

#[test]
fn what_is_unknown_on_both_sides_is_shared() {
    let mode = LoadBalancingMode::Strict;
    let endpoints = zones(mode, &[at("nowhere", "/"), at("somewhere", "eu/a")]);
    assert_eq!(names(&endpoints, "/", mode), [["nowhere"]]);
}

#[test]
fn an_endpoint_that_moves_is_found_where_it_is() {
    let mode = LoadBalancingMode::Strict;
    let mut endpoints = zones(mode, &[at("one", "eu/a"), at("two", "eu/a")]);
    endpoints.replace(&at("one", "eu/a"), Arc::new(at("one", "us/a")));
    assert_eq!(names(&endpoints, "eu/a", mode), [["two"]]);
    assert_eq!(names(&endpoints, "us/a", mode), [["one"]]);
}

#[test]
fn draws_follow_the_capacities_within_a_rank() {
    let mut endpoints = zones(LoadBalancingMode::Failover, &[]);
    // 1 to 3 in the zone, and a larger one outside of it.
    for (name, place, capacity) in [
        ("one", "eu/a", 1),
        ("three", "eu/a", 3),
        ("ten", "eu/b", 10),
    ] {
        endpoints.insert(Arc::new(Workload {
            capacity,
            ..at(name, place)
        }));
    }
    const DRAWS: u32 = 100_000;
    let draw = |client: &str| {
        let client = at("client", client);
        let mut seed = 3;
        let mut drawn = BTreeMap::<String, u32>::new();
        for _ in 0..DRAWS {
            let random = random(&mut seed);
            let workload = endpoints
                .ranks(&client, LoadBalancingMode::Failover)
                .find_map(|rank| rank.draw(HealthPolicy::OnlyHealthy, random));
            *drawn.entry(workload.unwrap().uid.to_string()).or_default() += 1;
        }
        drawn
    };
    let near = draw("eu/a");
    assert_eq!(near.keys().collect::<Vec<_>>(), ["one", "three"]);
    // Five standard deviations of 25,000 and, below, of a fourteenth; the seed is fixed.
    assert!(near["one"].abs_diff(DRAWS / 4) < 685, "{near:?}");
    let region = draw("eu/c");
    assert_eq!(region.keys().collect::<Vec<_>>(), ["one", "ten", "three"]);
    assert!(region["one"].abs_diff(DRAWS / 14) < 408, "{region:?}");
}
