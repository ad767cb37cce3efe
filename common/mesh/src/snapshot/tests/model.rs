//! Random deltas against a model that keeps plain lists and searches them anew for every question.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use proptest::{collection::vec, prelude::*, sample::select, sample::subsequence};

use super::ip;
use crate::{
    Delta, Namespace, Network, Resource, ResourceKey, Service, ServiceKey, Snapshot, Uid, Workload,
    endpoints::{Endpoints, Rank, weight},
    service::{
        HealthPolicy, LoadBalancing, LoadBalancingMode, NetworkAddress, PortMap, Scope, Visibility,
    },
    workload::{Health, Locality, NetworkMode},
};

const NETWORKS: [&str; 2] = ["", "east"];
const NAMESPACES: [&str; 3] = ["a", "b", "c"];
const HOSTNAMES: [&str; 2] = ["one", "two"];
const POD_IPS: [&str; 5] = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "fd00::1", "fd00::2"];
const VIPS: [(&str, Option<u8>); 10] = [
    ("10.96.0.1", None),
    ("10.96.0.1", Some(32)),
    ("10.96.0.2", None),
    ("10.96.0.0", Some(24)),
    // The same range, written with a host bit.
    ("10.96.0.9", Some(24)),
    ("10.0.0.0", Some(8)),
    ("0.0.0.0", Some(0)),
    ("fd00::96", None),
    ("fd00::", Some(64)),
    ("10.96.0.3", Some(64)),
];
const ASKED: [&str; 8] = [
    "10.96.0.1",
    "10.96.0.2",
    "10.96.0.3",
    "10.1.2.3",
    "192.0.2.1",
    "fd00::96",
    "fd00::97",
    "fd01::1",
];

fn keys() -> Vec<ServiceKey> {
    let each = |namespace: &&str| HOSTNAMES.map(|hostname| ServiceKey::new(*namespace, hostname));
    NAMESPACES.iter().flat_map(each).collect()
}

fn uid(number: u8) -> Uid {
    // Every third one is no pod.
    let kind = if number.is_multiple_of(3) {
        "/networking.istio.io/WorkloadEntry"
    } else {
        "//Pod"
    };
    format!("Kubernetes{kind}/ns/w{number}").into()
}

prop_compose! {
    fn workload()(
        number in 0..10_u8,
        // Few names, so that several share one.
        name in 0..4_u8,
        namespace in select(&NAMESPACES[..2]),
        network in select(&NETWORKS[..]),
        ips in subsequence(&POD_IPS[..], 0..3),
        twice in any::<bool>(),
        host_network in prop::bool::weighted(0.15),
        healthy in any::<bool>(),
        capacity in 0..3_u32,
        services in subsequence(keys(), 0..4),
        (region, zone) in (select(&["", "eu"][..]), select(&["a", "b"][..])),
    ) -> Resource {
        let mut ips: Vec<IpAddr> = ips.into_iter().map(ip).collect();
        if twice {
            ips.extend(ips.first().copied());
        }
        Resource::Workload(Arc::new(Workload {
            uid: uid(number),
            name: format!("p{name}").into(),
            namespace: namespace.into(),
            network: network.into(),
            ips,
            network_mode: if host_network { NetworkMode::HostNetwork } else { NetworkMode::Standard },
            health: if healthy { Health::Healthy } else { Health::Unhealthy },
            capacity,
            locality: Locality { region: region.into(), zone: zone.into(), ..Locality::default() },
            services: services.into_iter().map(|key| (key, PortMap::default())).collect(),
            ..Workload::default()
        }))
    }
}

prop_compose! {
    fn service()(
        key in select(keys()),
        vips in subsequence(&VIPS[..], 0..5),
        network in select(&NETWORKS[..]),
        canonical in any::<bool>(),
        public in any::<bool>(),
        routing_preference in subsequence(&[Scope::Network, Scope::Region, Scope::Zone][..], 0..4),
        mode in select(&[LoadBalancingMode::Unspecified, LoadBalancingMode::Strict, LoadBalancingMode::Failover][..]),
    ) -> Resource {
        let vip = |(address, prefix_length)| NetworkAddress { network: network.into(), ip: ip(address), prefix_length };
        Resource::Service(Arc::new(Service {
            namespace: key.namespace,
            hostname: key.hostname,
            vips: vips.into_iter().map(vip).collect(),
            canonical,
            load_balancing: LoadBalancing { routing_preference, mode, ..LoadBalancing::default() },
            visibility: if public { Visibility::Public } else { Visibility::Namespace },
            ..Service::default()
        }))
    }
}

fn delta() -> impl Strategy<Value = Delta> {
    let removal = prop_oneof![
        (0..10_u8).prop_map(|number| ResourceKey::Workload(uid(number))),
        select(keys()).prop_map(ResourceKey::Service),
    ];
    (
        vec(prop_oneof![workload(), service()], 0..6),
        vec(removal, 0..4),
    )
        .prop_map(|(upserts, removals)| Delta { upserts, removals })
}

#[derive(Clone, Default)]
struct Model {
    /// In the order of their last change.
    workloads: Vec<Arc<Workload>>,
    services: BTreeMap<ServiceKey, Arc<Service>>,
}

impl Model {
    fn apply(&mut self, delta: Delta) {
        for key in delta.removals {
            match key {
                ResourceKey::Workload(uid) => self.workloads.retain(|workload| workload.uid != uid),
                ResourceKey::Service(key) => drop(self.services.remove(&key)),
                ResourceKey::Authorization(_)
                | ResourceKey::RouteTable(_)
                | ResourceKey::BackendPolicy(_)
                | ResourceKey::WaypointSettings(_) => {}
            }
        }
        for resource in delta.upserts {
            match resource {
                Resource::Workload(workload) => {
                    if !self.workloads.contains(&workload) {
                        self.workloads.retain(|other| other.uid != workload.uid);
                        self.workloads.push(workload);
                    }
                }
                Resource::Service(service) => drop(self.services.insert(service.key(), service)),
                Resource::Authorization(_)
                | Resource::RouteTable(_)
                | Resource::BackendPolicy(_)
                | Resource::WaypointSettings(_) => {}
            }
        }
    }

    fn best(&self, claims: impl Fn(&Workload) -> bool) -> Option<&Arc<Workload>> {
        let rank = |workload: &Workload| {
            (
                workload.uid.contains("//Pod/"),
                workload.health == Health::Healthy,
            )
        };
        self.workloads
            .iter()
            .filter(|workload| claims(workload))
            .max_by_key(|workload| rank(workload))
    }

    fn by_address(&self, network: &Network, ip: IpAddr) -> Option<&Arc<Workload>> {
        self.best(|workload| {
            workload.network_mode == NetworkMode::Standard
                && workload.network == *network
                && workload.ips.contains(&ip)
        })
    }

    fn by_vip(&self, network: &Network, ip: IpAddr, client: &Namespace) -> Option<&Arc<Service>> {
        /// How many leading bits the two share.
        fn common(a: IpAddr, b: IpAddr) -> Option<u32> {
            match (a, b) {
                (IpAddr::V4(a), IpAddr::V4(b)) => Some((a.to_bits() ^ b.to_bits()).leading_zeros()),
                (IpAddr::V6(a), IpAddr::V6(b)) => Some((a.to_bits() ^ b.to_bits()).leading_zeros()),
                (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
            }
        }
        let whole = if ip.is_ipv4() { 32 } else { 128 };
        let owned = |service: &Service| {
            let lengths = service
                .vips
                .iter()
                .filter(|vip| vip.network == *network)
                .filter_map(|vip| {
                    let length = vip.prefix_length.map_or(whole, u32::from);
                    (length <= whole && common(vip.ip, ip)? >= length).then_some(length)
                });
            lengths.max()
        };
        self.services
            .values()
            .filter(|service| {
                service.visibility == Visibility::Public || service.namespace == *client
            })
            .filter_map(|service| Some((owned(service)?, service)))
            .min_by_key(|(length, service)| {
                (
                    *length != whole,
                    service.namespace != *client,
                    whole - length,
                    !service.canonical,
                    service.namespace.clone(),
                    service.hostname.clone(),
                )
            })
            .map(|(_, service)| service)
    }
}

fn agree(snapshot: &Snapshot, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(snapshot.iter_workloads().len(), model.workloads.len());
    prop_assert_eq!(snapshot.iter_services().len(), model.services.len());
    for number in 0..10 {
        let found = model
            .workloads
            .iter()
            .find(|workload| workload.uid == uid(number));
        prop_assert_eq!(snapshot.workload(&uid(number)), found);
    }
    for network in NETWORKS.map(Network::from) {
        for ip in POD_IPS.map(ip) {
            prop_assert!(model.by_address(&network, ip).is_none() || snapshot.knows(&network, ip));
            prop_assert_eq!(
                snapshot.workload_by_address(&network, ip),
                model.by_address(&network, ip)
            );
        }
        for ip in ASKED.map(ip) {
            for namespace in ["a", "b", "c", "d"].map(Namespace::from) {
                let (found, expected) = (
                    snapshot.service_by_vip(&network, ip, &namespace),
                    model.by_vip(&network, ip, &namespace),
                );
                prop_assert_eq!(found, expected, "{} for {} of {:?}", ip, namespace, network);
            }
            let owned = model.services.values().any(|service| {
                service.vips.iter().any(|vip| {
                    let full = if ip.is_ipv4() { 32 } else { 128 };
                    vip.prefix_length.is_none_or(|length| length == full)
                        && vip.network == network
                        && vip.ip == ip
                })
            });
            let known = owned || model.by_address(&network, ip).is_some();
            prop_assert_eq!(
                snapshot.knows(&network, ip),
                known,
                "{} of {:?}",
                ip,
                network
            );
        }
    }
    for namespace in NAMESPACES {
        for name in ["p0", "p1", "p2", "p3"] {
            let named =
                |workload: &Workload| *workload.namespace == *namespace && *workload.name == *name;
            prop_assert_eq!(
                snapshot.workload_by_pod(namespace, name, "default"),
                model.best(named)
            );
            let count = model
                .workloads
                .iter()
                .filter(|workload| named(workload))
                .count();
            prop_assert_eq!(
                snapshot
                    .workloads_by_pod(namespace, name, "default")
                    .count(),
                count
            );
        }
    }
    for hostname in HOSTNAMES {
        let expected: Vec<_> = model
            .services
            .values()
            .filter(|service| *service.hostname == *hostname)
            .cloned()
            .collect();
        prop_assert_eq!(snapshot.services_by_hostname(hostname), expected);
    }
    for key in keys() {
        prop_assert_eq!(snapshot.service(&key), model.services.get(&key));
        let expected: BTreeMap<_, _> = model
            .workloads
            .iter()
            .filter(|workload| workload.services.contains_key(&key))
            .map(|workload| (&workload.uid, workload))
            .collect();
        let Some(endpoints) = snapshot.endpoints(&key) else {
            prop_assert!(expected.is_empty());
            continue;
        };
        prop_assert_eq!(endpoints.len(), expected.len());
        let found: BTreeMap<_, _> = endpoints
            .iter()
            .map(|workload| (&workload.uid, workload))
            .collect();
        prop_assert_eq!(found, expected.clone());
        if let Some(service) = model.services.get(&key) {
            ranked(endpoints, service, &expected)?;
        }
        for policy in [HealthPolicy::OnlyHealthy, HealthPolicy::AllowAll] {
            prop_assert_eq!(
                endpoints.weight(policy),
                expected
                    .values()
                    .map(|workload| weight(workload, policy))
                    .sum::<u64>()
            );
        }
    }
    Ok(())
}

/// The endpoints are arranged by what the service prefers now, whenever either came.
fn ranked(
    endpoints: &Endpoints,
    service: &Service,
    all: &BTreeMap<&Uid, &Arc<Workload>>,
) -> Result<(), TestCaseError> {
    let client = Workload {
        locality: Locality {
            region: "eu".into(),
            zone: "a".into(),
            ..Locality::default()
        },
        ..Workload::default()
    };
    let LoadBalancing {
        routing_preference,
        mode,
        ..
    } = &service.load_balancing;
    let shares = |scope: &Scope, workload: &Workload| match scope {
        Scope::Region => workload.locality.region == client.locality.region,
        Scope::Zone => workload.locality.zone == client.locality.zone,
        Scope::Network => workload.network == client.network,
        Scope::Subzone | Scope::Node | Scope::Cluster => unreachable!("not in this test"),
    };
    let sharing: BTreeMap<_, _> = all
        .iter()
        .filter(|(_, workload)| {
            *mode == LoadBalancingMode::Unspecified
                || routing_preference
                    .iter()
                    .all(|scope| shares(scope, workload))
        })
        .map(|(uid, workload)| (*uid, *workload))
        .collect();
    let of = |rank: Rank<'_>| {
        rank.iter()
            .map(|workload| workload.uid.clone())
            .collect::<BTreeSet<_>>()
    };
    let strictly = endpoints
        .ranks(&client, LoadBalancingMode::Strict)
        .map(of)
        .next();
    let wanted: BTreeSet<_> = sharing.keys().map(|uid| (*uid).clone()).collect();
    prop_assert_eq!(strictly.unwrap_or_default(), wanted);
    let last = endpoints
        .ranks(&client, LoadBalancingMode::Failover)
        .map(of)
        .last();
    prop_assert_eq!(last.unwrap_or_default().len(), all.len());
    Ok(())
}

proptest! {
    #[test]
    fn every_lookup_answers_as_a_search_of_everything_would(
        deltas in vec(delta(), 1..25),
        kept in 0..25_usize,
    ) {
        let mut snapshot = Snapshot::default();
        let mut model = Model::default();
        let mut old = None;
        for (index, delta) in deltas.into_iter().enumerate() {
            snapshot = snapshot.apply(delta.clone());
            model.apply(delta);
            agree(&snapshot, &model)?;
            if index == kept {
                old = Some((snapshot.clone(), model.clone()));
            }
        }
        if let Some((snapshot, model)) = old {
            agree(&snapshot, &model)?;
        }
        let everything = Delta {
            upserts: Vec::new(),
            removals: (0..10).map(|number| ResourceKey::Workload(uid(number)))
                .chain(keys().into_iter().map(ResourceKey::Service)).collect(),
        };
        prop_assert!(snapshot.apply(everything).is_bare(), "an index kept something of what went");
    }
}
