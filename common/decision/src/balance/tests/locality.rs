//! Shares of localities.

use super::*;

/// Localities of so many endpoints, each of weight 1.
fn in_localities(counts: &[usize]) -> Arc<[Host]> {
    let localities = counts.iter().enumerate();
    let localities = localities.flat_map(|(locality, count)| vec![locality; *count]);
    let host = |(index, locality): (usize, usize)| Host {
        key: format!("10.0.0.{index}:80").into(),
        weight: 1,
        place: Some(Place {
            priority: 0,
            locality,
        }),
    };
    localities.enumerate().map(host).collect()
}

fn shared(policy: Policy, shares: &[u32]) -> Policy {
    Policy {
        locality_shares: shares.to_vec(),
        ..policy
    }
}

fn in_each(chosen: &[u32], counts: &[usize]) -> Vec<u32> {
    let mut rest = chosen;
    let sum = |count: &usize| {
        let (group, others) = rest.split_at(*count);
        rest = others;
        group.iter().sum()
    };
    counts.iter().map(sum).collect()
}

#[test]
fn localities_get_their_shares_however_many_endpoints_they_have() {
    let counts = [1, 4];
    let hosts = in_localities(&counts);
    for policy in [
        simple(Simple::Random),
        simple(Simple::RoundRobin),
        by_hash(TABLES[1]),
    ] {
        let balancer = balancer(&hosts, shared(policy, &[80, 20]));
        let chosen = spread(&balancer, &Seen::default(), &Ask::default());
        assert_about(&in_each(&chosen, &counts), &[8000, 2000]);
    }
}

#[test]
fn a_locality_loses_what_its_endpoints_cannot_bear() {
    let counts = [4, 4];
    let hosts = in_localities(&counts);
    let all = balancer(&hosts, shared(simple(Simple::Random), &[50, 50]));
    // One of four is well and bears 35 per cent of its share.
    let few = all.with_available(|host| host == 0 || host > 3, 0);
    let chosen = spread(&few, &Seen::default(), &Ask::default());
    assert_about(&in_each(&chosen, &counts), &[2593, 7407]);
    let none = all.with_available(|host| host > 3, 0);
    let chosen = spread(&none, &Seen::default(), &Ask::default());
    assert_eq!(in_each(&chosen, &counts), [0, 10_000]);
}

#[test]
fn in_panic_localities_play_no_part() {
    let counts = [1, 4];
    let hosts = in_localities(&counts);
    let policy = Policy {
        panic_percent: 100,
        ..shared(simple(Simple::Random), &[80, 20])
    };
    let balancer = balancer(&hosts, policy).with_available(|host| host == 0, 0);
    let chosen = spread(&balancer, &Seen::default(), &Ask::default());
    assert_about(&in_each(&chosen, &counts), &[2000, 8000]);
}
