//! Connections of HTTP/2: shared, limited, let go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version, header};
use http_body_util::{BodyExt as _, Full};
use mesh::{
    Service,
    backend::{ConnectionPool, TrafficPolicy},
    service::AppProtocol,
};
use telemetry::http::ResponseFlag;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{Notify, Semaphore},
};

use super::kit::{Mesh, Server, answer, get, service, soon, text, until};
use crate::{
    body::Body,
    upstream::{
        SendError,
        breaker::Limit,
        pool::{Turn2, Via},
    },
};

fn grpc() -> Service {
    Service {
        protocols: vec![(80, AppProtocol::Grpc)],
        ..service()
    }
}

fn mesh(server: &Server, pool: ConnectionPool) -> Mesh {
    let policy = TrafficPolicy {
        pool,
        ..TrafficPolicy::default()
    };
    Mesh::new(grpc(), &[server.address], policy)
}

/// A server that answers once the test lets it.
async fn slow(streams: u32) -> (Server, Arc<Semaphore>) {
    let turns = Arc::new(Semaphore::new(0));
    let wait = Arc::clone(&turns);
    let server = Server::http2(
        move |_| {
            let wait = Arc::clone(&wait);
            async move {
                wait.acquire().await.unwrap().forget();
                answer("done")
            }
        },
        streams,
    )
    .await;
    (server, turns)
}

#[tokio::test]
async fn requests_at_the_same_time_share_a_connection() {
    let (server, turns) = slow(100).await;
    let mesh = mesh(&server, ConnectionPool::default());
    let all = futures_util::future::join_all((0..50).map(|_| mesh.get("/")));
    let lets = async {
        until("all are under way", || mesh.hosts()[0].active() == 50).await;
        turns.add_permits(50);
    };
    let (answers, ()) = soon("answers", async { tokio::join!(all, lets) }).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap() == "done"));
    assert_eq!(server.connections(), 1);
    assert_eq!(mesh.hosts()[0].active(), 0);
}

#[tokio::test]
async fn a_full_connection_is_followed_by_another() {
    let (server, turns) = slow(100).await;
    let pool = ConnectionPool {
        max_concurrent_streams: Some(2),
        ..ConnectionPool::default()
    };
    let mesh = mesh(&server, pool);
    let all = futures_util::future::join_all((0..6).map(|_| mesh.get("/")));
    let lets = async {
        until("three connections", || mesh.hosts()[0].connections() == 3).await;
        turns.add_permits(6);
    };
    let (answers, ()) = soon("answers", async { tokio::join!(all, lets) }).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn where_no_other_connection_is_allowed_requests_wait_for_a_stream() {
    let (server, turns) = slow(100).await;
    let pool = ConnectionPool {
        max_concurrent_streams: Some(1),
        max_connections: Some(1),
        ..ConnectionPool::default()
    };
    let mesh = mesh(&server, pool);
    turns.add_permits(6);
    let all = futures_util::future::join_all((0..6).map(|_| mesh.get("/")));
    let answers = soon("answers", all).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_ends_after_as_many_requests_as_it_may_carry() {
    let server = Server::http2(|_| async { answer("hello") }, 100).await;
    let pool = ConnectionPool {
        max_requests_per_connection: Some(2),
        ..ConnectionPool::default()
    };
    let mesh = mesh(&server, pool);
    for _ in 0..4 {
        mesh.get("/").await.unwrap();
    }
    assert_eq!(server.connections(), 2);
    until("both have gone", || mesh.hosts()[0].connections() == 0).await;
}

#[tokio::test]
async fn the_endpoint_sees_an_authority_and_no_header_of_the_connection() {
    let server = Server::http2(
        |request| async move {
            let names: Vec<_> = request.headers().keys().map(ToString::to_string).collect();
            Response::new(Full::from(format!("{} {names:?}", request.uri())))
        },
        100,
    )
    .await;
    let mesh = mesh(&server, ConnectionPool::default());
    let request = Request::get("/a?b")
        .header(header::HOST, "cart.shop")
        .header(header::CONNECTION, "keep-alive")
        .header("keep-alive", "x")
        .header("te", "trailers")
        .body(Body::Empty)
        .unwrap();
    let sent = mesh.send(request).await.unwrap();
    assert_eq!(sent.version, Version::HTTP_2);
    assert_eq!(text(sent).await, "http://cart.shop/a?b [\"te\"]");
}

#[tokio::test]
async fn bodies_and_trailers_go_both_ways() {
    let server = Server::raw(|_, socket| async move {
        let mut connection = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            tokio::spawn(async move {
                let mut body = request.into_body();
                let mut stream = respond.send_response(Response::new(()), false).unwrap();
                while let Some(Ok(bytes)) = body.data().await {
                    body.flow_control().release_capacity(bytes.len()).unwrap();
                    stream.send_data(bytes, false).unwrap();
                }
                let trailers = body.trailers().await.unwrap().unwrap();
                stream.send_trailers(trailers).unwrap();
            });
        }
    })
    .await;
    let mesh = mesh(&server, ConnectionPool::default());
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", header::HeaderValue::from_static("0"));
    let chunk = Bytes::from(vec![b'x'; 400_000]);
    let frames: Vec<Result<_, crate::body::BodyError>> = vec![
        Ok(http_body::Frame::data(chunk.clone())),
        Ok(http_body::Frame::data(Bytes::new())),
        Ok(http_body::Frame::data(chunk.clone())),
        Ok(http_body::Frame::trailers(trailers.clone())),
    ];
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
    let request = Request::post("/")
        .header("host", "cart")
        .body(Body::boxed(body))
        .unwrap();
    let sent = mesh.send(request).await.unwrap();
    let body = soon("the body", sent.response.into_body().collect())
        .await
        .unwrap();
    assert_eq!(body.trailers(), Some(&trailers));
    assert_eq!(body.to_bytes().len(), 2 * chunk.len());
    assert_eq!(mesh.hosts()[0].active(), 0);
}

#[tokio::test]
async fn an_answer_that_comes_early_ends_the_request() {
    let server = Server::raw(|_, socket| async move {
        let mut connection = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            drop(respond.send_response(Response::builder().status(413).body(()).unwrap(), true));
            drop(request);
        }
    })
    .await;
    let mesh = mesh(&server, ConnectionPool::default());
    let (feed, body) = tokio::sync::mpsc::channel::<Bytes>(1);
    let frames = futures_util::stream::unfold(body, |mut body| async move {
        let bytes = body.recv().await?;
        Some((Ok(http_body::Frame::data(bytes)), body))
    });
    let request = Request::post("/")
        .header("host", "cart")
        .body(Body::boxed(http_body_util::StreamBody::new(frames)))
        .unwrap();
    let sent = mesh.send(request).await.unwrap();
    assert_eq!(sent.response.status(), 413);
    drop(sent);
    soon("nobody reads the body any more", feed.closed()).await;
}

#[tokio::test]
async fn a_connection_that_says_goaway_is_followed_by_another() {
    let server = Server::raw(|_, socket| async move {
        let mut connection = h2::server::handshake(socket).await.unwrap();
        let (_request, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_response(Response::new(()), true).unwrap();
        connection.graceful_shutdown();
        while let Some(Ok((_request, mut respond))) = connection.accept().await {
            drop(respond.send_response(Response::new(()), true));
        }
    })
    .await;
    let mesh = mesh(&server, ConnectionPool::default());
    for _ in 0..10 {
        mesh.get("/").await.unwrap();
    }
    assert!(server.connections() > 1);
}

#[tokio::test]
async fn what_a_goaway_has_spared_goes_to_another_connection() {
    let server = Server::raw(|number, mut socket| async move {
        if number > 0 {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((_request, mut respond))) = connection.accept().await {
                drop(respond.send_response(Response::new(()), true));
            }
            return;
        }
        let mut heard = [0; 1024];
        let mut count = 0;
        // The preface, SETTINGS, and then the request's HEADERS.
        while !heard[..count]
            .windows(5)
            .any(|head| head[..2] == [0, 0] && head[3] == 1)
        {
            count += socket.read(&mut heard[count..]).await.unwrap();
        }
        // An empty SETTINGS frame; GOAWAY whose last stream is 0, NO_ERROR.
        let frames = [
            &[0, 0, 0, 4, 0, 0, 0, 0, 0][..],
            &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ];
        socket.write_all(&frames.concat()).await.unwrap();
        while socket.read(&mut heard).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let mesh = mesh(&server, ConnectionPool::default());
    let request = Request::post("/")
        .header("host", "cart")
        .body(Body::Empty)
        .unwrap();
    assert_eq!(mesh.send(request).await.unwrap().response.status(), 200);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_refused_stream_is_told_apart_from_one_that_was_reset() {
    for (reason, flag, is_refused) in [
        (
            h2::Reason::REFUSED_STREAM,
            ResponseFlag::UpstreamRemoteReset,
            true,
        ),
        (
            h2::Reason::INTERNAL_ERROR,
            ResponseFlag::UpstreamRemoteReset,
            false,
        ),
    ] {
        let server = Server::raw(move |_, socket| async move {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((_request, mut respond))) = connection.accept().await {
                respond.send_reset(reason);
            }
        })
        .await;
        let mesh = mesh(&server, ConnectionPool::default());
        let error = mesh.send(get("/")).await.unwrap_err();
        assert_eq!(error.flag(), flag);
        assert_eq!(error.is_refused_stream(), is_refused, "{error:?}");
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_closed_one() {
    let server = Server::raw(|_, socket| async move {
        let mut connection = h2::server::handshake(socket).await.unwrap();
        let _request = connection.accept().await.unwrap().unwrap();
        // Gone without a word.
    })
    .await;
    let mesh = mesh(&server, ConnectionPool::default());
    let error = mesh.send(get("/")).await.unwrap_err();
    assert!(
        matches!(error, SendError::Closed { sent: true, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_peer_that_does_not_answer_a_ping_is_given_up() {
    let server = Server::raw(|_, mut socket| async move {
        // An empty SETTINGS frame, and nothing more.
        socket
            .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
            .await
            .unwrap();
        let mut sink = [0; 1024];
        while socket.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let pool = ConnectionPool {
        http2_ping_interval: Some(Duration::from_millis(20)),
        http2_ping_timeout: Some(Duration::from_millis(20)),
        ..ConnectionPool::default()
    };
    let mesh = mesh(&server, pool);
    let error = mesh.send(get("/")).await.unwrap_err();
    assert!(matches!(error, SendError::Closed { .. }), "{error:?}");
    until("the connection has gone", || {
        mesh.hosts()[0].connections() == 0
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_ends() {
    let server = Server::http2(|_| async { answer("hello") }, 100).await;
    let pool = ConnectionPool {
        idle_timeout: Some(Duration::from_millis(20)),
        ..ConnectionPool::default()
    };
    let mesh = mesh(&server, pool);
    mesh.get("/").await.unwrap();
    until("the connection has gone", || {
        mesh.hosts()[0].connections() == 0
    })
    .await;
    mesh.get("/").await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_new_connection_serves_as_many_of_those_who_wait_as_it_can() {
    let (end, under_way) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (told, count) = (Arc::clone(&end), Arc::clone(&under_way));
    let server = Server::raw(move |number, socket| {
        let (told, count) = (Arc::clone(&told), Arc::clone(&count));
        async move {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            let mut kept = Vec::new();
            loop {
                tokio::select! {
                    Some(Ok(request)) = connection.accept() => kept.push(request),
                    () = told.notified(), if number == 0 => return,
                    else => return,
                }
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    let pool = ConnectionPool {
        max_connections: Some(1),
        max_concurrent_streams: Some(2),
        ..ConnectionPool::default()
    };
    let mesh = mesh(&server, pool);
    let cluster = mesh.cluster();
    let all = futures_util::future::join_all((0..6).map(|_| mesh.send(get("/"))));
    let watch = async {
        until("two are under way, four wait", || {
            under_way.load(Ordering::SeqCst) == 2 && cluster.breakers().count(Limit::Pending) == 4
        })
        .await;
        end.notify_one();
        until("two more are under way at once", || {
            under_way.load(Ordering::SeqCst) == 4 && cluster.breakers().count(Limit::Pending) == 2
        })
        .await;
    };
    tokio::select! {
        _ = all => panic!("nobody answers"),
        () = watch => {}
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_dial_that_is_cut_fails_those_who_wait_and_is_followed_by_another() {
    let server = Server::http2(|_| async { answer("hello") }, 100).await;
    let mesh = mesh(&server, ConnectionPool::default());
    let (cluster, host) = (mesh.cluster(), mesh.hosts().remove(0));
    let limits = ConnectionPool::default();
    let via = Via {
        cluster: &cluster,
        host: &host,
        worker: &mesh.worker,
        limits: &limits,
    };
    let pool = host.pool(0);
    let (mut one, mut other) = (None, None);
    let turn = pool.turn2(&via, &mut one).unwrap().turn().await;
    let Ok(Turn2::Dial(mut dialling)) = turn else {
        panic!("{turn:?}");
    };
    let waiting = pool.turn2(&via, &mut other).unwrap();
    let member = dialling.begin();
    assert_eq!(host.connections(), 1);
    // As it is where a task panics.
    drop((member, dialling));
    let turn = soon("a turn", waiting.turn()).await;
    assert!(matches!(turn, Ok(Turn2::Failed(_))), "{turn:?}");
    assert_eq!(host.connections(), 0);
    drop((one, other));
    assert_eq!(mesh.get("/").await.unwrap(), "hello");
}

#[tokio::test]
async fn a_dial_that_nobody_begins_is_the_next_ones() {
    let server = Server::http2(|_| async { answer("hello") }, 100).await;
    let mesh = mesh(&server, ConnectionPool::default());
    let (cluster, host) = (mesh.cluster(), mesh.hosts().remove(0));
    let limits = ConnectionPool::default();
    let via = Via {
        cluster: &cluster,
        host: &host,
        worker: &mesh.worker,
        limits: &limits,
    };
    let pool = host.pool(0);
    let (mut one, mut other) = (None, None);
    let given_up = pool.turn2(&via, &mut one).unwrap();
    let waiting = pool.turn2(&via, &mut other).unwrap();
    drop(given_up);
    let turn = soon("a turn", waiting.turn()).await;
    assert!(matches!(turn, Ok(Turn2::Dial(_))), "{turn:?}");
}

#[tokio::test]
async fn a_connection_that_is_ended_for_what_the_peer_sent_is_a_protocol_error() {
    let server = Server::raw(|_, mut socket| async move {
        // An empty SETTINGS frame, and DATA of stream 0, which is never allowed.
        let frames = [[0, 0, 0, 4, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0]];
        socket.write_all(&frames[0]).await.unwrap();
        let mut heard = [0; 1024];
        let mut count = 0;
        while !heard[..count]
            .windows(5)
            .any(|head| head[..2] == [0, 0] && head[3] == 1)
        {
            count += socket.read(&mut heard[count..]).await.unwrap();
        }
        socket.write_all(&frames[1]).await.unwrap();
        while socket.read(&mut heard).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let mesh = mesh(&server, ConnectionPool::default());
    let error = mesh.send(get("/")).await.unwrap_err();
    assert_eq!(
        error.flag(),
        ResponseFlag::UpstreamProtocolError,
        "{error:?}"
    );
}
