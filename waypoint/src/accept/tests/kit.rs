//! A waypoint that listens, a client with a tunnel to it, and endpoints that are sockets of this process.

use std::{
    io::Write,
    net::SocketAddr,
    num::{NonZeroU16, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use control::publish::Publisher;
use hbone::{Early, OpenError, Pool, Stream, TunnelKey, client};
use http::{Request, StatusCode};
use identity::{Config, Credential, FileCa, Store};
use mesh::{
    Delta, Resource, ResourceKey, San, Service, ServiceKey, SpiffeId, Workload,
    route::{RouteKey, RouteTable},
    service::{AppProtocol, GatewayAddress, GatewayDestination, NetworkAddress, PortMap},
    settings::{AccessLog, AccessLogFormat, Normalization, WaypointSettings},
};
use net::{Workers, drain::Drain, relay::TcpEnd};
use parking_lot::Mutex;
use telemetry::{Build, Format, Logging, Telemetry};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::SetOnce,
};

use crate::{
    accept::Arrivals,
    access::shared::{Options, Shared},
    io::DuplexIo,
    proxy::{Own, Proxy},
    upstream::{Clusters, Worker},
};

/// How long anything may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) type Client = DuplexIo<Stream>;

/// Waits for something, but not for ever.
pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect(what)
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) struct Waypoint {
    pub(super) publisher: Publisher,
    pub(super) proxy: Arc<Proxy>,
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) drain: Drain,
    log: Sink,
    logging: Logging,
    client: Arc<Credential>,
    pool: Arc<Pool>,
    address: SocketAddr,
    _client_drain: Drain,
}

fn ca() -> FileCa {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    FileCa::from_pem(&certificate.pem(), &key.serialize_pem(), net::clock::wall()).unwrap()
}

pub(super) fn own_service() -> ServiceKey {
    ServiceKey::new("shop", "waypoint.shop.svc.cluster.local")
}

pub(super) fn key(name: &str) -> ServiceKey {
    ServiceKey::new("shop", format!("{name}.shop.svc.cluster.local"))
}

/// A service at `10.96.0.<n>:80` whose waypoint this is.
pub(super) fn service(name: &str, n: u8, protocol: AppProtocol) -> Service {
    Service {
        name: name.into(),
        namespace: "shop".into(),
        hostname: key(name).hostname,
        vips: vec![NetworkAddress {
            network: "".into(),
            ip: [10, 96, 0, n].into(),
            prefix_length: None,
        }],
        ports: PortMap([(80, None)].into()),
        protocols: vec![(80, protocol)],
        waypoint: Some(GatewayAddress {
            destination: GatewayDestination::Service(own_service()),
            hbone_port: 15008,
        }),
        ..Service::default()
    }
}

/// An endpoint of a service.
pub(super) fn endpoint(name: &str, address: SocketAddr) -> Workload {
    let ports = PortMap([(80, NonZeroU16::new(address.port()))].into());
    Workload {
        uid: format!("Kubernetes//Pod/shop/{name}").into(),
        name: name.into(),
        namespace: "shop".into(),
        ips: vec![address.ip()],
        services: [(key(name), ports)].into(),
        ..Workload::default()
    }
}

pub(super) fn settings() -> WaypointSettings {
    WaypointSettings {
        namespace: "shop".into(),
        gateway: "waypoint".into(),
        unenforced: Vec::new(),
        access_log: Some(AccessLog {
            format: AccessLogFormat::Text(
                "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% %UPSTREAM_CLUSTER_RAW% %REQUESTED_SERVER_NAME% %BYTES_RECEIVED% %BYTES_SENT% %DOWNSTREAM_LOCAL_ADDRESS%".into(),
            ),
            omit_empty: false,
        }),
        normalization: Normalization::Base,
        protocol_detection_timeout: None,
        default_retry: None,
        default_policy: Arc::default(),
        serves_services: true,
        serves_workloads: true,
        ..WaypointSettings::new("shop".into(), "waypoint".into())
    }
}

pub(super) fn table(name: &str) -> RouteTable {
    RouteTable::new(RouteKey::new(key(name), 80))
}

impl Waypoint {
    /// One that is configured, with these services, each with one endpoint.
    pub(super) async fn start(services: Vec<(Service, SocketAddr)>) -> Self {
        let this = Self::unconfigured().await;
        this.publish([Resource::WaypointSettings(Arc::new(settings()))]);
        for (service, address) in services {
            let workload = endpoint(&service.name, address);
            this.publish([
                Resource::RouteTable(Arc::new(table(&service.name))),
                Resource::Service(Arc::new(service)),
                Resource::Workload(Arc::new(workload)),
            ]);
        }
        this.proxy.configured.set(()).unwrap();
        this
    }

    pub(super) async fn unconfigured() -> Self {
        let ca = ca();
        let id =
            |account: &str| SpiffeId::new("cluster.local".into(), "shop".into(), account.into());
        let client = Credential::issue(&ca, &id("client"), &Config::default())
            .await
            .unwrap();
        let own = Own {
            gateway: "waypoint".into(),
            namespace: "shop".into(),
            service_account: "waypoint".into(),
            pod_name: "waypoint-1".into(),
            instance_ip: "127.9.9.9".parse().unwrap(),
            network: "".into(),
            cluster: "Kubernetes".into(),
            identity: id("waypoint"),
            service: own_service(),
        };
        let log = Sink::default();
        let logging = Logging::start(
            Format::Text,
            "off".parse().unwrap(),
            Box::new(log.clone()),
            net::clock::wall,
        )
        .unwrap();
        let build = Build {
            component: "waypoint",
            tag: "0",
        };
        let telemetry = Telemetry::new(build, logging.clone(), net::clock::now());
        let (publisher, drain) = (Publisher::new(), Drain::default());
        let hbone = Arc::new(hbone::Settings::default());
        let workers = Workers::start(NonZeroUsize::new(2).unwrap()).unwrap();
        let store = Store::new(Arc::new(ca), Config::default());
        tokio::spawn(Arc::clone(&store).run());
        let clusters = Clusters::new(
            publisher.view(),
            Arc::clone(&store),
            own.clone(),
            Arc::clone(&hbone),
            telemetry.clone(),
            &workers,
            drain.listen(),
        );
        tokio::spawn(Arc::clone(&clusters).run());
        let upstream = (0..workers.count())
            .map(|index| Worker::new(index, Arc::clone(&hbone), drain.listen()))
            .collect();
        let proxy = Arc::new(Proxy {
            view: publisher.view(),
            configured: SetOnce::new(),
            store,
            crl: None,
            telemetry,
            workers,
            hbone: Arc::clone(&hbone),
            own,
            clusters,
            access: Shared::new(Options::default()),
            draining: drain.listen(),
        });
        let arrivals = Arrivals::new(Arc::clone(&proxy), upstream);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        arrivals.listen(listener);
        tokio::spawn(Arc::clone(&arrivals).follow());
        let client_drain = Drain::default();
        Self {
            publisher,
            proxy,
            arrivals,
            drain,
            log,
            logging,
            client: Arc::new(client),
            pool: Pool::new(hbone, client_drain.listen()),
            address,
            _client_drain: client_drain,
        }
    }

    pub(super) fn publish(&self, upserts: impl IntoIterator<Item = Resource>) {
        self.publisher.publish(Delta {
            upserts: upserts.into_iter().collect(),
            removals: Vec::new(),
        });
    }

    /// Takes the route tables of services back.
    pub(super) fn forget_tables<'s>(&self, services: impl IntoIterator<Item = &'s str>) {
        let routes = |name| ResourceKey::RouteTable(RouteKey::new(key(name), 80));
        self.publisher.publish(Delta {
            upserts: Vec::new(),
            removals: services.into_iter().map(routes).collect(),
        });
    }

    /// A connection to what an authority names, or the status of the refusal.
    pub(super) async fn connect(&self, authority: &str) -> Result<Client, StatusCode> {
        let key = TunnelKey {
            source: self.client.id().clone(),
            generation: self.client.generation(),
            source_ip: [127, 0, 0, 1].into(),
            peer: self.address,
            expected: vec![San::from("spiffe://cluster.local/ns/shop/sa/waypoint")],
        };
        let dial = || {
            let (credential, key) = (Arc::clone(&self.client), key.clone());
            async move {
                let tcp = TcpStream::connect(key.peer).await.unwrap();
                let config = credential.client_config(&key.expected);
                let settings = hbone::Settings::default();
                client::handshake(tcp, config, credential.not_after(), &settings).await
            }
        };
        let request = || Request::connect(authority).body(()).unwrap();
        let mut early = Early::<TcpEnd>::none();
        let opened = self.pool.open(&key, dial, request, &mut early);
        match soon("an answer to CONNECT", opened).await {
            Ok((stream, _head)) => Ok(DuplexIo::new(stream)),
            Err(OpenError::Status(status)) => Err(status),
            Err(error) => panic!("{authority}: {error}"),
        }
    }

    /// What was logged so far.
    pub(super) fn log(&self) -> String {
        self.logging.flush(DEADLINE);
        String::from_utf8(self.log.0.lock().clone()).unwrap()
    }

    /// Waits until a line of the log has all of these.
    pub(super) async fn logged(&self, parts: &[&str]) {
        let wait = async {
            while !self
                .log()
                .lines()
                .any(|line| parts.iter().all(|part| line.contains(part)))
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            panic!("no line with {parts:?}:\n{}", self.log());
        }
    }
}

/// Says something and reads until the other side ends or resets.
pub(super) async fn talk(client: &mut Client, text: &[u8]) -> String {
    drop(client.write_all(text).await);
    drop(client.flush().await);
    read_all(client).await
}

/// Reads until the other side ends or resets.
pub(super) async fn read_all(client: &mut Client) -> String {
    let mut out = Vec::new();
    drop(soon("the end of the connection", client.read_to_end(&mut out)).await);
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads until `end` has come.
pub(super) async fn read_until(client: &mut Client, end: &str) -> String {
    let mut out = Vec::new();
    while !String::from_utf8_lossy(&out).contains(end) {
        let mut buffer = [0; 1024];
        let count = soon(end, client.read(&mut buffer)).await.unwrap();
        assert!(
            count > 0,
            "no {end:?} in {:?}",
            String::from_utf8_lossy(&out)
        );
        out.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(out).unwrap()
}

/// A server that does this with each connection.
pub(super) async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    address
}

/// Answers what it is sent, until it ends.
pub(super) async fn echo() -> SocketAddr {
    server(|mut socket| async move {
        let (mut read, mut write) = socket.split();
        drop(tokio::io::copy(&mut read, &mut write).await);
        drop(write.shutdown().await);
    })
    .await
}
