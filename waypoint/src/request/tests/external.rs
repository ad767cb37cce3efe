//! Requests and connections that an authorizer is asked about: whole requests, an authorizer and a backend of the tests' own.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::SocketAddr,
    num::NonZeroU16,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response, Version, request::Parts};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use mesh::{
    PolicyKey, Resource, Service, ServiceKey, Workload,
    access::{
        Policies, Policy, Rulebook,
        authorization::{Action, Rule},
        external::{ExternalAuthorization, HttpCheck, IncludeBody, Protocol},
    },
    route::{Backend, RouteTable},
    service::{AppProtocol, PortMap},
};
use parking_lot::Mutex;

use super::kit::*;
use crate::body::Body;

mod bodies;
mod changed;
mod connections;
mod flips;
mod floods;
mod outages;
mod over_grpc;
mod over_http;

fn authorizer() -> ServiceKey {
    ServiceKey::new("default", "authorizer.default.svc.cluster.local")
}

/// A provider that is asked by HTTP, and may take as long as anybody waits here.
fn by_http(how: HttpCheck) -> ExternalAuthorization {
    ExternalAuthorization {
        provider: "authorizer".into(),
        backend: Backend::new(authorizer(), 80),
        protocol: Protocol::Http(Box::new(how)),
        timeout: PATIENCE,
        fail_open: false,
        status_on_error: 403,
        include_body: None,
    }
}

fn by_grpc() -> ExternalAuthorization {
    ExternalAuthorization {
        protocol: Protocol::Grpc,
        ..by_http(HttpCheck::default())
    }
}

fn including(max_bytes: u32, allow_partial: bool) -> Option<IncludeBody> {
    Some(IncludeBody {
        max_bytes,
        allow_partial,
        as_bytes: false,
    })
}

fn policy(name: &str, action: Action) -> Policy {
    Policy {
        key: PolicyKey::new("default", name),
        action,
        dry_run: false,
        rules: vec![Rule::default()],
    }
}

/// A waypoint whose requests and connections somebody is asked about.
fn asking(backend: SocketAddr, provider: SocketAddr, external: ExternalAuthorization) -> Kit {
    with_policies(
        backend,
        provider,
        vec![policy("ask", Action::Custom(Arc::new(external)))],
        None,
    )
}

fn with_policies(
    backend: SocketAddr,
    provider: SocketAddr,
    policies: Vec<Policy>,
    declared: Option<AppProtocol>,
) -> Kit {
    let table = RouteTable {
        policies: Policies {
            authorization: Rulebook::new(policies),
            ..Policies::default()
        },
        ..table(vec![forward()])
    };
    let plan = Plan {
        table: Some(table),
        ..Plan::default()
    };
    let kit = Kit::new(&[backend], plan);
    kit.publish(serving(provider, declared));
    kit
}

/// The authorizer's service, and where it is.
fn serving(provider: SocketAddr, declared: Option<AppProtocol>) -> Vec<Resource> {
    let key = authorizer();
    let mut service = Service {
        name: "authorizer".into(),
        namespace: key.namespace.clone(),
        hostname: key.hostname.clone(),
        ports: PortMap(BTreeMap::from([(80, None)])),
        ..Service::default()
    };
    if let Some(protocol) = declared {
        service.protocols.push((80, protocol));
    }
    let port = NonZeroU16::new(provider.port());
    let workload = Workload {
        uid: "Kubernetes//Pod/default/authorizer".into(),
        name: "authorizer".into(),
        namespace: "default".into(),
        ips: vec![provider.ip()],
        services: HashMap::from([(key, PortMap(BTreeMap::from([(80, port)])))]),
        ..Workload::default()
    };
    vec![
        Resource::Service(Arc::new(service)),
        Resource::Workload(Arc::new(workload)),
    ]
}

/// A request as a server got it.
struct Received {
    head: Parts,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

impl Received {
    fn header(&self, name: &str) -> Option<&str> {
        let value = self.head.headers.get(name);
        value.map(|value| value.to_str().unwrap())
    }
}

/// What a server got, in order.
#[derive(Clone, Default)]
struct Got(Arc<Mutex<Vec<Received>>>);

impl Got {
    /// The only request so far.
    fn only(&self) -> Received {
        let mut got = self.0.lock();
        assert_eq!(got.len(), 1);
        got.remove(0)
    }

    fn count(&self) -> usize {
        self.0.lock().len()
    }
}

type Answering = BoxFuture<'static, io::Result<Response<Body>>>;

/// Keeps what it gets and answers with what `answer` says.
fn keeping(
    got: &Got,
    answer: impl Fn(&Received) -> Response<Body> + Clone + Send + Sync + 'static,
) -> impl Fn(Request<Incoming>) -> Answering + Clone + Send + 'static {
    let got = got.clone();
    move |request| {
        let (got, answer) = (got.clone(), answer.clone());
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let whole = body.collect().await.map_err(io::Error::other)?;
            let trailers = whole.trailers().cloned();
            let received = Received {
                head,
                body: whole.to_bytes(),
                trailers,
            };
            let response = answer(&received);
            got.0.lock().push(received);
            Ok(response)
        })
    }
}

/// A backend that says what it is asked.
async fn echo(got: &Got) -> SocketAddr {
    backend(Version::HTTP_11, keeping(got, |_| text("from the backend"))).await
}

/// An authorizer by HTTP that says always the same.
async fn saying(
    got: &Got,
    answer: impl Fn(&Received) -> Response<Body> + Clone + Send + Sync + 'static,
) -> SocketAddr {
    backend(Version::HTTP_11, keeping(got, answer)).await
}

/// A short time, for those who do not answer. Nothing is measured by it.
const SOON: Duration = Duration::from_millis(30);
