//! `SAME_NODE`: how two pods of this node are connected.

use super::*;

#[test]
fn pods_of_one_node_are_joined_unless_hbone_is_asked_for() {
    for (set, expected) in [
        (None, SameNode::Join),
        (Some("join"), SameNode::Join),
        (Some("hbone"), SameNode::Hbone),
        // Set to nothing counts as not set.
        (Some(""), SameNode::Join),
    ] {
        let more = set.map(|value| ("SAME_NODE", value));
        let config = config(more.as_slice());
        assert_eq!(config.proxy.same_node, expected, "{set:?}");
    }
}

#[test]
fn a_word_that_is_neither_stops_the_start() {
    for word in ["Join", "true", "tunnel", "join,hbone", " hbone"] {
        let faults = faults(&[("SAME_NODE", word)]);
        assert!(
            matches!(faults.as_slice(), [one] if one.contains("SAME_NODE") && one.contains("join or hbone")),
            "{word:?}: {faults:?}"
        );
    }
}
