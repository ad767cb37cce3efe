//! Who is drawn, and how often.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, prelude::*};

use super::{Endpoints, scale, weight};
use crate::{
    service::HealthPolicy,
    workload::{Health, Workload},
};

mod ranks;

const POLICIES: [HealthPolicy; 2] = [HealthPolicy::OnlyHealthy, HealthPolicy::AllowAll];

fn workload(number: usize, capacity: u32, health: Health) -> Arc<Workload> {
    Arc::new(Workload {
        uid: format!("w{number}").into(),
        capacity,
        health,
        ..Workload::default()
    })
}

/// A seeded source (splitmix64), so that what fails once fails always.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

proptest! {
    #[test]
    fn endpoints_behave_as_a_map_by_name(
        steps in vec((0..80_usize, any::<Option<(u8, bool)>>()), 0..400),
        fork_at in 0..400_usize,
    ) {
        let mut endpoints = Endpoints::default();
        let mut model = BTreeMap::new();
        let mut fork = None;
        for (index, (number, change)) in steps.into_iter().enumerate() {
            if index == fork_at {
                fork = Some((endpoints.clone(), model.clone()));
            }
            let name = workload(number, 0, Health::Healthy).uid.clone();
            match change {
                Some((capacity, healthy)) => {
                    let health = if healthy { Health::Healthy } else { Health::Unhealthy };
                    let workload = workload(number, u32::from(capacity), health);
                    match model.insert(name, Arc::clone(&workload)) {
                        Some(old) => endpoints.replace(&old, workload),
                        None => endpoints.insert(workload),
                    }
                }
                None => {
                    // One that is not there is no mistake.
                    let old = model.remove(&name).unwrap_or_else(|| workload(number, 0, Health::Healthy));
                    endpoints.remove(&old);
                }
            }
            agree(&endpoints, &model)?;
        }
        if let Some((endpoints, model)) = fork {
            agree(&endpoints, &model)?;
        }
    }
}

fn agree(
    endpoints: &Endpoints,
    model: &BTreeMap<crate::Uid, Arc<Workload>>,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(endpoints.len(), model.len());
    let listed: BTreeMap<_, _> = endpoints
        .iter()
        .map(|workload| (workload.uid.clone(), Arc::clone(workload)))
        .collect();
    prop_assert_eq!(&listed, model);
    for policy in POLICIES {
        let expected: u64 = model
            .values()
            .map(|workload| weight(workload, policy))
            .sum();
        prop_assert_eq!(endpoints.weight(policy), expected);
    }
    Ok(())
}

#[test]
fn every_unit_of_weight_belongs_to_the_workload_that_brought_it() {
    // Sizes around the widths of the tree's levels, so that each of its heights is walked.
    for count in [0, 1, 2, 31, 32, 33, 1023, 1024, 1025, 1100] {
        let mut endpoints = Endpoints::default();
        let mut expected = Vec::new();
        for number in 0..count {
            let capacity = u32::try_from(number % 4).unwrap();
            let health = if number % 5 == 0 {
                Health::Unhealthy
            } else {
                Health::Healthy
            };
            let workload = workload(number, capacity, health);
            if health == Health::Healthy {
                expected.extend((0..capacity).map(|_| workload.uid.clone()));
            }
            endpoints.insert(workload);
        }
        let found: Vec<_> = (0_u64..)
            .map_while(|point| endpoints.root.at(HealthPolicy::OnlyHealthy, point))
            .map(|workload| workload.uid.clone())
            .collect();
        assert_eq!(found, expected, "of {count} endpoints");
    }
}

#[test]
fn draws_follow_the_capacities() {
    let capacities = [1, 0, 3, 10, 6];
    let mut endpoints = Endpoints::default();
    for (number, capacity) in capacities.into_iter().enumerate() {
        endpoints.insert(workload(number, capacity, Health::Healthy));
    }
    endpoints.insert(workload(99, 1000, Health::Unhealthy));
    let mut seed = 1;
    let mut drawn = BTreeMap::<String, u32>::new();
    const DRAWS: u32 = 200_000;
    for _ in 0..DRAWS {
        let workload = endpoints
            .draw(HealthPolicy::OnlyHealthy, random(&mut seed))
            .unwrap();
        *drawn.entry(workload.uid.to_string()).or_default() += 1;
    }
    for (number, capacity) in capacities.into_iter().enumerate() {
        let count = f64::from(drawn.remove(&format!("w{number}")).unwrap_or(0));
        let probability = f64::from(capacity) / 20.0;
        let expected = probability * f64::from(DRAWS);
        // Five standard deviations; the seed is fixed, so this cannot flicker.
        let tolerance = 5.0 * (expected * (1.0 - probability)).sqrt();
        assert!(
            (count - expected).abs() <= tolerance,
            "w{number}: {count} draws, expected {expected}±{tolerance}"
        );
    }
    assert!(
        drawn.is_empty(),
        "something that is not eligible was drawn: {drawn:?}"
    );
}

#[test]
fn nothing_is_drawn_where_nothing_weighs() {
    let mut endpoints = Endpoints::default();
    assert_eq!(endpoints.draw(HealthPolicy::AllowAll, u64::MAX), None);
    endpoints.insert(workload(1, 0, Health::Healthy));
    endpoints.insert(workload(2, 7, Health::Unhealthy));
    assert_eq!(endpoints.draw(HealthPolicy::OnlyHealthy, 0), None);
    assert_eq!(
        endpoints
            .draw(HealthPolicy::AllowAll, u64::MAX)
            .unwrap()
            .uid
            .as_str(),
        "w2"
    );
}

#[test]
fn the_largest_capacities_do_not_overflow() {
    let mut endpoints = Endpoints::default();
    for number in 0..100 {
        endpoints.insert(workload(number, u32::MAX, Health::Healthy));
    }
    assert_eq!(
        endpoints.weight(HealthPolicy::OnlyHealthy),
        100 * u64::from(u32::MAX)
    );
    assert_eq!(
        endpoints
            .draw(HealthPolicy::OnlyHealthy, 0)
            .unwrap()
            .uid
            .as_str(),
        "w0"
    );
    assert_eq!(
        endpoints
            .draw(HealthPolicy::OnlyHealthy, u64::MAX)
            .unwrap()
            .uid
            .as_str(),
        "w99"
    );
}

#[test]
fn a_scaled_number_stays_below_the_total() {
    assert_eq!(scale(0, 0), None);
    assert_eq!(scale(u64::MAX, 1), Some(0));
    assert_eq!(scale(u64::MAX, u64::MAX), Some(u64::MAX - 1));
    assert_eq!(scale(1 << 63, 10), Some(5));
}
