//! Bodies of which an authorizer sees a part, over real connections of both versions.

use http_body::Frame;
use http_body_util::StreamBody;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::*;
use crate::body::BodyError;

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// Sends a request of a version through a connection of its own.
async fn send(front: SocketAddr, version: Version, body: Body) -> (u16, Bytes) {
    let uri = match version {
        Version::HTTP_2 => "http://reviews:80/",
        _ => "/",
    };
    let mut request = Request::post(uri).header("trailer", "x-sum");
    if version == Version::HTTP_11 {
        request = request.header("host", "reviews:80");
    }
    let request = request.body(body).unwrap();
    let io = TokioIo::new(TcpStream::connect(front).await.unwrap());
    let asking = async {
        let response = if version == Version::HTTP_2 {
            let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
            let (mut sender, connection) = builder.handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        };
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap();
        (status, body.to_bytes())
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap()
}

/// A body of many frames and trailers, whose length nobody is told.
fn streamed(frames: usize, frame: &'static [u8]) -> Body {
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
    let data = std::iter::repeat_with(move || Frame::data(Bytes::from_static(frame)));
    let frames = data.take(frames).chain([Frame::trailers(trailers)]);
    let frames = frames.map(Ok::<_, BodyError>);
    Body::boxed(StreamBody::new(futures_util::stream::iter(frames)))
}

async fn kit(asked: &Got, reached: &Got, version: Version, limits: Option<IncludeBody>) -> Kit {
    let external = ExternalAuthorization {
        include_body: limits,
        ..by_http(HttpCheck::default())
    };
    let provider = saying(asked, |_| status(200)).await;
    let target = backend(version, keeping(reached, |_| text("ok"))).await;
    let table = RouteTable {
        policies: Policies {
            authorization: Rulebook::new(vec![policy("ask", Action::Custom(Arc::new(external)))]),
            ..Policies::default()
        },
        ..table(vec![forward()])
    };
    let mut plan = Plan {
        table: Some(table),
        client: version,
        ..Plan::default()
    };
    if version == Version::HTTP_2 {
        plan.policy.pool.http2 = mesh::backend::Upgrade::Http2;
    }
    let kit = Kit::new(&[target], plan);
    kit.publish(serving(provider, None));
    kit
}

#[tokio::test]
async fn a_body_reaches_the_backend_whole_with_its_trailers_whatever_the_authorizer_sees() {
    for version in BOTH {
        for (limits, sees, partial) in [
            (None, 0, None),
            (including(10, true), 10, Some("true")),
            (including(2_000_000, true), 1_000_000, Some("false")),
            (including(2_000_000, false), 1_000_000, Some("false")),
        ] {
            let (asked, reached) = (Got::default(), Got::default());
            let kit = kit(&asked, &reached, version, limits).await;
            let front = front(&kit, version).await;
            let body = streamed(1000, &[b'x'; 1000]);
            let (status, said) = send(front, version, body).await;
            assert_eq!(
                (status, &said[..]),
                (200, &b"ok"[..]),
                "{version:?} {limits:?}"
            );
            let question = asked.only();
            assert_eq!(question.body.len(), sees, "{version:?} {limits:?}");
            assert_eq!(question.header("x-envoy-auth-partial-body"), partial);
            let length = sees.to_string();
            assert_eq!(question.header("content-length"), Some(&*length));
            let request = reached.only();
            assert_eq!(request.body.len(), 1_000_000, "{version:?} {limits:?}");
            assert!(request.body.iter().all(|byte| *byte == b'x'));
            let trailers = request.trailers.unwrap();
            assert_eq!(trailers["x-sum"], "7", "{version:?} {limits:?}");
            assert!(
                !request
                    .head
                    .headers
                    .contains_key("x-envoy-auth-partial-body")
            );
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_anyone_is_asked() {
    for version in BOTH {
        let (asked, reached) = (Got::default(), Got::default());
        let kit = kit(&asked, &reached, version, including(100, false)).await;
        let front = front(&kit, version).await;
        let told = Body::Full(Bytes::from_static(&[b'x'; 101]));
        for body in [streamed(11, b"0123456789"), told] {
            let (status, said) = send(front, version, body).await;
            assert_eq!(
                (status, &said[..]),
                (413, &b"Payload Too Large"[..]),
                "{version:?}"
            );
            let line = kit.line_soon().await;
            assert_eq!(line["details"], "request_payload_too_large");
        }
        let exact = Body::Full(Bytes::from_static(&[b'x'; 100]));
        assert_eq!(send(front, version, exact).await.0, 200, "{version:?}");
        assert_eq!(asked.only().body.len(), 100);
        assert_eq!(reached.only().body.len(), 100);
    }
}

#[tokio::test]
async fn a_request_without_a_body_is_asked_about_as_such() {
    let (asked, reached) = (Got::default(), Got::default());
    let kit = kit(&asked, &reached, Version::HTTP_11, including(100, false)).await;
    assert_eq!(kit.ask(get("/")).await.status(), 200);
    let question = asked.only();
    assert_eq!(question.header("content-length"), Some("0"));
    assert_eq!(question.header("x-envoy-auth-partial-body"), None);
    assert_eq!(reached.only().header("transfer-encoding"), None);
}

#[tokio::test]
async fn a_stream_of_which_a_part_will_do_is_asked_about_before_it_ends() {
    let (asked, reached) = (Got::default(), Got::default());
    let kit = kit(&asked, &reached, Version::HTTP_11, including(4, true)).await;
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<Frame<Bytes>>();
    let frames = futures_util::stream::poll_fn(move |cx| {
        let next = receiver.poll_recv(cx);
        next.map(|frame| frame.map(Ok::<_, BodyError>))
    });
    let mut request = post("/", "");
    request.headers_mut().remove("content-length");
    *request.body_mut() = Body::boxed(StreamBody::new(frames));
    let session = Arc::clone(&kit.session);
    let client = tokio::spawn(async move {
        crate::request::serve(&session, request, None)
            .await
            .status()
    });
    sender
        .send(Frame::data(Bytes::from_static(b"123")))
        .unwrap();
    sender
        .send(Frame::data(Bytes::from_static(b"456")))
        .unwrap();
    let waiting = async {
        while asked.count() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    let question = asked.only();
    assert_eq!(question.body, "1234");
    assert_eq!(question.header("x-envoy-auth-partial-body"), Some("true"));
    sender
        .send(Frame::data(Bytes::from_static(b"789")))
        .unwrap();
    drop(sender);
    let status = tokio::time::timeout(PATIENCE, client).await.unwrap();
    assert_eq!(status.unwrap(), 200);
    assert_eq!(reached.only().body, "123456789");
}
