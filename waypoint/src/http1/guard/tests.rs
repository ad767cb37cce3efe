//! The guard before the real engine: what a client sends, which requests are served, and what it is answered.

use std::{convert::Infallible, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::{Gate, Guard, TIMEOUT_HEAD};
use crate::http1::Refusal;

/// What reached the service: the target and the body, or why not.
type Served = Arc<Mutex<Vec<Result<(String, Vec<u8>), Refusal>>>>;

struct Server {
    client: DuplexStream,
    served: Served,
    task: tokio::task::JoinHandle<Result<(), hyper::Error>>,
}

fn start() -> Server {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let (guard, gate) = Guard::new(TokioIo::new(server));
    let served = Served::default();
    let next = Arc::new(Mutex::new(0_u64));
    let record = Arc::clone(&served);
    let service = service_fn(move |request| {
        let number = {
            let mut next = next.lock();
            let number = *next;
            *next += 1;
            number
        };
        answer(Arc::clone(&gate), Arc::clone(&record), number, request)
    });
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None);
    let connection = builder.serve_connection(guard, service).with_upgrades();
    Server {
        client,
        served,
        task: tokio::spawn(connection),
    }
}

async fn answer(
    gate: Arc<Gate>,
    served: Served,
    number: u64,
    mut request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    if let Some(refusal) = gate.refusal(number) {
        served.lock().push(Err(refusal));
        *response.status_mut() = refusal.status();
        response
            .headers_mut()
            .insert(header::CONNECTION, "close".parse().unwrap());
    } else {
        let upgrade = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        match body {
            Ok(body) => served
                .lock()
                .push(Ok((head.uri.to_string(), body.to_vec()))),
            Err(error) => {
                let refusal = Refusal::of(&error);
                served.lock().extend(refusal.map(Err));
                *response.status_mut() = StatusCode::BAD_REQUEST;
            }
        }
        if head.uri.path() == "/switch" {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            tokio::spawn(async move {
                let mut raw = TokioIo::new(upgrade.await.unwrap());
                let mut text = [0; 5];
                raw.read_exact(&mut text).await.unwrap();
                raw.write_all(&text).await.unwrap();
                raw.shutdown().await.unwrap();
            });
        }
    }
    gate.answered(number, response.status() == StatusCode::SWITCHING_PROTOCOLS);
    Ok(response)
}

/// Sends in pieces, closes, and reads all answers.
async fn exchange(pieces: &[&[u8]]) -> (Vec<Result<(String, Vec<u8>), Refusal>>, String) {
    let Server {
        mut client,
        served,
        task,
    } = start();
    for piece in pieces {
        // The server may have closed already.
        drop(client.write_all(piece).await);
        tokio::task::yield_now().await;
    }
    let mut answers = Vec::new();
    let mut buffer = [0; 4096];
    // Until the server closes, or has nothing more to say.
    while let Ok(Ok(count)) =
        tokio::time::timeout(Duration::from_secs(1), client.read(&mut buffer)).await
    {
        if count == 0 {
            break;
        }
        answers.extend_from_slice(&buffer[..count]);
    }
    drop(client);
    drop(task.await.unwrap());
    let served = served.lock().clone();
    (served, String::from_utf8(answers).unwrap())
}

fn statuses(answers: &str) -> Vec<&str> {
    answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect()
}

const GET: &[u8] = b"GET /get HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &[u8] = b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &[u8] = b"POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nx-t: y\r\n\r\n";
const BAD: &[u8] = b"POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

fn ok(target: &str, body: &[u8]) -> Result<(String, Vec<u8>), Refusal> {
    Ok((target.to_owned(), body.to_vec()))
}

#[tokio::test(start_paused = true)]
async fn requests_pass_and_are_answered_in_order() {
    let stream = [GET, POST, CHUNKED, GET].concat();
    for split in [1, 17, 31, 60, 90, 140, stream.len() - 1] {
        let (one, two) = stream.split_at(split);
        let (served, answers) = exchange(&[one, two]).await;
        let expected = [
            ok("/get", b""),
            ok("/post", b"hello"),
            ok("/chunked", b"hello"),
            ok("/get", b""),
        ];
        assert_eq!(served, expected, "{split}");
        assert_eq!(statuses(&answers), ["200"; 4]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_answered_behind_the_answers_before_it_and_ends_the_connection() {
    let stream = [GET, POST, BAD, GET].concat();
    for split in 1..stream.len() {
        let (one, two) = stream.split_at(split);
        let (served, answers) = exchange(&[one, two]).await;
        let expected = [
            ok("/get", b""),
            ok("/post", b"hello"),
            Err(Refusal::LengthAndCoding),
        ];
        assert_eq!(served, expected, "{split}");
        assert_eq!(statuses(&answers), ["200", "200", "400"], "{split}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_the_first_answer_where_nothing_was_before_it() {
    for (stream, refusal, status) in [
        (&b"GET / HTTP/1.0\r\n\r\n"[..], Refusal::LowVersion, "426"),
        (b"GET / HTTP/1.1\r\n\r\n", Refusal::MissingHost, "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\n", Refusal::BareLf, "400"),
        (b"GET /\r\n", Refusal::RequestLine, "400"),
    ] {
        let (served, answers) = exchange(&[stream]).await;
        assert_eq!(served, [Err(refusal)]);
        assert_eq!(statuses(&answers), [status]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_wrong_fails_its_request_with_the_reason() {
    let stream = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let (served, _) = exchange(&[stream]).await;
    assert_eq!(served, [Err(Refusal::Chunk)]);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_in_time_is_refused() {
    let Server {
        mut client,
        served,
        task,
    } = start();
    client.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
    let began = tokio::time::Instant::now();
    let mut answers = String::new();
    client.read_to_string(&mut answers).await.unwrap();
    assert!(began.elapsed() >= TIMEOUT_HEAD);
    assert_eq!(statuses(&answers), ["408"]);
    assert_eq!(*served.lock(), [Err(Refusal::HeadTimeout)]);
    drop(task.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_not_hurried() {
    let Server {
        mut client, served, ..
    } = start();
    client.write_all(GET).await.unwrap();
    tokio::time::sleep(TIMEOUT_HEAD * 5).await;
    client.write_all(GET).await.unwrap();
    client.write_all(BAD).await.unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).await.unwrap();
    assert_eq!(served.lock().len(), 3);
    assert_eq!(statuses(&answers), ["200", "200", "400"]);
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_an_accepted_switch_are_none_of_http() {
    let switch: &[u8] =
        b"GET /switch HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    for raw in [&b"\0\n\r\xff!"[..], b"GET /"] {
        // With the request and behind it, and all at once.
        for pieces in [vec![switch, raw], vec![&[switch, raw].concat()[..]]] {
            let Server {
                mut client,
                served,
                task,
            } = start();
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            let mut answers = Vec::new();
            client.read_to_end(&mut answers).await.unwrap();
            assert!(answers.starts_with(b"HTTP/1.1 101 "));
            assert!(
                answers.ends_with(raw),
                "{:?}",
                String::from_utf8_lossy(&answers)
            );
            assert_eq!(*served.lock(), [ok("/switch", b"")]);
            drop(task.await.unwrap());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_a_refused_switch_are_the_next_request() {
    let switch: &[u8] = b"GET /no HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let (served, answers) = exchange(&[GET, switch, GET, BAD]).await;
    let expected = [
        ok("/get", b""),
        ok("/no", b""),
        ok("/get", b""),
        Err(Refusal::LengthAndCoding),
    ];
    assert_eq!(served, expected);
    assert_eq!(statuses(&answers), ["200", "200", "200", "400"]);
}

/// Reads everything through a guard, with a buffer of `room` bytes.
async fn read_through(stream: Vec<u8>, piece: usize, room: usize) -> Vec<u8> {
    let (mut client, server) = tokio::io::duplex(piece);
    let (guard, _gate) = Guard::new(TokioIo::new(server));
    let write = tokio::spawn(async move { client.write_all(&stream).await });
    let mut guard = TokioIo::new(guard);
    let mut out = Vec::new();
    let mut buffer = vec![0; room];
    loop {
        let count = Pin::new(&mut guard).read(&mut buffer).await.unwrap();
        if count == 0 {
            break;
        }
        out.extend_from_slice(&buffer[..count]);
    }
    write.await.unwrap().unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_passes_is_byte_for_byte_what_came(
        order in prop::collection::vec(0_usize..3, 1..6),
        piece in 1_usize..100,
        room in 1_usize..100,
    ) {
        let messages = [GET, POST, CHUNKED];
        let stream = order.iter().map(|index| messages[*index]).collect::<Vec<_>>().concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let out = runtime.block_on(read_through(stream.clone(), piece, room));
        prop_assert_eq!(out, stream);
    }

    /// Whatever one byte is changed to: the engine finds no other requests than the guard let pass.
    #[test]
    fn the_engine_sees_the_requests_that_the_guard_saw(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut stream = [GET, POST, CHUNKED, GET].concat();
        let at = at.index(stream.len());
        stream[at] = byte;
        let mut framer = super::Framer::new();
        let mut passed = 0;
        let mut refused = false;
        loop {
            match framer.advance(&stream[passed..]) {
                Ok(0) => break,
                Ok(more) => passed += more,
                Err(_) => {
                    refused = true;
                    break;
                }
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let (served, answers) = runtime.block_on(exchange(&[&stream]));
        let good = served.iter().filter(|served| served.is_ok()).count() as u64;
        // A body that has not ended, or is wrong, is of a request whose head has passed.
        prop_assert!(good == framer.heads() || good + 1 == framer.heads(), "{good} of {}", framer.heads());
        if refused {
            prop_assert!(served.iter().any(Result::is_err));
            prop_assert!(!statuses(&answers).is_empty());
        }
    }
}
