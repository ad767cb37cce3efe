//! Tests of the protocol: who is asked for what, and what is said to a response.

use mesh::{ServiceKey, Snapshot};
use wire::proto::{
    ADDRESS_TYPE, AUTHORIZATION_TYPE, Any, ROUTE_TABLE_TYPE,
    discovery::{DeltaDiscoveryRequest as Request, DeltaDiscoveryResponse, Node},
};

use super::Session;
use crate::xds::node::Role;
use crate::xds::tests::{Contents, broken, pod, pod_of, policy, resource, response, service, take};

mod demand;

const POD: &str = "c//Pod/default/a";

fn session(on_demand: bool) -> Session {
    let node = Node {
        id: "me".to_owned(),
        ..Node::default()
    };
    Session::new(node, Role::NodeProxy, on_demand)
}

/// A session whose first stream has had an answer to each type.
fn synced(on_demand: bool, addresses: DeltaDiscoveryResponse) -> (Session, Snapshot) {
    let mut session = session(on_demand);
    let mut snapshot = Snapshot::default();
    session.open(Vec::new());
    let empty = response(AUTHORIZATION_TYPE, "p", vec![], &[]);
    take(&mut session, &mut snapshot, empty, 8);
    take(&mut session, &mut snapshot, addresses, 8);
    (session, snapshot)
}

fn addresses(
    resources: Vec<wire::proto::discovery::Resource>,
    removed: &[&str],
) -> DeltaDiscoveryResponse {
    response(ADDRESS_TYPE, "n", resources, removed)
}

fn names(snapshot: &Snapshot) -> Vec<String> {
    let contents = Contents::of(snapshot);
    contents.names().into_iter().map(str::to_owned).collect()
}

fn versions(request: &Request) -> Vec<(&str, &str)> {
    let versions = request.initial_resource_versions.iter();
    versions
        .map(|(name, version)| (name.as_str(), version.as_str()))
        .collect()
}

#[test]
fn policies_are_asked_for_first_and_addresses_once_they_are_in_force() {
    let mut session = session(false);
    let mut snapshot = Snapshot::default();
    let wildcard = |of: &str| Request {
        node: Some(Node {
            id: "me".to_owned(),
            ..Node::default()
        }),
        type_url: of.to_owned(),
        ..Request::default()
    };
    assert_eq!(session.open(Vec::new()), [wildcard(AUTHORIZATION_TYPE)]);
    assert!(!session.takes_names());
    let first = response(AUTHORIZATION_TYPE, "n1", vec![policy("deny", 1)], &[]);
    let requests = take(&mut session, &mut snapshot, first, 8);
    let ack = |of: &str, nonce: &str| Request {
        type_url: of.to_owned(),
        response_nonce: nonce.to_owned(),
        ..Request::default()
    };
    assert_eq!(
        requests,
        [ack(AUTHORIZATION_TYPE, "n1"), wildcard(ADDRESS_TYPE)]
    );
    assert!(session.takes_names());
    let second = response(ADDRESS_TYPE, "n2", vec![pod(POD, [10, 0, 0, 1])], &[]);
    let requests = take(&mut session, &mut snapshot, second, 8);
    assert_eq!(requests, [ack(ADDRESS_TYPE, "n2")]);
    assert_eq!(names(&snapshot), [POD, "default/deny"]);
    // Once there are policies, a new stream asks for both at once.
    session.close(false);
    let types: Vec<String> = session
        .open(Vec::new())
        .into_iter()
        .map(|r| r.type_url)
        .collect();
    assert_eq!(types, [AUTHORIZATION_TYPE, ADDRESS_TYPE]);
}

#[test]
fn an_empty_first_response_is_published_and_an_empty_later_one_is_not() {
    let mut session = session(false);
    session.open(Vec::new());
    let mut first = session.take(response(AUTHORIZATION_TYPE, "1", vec![], &[]));
    let slice = session.slice(&mut first, 8).unwrap();
    assert_eq!(slice.delta, Some(mesh::Delta::default()));
    assert!(session.slice(&mut first, 8).is_none());
    session.finish(first);
    let mut later = session.take(response(AUTHORIZATION_TYPE, "2", vec![], &[]));
    assert!(session.slice(&mut later, 8).is_none());
    assert_eq!(session.finish(later)[0].response_nonce, "2");
}

#[test]
fn one_bad_resource_among_many_is_refused_alone_and_its_version_is_not_kept() {
    let good = pod(POD, [10, 0, 0, 1]);
    let (mut session, mut snapshot) = synced(false, addresses(vec![good.clone()], &[]));
    let next = addresses(
        vec![
            pod("c//Pod/default/b", [10, 0, 0, 2]),
            broken(POD),
            service("web.example", [10, 96, 0, 1]),
        ],
        &[],
    );
    let requests = take(&mut session, &mut snapshot, next, 8);
    let detail = requests[0].error_detail.clone().unwrap();
    assert_eq!(requests[0].response_nonce, "n");
    assert_eq!(detail.code, 3);
    assert_eq!(
        detail.message,
        "workload \"c//Pod/default/a\": addresses[0]: 3 bytes, expected an address of 4 or 16 bytes"
    );
    // The last good version is in force, and it is what the next stream says that we have.
    assert_eq!(
        names(&snapshot),
        [POD, "c//Pod/default/b", "default/web.example"]
    );
    assert!(!snapshot.workload(&POD.into()).unwrap().ips.is_empty());
    let (count, refused) = session.report(ADDRESS_TYPE).unwrap();
    assert_eq!(count, 3);
    assert_eq!(refused.map(|(name, _)| name).collect::<Vec<_>>(), [POD]);
    let requests = session.open(Vec::new());
    assert!(versions(&requests[1]).contains(&(POD, good.version.as_str())));
    // A version that can be read ends the refusal.
    let mended = addresses(vec![pod(POD, [10, 0, 0, 9])], &[]);
    let requests = take(&mut session, &mut snapshot, mended, 8);
    assert_eq!(requests[0].error_detail, None);
    assert_eq!(session.report(ADDRESS_TYPE).unwrap().1.count(), 0);
}

#[test]
fn a_bad_resource_that_was_never_good_is_reported_and_asked_for_again() {
    let (mut session, snapshot) = synced(false, addresses(vec![broken(POD)], &[]));
    assert_eq!(names(&snapshot), Vec::<String>::new());
    assert_eq!(session.report(ADDRESS_TYPE).unwrap().1.count(), 1);
    assert_eq!(versions(&session.open(Vec::new())[1]), []);
}

#[test]
fn a_refusal_of_many_is_bounded_and_says_how_many_it_leaves_out() {
    let bad = (0..1000).map(|number| broken(&format!("c//Pod/default/{number}")));
    let (mut session, mut snapshot) = synced(false, addresses(vec![], &[]));
    let requests = take(
        &mut session,
        &mut snapshot,
        addresses(bad.collect(), &[]),
        7,
    );
    let message = requests[0].error_detail.clone().unwrap().message;
    assert!(message.len() < 4200, "{} bytes", message.len());
    let told = message.matches("expected an address").count();
    assert!(
        message.ends_with(&format!("; and {} more", 1000 - told)),
        "{message}"
    );
    assert!(told > 10);
}

#[test]
fn a_response_of_a_type_that_nobody_asked_for_is_refused_whole() {
    let (mut session, mut snapshot) = synced(false, addresses(vec![], &[]));
    let other = "type.googleapis.com/istio.workload.Workload";
    let requests = take(
        &mut session,
        &mut snapshot,
        response(other, "x", vec![resource(other, "a", vec![])], &["b"]),
        8,
    );
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].response_nonce, "x");
    assert_eq!(requests[0].type_url, other);
    let detail = requests[0].error_detail.clone().unwrap();
    assert!(detail.message.contains(other), "{}", detail.message);
    assert!(session.report(other).is_none());
}

#[test]
fn a_new_stream_says_what_is_known_and_in_which_version() {
    let (a, web) = (
        pod(POD, [10, 0, 0, 1]),
        service("web.example", [10, 96, 0, 1]),
    );
    let (mut session, mut snapshot) = synced(false, addresses(vec![a.clone(), web.clone()], &[]));
    let gone = response(AUTHORIZATION_TYPE, "p", vec![policy("deny", 1)], &[]);
    take(&mut session, &mut snapshot, gone, 8);
    let gone = response(
        AUTHORIZATION_TYPE,
        "p",
        vec![policy("allow", 0)],
        &["default/deny"],
    );
    take(&mut session, &mut snapshot, gone, 8);
    session.close(false);
    let requests = session.open(Vec::new());
    assert_eq!(
        versions(&requests[0]),
        [("default/allow", policy("allow", 0).version.as_str())]
    );
    assert_eq!(
        versions(&requests[1]),
        [
            (POD, a.version.as_str()),
            ("default/web.example", web.version.as_str())
        ]
    );
    assert!(requests.iter().all(|request| request.node.is_some()
        && request.response_nonce.is_empty()
        && request.resource_names_subscribe.is_empty()
        && request.resource_names_unsubscribe.is_empty()));
}

#[test]
fn what_is_sent_again_without_removals_removes_nothing() {
    let all = vec![pod(POD, [10, 0, 0, 1]), pod("b", [10, 0, 0, 2])];
    let (mut session, mut snapshot) = synced(false, addresses(all, &[]));
    session.close(false);
    session.open(Vec::new());
    let again = addresses(vec![pod("b", [10, 0, 0, 2])], &[]);
    take(&mut session, &mut snapshot, again, 8);
    assert_eq!(names(&snapshot), ["b", POD]);
}

#[test]
fn removals_take_workloads_services_and_policies() {
    let all = vec![
        pod(POD, [10, 0, 0, 1]),
        pod("plain/uid", [10, 0, 0, 2]),
        service("web.example", [10, 96, 0, 1]),
        service("other.example", [10, 96, 0, 2]),
    ];
    let (mut session, mut snapshot) = synced(false, addresses(all, &[]));
    let removed = &[
        POD,
        "plain/uid",
        "default/Web.Example",
        "default/never-was.example",
        "net/10.0.0.77",
    ];
    let requests = take(&mut session, &mut snapshot, addresses(vec![], removed), 2);
    assert_eq!(requests[0].error_detail, None);
    assert_eq!(names(&snapshot), ["default/other.example"]);
}

#[test]
fn what_a_response_both_brings_and_removes_is_there() {
    for max in [1, 2, 100] {
        let (mut session, mut snapshot) =
            synced(false, addresses(vec![pod(POD, [10, 0, 0, 1])], &[]));
        let both = addresses(
            vec![
                pod_of(POD, [10, 0, 0, 2], "node-2"),
                pod("b", [10, 0, 0, 3]),
            ],
            &[POD],
        );
        take(&mut session, &mut snapshot, both, max);
        assert_eq!(names(&snapshot), ["b", POD]);
        // A version that cannot be read is no removal either.
        let both = addresses(vec![broken("b")], &["b"]);
        take(&mut session, &mut snapshot, both, max);
        assert_eq!(names(&snapshot), ["b", POD]);
    }
}

#[test]
fn nothing_is_missing_while_a_large_response_is_taken_in() {
    let (mut session, mut snapshot) = synced(
        false,
        addresses(
            vec![pod("old-1", [10, 0, 0, 1]), pod("old-2", [10, 0, 0, 2])],
            &[],
        ),
    );
    let renamed = addresses(
        vec![pod("new-1", [10, 0, 0, 1]), pod("new-2", [10, 0, 0, 2])],
        &["old-1", "old-2"],
    );
    let mut taking = session.take(renamed);
    while let Some(slice) = session.slice(&mut taking, 1) {
        snapshot = snapshot.apply(slice.delta.unwrap());
        for ip in ["10.0.0.1", "10.0.0.2"] {
            let ip = ip.parse().unwrap();
            assert!(snapshot.workload_by_address(&"".into(), ip).is_some());
        }
    }
    assert_eq!(names(&snapshot), ["new-1", "new-2"]);
}

#[test]
fn versions_that_are_too_large_for_the_server_are_left_out_and_its_first_response_is_complete() {
    let long = "x".repeat(900);
    let uid = |number: usize| format!("c//Pod/{long}/{number:04}");
    let all: Vec<_> = (0..1300)
        .map(|number| pod(&uid(number), [10, 0, 0, 1]))
        .collect();
    let (mut session, mut snapshot) = synced(false, addresses(all.clone(), &[]));
    session.close(true);
    let requests = session.open(Vec::new());
    assert_eq!(
        requests[1].initial_resource_versions.len(),
        1300,
        "the last stream was answered, so they were not too large for it"
    );
    session.close(true);
    let requests = session.open(Vec::new());
    assert_eq!(requests[1].initial_resource_versions.len(), 0);
    assert!(
        requests[1].resource_names_subscribe.is_empty(),
        "still a wildcard"
    );
    let mut complete: Vec<_> = all.into_iter().skip(1298).collect();
    complete.push(broken(&uid(3)));
    let requests = take(&mut session, &mut snapshot, addresses(complete, &[]), 10);
    assert_eq!(requests.len(), 1);
    assert_eq!(
        names(&snapshot),
        [uid(3), uid(1298), uid(1299)],
        "one that cannot be read is not gone"
    );
    // Only the first.
    take(&mut session, &mut snapshot, addresses(vec![], &[]), 10);
    assert_eq!(names(&snapshot).len(), 3);
}

#[test]
fn small_versions_are_sent_again_after_any_error() {
    let (mut session, _) = synced(false, addresses(vec![pod(POD, [10, 0, 0, 1])], &[]));
    session.open(Vec::new());
    session.close(true);
    assert_eq!(
        session.open(Vec::new())[1].initial_resource_versions.len(),
        1
    );
}

#[test]
fn a_resource_without_a_name_is_known_by_its_own() {
    let mut nameless = pod(POD, [10, 0, 0, 1]);
    nameless.name.clear();
    let (mut session, mut snapshot) = synced(false, addresses(vec![nameless], &[]));
    assert_eq!(names(&snapshot), [POD]);
    take(&mut session, &mut snapshot, addresses(vec![], &[POD]), 8);
    assert_eq!(names(&snapshot), Vec::<String>::new());
}

#[test]
fn a_port_whose_routes_cannot_be_read_is_closed_until_they_can() {
    let mut session = Session::new(Node::default(), Role::Waypoint, false);
    let mut snapshot = Snapshot::default();
    session.open(vec![]);
    let key = mesh::route::RouteKey::new(ServiceKey::new("shop", "web.example"), 80);
    let named = |content: &[u8], version: &str| {
        let mut resource = broken("shop/web.example:80");
        resource.version = version.to_owned();
        resource.resource = Some(Any {
            type_url: ROUTE_TABLE_TYPE.to_owned(),
            value: bytes::Bytes::copy_from_slice(content),
        });
        resource
    };
    let bad = response(ROUTE_TABLE_TYPE, "1", vec![named(&[0xff], "bad")], &[]);
    let requests = take(&mut session, &mut snapshot, bad, 8);
    assert!(requests[0].error_detail.is_some());
    assert_eq!(snapshot.routes(&key).unwrap().unenforced.len(), 1);

    let table = wire::proto::waypoint::RouteTable {
        service: "shop/web.example".to_owned(),
        port: 80,
        ..Default::default()
    };
    let good = named(&prost::Message::encode_to_vec(&table), "good");
    let good = response(ROUTE_TABLE_TYPE, "2", vec![good], &[]);
    take(&mut session, &mut snapshot, good, 8);
    assert!(snapshot.routes(&key).unwrap().unenforced.is_empty());

    let bad = response(ROUTE_TABLE_TYPE, "3", vec![named(&[0xff], "bad")], &[]);
    take(&mut session, &mut snapshot, bad, 8);
    assert!(
        snapshot.routes(&key).unwrap().unenforced.is_empty(),
        "the last good one stays"
    );
    // As much of it can be read as that a policy holds now: it does.
    let closing = wire::proto::waypoint::RouteTable {
        unenforced: vec!["AuthorizationPolicy shop/p".to_owned()],
        port: 70_000,
        ..table
    };
    let bad = named(&prost::Message::encode_to_vec(&closing), "closing");
    let bad = response(ROUTE_TABLE_TYPE, "4", vec![bad], &[]);
    take(&mut session, &mut snapshot, bad, 8);
    assert_eq!(snapshot.routes(&key).unwrap().unenforced.len(), 1);
    let gone = response(ROUTE_TABLE_TYPE, "5", vec![], &["shop/web.example:80"]);
    take(&mut session, &mut snapshot, gone, 8);
    assert!(snapshot.routes(&key).is_none());
}
