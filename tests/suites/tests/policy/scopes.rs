//! Whom a policy is for, and mutual TLS demanded as a policy.

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Start};
use serde_json::{Value, json};
use suites::policy::{Mark, Seen, Town, log, scoped};

/// Who of node 2 refuses whom.
fn refusing(town: &Town, from: &str) -> Result<Vec<&'static str>> {
    let mut refusing = Vec::new();
    for pod in ["server", "neighbour", "shop"] {
        let (seen, _) = town.probe(from, town.at(pod, 8080)).context(pod)?;
        if seen == Seen::Closed {
            refusing.push(pod);
        }
    }
    Ok(refusing)
}

pub(crate) fn scopes(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "scopes", &Start::default(), &Start::default())?
    else {
        return Ok(());
    };
    let everyone: Value = json!([[]]);
    let none: [&str; 0] = [];
    for (scope, namespace, selected, expected) in [
        (
            "Global",
            "istio-system",
            &[][..],
            &["server", "neighbour", "shop"][..],
        ),
        ("Namespace", "prod", &[], &["server", "neighbour"]),
        ("Namespace", "shop", &[], &["shop"]),
        // The policy's namespace counts, not the callers'.
        ("Namespace", "default", &[], &none),
        ("WorkloadSelector", "prod", &["prod/selected"], &["server"]),
        ("WorkloadSelector", "prod", &[], &none),
    ] {
        // Two may differ in nothing but who lists them, so none lies between.
        town.enforce(&[])?;
        let name = "selected";
        town.enforce_listed(
            &[scoped(name, namespace, scope, "Deny", everyone.clone())],
            selected,
        )?;
        for from in ["client", "legacy"] {
            let found = refusing(&town, from)?;
            ensure!(
                found == expected,
                "{scope} of {namespace}, listed {selected:?}: {found:?} refuse {from}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_policy_is_for_the_mesh_for_its_namespace_or_for_workloads_that_list_it() -> Result<()> {
    scopes(Capture::Agent)
}

pub(crate) fn additive(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "additive", &Start::default(), &Start::default())?
    else {
        return Ok(());
    };
    // Node 2's server may be called by whom one of the three allows.
    let allow = |name: &str, namespace: &str, scope: &str, one: Value| {
        scoped(name, namespace, scope, "Allow", json!([[[one]]]))
    };
    town.enforce_listed(
        &[
            allow(
                "a",
                "istio-system",
                "Global",
                json!({"namespaces": ["default"]}),
            ),
            allow("b", "prod", "Namespace", json!({"namespaces": ["other"]})),
            allow(
                "c",
                "prod",
                "WorkloadSelector",
                json!({"notPrincipals": ["*"]}),
            ),
        ],
        &["prod/c"],
    )?;
    for (from, expected) in [
        ("client", &[][..]),
        ("other", &["shop"]),
        ("legacy", &["neighbour", "shop"]),
    ] {
        assert_eq!(refusing(&town, from)?, expected, "who refuses {from}");
    }
    Ok(())
}

#[test]
fn all_three_scopes_are_asked_and_permissions_add_up() -> Result<()> {
    additive(Capture::Agent)
}

pub(crate) fn strict(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "strict", &Start::default(), &Start::default())?
    else {
        return Ok(());
    };
    let (before, _) = town.probe("legacy", town.at("server", 8080))?;
    assert_eq!(
        before,
        Seen::Answered,
        "without a policy, plain text passes"
    );
    town.enforce(&[scoped(
        "strict",
        "istio-system",
        "Global",
        "Deny",
        json!([[[{"notPrincipals": ["*"]}]]]),
    )])?;
    let (reached, far) = (town.server.accepted(), Mark::now(&town.far));
    let server = town.pod("server");
    for ip in server.addresses().both() {
        let to = (ip, 8080).into();
        let (seen, local) = town.probe("legacy", to)?;
        assert_eq!(seen, Seen::Closed, "plain text to {to}");
        far.wait(
            &town.far,
            &[
                &log::source(local),
                "explicitly denied by: istio-system/strict",
            ],
            1,
        )?;
        assert_eq!(
            town.probe("client", to)?.0,
            Seen::Answered,
            "mutual TLS to {to}"
        );
    }
    assert_eq!(
        town.probe("other", (town.vip()?, 80).into())?.0,
        Seen::Answered
    );
    assert_eq!(
        town.server.accepted() - reached,
        3,
        "only those in tunnels have reached the application"
    );
    // A pod that leaves the mesh loses its identity, and with it the way in.
    town.lab.unenrol("client")?;
    assert_eq!(
        town.probe("client", town.at("server", 8080))?.0,
        Seen::Closed
    );
    town.lab.enrol("client")?;
    assert_eq!(
        town.probe("client", town.at("server", 8080))?.0,
        Seen::Answered
    );
    Ok(())
}

#[test]
fn strict_blocks_plain_text_and_lets_mutual_tls_pass() -> Result<()> {
    strict(Capture::Agent)
}
