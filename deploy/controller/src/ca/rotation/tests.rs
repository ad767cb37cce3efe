//! When steps are due, and that nobody loses trust at any of them.

use std::{convert::Infallible, sync::Arc, time::Duration};

use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;

use super::{LAST, MARGIN, Pace, Stage, Step};
use crate::ca::{
    root::Root,
    signer::Signer,
    testkit::{DAY, HOUR, START, at, believed, hours, id, split},
};

const PACE: Pace = Pace {
    longest_leaf: Duration::from_secs(DAY),
    renew_below: 20,
};

fn root(life_days: u64) -> Root {
    Root::generate("cluster.local", hours(24 * life_days), at(START)).unwrap()
}

fn steady(life_days: u64) -> Stage {
    Stage::Steady {
        signing: Arc::new(root(life_days)),
    }
}

fn go(stage: &Stage, step: Step, now: u64) -> Stage {
    stage
        .after(step, at(now), || Ok::<_, Infallible>(root(3650)))
        .unwrap()
}

#[test]
fn a_root_is_replaced_when_a_fifth_of_its_life_is_left_or_on_request() {
    let stage = steady(100);
    assert_eq!(stage.due(PACE, false, at(START)), Step::Stay);
    assert_eq!(stage.due(PACE, true, at(START)), Step::Announce);
    assert_eq!(stage.due(PACE, false, at(START + 79 * DAY)), Step::Stay);
    assert_eq!(stage.due(PACE, false, at(START + 81 * DAY)), Step::Announce);
    let never = Pace {
        renew_below: 0,
        ..PACE
    };
    assert_eq!(stage.due(never, false, at(START + 99 * DAY)), Step::Stay);
}

#[test]
fn each_stage_lasts_as_long_as_the_longest_leaf_and_a_margin() {
    let overlap = DAY + MARGIN.as_secs();
    let announced = go(&steady(3650), Step::Announce, START);
    assert_eq!(
        announced.due(PACE, true, at(START + overlap - 1)),
        Step::Stay
    );
    assert_eq!(
        announced.due(PACE, false, at(START + overlap)),
        Step::Switch
    );
    let switched = go(&announced, Step::Switch, START + overlap);
    assert_eq!(
        switched.due(PACE, true, at(START + 2 * overlap - 1)),
        Step::Stay
    );
    assert_eq!(
        switched.due(PACE, false, at(START + 2 * overlap)),
        Step::Retire
    );
}

#[test]
fn the_margin_is_not_longer_than_the_life_of_a_short_leaf() {
    let pace = Pace {
        longest_leaf: Duration::from_secs(10),
        ..PACE
    };
    let announced = go(&steady(3650), Step::Announce, START);
    assert_eq!(announced.due(pace, false, at(START + 19)), Step::Stay);
    assert_eq!(announced.due(pace, false, at(START + 20)), Step::Switch);
}

#[test]
fn a_clock_that_was_set_back_makes_a_stage_longer() {
    let announced = go(&steady(3650), Step::Announce, START);
    assert_eq!(announced.due(PACE, false, at(START - 10 * DAY)), Step::Stay);
    let switched = go(&announced, Step::Switch, START);
    assert_eq!(switched.due(PACE, false, at(START - 10 * DAY)), Step::Stay);
}

#[test]
fn an_old_root_that_ends_is_not_waited_for() {
    let announced = go(&steady(100), Step::Announce, START + 100 * DAY - HOUR);
    let last = START + 100 * DAY - LAST.as_secs();
    assert_eq!(announced.due(PACE, false, at(last)), Step::Stay);
    assert_eq!(announced.due(PACE, false, at(last + 1)), Step::Switch);
    assert_eq!(announced.due(PACE, false, at(last + DAY)), Step::Switch);
}

#[test]
fn a_step_that_is_not_due_changes_nothing() {
    let stage = steady(3650);
    for step in [Step::Stay, Step::Switch, Step::Retire] {
        assert_eq!(go(&stage, step, START), stage);
    }
    let announced = go(&stage, Step::Announce, START);
    for step in [Step::Stay, Step::Announce, Step::Retire] {
        assert_eq!(go(&announced, step, START + HOUR), announced);
    }
    let switched = go(&announced, Step::Switch, START);
    for step in [Step::Stay, Step::Announce, Step::Switch] {
        assert_eq!(go(&switched, step, START + HOUR), switched);
    }
}

#[test]
fn who_signs_and_who_is_believed() {
    let stage = steady(3650);
    let old = Arc::clone(stage.signing());
    let announced = go(&stage, Step::Announce, START);
    let roots = announced.roots();
    assert!(roots.len() == 2 && *roots[0] == old && *announced.signing() == old);
    let new = Arc::clone(roots[1]);
    let switched = go(&announced, Step::Switch, START);
    assert_eq!(switched.signing(), &new);
    assert_eq!(switched.roots(), [&new, &old]);
    let after = go(&switched, Step::Retire, START);
    assert_eq!(after, Stage::Steady { signing: new });
}

/// Somebody who has a certificate, and the bundle that came with it.
struct Holder {
    chain: Vec<CertificateDer<'static>>,
    bundle: String,
    end: u64,
}

fn holder(stage: &Stage, now: u64) -> Holder {
    let signing = stage.signing();
    let roots: Vec<_> = stage
        .roots()
        .iter()
        .map(|root| root.certificate().clone())
        .collect();
    let chain = [signing.certificate().clone()];
    let signer = Signer::new(&chain, signing.key().unwrap(), &roots, at(now)).unwrap();
    let key = KeyPair::generate().unwrap();
    let issued = signer
        .issue(&id("client"), &key, PACE.longest_leaf, at(now))
        .unwrap();
    let (chain, bundle) = split(&issued.chain);
    Holder {
        chain,
        bundle,
        end: now + DAY,
    }
}

#[test]
fn at_every_moment_of_a_rotation_everybody_believes_everybody() {
    // Holders come every three hours and never renew before their end: the worst that can be.
    let mut stage = steady(3650);
    let first = stage.signing().fingerprint();
    let (mut holders, mut stages) = (Vec::new(), vec![stage.name()]);
    for hour in (0..100).step_by(3) {
        let now = START + hour * HOUR;
        let requested = hour == 30;
        let step = stage.due(PACE, requested, at(now));
        stage = go(&stage, step, now);
        if stages.last() != Some(&stage.name()) {
            stages.push(stage.name());
        }
        holders.push(holder(&stage, now));
        holders.retain(|holder| holder.end >= now);
        for shown in &holders {
            for checking in &holders {
                let result = believed(&shown.chain, &checking.bundle, at(now));
                assert_eq!(result, Ok(()), "hour {hour}, {}", stage.name());
            }
        }
    }
    assert_eq!(stages, ["steady", "announced", "switched", "steady"]);
    assert_ne!(stage.signing().fingerprint(), first);
}

#[test]
fn without_the_overlap_somebody_would_lose_trust() {
    // The test above would find it: the same with a switch at once.
    let before = steady(3650);
    let old = holder(&before, START);
    let announced = go(&before, Step::Announce, START);
    let switched = go(&announced, Step::Switch, START);
    let new = holder(&switched, START);
    assert!(believed(&new.chain, &old.bundle, at(START)).is_err());
    assert_eq!(believed(&old.chain, &new.bundle, at(START)), Ok(()));
}
