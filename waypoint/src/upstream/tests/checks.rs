//! Active health checks.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use mesh::{
    Resource, Service,
    backend::{HealthCheck, Probe, TrafficPolicy},
    service::AppProtocol,
};

use super::kit::{Mesh, Server, answer, endpoint, service, until};

fn rules(probe: Probe) -> TrafficPolicy {
    TrafficPolicy {
        health_check: Some(HealthCheck {
            probe,
            port: None,
            interval: Duration::from_millis(5),
            timeout: Duration::from_secs(5),
            unhealthy_threshold: NonZeroU32::new(2).unwrap(),
            healthy_threshold: NonZeroU32::new(2).unwrap(),
        }),
        ..TrafficPolicy::default()
    }
}

fn http() -> Probe {
    Probe::Http {
        path: "/healthz".into(),
        host: "".into(),
        expected: Vec::new(),
    }
}

/// A server whose health the test decides.
async fn moody() -> (Server, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(true));
    let is_well = Arc::clone(&well);
    let server = Server::http1(move |request| {
        let is_well = is_well.load(Ordering::SeqCst);
        async move {
            let host = request.headers()["host"].to_str().unwrap();
            let is_check =
                request.uri().path() == "/healthz" && host == "cart.shop.svc.cluster.local";
            let mut answer = answer("hello");
            if is_check && !is_well {
                *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            answer
        }
    })
    .await;
    (server, well)
}

#[tokio::test]
async fn an_endpoint_that_fails_its_check_is_left_out_until_it_is_well() {
    let ((moody, well), good) = (moody().await, Server::hello().await);
    let mesh = Mesh::new(service(), &[moody.address, good.address], rules(http()));
    mesh.run();
    assert_eq!(mesh.chosen().len(), 2);
    well.store(false, Ordering::SeqCst);
    until("it is left out", || mesh.chosen() == [good.address]).await;
    well.store(true, Ordering::SeqCst);
    until("it is back", || mesh.chosen().len() == 2).await;
}

#[tokio::test]
async fn an_endpoint_that_comes_later_is_found_well_first() {
    let (first, second) = (Server::hello().await, Server::hello().await);
    let mesh = Mesh::new(service(), &[first.address], rules(http()));
    let cluster = mesh.cluster();
    mesh.publish([Resource::Workload(Arc::new(endpoint(1, second.address)))]);
    cluster.update(&mesh.publisher.view().load());
    assert_eq!(mesh.hosts().len(), 2);
    assert_eq!(mesh.chosen(), [first.address]);
    mesh.run();
    until("both are chosen", || mesh.chosen().len() == 2).await;
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_fails_the_check_of_a_connection() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let good = Server::hello().await;
    let mesh = Mesh::new(service(), &[address, good.address], rules(Probe::Tcp));
    mesh.run();
    until("it is left out", || mesh.chosen() == [good.address]).await;
}

#[tokio::test]
async fn grpc_is_asked_in_its_own_words() {
    // `status: SERVING` and `status: NOT_SERVING`, as gRPC frames them.
    let answers = [[0, 0, 0, 0, 2, 8, 1], [0, 0, 0, 0, 2, 8, 2]];
    let mut servers = Vec::new();
    for message in answers {
        let server = Server::raw(move |_, socket| async move {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                assert_eq!(request.headers()["content-type"], "application/grpc");
                let mut stream = respond.send_response(Response::new(()), false).unwrap();
                stream
                    .send_data(Bytes::copy_from_slice(&message), false)
                    .unwrap();
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                stream.send_trailers(trailers).unwrap();
            }
        });
        servers.push(server.await);
    }
    let grpc = Service {
        protocols: vec![(80, AppProtocol::Grpc)],
        ..service()
    };
    let probe = Probe::Grpc {
        service: "cart".into(),
    };
    let addresses = [servers[0].address, servers[1].address];
    let mesh = Mesh::new(grpc, &addresses, rules(probe));
    mesh.run();
    until("one is left out", || mesh.chosen() == [servers[0].address]).await;
    until("the other was asked, too", || servers[0].connections() > 2).await;
    assert_eq!(mesh.chosen(), [servers[0].address]);
}
