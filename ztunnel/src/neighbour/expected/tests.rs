//! What counts as a confirmation, and what tries to pass for one.

use std::time::Duration;

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Whether a probe knows that it has arrived.
async fn is_confirmed(mut expecting: Expecting<'_>) -> bool {
    tokio::select! {
        biased;
        () = expecting.confirmed() => true,
        () = std::future::ready(()) => false,
    }
}

#[tokio::test]
async fn a_probe_is_confirmed_once_by_both_its_addresses() {
    for (from, to) in [
        ("10.0.0.5:40000", "10.0.0.7:15008"),
        ("[fd00::5]:40000", "[fd00::7]:15008"),
    ] {
        let (expected, from, to) = (Expected::default(), address(from), address(to));
        let expecting = expected.expect(from, to).unwrap();
        assert!(expected.confirm(from, || Some(to)));
        assert!(
            !expected.confirm(from, || Some(to)),
            "it was one connection"
        );
        assert!(is_confirmed(expecting).await);
    }
}

#[tokio::test]
async fn what_differs_in_one_address_is_no_confirmation() {
    let expected = Expected::default();
    let (from, to) = (address("10.0.0.5:40000"), address("10.0.0.7:15008"));
    let expecting = expected.expect(from, to).unwrap();
    for (peer, local) in [
        // Somebody else, from the same port or the same address.
        ("10.0.0.6:40000", Some("10.0.0.7:15008")),
        ("10.0.0.5:40001", Some("10.0.0.7:15008")),
        // Another address of the pod, translated on the way.
        ("10.0.0.5:40000", Some("10.0.0.8:15008")),
        ("10.0.0.5:40000", Some("10.0.0.7:15009")),
        ("10.0.0.5:40000", None),
    ] {
        assert!(
            !expected.confirm(address(peer), || local.map(address)),
            "{peer} at {local:?}"
        );
    }
    assert!(!is_confirmed(expecting).await);
}

#[tokio::test]
async fn what_comes_to_another_pod_confirms_nothing() {
    let (one, other) = (Expected::default(), Expected::default());
    let (from, to) = (address("10.0.0.5:40000"), address("10.0.0.7:15008"));
    let expecting = one.expect(from, to).unwrap();
    assert!(!other.confirm(from, || Some(to)));
    assert!(!is_confirmed(expecting).await);
}

#[test]
fn nobody_is_asked_where_a_stranger_came_to() {
    let expected = Expected::default();
    let _expecting = expected.expect(address("10.0.0.5:40000"), address("10.0.0.7:15008"));
    let asked = || -> Option<SocketAddr> { panic!("asked") };
    assert!(!expected.confirm(address("10.0.0.9:1"), asked));
}

#[tokio::test]
async fn an_address_that_is_used_again_is_that_of_the_next_probe() {
    let expected = Expected::default();
    let (from, to) = (address("10.0.0.5:40000"), address("10.0.0.7:15008"));
    // Given up: what comes late is a stranger.
    drop(expected.expect(from, to).unwrap());
    assert!(!expected.confirm(from, || Some(to)));
    // Confirmed and not yet dropped, when the port is bound again.
    let first = expected.expect(from, to).unwrap();
    assert!(expected.confirm(from, || Some(to)));
    let second = expected.expect(from, to).unwrap();
    drop(first);
    assert!(expected.confirm(from, || Some(to)));
    assert!(is_confirmed(second).await);
}

#[tokio::test]
async fn two_probes_at_once_are_told_apart() {
    let expected = Expected::default();
    let to = address("10.0.0.7:15008");
    let one = expected.expect(address("10.0.0.5:40000"), to).unwrap();
    let two = expected.expect(address("10.0.0.6:40000"), to).unwrap();
    assert!(expected.expect(address("10.0.0.6:40000"), to).is_none());
    assert!(expected.confirm(address("10.0.0.6:40000"), || Some(to)));
    assert!(!is_confirmed(one).await);
    assert!(is_confirmed(two).await);
}

#[test]
fn there_is_a_bound_and_what_is_given_up_makes_room() {
    let expected = Expected::default();
    let to = address("10.0.0.7:15008");
    let from =
        |number: usize| SocketAddr::from(([10, 0, 0, 5], u16::try_from(1 + number).unwrap()));
    let mut held: Vec<_> = (0..MAX_EXPECTED)
        .map(|number| expected.expect(from(number), to).unwrap())
        .collect();
    assert!(expected.expect(from(MAX_EXPECTED), to).is_none());
    held.pop();
    assert!(expected.expect(from(MAX_EXPECTED), to).is_some());
    drop(held);
    assert!(expected.0.lock().is_empty());
}

#[tokio::test]
async fn a_probe_that_waits_is_woken() {
    let expected = std::sync::Arc::new(Expected::default());
    let (from, to) = (address("10.0.0.5:40000"), address("10.0.0.7:15008"));
    let mut expecting = expected.expect(from, to).unwrap();
    let listener = std::sync::Arc::clone(&expected);
    let accepting = tokio::spawn(async move { listener.confirm(from, || Some(to)) });
    tokio::time::timeout(DEADLINE, expecting.confirmed())
        .await
        .unwrap();
    assert!(accepting.await.unwrap());
}
