//! Open connections whose waypoints change, and that a word which does not count changes nothing.

use proptest::prelude::*;

use super::*;

#[test]
fn an_open_connection_is_looked_at_again_with_both_identities() {
    let named = for_web(&named_by_service(by_name()));
    let open = saying(&named, &waypoint(), APP, &web()).unwrap();
    assert_eq!(open.readmit(&named), Ok(()));
    // The service stops naming the waypoint.
    let unnamed = with_service(&named, reviews());
    assert!(matches!(
        open.readmit(&unnamed),
        Err(Refusal::PolicyChange { .. })
    ));
    // The client is denied now.
    let denied = with_policy(&named, policy(Action::Deny, principals(WEB)));
    assert!(matches!(
        open.readmit(&denied),
        Err(Refusal::PolicyChange { .. })
    ));
}

#[test]
fn a_word_that_comes_to_count_later_counts_from_then_on() {
    let early = saying(&unnamed(), &waypoint(), APP, &web()).unwrap();
    assert_eq!(early.behind(), None);
    let denied = policy(Action::Deny, principals(WEB));
    assert_eq!(
        early.readmit(&with_policy(&unnamed(), denied.clone())),
        Ok(())
    );
    let named = with_policy(&named_by_service(by_name()), denied);
    assert!(matches!(
        early.readmit(&named),
        Err(Refusal::PolicyChange { .. })
    ));
}

#[test]
fn a_word_that_names_nobody_ends_the_connection_once_it_counts() {
    let early = tunnel_for(&unnamed(), &waypoint(), APP, Claim::Unreadable, None).unwrap();
    assert_eq!(early.readmit(&unnamed()), Ok(()));
    assert_eq!(
        early.readmit(&named_by_service(by_name())),
        Err(Refusal::Claim)
    );
}

#[test]
fn speakers_are_equal_until_something_changes_that_matters() {
    let of = |snapshot: &Snapshot| {
        let server = snapshot.workload(&server().uid).unwrap();
        Speakers::of(snapshot, server)
    };
    let snapshot = named_by_service(by_name());
    let before = of(&snapshot);
    let second_pod = Workload {
        uid: "Kubernetes//Pod/default/waypoint-2".into(),
        ips: vec!["10.0.2.2".parse().unwrap()],
        ..waypoint_pod()
    };
    assert_eq!(of(&with_workload(&snapshot, second_pod)), before);
    assert_eq!(of(&for_web(&snapshot)), before);
    assert_ne!(of(&with_service(&snapshot, reviews())), before);
    let renamed = Workload {
        service_account: "another".into(),
        ..waypoint_pod()
    };
    assert_ne!(of(&with_workload(&snapshot, renamed)), before);
    let elsewhere = Service {
        ports: PortMap([(80, None), (82, None)].into()),
        waypoint: by_name(),
        ..reviews()
    };
    assert_ne!(of(&with_service(&snapshot, elsewhere)), before);
}

proptest! {
    /// Whatever somebody says whose word does not count, it is as if it had said nothing.
    #[test]
    fn a_word_that_does_not_count_changes_nothing(
        namespace in "default|client|waypoint|aaa",
        account in "waypoint|web|reviews|default|admin",
        claimed in "(default|client)/(web|waypoint|admin)",
        port in prop::sample::select(vec![80_u16, 81, 7000, 9080]),
        named in 0..5,
        allow in any::<bool>(),
        guard in "default/sa/waypoint|client/sa/web|client/sa/admin",
    ) {
        let snapshot = match named {
            0 => unnamed(),
            1 => named_by_service(by_name()),
            2 => named_by_service(by_address(VIP)),
            3 => named_by_workload(by_name()),
            _ => named_by_workload(by_address("10.0.2.1")),
        };
        let action = if allow { Action::Allow } else { Action::Deny };
        let guard = format!("cluster.local/ns/{guard}");
        let snapshot = with_policy(&snapshot, policy(action, principals(&guard)));
        let peer = id(&format!("spiffe://cluster.local/ns/{namespace}/sa/{account}"));
        let (in_namespace, name) = claimed.split_once('/').unwrap();
        let claimed = id(&format!("spiffe://cluster.local/ns/{in_namespace}/sa/{name}"));
        let authority = format!("10.0.1.7:{port}");
        let server = snapshot.workload(&server().uid).unwrap();
        let with = saying(&snapshot, &peer, &authority, &claimed);
        if may_speak(&snapshot, server, &peer, port) {
            prop_assert_eq!(peer, waypoint());
            prop_assert!(with.is_err() || with.is_ok_and(|it| it.behind() == Some(&claimed)));
        } else {
            let without = tunnel_as(&snapshot, &peer, &authority);
            prop_assert_eq!(with.as_ref().err(), without.as_ref().err());
            prop_assert!(with.is_err() || with.is_ok_and(|it| it.behind().is_none()));
        }
    }
}
