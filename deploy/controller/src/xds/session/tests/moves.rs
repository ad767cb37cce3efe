//! Whatever is published, lost, refused and begun again: a policy that is moved from one type to another is never nowhere in what a
//! client of ours has in force.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use proptest::{collection::vec, prelude::*};
use wire::proto::{
    ADDRESS_TYPE, AUTHORIZATION_TYPE, BACKEND_POLICY_TYPE, ROUTE_TABLE_TYPE, SETTINGS_TYPE,
    discovery::DeltaDiscoveryResponse,
    waypoint::{RouteTable, Settings},
};

use super::Session;
use crate::{
    output::{Account, Output, Resource, ResourceType},
    publish::Publisher,
    xds::{
        testkit::{ack, back, policy, read, workload},
        viewer::{Scope, Viewer},
    },
};

/// In the order in which a waypoint asks.
const TYPES: [&str; 5] = [
    SETTINGS_TYPE,
    BACKEND_POLICY_TYPE,
    ROUTE_TABLE_TYPE,
    AUTHORIZATION_TYPE,
    ADDRESS_TYPE,
];
const PORTS: u32 = 3;
/// What stands where the policy is.
const POLICY: &str = "AuthorizationPolicy ns/p";

#[derive(Clone, Debug)]
enum Step {
    /// The policy goes to the Gateway (0) or to a port; what else there is changes, or not.
    Move(u32, Option<u8>),
    /// A port that the policy is not on comes or goes.
    Port(u32),
    Other(u8),
    Hear,
    /// Says what is to be said to everything that was taken in.
    Say,
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..=PORTS, proptest::option::of(0..4_u8)).prop_map(|(to, other)| Step::Move(to, other)),
        1 => (1..=PORTS).prop_map(Step::Port),
        2 => (0..4_u8).prop_map(Step::Other),
        10 => Just(Step::Hear),
        5 => Just(Step::Say),
        1 => Just(Step::Reconnect),
    ]
}

fn account() -> Account {
    Account {
        namespace: "ns".into(),
        name: "gate".into(),
    }
}

fn settings(has: bool) -> Resource {
    let settings = Settings {
        namespace: "ns".to_owned(),
        gateway: "gate".to_owned(),
        unenforced: has.then(|| POLICY.to_owned()).into_iter().collect(),
        ..Settings::default()
    };
    Resource::Settings(Box::new(settings), account())
}

fn table(port: u32, has: bool) -> Resource {
    let table = RouteTable {
        service: "ns/web".to_owned(),
        port,
        unenforced: has.then(|| POLICY.to_owned()).into_iter().collect(),
        ..RouteTable::default()
    };
    Resource::RouteTable(table, vec![account()])
}

/// What the mesh is, as the test knows it.
struct Mesh {
    publisher: Publisher,
    /// 0 is the Gateway.
    at: u32,
    ports: Vec<u32>,
}

impl Mesh {
    fn new() -> Self {
        let mesh = Self {
            publisher: Publisher::new(),
            at: 0,
            ports: Vec::new(),
        };
        mesh.publisher.apply(Output {
            puts: vec![settings(true)],
            ..Output::default()
        });
        mesh
    }

    fn publish(&mut self, step: &Step) {
        let mut output = Output::default();
        let mut other = |number: u8| {
            output
                .puts
                .push(workload("w", [10, 0, 0, number], "n", &[]));
            output.puts.push(policy("ns", "l4", i32::from(number % 2)));
        };
        match *step {
            Step::Move(to, changed) => {
                changed.into_iter().for_each(&mut other);
                let from = std::mem::replace(&mut self.at, to);
                for (place, has) in [(from, false), (to, true)] {
                    if place > 0 && !self.ports.contains(&place) {
                        self.ports.push(place);
                    }
                    output.puts.push(match place {
                        0 => settings(has),
                        port => table(port, has),
                    });
                }
            }
            Step::Port(port) if port == self.at => {}
            Step::Port(port) if self.ports.contains(&port) => {
                self.ports.retain(|known| *known != port);
                output
                    .removals
                    .push((ResourceType::RouteTable, format!("ns/web:{port}")));
            }
            Step::Port(port) => {
                self.ports.push(port);
                output.puts.push(table(port, false));
            }
            Step::Other(number) => other(number),
            Step::Hear | Step::Say | Step::Reconnect => return,
        }
        self.publisher.apply(output);
    }
}

/// What a client has, by type and name: the version, and whether the policy stands there.
type Held = BTreeMap<(&'static str, String), (String, bool)>;

/// A client that holds back what is not whole.
struct Client {
    session: Session,
    lives: u32,
    /// How many types were ever answered.
    synced: usize,
    asked: usize,
    group: Vec<DeltaDiscoveryResponse>,
    /// What has to be said.
    said: VecDeque<wire::proto::discovery::DeltaDiscoveryRequest>,
    in_force: Held,
}

impl Client {
    fn new() -> Self {
        let mut client = Self {
            session: session(0),
            lives: 0,
            synced: 0,
            asked: 0,
            group: Vec::new(),
            said: VecDeque::new(),
            in_force: Held::new(),
        };
        client.connect();
        client
    }

    fn connect(&mut self) {
        self.lives += 1;
        self.session = session(self.lives);
        self.group.clear();
        self.said.clear();
        self.asked = 0;
        let mut requests = Vec::new();
        while self.asked < TYPES.len() && self.asked <= self.synced {
            requests.push(self.first_request());
        }
        for (after, request) in (0..).zip(requests.iter_mut().rev()) {
            request.followed_by = after;
        }
        self.said.extend(requests);
        // They may all be under way for a while.
    }

    fn first_request(&mut self) -> wire::proto::discovery::DeltaDiscoveryRequest {
        let of = TYPES[self.asked];
        self.asked += 1;
        let held = self.in_force.iter().filter(|((known, _), _)| *known == of);
        let versions = held.map(|((_, name), (version, _))| (name.clone(), version.clone()));
        back(of, versions.collect())
    }

    fn say(&mut self) {
        if let Some(request) = self.said.pop_front() {
            self.session.request(request, net::clock::now()).unwrap();
        }
    }

    fn hear(&mut self, mesh: &Mesh) -> bool {
        let snapshot = mesh.publisher.view().load();
        let Some((_, message)) = self.session.next(&snapshot) else {
            return false;
        };
        let response = read(message);
        if let Some(before) = self.group.last() {
            assert_eq!(response.followed_by + 1, before.followed_by);
        }
        let whole = response.followed_by == 0;
        self.group.push(response);
        if whole {
            self.publish();
        }
        true
    }

    fn publish(&mut self) {
        for response in std::mem::take(&mut self.group) {
            let of = *TYPES.iter().find(|of| **of == response.type_url).unwrap();
            for resource in &response.resources {
                let content = resource.resource.as_ref().unwrap().value.clone();
                let has = content
                    .windows(POLICY.len())
                    .any(|part| part == POLICY.as_bytes());
                self.in_force
                    .insert((of, resource.name.clone()), (resource.version.clone(), has));
            }
            for name in &response.removed_resources {
                self.in_force.remove(&(of, name.clone()));
            }
            self.said.push_back(ack(&response));
            let place = TYPES.iter().position(|known| *known == of).unwrap();
            if place >= self.synced {
                self.synced = place + 1;
                if self.asked < TYPES.len() {
                    let next = self.first_request();
                    self.said.push_back(next);
                }
            }
        }
    }

    fn has_policy(&self) -> bool {
        self.in_force.values().any(|(_, has)| *has)
    }

    /// Whether it takes anybody in: before, it knows nothing of what holds.
    fn serves(&self) -> bool {
        self.synced == TYPES.len()
    }
}

fn session(prefix: u32) -> Session {
    let viewer = Viewer {
        scope: Scope::Waypoint {
            root: "istio-system".into(),
            account: account(),
        },
        node: None,
    };
    Session::new(&Arc::new(viewer), prefix)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_policy_that_moves_between_types_is_never_nowhere(steps in vec(step(), 0..200)) {
        let mut mesh = Mesh::new();
        let mut client = Client::new();
        for step in &steps {
            match step {
                Step::Hear => {
                    client.hear(&mesh);
                }
                Step::Say => client.say(),
                Step::Reconnect => client.connect(),
                Step::Move(..) | Step::Port(_) | Step::Other(_) => mesh.publish(step),
            }
            prop_assert!(!client.serves() || client.has_policy(), "after {:?}", step);
        }
        while client.hear(&mesh) || !client.said.is_empty() {
            client.say();
            prop_assert!(!client.serves() || client.has_policy());
        }
        prop_assert!(client.serves());
        // And it is where it should be, nowhere else.
        let snapshot = mesh.publisher.view().load();
        let at: Vec<_> = client.in_force.iter().filter(|(_, (_, has))| *has).collect();
        prop_assert_eq!(at.len(), 1);
        let name = match mesh.at {
            0 => "ns/gate".to_owned(),
            port => format!("ns/web:{port}"),
        };
        prop_assert_eq!(&at[0].0.1, &name);
        prop_assert_eq!(
            client.in_force.keys().filter(|(of, _)| *of == ROUTE_TABLE_TYPE).count(),
            snapshot.len(ResourceType::RouteTable)
        );
    }
}
