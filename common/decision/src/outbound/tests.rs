//! Where connections go: the order of the rules.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use mesh::{
    Delta, Resource, San, Service, ServiceKey, Snapshot, Workload,
    service::{
        GatewayAddress, GatewayDestination, HealthPolicy, IpFamilies, LoadBalancing,
        LoadBalancingMode, NetworkAddress, PortMap,
    },
    workload::{Health, Tunnel},
};

use super::{Facts, OWN_PORTS, Plan, Planned, Refusal, Via, plan};

mod choice;
mod locality;
mod lookup;
mod waypoint;

/// A mesh in the making.
#[derive(Default)]
struct Mesh(Vec<Resource>);

impl Mesh {
    fn with(mut self, workload: Workload) -> Self {
        self.0.push(Resource::Workload(Arc::new(workload)));
        self
    }

    fn serving(mut self, service: Service) -> Self {
        self.0.push(Resource::Service(Arc::new(service)));
        self
    }

    fn build(self) -> Snapshot {
        Snapshot::default().apply(Delta {
            upserts: self.0,
            removals: Vec::new(),
        })
    }

    /// The plan for a connection of `source` to `destination`, with random numbers of a fixed seed.
    fn plan(self, source: &Workload, destination: &str) -> Result<Plan, Refusal> {
        plan_in(&self.build(), source, destination, &mut seeded(1))
    }
}

/// The plan of a connection for which no name has to be resolved.
fn plan_in(
    snapshot: &Snapshot,
    source: &Workload,
    destination: &str,
    random: &mut dyn FnMut() -> u64,
) -> Result<Plan, Refusal> {
    match planned_in(snapshot, source, destination, random)? {
        Planned::Ready(plan) => Ok(plan),
        Planned::Lookup(lookup) => panic!("{lookup:?}"),
    }
}

fn planned_in(
    snapshot: &Snapshot,
    source: &Workload,
    destination: &str,
    random: &mut dyn FnMut() -> u64,
) -> Result<Planned, Refusal> {
    plan(
        snapshot,
        &Facts {
            source: &Arc::new(source.clone()),
            destination: address(destination),
        },
        random,
    )
}

/// A seeded source (splitmix64), so that what fails once fails always.
fn seeded(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn sans(names: &[&str]) -> Vec<San> {
    names.iter().map(|name| San::from(*name)).collect()
}

/// An HBONE pod of namespace `default`, whose service account has its name.
fn pod(name: &str, ips: &[&str]) -> Workload {
    Workload {
        uid: format!("Kubernetes//Pod/default/{name}").into(),
        name: name.into(),
        namespace: "default".into(),
        service_account: name.into(),
        ips: ips.iter().map(|text| ip(text)).collect(),
        tunnel: Tunnel::Hbone,
        ..Workload::default()
    }
}

fn client() -> Workload {
    pod("client", &["10.0.0.1", "fd00::1"])
}

fn ports(ports: &[(u16, u16)]) -> PortMap {
    PortMap(
        ports
            .iter()
            .map(|(port, target)| (*port, (*target).try_into().ok()))
            .collect(),
    )
}

fn reviews_key() -> ServiceKey {
    ServiceKey::new("default", "reviews.default.svc.cluster.local")
}

/// `reviews` at 10.96.0.1 and fd00:96::1, port 80 with target 8080.
fn reviews() -> Service {
    let vip = |text| NetworkAddress {
        network: "".into(),
        ip: ip(text),
        prefix_length: None,
    };
    Service {
        name: "reviews".into(),
        namespace: "default".into(),
        hostname: reviews_key().hostname,
        vips: vec![vip("10.96.0.1"), vip("fd00:96::1")],
        ports: ports(&[(80, 8080)]),
        ..Service::default()
    }
}

/// An endpoint of `reviews` that serves port 80 on 9080.
fn reviewer(name: &str, ips: &[&str]) -> Workload {
    Workload {
        services: [(reviews_key(), ports(&[(80, 9080)]))].into(),
        ..pod(name, ips)
    }
}

fn passthrough(destination: &str) -> Plan {
    Plan::Passthrough {
        destination: address(destination),
        service: None,
    }
}

fn no_upstream() -> Refusal {
    Refusal::NoHealthyUpstream {
        service: reviews_key(),
    }
}

/// The name of the workload that a plan goes to first.
fn name(plan: &Result<Plan, Refusal>) -> &str {
    plan.as_ref().unwrap().workload().unwrap().name.as_str()
}

/// The authority, or where the connection goes without a tunnel.
fn target(plan: &Result<Plan, Refusal>) -> String {
    match plan.as_ref().unwrap() {
        Plan::Passthrough { destination, .. } | Plan::Plain { destination, .. } => {
            destination.to_string()
        }
        Plan::Hbone { authority, .. } => authority.to_string(),
    }
}

#[test]
fn our_own_ports_are_refused_on_our_own_addresses() {
    for port in OWN_PORTS {
        for ip in [
            "10.0.0.1",
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "[fd00::1]",
            "[::1]",
            "[::]",
            "[::ffff:10.0.0.1]",
        ] {
            let plan = Mesh::default()
                .with(client())
                .plan(&client(), &format!("{ip}:{port}"));
            assert_eq!(plan, Err(Refusal::SelfCall), "{ip}:{port}");
        }
    }
    assert_eq!(
        Refusal::SelfCall.to_string(),
        "attempted recursive call to ourselves"
    );
}

#[test]
fn other_ports_of_our_own_addresses_go_on_as_they_are() {
    for destination in [
        "10.0.0.1:8080",
        "127.0.0.1:8080",
        "[fd00::1]:8080",
        "[::1]:15053",
    ] {
        assert_eq!(
            Mesh::default().with(client()).plan(&client(), destination),
            Ok(passthrough(destination))
        );
    }
}

#[test]
fn our_ports_on_somebody_elses_address_are_ports_like_any_other() {
    let other = pod("other", &["10.0.0.2"]);
    assert_eq!(
        target(
            &Mesh::default()
                .with(other)
                .plan(&client(), "10.0.0.2:15008")
        ),
        "10.0.0.2:15008"
    );
    assert_eq!(
        Mesh::default().plan(&client(), "192.0.2.1:15001"),
        Ok(passthrough("192.0.2.1:15001"))
    );
}

#[test]
fn what_nobody_knows_goes_on_as_it_is() {
    let mesh = || Mesh::default().with(client()).serving(reviews());
    assert_eq!(
        mesh().plan(&client(), "192.0.2.1:443"),
        Ok(passthrough("192.0.2.1:443"))
    );
    assert_eq!(
        mesh().plan(&client(), "[2001:db8::1]:443"),
        Ok(passthrough("[2001:db8::1]:443"))
    );
    assert_eq!(
        mesh().plan(&client(), "[::ffff:192.0.2.1]:443"),
        Ok(passthrough("192.0.2.1:443"))
    );
}

#[test]
fn an_address_of_another_network_is_nobody_we_know() {
    let other = Workload {
        network: "west".into(),
        ..pod("other", &["10.0.0.2"])
    };
    assert_eq!(
        Mesh::default().with(other).plan(&client(), "10.0.0.2:80"),
        Ok(passthrough("10.0.0.2:80"))
    );
}

#[test]
fn a_workload_is_reached_through_a_tunnel_to_itself() {
    let other = pod("other", &["10.0.0.2"]);
    assert_eq!(
        Mesh::default()
            .with(other.clone())
            .plan(&client(), "10.0.0.2:8080"),
        Ok(Plan::Hbone {
            peer: address("10.0.0.2:15008"),
            authority: address("10.0.0.2:8080"),
            expected: sans(&["spiffe://cluster.local/ns/default/sa/other"]),
            via: Via::Endpoint,
            workload: Arc::new(other),
            service: None,
        })
    );
}

#[test]
fn a_workload_without_hbone_is_reached_plainly() {
    let other = Workload {
        tunnel: Tunnel::None,
        ..pod("other", &["fd00::2"])
    };
    assert_eq!(
        Mesh::default()
            .with(other.clone())
            .plan(&client(), "[fd00::2]:8080"),
        Ok(Plan::Plain {
            destination: address("[fd00::2]:8080"),
            workload: Arc::new(other),
            service: None
        })
    );
}

#[test]
fn a_vip_leads_to_an_endpoint_on_its_own_target_port() {
    let endpoint = reviewer("v1", &["10.0.0.2"]);
    assert_eq!(
        Mesh::default()
            .with(endpoint.clone())
            .serving(reviews())
            .plan(&client(), "10.96.0.1:80"),
        Ok(Plan::Hbone {
            peer: address("10.0.0.2:15008"),
            authority: address("10.0.0.2:9080"),
            expected: sans(&["spiffe://cluster.local/ns/default/sa/v1"]),
            via: Via::Endpoint,
            workload: Arc::new(endpoint),
            service: Some(Arc::new(reviews())),
        })
    );
}

#[test]
fn an_endpoint_without_hbone_is_reached_plainly() {
    let endpoint = Workload {
        tunnel: Tunnel::None,
        ..reviewer("v1", &["10.0.0.2"])
    };
    assert_eq!(
        Mesh::default()
            .with(endpoint.clone())
            .serving(reviews())
            .plan(&client(), "10.96.0.1:80"),
        Ok(Plan::Plain {
            destination: address("10.0.0.2:9080"),
            workload: Arc::new(endpoint),
            service: Some(Arc::new(reviews())),
        })
    );
}

#[test]
fn a_services_own_names_are_expected_beside_the_workloads() {
    let service = Service {
        subject_alt_names: vec![
            "spiffe://other.example/ns/x/sa/y".into(),
            "spiffe://a.example/first".into(),
            "spiffe://cluster.local/ns/default/sa/v1".into(),
        ],
        ..reviews()
    };
    let plan = Mesh::default()
        .with(reviewer("v1", &["10.0.0.2"]))
        .serving(service)
        .plan(&client(), "10.96.0.1:80");
    let Ok(Plan::Hbone { expected, .. }) = plan else {
        panic!("{plan:?}")
    };
    assert_eq!(
        expected,
        sans(&[
            "spiffe://a.example/first",
            "spiffe://cluster.local/ns/default/sa/v1",
            "spiffe://other.example/ns/x/sa/y"
        ])
    );
}

#[test]
fn a_port_that_the_service_lacks_is_named() {
    let plan = Mesh::default()
        .with(reviewer("v1", &["10.0.0.2"]))
        .serving(reviews())
        .plan(&client(), "10.96.0.1:81");
    assert_eq!(
        plan,
        Err(Refusal::UnknownPort {
            service: reviews_key(),
            port: 81
        })
    );
    assert_eq!(
        plan.unwrap_err().to_string(),
        "service default/reviews.default.svc.cluster.local has no port 81"
    );
}

#[test]
fn our_own_vip_may_lead_back_to_ourselves() {
    let source = reviewer("client", &["10.0.0.1"]);
    let plan = Mesh::default()
        .with(source.clone())
        .serving(reviews())
        .plan(&source, "10.96.0.1:80");
    assert_eq!(name(&plan), "client");
    assert_eq!(target(&plan), "10.0.0.1:9080");
}

#[test]
fn a_vip_is_looked_up_for_the_namespace_of_the_client() {
    let key = ServiceKey::new("team", "reviews.default.svc.cluster.local");
    let theirs = Service {
        namespace: "team".into(),
        ..reviews()
    };
    let endpoint = Workload {
        services: [(key, ports(&[(80, 1)]))].into(),
        ..pod("theirs", &["10.0.0.3"])
    };
    let mesh = Mesh::default()
        .with(reviewer("v1", &["10.0.0.2"]))
        .with(endpoint)
        .serving(reviews())
        .serving(theirs);
    let snapshot = mesh.build();
    let from = |namespace: &str| {
        let source = Workload {
            namespace: namespace.into(),
            ..client()
        };
        plan_in(&snapshot, &source, "10.96.0.1:80", &mut seeded(1))
    };
    assert_eq!(name(&from("team")), "theirs");
    assert_eq!(name(&from("default")), "v1");
}

/// `external` owns 192.0.2.0/24 and keeps what was dialled.
fn external() -> Service {
    Service {
        namespace: "default".into(),
        hostname: "external.example".into(),
        vips: vec![NetworkAddress {
            network: "".into(),
            ip: ip("192.0.2.0"),
            prefix_length: Some(24),
        }],
        load_balancing: LoadBalancing {
            mode: LoadBalancingMode::Passthrough,
            ..LoadBalancing::default()
        },
        ..Service::default()
    }
}

#[test]
fn a_service_in_passthrough_mode_keeps_the_original_destination() {
    assert_eq!(
        Mesh::default()
            .serving(external())
            .plan(&client(), "192.0.2.7:443"),
        Ok(Plan::Passthrough {
            destination: address("192.0.2.7:443"),
            service: Some(Arc::new(external()))
        })
    );
    let known = pod("vm", &["192.0.2.7"]);
    assert_eq!(
        Mesh::default()
            .serving(external())
            .with(known.clone())
            .plan(&client(), "192.0.2.7:443"),
        Ok(Plan::Hbone {
            peer: address("192.0.2.7:15008"),
            authority: address("192.0.2.7:443"),
            expected: sans(&["spiffe://cluster.local/ns/default/sa/vm"]),
            via: Via::Endpoint,
            workload: Arc::new(known),
            service: Some(Arc::new(external())),
        })
    );
}

#[test]
fn the_same_random_numbers_lead_to_the_same_plan() {
    let mut mesh = Mesh::default().serving(reviews());
    for number in 2..200 {
        mesh = mesh.with(reviewer(
            &format!("v{number}"),
            &[&format!("10.0.0.{number}")],
        ));
    }
    let snapshot = mesh.build();
    let plans = |seed| {
        let mut random = seeded(seed);
        (0..20)
            .map(|_| plan_in(&snapshot, &client(), "10.96.0.1:80", &mut random).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(plans(1), plans(1));
    assert_ne!(plans(1), plans(2));
}
