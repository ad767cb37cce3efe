//! What a name may stand for.

use super::*;

fn check(host: &str, expected: &[(&str, Option<usize>)]) {
    let found = candidates(host, "shop", "cluster.local");
    let found: Vec<_> = found
        .iter()
        .map(|it| (it.host.as_str(), it.stripped))
        .collect();
    assert_eq!(found, expected, "{host}");
}

#[test]
fn short_names_are_expanded_to_services() {
    check(
        "cart",
        &[("cart", None), ("cart.shop.svc.cluster.local", None)],
    );
    check(
        "cart.pay",
        &[("cart.pay", None), ("cart.pay.svc.cluster.local", None)],
    );
    check(
        "cart.pay.svc",
        &[("cart.pay.svc", None), ("cart.pay.svc.cluster.local", None)],
    );
    check("www.example.org", &[("www.example.org", None)]);
}

#[test]
fn search_suffixes_are_taken_off() {
    check(
        "db.example.org.shop.svc.cluster.local",
        &[
            ("db.example.org.shop.svc.cluster.local", None),
            ("db.example.org", Some(3)),
            ("db.example.org.shop", Some(4)),
            ("db.example.org.shop.svc", Some(5)),
        ],
    );
    check(
        "cart.shop.svc.cluster.local",
        &[
            ("cart.shop.svc.cluster.local", None),
            ("cart", Some(1)),
            ("cart.shop", Some(2)),
            ("cart.shop.svc", Some(3)),
        ],
    );
}

#[test]
fn a_suffix_alone_leaves_nothing_to_look_for() {
    check(
        "cluster.local",
        &[
            ("cluster.local", None),
            ("cluster.local.svc.cluster.local", None),
        ],
    );
    check(
        "svc.cluster.local",
        &[
            ("svc.cluster.local", None),
            ("svc", Some(1)),
            ("svc.shop.svc.cluster.local", Some(1)),
        ],
    );
}

#[test]
fn wildcards_come_by_decreasing_specificity() {
    assert_eq!(
        wildcards("a.b.c").collect::<Vec<_>>(),
        ["a.b.c", "*.b.c", "*.c"]
    );
    assert_eq!(wildcards("a").collect::<Vec<_>>(), ["a"]);
}

#[test]
fn hostnames_are_lower_case_and_without_root() {
    assert_eq!(
        hostname(&Name::from_ascii("WwW.Example.org.").unwrap()).as_deref(),
        Some("www.example.org")
    );
    assert_eq!(hostname(&Name::root()), None);
    assert_eq!(
        hostname(&Name::from_labels([&b"a.b"[..], b"c"]).unwrap()),
        None
    );
    assert_eq!(
        hostname(&Name::from_labels([&b"\xff"[..], b"c"]).unwrap()),
        None
    );
}
