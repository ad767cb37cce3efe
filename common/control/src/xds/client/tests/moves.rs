//! Whatever comes, breaks off and cannot be read: a policy that moves from the settings to a table and back is in every snapshot.

use std::{collections::BTreeMap, sync::Arc};

use mesh::{Snapshot, route::RouteKey};
use proptest::{collection::vec, prelude::*};
use prost::Message as _;
use wire::proto::{
    ADDRESS_TYPE, AUTHORIZATION_TYPE, BACKEND_POLICY_TYPE, ROUTE_TABLE_TYPE, SETTINGS_TYPE,
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource},
    waypoint::{RouteTable, Settings},
};

use super::super::{Client, Group};
use crate::{
    publish::Publisher,
    xds::{
        Demand, Node, Role, XdsStatus,
        session::Session,
        tests::{broken, pod, resource, response},
    },
};

const TYPES: [&str; 5] = [
    SETTINGS_TYPE,
    BACKEND_POLICY_TYPE,
    ROUTE_TABLE_TYPE,
    AUTHORIZATION_TYPE,
    ADDRESS_TYPE,
];
const PORTS: u16 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// To the settings (0) or to a port, while pods come that can be read or not.
    Move(u16, Vec<(u8, bool)>),
    /// As many responses of the group come through.
    Push(usize),
    /// The stream breaks, and another begins.
    Break,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..=PORTS, vec((0..6_u8, any::<bool>()), 0..4)).prop_map(|(to, pods)| Step::Move(to, pods)),
        4 => (1..6_usize).prop_map(Step::Push),
        1 => Just(Step::Break),
    ]
}

fn named(has: bool) -> Vec<String> {
    let name = "AuthorizationPolicy ns/p".to_owned();
    if has { vec![name] } else { Vec::new() }
}

fn settings(has: bool) -> Resource {
    let message = Settings {
        namespace: "ns".to_owned(),
        gateway: "gate".to_owned(),
        unenforced: named(has),
        ..Settings::default()
    };
    resource(SETTINGS_TYPE, "ns/gate", message.encode_to_vec())
}

fn table(port: u16, has: bool) -> Resource {
    let message = RouteTable {
        service: "ns/web.example".to_owned(),
        port: port.into(),
        unenforced: named(has),
        ..RouteTable::default()
    };
    let name = format!("ns/web.example:{port}");
    resource(ROUTE_TABLE_TYPE, &name, message.encode_to_vec())
}

/// The control plane: what there is, and what the client was told on this stream.
struct Plane {
    at: u16,
    resources: BTreeMap<(&'static str, String), Resource>,
    told: BTreeMap<(&'static str, String), String>,
    asked: Vec<&'static str>,
    /// What is under way.
    group: Vec<DeltaDiscoveryResponse>,
}

impl Plane {
    fn put(&mut self, of: &'static str, resource: Resource) {
        self.resources.insert((of, resource.name.clone()), resource);
    }

    fn change(&mut self, to: u16, pods: &[(u8, bool)]) {
        self.at = to;
        self.put(SETTINGS_TYPE, settings(to == 0));
        for port in 1..=PORTS {
            self.put(ROUTE_TABLE_TYPE, table(port, to == port));
        }
        for (number, readable) in pods {
            let name = format!("pod-{number}");
            let pod = if *readable {
                pod(&name, [10, 0, 0, *number])
            } else {
                broken(&name)
            };
            self.put(ADDRESS_TYPE, pod);
        }
    }

    fn hear(&mut self, request: &DeltaDiscoveryRequest) {
        let of = TYPES.into_iter().find(|of| *of == request.type_url);
        let of = of.unwrap();
        if request.node.is_some() {
            self.asked.push(of);
            for (name, version) in &request.initial_resource_versions {
                self.told.insert((of, name.clone()), version.clone());
            }
            // The first request of a type is answered in any case.
            self.told.insert((of, String::new()), String::new());
        }
    }

    /// The next response, of a new group if there is none.
    fn next(&mut self) -> Option<DeltaDiscoveryResponse> {
        if self.group.is_empty() {
            for of in TYPES.into_iter().filter(|of| self.asked.contains(of)) {
                let all = self.resources.iter().filter(|(key, _)| key.0 == of);
                let new = all.filter(|(key, it)| self.told.get(*key) != Some(&it.version));
                let new: Vec<_> = new.map(|(_, resource)| resource.clone()).collect();
                let owed = self.told.remove(&(of, String::new())).is_some();
                for resource in &new {
                    let key = (of, resource.name.clone());
                    self.told.insert(key, resource.version.clone());
                }
                if owed || !new.is_empty() {
                    self.group.push(response(of, "n", new, &[]));
                }
            }
            self.group.reverse();
            for (after, response) in (0..).zip(&mut self.group) {
                response.followed_by = after;
            }
        }
        self.group.pop()
    }
}

fn has_policy(snapshot: &Snapshot) -> bool {
    let settings = snapshot.waypoint_settings("ns", "gate");
    let of_port = |port| {
        let key = RouteKey::new(mesh::ServiceKey::new("ns", "web.example"), port);
        let table = snapshot.routes(&key);
        table.is_some_and(|table| !table.unenforced.is_empty())
    };
    settings.is_some_and(|settings| !settings.unenforced.is_empty()) || (1..=PORTS).any(of_port)
}

/// Both sides of streams.
struct World {
    plane: Plane,
    client: Client,
    group: Group,
}

impl World {
    fn new() -> Self {
        let mut plane = Plane {
            at: 0,
            resources: BTreeMap::new(),
            told: BTreeMap::new(),
            asked: Vec::new(),
            group: Vec::new(),
        };
        plane.change(0, &[]);
        let client = Client {
            session: Session::new(Node::default().message(), Role::Waypoint, false),
            publisher: Arc::new(Publisher::new()),
            status: XdsStatus::new(Role::Waypoint),
            demand: Demand::new(false),
            delivered: false,
        };
        let mut world = Self {
            plane,
            client,
            group: Group::default(),
        };
        world.begin();
        world
    }

    /// Another stream.
    fn begin(&mut self) {
        self.client.session.close(false);
        self.group = Group::default();
        self.plane.told.clear();
        self.plane.asked.clear();
        self.plane.group.clear();
        for request in self.client.session.open(Vec::new()) {
            self.plane.hear(&request);
        }
    }

    /// One response; whether there was one.
    async fn push(&mut self) -> bool {
        let Some(response) = self.plane.next() else {
            return false;
        };
        let before = self.client.publisher.version();
        if let Some(responses) = self.group.add(response).unwrap() {
            for request in self.client.take(responses).await {
                self.plane.hear(&request);
            }
        }
        let snapshot = self.client.publisher.view().load();
        assert!(snapshot.version <= before + 1, "half a group was published");
        assert!(
            !self.client.status.is_ready() || has_policy(&snapshot),
            "the policy is nowhere"
        );
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_policy_that_moves_is_in_every_snapshot(steps in vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for step in &steps {
                match step {
                    Step::Move(to, pods) => world.plane.change(*to, pods),
                    Step::Push(count) => {
                        for _ in 0..*count {
                            world.push().await;
                        }
                    }
                    Step::Break => world.begin(),
                }
            }
            while world.push().await {}
            assert!(world.client.status.is_ready());
            let snapshot = world.client.publisher.view().load();
            let settings = snapshot.waypoint_settings("ns", "gate").unwrap();
            assert_eq!(settings.unenforced.is_empty(), world.plane.at != 0);
        });
    }
}
