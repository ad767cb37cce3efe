//! The whole server over TLS, with the generated clients and with peers that misbehave.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::stream;
use grpc::service::{
    ca::{
        istio_certificate_service_client::IstioCertificateServiceClient,
        istio_certificate_service_server::IstioCertificateService,
    },
    discovery::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
};
use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tonic::{Code, Status, Streaming};
use wire::proto::{
    ADDRESS_TYPE, AUTHORIZATION_TYPE,
    ca::{IstioCertificateRequest, IstioCertificateResponse},
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
};

use super::{Peer, serve};
use crate::{
    output::Output,
    publish::Publisher,
    xds::{
        Clients, Service,
        testkit::{
            self, List, ack, back, names, on_demand, puts, service, subscribe, versions, workload,
            ztunnel,
        },
    },
};

mod misuse;

/// How long anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(30);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took too long"),
    }
}

/// A certificate authority that answers with the length of the request, and who asked.
#[derive(Debug)]
struct Echo;

#[tonic::async_trait]
impl IstioCertificateService for Echo {
    async fn create_certificate(
        &self,
        request: tonic::Request<IstioCertificateRequest>,
    ) -> Result<tonic::Response<IstioCertificateResponse>, Status> {
        let peer = request.extensions().get::<Peer>().copied();
        let peer = peer.ok_or_else(|| Status::internal("no peer"))?;
        let cert_chain = vec![
            request.get_ref().csr.len().to_string(),
            peer.0.ip().to_string(),
        ];
        Ok(tonic::Response::new(IstioCertificateResponse {
            cert_chain,
        }))
    }
}

struct Server {
    publisher: Publisher,
    door: Arc<List>,
    clients: Arc<Clients>,
    address: std::net::SocketAddr,
    tls: Arc<ArcSwap<ServerConfig>>,
    root: CertificateDer<'static>,
    stop: Arc<Notify>,
    task: JoinHandle<()>,
}

fn certificate() -> (CertificateDer<'static>, ServerConfig) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let der = certificate.der().clone();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![der.clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    (der, config)
}

impl Server {
    async fn start() -> Self {
        let publisher = Publisher::new();
        let door = Arc::new(List::default());
        door.add("node", ztunnel(Some("n1")), true);
        let clients = Arc::new(Clients::default());
        let xds = Service::with_door(
            publisher.view(),
            Arc::<List>::clone(&door),
            testkit::metrics(),
            Arc::clone(&clients),
        );
        let (root, config) = certificate();
        let tls = Arc::new(ArcSwap::from_pointee(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(Notify::new());
        let task = tokio::spawn(serve(
            listener,
            Arc::clone(&tls),
            xds,
            Echo,
            Arc::clone(&stop),
        ));
        Self {
            publisher,
            door,
            clients,
            address,
            tls,
            root,
            stop,
            task,
        }
    }

    async fn tls(
        &self,
        alpn: &[&[u8]],
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    async fn channel(&self, token: &str) -> Channel {
        let stream = within("TLS", self.tls(&[b"h2"])).await.unwrap();
        let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        builder
            .initial_stream_window_size(64 * 1024)
            .initial_connection_window_size(64 * 1024);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(async move { drop(connection.await) });
        Channel {
            sender,
            token: format!("Bearer {token}"),
            driver: Arc::new(driver),
        }
    }

    async fn client(&self, token: &str) -> Result<Client, Status> {
        Client::open(self.channel(token).await).await
    }
}

/// One connection, which sends a token with each request.
#[derive(Clone)]
struct Channel {
    sender: SendRequest<tonic::body::Body>,
    token: String,
    driver: Arc<JoinHandle<()>>,
}

impl tower_service::Service<Request<tonic::body::Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<tonic::body::Body>) -> Self::Future {
        request
            .headers_mut()
            .insert("authorization", self.token.parse().unwrap());
        Box::pin(self.sender.send_request(request))
    }
}

struct Client {
    requests: mpsc::UnboundedSender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    channel: Channel,
}

impl Client {
    async fn open(channel: Channel) -> Result<Self, Status> {
        let (requests, sent) = mpsc::unbounded_channel();
        let sent = stream::unfold(sent, |mut sent| async {
            let request = sent.recv().await?;
            Some((request, sent))
        });
        let origin = "https://localhost".parse().unwrap();
        let mut client = AggregatedDiscoveryServiceClient::with_origin(channel.clone(), origin)
            .max_decoding_message_size(200 * 1024 * 1024);
        let responses = within("opening", client.delta_aggregated_resources(sent)).await?;
        Ok(Self {
            requests,
            responses: responses.into_inner(),
            channel,
        })
    }

    fn say(&self, request: DeltaDiscoveryRequest) {
        self.requests.send(request).unwrap();
    }

    async fn hear(&mut self) -> Result<Option<DeltaDiscoveryResponse>, Status> {
        within("a response", self.responses.message()).await
    }

    async fn take(&mut self) -> DeltaDiscoveryResponse {
        let response = self.hear().await.unwrap().unwrap();
        self.say(ack(&response));
        response
    }
}

#[tokio::test]
async fn a_peer_without_a_token_is_refused_and_one_with_it_sees_everything() {
    let server = Server::start().await;
    server
        .publisher
        .apply(puts([workload("a", [10, 0, 0, 1], "n1", &[])]));
    let refused = server.client("wrong").await.err().unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let mut client = server.client("node").await.unwrap();
    client.say(subscribe(ADDRESS_TYPE, &[]));
    assert_eq!(names(&client.take().await).0, ["a"]);
    server
        .publisher
        .apply(puts([workload("b", [10, 0, 0, 2], "n1", &[])]));
    assert_eq!(names(&client.take().await).0, ["b"]);
}

#[tokio::test]
async fn on_demand_is_served_by_address_over_the_wire() {
    let server = Server::start().await;
    server.publisher.apply(puts([
        workload("a", [10, 0, 0, 1], "n2", &["ns/s"]),
        service("ns", "s", [10, 9, 0, 1], None),
    ]));
    let mut client = server.client("node").await.unwrap();
    client.say(on_demand(ADDRESS_TYPE));
    client.say(subscribe(AUTHORIZATION_TYPE, &[]));
    for _ in 0..2 {
        assert_eq!(names(&client.take().await), (vec![], vec![]));
    }
    client.say(subscribe(ADDRESS_TYPE, &["/10.9.0.1", "/10.0.0.9"]));
    assert_eq!(
        names(&client.take().await),
        (vec!["a", "ns/s"], vec!["/10.0.0.9"])
    );
}

#[tokio::test]
async fn a_client_that_reconnects_gets_only_what_changed() {
    let server = Server::start().await;
    server.publisher.apply(puts(
        (0..100).map(|i| workload(&format!("w{i}"), [10, 0, 0, i], "", &[])),
    ));
    let mut client = server.client("node").await.unwrap();
    client.say(subscribe(ADDRESS_TYPE, &[]));
    let has = versions(&client.take().await);
    assert_eq!(has.len(), 100);
    drop(client);
    server
        .publisher
        .apply(puts([workload("w7", [10, 0, 1, 7], "", &[])]));
    server.publisher.apply(Output {
        removals: vec![(crate::output::ResourceType::Address, "w8".to_owned())],
        ..Output::default()
    });
    let mut client = server.client("node").await.unwrap();
    client.say(back(ADDRESS_TYPE, has));
    assert_eq!(names(&client.take().await), (vec!["w7"], vec!["w8"]));
}

#[tokio::test]
async fn many_versions_are_taken_from_one_that_comes_back() {
    let server = Server::start().await;
    server
        .publisher
        .apply(puts([workload("a", [10, 0, 0, 1], "", &[])]));
    let mut client = server.client("node").await.unwrap();
    // Two megabytes: large, and allowed.
    let has: BTreeMap<_, _> = (0..20_000)
        .map(|i| (format!("{i:060}"), "0".repeat(32)))
        .collect();
    client.say(back(ADDRESS_TYPE, has));
    let response = client.take().await;
    assert_eq!(response.resources.len(), 1);
    assert_eq!(response.removed_resources.len(), 20_000);
}

#[tokio::test]
async fn a_revoked_token_shuts_the_door_for_a_new_stream() {
    let server = Server::start().await;
    server.publisher.apply(Output::default());
    let channel = server.channel("node").await;
    drop(Client::open(channel.clone()).await.unwrap());
    server.door.revoke("node");
    let refused = Client::open(channel).await.err().unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn certificates_are_asked_for_on_the_same_port_within_a_size() {
    let server = Server::start().await;
    let origin: http::Uri = "https://localhost".parse().unwrap();
    let mut ca = IstioCertificateServiceClient::with_origin(server.channel("node").await, origin);
    let mut ask = async |length: usize| {
        let request = IstioCertificateRequest {
            csr: "c".repeat(length),
            ..IstioCertificateRequest::default()
        };
        within("an answer", ca.create_certificate(request)).await
    };
    let answer = ask(1_000).await.unwrap().into_inner();
    assert_eq!(answer.cert_chain, ["1000", "127.0.0.1"]);
    assert_eq!(ask(65 * 1024).await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test]
async fn a_new_certificate_is_served_to_who_comes_after_it() {
    let mut server = Server::start().await;
    server.publisher.apply(Output::default());
    let mut before = server.client("node").await.unwrap();
    let (root, config) = certificate();
    server.tls.store(Arc::new(config));
    assert!(
        server.tls(&[b"h2"]).await.is_err(),
        "the old root does not know the new certificate"
    );
    server.root = root;
    let mut after = server.client("node").await.unwrap();
    for client in [&mut before, &mut after] {
        client.say(subscribe(ADDRESS_TYPE, &[]));
        client.take().await;
    }
}

#[tokio::test]
async fn a_stop_ends_streams_and_connections() {
    let server = Server::start().await;
    server.publisher.apply(Output::default());
    let mut client = server.client("node").await.unwrap();
    client.say(subscribe(ADDRESS_TYPE, &[]));
    client.take().await;
    server.stop.notify_one();
    let ended = client.hear().await.err().unwrap();
    assert_eq!(ended.code(), Code::Unavailable);
    within("the server", server.task).await.unwrap();
    within("the connection", async {
        while !client.channel.driver.is_finished() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(server.clients.is_empty());
}
