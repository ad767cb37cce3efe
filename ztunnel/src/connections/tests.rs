//! Whom a change of policy cuts, and whom not.

use decision::inbound::{Arrival, Facts, admit};
use mesh::{
    Authorization, Delta, PolicyKey, Resource, Workload,
    authorization::{Action, Rule, Scope},
};

use super::*;

const POD: &str = "10.0.1.7:8080";
const CLIENT: &str = "10.0.0.5:51234";

fn open_to_all() -> Snapshot {
    let workload = Workload {
        uid: "pod".into(),
        ips: vec!["10.0.1.7".parse().unwrap()],
        ..Workload::default()
    };
    Snapshot::default().apply(Delta {
        upserts: vec![Resource::Workload(Arc::new(workload))],
        ..Delta::default()
    })
}

fn closed_to_all(open: &Snapshot) -> Snapshot {
    let policy = Authorization {
        key: PolicyKey {
            namespace: "ns".into(),
            name: "deny".into(),
        },
        scope: Scope::Global,
        action: Action::Deny,
        rules: vec![Rule::default()],
        dry_run: false,
    };
    open.apply(Delta {
        upserts: vec![Resource::Authorization(Arc::new(policy))],
        ..Delta::default()
    })
}

fn admitted(snapshot: &Snapshot) -> Arc<Admitted> {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let workload = snapshot.iter_workloads().next().unwrap();
    let facts = Facts {
        workload,
        peer: address(CLIENT),
        destination: address(POD),
        arrival: Arrival::Plaintext,
    };
    Arc::new(admit(snapshot, &facts).unwrap())
}

#[test]
fn a_policy_that_comes_before_the_registration_is_seen_by_it() {
    let (open, connections) = (open_to_all(), Connections::new(1));
    let closed = closed_to_all(&open);
    let one = admitted(&open);
    // The re-examination is over before the connection is registered: it finds nothing.
    connections.recheck(&closed);
    let (_registered, mut cut, still) =
        connections.register_admitted(0, &one, Way::Plain, None, |one| one.readmit(&closed));
    assert!(
        matches!(still, Err(Refusal::PolicyChange { .. })),
        "{still:?}"
    );
    assert!(cut.try_recv().is_err());
}

#[test]
fn a_policy_that_comes_after_the_registration_cuts_what_was_registered() {
    let (open, connections) = (open_to_all(), Connections::new(2));
    let closed = closed_to_all(&open);
    let one = admitted(&open);
    let (_registered, mut cut, still) =
        connections.register_admitted(1, &one, Way::Plain, None, |one| {
            // Whoever comes from here on finds it: there is no moment at which nobody looks.
            assert_eq!(connections.count(), 1);
            let still = one.readmit(&open);
            connections.recheck(&closed);
            still
        });
    assert_eq!(still, Ok(()));
    let cut = cut.try_recv().unwrap();
    assert!(
        matches!(&cut, Cut::Policy(refusal) if matches!(**refusal, Refusal::PolicyChange { .. })),
        "{cut}"
    );
    assert_eq!(connections.count(), 0);
}

#[test]
fn what_is_still_admitted_is_not_touched_and_leaves_when_it_ends() {
    let (open, connections) = (open_to_all(), Connections::new(1));
    let one = admitted(&open);
    let (registered, mut cut, still) =
        connections.register_admitted(0, &one, Way::Plain, None, |one| one.readmit(&open));
    assert_eq!(still, Ok(()));
    connections.recheck(&open);
    assert_eq!((connections.count(), connections.list().len()), (1, 1));
    assert!(cut.try_recv().is_err());
    drop(registered);
    assert_eq!(connections.count(), 0);
}

#[test]
fn a_pod_that_leaves_cuts_what_is_open_and_what_comes_later() {
    let (open, connections) = (open_to_all(), Connections::new(1));
    let one = admitted(&open);
    let (_first, mut first, _) =
        connections.register_admitted(0, &one, Way::Plain, None, |_| Ok(()));
    connections.close();
    let (_second, mut second, _) =
        connections.register_admitted(0, &one, Way::Plain, None, |_| Ok(()));
    for cut in [&mut first, &mut second] {
        assert!(matches!(cut.try_recv(), Ok(Cut::Drain)));
    }
    assert_eq!(connections.count(), 0);
}
