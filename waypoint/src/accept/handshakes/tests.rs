//! Tests of places for handshakes: one address does not take them all.

use futures_util::FutureExt as _;

use super::*;

fn address(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

#[test]
fn one_address_has_its_part_and_no_more() {
    let handshakes = Handshakes::default();
    let place = |last| handshakes.place(address(last)).now_or_never();
    let mut held: Vec<_> = (0..MAX_HANDSHAKES_PER_ADDRESS)
        .map(|_| place(1).unwrap())
        .collect();
    let mut waiting = Box::pin(handshakes.place(address(1)));
    assert!((&mut waiting).now_or_never().is_none());
    // The same address, as a socket of IPv6 shows it.
    let mapped = "::ffff:10.0.0.1".parse().unwrap();
    assert!(handshakes.place(mapped).now_or_never().is_none());
    let of_another = place(2).expect("others have theirs");
    held.pop();
    let served = waiting.now_or_never().expect("a place is free");
    drop((held, of_another, served));
    assert!(handshakes.by_address.lock().is_empty());
}

#[test]
fn all_addresses_share_the_whole() {
    let handshakes = Handshakes::default();
    let addresses = u8::try_from(MAX_HANDSHAKES / MAX_HANDSHAKES_PER_ADDRESS).unwrap();
    let held: Vec<_> = (0..addresses)
        .flat_map(|last| std::iter::repeat_n(last, MAX_HANDSHAKES_PER_ADDRESS))
        .map(|last| handshakes.place(address(last)).now_or_never().unwrap())
        .collect();
    assert!(handshakes.place(address(200)).now_or_never().is_none());
    drop(held);
    assert!(handshakes.place(address(200)).now_or_never().is_some());
    assert!(handshakes.by_address.lock().is_empty());
}
