//! Tests of what the echo server makes of a path and of its switches.

use super::switches::{Fault, Switches};

fn failing(mut switches: Switches, requests: usize) -> usize {
    (0..requests).filter_map(|_| switches.next()).count()
}

#[test]
fn a_server_that_is_well_fails_nothing() {
    assert_eq!(failing(Switches::default(), 100), 0);
}

#[test]
fn a_share_of_the_requests_fails_evenly() {
    let switches = Switches {
        fault: Some(Fault::Status(503)),
        share: 25,
        ..Switches::default()
    };
    assert_eq!(failing(switches.clone(), 4), 1);
    assert_eq!(failing(switches, 400), 100);
}

#[test]
fn so_many_fail_and_no_more() {
    let switches = Switches {
        fault: Some(Fault::Reset),
        left: Some(2),
        ..Switches::default()
    };
    assert_eq!(failing(switches, 100), 2);
}
