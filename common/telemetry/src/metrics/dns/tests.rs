//! How names that were resolved are counted.

use super::*;
use crate::metrics::Exposition;

fn source(name: &str) -> Workload {
    Workload {
        namespace: "shop".into(),
        workload_name: name.into(),
        ..Workload::default()
    }
}

fn lines(registry: &Registry) -> Vec<String> {
    let text = Exposition::Text.render(registry);
    text.lines()
        .filter(|line| line.starts_with("istio_on_demand_dns_total"))
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn resolved_names_are_counted_by_name_and_client() {
    let mut registry = Registry::default();
    let dns = Dns::register(&mut registry);
    let database = Hostname::from("db.example.com");
    dns.resolved(&source("cart"), &database);
    dns.resolved(&source("cart"), &database);
    // Another zone is the same client.
    let mut moved = source("cart");
    moved.locality.zone = "b".into();
    dns.resolved(&moved, &database);
    dns.resolved(&source("card"), &database);
    let lines = lines(&registry);
    assert_eq!(lines.len(), 2, "{lines:?}");
    let cart = lines
        .iter()
        .find(|line| line.contains(r#"source_workload="cart""#));
    let cart = cart.expect("a series of the client");
    assert!(cart.ends_with(" 3"), "{cart}");
    for label in [
        r#"hostname="db.example.com""#,
        r#"source_workload_namespace="shop""#,
        r#"source_principal="spiffe://cluster.local/ns/shop/sa/default""#,
        r#"source_cluster="Kubernetes""#,
    ] {
        assert!(cart.contains(label), "{label} in {cart}");
    }
}

#[test]
fn names_beyond_the_limit_count_together() {
    let mut registry = Registry::default();
    let dns = Dns::register(&mut registry);
    for number in 0..MAX_RESOLVED + 5 {
        dns.resolved(&source("cart"), &format!("n{number}.example.com").into());
    }
    let all = lines(&registry);
    assert_eq!(all.len(), MAX_RESOLVED + 1);
    let rest = all
        .iter()
        .find(|line| line.contains(r#"hostname="unknown""#));
    assert!(rest.is_some_and(|line| line.ends_with(" 5")), "{rest:?}");
    // What is known already still counts where it did.
    dns.resolved(&source("cart"), &"n0.example.com".into());
    assert!(
        lines(&registry)
            .iter()
            .any(|line| line.contains("n0.example.com") && line.ends_with(" 2"))
    );
}
