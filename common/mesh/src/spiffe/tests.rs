//! Names that are SPIFFE IDs, and names that are not.

use super::{San, SpiffeId};

#[test]
fn a_spiffe_id_reads_back_as_it_was_written() {
    let text = "spiffe://cluster.local/ns/default/sa/client";
    let id: SpiffeId = text.parse().unwrap();
    assert_eq!(id.to_string(), text);
    assert_eq!(id.principal(), "cluster.local/ns/default/sa/client");
    assert_eq!(San::from(&id), San::from(text));
}

#[test]
fn anything_else_is_refused() {
    for text in [
        "",
        "spiffe://",
        "cluster.local/ns/default/sa/client",
        "spiffe:///ns/default/sa/client",
        "spiffe://cluster.local/ns//sa/client",
        "spiffe://cluster.local/ns/default/sa/",
        "spiffe://cluster.local/ns/default/sa/client/",
        "spiffe://cluster.local/ns/default/sa/client/x",
        "spiffe://cluster.local/sa/client/ns/default",
        "spiffe://Cluster.Local/ns/default/sa/client",
        "spiffe://cluster.local:80/ns/default/sa/client",
        "spiffe://cluster.local/ns/default/sa/cli%65nt",
        "spiffe://cluster.local/ns/../sa/client",
        "SPIFFE://cluster.local/ns/default/sa/client",
        "spiffe://cluster.local/ns/default/sa/client\0",
    ] {
        assert!(
            text.parse::<SpiffeId>().is_err(),
            "{text:?} was read as an identity"
        );
    }
}
