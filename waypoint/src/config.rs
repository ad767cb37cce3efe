//! What the waypoint is told by its environment: read once, checked as a whole.
//!
//! In: variables ([`VARIABLES`] lists them). Out: one [`Config`]. Never: opens a file, connects, reads anything twice.
//!
//! A variable that is set to nothing counts as not set, because manifests cannot always leave one out. Unknown variables
//! are ignored. A value that cannot be used stops the start, together with all others.

mod raw;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use grpc::{Endpoint, Roots};
use http::Uri;
use mesh::{ClusterId, Name, Namespace, Network, ServiceAccount, TrustDomain};
use raw::Raw;

/// More would only be more memory: a worker is a thread, and no node has as many CPUs.
const MAX_WORKERS: usize = 1024;
/// The server where none is named, in a pod of Kubernetes and elsewhere. Source: Istio.
const IN_KUBERNETES: &str = "https://istiod.istio-system.svc:15012";
const ELSEWHERE: &str = "https://localhost:15012";

/// Every variable, its default, and what it says. **Shape:** in the order of the README's table.
pub const VARIABLES: &[(&str, Option<&str>, &str)] = &[
    (
        "GATEWAY",
        None,
        "the Gateway that this waypoint was made from; required",
    ),
    ("NAMESPACE", None, "its namespace, and the pod's; required"),
    (
        "SERVICE_ACCOUNT",
        None,
        "the pod's service account; unset: the Gateway's name",
    ),
    ("POD_NAME", None, "the pod; required"),
    ("INSTANCE_IP", None, "the pod's address; required"),
    ("CLUSTER_ID", Some("Kubernetes"), "the cluster"),
    (
        "CLUSTER_DOMAIN",
        Some("cluster.local"),
        "the domain of Kubernetes Services",
    ),
    ("NETWORK", Some(""), "the pod's network"),
    ("NODE_NAME", Some(""), "the node that the pod runs on"),
    (
        "TRUST_DOMAIN",
        Some("cluster.local"),
        "the trust domain of identities",
    ),
    (
        "XDS_ADDRESS",
        None,
        "the controller; unset: istiod's Service in Kubernetes, else localhost:15012",
    ),
    (
        "CA_ADDRESS",
        None,
        "the certificate authority; as XDS_ADDRESS",
    ),
    (
        "XDS_ROOT_CA",
        Some("./var/run/secrets/istio/root-cert.pem"),
        "the roots that the controller's certificate is checked against; SYSTEM: those of the system",
    ),
    (
        "CA_ROOT_CA",
        Some("./var/run/secrets/istio/root-cert.pem"),
        "the same for the authority",
    ),
    (
        "AUTH_TOKEN",
        Some("./var/run/secrets/tokens/istio-token"),
        "the file of the pod's token",
    ),
    ("CRL_PATH", None, "a file of certificate revocation lists"),
    (
        "JWKS_ROOT_CA",
        None,
        "roots that hosts of token keys are checked against, besides the system's: a file, or PEM text",
    ),
    (
        "WAYPOINT_WORKER_THREADS",
        Some("2"),
        "threads of the data path: a number, or a share of the CPUs in per cent",
    ),
    ("LOG_FORMAT", Some("text"), "text, plain or json"),
    ("RUST_LOG", Some("info"), "what is logged"),
    (
        "TERMINATION_DRAIN_DURATION_SECONDS",
        Some("5"),
        "how long open requests and connections may take after SIGTERM",
    ),
    (
        "ADMIN_ADDR",
        Some("localhost:15000"),
        "where the admin endpoint listens",
    ),
    (
        "STATS_ADDR",
        Some("0.0.0.0:15020"),
        "where metrics are served",
    ),
    (
        "READINESS_ADDR",
        Some("0.0.0.0:15021"),
        "where readiness is served",
    ),
];

/// Everything that the environment says. **Shape:** valid as a whole once it exists.
#[derive(Clone, Debug)]
pub struct Config {
    /// The Gateway's name.
    pub gateway: Name,
    /// Its namespace.
    pub namespace: Namespace,
    /// The pod's service account.
    pub service_account: ServiceAccount,
    /// The pod.
    pub pod_name: Name,
    /// Its address.
    pub instance_ip: IpAddr,
    /// The cluster.
    pub cluster: ClusterId,
    /// The domain of Kubernetes Services.
    pub domain: String,
    /// The pod's network.
    pub network: Network,
    /// The node, for the control plane's eyes.
    pub node_name: String,
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// The controller.
    pub xds: Endpoint,
    /// The authority.
    pub ca: Endpoint,
    /// Revocation lists.
    pub crl: Option<PathBuf>,
    /// Whom hosts of token keys are believed by, besides the system's roots.
    pub jwks_roots: Roots,
    /// Threads of the data path.
    pub workers: NonZeroUsize,
    /// How log lines look.
    pub log_format: telemetry::Format,
    /// What is logged.
    pub log_filter: String,
    /// How long the end may take.
    pub drain: Duration,
    /// Where operators look.
    pub admin: SocketAddr,
    /// Where metrics are scraped.
    pub metrics: SocketAddr,
    /// Where readiness is asked for.
    pub readiness: SocketAddr,
}

/// Why the waypoint does not start.
#[derive(Debug, thiserror::Error)]
#[error("{}", .faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ConfigError {
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
}

/// What is wrong with one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It must be set.
    Missing {
        /// Its name.
        variable: &'static str,
        /// What it is for.
        expected: &'static str,
    },
    /// Its value cannot be used.
    Invalid {
        /// Its name.
        variable: &'static str,
        /// What was found.
        value: String,
        /// What could be used.
        expected: &'static str,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { variable, expected } => {
                write!(f, "{variable} is not set, expected {expected}")
            }
            Self::Invalid {
                variable,
                value,
                expected,
            } => write!(f, "{variable}={value:?}, expected {expected}"),
        }
    }
}

impl Config {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// See [`Config::from_env`].
    pub fn load() -> Result<Self, ConfigError> {
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        Self::from_env(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// Reads variables and their values.
    ///
    /// # Errors
    /// Names every variable that is missing or has a value that cannot be used, with what was expected.
    pub fn from_env(
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let cpus = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let mut raw = Raw::new(variables);
        let config = read(&mut raw, cpus);
        match (config, raw.into_faults()) {
            (Some(config), faults) if faults.is_empty() => Ok(config),
            (_incomplete, faults) => Err(ConfigError { faults }),
        }
    }
}

/// Reads all of it. `None` only after a fault was noted.
fn read(raw: &mut Raw, cpus: NonZeroUsize) -> Option<Config> {
    // Everything is read before anything is given up, so that one start names all faults.
    let gateway = raw.required("GATEWAY", "the name of the Gateway");
    let namespace = raw.required("NAMESPACE", "the Gateway's namespace");
    let pod_name = raw.required("POD_NAME", "the name of the pod");
    let instance_ip = raw
        .required("INSTANCE_IP", "the address of the pod")
        .and_then(|_set| raw.parse("INSTANCE_IP", "an IP address", |text| text.parse().ok()));
    let trust_domain = raw.parse(
        "TRUST_DOMAIN",
        "lower-case letters, digits, hyphens, dots and underscores",
        trust_domain,
    );
    let cluster = raw.text("CLUSTER_ID").unwrap_or_default();
    let domain = raw.parse("CLUSTER_DOMAIN", "a DNS domain", domain);
    let xds = endpoint(raw, "XDS_ADDRESS", "XDS_ROOT_CA", &cluster);
    let ca = endpoint(raw, "CA_ADDRESS", "CA_ROOT_CA", &cluster);
    let workers = raw.parse(
        "WAYPOINT_WORKER_THREADS",
        "a number from 1 to 1024 or a percentage from 1% to 100%",
        |text| workers(text, cpus),
    );
    let log_format = raw.parse("LOG_FORMAT", "text, plain or json", |text| match text {
        "text" | "plain" => Some(telemetry::Format::Text),
        "json" => Some(telemetry::Format::Json),
        _ => None,
    });
    let drain = raw.parse(
        "TERMINATION_DRAIN_DURATION_SECONDS",
        "a number of seconds",
        |text| {
            text.parse()
                .ok()
                .map(|seconds: u32| Duration::from_secs(seconds.into()))
        },
    );
    let admin = raw.parse("ADMIN_ADDR", ADDRESS, address);
    let metrics = raw.parse("STATS_ADDR", ADDRESS, address);
    let readiness = raw.parse("READINESS_ADDR", ADDRESS, address);
    let gateway = gateway?;
    Some(Config {
        service_account: raw
            .text("SERVICE_ACCOUNT")
            .unwrap_or_else(|| gateway.clone())
            .into(),
        gateway: gateway.into(),
        namespace: namespace?.into(),
        pod_name: pod_name?.into(),
        instance_ip: instance_ip?,
        cluster: cluster.into(),
        domain: domain?,
        network: raw.text("NETWORK").unwrap_or_default().into(),
        node_name: raw.text("NODE_NAME").unwrap_or_default(),
        trust_domain: trust_domain?,
        xds: xds?,
        ca: ca?,
        crl: raw.text("CRL_PATH").map(PathBuf::from),
        jwks_roots: raw
            .text("JWKS_ROOT_CA")
            .map_or(Roots::System, |text| Roots::from_setting(&text)),
        workers: workers?,
        log_format: log_format?,
        log_filter: raw.text("RUST_LOG").unwrap_or_default(),
        drain: drain?,
        admin: admin?,
        metrics: metrics?,
        readiness: readiness?,
    })
}

/// Source: SPIFFE-ID §2.1.
fn trust_domain(text: &str) -> Option<TrustDomain> {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    (!text.is_empty() && text.len() <= 255 && text.chars().all(ok)).then(|| text.into())
}

fn domain(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let ok = |label: &str| {
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty() && label.len() <= 63 && label.chars().all(letter)
    };
    (text.len() <= 253 && text.split('.').all(ok)).then_some(text)
}

fn workers(text: &str, cpus: NonZeroUsize) -> Option<NonZeroUsize> {
    let whole = |text: &str| {
        let number: Option<NonZeroUsize> = text.parse().ok();
        number.filter(|number| number.get() <= MAX_WORKERS)
    };
    match text.strip_suffix('%') {
        None => whole(text),
        Some(share) => {
            let share: usize = share
                .parse()
                .ok()
                .filter(|share| (1..=100).contains(share))?;
            NonZeroUsize::new((cpus.get() * share).div_ceil(100).min(MAX_WORKERS))
        }
    }
}

const ADDRESS: &str = "localhost:PORT or ADDRESS:PORT";

fn address(text: &str) -> Option<SocketAddr> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port.parse().ok()?),
        None => text.parse().ok()?,
    };
    (address.port() != 0).then_some(address)
}

fn endpoint(
    raw: &mut Raw,
    name: &'static str,
    roots: &'static str,
    cluster: &str,
) -> Option<Endpoint> {
    let address = if raw.text(name).is_some() {
        raw.parse(
            name,
            "https://HOST:PORT (or http:// for a server without TLS)",
            uri,
        )
    } else {
        let default = raw.given("KUBERNETES_SERVICE_HOST");
        uri(default.map_or(ELSEWHERE, |_| IN_KUBERNETES))
    };
    let roots = raw.text(roots)?;
    Some(Endpoint {
        address: address?,
        roots: match roots.as_str() {
            "SYSTEM" => Roots::System,
            _ => Roots::File(PathBuf::from(roots)),
        },
        alternative_name: None,
        token: raw.text("AUTH_TOKEN").map(PathBuf::from),
        cluster: cluster.to_owned(),
        headers: Vec::new(),
    })
}

/// A missing scheme is `https`, a missing port 15012.
fn uri(text: &str) -> Option<Uri> {
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let uri: Uri = whole.parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("https" | "http"));
    let plain = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let authority = uri.authority()?;
    if !known || !plain || authority.host().is_empty() || authority.as_str().contains('@') {
        return None;
    }
    match authority.port_u16() {
        Some(0) => None,
        Some(_) => Some(uri),
        None if authority.port().is_some() => None,
        None => format!("{}://{}:15012", uri.scheme_str()?, authority.host())
            .parse()
            .ok(),
    }
}

#[cfg(test)]
mod tests;
