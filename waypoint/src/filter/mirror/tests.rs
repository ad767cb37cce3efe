//! Tests of copies of requests: their share and their host.

use super::*;

#[test]
fn the_host_of_a_copy_says_that_it_is_one() {
    for (authority, expected) in [
        ("reviews", "reviews-shadow"),
        ("reviews:9080", "reviews-shadow:9080"),
        ("[::1]:80", "[::1]-shadow:80"),
    ] {
        assert_eq!(shadow_of(authority).unwrap(), expected);
    }
}

#[test]
fn there_are_only_so_many_copies_at_a_time() {
    static PLACES: Places = Places(AtomicUsize::new(0));
    let places: Vec<_> = std::iter::from_fn(|| PLACES.take()).collect();
    assert_eq!(places.len(), MAX_MIRRORS);
    drop(places);
    assert!(PLACES.take().is_some());
}
