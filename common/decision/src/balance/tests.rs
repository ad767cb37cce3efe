//! Which endpoint is chosen, with random numbers that are always the same.

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use mesh::backend::{ConsistentHash, HashKey, OutlierDetection, Warmup};

use super::*;
use crate::hash;

mod locality;

/// SplitMix64: numbers that look random and are the same in every run.
fn seeded(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Requests and warmth by endpoint; what is not said is 0 and 1.
#[derive(Default)]
struct Seen {
    active: RefCell<BTreeMap<usize, u64>>,
    warmth: BTreeMap<usize, f64>,
}

impl View for Seen {
    fn active(&self, host: usize) -> u64 {
        self.active.borrow().get(&host).copied().unwrap_or(0)
    }

    fn warmth(&self, host: usize) -> f64 {
        self.warmth.get(&host).copied().unwrap_or(1.0)
    }
}

/// Endpoints `10.0.0.<index>:80` of these weights and priorities.
fn hosts(of: &[(u32, usize)]) -> Arc<[Host]> {
    let host = |(index, (weight, priority)): (usize, &(u32, usize))| Host {
        key: format!("10.0.0.{index}:80").into(),
        weight: *weight,
        place: Some(Place {
            priority: *priority,
            locality: 0,
        }),
    };
    of.iter().enumerate().map(host).collect()
}

fn simple(simple: Simple) -> Policy {
    Policy {
        load_balancer: LoadBalancer {
            simple,
            ..LoadBalancer::default()
        },
        ..Policy::default()
    }
}

fn by_hash(table: HashTable) -> Policy {
    Policy {
        load_balancer: LoadBalancer {
            hash: Some(ConsistentHash {
                key: HashKey::SourceIp,
                table,
            }),
            ..LoadBalancer::default()
        },
        ..Policy::default()
    }
}

const TABLES: [HashTable; 2] = [
    HashTable::Ring { minimum_size: 1024 },
    HashTable::Maglev { table_size: 65_537 },
];

fn balancer(hosts: &Arc<[Host]>, policy: Policy) -> Balancer {
    Balancer::new(Arc::clone(hosts), Arc::new(policy), |_| true, 0)
}

/// How often each endpoint is chosen in 10,000 requests that end at once.
fn spread(balancer: &Balancer, view: &Seen, ask: &Ask<'_>) -> Vec<u32> {
    let mut random = seeded(42);
    let mut chosen = vec![0; balancer.hosts().len()];
    for _ in 0..10_000 {
        if let Some(host) = balancer.pick(view, ask, &mut random) {
            chosen[host] += 1;
        }
    }
    chosen
}

/// Within 2 per cent of all requests.
fn assert_about(chosen: &[u32], expected: &[u32]) {
    let about = |(chosen, expected): (&u32, &u32)| chosen.abs_diff(*expected) <= 200;
    let all = chosen.iter().zip(expected).all(about);
    assert!(
        all && chosen.len() == expected.len(),
        "{chosen:?}, expected {expected:?}"
    );
}

#[test]
fn every_algorithm_chooses_by_weight() {
    let hosts = hosts(&[(1, 0), (2, 0), (5, 0), (0, 0)]);
    for algorithm in [Simple::LeastRequest, Simple::RoundRobin, Simple::Random] {
        let balancer = balancer(&hosts, simple(algorithm));
        let chosen = spread(&balancer, &Seen::default(), &Ask::default());
        assert_about(&chosen, &[1250, 2500, 6250, 0]);
    }
    for table in TABLES {
        let balancer = balancer(&hosts, by_hash(table));
        let chosen = spread(&balancer, &Seen::default(), &Ask::default());
        // A ring of 1024 places is not as even as its weights.
        let about = |(chosen, expected): (&u32, u32)| chosen.abs_diff(expected) < 600;
        assert!(
            chosen.iter().zip([1250, 2500, 6250, 0]).all(about),
            "{chosen:?}"
        );
    }
}

#[test]
fn an_endpoint_without_a_place_is_never_chosen() {
    let mut of: Vec<Host> = hosts(&[(1, 0), (1, 0)]).to_vec();
    of[0].place = None;
    let balancer = balancer(&of.into(), simple(Simple::LeastRequest));
    assert_eq!(
        spread(&balancer, &Seen::default(), &Ask::default()),
        [0, 10_000]
    );
}

#[test]
fn turns_are_taken_one_after_the_other_from_a_random_start() {
    let hosts = hosts(&[(1, 0), (1, 0), (1, 0)]);
    let policy = Arc::new(simple(Simple::RoundRobin));
    let balancer = Balancer::new(hosts, policy, |_| true, 7);
    let mut random = seeded(1);
    let mut pick = || balancer.pick(&Seen::default(), &Ask::default(), &mut random);
    let chosen: Vec<_> = (0..4).map(|_| pick().unwrap()).collect();
    assert_eq!(chosen, [1, 2, 0, 1]);
}

#[test]
fn of_two_that_are_drawn_the_one_with_fewer_requests_is_taken() {
    let hosts = hosts(&[(1, 0), (1, 0)]);
    let balancer = balancer(&hosts, simple(Simple::LeastRequest));
    let view = Seen::default();
    view.active.borrow_mut().insert(0, 5);
    // Only where both draws meet it: one in four.
    assert_about(&spread(&balancer, &view, &Ask::default()), &[2500, 7500]);
}

#[test]
fn requests_that_last_end_up_in_proportion_to_the_weights() {
    let hosts = hosts(&[(1, 0), (3, 0), (6, 0)]);
    let balancer = balancer(&hosts, simple(Simple::LeastRequest));
    let view = Seen::default();
    let mut random = seeded(7);
    for _ in 0..1000 {
        let host = balancer.pick(&view, &Ask::default(), &mut random).unwrap();
        *view.active.borrow_mut().entry(host).or_default() += 1;
    }
    let active: Vec<u64> = (0..3).map(|host| view.active(host)).collect();
    for (active, expected) in active.iter().zip([100, 300, 600]) {
        assert!(
            active.abs_diff(expected) <= 20,
            "{active:?}, expected {expected}"
        );
    }
}

#[test]
fn equal_keys_meet_the_same_endpoint() {
    let hosts = hosts(&[(1, 0); 5]);
    for table in TABLES {
        let balancer = balancer(&hosts, by_hash(table));
        let mut random = seeded(3);
        let mut met = BTreeMap::new();
        for round in 0..3 {
            for key in 0..100_u32 {
                let ask = Ask {
                    hash: Some(hash::value(&key.to_le_bytes())),
                    ..Ask::default()
                };
                let host = balancer.pick(&Seen::default(), &ask, &mut random).unwrap();
                let before = met.insert(key, host);
                assert!(round == 0 || before == Some(host), "{key} has moved");
            }
        }
        let different: BTreeSet<_> = met.values().collect();
        assert_eq!(different.len(), 5, "100 keys are spread over all");
    }
}

#[test]
fn a_table_without_an_endpoint_is_that_of_the_others() {
    // Envoy builds its tables of those that are well.
    let of_three = hosts(&[(1, 0), (1, 0), (1, 0)]);
    for table in TABLES {
        let policy = Arc::new(by_hash(table));
        let without = Balancer::new(Arc::clone(&of_three), policy, |host| host != 2, 0);
        let of_two = balancer(&hosts(&[(1, 0), (1, 0)]), by_hash(table));
        for key in 0..200_u32 {
            let ask = Ask {
                hash: Some(hash::value(&key.to_le_bytes())),
                ..Ask::default()
            };
            let pick = |balancer: &Balancer| {
                balancer
                    .pick(&Seen::default(), &ask, &mut seeded(0))
                    .unwrap()
            };
            assert_eq!(pick(&without), pick(&of_two));
        }
    }
}

#[test]
fn the_original_destination_is_kept_as_long_as_it_is_an_endpoint() {
    let hosts = hosts(&[(1, 0), (1, 0), (1, 0)]);
    let balancer = balancer(&hosts, simple(Simple::Passthrough));
    let original = |original| Ask {
        original,
        ..Ask::default()
    };
    let chosen = spread(&balancer, &Seen::default(), &original(Some(1)));
    assert_eq!(chosen, [0, 10_000, 0]);
    for other in [None, Some(3)] {
        let chosen = spread(&balancer, &Seen::default(), &original(other));
        assert_about(&chosen, &[3333, 3333, 3333]);
    }
}

#[test]
fn what_was_tried_is_chosen_only_where_nothing_else_is_left() {
    let many = hosts(&[(1, 0); 20]);
    let policies = [
        simple(Simple::LeastRequest),
        simple(Simple::RoundRobin),
        simple(Simple::Random),
        by_hash(TABLES[0]),
        by_hash(TABLES[1]),
    ];
    for policy in policies {
        let balancer = balancer(&many, policy.clone());
        let all: Vec<usize> = (0..20).collect();
        let ask = |tried| Ask {
            hash: Some(17),
            tried,
            ..Ask::default()
        };
        let chosen = spread(&balancer, &Seen::default(), &ask(&all[..19]));
        assert_eq!(chosen[19], 10_000, "{policy:?}");
        let chosen = spread(&balancer, &Seen::default(), &ask(&all));
        assert_eq!(chosen.iter().sum::<u32>(), 10_000, "{policy:?}");
    }
}

#[test]
fn only_those_that_are_well_are_chosen() {
    let hosts = hosts(&[(1, 0), (1, 0), (1, 0)]);
    for policy in [simple(Simple::LeastRequest), by_hash(TABLES[0])] {
        let all = balancer(&hosts, policy);
        let some = all.with_available(|host| host == 1, 0);
        let chosen = spread(&some, &Seen::default(), &Ask::default());
        assert_eq!(chosen, [0, 10_000, 0]);
        let none = all.with_available(|_| false, 0);
        assert_eq!(
            none.pick(&Seen::default(), &Ask::default(), &mut seeded(1)),
            None
        );
    }
}

#[test]
fn in_panic_all_are_chosen() {
    let hosts = hosts(&[(1, 0), (1, 0), (1, 0)]);
    for policy in [simple(Simple::Random), by_hash(TABLES[1])] {
        let policy = Policy {
            panic_percent: 50,
            ..policy
        };
        let balancer = balancer(&hosts, policy).with_available(|host| host == 1, 0);
        assert!(balancer.load().has_panic());
        let chosen = spread(&balancer, &Seen::default(), &Ask::default());
        assert_about(&chosen, &[3333, 3333, 3333]);
    }
}

#[test]
fn the_threshold_is_that_of_outlier_detection() {
    let policy = TrafficPolicy {
        outlier: Some(OutlierDetection {
            min_health_percent: 30,
            ..OutlierDetection::default()
        }),
        ..TrafficPolicy::default()
    };
    assert_eq!(Policy::new(&policy, Vec::new()).panic_percent, 30);
    let none = TrafficPolicy::default();
    assert_eq!(Policy::new(&none, Vec::new()).panic_percent, 0);
}

#[test]
fn the_next_priority_is_taken_as_far_as_the_first_cannot_bear() {
    // Two of four are well: they bear 70 per cent.
    let hosts = hosts(&[(1, 0), (1, 0), (1, 0), (1, 0), (1, 9)]);
    let all = balancer(&hosts, simple(Simple::Random));
    let chosen = spread(&all, &Seen::default(), &Ask::default());
    assert_about(&chosen, &[2500, 2500, 2500, 2500, 0]);
    let half = all.with_available(|host| host != 0 && host != 1, 0);
    let chosen = spread(&half, &Seen::default(), &Ask::default());
    assert_about(&chosen, &[0, 0, 3500, 3500, 3000]);
}

#[test]
fn priorities_that_were_tried_are_left_out_after_every_second_try() {
    let hosts = hosts(&[(1, 0), (1, 0), (1, 0), (1, 4)]);
    let balancer = balancer(&hosts, simple(Simple::Random));
    let ask = |tried| Ask {
        tried,
        other_priorities: true,
        ..Ask::default()
    };
    let once = spread(&balancer, &Seen::default(), &ask(&[0]));
    assert_about(&once, &[0, 5000, 5000, 0]);
    let twice = spread(&balancer, &Seen::default(), &ask(&[0, 1]));
    assert_eq!(twice, [0, 0, 0, 10_000]);
    // Nothing is left to go to.
    let four = spread(&balancer, &Seen::default(), &ask(&[0, 1, 3, 3]));
    assert_eq!(four, [0, 0, 10_000, 0]);
}

#[test]
fn an_endpoint_that_warms_up_is_given_less() {
    let hosts = hosts(&[(1, 0), (1, 0), (1, 0)]);
    for algorithm in [Simple::LeastRequest, Simple::RoundRobin] {
        let mut policy = simple(algorithm);
        policy.load_balancer.warmup = Some(Warmup {
            duration: Duration::from_secs(60),
            minimum_ppm: 100_000,
            aggression_milli: 1000,
        });
        let warming = Seen {
            warmth: BTreeMap::from([(1, 0.25)]),
            ..Seen::default()
        };
        let cold = balancer(&hosts, policy);
        let chosen = spread(&cold, &warming, &Ask::default());
        assert_about(&chosen, &[4444, 1111, 4444]);
        let none = balancer(&hosts, simple(algorithm));
        assert_about(
            &spread(&none, &warming, &Ask::default()),
            &[3333, 3333, 3333],
        );
    }
}

#[test]
fn a_share_grows_from_the_minimum_to_the_whole() {
    let linear = Warmup {
        duration: Duration::from_secs(100),
        minimum_ppm: 100_000,
        aggression_milli: 1000,
    };
    let at = |warmup: &Warmup, seconds| warm::share(warmup, Duration::from_secs(seconds));
    let close = |share: f64, expected: f64| (share - expected).abs() < 1e-9;
    assert!(close(at(&linear, 0), 0.1));
    assert!(close(at(&linear, 5), 0.1));
    assert!(close(at(&linear, 50), 0.5));
    assert!(close(at(&linear, 100), 1.0));
    assert!(close(at(&linear, 1000), 1.0));
    let bent = Warmup {
        aggression_milli: 2000,
        ..linear
    };
    assert!(close(at(&bent, 25), 0.5));
    let none = Warmup {
        minimum_ppm: 0,
        ..linear
    };
    assert!(at(&none, 0) > 0.0);
}
