//! Who may connect, at first and later.

use super::super::{Flag, Refusal, Status};
use super::{
    id, mesh, plaintext, policy, refused, server, tunnel, tunnel_as, tunnelled, with_policy,
    with_workload,
};
use crate::authorize::Denial;
use mesh::authorization::{Action, Match, Rule, Scope, StringMatch};
use mesh::workload::ApplicationProtocol;
use mesh::{Authorization, Delta, PolicyKey, ResourceKey, Snapshot, Workload};

#[test]
fn an_unknown_workload_cannot_be_served() {
    let gone = mesh().apply(Delta {
        upserts: vec![],
        removals: vec![ResourceKey::Workload("server".into())],
    });
    for result in [
        tunnel(&gone, "10.0.1.7:8080"),
        plaintext(&gone, "10.0.1.7:8080"),
    ] {
        refused(
            result,
            "workload not found: server",
            Status::ServiceUnavailable,
            Some(Flag::Connect),
        );
    }
}

#[test]
fn a_workload_that_is_another_or_elsewhere_by_now_cannot_be_served() {
    let moved = Workload {
        ips: vec!["10.0.1.8".parse().unwrap()],
        ..server()
    };
    let renamed = Workload {
        service_account: "ratings".into(),
        ..server()
    };
    for workload in [moved, renamed] {
        let snapshot = with_workload(&mesh(), workload);
        for result in [
            tunnel(&snapshot, "10.0.1.7:8080"),
            plaintext(&snapshot, "10.0.1.7:8080"),
        ] {
            refused(
                result,
                "workload mismatch: server",
                Status::ServiceUnavailable,
                Some(Flag::Connect),
            );
        }
    }
}

#[test]
fn a_peer_of_another_trust_domain_is_refused() {
    refused(
        tunnel_as(
            &mesh(),
            &id("spiffe://evil.example/ns/client/sa/web"),
            "10.0.1.7:8080",
        ),
        "identity error: trust domain evil.example is not cluster.local",
        Status::Unauthorized,
        Some(Flag::Deny),
    );
}

#[test]
fn a_denial_says_which_policy_or_that_none_allowed() {
    let snapshot = with_policy(
        &mesh(),
        policy(
            Action::Deny,
            Match {
                destination_ports: vec![8080],
                ..Match::default()
            },
        ),
    );
    let text = "connection closed due to policy rejection: explicitly denied by: default/p";
    for result in [
        tunnel(&snapshot, "10.0.1.7:8080"),
        plaintext(&snapshot, "10.0.1.7:8080"),
    ] {
        refused(result, text, Status::Unauthorized, Some(Flag::Deny));
    }
    let snapshot = with_policy(
        &mesh(),
        policy(
            Action::Allow,
            Match {
                destination_ports: vec![1],
                ..Match::default()
            },
        ),
    );
    let text = "connection closed due to policy rejection: allow policies exist, but none allowed";
    refused(
        tunnel(&snapshot, "10.0.1.7:8080"),
        text,
        Status::Unauthorized,
        Some(Flag::Deny),
    );
}

#[test]
fn strict_mode_refuses_plaintext_and_admits_tunnels() {
    let strict = policy(
        Action::Deny,
        Match {
            not_principals: vec![StringMatch::Presence],
            ..Match::default()
        },
    );
    let snapshot = with_policy(&mesh(), strict);
    assert!(tunnel(&snapshot, "10.0.1.7:8080").is_ok());
    assert_eq!(
        plaintext(&snapshot, "10.0.1.7:8080").unwrap_err().status(),
        Status::Unauthorized
    );
}

#[test]
fn policies_see_the_target_port_and_the_pods_address_whatever_was_asked() {
    let check = |one: Match, authority: &str, snapshot: &Snapshot| {
        let snapshot = with_policy(snapshot, policy(Action::Deny, one));
        assert_eq!(
            tunnel(&snapshot, authority)
                .map_err(|refusal| refusal.flag())
                .unwrap_err(),
            Some(Flag::Deny)
        );
    };
    let target = || Match {
        destination_ports: vec![9080],
        ..Match::default()
    };
    check(target(), "reviews.default.svc.cluster.local:80", &mesh());
    let pod = || Match {
        destination_ips: vec!["10.0.1.7/32".parse().unwrap()],
        ..Match::default()
    };
    let snapshot = with_workload(&mesh(), tunnelled(ApplicationProtocol::Proxy, Some(15088)));
    check(pod(), "10.96.0.99:80", &snapshot);
    check(
        Match {
            destination_ports: vec![80],
            ..Match::default()
        },
        "10.96.0.99:80",
        &snapshot,
    );
}

#[test]
fn a_source_is_believed_only_if_its_identity_agrees() {
    let other = id("spiffe://cluster.local/ns/client/sa/other");
    assert!(
        tunnel_as(&mesh(), &other, "10.0.1.7:8080")
            .unwrap()
            .source()
            .is_none()
    );
    assert!(
        plaintext(&mesh(), "10.0.1.7:8080")
            .unwrap()
            .source()
            .is_some()
    );
}

#[test]
fn a_policy_never_trusts_the_identity_of_an_address() {
    let from_web = Match {
        principals: vec![StringMatch::Suffix("/sa/web".into())],
        ..Match::default()
    };
    let snapshot = with_policy(&mesh(), policy(Action::Allow, from_web));
    assert!(tunnel(&snapshot, "10.0.1.7:8080").is_ok());
    assert_eq!(
        plaintext(&snapshot, "10.0.1.7:8080").unwrap_err().flag(),
        Some(Flag::Deny)
    );
}

#[test]
fn an_open_connection_stays_while_it_is_allowed() {
    let admitted = tunnel(&mesh(), "10.0.1.7:8080").unwrap();
    assert_eq!(admitted.readmit(&mesh()), Ok(()));
    let allowing = policy(
        Action::Allow,
        Match {
            namespaces: vec![StringMatch::Exact("client".into())],
            ..Match::default()
        },
    );
    assert_eq!(admitted.readmit(&with_policy(&mesh(), allowing)), Ok(()));
}

#[test]
fn an_open_connection_is_cut_when_a_policy_comes_to_deny_it() {
    for admitted in [
        tunnel(&mesh(), "10.0.1.7:8080").unwrap(),
        plaintext(&mesh(), "10.0.1.7:8080").unwrap(),
    ] {
        let denying = policy(
            Action::Deny,
            Match {
                source_ips: vec!["10.0.0.0/24".parse().unwrap()],
                ..Match::default()
            },
        );
        let refusal = admitted
            .readmit(&with_policy(&mesh(), denying))
            .unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "connection closed due to policy change"
        );
        assert_eq!(refusal.flag(), Some(Flag::Deny));
        let denial = Denial::Explicit(PolicyKey::new("default", "p"));
        assert_eq!(refusal, Refusal::PolicyChange { denial });
    }
}

#[test]
fn an_open_connection_is_cut_when_its_pod_comes_to_list_a_policy() {
    let all = Authorization {
        scope: Scope::WorkloadSelector,
        rules: vec![Rule::default()],
        ..policy(Action::Deny, Match::default())
    };
    let snapshot = with_policy(&mesh(), all);
    let admitted = tunnel(&snapshot, "10.0.1.7:8080").unwrap();
    let listing = Workload {
        authorization_policies: vec![PolicyKey::new("default", "p")],
        ..server()
    };
    assert!(
        admitted
            .readmit(&with_workload(&snapshot, listing))
            .is_err()
    );
}

#[test]
fn an_open_connection_is_cut_when_its_pod_is_gone_or_another() {
    let admitted = tunnel(&mesh(), "10.0.1.7:8080").unwrap();
    let gone = mesh().apply(Delta {
        upserts: vec![],
        removals: vec![ResourceKey::Workload("server".into())],
    });
    let cut = |snapshot: &Snapshot| admitted.readmit(snapshot).unwrap_err().to_string();
    assert_eq!(
        cut(&gone),
        "connection closed due to policy rejection: workload not found"
    );
    let moved = Workload {
        ips: vec!["10.0.1.8".parse().unwrap()],
        ..server()
    };
    let renamed = Workload {
        service_account: "ratings".into(),
        ..server()
    };
    for workload in [moved, renamed] {
        let snapshot = with_workload(&mesh(), workload);
        assert_eq!(
            cut(&snapshot),
            "connection closed due to policy rejection: workload mismatch"
        );
    }
}

#[test]
fn a_dry_run_denial_admits_and_is_there_to_be_logged() {
    let dry = Authorization {
        dry_run: true,
        rules: vec![Rule::default()],
        ..policy(Action::Deny, Match::default())
    };
    let admitted = tunnel(&with_policy(&mesh(), dry), "10.0.1.7:8080").unwrap();
    let found = admitted
        .verdict()
        .dry_run
        .as_ref()
        .and_then(|dry| dry.denied_by.clone());
    assert_eq!(found, Some(PolicyKey::new("default", "p")));
}
