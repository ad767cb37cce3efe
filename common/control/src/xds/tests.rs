//! What a control plane sends, for the tests of this module; and the property that slices add up.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mesh::{Authorization, Service, Snapshot, Workload};
use proptest::prelude::*;
use prost::Message as _;
use wire::proto::{
    ADDRESS_TYPE, AUTHORIZATION_TYPE, Any,
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node, Resource},
    security,
    workload::{self, address},
};

use super::{node::Role, session::Session};

/// An address resource. Its versions differ when its content does.
pub(super) fn address(name: &str, r#type: address::Type) -> Resource {
    let message = workload::Address {
        r#type: Some(r#type),
    };
    resource(ADDRESS_TYPE, name, message.encode_to_vec())
}

pub(super) fn resource(type_url: &str, name: &str, value: Vec<u8>) -> Resource {
    let version = value.iter().fold(7_u64, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    Resource {
        version: version.to_string(),
        resource: Some(Any {
            type_url: type_url.to_owned(),
            value: Bytes::from(value),
        }),
        name: name.to_owned(),
        aliases: Vec::new(),
    }
}

/// A workload of the nameless network.
pub(super) fn pod(uid: &str, ip: [u8; 4]) -> Resource {
    pod_of(uid, ip, "node-1")
}

pub(super) fn pod_of(uid: &str, ip: [u8; 4], node: &str) -> Resource {
    address(
        uid,
        address::Type::Workload(workload::Workload {
            uid: uid.to_owned(),
            name: uid.to_owned(),
            namespace: "default".to_owned(),
            addresses: vec![Bytes::copy_from_slice(&ip)],
            node: node.to_owned(),
            services: BTreeMap::from([(
                "default/web.example".to_owned(),
                workload::PortList::default(),
            )]),
            ..workload::Workload::default()
        }),
    )
}

pub(super) fn service(hostname: &str, ip: [u8; 4]) -> Resource {
    address(
        &format!("default/{hostname}"),
        address::Type::Service(workload::Service {
            namespace: "default".to_owned(),
            hostname: hostname.to_owned(),
            addresses: vec![workload::NetworkAddress {
                network: String::new(),
                address: Bytes::copy_from_slice(&ip),
                length: None,
            }],
            ..workload::Service::default()
        }),
    )
}

pub(super) fn policy(name: &str, action: i32) -> Resource {
    let message = security::Authorization {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        scope: 1,
        action,
        ..security::Authorization::default()
    };
    let name = format!("default/{name}");
    resource(AUTHORIZATION_TYPE, &name, message.encode_to_vec())
}

/// A workload that cannot be read.
pub(super) fn broken(uid: &str) -> Resource {
    address(
        uid,
        address::Type::Workload(workload::Workload {
            uid: uid.to_owned(),
            addresses: vec![Bytes::from_static(&[1, 2, 3])],
            ..workload::Workload::default()
        }),
    )
}

pub(super) fn response(
    type_url: &str,
    nonce: &str,
    resources: Vec<Resource>,
    removed: &[&str],
) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        resources,
        type_url: type_url.to_owned(),
        nonce: nonce.to_owned(),
        removed_resources: removed.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryResponse::default()
    }
}

/// Everything that a snapshot holds, without what only its history decides.
#[derive(Debug, PartialEq)]
pub(super) struct Contents {
    workloads: BTreeMap<String, Workload>,
    services: BTreeMap<String, Service>,
    policies: BTreeMap<String, Authorization>,
    endpoints: BTreeSet<String>,
}

impl Contents {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let web = mesh::ServiceKey::new("default", "web.example");
        Self {
            workloads: snapshot
                .iter_workloads()
                .map(|workload| (workload.uid.to_string(), Workload::clone(workload)))
                .collect(),
            services: snapshot
                .iter_services()
                .map(|service| (service.key().to_string(), Service::clone(service)))
                .collect(),
            policies: snapshot
                .iter_policies()
                .map(|policy| (policy.key.to_string(), Authorization::clone(policy)))
                .collect(),
            endpoints: snapshot
                .endpoints(&web)
                .into_iter()
                .flat_map(|endpoints| endpoints.iter())
                .map(|workload| workload.uid.to_string())
                .collect(),
        }
    }

    pub(super) fn names(&self) -> Vec<&str> {
        let all = self.workloads.keys().chain(self.services.keys());
        all.chain(self.policies.keys())
            .map(String::as_str)
            .collect()
    }
}

/// Takes a response in, `max` resources at a time.
pub(super) fn take(
    session: &mut Session,
    snapshot: &mut Snapshot,
    response: DeltaDiscoveryResponse,
    max: usize,
) -> Vec<DeltaDiscoveryRequest> {
    let mut taking = session.take(response);
    while let Some(slice) = session.slice(&mut taking, max) {
        if let Some(delta) = slice.delta {
            *snapshot = snapshot.apply(delta);
        }
    }
    session.finish(taking)
}

/// A control plane that knows what each stream was told.
#[derive(Debug, Default)]
struct Plane {
    resources: BTreeMap<(&'static str, String), Resource>,
    /// What the client has, as the plane believes.
    told: BTreeMap<(&'static str, String), String>,
}

impl Plane {
    /// A new stream: the client says what it has.
    fn accept(&mut self, requests: &[DeltaDiscoveryRequest]) {
        for request in requests {
            let of = type_of(&request.type_url);
            for (name, version) in &request.initial_resource_versions {
                self.told.insert((of, name.clone()), version.clone());
            }
        }
    }

    /// What the client lacks of a type.
    fn push(&mut self, of: &'static str) -> DeltaDiscoveryResponse {
        let resources = self
            .resources
            .iter()
            .filter(|(key, resource)| key.0 == of && self.told.get(key) != Some(&resource.version));
        let resources: Vec<Resource> = resources.map(|(_, resource)| resource.clone()).collect();
        let gone = self.told.keys();
        let gone: Vec<String> = gone
            .filter(|key| key.0 == of && !self.resources.contains_key(*key))
            .map(|key| key.1.clone())
            .collect();
        self.told.retain(|key, _| key.0 != of);
        for (key, resource) in &self.resources {
            if key.0 == of {
                self.told.insert(key.clone(), resource.version.clone());
            }
        }
        let mut response = response(of, "n", resources, &[]);
        response.removed_resources = gone;
        response
    }
}

fn type_of(url: &str) -> &'static str {
    if url == ADDRESS_TYPE {
        ADDRESS_TYPE
    } else {
        AUTHORIZATION_TYPE
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pod(u8, u8, u8),
    Service(u8, u8),
    Policy(u8, bool),
    Remove(u8),
    /// A version that cannot be read: what was there stays.
    Break(u8),
    Push(usize),
    Reconnect(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8, 0..4_u8, 0..3_u8).prop_map(|(pod, ip, node)| Step::Pod(pod, ip, node)),
        2 => (0..3_u8, 0..3_u8).prop_map(|(service, ip)| Step::Service(service, ip)),
        2 => (0..3_u8, any::<bool>()).prop_map(|(policy, deny)| Step::Policy(policy, deny)),
        3 => (0..12_u8).prop_map(Step::Remove),
        1 => (0..6_u8).prop_map(Step::Break),
        4 => (1..6_usize).prop_map(Step::Push),
        1 => (1..6_usize).prop_map(Step::Reconnect),
    ]
}

fn push(session: &mut Session, snapshot: &mut Snapshot, plane: &mut Plane, max: usize) {
    for of in [AUTHORIZATION_TYPE, ADDRESS_TYPE] {
        let response = plane.push(of);
        for request in take(session, snapshot, response, max) {
            if request.node.is_some() {
                plane.accept(&[request]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changes_in_any_slices_over_any_streams_end_where_one_delta_ends(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let mut plane = Plane::default();
        let mut session = Session::new(Node::default(), Role::NodeProxy, false);
        let mut snapshot = Snapshot::default();
        plane.accept(&session.open(Vec::new()));
        // What must be in force: the last version that can be read, of each resource that is there.
        let mut good: BTreeMap<(&'static str, String), Resource> = BTreeMap::new();
        for step in steps {
            let put = match step {
                Step::Pod(pod, ip, node) => Some((
                    ADDRESS_TYPE,
                    pod_of(&format!("c//Pod/default/{pod}"), [10, 0, 0, ip], &format!("node-{node}")),
                )),
                Step::Service(number, ip) => {
                    Some((ADDRESS_TYPE, service(&format!("s{number}.example"), [10, 96, 0, ip])))
                }
                Step::Policy(number, deny) => {
                    Some((AUTHORIZATION_TYPE, policy(&format!("p{number}"), i32::from(deny))))
                }
                Step::Break(pod) => {
                    // Of one that stands, or was never there; what went before a push would be forgotten in between.
                    push(&mut session, &mut snapshot, &mut plane, 3);
                    let resource = broken(&format!("c//Pod/default/{pod}"));
                    plane.resources.insert((ADDRESS_TYPE, resource.name.clone()), resource);
                    push(&mut session, &mut snapshot, &mut plane, 3);
                    None
                }
                Step::Remove(number) => {
                    let key = plane.resources.keys().nth(usize::from(number)).cloned();
                    if let Some(key) = key {
                        plane.resources.remove(&key);
                        good.remove(&key);
                        // Seen as gone, or a broken version after it would find an earlier one in force.
                        push(&mut session, &mut snapshot, &mut plane, 2);
                    }
                    None
                }
                Step::Push(max) => {
                    push(&mut session, &mut snapshot, &mut plane, max);
                    None
                }
                Step::Reconnect(max) => {
                    session.close(false);
                    plane.told.clear();
                    plane.accept(&session.open(Vec::new()));
                    push(&mut session, &mut snapshot, &mut plane, max);
                    None
                }
            };
            if let Some((of, resource)) = put {
                let key = (of, resource.name.clone());
                plane.resources.insert(key.clone(), resource.clone());
                good.insert(key, resource);
            }
        }
        push(&mut session, &mut snapshot, &mut plane, 4);

        let mut at_once = Session::new(Node::default(), Role::NodeProxy, false);
        let mut expected = Snapshot::default();
        for of in [AUTHORIZATION_TYPE, ADDRESS_TYPE] {
            let all = good.iter().filter(|(key, _)| key.0 == of);
            let all = all.map(|(_, resource)| resource.clone()).collect();
            take(&mut at_once, &mut expected, response(of, "n", all, &[]), usize::MAX);
        }
        prop_assert_eq!(Contents::of(&snapshot), Contents::of(&expected));
        // And the other way round: what the session believes to have is what is in force.
        let (addresses, _) = session.report(ADDRESS_TYPE).unwrap();
        let (policies, _) = session.report(AUTHORIZATION_TYPE).unwrap();
        prop_assert_eq!(addresses + policies, Contents::of(&snapshot).names().len());
    }
}
