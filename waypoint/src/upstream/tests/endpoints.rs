//! Which endpoints a backend has, and how they follow the mesh.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::Version;
use mesh::{
    Delta, Resource, ResourceKey, Workload,
    backend::{ConnectionPool, LoadBalancer, Simple, TrafficPolicy, Upgrade, Warmup},
    route::Backend,
    service::{AppProtocol, HealthPolicy},
    workload::Health,
};

use super::kit::{Mesh, Server, backend, endpoint, service, service_key, until};
use crate::upstream::{Ask, Worker, host::Way, ports::MAX_PORTS};

fn somewhere(n: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 10_000 + n))
}

fn workload(workload: Workload) -> Resource {
    Resource::Workload(Arc::new(workload))
}

#[tokio::test]
async fn a_backend_is_named_as_istio_names_it() {
    let mesh = Mesh::new(service(), &[], TrafficPolicy::default());
    let cluster = mesh.cluster();
    assert_eq!(
        &**cluster.name(),
        "inbound-vip|80|http|cart.shop.svc.cluster.local"
    );
    assert_eq!(
        &**cluster.tcp_name(),
        "inbound-vip|80|tcp|cart.shop.svc.cluster.local"
    );
    let subset = Backend {
        subset: "v2".into(),
        ..backend()
    };
    let cluster = mesh.clusters.get(&subset).unwrap();
    assert_eq!(
        &**cluster.name(),
        "inbound-vip|80|http/v2|cart.shop.svc.cluster.local"
    );
}

#[tokio::test]
async fn a_port_that_the_mesh_does_not_know_is_no_backend() {
    let mesh = Mesh::new(service(), &[], TrafficPolicy::default());
    assert!(
        mesh.clusters
            .get(&Backend::new(service_key(), 81))
            .is_none()
    );
    let other = mesh::ServiceKey::new("shop", "other");
    assert!(mesh.clusters.get(&Backend::new(other, 80)).is_none());
    let error = mesh.cluster().pick(&Ask::default()).unwrap_err();
    assert_eq!(error.known, 0);
}

#[tokio::test]
async fn endpoints_follow_the_mesh_and_those_that_stay_keep_their_connections() {
    let (first, second) = (Server::hello().await, Server::hello().await);
    let mesh = Mesh::new(service(), &[first.address], TrafficPolicy::default());
    mesh.run();
    mesh.get("/").await.unwrap();
    let before = mesh.hosts();
    mesh.publish([workload(endpoint(1, second.address))]);
    until("both are there", || mesh.hosts().len() == 2).await;
    assert!(
        mesh.hosts()
            .iter()
            .any(|host| Arc::ptr_eq(host, &before[0]))
    );
    for _ in 0..20 {
        mesh.get("/").await.unwrap();
    }
    assert_eq!((first.connections(), second.connections()), (1, 1));
    // The first leaves: what is idle ends, and nothing new comes.
    mesh.publisher.publish(Delta {
        upserts: Vec::new(),
        removals: vec![ResourceKey::Workload(before[0].key().uid.clone())],
    });
    until("one is left", || mesh.hosts().len() == 1).await;
    until("its connection has gone", || before[0].connections() == 0).await;
    for _ in 0..10 {
        mesh.get("/").await.unwrap();
    }
    assert_eq!((first.connections(), second.connections()), (1, 1));
}

#[tokio::test]
async fn what_is_under_way_ends_although_its_endpoint_has_left() {
    let server = Server::hello().await;
    let mesh = Mesh::new(service(), &[server.address], TrafficPolicy::default());
    mesh.run();
    let sent = mesh.send(super::kit::get("/")).await.unwrap();
    let host = Arc::clone(&sent.host);
    mesh.publisher.publish(Delta {
        upserts: Vec::new(),
        removals: vec![ResourceKey::Workload(host.key().uid.clone())],
    });
    until("none is left", || mesh.hosts().is_empty()).await;
    assert_eq!(super::kit::text(sent).await, "hello");
    until("its connection has gone", || host.connections() == 0).await;
}

#[tokio::test]
async fn a_service_that_leaves_is_no_backend_any_more() {
    let mesh = Mesh::new(service(), &[somewhere(1)], TrafficPolicy::default());
    mesh.run();
    assert_eq!(mesh.hosts().len(), 1);
    mesh.publisher.publish(Delta {
        upserts: Vec::new(),
        removals: vec![ResourceKey::Service(service_key())],
    });
    until("it has gone", || mesh.clusters.get(&backend()).is_none()).await;
}

#[tokio::test]
async fn endpoints_that_are_not_ready_are_none_unless_the_service_wants_them() {
    let unready = Workload {
        health: Health::Unhealthy,
        ..endpoint(1, somewhere(1))
    };
    let mesh = Mesh::new(service(), &[somewhere(0)], TrafficPolicy::default());
    mesh.publish([workload(unready)]);
    assert_eq!(mesh.chosen(), [somewhere(0)]);
    let mut all = service();
    all.load_balancing.health_policy = HealthPolicy::AllowAll;
    mesh.run();
    mesh.publish([Resource::Service(Arc::new(all))]);
    until("both", || mesh.chosen() == [somewhere(0), somewhere(1)]).await;
}

#[tokio::test]
async fn a_subset_has_the_endpoints_that_belong_to_it() {
    let mesh = Mesh::new(service(), &[somewhere(0)], TrafficPolicy::default());
    let canary = Workload {
        subsets: vec![(service_key(), "canary".into())],
        ..endpoint(1, somewhere(1))
    };
    let abroad = Workload {
        network: "elsewhere".into(),
        ..endpoint(2, somewhere(2))
    };
    mesh.publish([workload(canary), workload(abroad)]);
    let of = |subset: &str| {
        let backend = Backend {
            subset: subset.into(),
            ..backend()
        };
        let hosts = mesh.clusters.get(&backend).unwrap().hosts();
        hosts.iter().map(|host| host.address()).collect::<Vec<_>>()
    };
    assert_eq!(of(""), [somewhere(0), somewhere(1)]);
    assert_eq!(of("canary"), [somewhere(1)]);
    assert_eq!(of("unknown"), []);
}

#[tokio::test]
async fn the_original_destination_is_kept_where_the_policy_says_so() {
    let policy = TrafficPolicy {
        load_balancer: LoadBalancer {
            simple: Simple::Passthrough,
            ..LoadBalancer::default()
        },
        ..TrafficPolicy::default()
    };
    let mesh = Mesh::new(
        service(),
        &[somewhere(0), somewhere(1), somewhere(2)],
        policy,
    );
    for _ in 0..50 {
        let ask = Ask {
            original_destination: Some(somewhere(1)),
            ..Ask::default()
        };
        let pick = mesh.cluster().pick(&ask).unwrap();
        assert_eq!(pick.host().address(), somewhere(1));
    }
    assert_eq!(mesh.chosen().len(), 3);
}

#[tokio::test]
async fn what_was_tried_is_tried_last() {
    let mesh = Mesh::new(
        service(),
        &[somewhere(0), somewhere(1)],
        TrafficPolicy::default(),
    );
    let tried = vec![mesh.hosts().remove(0)];
    for _ in 0..50 {
        let ask = Ask {
            tried: &tried,
            ..Ask::default()
        };
        let pick = mesh.cluster().pick(&ask).unwrap();
        assert_eq!(pick.host().address(), somewhere(1));
    }
}

#[tokio::test]
async fn a_workload_of_the_mesh_is_reached_through_a_tunnel_by_nobody_but_itself() {
    let mut guarded = service();
    guarded.subject_alt_names = vec!["spiffe://partner/ns/a/sa/b".into()];
    let mesh = Mesh::new(guarded, &[], TrafficPolicy::default());
    let meshed = Workload {
        tunnel: mesh::workload::Tunnel::Hbone,
        service_account: "cart".into(),
        ..endpoint(0, somewhere(0))
    };
    mesh.publish([workload(meshed)]);
    let hosts = mesh.hosts();
    let Way::Hbone {
        peer,
        authority,
        expected,
    } = hosts[0].way()
    else {
        panic!("it has a tunnel");
    };
    assert_eq!(*peer, SocketAddr::from(([127, 0, 0, 1], 15008)));
    assert_eq!(authority.to_string(), "127.0.0.1:10000");
    let expected: Vec<_> = expected.iter().map(|san| san.as_str()).collect();
    assert_eq!(
        expected,
        [
            "spiffe://cluster.local/ns/shop/sa/cart",
            "spiffe://partner/ns/a/sa/b"
        ]
    );
}

#[tokio::test]
async fn an_endpoint_that_changes_its_way_is_another_one() {
    let mesh = Mesh::new(service(), &[somewhere(0)], TrafficPolicy::default());
    mesh.run();
    let before = mesh.hosts();
    mesh.publish([workload(Workload {
        tunnel: mesh::workload::Tunnel::Hbone,
        ..endpoint(0, somewhere(0))
    })]);
    until("it has a tunnel", || mesh.hosts()[0].way() != &Way::Plain).await;
    assert!(!Arc::ptr_eq(&before[0], &mesh.hosts()[0]));
}

#[tokio::test]
async fn a_workload_can_be_asked_for_by_its_own_address() {
    let server = Server::hello().await;
    let mesh = Mesh::new(service(), &[server.address], TrafficPolicy::default());
    let asked = endpoint(0, server.address);
    let cluster = mesh.clusters.workload(&asked, server.address).unwrap();
    assert_eq!(&**cluster.name(), "encap");
    let (head, body) = super::kit::get("/").into_parts();
    let pick = cluster.pick(&Ask::default()).unwrap();
    let sent = cluster
        .send(mesh.worker.itself(), pick, &head, body)
        .await
        .unwrap();
    assert_eq!(super::kit::text(sent).await, "hello");
}

#[tokio::test]
async fn a_client_that_tries_all_ports_of_a_workload_leaves_room_for_others() {
    let mesh = Mesh::new(service(), &[], TrafficPolicy::default());
    let [searched, other] = [1, 2].map(|n| endpoint(n, somewhere(0)));
    let ask = |workload: &Workload, port| {
        let address = SocketAddr::new(workload.ips[0], port);
        mesh.clusters.workload(workload, address)
    };
    let count = || mesh.clusters.all().len();
    let (used, idle) = (ask(&searched, 1).unwrap(), ask(&searched, 2).unwrap());
    let of_other = ask(&other, 1).unwrap();
    let permit = used.request().unwrap();
    for port in 3..1000 {
        assert!(ask(&searched, port).is_some());
        // One that is asked for again and again.
        assert!(ask(&searched, 3).is_some());
    }
    assert_eq!(count(), MAX_PORTS + 1);
    assert!(Arc::ptr_eq(&used, &ask(&searched, 1).unwrap()));
    assert!(Arc::ptr_eq(&of_other, &ask(&other, 1).unwrap()));
    let busy = ask(&searched, 3).unwrap();
    assert!(!Arc::ptr_eq(&idle, &ask(&searched, 2).unwrap()));
    assert!(Arc::ptr_eq(&busy, &ask(&searched, 3).unwrap()));
    // Where all are in use there is no room, until one is not.
    let permits: Vec<_> = (937..1000)
        .map(|port| ask(&searched, port).unwrap().request().unwrap())
        .collect();
    assert!(ask(&searched, 2000).is_none());
    assert!(ask(&other, 2000).is_some());
    drop(permits);
    assert!(ask(&searched, 2000).is_some());
    drop(permit);
}

#[tokio::test]
async fn a_name_is_resolved_before_the_first_request() {
    let server = Server::hello().await;
    let named = Workload {
        ips: Vec::new(),
        hostname: "localhost".into(),
        ..endpoint(0, server.address)
    };
    let mesh = Mesh::new(service(), &[], TrafficPolicy::default());
    mesh.publish([workload(named)]);
    let cluster = mesh.cluster();
    assert!(cluster.pick(&Ask::default()).is_err());
    mesh.run();
    super::kit::soon("addresses", cluster.warmed()).await;
    assert_eq!(mesh.get("/").await.unwrap(), "hello");
}

#[tokio::test]
async fn the_version_is_the_ports_the_policys_or_the_clients() {
    let check = |protocol, upgrade, client, expected| {
        let mut service = service();
        service.protocols = vec![(80, protocol)];
        let policy = TrafficPolicy {
            pool: ConnectionPool {
                http2: upgrade,
                ..ConnectionPool::default()
            },
            ..TrafficPolicy::default()
        };
        let mesh = Mesh::new(service, &[], policy);
        assert_eq!(
            mesh.cluster().version(client),
            expected,
            "{protocol:?} {upgrade:?} {client:?}"
        );
    };
    use AppProtocol::{Grpc, Http11, Unknown};
    let (one, two) = (Version::HTTP_11, Version::HTTP_2);
    check(Unknown, Upgrade::Default, one, one);
    check(Unknown, Upgrade::Default, two, two);
    check(Http11, Upgrade::Default, two, one);
    check(Grpc, Upgrade::Default, one, two);
    check(Http11, Upgrade::Http2, one, two);
    check(Unknown, Upgrade::Http1, two, one);
    check(Grpc, Upgrade::Http1, one, two);
    check(Grpc, Upgrade::Client, one, one);
    check(Http11, Upgrade::Client, two, two);
}

#[tokio::test]
async fn an_endpoint_that_has_just_come_is_given_less() {
    let policy = TrafficPolicy {
        load_balancer: LoadBalancer {
            simple: Simple::RoundRobin,
            hash: None,
            warmup: Some(Warmup {
                duration: Duration::from_secs(3600),
                minimum_ppm: 10_000,
                aggression_milli: 1000,
            }),
        },
        ..TrafficPolicy::default()
    };
    let mesh = Mesh::new(service(), &[somewhere(0)], policy);
    let cluster = mesh.cluster();
    mesh.publish([workload(endpoint(1, somewhere(1)))]);
    cluster.update(&mesh.publisher.view().load());
    let picks = (0..2_000).map(|_| cluster.pick(&Ask::default()).unwrap());
    let new = picks
        .filter(|pick| pick.host().address() == somewhere(1))
        .count();
    // A hundredth of the other one's share: 20, where equals would have 1,000.
    assert!((1..200).contains(&new), "{new}");
}

#[test]
fn workers_share_counts_and_nothing_else() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (server, mesh) = runtime.block_on(async {
        let server = Server::hello().await;
        let policy = TrafficPolicy {
            pool: ConnectionPool {
                max_connections: Some(1),
                ..ConnectionPool::default()
            },
            ..TrafficPolicy::default()
        };
        let mesh = Mesh::with_workers(2, service(), &[server.address], policy);
        (server, mesh)
    });
    let cluster = mesh.cluster();
    let send = |index: usize| {
        let (cluster, drain) = (Arc::clone(&cluster), net::drain::Drain::default());
        let worker = Worker::new(index, Arc::new(hbone::Settings::default()), drain.listen());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                for _ in 0..200 {
                    let (head, body) = super::kit::get("/").into_parts();
                    let pick = cluster.pick(&Ask::default()).unwrap();
                    let sent = cluster
                        .send(worker.itself(), pick, &head, body)
                        .await
                        .unwrap();
                    assert_eq!(super::kit::text(sent).await, "hello");
                }
            });
            drop(drain);
        })
    };
    let threads = [send(0), send(1)];
    runtime.block_on(until("both are done", || {
        threads.iter().all(std::thread::JoinHandle::is_finished)
    }));
    for thread in threads {
        thread.join().unwrap();
    }
    // One is allowed in any case, so that a worker is never without.
    assert_eq!(server.connections(), 2);
    assert_eq!(mesh.hosts()[0].active(), 0);
}

#[tokio::test]
async fn endpoints_that_come_a_moment_after_their_backend_was_named_are_waited_for() {
    let server = Server::hello().await;
    let mesh = Mesh::new(service(), &[], TrafficPolicy::default());
    mesh.run();
    let cluster = mesh.cluster();
    let mut waiting = Box::pin(cluster.warmed());
    assert!(futures_util::FutureExt::now_or_never(&mut waiting).is_none());
    mesh.publish([workload(endpoint(0, server.address))]);
    super::kit::soon("the endpoint", waiting).await;
    cluster.pick(&Ask::default()).unwrap();
    // Where there are some, nobody waits; where there are none for long, neither.
    assert!(futures_util::FutureExt::now_or_never(cluster.warmed()).is_some());
    mesh.publisher.publish(Delta {
        upserts: Vec::new(),
        removals: vec![ResourceKey::Workload(endpoint(0, server.address).uid)],
    });
    until("it has gone", || mesh.hosts().is_empty()).await;
    super::kit::soon("the end of the wait", cluster.warmed()).await;
    assert!(futures_util::FutureExt::now_or_never(cluster.warmed()).is_some());
    cluster.pick(&Ask::default()).unwrap_err();
}
