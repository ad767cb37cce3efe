//! What requests carry, and how a connection ends.

use std::error::Error as _;

use futures_util::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue};
use rustls::NamedGroup;
use tokio::time::timeout;
use tonic::{Code, Status};
use wire::proto::{ca::IstioCertificateRequest, discovery::DeltaDiscoveryRequest};

use crate::{
    CallError, Channel, Endpoint, Roots, TokenError,
    service::{
        ca::istio_certificate_service_client::IstioCertificateServiceClient,
        discovery::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    },
    status::words,
    testkit::{DEADLINE, Folder, Server, TestCa},
};

async fn pair() -> (Server, Endpoint) {
    let ca = TestCa::new();
    let server = Server::start(Some(ca.server(&["localhost"], &[b"h2"]))).await;
    let endpoint = server.endpoint("https", "localhost", Roots::Pem(ca.pem()));
    (server, endpoint)
}

/// One request whose answer repeats `text`.
async fn ask(channel: &Channel, text: &str) -> Result<Vec<String>, Status> {
    let request = IstioCertificateRequest {
        csr: text.to_owned(),
        ..IstioCertificateRequest::default()
    };
    let mut client = IstioCertificateServiceClient::new(channel.clone());
    let answer = timeout(DEADLINE, client.create_certificate(request))
        .await
        .expect("an answer or an error must come");
    Ok(answer?.into_inner().cert_chain)
}

fn source(status: &Status) -> &CallError {
    status.source().unwrap().downcast_ref().unwrap()
}

#[tokio::test]
async fn requests_carry_the_cluster_the_extra_headers_and_the_address() {
    let (server, mut endpoint) = pair().await;
    endpoint.headers = vec![
        (
            HeaderName::from_static("x-tenant"),
            HeaderValue::from_static("blue"),
        ),
        (
            HeaderName::from_static("x-other"),
            HeaderValue::from_static("1"),
        ),
    ];
    let channel = endpoint.connect().await.unwrap();
    assert_eq!(ask(&channel, "hello").await.unwrap(), ["hello"]);
    assert_eq!(server.header(0, "clusterid").as_deref(), Some("Kubernetes"));
    assert_eq!(server.header(0, "x-tenant").as_deref(), Some("blue"));
    assert_eq!(server.header(0, "x-other").as_deref(), Some("1"));
    assert_eq!(server.header(0, "authorization"), None, "there is no token");
    assert_eq!(
        server.uri(0).to_string(),
        format!(
            "https://localhost:{}/istio.v1.auth.IstioCertificateService/CreateCertificate",
            server.address.port()
        )
    );
}

#[tokio::test]
async fn tls_asks_for_the_name_that_it_checks_and_agrees_on_the_hybrid_group() {
    let ca = TestCa::new();
    let names = ["localhost", "127.0.0.1", "istiod.istio-system.svc"];
    let server = Server::start(Some(ca.server(&names, &[b"h2"]))).await;
    for (host, alternative_name) in [
        ("localhost", None),
        ("127.0.0.1", None),
        ("127.0.0.1", Some("istiod.istio-system.svc".to_owned())),
    ] {
        let mut endpoint = server.endpoint("https", host, Roots::Pem(ca.pem()));
        endpoint.alternative_name = alternative_name;
        ask(&endpoint.connect().await.unwrap(), "").await.unwrap();
    }
    let hybrid = NamedGroup::X25519MLKEM768;
    assert_eq!(
        *server.agreed.lock().unwrap(),
        [
            (Some("localhost".to_owned()), hybrid),
            (None, hybrid),
            (Some("istiod.istio-system.svc".to_owned()), hybrid),
        ]
    );
}

#[tokio::test]
async fn an_empty_cluster_is_not_sent_and_plain_http_works() {
    let server = Server::start(None).await;
    let mut endpoint = server.endpoint("http", "127.0.0.1", Roots::Pem(String::new()));
    endpoint.cluster = String::new();
    let channel = endpoint.connect().await.unwrap();
    assert_eq!(ask(&channel, "hello").await.unwrap(), ["hello"]);
    assert_eq!(server.header(0, "clusterid"), None);
}

#[tokio::test]
async fn the_token_is_read_anew_for_every_request() {
    let (server, mut endpoint) = pair().await;
    let folder = Folder::new();
    let path = folder.write("token", "first\n");
    endpoint.token = Some(path.clone());
    let channel = endpoint.connect().await.unwrap();
    ask(&channel, "").await.unwrap();
    folder.write("token", "  second  ");
    ask(&channel, "").await.unwrap();
    assert_eq!(
        [
            server.header(0, "authorization"),
            server.header(1, "authorization")
        ],
        [Some("Bearer first".into()), Some("Bearer second".into())]
    );

    for content in ["", " \n", "two words", "sm\u{f8}rrebr\u{f8}d"] {
        folder.write("token", content);
        let status = ask(&channel, "").await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(
            matches!(source(&status), CallError::Token(TokenError::Content { path: at, .. }) if *at == path),
            "{content:?}: {status:?}"
        );
        assert!(!words(&status).contains("two words"), "{status:?}");
    }
    std::fs::remove_file(&path).unwrap();
    let status = ask(&channel, "").await.unwrap_err();
    assert!(
        words(&status).contains(&format!("token file {} cannot be read", path.display())),
        "{status:?}"
    );
    assert_eq!(
        server.seen.lock().unwrap().len(),
        2,
        "nothing was sent without a token"
    );

    folder.write("token", "third");
    assert!(
        ask(&channel, "").await.is_ok(),
        "the connection is as good as before"
    );
    assert!(folder.path().is_dir());
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_server() {
    let (_server, endpoint) = pair().await;
    let channel = endpoint.connect().await.unwrap();
    let status = ask(&channel, "refuse").await.unwrap_err();
    assert_eq!(words(&status), "UNAUTHENTICATED: opaque");
    assert!(channel.is_open(), "a refusal does not end the connection");
}

#[tokio::test]
async fn after_the_server_has_gone_every_request_says_so() {
    let (server, endpoint) = pair().await;
    let channel = endpoint.connect().await.unwrap();
    ask(&channel, "").await.unwrap();
    server.stop();
    server.wait_for_connections(0).await;
    // The end travels through the kernel: the first request may still meet an open socket.
    for _ in 0..2 {
        let status = ask(&channel, "").await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(
            words(&status).contains(&format!("https://localhost:{}", server.address.port())),
            "{}",
            words(&status)
        );
    }
    let status = ask(&channel, "").await.unwrap_err();
    assert!(
        matches!(source(&status), CallError::Ended { .. }),
        "{status:?}"
    );
    assert!(!channel.is_open());
}

#[tokio::test]
async fn the_last_channel_and_the_last_answer_end_the_connection() {
    let (server, endpoint) = pair().await;
    let channel = endpoint.connect().await.unwrap();
    let clone = channel.clone();
    drop(channel);
    ask(&clone, "").await.unwrap();
    server.wait_for_connections(1).await;

    let mut client = AggregatedDiscoveryServiceClient::new(clone);
    let requests = stream::iter([DeltaDiscoveryRequest::default()]).chain(stream::pending());
    let mut answers = client
        .delta_aggregated_resources(requests)
        .await
        .unwrap()
        .into_inner();
    drop(client);
    assert!(
        answers.message().await.unwrap().is_some(),
        "a stream lives on without its channel"
    );
    assert_eq!(*server.open.borrow(), 1);
    drop(answers);
    server.wait_for_connections(0).await;
}

#[tokio::test]
async fn pushes_larger_than_the_window_arrive_whole() {
    const SIZE: usize = 24 << 20;
    let (_server, endpoint) = pair().await;
    let channel = endpoint.connect().await.unwrap();
    let mut client =
        AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(SIZE + 1024);
    let requests = stream::iter([SIZE, 5].map(|size| DeltaDiscoveryRequest {
        type_url: size.to_string(),
        ..DeltaDiscoveryRequest::default()
    }));
    let mut answers = client
        .delta_aggregated_resources(requests)
        .await
        .unwrap()
        .into_inner();
    for size in [SIZE, 5] {
        let answer = timeout(DEADLINE, answers.message())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let value = &answer.resources[0].resource.as_ref().unwrap().value;
        assert_eq!(value.len(), size);
    }
    assert!(answers.message().await.unwrap().is_none());
}

#[tokio::test]
async fn requests_share_one_connection() {
    let (server, endpoint) = pair().await;
    let channel = endpoint.connect().await.unwrap();
    let names: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let answers =
        futures_util::future::join_all(names.iter().map(|name| ask(&channel, name))).await;
    for (name, answer) in names.iter().zip(answers) {
        assert_eq!(answer.unwrap(), [name.as_str()]);
    }
    assert_eq!(*server.open.borrow(), 1);
}

#[tokio::test]
async fn debug_texts_hold_no_secret() {
    let (_server, mut endpoint) = pair().await;
    endpoint.headers = vec![(
        HeaderName::from_static("x-key"),
        HeaderValue::from_static("secret"),
    )];
    let channel = endpoint.connect().await.unwrap();
    let text = format!("{endpoint:?} {channel:?}");
    assert!(text.contains("x-key") && !text.contains("secret"), "{text}");
}
