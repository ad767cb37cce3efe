//! What a change of a large mesh costs its writer, and what a choice among many endpoints costs a connection.

use std::{hint::black_box, net::Ipv4Addr, sync::Arc};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mesh::{
    Delta, Namespace, Network, Resource, Service, ServiceKey, Snapshot, Workload,
    service::{HealthPolicy, LoadBalancing, LoadBalancingMode, NetworkAddress, PortMap, Scope},
    workload::{Health, Locality},
};

/// Pods in the whole mesh, and those of its largest service.
const WORKLOADS: u32 = 100_000;
const LARGEST: u32 = 2_700;
const PODS_PER_SERVICE: u32 = 10;

fn address(base: u32, number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(base + number)
}

fn key_of(number: u32) -> ServiceKey {
    let service = if number < LARGEST {
        0
    } else {
        number / PODS_PER_SERVICE
    };
    ServiceKey::new("default", format!("s{service}.default.svc.cluster.local"))
}

fn workload(number: u32, health: Health) -> Resource {
    Resource::Workload(Arc::new(Workload {
        uid: format!("Kubernetes//Pod/default/pod-{number}").into(),
        name: format!("pod-{number}").into(),
        namespace: "default".into(),
        ips: vec![address(0x0a00_0000, number).into()],
        health,
        capacity: 1 + number % 3,
        locality: Locality {
            region: format!("r{}", number % 3).into(),
            zone: format!("z{}", number % 9).into(),
            ..Locality::default()
        },
        services: [(key_of(number), PortMap::default())].into(),
        ..Workload::default()
    }))
}

fn service(number: u32) -> Resource {
    let key = key_of(number);
    let ip = address(0x0b00_0000, number).into();
    Resource::Service(Arc::new(Service {
        namespace: key.namespace,
        hostname: key.hostname,
        vips: vec![NetworkAddress {
            network: Network::default(),
            ip,
            prefix_length: None,
        }],
        ..Service::default()
    }))
}

fn everything() -> Delta {
    let services = (0..WORKLOADS)
        .filter(|number| *number == 0 || (*number >= LARGEST && number % PODS_PER_SERVICE == 0));
    let upserts = services
        .map(service)
        .chain((0..WORKLOADS).map(|number| workload(number, Health::Healthy)))
        .collect();
    Delta {
        upserts,
        removals: Vec::new(),
    }
}

/// The largest service, when it prefers what is near.
fn nearby() -> Resource {
    let Resource::Service(service) = service(0) else {
        unreachable!("a service is one")
    };
    Resource::Service(Arc::new(Service {
        load_balancing: LoadBalancing {
            routing_preference: vec![Scope::Network, Scope::Region, Scope::Zone],
            mode: LoadBalancingMode::Failover,
            ..LoadBalancing::default()
        },
        ..(*service).clone()
    }))
}

fn one(resource: Resource) -> Delta {
    Delta {
        upserts: vec![resource],
        removals: Vec::new(),
    }
}

fn changes(criterion: &mut Criterion) {
    let mesh = Snapshot::default().apply(everything());
    let mut group = criterion.benchmark_group("apply");
    for (name, number) in [
        ("one workload of 100k", WORKLOADS / 2),
        ("one endpoint of 2700 of 100k", LARGEST / 2),
    ] {
        group.bench_function(name, |bencher| {
            let change = one(workload(number, Health::Unhealthy));
            // The next snapshot is dropped outside of what is measured, as its readers do it.
            bencher.iter_batched(
                || change.clone(),
                |change| mesh.apply(change),
                BatchSize::SmallInput,
            );
        });
    }
    let ranked = mesh.apply(one(nearby()));
    group.bench_function("one endpoint of 2700 that are ranked", |bencher| {
        let change = one(workload(LARGEST / 2, Health::Unhealthy));
        bencher.iter_batched(
            || change.clone(),
            |change| ranked.apply(change),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("another preference of 2700 endpoints", |bencher| {
        bencher.iter_batched(
            || one(nearby()),
            |change| mesh.apply(change),
            BatchSize::SmallInput,
        );
    });
    group.sample_size(10);
    group.bench_function("100k workloads at once", |bencher| {
        bencher.iter_batched(
            everything,
            |delta| Snapshot::default().apply(delta),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn lookups(criterion: &mut Criterion) {
    let mesh = Snapshot::default().apply(everything());
    let (network, namespace) = (Network::default(), Namespace::from("default"));
    criterion.bench_function("workload by address of 100k", |bencher| {
        let mut number = 0;
        bencher.iter(|| {
            number = (number + 7919) % WORKLOADS;
            black_box(mesh.workload_by_address(&network, address(0x0a00_0000, number).into()))
        });
    });
    criterion.bench_function("service by vip of 10k", |bencher| {
        let mut number = 0;
        bencher.iter(|| {
            number = (number + 7919) % WORKLOADS / PODS_PER_SERVICE * PODS_PER_SERVICE;
            black_box(mesh.service_by_vip(
                &network,
                address(0x0b00_0000, number).into(),
                &namespace,
            ))
        });
    });
    for (name, mode) in [
        ("draw of 2700 endpoints", LoadBalancingMode::Unspecified),
        (
            "draw of the nearest of 2700 endpoints",
            LoadBalancingMode::Failover,
        ),
    ] {
        let mesh = match mode {
            LoadBalancingMode::Failover => mesh.apply(one(nearby())),
            LoadBalancingMode::Unspecified
            | LoadBalancingMode::Strict
            | LoadBalancingMode::Passthrough => mesh.clone(),
        };
        let Resource::Workload(client) = workload(1, Health::Healthy) else {
            unreachable!("a workload is one")
        };
        criterion.bench_function(name, |bencher| {
            let key = key_of(0);
            let mut random = 0_u64;
            bencher.iter(|| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                black_box(mesh.endpoints(&key).and_then(|endpoints| {
                    endpoints
                        .ranks(&client, mode)
                        .find_map(|rank| rank.draw(HealthPolicy::OnlyHealthy, random))
                }))
            });
        });
    }
}

criterion_group!(benches, changes, lookups);
criterion_main!(benches);
