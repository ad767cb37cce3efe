//! Envoy as a waypoint: it ends HBONE on 15008, routes by a table of its own, and begins HBONE to pods.
//!
//! In: a pod with the identity of a Gateway, the services it stands before. Out: a running Envoy with one worker and an
//! access log on its standard output.
//! Never: a route that nobody asked for; Istio's own filters, which Envoy from PyPI does not have.
//!
//! Three listeners, as in Istio's waypoint: `connect_terminate` takes tunnels and hands what is in them on with the
//! address it was for; `main` is inside, chooses by that address and routes; `connect_originate` is inside, too, and
//! opens a tunnel to the pod that was chosen. Source: features.md WPT-12, wire.md B.1.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::started;
use crate::ca::{Ca, Leaf};
use crate::pod::Pod;
use crate::process::Process;

#[cfg(test)]
mod tests;

/// Where tunnels arrive.
const HBONE: u16 = 15008;

/// Where Envoy's own administration listens, on loopback.
const ADMIN: u16 = 15000;

/// The metadata and the filter states by which an address is handed to a listener inside.
const ORIGINAL: &str = "envoy.filters.listener.original_dst";

const EXTENSIONS: &str = "type.googleapis.com/envoy.extensions";

/// The text access log that Istio has unless told otherwise. Source: wire.md B.10.
const LOG_LINE: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% ",
    "%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" ",
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" ",
    "\"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% ",
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% ",
    "%ROUTE_NAME%\n",
);

/// One port of a service that Envoy stands before.
#[derive(Clone, Debug)]
pub struct EnvoyService {
    /// What its cluster is called.
    pub name: String,
    /// The service's address, which tunnels name.
    pub vip: Ipv4Addr,
    /// The service's port.
    pub port: u16,
    /// Whether pods are spoken to in HTTP/2; otherwise in HTTP/1.1. Clients may speak either.
    pub http2: bool,
    /// The pods behind it, with their ports.
    pub endpoints: Vec<SocketAddrV4>,
    /// The matches of its routes in order, as Envoy writes a route's `match`; each leads to the pods.
    pub matches: Vec<Value>,
}

/// A running Envoy. Dereferences to its [`Process`].
#[derive(Debug)]
pub struct Envoy {
    process: Process,
}

impl Deref for Envoy {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.process
    }
}

/// Where `scripts/peer-envoy` has put the program.
///
/// # Errors
///
/// When it has not.
pub fn envoy_program() -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/envoy/envoy");
    path.canonicalize().with_context(|| {
        format!(
            "{}: not there (scripts/peer-envoy fetches it)",
            path.display()
        )
    })
}

/// Starts Envoy in a pod as the waypoint before these services, with a certificate of the pod's identity.
///
/// # Errors
///
/// When it has not been fetched, refuses its configuration or does not listen in time.
pub fn envoy_waypoint(pod: &Pod, ca: &Ca, services: &[EnvoyService]) -> Result<Envoy> {
    let program = envoy_program()?;
    let folder = pod.folder();
    let issued = ca.issue(&Leaf::new(pod.identity()))?;
    issued.write(folder, "envoy")?;
    std::fs::write(folder.join("envoy-roots.pem"), ca.root_pem())?;
    let path = folder.join("envoy.json");
    std::fs::write(&path, config(folder, services).to_string())?;
    let line: [OsString; 10] = [
        program.into(),
        "-c".into(),
        path.into(),
        "--concurrency".into(),
        "1".into(),
        "--use-dynamic-base-id".into(),
        // As Istio has it: an access log is never older than a second.
        "--file-flush-interval-msec".into(),
        "1000".into(),
        "-l".into(),
        "warning".into(),
    ];
    let process = pod.command(line).label("envoy").spawn()?;
    started(pod, &process, HBONE)?;
    Ok(Envoy { process })
}

/// The whole configuration.
fn config(folder: &Path, services: &[EnvoyService]) -> Value {
    let mut clusters = vec![main_cluster(), tunnels(folder)];
    clusters.extend(services.iter().map(cluster));
    json!({
        "admin": {"address": address("127.0.0.1", ADMIN)},
        "bootstrap_extensions": [typed("envoy.bootstrap.internal_listener", "bootstrap.internal_listener.v3.InternalListener", json!({}))],
        "static_resources": {
            "listeners": [connect_terminate(folder), main_listener(services), connect_originate()],
            "clusters": clusters,
        },
    })
}

/// Ends tunnels; whom they are for is kept in filter states that the listener inside reads.
fn connect_terminate(folder: &Path) -> Value {
    let state = |key: &str, value: &str| {
        json!({
            "object_key": format!("{ORIGINAL}.{key}"),
            "format_string": {"text_format_source": {"inline_string": value}},
            "shared_with_upstream": "ONCE",
        })
    };
    let addresses = json!({"on_request_headers": [
        state("local_ip", "%REQ(:AUTHORITY)%"),
        state("remote_ip", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ]});
    let manager = json!({
        "stat_prefix": "connect_terminate", "codec_type": "HTTP2",
        "http2_protocol_options": {
            "allow_connect": true, "max_concurrent_streams": 100,
            "connection_keepalive": {"interval": "10s", "timeout": "20s"},
        },
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "CONNECT"}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{
            "match": {"connect_matcher": {}},
            "route": {
                "cluster": "main", "timeout": "0s",
                "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}],
            },
        }]}]},
        "http_filters": [
            typed("connect_authority", "filters.http.set_filter_state.v3.Config", addresses),
            router(),
        ],
    });
    json!({
        "name": "connect_terminate", "address": address("0.0.0.0", HBONE),
        "filter_chains": [{
            "transport_socket": tls("DownstreamTlsContext", folder),
            "filters": [http(manager)],
        }],
    })
}

/// Leads to the listener inside, with the states of the tunnel.
fn main_cluster() -> Value {
    json!({
        "name": "main", "type": "STATIC", "connect_timeout": "2s",
        "circuit_breakers": no_limits(),
        "transport_socket": inside(&json!({})),
        "load_assignment": {"cluster_name": "main", "endpoints": [{"lb_endpoints": [{"endpoint": {
            "address": {"envoy_internal_address": {"server_listener_name": "main"}},
        }}]}]},
    })
}

/// Chooses the service by the address that the tunnel was for, and routes.
fn main_listener(services: &[EnvoyService]) -> Value {
    let chains: Vec<Value> = services.iter().map(chain).collect();
    json!({
        "name": "main", "internal_listener": {},
        "listener_filters": [original_destination()],
        "filter_chains": chains,
    })
}

fn chain(service: &EnvoyService) -> Value {
    let file = json!({
        "path": "/dev/stdout",
        "log_format": {"text_format_source": {"inline_string": LOG_LINE}},
    });
    let routes: Vec<Value> = service
        .matches
        .iter()
        .map(|one| {
            json!({
                "name": "default", "match": one,
                "route": {
                    "cluster": service.name, "timeout": "0s",
                    // As every route of Istio's has it.
                    "retry_policy": {
                        "retry_on": "connect-failure,refused-stream,unavailable,cancelled", "num_retries": 2,
                        "host_selection_retry_max_attempts": "5",
                        "retry_host_predicate": [typed(
                            "envoy.retry_host_predicates.previous_hosts",
                            "retry.host.previous_hosts.v3.PreviousHostsPredicate",
                            json!({}),
                        )],
                    },
                },
            })
        })
        .collect();
    let manager = json!({
        "stat_prefix": service.name, "codec_type": "AUTO", "server_name": "istio-envoy",
        "normalize_path": true, "stream_idle_timeout": "0s",
        "access_log": [typed("envoy.access_loggers.file", "access_loggers.file.v3.FileAccessLog", file)],
        "route_config": {"validate_clusters": false, "virtual_hosts": [
            {"name": service.name, "domains": ["*"], "routes": routes},
        ]},
        "http_filters": [router()],
    });
    json!({
        "filter_chain_match": {
            "prefix_ranges": [{"address_prefix": service.vip, "prefix_len": 32}],
            "destination_port": service.port,
        },
        "filters": [http(manager)],
    })
}

/// The pods of a service, each of them behind the listener that opens tunnels.
fn cluster(service: &EnvoyService) -> Value {
    let endpoints: Vec<Value> = service
        .endpoints
        .iter()
        .map(|endpoint| {
            json!({
                "endpoint": {"address": {"envoy_internal_address": {
                    "server_listener_name": "connect_originate", "endpoint_id": endpoint.to_string(),
                }}},
                "metadata": {"filter_metadata": {ORIGINAL: {"local": endpoint.to_string()}}},
            })
        })
        .collect();
    let protocol = if service.http2 {
        json!({"http2_protocol_options": {}})
    } else {
        json!({"http_protocol_options": {}})
    };
    json!({
        "name": service.name, "type": "STATIC", "connect_timeout": "10s", "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": no_limits(),
        "typed_extension_protocol_options": protocol_options(&protocol),
        "transport_socket": inside(&json!({"passthrough_metadata": [{"kind": {"host": {}}, "name": ORIGINAL}]})),
        "load_assignment": {"cluster_name": service.name, "endpoints": [{"lb_endpoints": endpoints}]},
    })
}

/// Opens a tunnel to the address that the connection inside is for.
fn connect_originate() -> Value {
    let proxy = json!({
        "stat_prefix": "connect_originate", "cluster": "tunnels",
        "tunneling_config": {"hostname": "%DOWNSTREAM_LOCAL_ADDRESS%"},
    });
    json!({
        "name": "connect_originate", "internal_listener": {},
        "listener_filters": [original_destination()],
        "filter_chains": [{"filters": [typed("tcp", "filters.network.tcp_proxy.v3.TcpProxy", proxy)]}],
    })
}

/// The tunnels to pods, by their addresses.
fn tunnels(folder: &Path) -> Value {
    let options = json!({"http2_protocol_options": {
        "connection_keepalive": {"interval": "10s", "timeout": "20s"},
    }});
    json!({
        "name": "tunnels", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "10s",
        "original_dst_lb_config": {"upstream_port_override": HBONE},
        "circuit_breakers": no_limits(),
        "typed_extension_protocol_options": protocol_options(&options),
        "transport_socket": tls("UpstreamTlsContext", folder),
    })
}

/// TLS on either side: 1.3, mutual, any identity of the trust domain.
fn tls(kind: &str, folder: &Path) -> Value {
    let file = |name: &str| json!({"filename": folder.join(name)});
    let identities = json!({"prefix": format!("spiffe://{}/", crate::TRUST_DOMAIN)});
    let mut context = json!({
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [{
                "certificate_chain": file("envoy-cert.pem"), "private_key": file("envoy-key.pem"),
            }],
            "validation_context": {
                "trusted_ca": file("envoy-roots.pem"),
                "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": identities}],
            },
        },
    });
    if kind == "DownstreamTlsContext" {
        context["require_client_certificate"] = json!(true);
    }
    typed("tls", &format!("transport_sockets.tls.v3.{kind}"), context)
}

/// The way to a listener inside.
fn inside(more: &Value) -> Value {
    let mut socket = more.clone();
    socket["transport_socket"] = typed(
        "raw",
        "transport_sockets.raw_buffer.v3.RawBuffer",
        json!({}),
    );
    typed(
        "inside",
        "transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
        socket,
    )
}

fn original_destination() -> Value {
    typed(
        ORIGINAL,
        "filters.listener.original_dst.v3.OriginalDst",
        json!({}),
    )
}

fn http(manager: Value) -> Value {
    typed(
        "http",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        manager,
    )
}

fn router() -> Value {
    typed("router", "filters.http.router.v3.Router", json!({}))
}

fn protocol_options(explicit: &Value) -> Value {
    let options = "upstreams.http.v3.HttpProtocolOptions";
    json!({format!("envoy.extensions.{options}"): {
        "@type": format!("{EXTENSIONS}.{options}"), "explicit_http_config": explicit,
    }})
}

/// As Istio has it where no DestinationRule says otherwise.
fn no_limits() -> Value {
    json!({"thresholds": [{
        "max_connections": u32::MAX, "max_pending_requests": u32::MAX, "max_requests": u32::MAX, "max_retries": u32::MAX,
        "track_remaining": true,
    }]})
}

fn address(ip: &str, port: u16) -> Value {
    json!({"socket_address": {"address": ip, "port_value": port}})
}

/// An extension: its name here, its type, its settings.
fn typed(name: &str, kind: &str, mut settings: Value) -> Value {
    settings["@type"] = json!(format!("{EXTENSIONS}.{kind}"));
    json!({"name": name, "typed_config": settings})
}
