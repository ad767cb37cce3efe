//! Tests of the translation between gRPC-Web and gRPC.

use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use super::*;
use crate::body::BodyError;

fn web(
    content_type: &'static str,
    accept: Option<&'static str>,
    body: &'static str,
) -> (Request<Body>, Option<GrpcWeb>) {
    let mut builder = Request::builder()
        .header(CONTENT_TYPE, content_type)
        .header(CONTENT_LENGTH, body.len());
    if let Some(accept) = accept {
        builder = builder.header(ACCEPT, accept);
    }
    let mut request = builder.body(Body::from(bytes::Bytes::from(body))).unwrap();
    let web = wanted(request.headers());
    if let Some(web) = web {
        web.request(&mut request);
    }
    (request, web)
}

async fn bytes(body: Body) -> bytes::Bytes {
    body.collect().await.unwrap().to_bytes()
}

fn answer(frames: Vec<Frame<bytes::Bytes>>) -> Response<Body> {
    let frames = frames.into_iter().map(Ok::<_, BodyError>);
    Response::builder()
        .header(CONTENT_TYPE, "application/grpc+proto")
        .body(Body::boxed(StreamBody::new(futures_util::stream::iter(
            frames,
        ))))
        .unwrap()
}

fn status(code: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    trailers
}

#[tokio::test]
async fn a_binary_request_becomes_grpc_with_the_same_bytes() {
    let (request, web) = web("application/grpc-web+proto", None, "\0\0\0\0\x01x");
    assert!(web.is_some());
    assert_eq!(request.headers()[CONTENT_TYPE], "application/grpc+proto");
    assert_eq!(request.headers()[TE], "trailers");
    assert_eq!(request.headers()[CONTENT_LENGTH], "6");
    assert_eq!(bytes(request.into_body()).await, "\0\0\0\0\x01x");
}

#[tokio::test]
async fn a_text_request_is_decoded() {
    let (request, web) = web("application/grpc-web-text", None, "AAAAAAF4");
    assert!(web.is_some());
    assert!(!request.headers().contains_key(CONTENT_LENGTH));
    assert_eq!(bytes(request.into_body()).await, "\0\0\0\0\x01x");
}

#[tokio::test]
async fn a_text_request_that_is_no_base64_breaks_off() {
    for body in ["AAAA!", "AAAAA"] {
        let (request, _) = web("application/grpc-web-text", None, body);
        assert!(request.into_body().collect().await.is_err(), "{body}");
    }
}

#[test]
fn other_requests_stay_as_they_are() {
    for kind in [
        "application/json",
        "application/grpc",
        "application/grpc-webby",
    ] {
        let (request, web) = web(kind, None, "x");
        assert_eq!(web, None, "{kind}");
        assert_eq!(request.headers()[CONTENT_TYPE], kind);
    }
}

#[tokio::test]
async fn trailers_become_the_last_message() {
    let (_, web) = web("application/grpc-web", None, "");
    let response = web.unwrap().response(answer(vec![
        Frame::data("\0\0\0\0\x01x".into()),
        Frame::trailers(status("0")),
    ]));
    assert_eq!(
        response.headers()[CONTENT_TYPE],
        "application/grpc-web+proto"
    );
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers(), None);
    assert_eq!(
        collected.to_bytes(),
        "\0\0\0\0\x01x\u{80}\0\0\0\x0fgrpc-status:0\r\n"
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap())
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn the_answer_is_text_where_accept_says_so() {
    let (_, web) = web(
        "application/grpc-web",
        Some("application/grpc-web-text"),
        "",
    );
    let response = web.unwrap().response(answer(vec![
        Frame::data("\0\0\0\0\x01x".into()),
        Frame::trailers(status("0")),
    ]));
    assert_eq!(
        response.headers()[CONTENT_TYPE],
        "application/grpc-web-text+proto"
    );
    assert_eq!(
        bytes(response.into_body()).await,
        "AAAAAAF4gAAAAA9ncnBjLXN0YXR1czowDQo="
    );
}

#[tokio::test]
async fn an_answer_that_is_none_of_grpc_stays_as_it_is() {
    let (_, web) = web("application/grpc-web", None, "");
    let plain = Response::builder()
        .header(CONTENT_TYPE, "text/html")
        .body(Body::from(bytes::Bytes::from("404")))
        .unwrap();
    let response = web.unwrap().response(plain);
    assert_eq!(response.headers()[CONTENT_TYPE], "text/html");
    assert_eq!(bytes(response.into_body()).await, "404");
}
