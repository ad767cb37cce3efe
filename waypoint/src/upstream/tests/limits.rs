//! Circuit breakers.

use std::sync::Arc;

use futures_util::FutureExt as _;
use mesh::backend::{ConnectionPool, RetryBudget, TrafficPolicy};
use parking_lot::Mutex;
use telemetry::http::ResponseFlag;
use tokio::sync::Semaphore;

use super::kit::{Mesh, Server, answer, get, policy, service, soon, text, until};
use crate::upstream::{
    SendError,
    breaker::{Limit, Overflow},
};

fn mesh(server: &Server, pool: ConnectionPool) -> Mesh {
    let policy = TrafficPolicy {
        pool,
        ..TrafficPolicy::default()
    };
    Mesh::new(service(), &[server.address], policy)
}

async fn slow() -> (Server, Arc<Semaphore>) {
    let turns = Arc::new(Semaphore::new(0));
    let wait = Arc::clone(&turns);
    let server = Server::http1(move |_| {
        let wait = Arc::clone(&wait);
        async move {
            wait.acquire().await.unwrap().forget();
            answer("done")
        }
    })
    .await;
    (server, turns)
}

#[tokio::test]
async fn one_connection_serves_those_who_wait_in_turn() {
    let server = Server::hello().await;
    let pool = ConnectionPool {
        max_connections: Some(1),
        ..ConnectionPool::default()
    };
    let mesh = mesh(&server, pool);
    let all = futures_util::future::join_all((0..20).map(|_| mesh.get("/")));
    let answers = soon("answers", all).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap() == "hello"));
    assert_eq!(server.connections(), 1);
    assert_eq!(mesh.cluster().breakers().count(Limit::Pending), 0);
}

#[tokio::test]
async fn more_than_may_wait_overflow() {
    let (server, turns) = slow().await;
    let pool = ConnectionPool {
        max_connections: Some(1),
        max_pending_requests: Some(1),
        ..ConnectionPool::default()
    };
    let mesh = mesh(&server, pool);
    let cluster = mesh.cluster();
    let first = mesh.get("/");
    let second = async {
        until("the first has its connection", || {
            mesh.hosts()[0].connections() == 1 && cluster.breakers().count(Limit::Pending) == 0
        })
        .await;
        mesh.get("/").await
    };
    let third = async {
        until("the second waits", || {
            cluster.breakers().count(Limit::Pending) == 1 && mesh.hosts()[0].active() == 2
        })
        .await;
        let error = mesh.send(get("/")).await.unwrap_err();
        turns.add_permits(2);
        error
    };
    let (first, second, error) = soon(
        "all three",
        Box::pin(async { tokio::join!(first, second, third) }),
    )
    .await;
    assert_eq!(
        (first.unwrap().as_str(), second.unwrap().as_str()),
        ("done", "done")
    );
    let overflow = Overflow {
        limit: Limit::Pending,
        max: 1,
    };
    assert!(matches!(error, SendError::Overflow(found) if found == overflow));
    assert_eq!(error.flag(), ResponseFlag::UpstreamOverflow);
    assert_eq!(cluster.stats().upstream_rq_pending_overflow.get(), 1);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn who_gives_up_waiting_keeps_nobody_waiting() {
    let (server, turns) = slow().await;
    let pool = ConnectionPool {
        max_connections: Some(1),
        ..ConnectionPool::default()
    };
    let mesh = mesh(&server, pool);
    let held = async {
        let sent = mesh.send(get("/")).await.unwrap();
        text(sent).await
    };
    let given_up = async {
        let cluster = mesh.cluster();
        until("the first has its connection", || {
            mesh.hosts()[0].connections() == 1 && cluster.breakers().count(Limit::Pending) == 0
        })
        .await;
        let mut waiting = Box::pin(mesh.get("/"));
        assert!((&mut waiting).now_or_never().is_none());
        assert_eq!(cluster.breakers().count(Limit::Pending), 1);
        drop(waiting);
        assert_eq!(cluster.breakers().count(Limit::Pending), 0);
        turns.add_permits(2);
    };
    let (first, ()) = soon(
        "the first",
        Box::pin(async { tokio::join!(held, given_up) }),
    )
    .await;
    assert_eq!(first, "done");
    assert_eq!(mesh.get("/").await.unwrap(), "done");
}

#[tokio::test]
async fn more_requests_than_allowed_overflow() {
    let server = Server::hello().await;
    let pool = ConnectionPool {
        max_requests: Some(2),
        ..ConnectionPool::default()
    };
    let mesh = mesh(&server, pool);
    let cluster = mesh.cluster();
    let (first, second) = (cluster.request().unwrap(), cluster.request().unwrap());
    let error = cluster.request().unwrap_err();
    assert_eq!((error.limit, error.max), (Limit::Requests, 2));
    drop(first);
    let _third = cluster.request().unwrap();
    drop(second);
}

#[tokio::test]
async fn retries_have_a_limit_or_a_budget() {
    let server = Server::hello().await;
    let limited = mesh(
        &server,
        ConnectionPool {
            max_retries: Some(1),
            ..ConnectionPool::default()
        },
    )
    .cluster();
    let retry = limited.retry().unwrap();
    assert_eq!(limited.retry().unwrap_err().limit, Limit::Retries);
    drop(retry);
    drop(limited.retry().unwrap());
    assert_eq!(limited.stats().upstream_rq_retry.get(), 2);
    assert_eq!(limited.stats().upstream_rq_retry_overflow.get(), 1);

    let policy = TrafficPolicy {
        retry_budget: Some(RetryBudget {
            share_ppm: 500_000,
            min_concurrency: 1,
            interval: None,
        }),
        ..TrafficPolicy::default()
    };
    let budgeted = Mesh::new(service(), &[server.address], policy).cluster();
    let _requests: Vec<_> = (0..4).map(|_| budgeted.request().unwrap()).collect();
    let _retries = (budgeted.retry().unwrap(), budgeted.retry().unwrap());
    assert_eq!(budgeted.retry().unwrap_err().max, 2);
}

#[tokio::test]
async fn connections_without_requests_are_limited_too() {
    let server = Server::hello().await;
    let pool = ConnectionPool {
        max_connections: Some(1),
        ..ConnectionPool::default()
    };
    let mesh = mesh(&server, pool);
    let cluster = mesh.cluster();
    let first = cluster
        .connect(mesh.worker.itself(), mesh.pick())
        .await
        .unwrap();
    let error = cluster
        .connect(mesh.worker.itself(), mesh.pick())
        .await
        .unwrap_err();
    assert!(error.is_overflow());
    assert_eq!(mesh.hosts()[0].active(), 1);
    drop(first);
    drop(
        cluster
            .connect(mesh.worker.itself(), mesh.pick())
            .await
            .unwrap(),
    );
    assert_eq!(mesh.hosts()[0].active(), 0);
}

#[tokio::test]
async fn other_limits_take_other_connections() {
    let server = Server::hello().await;
    let mesh = mesh(&server, ConnectionPool::default());
    mesh.run();
    for _ in 0..3 {
        mesh.get("/").await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    let idle_timeout = Some(std::time::Duration::from_millis(20));
    let pool = ConnectionPool {
        idle_timeout,
        ..ConnectionPool::default()
    };
    mesh.publish([policy(TrafficPolicy {
        pool,
        ..TrafficPolicy::default()
    })]);
    let cluster = mesh.cluster();
    let held = || mesh.hosts()[0].connections();
    until("the change is known", || {
        cluster.policy().pool.idle_timeout == idle_timeout
    })
    .await;
    until("the old connection has ended", || held() == 0).await;
    mesh.get("/").await.unwrap();
    assert_eq!(server.connections(), 2);
    until("the new one has ended by its rules", || held() == 0).await;
}

#[tokio::test]
async fn who_came_first_is_served_first() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    let server = Server::http1(move |request| {
        seen.lock().push(request.uri().path().to_owned());
        async { answer("done") }
    })
    .await;
    let pool = ConnectionPool {
        max_connections: Some(1),
        ..ConnectionPool::default()
    };
    let mesh = mesh(&server, pool);
    let held = mesh.send(get("/held")).await.unwrap();
    let mut first = Box::pin(mesh.get("/first"));
    let mut second = Box::pin(mesh.get("/second"));
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    // The connection is free from here on, and the one that comes now is polled before the others.
    text(held).await;
    let last: std::pin::Pin<Box<dyn Future<Output = _>>> = Box::pin(mesh.get("/last"));
    let all = futures_util::future::join_all([last, first, second]);
    let answers = soon("answers", all).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
    assert_eq!(*order.lock(), ["/held", "/first", "/second", "/last"]);
    assert_eq!(server.connections(), 1);
}
