//! Outlier detection, from an answer to a choice.

use std::{num::NonZeroU32, time::Duration};

use http::StatusCode;
use mesh::backend::{OutlierDetection, TrafficPolicy};

use super::kit::{Mesh, Server, answer, get, policy, service, text, until};
use crate::upstream::Ask;

async fn failing(status: StatusCode) -> Server {
    Server::http1(move |_| async move {
        let mut answer = answer("no");
        *answer.status_mut() = status;
        answer
    })
    .await
}

fn rules() -> TrafficPolicy {
    TrafficPolicy {
        outlier: Some(OutlierDetection {
            consecutive_5xx: NonZeroU32::new(3),
            max_ejection_percent: 50,
            ..OutlierDetection::default()
        }),
        ..TrafficPolicy::default()
    }
}

/// Sends to one endpoint `times` times.
async fn send(mesh: &Mesh, server: &Server, times: usize) {
    for _ in 0..times {
        let ask = Ask::default();
        let pick = std::iter::repeat_with(|| mesh.cluster().pick(&ask).unwrap())
            .take(10_000)
            .find(|pick| pick.host().address() == server.address)
            .unwrap();
        let (head, body) = get("/").into_parts();
        if let Ok(sent) = mesh.send_to(pick, &head, body).await {
            text(sent).await;
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_in_a_row_is_left_out_and_comes_back() {
    let (bad, good) = (
        failing(StatusCode::SERVICE_UNAVAILABLE).await,
        Server::hello().await,
    );
    let mesh = Mesh::new(service(), &[bad.address, good.address], rules());
    send(&mesh, &bad, 2).await;
    assert_eq!(mesh.chosen().len(), 2);
    send(&mesh, &bad, 1).await;
    assert_eq!(mesh.chosen(), [good.address]);
    let stats = mesh.cluster();
    let stats = stats.stats();
    assert_eq!(stats.outlier_detection_ejections_active.get(), 1);
    assert_eq!(stats.membership_healthy.get(), 1);
    // Half a minute is not over, by the clock that is told.
    mesh.cluster().sweep(net::clock::now());
    assert_eq!(mesh.chosen(), [good.address]);
}

#[tokio::test]
async fn it_comes_back_when_its_time_is_over() {
    let (bad, good) = (
        failing(StatusCode::BAD_GATEWAY).await,
        Server::hello().await,
    );
    let mesh = Mesh::new(service(), &[bad.address, good.address], rules());
    send(&mesh, &bad, 3).await;
    assert_eq!(mesh.chosen(), [good.address]);
    mesh.cluster()
        .sweep(net::clock::now() + Duration::from_secs(31));
    assert_eq!(mesh.chosen().len(), 2);
    assert_eq!(
        mesh.cluster()
            .stats()
            .outlier_detection_ejections_active
            .get(),
        0
    );
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_connected_to_is_left_out() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let good = Server::hello().await;
    let mesh = Mesh::new(service(), &[address, good.address], rules());
    let mut failures = 0;
    for _ in 0..200 {
        failures += usize::from(mesh.get("/").await.is_err());
    }
    assert_eq!(failures, 3);
}

#[tokio::test]
async fn a_success_begins_the_count_anew() {
    let server = Server::http1(|request| async move {
        let mut answer = answer("");
        if request.uri().path() == "/bad" {
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        answer
    })
    .await;
    let mesh = Mesh::new(service(), &[server.address], rules());
    for path in ["/bad", "/bad", "/", "/bad", "/bad"] {
        mesh.get(path).await.unwrap();
    }
    assert!(!mesh.hosts()[0].is_ejected());
    mesh.get("/bad").await.unwrap();
    assert!(mesh.hosts()[0].is_ejected());
    assert!(mesh.cluster().pick(&Ask::default()).is_err());
}

#[tokio::test]
async fn without_the_policy_nobody_stays_left_out() {
    let (bad, good) = (
        failing(StatusCode::BAD_GATEWAY).await,
        Server::hello().await,
    );
    let mesh = Mesh::new(service(), &[bad.address, good.address], rules());
    send(&mesh, &bad, 3).await;
    assert_eq!(mesh.chosen(), [good.address]);
    mesh.run();
    mesh.publish([policy(TrafficPolicy::default())]);
    until("both are chosen", || mesh.chosen().len() == 2).await;
}

#[tokio::test]
async fn a_timeout_counts_against_its_endpoint() {
    let server = Server::hello().await;
    let mesh = Mesh::new(service(), &[server.address], rules());
    let host = &mesh.hosts()[0];
    for _ in 0..3 {
        mesh.cluster().timed_out(host);
    }
    assert!(host.is_ejected());
    assert_eq!(mesh.cluster().stats().upstream_rq_timeout.get(), 3);
}
