//! Hashes and tables against vectors of an independent implementation (Python's `xxhash`, and the constructions written
//! anew from their description), and how tables change when endpoints do.

use proptest::prelude::*;

use super::{maglev::Maglev, ring::Ring, *};

const THREE: [&str; 3] = ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"];
/// Hashes that are looked up: the ends, the middle, and the keys "alice" and "bob".
const LOOKED_UP: [u64; 6] = [
    0,
    1,
    0x73a3_ea48_5f2e_6049,
    0x9287_8a3b_42ba_d03b,
    1 << 63,
    u64::MAX,
];

fn places<'a>(keys: &[&'a str], weights: &[u32]) -> Vec<Place<'a>> {
    let sum: u32 = weights.iter().sum();
    let of = |(key, weight): (&&'a str, &u32)| Place {
        key,
        share: f64::from(*weight) / f64::from(sum),
    };
    keys.iter().zip(weights).map(of).collect()
}

fn owners(find: impl Fn(u64) -> Option<usize>) -> Vec<usize> {
    LOOKED_UP.iter().map(|hash| find(*hash).unwrap()).collect()
}

/// Every entry of a table, in its order.
fn entries(maglev: &Maglev) -> Vec<usize> {
    let length = u64::try_from(maglev.len()).unwrap();
    (0..length).map(|at| maglev.find(at, 0).unwrap()).collect()
}

fn digest(maglev: &Maglev) -> u64 {
    let index = |index: &usize| u32::try_from(*index).unwrap().to_le_bytes();
    let bytes: Vec<u8> = entries(maglev).iter().flat_map(index).collect();
    XxHash64::oneshot(0, &bytes)
}

fn counts(owners: &[usize], endpoints: usize) -> Vec<usize> {
    let of = |index| owners.iter().filter(|owner| **owner == index).count();
    (0..endpoints).map(of).collect()
}

#[test]
fn values_hash_as_xxhash64_with_seed_0() {
    assert_eq!(value(b""), 0xef46_db37_51d8_e999);
    assert_eq!(value(b"a"), 0xd24e_c4f1_a98c_6e5b);
    assert_eq!(value(b"alice"), 0x73a3_ea48_5f2e_6049);
}

#[test]
fn an_address_hashes_as_its_text_without_the_port() {
    assert_eq!(
        source_ip("10.0.0.1".parse().unwrap()),
        0xed16_cb68_c786_e3d7
    );
    assert_eq!(
        source_ip("2001:db8::1".parse().unwrap()),
        0x26c3_3ef1_c67e_1031
    );
    let longest = "1111:2222:3333:4444:5555:6666:7777:8888";
    assert_eq!(
        source_ip(longest.parse().unwrap()),
        value(longest.as_bytes())
    );
}

#[test]
fn the_order_of_a_headers_values_does_not_matter() {
    assert_eq!(header(&mut []), None);
    assert_eq!(header(&mut [b"alice"]), Some(value(b"alice")));
    let one = header(&mut [b"foo", b"bar"]);
    assert_eq!(one, Some(0x5c44_1824_061e_14ff));
    assert_eq!(one, header(&mut [b"bar", b"foo"]));
}

#[test]
fn equal_keys_do_not_cancel_each_other_out() {
    assert_eq!(combine(None, value(b"a")), value(b"a"));
    let both = combine(Some(value(b"a")), value(b"b"));
    assert_eq!(both, 0xdcd8_a342_49eb_432c);
    assert_ne!(combine(Some(value(b"a")), value(b"a")), 0);
}

#[test]
fn a_cookie_is_the_hash_of_both_ends_of_the_connection() {
    let cookie = cookie(
        "10.0.0.9:5000".parse().unwrap(),
        "10.0.0.1:8080".parse().unwrap(),
    );
    assert_eq!(cookie, "ab6a99a479892842");
}

#[test]
fn a_ring_of_equal_weights_is_envoys() {
    let ring = Ring::new(&places(&THREE, &[1, 1, 1]), 1024);
    assert_eq!(ring.digest(), 0x77c8_058b_06ea_0f05);
    assert_eq!(ring.len(), 1026);
    assert_eq!(owners(|hash| ring.find(hash, 0)), [1, 1, 2, 2, 1, 1]);
}

#[test]
fn a_ring_of_unequal_weights_is_envoys() {
    let ring = Ring::new(&places(&THREE, &[1, 2, 5]), 1024);
    assert_eq!(ring.digest(), 0xa180_7bc1_aeb0_2c7b);
    assert_eq!(owners(|hash| ring.find(hash, 0)), [1, 1, 2, 2, 2, 1]);

    let keys = [THREE[2], THREE[0], "[::1]:8080"];
    let ring = Ring::new(&places(&keys, &[3, 1, 7]), 100);
    assert_eq!(ring.digest(), 0x6b68_9c2d_d3e3_cbcf);
    assert_eq!(owners(|hash| ring.find(hash, 0)), [0, 0, 2, 0, 0, 0]);
}

#[test]
fn a_ring_by_shares_of_localities_is_envoys() {
    let shares = [0.8 / 2.0, 0.8 / 2.0, 0.2];
    let of = |(key, share): (&&'static str, f64)| Place { key, share };
    let places: Vec<Place<'_>> = THREE.iter().zip(shares).map(of).collect();
    let ring = Ring::new(&places, 1024);
    assert_eq!(ring.digest(), 0x7346_0039_4d8b_3c68);
    let maglev = Maglev::new(&places, 65_537);
    assert_eq!(digest(&maglev), 0x1617_ba9b_ad06_7223);
}

#[test]
fn further_attempts_on_a_ring_take_the_following_places() {
    let ring = Ring::new(&places(&THREE, &[1, 1, 1]), 3);
    let order: Vec<_> = (0..6).map(|attempt| ring.find(7, attempt)).collect();
    assert_eq!(order[..3], order[3..]);
    let mut all: Vec<usize> = order[..3].iter().flatten().copied().collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2]);
}

#[test]
fn a_table_of_equal_weights_is_envoys() {
    let maglev = Maglev::new(&places(&THREE, &[1, 1, 1]), 65_537);
    assert_eq!(digest(&maglev), 0x4f1c_2472_2066_4a59);
    assert_eq!(owners(|hash| maglev.find(hash, 0)), [2, 2, 1, 2, 1, 2]);
    assert_eq!(counts(&entries(&maglev), 3), [21_846, 21_846, 21_845]);

    let many: Vec<String> = (0..50).map(|last| format!("10.1.0.{last}:80")).collect();
    let keys: Vec<&str> = many.iter().map(String::as_str).collect();
    let maglev = Maglev::new(&places(&keys, &[1; 50]), 65_537);
    assert_eq!(digest(&maglev), 0x5745_ff5c_d87b_9903);
    assert_eq!(owners(|hash| maglev.find(hash, 0)), [17, 4, 5, 27, 19, 17]);
}

#[test]
fn a_table_of_unequal_weights_is_envoys() {
    let maglev = Maglev::new(&places(&THREE, &[1, 2, 5]), 65_537);
    assert_eq!(digest(&maglev), 0xb5ab_614a_d29d_8d50);
    assert_eq!(counts(&entries(&maglev), 3), [8193, 16_385, 40_959]);

    let keys = [THREE[2], THREE[0], "[::1]:8080"];
    let maglev = Maglev::new(&places(&keys, &[3, 1, 7]), 101);
    assert_eq!(digest(&maglev), 0xd4cf_a6da_3b09_3bac);
}

#[test]
fn further_attempts_in_a_table_change_most_bits_of_the_hash() {
    let maglev = Maglev::new(&places(&THREE, &[1, 1, 1]), 65_537);
    for attempt in 1..5_u64 {
        let changed = 7 ^ 0_u64.wrapping_sub(attempt);
        assert_eq!(maglev.find(7, attempt), maglev.find(changed, 0));
    }
}

#[test]
fn a_size_that_is_no_prime_becomes_the_default() {
    let places = places(&THREE, &[1, 1, 1]);
    assert_eq!(Maglev::new(&places, 100).len(), 65_537);
    assert_eq!(Maglev::new(&places, 0).len(), 65_537);
    assert_eq!(Maglev::new(&places, 2).len(), 2);
    assert_eq!(Maglev::new(&places, 5_000_011).len(), 5_000_011);
    assert_eq!(Maglev::new(&places, 5_000_077).len(), 65_537);
}

#[test]
fn without_endpoints_nothing_is_found() {
    let ring = Ring::new(&[], 1024);
    assert!(ring.is_empty());
    assert_eq!(ring.find(1, 0), None);
    let maglev = Maglev::new(&[], 65_537);
    assert!(maglev.is_empty());
    assert_eq!(maglev.find(1, 3), None);
}

#[test]
fn a_ring_is_never_larger_than_its_bound() {
    let ring = Ring::new(&places(&THREE[..2], &[1, u32::MAX - 1]), 1024);
    let most = usize::try_from(mesh::backend::balancing::MAX_RING_SIZE).unwrap();
    assert!(ring.len() <= most, "{}", ring.len());
}

proptest! {
    /// The nearest entry at or after a hash, found by looking at all of them.
    #[test]
    fn a_ring_finds_what_a_naive_look_finds(
        weights in prop::collection::vec(1_u32..5, 1..6),
        hashes in prop::collection::vec(any::<u64>(), 20),
    ) {
        let keys: Vec<String> = (0..weights.len()).map(|last| format!("10.2.0.{last}:80")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let places = places(&keys, &weights);
        let ring = Ring::new(&places, 32);
        // Every place of every endpoint, as many as it has on the ring.
        let mut all = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            for number in 0..ring.count(index) {
                all.push((value(format!("{key}_{number}").as_bytes()), index));
            }
        }
        prop_assert_eq!(all.len(), ring.len());
        for hash in hashes {
            let next = all.iter().filter(|(at, _)| *at >= hash).min();
            let expected = next.or_else(|| all.iter().min()).map(|(_, index)| *index);
            prop_assert_eq!(ring.find(hash, 0), expected);
        }
    }

    /// When one endpoint of n leaves, its keys move, and few others do.
    #[test]
    fn few_keys_move_when_an_endpoint_leaves(count in 4_usize..12, gone in any::<prop::sample::Index>()) {
        let keys: Vec<String> = (0..count).map(|last| format!("10.3.0.{last}:80")).collect();
        let all: Vec<&str> = keys.iter().map(String::as_str).collect();
        let gone = gone.index(count);
        let mut rest = all.clone();
        rest.remove(gone);
        let (before, after) = (places(&all, &vec![1; count]), places(&rest, &vec![1; count - 1]));
        let rings = (Ring::new(&before, 1024), Ring::new(&after, 1024));
        let tables = (Maglev::new(&before, 65_537), Maglev::new(&after, 65_537));
        let samples: u32 = 4000;
        let (mut ring_moved, mut table_moved) = (0_u32, 0_u32);
        for sample in 0..samples {
            let hash = value(&sample.to_le_bytes());
            let moved = |before: Option<usize>, after: Option<usize>| {
                let before = before.map(|index| all[index]);
                before != Some(all[gone]) && before != after.map(|index| rest[index])
            };
            ring_moved += u32::from(moved(rings.0.find(hash, 0), rings.1.find(hash, 0)));
            table_moved += u32::from(moved(tables.0.find(hash, 0), tables.1.find(hash, 0)));
        }
        // A ring gives everyone more places when one leaves; a table shuffles a little.
        let tenth = samples / 10;
        let count = u32::try_from(count).unwrap();
        prop_assert!(ring_moved < samples / count + tenth, "{ring_moved} on the ring");
        prop_assert!(table_moved < tenth, "{table_moved} in the table");
    }
}
