//! A waypoint without tunnels, clients and backends on loopback, and a log that can be read.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::{NonZeroU16, NonZeroUsize},
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use control::publish::Publisher;
use decision::waypoint::Target;
use http::{Request, Response, Version, header::HOST};
use http_body_util::BodyExt as _;
use identity::{BoxFuture, CaError, CertificateAuthority, Issued, PeerCertificate, SigningRequest};
use mesh::{
    Delta, Resource, ResourceKey, Service, ServiceKey, SpiffeId, Workload,
    access::Policies,
    backend::{BackendKey, BackendPolicy, TrafficPolicy},
    route::{
        Action, Backend, Forward, HttpRule, HttpRules, Retry, RetryOn, RouteKey, RouteTable,
        Target as To, WeightedBackend,
    },
    service::PortMap,
    settings::{AccessLog, AccessLogFormat, Normalization, WaypointSettings},
};
use net::{Workers, drain::Drain};
use parking_lot::Mutex;
use telemetry::{Build, Format, Logging, Telemetry};
use tokio::sync::SetOnce;

mod servers;

pub(in crate::request) use servers::*;

use crate::{
    access::{shared::Shared, testkit::options},
    body::Body,
    proxy::{Own, Proxy},
    request,
    session::{Compared, Ending, Flips, Protocol, Session, Standing},
    upstream::{Clusters, Worker},
};

/// Room for a busy machine; every wait ends long before.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What the access log shows. Numbers are numbers.
const FIELDS: &[(&str, &str)] = &[
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("protocol", "%PROTOCOL%"),
    ("code", "%RESPONSE_CODE%"),
    ("flags", "%RESPONSE_FLAGS%"),
    ("details", "%RESPONSE_CODE_DETAILS%"),
    ("received", "%BYTES_RECEIVED%"),
    ("sent", "%BYTES_SENT%"),
    ("cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("host", "%UPSTREAM_HOST%"),
    ("route", "%ROUTE_NAME%"),
    ("id", "%REQ(X-REQUEST-ID)%"),
    ("attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
    ("grpc", "%GRPC_STATUS_NUMBER%"),
    ("remote", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("direct", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"),
];

pub(super) const HOSTNAME: &str = "reviews.default.svc.cluster.local";

pub(super) fn key() -> ServiceKey {
    ServiceKey::new("default", HOSTNAME)
}

/// An authority that signs nothing: there are no tunnels here.
#[derive(Debug)]
struct Nobody;

impl CertificateAuthority for Nobody {
    fn issue(&self, _request: SigningRequest) -> BoxFuture<'_, Result<Issued, CaError>> {
        Box::pin(std::future::pending())
    }
}

#[derive(Clone, Debug, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A waypoint before one service.
pub(super) struct Kit {
    pub(super) proxy: Arc<Proxy>,
    pub(super) session: Arc<Session>,
    publisher: Publisher,
    sink: Sink,
    _drain: Drain,
}

/// What a test says of the service, beside its endpoints.
pub(super) struct Plan {
    /// `None`: one without a rule.
    pub(super) table: Option<RouteTable>,
    pub(super) policy: TrafficPolicy,
    pub(super) default_retry: Option<Retry>,
    pub(super) unenforced: Vec<mesh::Name>,
    /// Of the waypoint; those of the service are the table's.
    pub(super) policies: Policies,
    pub(super) client: Version,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            table: None,
            policy: TrafficPolicy::default(),
            default_retry: None,
            unenforced: Vec::new(),
            policies: Policies::default(),
            client: Version::HTTP_11,
        }
    }
}

/// A table of one rule.
pub(super) fn table(rules: Vec<HttpRule>) -> RouteTable {
    RouteTable {
        http: Some(HttpRules::new(rules)),
        ..RouteTable::new(RouteKey::new(key(), 80))
    }
}

/// A rule that leads to the service.
pub(super) fn forward() -> HttpRule {
    HttpRule::new(Action::Forward(Forward {
        backends: vec![WeightedBackend::new(
            1,
            To::Backend(Backend::new(key(), 80)),
        )],
        fallback_status: 503,
    }))
}

pub(super) fn retry(attempts: u32, on: RetryOn) -> Retry {
    Retry {
        attempts,
        on,
        backoff: Some(Duration::from_millis(1)),
        ..Retry::default()
    }
}

/// A rule that leads to the service and is tried again.
pub(super) fn retrying(attempts: u32, on: RetryOn) -> HttpRule {
    HttpRule {
        retry: Some(retry(attempts, on)),
        ..forward()
    }
}

impl Kit {
    pub(super) fn new(endpoints: &[SocketAddr], plan: Plan) -> Self {
        let publisher = Publisher::new();
        let own = Own {
            gateway: "waypoint".into(),
            namespace: "default".into(),
            service_account: "waypoint".into(),
            pod_name: "waypoint-1".into(),
            instance_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            network: "".into(),
            cluster: "Kubernetes".into(),
            identity: identity_of("waypoint"),
            service: ServiceKey::new("default", "waypoint.default.svc.cluster.local"),
        };
        let service = Arc::new(Service {
            name: "reviews".into(),
            namespace: "default".into(),
            hostname: HOSTNAME.into(),
            ports: PortMap(BTreeMap::from([(80, None)])),
            ..Service::default()
        });
        publish(
            &publisher,
            endpoints,
            &service,
            &own,
            plan.table
                .unwrap_or_else(|| RouteTable::new(RouteKey::new(key(), 80))),
            plan.policy,
            plan.default_retry,
            plan.unenforced,
            plan.policies,
        );
        let sink = Sink::default();
        let logging = Logging::start(
            Format::Json,
            "off".parse().unwrap(),
            Box::new(sink.clone()),
            net::clock::wall,
        )
        .unwrap();
        let build = Build {
            component: "proxy",
            tag: "test",
        };
        let telemetry = Telemetry::new(build, logging, net::clock::now());
        let store = identity::Store::new(Arc::new(Nobody), identity::Config::default());
        let workers = Workers::start(NonZeroUsize::MIN).unwrap();
        let hbone = Arc::new(hbone::Settings::default());
        let drain = Drain::default();
        let clusters = Clusters::new(
            publisher.view(),
            Arc::clone(&store),
            own.clone(),
            Arc::clone(&hbone),
            telemetry.clone(),
            &workers,
            drain.listen(),
        );
        let worker = Worker::new(0, Arc::clone(&hbone), drain.listen());
        let proxy = Arc::new(Proxy {
            view: publisher.view(),
            configured: SetOnce::new(),
            store,
            crl: None,
            telemetry,
            workers,
            hbone,
            own,
            clusters,
            access: Shared::new(options()),
            draining: drain.listen(),
        });
        let session = Arc::new(Session {
            proxy: Arc::clone(&proxy),
            worker,
            client: "10.0.0.9:40000".parse().unwrap(),
            proxied: None,
            peer: Arc::new(certificate()),
            source: None,
            target: Target::Service { service, port: 80 },
            destination: Some("10.1.0.1:80".parse().unwrap()),
            protocol: if plan.client == Version::HTTP_2 {
                Protocol::Http2
            } else {
                Protocol::Http1
            },
            sni: None,
            opened: net::clock::now(),
            ending: Ending::default(),
            flips: Flips::default(),
            certified: OnceLock::new(),
        });
        Self {
            proxy,
            session,
            publisher,
            sink,
            _drain: drain,
        }
    }

    /// Publishes more.
    pub(super) fn publish(&self, resources: Vec<Resource>) {
        self.publisher.publish(Delta {
            upserts: resources,
            removals: Vec::new(),
        });
    }

    /// Publishes more, and tells the session, as whoever follows the mesh does.
    pub(super) fn turn(&self, resources: Vec<Resource>) {
        let follow = || {
            let snapshot = self.proxy.view.load();
            let (settings, table) = (
                self.session.settings(&snapshot),
                self.session.table(&snapshot),
            );
            let standing = Standing::new(&snapshot, settings, table);
            self.session
                .flips
                .follow(standing, &mut Compared::default());
        };
        follow();
        self.publish(resources);
        follow();
    }

    /// Takes the routes back.
    pub(super) fn forget_table(&self) {
        self.publisher.publish(Delta {
            upserts: Vec::new(),
            removals: vec![ResourceKey::RouteTable(RouteKey::new(key(), 80))],
        });
    }

    /// One request, as the engine would hand it on.
    pub(super) async fn serve(&self, request: Request<Body>) -> Response<Body> {
        let served = request::serve(&self.session, request, None);
        tokio::time::timeout(PATIENCE, served).await.unwrap()
    }

    /// One request, and its answer to the end.
    pub(super) async fn ask(&self, request: Request<Body>) -> Answered {
        let (head, body) = self.serve(request).await.into_parts();
        let collected = tokio::time::timeout(PATIENCE, body.collect())
            .await
            .unwrap()
            .unwrap();
        Answered {
            head,
            body: String::from_utf8(collected.to_bytes().to_vec()).unwrap(),
        }
    }

    /// The lines of the access log since the last time.
    pub(super) fn lines(&self) -> Vec<HashMap<String, serde_json::Value>> {
        assert!(self.proxy.telemetry.logging().flush(PATIENCE));
        let text = String::from_utf8(std::mem::take(&mut *self.sink.0.lock())).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The one line since the last time.
    pub(super) fn line(&self) -> HashMap<String, serde_json::Value> {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }

    /// Waits for a line that comes by itself.
    pub(super) async fn line_soon(&self) -> HashMap<String, serde_json::Value> {
        let waiting = async {
            loop {
                if let Some(line) = self.lines().into_iter().next() {
                    return line;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap()
    }

    /// What a scrape shows of requests.
    pub(super) fn requests_total(&self) -> String {
        self.scraped("istio_requests_total{")
    }

    /// The lines of a scrape that begin so.
    pub(super) fn scraped(&self, beginning: &str) -> String {
        let text = self
            .proxy
            .telemetry
            .expose(telemetry::metrics::Exposition::Text, net::clock::now());
        let wanted = |line: &&str| line.starts_with(beginning);
        text.lines().filter(wanted).collect::<Vec<_>>().join("\n")
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one plan")]
fn publish(
    publisher: &Publisher,
    endpoints: &[SocketAddr],
    service: &Arc<Service>,
    own: &Own,
    table: RouteTable,
    policy: TrafficPolicy,
    default_retry: Option<Retry>,
    unenforced: Vec<mesh::Name>,
    policies: Policies,
) {
    let fields = FIELDS
        .iter()
        .map(|(name, format)| ((*name).into(), (*format).into()));
    let settings = WaypointSettings {
        namespace: own.namespace.clone(),
        gateway: own.gateway.clone(),
        unenforced,
        access_log: Some(AccessLog {
            format: AccessLogFormat::Json(fields.collect()),
            omit_empty: false,
        }),
        normalization: Normalization::Base,
        protocol_detection_timeout: None,
        default_retry,
        default_policy: Arc::new(TrafficPolicy::default()),
        serves_services: true,
        serves_workloads: true,
        policies,
        ..WaypointSettings::new("shop".into(), "waypoint".into())
    };
    let mut upserts = vec![
        Resource::WaypointSettings(Arc::new(settings)),
        Resource::Service(Arc::clone(service)),
        Resource::RouteTable(Arc::new(table)),
        Resource::BackendPolicy(Arc::new(BackendPolicy {
            key: BackendKey::new(key(), ""),
            policy: Arc::new(policy),
            ports: BTreeMap::new(),
        })),
    ];
    upserts.extend(
        endpoints
            .iter()
            .enumerate()
            .map(|(number, address)| Resource::Workload(Arc::new(endpoint(number, *address)))),
    );
    publisher.publish(Delta {
        upserts,
        removals: Vec::new(),
    });
}

fn endpoint(number: usize, address: SocketAddr) -> Workload {
    let port = NonZeroU16::new(address.port());
    Workload {
        uid: format!("Kubernetes//Pod/default/reviews-{number}").into(),
        name: format!("reviews-{number}").into(),
        namespace: "default".into(),
        workload_name: "reviews".into(),
        canonical_name: "reviews".into(),
        ips: vec![address.ip()],
        services: HashMap::from([(key(), PortMap(BTreeMap::from([(80, port)])))]),
        ..Workload::default()
    }
}

fn identity_of(account: &str) -> SpiffeId {
    SpiffeId::new("cluster.local".into(), "default".into(), account.into())
}

fn certificate() -> PeerCertificate {
    let mut params = rcgen::CertificateParams::default();
    let id = identity_of("client").to_string();
    params.subject_alt_names = vec![rcgen::SanType::URI(id.as_str().try_into().unwrap())];
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    identity::peer_identity(&[made.der().clone()]).unwrap()
}

/// An answer to its end.
pub(super) struct Answered {
    pub(super) head: http::response::Parts,
    pub(super) body: String,
}

impl Answered {
    pub(super) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap())
    }
}

/// A request for a path.
pub(super) fn get(path: &str) -> Request<Body> {
    Request::builder()
        .uri(path)
        .header(HOST, "reviews:80")
        .body(Body::Empty)
        .unwrap()
}

/// A request with a body of a known length.
pub(super) fn post(path: &str, body: impl Into<Bytes>) -> Request<Body> {
    let body = body.into();
    Request::builder()
        .method("POST")
        .uri(path)
        .header(HOST, "reviews:80")
        .header("content-length", body.len())
        .body(Body::Full(body))
        .unwrap()
}

pub(super) fn text(body: &str) -> Response<Body> {
    Response::new(Body::Full(Bytes::copy_from_slice(body.as_bytes())))
}

pub(super) fn status(code: u16) -> Response<Body> {
    Response::builder().status(code).body(Body::Empty).unwrap()
}
