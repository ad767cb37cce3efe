//! Peers that misbehave.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Request;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Code, Status};
use wire::proto::ADDRESS_TYPE;

use super::{Client, Server, within};
use crate::{
    output::Output,
    serve::{MAX_HANDSHAKES_PER_ADDRESS, Place, Places},
    xds::testkit::{names, puts, subscribe, versions, workload},
};

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let server = Server::start().await;
    server.publisher.apply(Output::default());
    let mut client = server.client("node").await.unwrap();
    client.say(subscribe(
        ADDRESS_TYPE,
        &[&"n".repeat(crate::xds::MAX_REQUEST)],
    ));
    let refused = client.hear().await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn streams_of_one_connection_are_few() {
    let server = Server::start().await;
    server.publisher.apply(Output::default());
    let channel = server.channel("node").await;
    let mut open = Vec::new();
    let refused = loop {
        match Client::open(channel.clone()).await {
            Ok(client) => open.push(client),
            Err(status) => break status,
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(open.len(), 8);
    drop(open);
    within("places", async {
        while Client::open(channel.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stranger_who_asks_for_a_certificate_is_refused_before_its_request_is_read() {
    let server = Server::start().await;
    let mut channel = server.channel("stranger").await;
    // None ends its request, and there are more than a connection may have open.
    for _ in 0..32 {
        let begun = Frame::data(Bytes::from(vec![0; 16 * 1024]));
        let body = stream::iter([Ok::<_, Status>(begun)]).chain(stream::pending());
        let request = Request::post(
            "https://localhost/istio.v1.auth.IstioCertificateService/CreateCertificate",
        )
        .body(tonic::body::Body::new(StreamBody::new(body)))
        .unwrap();
        let call = tower_service::Service::call(&mut channel, request);
        let response = within("a refusal", call).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(status.message(), "authentication failure");
    }
}

#[tokio::test]
async fn other_methods_are_not_implemented() {
    let server = Server::start().await;
    let mut channel = server.channel("node").await;
    for (method, path) in [
        (
            "POST",
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
        ),
        ("POST", "/istio.v1.auth.IstioCertificateService/Other"),
        (
            "GET",
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
        ),
        ("POST", "/"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(format!("https://localhost{path}"))
            .body(tonic::body::Body::empty())
            .unwrap();
        let response = within(
            "an answer",
            tower_service::Service::call(&mut channel, request),
        )
        .await
        .unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn garbage_and_silence_leave_others_alone() {
    let server = Server::start().await;
    server.publisher.apply(Output::default());
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut garbage = TcpStream::connect(server.address).await.unwrap();
    garbage
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut rest = Vec::new();
    // An alert perhaps, and the end.
    drop(within("the end", garbage.read_to_end(&mut rest)).await);
    // TLS, and then no HTTP/2.
    let mut inside = server.tls(&[b"h2"]).await.unwrap();
    inside.write_all(&[0; 1_000]).await.unwrap();
    drop(within("the end", inside.read_to_end(&mut rest)).await);
    let mut client = server.client("node").await.unwrap();
    client.say(subscribe(ADDRESS_TYPE, &[]));
    client.take().await;
}

#[tokio::test]
async fn who_does_not_speak_h2_is_sent_away() {
    let server = Server::start().await;
    for alpn in [&[][..], &[&b"http/1.1"[..]]] {
        let ended = within("the end", async {
            let mut stream = server.tls(alpn).await?;
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await?;
            Ok::<_, std::io::Error>(rest)
        })
        .await;
        assert!(ended.is_err() || ended.is_ok_and(|rest| rest.is_empty()));
    }
}

#[tokio::test]
async fn handshakes_of_one_address_are_bounded_and_places_come_back() {
    let places = Arc::new(Places::default());
    let address = "10.0.0.1".parse().unwrap();
    let mut taken: Vec<_> = (0..MAX_HANDSHAKES_PER_ADDRESS)
        .map(|_| Place::take(&places, address).unwrap())
        .collect();
    assert!(Place::take(&places, address).is_none());
    assert!(Place::take(&places, "10.0.0.2".parse().unwrap()).is_some());
    taken[0].shaken();
    taken.push(Place::take(&places, address).unwrap());
    assert!(
        Place::take(&places, "::ffff:10.0.0.1".parse().unwrap()).is_none(),
        "the same address"
    );
    drop(taken);
    let counts = places.0.lock();
    assert_eq!((counts.all.connections, counts.all.handshakes), (0, 0));
    assert!(counts.addresses.is_empty());
}

#[tokio::test]
async fn a_client_that_stops_reading_hinders_nobody() {
    let server = Server::start().await;
    let many = (0..20_000).map(|i| {
        workload(
            &format!("cluster//Pod/namespace/name-{i}"),
            [10, 0, 0, 1],
            "n",
            &["ns/s"],
        )
    });
    server.publisher.apply(puts(many));
    let mut slow = server.client("node").await.unwrap();
    slow.say(subscribe(ADDRESS_TYPE, &[]));
    let mut quick = server.client("node").await.unwrap();
    quick.say(subscribe(ADDRESS_TYPE, &[]));
    assert_eq!(quick.take().await.resources.len(), 20_000);
    for i in 0..10 {
        server
            .publisher
            .apply(puts([workload("late", [10, 0, 1, i], "", &[])]));
        assert_eq!(names(&quick.take().await).0, ["late"]);
    }
    // The slow one gets what there was when it began, whole, and then the newest at once.
    let first = slow.take().await;
    assert_eq!(first.resources.len(), 20_000);
    let second = slow.take().await;
    assert_eq!(
        versions(&second),
        BTreeMap::from([("late".to_owned(), second.resources[0].version.clone())])
    );
}
