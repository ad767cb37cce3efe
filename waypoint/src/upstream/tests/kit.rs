//! A mesh of one service whose endpoints are sockets of this process.

use std::{
    convert::Infallible,
    net::SocketAddr,
    num::{NonZeroU16, NonZeroUsize},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use control::publish::Publisher;
use http::{Request, Response, request};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use identity::{BoxFuture, CaError, CertificateAuthority, Issued, SigningRequest, Store};
use mesh::{
    Delta, Resource, Service, ServiceKey, SpiffeId, Workload,
    backend::{BackendKey, BackendPolicy, TrafficPolicy},
    route::Backend,
    service::{AppProtocol, PortMap},
};
use net::{Workers, drain::Drain};
use telemetry::{Build, Format, Logging, Telemetry};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    body::Body,
    proxy::Own,
    upstream::{Ask, Client, Cluster, Clusters, Host, Pick, SendError, Sent, Worker},
};

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until something holds.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect(what);
}

/// Waits for something, but not for ever.
pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect(what)
}

/// Nobody asks for a certificate where all endpoints are plain.
#[derive(Debug)]
struct NoAuthority;

impl CertificateAuthority for NoAuthority {
    fn issue(&self, request: SigningRequest) -> BoxFuture<'_, Result<Issued, CaError>> {
        panic!("a certificate was asked for: {}", request.id)
    }
}

/// A mesh with the service `cart` on port 80.
pub(super) struct Mesh {
    pub(super) publisher: Publisher,
    pub(super) clusters: Arc<Clusters>,
    pub(super) worker: Arc<Worker>,
    _drain: Drain,
}

pub(super) fn service_key() -> ServiceKey {
    ServiceKey::new("shop", "cart.shop.svc.cluster.local")
}

pub(super) fn backend() -> Backend {
    Backend::new(service_key(), 80)
}

pub(super) fn service() -> Service {
    Service {
        name: "cart".into(),
        namespace: "shop".into(),
        hostname: service_key().hostname,
        ports: PortMap([(80, None)].into()),
        protocols: vec![(80, AppProtocol::Http11)],
        ..Service::default()
    }
}

/// An endpoint of the service, `n`-th of its name.
pub(super) fn endpoint(n: usize, address: SocketAddr) -> Workload {
    let ports = PortMap([(80, NonZeroU16::new(address.port()))].into());
    Workload {
        uid: format!("Kubernetes//Pod/shop/cart-{n}").into(),
        name: format!("cart-{n}").into(),
        namespace: "shop".into(),
        ips: vec![address.ip()],
        services: [(service_key(), ports)].into(),
        ..Workload::default()
    }
}

pub(super) fn policy(policy: TrafficPolicy) -> Resource {
    Resource::BackendPolicy(Arc::new(BackendPolicy {
        key: BackendKey::new(service_key(), ""),
        policy: Arc::new(policy),
        ports: Default::default(),
    }))
}

impl Mesh {
    pub(super) fn new(service: Service, addresses: &[SocketAddr], rules: TrafficPolicy) -> Self {
        Self::with_workers(1, service, addresses, rules)
    }

    pub(super) fn with_workers(
        workers: usize,
        service: Service,
        addresses: &[SocketAddr],
        rules: TrafficPolicy,
    ) -> Self {
        let mesh = Self::of(workers, Arc::new(NoAuthority));
        let endpoints = addresses.iter().enumerate();
        let endpoints = endpoints.map(|(n, address)| endpoint(n, *address));
        mesh.publish(
            [Resource::Service(Arc::new(service)), policy(rules)]
                .into_iter()
                .chain(endpoints.map(|endpoint| Resource::Workload(Arc::new(endpoint)))),
        );
        mesh
    }

    /// One of which nothing is known.
    pub(super) fn of(workers: usize, authority: Arc<dyn CertificateAuthority>) -> Self {
        let publisher = Publisher::new();
        let own = Own {
            gateway: "waypoint".into(),
            namespace: "shop".into(),
            service_account: "waypoint".into(),
            pod_name: "waypoint-1".into(),
            instance_ip: "127.9.9.9".parse().unwrap(),
            network: "".into(),
            cluster: "Kubernetes".into(),
            identity: "spiffe://cluster.local/ns/shop/sa/waypoint"
                .parse()
                .unwrap(),
            service: ServiceKey::new("shop", "waypoint.shop.svc.cluster.local"),
        };
        let logging = Logging::start(
            Format::Text,
            "off".parse().unwrap(),
            Box::new(std::io::sink()),
            net::clock::wall,
        )
        .unwrap();
        let build = Build {
            component: "waypoint",
            tag: "0",
        };
        let drain = Drain::default();
        let settings = Arc::new(hbone::Settings::default());
        let store = Store::new(authority, identity::Config::default());
        tokio::spawn(Arc::clone(&store).run());
        let clusters = Clusters::new(
            publisher.view(),
            store,
            own,
            Arc::clone(&settings),
            Telemetry::new(build, logging, net::clock::now()),
            &Workers::start(NonZeroUsize::new(workers).unwrap()).unwrap(),
            drain.listen(),
        );
        Self {
            publisher,
            clusters,
            worker: Worker::new(0, settings, drain.listen()),
            _drain: drain,
        }
    }

    pub(super) fn publish(&self, upserts: impl IntoIterator<Item = Resource>) {
        self.publisher.publish(Delta {
            upserts: upserts.into_iter().collect(),
            removals: Vec::new(),
        });
    }

    pub(super) fn cluster(&self) -> Arc<Cluster> {
        self.clusters.get(&backend()).unwrap()
    }

    /// Lets the backends follow the mesh.
    pub(super) fn run(&self) {
        tokio::spawn(Arc::clone(&self.clusters).run());
    }

    pub(super) fn pick(&self) -> Pick {
        self.cluster().pick(&Ask::default()).unwrap()
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Result<Sent, SendError> {
        let (head, body) = request.into_parts();
        self.send_to(self.pick(), &head, body).await
    }

    pub(super) async fn send_to(
        &self,
        pick: Pick,
        head: &request::Parts,
        body: Body,
    ) -> Result<Sent, SendError> {
        let cluster = self.cluster();
        let sent = cluster.send(self.worker.itself(), pick, head, body);
        soon("an answer or an error", sent).await
    }

    /// Sends for a client.
    pub(super) async fn send_for(
        &self,
        client: Client<'_>,
        request: Request<Body>,
    ) -> Result<Sent, SendError> {
        let (head, body) = request.into_parts();
        let (cluster, by) = (self.cluster(), self.worker.on_behalf(client));
        let sent = cluster.send(by, self.pick(), &head, body);
        soon("an answer or an error", sent).await
    }

    /// Sends a GET for a client and reads the answer to its end.
    pub(super) async fn get_for(&self, client: Client<'_>) -> String {
        text(self.send_for(client, get("/")).await.unwrap()).await
    }

    /// Sends a GET and reads the answer to its end.
    pub(super) async fn get(&self, path: &str) -> Result<String, SendError> {
        let sent = self.send(get(path)).await?;
        Ok(text(sent).await)
    }

    /// Who would be chosen in a hundred choices, sorted.
    pub(super) fn chosen(&self) -> Vec<SocketAddr> {
        let cluster = self.cluster();
        let picks = (0..100).filter_map(|_| cluster.pick(&Ask::default()).ok());
        let mut chosen: Vec<_> = picks.map(|pick| pick.host().address()).collect();
        chosen.sort();
        chosen.dedup();
        chosen
    }

    pub(super) fn hosts(&self) -> Vec<Arc<Host>> {
        self.cluster().hosts().to_vec()
    }
}

/// A client that asked for `10.96.0.1:80`.
pub(super) fn client<'a>(identity: &'a SpiffeId, source: &str) -> Client<'a> {
    Client {
        identity,
        source: source.parse().unwrap(),
        destination: Some(([10, 96, 0, 1], 80).into()),
    }
}

pub(super) fn id(account: &str) -> SpiffeId {
    SpiffeId::new("cluster.local".into(), "shop".into(), account.into())
}

pub(super) fn get(path: &str) -> Request<Body> {
    Request::get(path)
        .header("host", "cart")
        .body(Body::Empty)
        .unwrap()
}

/// Reads an answer to its end.
pub(super) async fn text(sent: Sent) -> String {
    let body = sent.response.into_body().collect();
    let body = soon("the end of the body", body).await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

/// A server, and how many connections it was given.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Serves every connection by `serve`, which is told its number from 0.
    pub(super) async fn raw<F>(serve: impl Fn(usize, TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(number, socket));
            }
        });
        Self {
            address,
            connections,
        }
    }

    pub(super) async fn http1<F>(
        handle: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        Self::raw(move |_, socket| {
            let handle = handle.clone();
            async move {
                let service = service_fn(move |request| {
                    let answer = handle(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service);
                drop(connection.await);
            }
        })
        .await
    }

    pub(super) async fn http2<F>(
        handle: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        streams: u32,
    ) -> Self
    where
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        Self::raw(move |_, socket| {
            let handle = handle.clone();
            async move {
                let service = service_fn(move |request| {
                    let answer = handle(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .max_concurrent_streams(streams)
                    .serve_connection(TokioIo::new(socket), service);
                drop(connection.await);
            }
        })
        .await
    }

    /// Answers `hello` to everything.
    pub(super) async fn hello() -> Self {
        Self::http1(|_| async { answer("hello") }).await
    }
}

pub(super) fn answer(text: &'static str) -> Response<Full<Bytes>> {
    Response::new(Full::new(Bytes::from_static(text.as_bytes())))
}
