//! One condition of all targets of a policy.

use super::*;

fn target(group: &str, kind: &str) -> TargetRef {
    TargetRef {
        group: group.to_owned(),
        kind: kind.to_owned(),
        name: "a".to_owned(),
    }
}

fn told(
    targets: &[(&TargetRef, Attachment)],
    problem: Option<(&Unenforceable, bool)>,
) -> (bool, &'static str, String) {
    let subject = Subject {
        kind: "AuthorizationPolicy",
        namespace: "shop",
        problem,
        remarks: &[],
    };
    let Condition {
        kind,
        status,
        reason,
        message,
    } = condition(subject, targets).expect("a condition");
    assert_eq!(kind, "WaypointAccepted");
    (status, reason, message)
}

fn bound(to: &str) -> Attachment {
    Attachment::Bound(to.to_owned())
}

#[test]
fn one_target_is_told_as_it_is() {
    let service = target("", "Service");
    let entry = target("networking.istio.io", "ServiceEntry");
    let gateway = target("gateway.networking.k8s.io", "Gateway");
    let class = target("gateway.networking.k8s.io", "GatewayClass");
    let root = Attachment::NotOfRoot {
        root: "istio-system".to_owned(),
    };
    for (target, attachment, status, reason, message) in [
        (
            &service,
            bound("shop/w"),
            true,
            "Accepted",
            "bound to shop/w",
        ),
        (
            &service,
            Attachment::NotFound,
            false,
            "TargetNotFound",
            "Service shop/a was not found",
        ),
        (
            &service,
            Attachment::NoWaypoint,
            false,
            "AncestorNotBound",
            "Service shop/a is not bound to a waypoint",
        ),
        (
            &service,
            Attachment::NotOurs,
            false,
            "AncestorNotBound",
            "Service shop/a is not bound to a waypoint of this controller",
        ),
        (
            &entry,
            Attachment::NotFound,
            false,
            "TargetNotFound",
            "ServiceEntry shop/a was not found",
        ),
        (
            &gateway,
            Attachment::NoWaypoint,
            false,
            "TargetNotFound",
            "Gateway shop/a is not a waypoint",
        ),
        (&class, bound("a"), true, "Accepted", "bound to a"),
        (
            &class,
            Attachment::NotFound,
            false,
            "TargetNotFound",
            "GatewayClass a was not found",
        ),
        (
            &class,
            root,
            false,
            "Invalid",
            "AuthorizationPolicy must be in the root namespace `istio-system` when referencing a GatewayClass",
        ),
        (
            &class,
            Attachment::NotOfWaypoints,
            false,
            "Invalid",
            "GatewayClass must use controller name `istio.io/mesh-controller` for waypoints",
        ),
    ] {
        let expected = (status, reason, message.to_owned());
        assert_eq!(told(&[(target, attachment)], None), expected);
    }
}

#[test]
fn several_targets_are_one_condition_that_names_those_that_are_none() {
    let (service, class) = (target("", "Service"), target("g", "GatewayClass"));
    let all = [(&service, bound("shop/w")), (&class, bound("c"))];
    let expected = (true, "Accepted", "bound to shop/w, bound to c".to_owned());
    assert_eq!(told(&all, None), expected);
    let some = [(&service, Attachment::NotFound), (&class, bound("c"))];
    let message = "Invalid targetRefs: Service.core:shop/a (Service shop/a was not found)";
    let expected = (true, "PartiallyInvalid", message.to_owned());
    assert_eq!(told(&some, None), expected);
    let none = [
        (&service, Attachment::NotFound),
        (&class, Attachment::NotOfWaypoints),
    ];
    let (status, reason, message) = told(&none, None);
    assert_eq!((status, reason), (false, "Invalid"));
    assert!(
        message.starts_with("Invalid targetRefs: Service.core:shop/a, GatewayClass.g:shop/a ("),
        "{message}"
    );
}

#[test]
fn a_policy_that_is_not_enforced_says_why_and_what_it_closes() {
    let why = Unenforceable::field("rules[0].when[0].key", "x", "another");
    let (service, gateway) = (target("", "Service"), target("g", "Gateway"));
    let targets = [
        (&service, bound("shop/w")),
        (&gateway, Attachment::NotFound),
    ];
    let start = "rules[0].when[0].key: found \"x\", expected another: ";
    let expected = |message: &str| (false, "Invalid", format!("{start}{message}"));
    assert_eq!(
        told(&targets, Some((&why, true))),
        expected("every request to Service shop/a is answered with 403 and every connection ended")
    );
    assert_eq!(
        told(&targets, Some((&why, false))),
        expected("it has no effect")
    );
    assert_eq!(
        told(&targets[1..], Some((&why, true))),
        expected("it has no effect")
    );
}

#[test]
fn a_policy_that_is_attached_to_nothing_has_no_condition() {
    let subject = Subject {
        kind: "AuthorizationPolicy",
        namespace: "shop",
        problem: None,
        remarks: &[],
    };
    assert_eq!(condition(subject, &[]), None);
}

#[test]
fn remarks_stand_beside_what_holds_and_are_none_of_what_does_not() {
    let service = target("", "Service");
    let remarks = ["one".to_owned(), "two".to_owned()];
    let why = Unenforceable::DryRunOfCustom;
    let told = |attachment: Attachment, problem| {
        let subject = Subject {
            kind: "AuthorizationPolicy",
            namespace: "shop",
            problem,
            remarks: &remarks,
        };
        let it = condition(subject, &[(&service, attachment)]).expect("a condition");
        (it.status, it.reason, it.message)
    };
    assert_eq!(
        told(bound("shop/w"), None),
        (
            true,
            "UnsupportedValue",
            "bound to shop/w; one; two".to_owned()
        )
    );
    assert_eq!(
        told(Attachment::NotFound, None).2,
        "Service shop/a was not found"
    );
    let closed = told(bound("shop/w"), Some((&why, true)));
    assert_eq!(closed.1, "Invalid");
    assert!(!closed.2.contains("two"), "{closed:?}");
}

#[test]
fn an_entry_whose_hosts_are_those_of_others_is_told_so() {
    let entry = target("networking.istio.io", "ServiceEntry");
    let lost = Attachment::HostsLost("x.example.com is that of ServiceEntry b".to_owned());
    assert_eq!(
        told(&[(&entry, lost)], None),
        (
            false,
            "AncestorNotBound",
            "ServiceEntry shop/a has no host of its own: x.example.com is that of ServiceEntry b"
                .to_owned()
        )
    );
}
