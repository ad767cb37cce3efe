//! Reading the variables into the parts of the configuration.
//!
//! In: what the environment says, with its faults so far. Out: all parts, or more faults, each with its variable.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use mesh::{Namespace, TrustDomain};
use net::socket::{Keepalive, Options};

use super::{
    Config, Control, Dns, DnsListen, Drain, Hbone, Identity, LogFormat, Node, Policy, Proxy,
    SameNode, Telemetry, raw::Raw,
};

mod capture;
mod remote;

#[cfg(test)]
pub(super) use capture::MAX_EXCLUSIONS;

/// Source: Istio's ztunnel; longer waits hide a NetworkPolicy that blocks 15008.
const TIMEOUT_CONNECT: Duration = Duration::from_secs(10);
/// More would only be more memory: a worker is a thread, and no node has as many CPUs.
const MAX_WORKERS: usize = 1024;
/// What Kubernetes needs at the end of the grace period, so that we still close connections ourselves.
const RESERVED_OF_GRACE: Duration = Duration::from_secs(5);
const DRAIN_UNSET: Duration = Duration::from_secs(5);
/// The mark that captured connections carry in conntrack; our own packets need another.
const CONNTRACK_MARK: u32 = 0x111;
const POSITIVE: std::ops::RangeInclusive<Duration> = Duration::from_nanos(1)..=Duration::MAX;
// Source: tcp(7), the kernel's MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL and MAX_TCP_KEEPCNT.
const KEEPALIVE_SECONDS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(32_767);
const KEEPALIVE_RETRIES: std::ops::RangeInclusive<u32> = 1..=127;

/// Reads all parts. `None` only after a fault was noted.
pub(super) fn all(raw: &mut Raw, cpus: NonZeroUsize) -> Option<Config> {
    // Everything is read before anything is given up, so that one start names all faults.
    let node = node(raw);
    let ipv6 = raw.flag("IPV6_ENABLED");
    let mark = mark(raw);
    let capture = capture::capture(raw, ipv6, mark);
    let proxy = proxy(raw, mark);
    let hbone = hbone(raw);
    let identity = identity(raw, node.cluster.as_str());
    let control = remote::source(raw, node.cluster.as_str()).map(|source| Control { source });
    let policy = policy(raw);
    let telemetry = telemetry(raw, ipv6);
    let dns = dns(raw, ipv6, mark);
    capture::check_dns(raw, capture.as_ref(), dns.as_ref());
    let drain = drain(raw);
    let workers = workers(raw, cpus);
    Some(Config {
        node,
        capture: capture?,
        proxy: proxy?,
        hbone: hbone?,
        identity: identity?,
        control: control?,
        policy: policy?,
        telemetry: telemetry?,
        dns: dns?,
        drain: drain?,
        workers: workers?,
    })
}

fn node(raw: &Raw) -> Node {
    let text = |name| raw.text(name).unwrap_or_default();
    Node {
        name: text("NODE_NAME").into(),
        cluster: text("CLUSTER_ID").into(),
        network: text("NETWORK").into(),
    }
}

fn mark(raw: &mut Raw) -> Option<NonZeroU32> {
    raw.parse(
        "PACKET_MARK",
        "a number from 1 to 4095 other than 273 (0x111, the conntrack mark)",
        |text| {
            let mark = match text.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => text.parse().ok()?,
            };
            NonZeroU32::new(mark).filter(|mark| mark.get() <= 0xfff && mark.get() != CONNTRACK_MARK)
        },
    )
}

fn proxy(raw: &mut Raw, mark: Option<NonZeroU32>) -> Option<Proxy> {
    let seconds = "a duration from 1s to 32767s, for example 180s";
    let enabled = raw.flag("KEEPALIVE_ENABLED");
    let time = raw.duration("KEEPALIVE_TIME", seconds, KEEPALIVE_SECONDS);
    let interval = raw.duration("KEEPALIVE_INTERVAL", seconds, KEEPALIVE_SECONDS);
    let retries = raw.number(
        "KEEPALIVE_RETRIES",
        "a number from 1 to 127",
        KEEPALIVE_RETRIES,
    );
    let user_timeout = raw.flag("USER_TIMEOUT_ENABLED");
    let localhost_app_tunnel = raw.flag("LOCALHOST_APP_TUNNEL");
    let same_node = raw.parse("SAME_NODE", "join or hbone", |text| match text {
        "join" => Some(SameNode::Join),
        "hbone" => Some(SameNode::Hbone),
        _ => None,
    });
    let response_baggage = raw.flag("ENABLE_RESPONSE_BAGGAGE");
    let keepalive = Keepalive {
        time: time?,
        interval: interval?,
        retries: retries?,
    };
    Some(Proxy {
        socket: Options {
            mark: mark?,
            keepalive: enabled?.then_some(keepalive),
            user_timeout: user_timeout?,
            timeout_connect: TIMEOUT_CONNECT,
        },
        localhost_app_tunnel: localhost_app_tunnel?,
        same_node: same_node?,
        response_baggage: response_baggage?,
    })
}

fn hbone(raw: &mut Raw) -> Option<Hbone> {
    // Source: RFC 9113 section 6.9.1 (windows, 2^31-1) and section 4.2 (frames, 2^14 to 2^24-1).
    let windows = 65_535..=2_147_483_647;
    let window = "a number of bytes from 65535 to 2147483647";
    let stream = raw.number("HTTP2_STREAM_WINDOW_SIZE", window, windows.clone());
    let connection = raw.number("HTTP2_CONNECTION_WINDOW_SIZE", window, windows);
    let frame = raw.number(
        "HTTP2_FRAME_SIZE",
        "a number of bytes from 16384 to 16777215",
        16_384..=16_777_215,
    );
    let streams = raw.number(
        "POOL_MAX_STREAMS_PER_CONNECTION",
        "a number from 1 to 65535",
        1..=65_535,
    );
    let unused = raw.duration(
        "POOL_UNUSED_RELEASE_TIMEOUT",
        "a duration above 0, for example 5m",
        POSITIVE,
    );
    Some(Hbone {
        window_stream_bytes: stream?,
        window_connection_bytes: connection?,
        max_frame_bytes: frame?,
        max_streams_per_connection: NonZeroU32::new(streams?)?,
        timeout_unused: unused?,
    })
}

fn identity(raw: &mut Raw, cluster: &str) -> Option<Identity> {
    let trust_domain = raw.parse(
        "TRUST_DOMAIN",
        "a trust domain (lower case letters, digits, '.', '-' and '_')",
        |text| {
            let ok = |c: char| {
                c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_')
            };
            (text.len() <= 255 && text.chars().all(ok)).then(|| TrustDomain::from(text))
        },
    );
    let ttl = raw.duration(
        "SECRET_TTL",
        "a duration above 0, for example 24h",
        POSITIVE,
    );
    let authority = remote::authority(raw, cluster);
    let crl = raw.path("CRL_PATH");
    Some(Identity {
        authority: authority?,
        trust_domain: trust_domain?,
        ttl: ttl?,
        crl,
    })
}

fn policy(raw: &mut Raw) -> Option<Policy> {
    let dry_run = raw.flag("AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY");
    let info_logging = raw.flag("AUTHZ_POLICY_INFO_LOGGING");
    Some(Policy {
        dry_run: dry_run?,
        info_logging: info_logging?,
    })
}

fn telemetry(raw: &mut Raw, ipv6: Option<bool>) -> Option<Telemetry> {
    let format = raw.parse("LOG_FORMAT", "text, plain or json", |text| match text {
        "text" | "plain" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    });
    let admin = raw.parse("ADMIN_ADDR", ADDRESS, parse_address);
    let metrics = raw.parse("STATS_ADDR", ADDRESS, parse_address);
    let readiness = raw.parse("READINESS_ADDR", ADDRESS, parse_address);
    let any: IpAddr = if ipv6? {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    Some(Telemetry {
        filter: raw.text("RUST_LOG")?,
        format: format?,
        admin: admin?,
        metrics: metrics.unwrap_or(SocketAddr::new(any, 15020)),
        readiness: readiness.unwrap_or(SocketAddr::new(any, 15021)),
    })
}

const ADDRESS: &str = "localhost:PORT or ADDRESS:PORT";

fn parse_address(text: &str) -> Option<SocketAddr> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port.parse().ok()?),
        None => text.parse().ok()?,
    };
    (address.port() != 0).then_some(address)
}

/// Where DNS is served unless somebody says otherwise. Source: Istio, `DNS_PROXY_ADDR`.
const PORT_DNS: u16 = 15053;

fn dns(raw: &mut Raw, ipv6: Option<bool>, mark: Option<NonZeroU32>) -> Option<Dns> {
    let listen = raw.parse("DNS_PROXY_ADDR", ADDRESS, |text| {
        let address = parse_address(text)?;
        let both = text.starts_with("localhost:");
        Some(if both {
            DnsListen::Localhost {
                port: address.port(),
            }
        } else {
            DnsListen::Address(address)
        })
    });
    let domain = raw.parse("CLUSTER_DOMAIN", "a DNS domain", |text| {
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        };
        (text.len() <= 253 && text.split('.').all(label_ok)).then_some(text)
    });
    Some(Dns {
        listen: listen.unwrap_or(DnsListen::Localhost { port: PORT_DNS }),
        is_listen_set: listen.is_some(),
        domain: domain?,
        preferred_namespace: raw.text("PREFERED_SERVICE_NAMESPACE").map(Namespace::from),
        ipv6: ipv6?,
        mark: mark?,
    })
}

fn drain(raw: &mut Raw) -> Option<Drain> {
    let explicit = raw.duration(
        "CONNECTION_TERMINATION_DEADLINE",
        "a duration, for example 5s",
        Duration::ZERO..=Duration::MAX,
    );
    let grace = raw.number(
        "TERMINATION_GRACE_PERIOD_SECONDS",
        "a number of seconds",
        0..=u32::MAX,
    );
    let of_grace = grace.map(|seconds| {
        let grace = Duration::from_secs(seconds.into());
        grace
            .saturating_sub(RESERVED_OF_GRACE)
            .max(grace / 2)
            .max(Duration::from_secs(1))
    });
    Some(Drain {
        deadline: explicit.or(of_grace).unwrap_or(DRAIN_UNSET),
    })
}

fn workers(raw: &mut Raw, cpus: NonZeroUsize) -> Option<NonZeroUsize> {
    let whole = |text: &str| {
        text.parse()
            .ok()
            .filter(|number: &NonZeroUsize| number.get() <= MAX_WORKERS)
    };
    let limit = raw.parse(
        "ZTUNNEL_CPU_LIMIT",
        "a number of CPUs from 1 to 1024",
        whole,
    );
    let cpus = limit.unwrap_or(cpus);
    raw.parse(
        "ZTUNNEL_WORKER_THREADS",
        "a number from 1 to 1024 or a percentage from 1% to 100%",
        |text| match text.strip_suffix('%') {
            None => whole(text),
            Some(share) => {
                let share: usize = share
                    .parse()
                    .ok()
                    .filter(|share| (1..=100).contains(share))?;
                NonZeroUsize::new((cpus.get() * share).div_ceil(100).min(MAX_WORKERS))
            }
        },
    )
}
