//! What a subject must prove follows from where it is and what it goes through.

use super::{Capturer, Place, Spec};

#[test]
fn what_is_claimed_of_a_path_is_what_metrics_must_say() {
    let words = ["ztunnel".to_owned()];
    let through = |place| Spec::through("one", place, &words);
    assert_eq!(through(Place::Nodes).security(), "mutual_tls");
    assert_eq!(through(Place::Node).security(), "same_node");
    assert_eq!(through(Place::Node).by_tunnel().security(), "mutual_tls");
    assert_eq!(through(Place::Outside).security(), "unknown");
}

#[test]
fn the_reader_is_told_the_capture_and_what_else_differs() {
    let words = ["ztunnel".to_owned(), "--x".to_owned()];
    let joined = Spec::through("one", Place::Node, &words).captured(Capturer::Ebpf);
    assert_eq!(joined.command(), "CAPTURE=ebpf SAME_NODE=join ztunnel --x");
    let tunnel = joined.by_tunnel().captured(Capturer::Iptables);
    assert_eq!(
        tunnel.command(),
        "CAPTURE=iptables SAME_NODE=hbone ztunnel --x"
    );
    let policies = Spec::through("two", Place::Nodes, &words).policies(100);
    assert_eq!(policies.command(), "CAPTURE=agent policies=100 ztunnel --x");
    let raw = Spec::raw("raw", Place::Node).captured(Capturer::Ebpf);
    assert_eq!(raw.command(), "no ztunnel, pods not captured");
}
