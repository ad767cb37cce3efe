//! Which word was probably meant.

use super::{distance, nearest};

#[test]
fn a_misspelt_name_finds_what_was_meant() {
    const KNOWN: &[&str] = &[
        "principals",
        "notPrincipals",
        "sourceIps",
        "notSourceIps",
        "dryRun",
    ];
    for (name, expected) in [
        ("principal", Some("principals")),
        ("pricnipals", Some("principals")),
        ("notPrincipal", Some("notPrincipals")),
        ("source_ips", Some("sourceIps")),
        ("SOURCEIPS", Some("sourceIps")),
        ("dryrun", Some("dryRun")),
        ("methods", None),
        ("", None),
    ] {
        assert_eq!(nearest(name, KNOWN), expected, "{name:?}");
    }
    assert_eq!(nearest(&"principals".repeat(1000), KNOWN), None);
}

#[test]
fn the_distance_counts_edits() {
    for (a, b, expected) in [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("kitten", "sitting", 3),
        ("abc", "abc", 0),
        ("flaw", "lawn", 2),
    ] {
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
        assert_eq!(distance(&a, &b), expected);
        assert_eq!(distance(&b, &a), expected);
    }
}
