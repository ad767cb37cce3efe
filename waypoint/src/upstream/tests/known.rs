//! Which backends are known, for how long, and who is told apart.

use std::{net::SocketAddr, num::NonZeroU16, sync::Arc};

use mesh::{Resource, Workload, backend::TrafficPolicy, route::Backend, service::PortMap};

use super::kit::{Mesh, Server, endpoint, service, service_key};
use crate::upstream::Ask;

fn somewhere(n: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 10_000 + n))
}

fn workload(workload: Workload) -> Resource {
    Resource::Workload(Arc::new(workload))
}

#[test]
fn nobody_finds_a_backend_that_does_not_know_its_endpoints_yet() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    let ports = 100..120_u16;
    let mut many = service();
    many.ports = PortMap(ports.clone().map(|port| (port, None)).collect());
    let mesh = Mesh::new(many, &[], TrafficPolicy::default());
    mesh.publish((0..1_000_u16).map(|n| {
        let served = ports
            .clone()
            .map(|port| (port, NonZeroU16::new(10_000 + n)));
        workload(Workload {
            services: [(service_key(), PortMap(served.collect()))].into(),
            ..endpoint(usize::from(n), somewhere(n))
        })
    }));
    let start = std::sync::Barrier::new(4);
    for port in ports {
        let asks = || {
            start.wait();
            let cluster = mesh.clusters.get(&Backend::new(service_key(), port));
            cluster.unwrap().pick(&Ask::default()).is_ok()
        };
        let all_found = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(asks)).collect();
            threads
                .into_iter()
                .all(|thread| thread.join().is_ok_and(|found| found))
        });
        assert!(all_found, "{port}");
    }
}

#[tokio::test]
async fn a_backend_that_has_a_connection_is_not_forgotten() {
    let server = Server::hello().await;
    let mesh = Mesh::new(service(), &[server.address], TrafficPolicy::default());
    let cluster = mesh.cluster();
    let connected = cluster
        .connect(mesh.worker.itself(), mesh.pick())
        .await
        .unwrap();
    let is_known = || {
        let all = mesh.clusters.all();
        all.iter().any(|known| Arc::ptr_eq(known, &cluster))
    };
    for _ in 0..100 {
        mesh.clusters.sweep();
    }
    assert!(is_known());
    drop(connected);
    // Its time begins when it has none.
    for _ in 0..10 {
        mesh.clusters.sweep();
    }
    assert!(is_known());
    for _ in 0..10 {
        mesh.clusters.sweep();
    }
    assert!(!is_known());
}

#[tokio::test]
async fn workloads_that_share_an_address_are_told_apart() {
    let shared = somewhere(0);
    let mesh = Mesh::new(service(), &[shared, shared], TrafficPolicy::default());
    let hosts = mesh.hosts();
    assert_eq!(hosts.len(), 2);
    for (tried, other) in [(&hosts[0], &hosts[1]), (&hosts[1], &hosts[0])] {
        for _ in 0..50 {
            let ask = Ask {
                tried: std::slice::from_ref(tried),
                ..Ask::default()
            };
            let pick = mesh.cluster().pick(&ask).unwrap();
            assert!(Arc::ptr_eq(pick.host(), other));
        }
    }
}

#[tokio::test]
async fn workloads_that_were_asked_for_by_address_leave_shared_gauges_alone() {
    let mesh = Mesh::new(service(), &[somewhere(0)], TrafficPolicy::default());
    let asked = endpoint(0, somewhere(0));
    let cluster = mesh.clusters.workload(&asked, somewhere(0)).unwrap();
    assert_eq!(cluster.hosts().len(), 1);
    assert_eq!(cluster.stats().membership_total.get(), 0);
    assert_eq!(mesh.cluster().stats().membership_total.get(), 1);
}
