//! For tests: a control plane in this process, with certificates of any name.

use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt as _};
use http::{Request, Uri};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::{NamedGroup, ServerConfig, crypto::aws_lc_rs, version::TLS13};
use rustls_pki_types::PrivateKeyDer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use tonic::{Response, Status, Streaming, body::Body};
use tower_service::Service as _;
use wire::proto::{
    Any,
    ca::{IstioCertificateRequest, IstioCertificateResponse},
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource},
};

use crate::{
    Endpoint, Roots,
    service::{
        ca::istio_certificate_service_server::{
            IstioCertificateService, IstioCertificateServiceServer,
        },
        discovery::aggregated_discovery_service_server::{
            AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
        },
    },
};

/// How long a condition is waited for before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A directory that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "grpc-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Somebody who signs server certificates.
pub(crate) struct TestCa(CertifiedIssuer<'static, KeyPair>);

impl TestCa {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server with these names (addresses become IP SANs) and protocols.
    pub(crate) fn server(&self, names: &[&str], alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &self.0)
            .unwrap();
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(&[&TLS13])
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![certificate.into()],
                    PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
                )
                .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

/// Answers both services; what a request carries is written down.
#[derive(Clone, Debug)]
struct Echo;

#[tonic::async_trait]
impl IstioCertificateService for Echo {
    async fn create_certificate(
        &self,
        request: tonic::Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        match request.into_inner().csr {
            csr if csr == "refuse" => Err(Status::unauthenticated("opaque")),
            csr => Ok(Response::new(IstioCertificateResponse {
                cert_chain: vec![csr],
            })),
        }
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Echo {
    type DeltaAggregatedResourcesStream =
        Pin<Box<dyn Stream<Item = Result<DeltaDiscoveryResponse, Status>> + Send>>;

    /// Each request names a number of bytes and gets a resource of as many.
    async fn delta_aggregated_resources(
        &self,
        request: tonic::Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let answers = request.into_inner().map(|request| {
            let size = request?.type_url.parse().unwrap_or(0);
            Ok(DeltaDiscoveryResponse {
                resources: vec![Resource {
                    resource: Some(Any {
                        value: vec![7; size].into(),
                        ..Any::default()
                    }),
                    ..Resource::default()
                }],
                ..DeltaDiscoveryResponse::default()
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// The name that TLS was asked for and the key exchange group, per connection.
type Agreed = Arc<Mutex<Vec<(Option<String>, NamedGroup)>>>;

/// A control plane on a port of this machine.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// The requests, in the order of their arrival.
    pub(crate) seen: Arc<Mutex<Vec<Request<()>>>>,
    /// What TLS agreed on.
    pub(crate) agreed: Agreed,
    /// How many connections are open.
    pub(crate) open: watch::Receiver<usize>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let agreed = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&agreed);
        let (count, open) = watch::channel(0);
        let stop = watch::Sender::new(false);
        let (record, stopped) = (Arc::clone(&seen), stop.subscribe());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, count) = (tls.clone(), count.clone());
                let (record, mut stopped) = (Arc::clone(&record), stopped.clone());
                let note = Arc::clone(&note);
                tokio::spawn(async move {
                    count.send_modify(|open| *open += 1);
                    tokio::select! {
                        () = connection(stream, tls, record, note) => {}
                        _ = stopped.wait_for(|stop| *stop) => {}
                    }
                    count.send_modify(|open| *open -= 1);
                });
            }
        });
        Self {
            address,
            seen,
            agreed,
            open,
            stop,
            task,
        }
    }

    /// Cuts all connections and takes no more.
    pub(crate) fn stop(&self) {
        self.task.abort();
        self.stop.send_replace(true);
    }

    pub(crate) async fn wait_for_connections(&self, count: usize) {
        let mut open = self.open.clone();
        tokio::time::timeout(DEADLINE, open.wait_for(|open| *open == count))
            .await
            .unwrap_or_else(|_| panic!("waited in vain for {count} connections"))
            .unwrap();
    }

    pub(crate) fn header(&self, request: usize, name: &str) -> Option<String> {
        let seen = self.seen.lock().unwrap();
        let value = seen[request].headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    }

    pub(crate) fn uri(&self, request: usize) -> Uri {
        self.seen.lock().unwrap()[request].uri().clone()
    }

    /// How a client is told of it.
    pub(crate) fn endpoint(&self, scheme: &str, host: &str, roots: Roots) -> Endpoint {
        Endpoint {
            address: format!("{scheme}://{host}:{}", self.address.port())
                .parse()
                .unwrap(),
            roots,
            alternative_name: None,
            token: None,
            cluster: "Kubernetes".into(),
            headers: Vec::new(),
        }
    }
}

async fn connection(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    record: Arc<Mutex<Vec<Request<()>>>>,
    note: Agreed,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (head, body) = request.into_parts();
        let mut noted = Request::new(());
        *noted.uri_mut() = head.uri.clone();
        *noted.headers_mut() = head.headers.clone();
        record.lock().unwrap().push(noted);
        let discovery = head.uri.path().contains("Discovery");
        let request = Request::from_parts(head, Body::new(body));
        async move {
            let answer = if discovery {
                AggregatedDiscoveryServiceServer::new(Echo)
                    .call(request)
                    .await
            } else {
                IstioCertificateServiceServer::new(Echo).call(request).await
            };
            Ok::<_, Infallible>(answer.unwrap())
        }
    });
    let http = http2::Builder::new(TokioExecutor::new());
    let ended = match tls {
        Some(tls) => match TlsAcceptor::from(tls).accept(stream).await {
            Ok(stream) => {
                let tls = stream.get_ref().1;
                let group = tls.negotiated_key_exchange_group().unwrap().name();
                note.lock()
                    .unwrap()
                    .push((tls.server_name().map(str::to_owned), group));
                http.serve_connection(TokioIo::new(stream), service).await
            }
            Err(_) => return,
        },
        None => http.serve_connection(TokioIo::new(stream), service).await,
    };
    // A client that goes away is what some tests are about.
    drop(ended);
}
