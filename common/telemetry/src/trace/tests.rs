//! Request ids.

use std::collections::HashSet;

use super::{PROPAGATED, request_id};

#[test]
fn a_request_id_is_a_uuid_of_version_4() {
    assert_eq!(
        request_id([0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210]),
        "01234567-89ab-4def-bedc-ba9876543210"
    );
    assert_eq!(request_id([0, 0]), "00000000-0000-4000-8000-000000000000");
    assert_eq!(
        request_id([u64::MAX, u64::MAX]),
        "ffffffff-ffff-4fff-bfff-ffffffffffff"
    );
}

#[test]
fn every_bit_of_randomness_but_six_is_used() {
    let ids: HashSet<_> = (0..128)
        .map(|bit| {
            let random = if bit < 64 {
                [0, 1 << bit]
            } else {
                [1 << (bit - 64), 0]
            };
            request_id(random)
        })
        .collect();
    // Six that are fixed, of which all are the id of 0.
    assert_eq!(ids.len(), 128 - 6 + 1);
}

#[test]
fn no_header_is_listed_twice() {
    assert_eq!(
        PROPAGATED.iter().collect::<HashSet<_>>().len(),
        PROPAGATED.len()
    );
}
