//! Outlier detection, from an answer to a choice.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use http::StatusCode;
use mesh::backend::{ConsistentHash, HashKey, HashTable, OutlierDetection, TrafficPolicy};

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
}

#[tokio::test]
async fn what_was_under_way_to_an_endpoint_that_has_left_counts_for_nothing() {
    let (bad, good) = (Server::hello().await, Server::hello().await);
    let mesh = Mesh::new(service(), &[bad.address, good.address], rules());
    let cluster = mesh.cluster();
    let hosts = mesh.hosts();
    let left = hosts
        .iter()
        .find(|host| host.address() == bad.address)
        .unwrap();
    for _ in 0..3 {
        cluster.timed_out(left);
    }
    assert_eq!(cluster.ejected(), 1);
    mesh.publisher.publish(mesh::Delta {
        upserts: Vec::new(),
        removals: vec![mesh::ResourceKey::Workload(left.key().uid.clone())],
    });
    cluster.update(&mesh.publisher.view().load());
    assert_eq!(cluster.ejected(), 0);
    for _ in 0..9 {
        cluster.timed_out(left);
    }
    cluster.recover(left);
    assert_eq!(cluster.ejected(), 0);
    // The only one that is left may be left out, as nobody else is.
    let stays = &mesh.hosts()[0];
    for _ in 0..3 {
        cluster.timed_out(stays);
    }
    assert_eq!(cluster.ejected(), 1);
}

#[tokio::test]
async fn a_choice_by_hash_passes_by_whoever_was_left_out_before_the_table_is_built_anew() {
    let addresses: Vec<SocketAddr> = (1..=5)
        .map(|n| SocketAddr::from(([127, 0, 0, 1], n)))
        .collect();
    let mut rules = rules();
    rules.load_balancer.hash = Some(ConsistentHash {
        key: HashKey::SourceIp,
        table: HashTable::Maglev { table_size: 251 },
    });
    rules.outlier.as_mut().unwrap().max_ejection_percent = 100;
    let mesh = Mesh::new(service(), &addresses, rules);
    let cluster = mesh.cluster();
    let chosen = |hash| {
        let ask = Ask {
            hash: Some(hash),
            ..Ask::default()
        };
        cluster.pick(&ask).map(|pick| pick.host().address())
    };
    let hashes = || (0..200_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let before: Vec<_> = hashes().map(|hash| chosen(hash).unwrap()).collect();
    for (count, host) in mesh.hosts().iter().enumerate() {
        assert!(hashes().all(|hash| chosen(hash).is_ok()), "{count}");
        for _ in 0..3 {
            cluster.timed_out(host);
        }
        let gone = host.address();
        assert!(hashes().all(|hash| chosen(hash).ok() != Some(gone)));
        if count == 0 {
            // Those of the others stay where they were.
            let after = hashes().map(|hash| chosen(hash).unwrap());
            let mut both = before.iter().zip(after);
            assert!(both.all(|(before, after)| *before == gone || *before == after));
        }
    }
    assert!(hashes().all(|hash| chosen(hash).is_err()));
    cluster.rebalance();
    cluster.recover(&mesh.hosts()[0]);
    cluster.unbalance();
    assert!(hashes().all(|hash| chosen(hash).ok() == Some(addresses[0])));
    assert_ne!(cluster.state.load().health, cluster.health());
    mesh.run();
    until("the table is built", || {
        cluster.state.load().health == cluster.health()
    })
    .await;
    assert!(hashes().all(|hash| chosen(hash).ok() == Some(addresses[0])));
}
