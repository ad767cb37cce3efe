//! Environments that are accepted, warned about and refused.

use std::{collections::HashSet, net::SocketAddr, path::PathBuf, time::Duration};

use proptest::prelude::*;

use super::*;

mod capture;
mod remote;
mod same_node;

const NEEDED: [(&str, &str); 3] = [
    ("LOCAL_XDS_PATH", "/etc/mesh.yaml"),
    ("FILE_CA_CERT", "/etc/ca.pem"),
    ("FILE_CA_KEY", "/etc/ca-key.pem"),
];

fn read(variables: &[(&str, &str)]) -> Result<(Config, Vec<Warning>), ConfigError> {
    Config::from_env(
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

/// The configuration of the needed variables and some more, which win.
fn config(more: &[(&str, &str)]) -> Config {
    let (config, warnings) = read(&[&NEEDED, more].concat()).unwrap();
    assert_eq!(warnings, []);
    config
}

fn faults(more: &[(&str, &str)]) -> Vec<String> {
    read(&[&NEEDED, more].concat())
        .unwrap_err()
        .faults
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn defaults_are_those_of_istio() {
    let config = config(&[]);
    assert_eq!(config.node.name.as_str(), "");
    assert_eq!(config.node.cluster.as_str(), "Kubernetes");
    assert_eq!(config.node.network.as_str(), "");
    assert_eq!(config.capture.mode, CaptureMode::Agent);
    assert_eq!(
        config.capture.socket,
        PathBuf::from("/var/run/ztunnel/ztunnel.sock")
    );
    assert!(config.capture.ipv6);
    assert!(!config.capture.dns);
    assert_eq!(config.capture.mark.get(), 0x539);
    let keepalive = config.proxy.socket.keepalive.unwrap();
    assert_eq!(keepalive.time, Duration::from_secs(180));
    assert_eq!(keepalive.interval, Duration::from_secs(180));
    assert_eq!(keepalive.retries, 9);
    assert!(!config.proxy.socket.user_timeout);
    assert_eq!(config.proxy.socket.mark.get(), 1337);
    assert_eq!(config.proxy.socket.timeout_connect, Duration::from_secs(10));
    assert!(config.proxy.localhost_app_tunnel);
    assert!(config.proxy.response_baggage);
    assert_eq!(config.hbone.window_stream_bytes, 4 << 20);
    assert_eq!(config.hbone.window_connection_bytes, 16 << 20);
    assert_eq!(config.hbone.max_frame_bytes, 1 << 20);
    assert_eq!(config.hbone.max_streams_per_connection.get(), 100);
    assert_eq!(config.hbone.timeout_unused, Duration::from_secs(300));
    assert_eq!(config.identity.trust_domain.as_str(), "cluster.local");
    assert_eq!(config.identity.ttl, Duration::from_secs(86_400));
    assert!(matches!(config.control.source, Source::File(path) if path == *"/etc/mesh.yaml"));
    assert!(!config.policy.dry_run);
    assert!(!config.policy.info_logging);
    assert_eq!(config.telemetry.filter, "info");
    assert_eq!(config.telemetry.format, LogFormat::Text);
    assert_eq!(
        config.telemetry.admin,
        "127.0.0.1:15000".parse::<SocketAddr>().unwrap()
    );
    assert_eq!(
        config.telemetry.metrics,
        "[::]:15020".parse::<SocketAddr>().unwrap()
    );
    assert_eq!(
        config.telemetry.readiness,
        "[::]:15021".parse::<SocketAddr>().unwrap()
    );
    assert_eq!(config.dns.listen, DnsListen::Localhost { port: 15053 });
    assert!(!config.dns.is_listen_set);
    assert_eq!(config.dns.domain, "cluster.local");
    assert_eq!(config.dns.preferred_namespace, None);
    assert!(config.dns.ipv6);
    assert_eq!(config.drain.deadline, Duration::from_secs(5));
    assert_eq!(config.workers.get(), 2);
}

#[test]
fn values_reach_their_component() {
    let config = config(&[
        ("NODE_NAME", "node-1"),
        ("CLUSTER_ID", "c-1"),
        ("NETWORK", "n-1"),
        ("CAPTURE", "iptables"),
        ("INPOD_UDS", "/run/z.sock"),
        ("IPV6_ENABLED", "false"),
        ("PACKET_MARK", "0x53a"),
        ("DNS_CAPTURE", "true"),
        ("DNS_PROXY_ADDR", "localhost:1053"),
        ("CLUSTER_DOMAIN", "Example.Org."),
        ("PREFERED_SERVICE_NAMESPACE", "infra"),
        ("TRUST_DOMAIN", "td.example"),
        ("SECRET_TTL", "1h30m"),
        ("ZTUNNEL_WORKER_THREADS", "7"),
        ("HTTP2_STREAM_WINDOW_SIZE", "65535"),
        ("POOL_UNUSED_RELEASE_TIMEOUT", "100ms"),
        ("KEEPALIVE_ENABLED", "false"),
        ("TERMINATION_GRACE_PERIOD_SECONDS", "30"),
        ("RUST_LOG", "debug"),
        ("LOG_FORMAT", "json"),
        ("ADMIN_ADDR", "localhost:1500"),
        ("READINESS_ADDR", "[::1]:1521"),
    ]);
    assert_eq!(
        config.telemetry.admin,
        "127.0.0.1:1500".parse::<SocketAddr>().unwrap()
    );
    assert_eq!(
        config.telemetry.readiness,
        "[::1]:1521".parse::<SocketAddr>().unwrap()
    );
    assert_eq!(config.node.name.as_str(), "node-1");
    assert_eq!(config.node.cluster.as_str(), "c-1");
    assert_eq!(config.node.network.as_str(), "n-1");
    assert_eq!(config.capture.mode, CaptureMode::Iptables);
    assert_eq!(config.capture.socket, PathBuf::from("/run/z.sock"));
    assert_eq!(config.capture.mark.get(), 0x53a);
    assert!(config.proxy.socket.keepalive.is_none());
    assert_eq!(config.identity.trust_domain.as_str(), "td.example");
    assert_eq!(config.identity.ttl, Duration::from_secs(5400));
    assert_eq!(config.workers.get(), 7);
    assert_eq!(config.hbone.window_stream_bytes, 65_535);
    assert_eq!(config.hbone.timeout_unused, Duration::from_millis(100));
    assert_eq!(config.telemetry.filter, "debug");
    assert_eq!(config.telemetry.format, LogFormat::Json);
    assert_eq!(
        config.telemetry.metrics,
        "0.0.0.0:15020".parse::<SocketAddr>().unwrap()
    );
    assert_eq!(config.drain.deadline, Duration::from_secs(25));
    let dns = config.dns;
    assert!(config.capture.dns);
    assert_eq!(dns.listen, DnsListen::Localhost { port: 1053 });
    assert!(dns.is_listen_set);
    assert_eq!(dns.domain, "example.org");
    assert_eq!(dns.preferred_namespace.unwrap().as_str(), "infra");
    assert!(!dns.ipv6);
}

#[test]
fn proxy_metadata_names_win_as_in_istio() {
    let config = config(&[
        ("CLUSTER_ID", "a"),
        ("ISTIO_META_CLUSTER_ID", "b"),
        ("ISTIO_META_DNS_CAPTURE", "true"),
    ]);
    assert_eq!(config.node.cluster.as_str(), "b");
    assert!(config.capture.dns);
}

#[test]
fn empty_values_count_as_not_set() {
    let config = config(&[
        ("XDS_ADDRESS", ""),
        ("CA_ADDRESS", ""),
        ("CAPTURE", ""),
        ("CRL_PATH", ""),
        ("SECRET_TTL", ""),
    ]);
    assert_eq!(config.capture.mode, CaptureMode::Agent);
    assert_eq!(config.identity.ttl, Duration::from_secs(86_400));
}

#[test]
fn unknown_variables_are_ignored() {
    config(&[
        ("HOME", "/root"),
        ("PATH", "/bin"),
        ("ISTIO_META_ENABLE_HBONE", "true"),
        ("XDS_ADDRESSES", "x"),
    ]);
}

#[test]
fn a_bad_value_is_named_with_what_was_expected() {
    for (name, value, expected) in [
        ("CAPTURE", "nftables", "agent, iptables, ebpf or auto"),
        ("IPV6_ENABLED", "yes", "true or false"),
        ("SECRET_TTL", "1 day", "a duration above 0, for example 24h"),
        ("SECRET_TTL", "0s", "a duration above 0, for example 24h"),
        ("SECRET_TTL", "-1h", "a duration above 0, for example 24h"),
        (
            "PACKET_MARK",
            "273",
            "a number from 1 to 4095 other than 273 (0x111, the conntrack mark)",
        ),
        (
            "PACKET_MARK",
            "0",
            "a number from 1 to 4095 other than 273 (0x111, the conntrack mark)",
        ),
        (
            "PACKET_MARK",
            "4096",
            "a number from 1 to 4095 other than 273 (0x111, the conntrack mark)",
        ),
        ("KEEPALIVE_RETRIES", "0", "a number from 1 to 127"),
        (
            "KEEPALIVE_TIME",
            "500ms",
            "a duration from 1s to 32767s, for example 180s",
        ),
        (
            "HTTP2_FRAME_SIZE",
            "16383",
            "a number of bytes from 16384 to 16777215",
        ),
        (
            "HTTP2_CONNECTION_WINDOW_SIZE",
            "4MiB",
            "a number of bytes from 65535 to 2147483647",
        ),
        (
            "POOL_MAX_STREAMS_PER_CONNECTION",
            "0",
            "a number from 1 to 65535",
        ),
        (
            "ZTUNNEL_WORKER_THREADS",
            "0",
            "a number from 1 to 1024 or a percentage from 1% to 100%",
        ),
        (
            "ZTUNNEL_WORKER_THREADS",
            "101%",
            "a number from 1 to 1024 or a percentage from 1% to 100%",
        ),
        (
            "TRUST_DOMAIN",
            "Cluster.Local",
            "a trust domain (lower case letters, digits, '.', '-' and '_')",
        ),
        ("LOG_FORMAT", "xml", "text, plain or json"),
        ("DNS_PROXY_ADDR", "15053", "localhost:PORT or ADDRESS:PORT"),
        ("ADMIN_ADDR", "localhost", "localhost:PORT or ADDRESS:PORT"),
        ("STATS_ADDR", "10.0.0.1:0", "localhost:PORT or ADDRESS:PORT"),
        ("ISTIO_META_DNS_CAPTURE", "on", "true or false"),
        ("CLUSTER_DOMAIN", "a..b", "a DNS domain"),
        (
            "TERMINATION_GRACE_PERIOD_SECONDS",
            "30s",
            "a number of seconds",
        ),
        ("XDS_ON_DEMAND", "maybe", "true or false"),
        ("PROXY_MODE", "sidecar", "shared or dedicated"),
    ] {
        assert_eq!(
            faults(&[(name, value)]),
            [format!("{name}={value:?} is not {expected}")]
        );
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let error = read(&[
        ("CAPTURE", "x"),
        ("LOG_FORMAT", "y"),
        ("COMPLIANCE_POLICY", "pqc"),
        ("FILE_CA_KEY", "/key"),
        ("XDS_ADDRESS", "ftp://x"),
        ("XDS_HEADER_", "secret"),
    ])
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "COMPLIANCE_POLICY is set, but no compliance policy is enforced yet; \
         CAPTURE=\"x\" is not agent, iptables, ebpf or auto; \
         FILE_CA_CERT must be set to the PEM file of a CA certificate, as FILE_CA_KEY is set; \
         XDS_ADDRESS=\"ftp://x\" is not https://HOST:PORT (or http:// for a server without TLS); \
         XDS_HEADER_=\"(not shown)\" is not the name and value of an HTTP header; \
         LOG_FORMAT=\"y\" is not text, plain or json"
    );
}

#[test]
fn configuration_comes_from_one_place_only() {
    assert_eq!(
        faults(&[("LOCAL_XDS", "{}")]),
        ["LOCAL_XDS_PATH and LOCAL_XDS are both set, only one may be"]
    );
    assert_eq!(
        faults(&[("XDS_ADDRESS", "https://x:1")]),
        ["LOCAL_XDS_PATH and XDS_ADDRESS are both set, only one may be"]
    );
    assert_eq!(
        faults(&[("CA_ADDRESS", "https://x:1")]),
        ["FILE_CA_CERT and CA_ADDRESS are both set, only one may be"]
    );
    let (config, _) = read(&[("LOCAL_XDS", "workloads: []"), NEEDED[1], NEEDED[2]]).unwrap();
    assert!(matches!(config.control.source, Source::Inline(yaml) if yaml == "workloads: []"));
}

#[test]
fn demands_on_security_that_are_not_built_stop_the_start() {
    assert_eq!(
        faults(&[("COMPLIANCE_POLICY", "fips-140-2")]),
        ["COMPLIANCE_POLICY is set, but no compliance policy is enforced yet"]
    );
}

#[test]
fn what_is_known_but_not_built_warns_by_name_and_without_its_value() {
    for (name, value) in [
        ("PROXY_MODE", "dedicated"),
        ("UNSTABLE_ENABLE_SOCKS5", "true"),
        ("TLS12_ENABLED", "true"),
        ("FAKE_CA", "true"),
        ("SPIRE_ENABLED", "true"),
        ("PROXY_CONFIG", "concurrency: 4"),
        ("ENABLE_ORIG_SRC", "false"),
    ] {
        let (_, warnings) = read(&[&NEEDED[..], &[(name, value)]].concat()).unwrap();
        assert_eq!(
            warnings
                .iter()
                .map(|it| it.variable.as_str())
                .collect::<Vec<_>>(),
            [name]
        );
        assert!(!warnings[0].to_string().contains(value), "{}", warnings[0]);
    }
}

#[test]
fn what_asks_for_nothing_unbuilt_does_not_warn() {
    config(&[
        ("XDS_ON_DEMAND", "false"),
        ("PROXY_MODE", "shared"),
        ("UNSTABLE_ENABLE_SOCKS5", "false"),
        ("TLS12_ENABLED", "0"),
        ("ENABLE_ORIG_SRC", "true"),
        ("ENABLE_PROXY", "True"),
        ("POD_NAME", "ztunnel-abc"),
    ]);
}

#[test]
fn a_share_of_the_cpus_is_rounded_up() {
    for (limit, share, workers) in [
        ("8", "25%", 2),
        ("9", "25%", 3),
        ("1", "1%", 1),
        ("4", "100%", 4),
    ] {
        let config = config(&[
            ("ZTUNNEL_CPU_LIMIT", limit),
            ("ZTUNNEL_WORKER_THREADS", share),
        ]);
        assert_eq!(
            config.workers,
            NonZeroUsize::new(workers).unwrap(),
            "{share} of {limit}"
        );
    }
}

#[test]
fn draining_leaves_kubernetes_five_seconds() {
    for (grace, seconds) in [
        ("30", 25_000),
        ("10", 5_000),
        ("8", 4_000),
        ("2", 1_000),
        ("0", 1_000),
    ] {
        let config = config(&[("TERMINATION_GRACE_PERIOD_SECONDS", grace)]);
        assert_eq!(
            config.drain.deadline,
            Duration::from_millis(seconds),
            "{grace}"
        );
    }
    let both = [
        ("TERMINATION_GRACE_PERIOD_SECONDS", "30"),
        ("CONNECTION_TERMINATION_DEADLINE", "1m"),
    ];
    assert_eq!(config(&both).drain.deadline, Duration::from_secs(60));
}

#[test]
fn every_default_of_the_table_can_be_set_and_changes_nothing() {
    let base = format!("{:?}", config(&[]));
    for variable in VARIABLES {
        let Some(default) = variable.default else {
            continue;
        };
        assert_eq!(
            format!("{:?}", config(&[(variable.name, default)])),
            base,
            "{}",
            variable.name
        );
    }
}

#[test]
fn the_table_names_each_variable_once() {
    let mut names = HashSet::new();
    for variable in VARIABLES {
        assert!(names.insert(variable.name), "{}", variable.name);
        assert!(variable.meaning.ends_with('.'), "{}", variable.meaning);
        for alias in variable.aliases {
            assert!(names.insert(alias), "{alias}");
        }
    }
    let table = render_table();
    assert!(table.contains(
        "| `SECRET_TTL` | `24h` | Life of a workload certificate; it is renewed at half of it. |\n"
    ));
    assert_eq!(table.lines().count(), VARIABLES.len() + 2);
}

proptest! {
    #[test]
    fn no_value_of_any_variable_panics(index in 0..VARIABLES.len(), value in ".{0,30}") {
        let name = VARIABLES[index].name.replace('*', "x");
        let result = read(&[&NEEDED[..], &[(&name, &value)]].concat());
        if let Err(error) = result {
            prop_assert!(error.faults.iter().all(|fault| fault.to_string().contains(name.as_str())), "{error}");
        }
    }
}
