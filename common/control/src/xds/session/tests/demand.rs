//! Tests of the protocol where only what is asked for is subscribed.

use std::sync::Arc;

use mesh::Snapshot;
use wire::proto::{AUTHORIZATION_TYPE, discovery::DeltaDiscoveryResponse};

use super::{POD, addresses, names, session, synced, versions};
use crate::xds::{
    Outcome,
    session::{Changes, Session},
    tests::{broken, pod, response, take},
};

/// Takes a response in whole; what it says of names, in order of names.
fn answers(
    session: &mut Session,
    snapshot: &mut Snapshot,
    response: DeltaDiscoveryResponse,
) -> Vec<(String, Outcome)> {
    let mut taking = session.take(response);
    let mut all = Vec::new();
    while let Some(slice) = session.slice(&mut taking, 1) {
        if let Some(delta) = slice.delta {
            *snapshot = snapshot.apply(delta);
        }
        let answers = slice.answers.into_iter();
        all.extend(answers.map(|(name, outcome)| (name.into_string(), outcome)));
    }
    session.finish(taking);
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn on_demand_begins_with_nothing_and_asks_for_names() {
    let mut session = session(true);
    let mut snapshot = Snapshot::default();
    let requests = session.open(vec!["/10.0.0.1".into()]);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].type_url, AUTHORIZATION_TYPE);
    assert!(
        requests[0].resource_names_subscribe.is_empty(),
        "a wildcard"
    );
    let first = response(AUTHORIZATION_TYPE, "p", vec![], &[]);
    let requests = take(&mut session, &mut snapshot, first, 8);
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[1].resource_names_subscribe, ["*"]);
    assert_eq!(requests[1].resource_names_unsubscribe, ["*"]);
    assert!(requests[1].node.is_some());
    assert_eq!(requests[2].resource_names_subscribe, ["/10.0.0.1"]);
    assert_eq!(requests[2].node, None);
    assert_eq!(requests[2].response_nonce, "");
}

#[test]
fn names_are_asked_for_in_messages_of_bounded_size() {
    let session = session(true);
    let many: Vec<Arc<str>> = (0..5000).map(|number| number.to_string().into()).collect();
    let requests = session.subscribe(&Changes {
        subscribe: many,
        unsubscribe: vec!["gone".into()],
    });
    let sizes: Vec<_> = requests
        .iter()
        .map(|request| {
            (
                request.resource_names_unsubscribe.len(),
                request.resource_names_subscribe.len(),
            )
        })
        .collect();
    assert_eq!(sizes, [(1, 0), (0, 2048), (0, 2048), (0, 904)]);
}

#[test]
fn an_answer_holds_for_the_name_its_addresses_and_its_aliases() {
    let (mut session, mut snapshot) = synced(true, addresses(vec![], &[]));
    let mut resource = pod(POD, [10, 0, 0, 1]);
    resource.aliases = vec!["/10.0.0.1".to_owned(), "net/10.0.0.1".to_owned()];
    let told = answers(
        &mut session,
        &mut snapshot,
        addresses(vec![resource], &["/192.0.2.1"]),
    );
    assert!(told.contains(&("/10.0.0.1".to_owned(), Outcome::Present)));
    assert!(told.contains(&("net/10.0.0.1".to_owned(), Outcome::Present)));
    assert!(told.contains(&(POD.to_owned(), Outcome::Present)));
    assert!(told.contains(&("/192.0.2.1".to_owned(), Outcome::Absent)));
    assert!(snapshot.workload(&POD.into()).is_some());
}

#[test]
fn an_alias_that_is_removed_takes_along_what_has_it() {
    let all = vec![pod(POD, [10, 0, 0, 1]), pod("b", [10, 0, 0, 2])];
    let (mut session, mut snapshot) = synced(true, addresses(all, &[]));
    let told = answers(
        &mut session,
        &mut snapshot,
        addresses(vec![], &["/10.0.0.1"]),
    );
    assert!(told.contains(&("/10.0.0.1".to_owned(), Outcome::Absent)));
    assert!(told.contains(&(POD.to_owned(), Outcome::Absent)));
    assert_eq!(names(&snapshot), ["b"]);
    // Unless the same response brings it: some servers list every alias that is no name.
    let told = answers(
        &mut session,
        &mut snapshot,
        addresses(vec![pod("b", [10, 0, 0, 2])], &["/10.0.0.2"]),
    );
    assert!(
        !told.iter().any(|(_, outcome)| *outcome == Outcome::Absent),
        "{told:?}"
    );
    assert_eq!(names(&snapshot), ["b"]);
}

#[test]
fn an_address_that_a_workload_gives_up_leads_nowhere() {
    let (mut session, mut snapshot) = synced(true, addresses(vec![pod(POD, [10, 0, 0, 1])], &[]));
    let told = answers(
        &mut session,
        &mut snapshot,
        addresses(vec![pod(POD, [10, 0, 0, 2])], &[]),
    );
    assert_eq!(
        told,
        [
            ("/10.0.0.1".to_owned(), Outcome::Absent),
            ("/10.0.0.2".to_owned(), Outcome::Present),
            (POD.to_owned(), Outcome::Present),
        ]
    );
}

#[test]
fn a_resource_that_cannot_be_read_answers_who_asked_for_it() {
    let (mut session, mut snapshot) = synced(true, addresses(vec![pod("b", [10, 0, 0, 2])], &[]));
    let mut bad = broken(POD);
    bad.aliases = vec!["/10.0.0.1".to_owned(), "/10.0.0.2".to_owned()];
    let mut worse = broken("b");
    worse.aliases = vec!["/10.0.0.2".to_owned()];
    let told = answers(
        &mut session,
        &mut snapshot,
        addresses(vec![bad, worse], &[]),
    );
    assert_eq!(
        told,
        [
            ("/10.0.0.1".to_owned(), Outcome::Unreadable),
            ("/10.0.0.2".to_owned(), Outcome::Present),
            ("/10.0.0.2".to_owned(), Outcome::Present),
            ("b".to_owned(), Outcome::Present),
            (POD.to_owned(), Outcome::Unreadable),
        ]
    );
}

#[test]
fn on_demand_resources_are_known_to_the_next_stream_with_the_names_that_were_asked_for() {
    let (mut session, _) = synced(true, addresses(vec![pod(POD, [10, 0, 0, 1])], &[]));
    session.close(false);
    let requests = session.open(vec!["/10.0.0.1".into()]);
    assert_eq!(versions(&requests[1]).len(), 1);
    assert_eq!(requests[1].resource_names_unsubscribe, ["*"]);
    assert_eq!(requests[2].resource_names_subscribe, ["/10.0.0.1"]);
}
