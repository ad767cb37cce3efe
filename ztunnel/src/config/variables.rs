//! Every variable that ztunnel knows: name, meaning, default. The parser takes its defaults from here, and the
//! tables of the documents are rendered from here, so that neither can drift.

use std::fmt::Write as _;

/// One variable. Its `name` may end in `*`, which stands for any name that begins so.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Other names for the same; where both are set, these win (Istio puts proxy metadata before its own default).
    pub aliases: &'static [&'static str],
    /// What holds when it is not set, written as one would set it.
    pub default: Option<&'static str>,
    /// What it does.
    pub meaning: &'static str,
    /// Whether it does that yet.
    pub state: State,
}

/// Whether a variable is honoured.
#[derive(Clone, Copy, Debug)]
pub enum State {
    /// It is.
    Built,
    /// It is known, and what it says changes nothing here.
    NoEffect,
    /// It warns, where it asks for what is not built.
    Unbuilt {
        /// Which values ask.
        asks: Asks,
        /// What happens instead.
        instead: &'static str,
    },
    /// It stops the start: to go on would be less safe than what was asked for.
    Refused {
        /// Why.
        reason: &'static str,
    },
}

/// Which values of a variable ask for what is not built.
#[derive(Clone, Copy, Debug)]
pub enum Asks {
    /// All of them.
    Anything,
    /// This side of a flag.
    Flag(bool),
    /// One of two words.
    Choice {
        /// The word that asks.
        unbuilt: &'static str,
        /// The word that does not.
        built: &'static str,
        /// Both, for the error.
        expected: &'static str,
    },
}

const fn built(
    name: &'static str,
    default: Option<&'static str>,
    meaning: &'static str,
) -> Variable {
    Variable {
        name,
        aliases: &[],
        default,
        meaning,
        state: State::Built,
    }
}

const fn aliased(
    name: &'static str,
    aliases: &'static [&'static str],
    default: Option<&'static str>,
    meaning: &'static str,
) -> Variable {
    Variable {
        name,
        aliases,
        default,
        meaning,
        state: State::Built,
    }
}

const fn unbuilt(
    name: &'static str,
    asks: Asks,
    meaning: &'static str,
    instead: &'static str,
) -> Variable {
    Variable {
        name,
        aliases: &[],
        default: None,
        meaning,
        state: State::Unbuilt { asks, instead },
    }
}

const fn no_effect(name: &'static str, meaning: &'static str) -> Variable {
    Variable {
        name,
        aliases: &[],
        default: None,
        meaning,
        state: State::NoEffect,
    }
}

const NO_XDS: &str = "there is no xDS client, the mesh is read from LOCAL_XDS_PATH or LOCAL_XDS";
const NO_CA: &str = "there is no CA client, certificates are signed with FILE_CA_KEY";

/// All variables, in the order in which a reader wants to meet them.
pub const VARIABLES: &[Variable] = &[
    // Where it runs.
    built("NODE_NAME", None, "The node, as in `spec.nodeName`."),
    aliased(
        "CLUSTER_ID",
        &["ISTIO_META_CLUSTER_ID"],
        Some("Kubernetes"),
        "The cluster.",
    ),
    built(
        "CLUSTER_DOMAIN",
        Some("cluster.local"),
        "The DNS domain of the cluster's services.",
    ),
    built(
        "NETWORK",
        None,
        "The network of the node, as in `topology.istio.io/network`; unset is the one without a name.",
    ),
    // Capture.
    built(
        "CAPTURE",
        Some("agent"),
        "Who writes the redirection rules: `agent` (a CNI agent already has) or `iptables` (ztunnel does).",
    ),
    built(
        "INPOD_UDS",
        Some("/var/run/ztunnel/ztunnel.sock"),
        "The seqpacket socket on which pods arrive (ZDS).",
    ),
    built(
        "IPV6_ENABLED",
        Some("true"),
        "Whether IPv6 is listened on and captured.",
    ),
    built(
        "PACKET_MARK",
        Some("1337"),
        "The mark of ztunnel's own packets, decimal or `0x`; 1 to 4095, but not 273.",
    ),
    aliased(
        "DNS_CAPTURE",
        &["ISTIO_META_DNS_CAPTURE"],
        Some("false"),
        "Whether the rules of `CAPTURE=iptables` capture DNS; it is served in either case.",
    ),
    aliased(
        "DNS_PROXY_ADDR",
        &["ISTIO_META_DNS_PROXY_ADDR"],
        Some("localhost:15053"),
        "Where DNS is served in each pod: `localhost:PORT` (both families) or `ADDRESS:PORT`.",
    ),
    built(
        "PREFERED_SERVICE_NAMESPACE",
        None,
        "The namespace whose services win when several share a hostname (spelt as Istio spells it).",
    ),
    // Configuration of the mesh.
    built(
        "LOCAL_XDS_PATH",
        None,
        "The file with the mesh's configuration, re-read when it changes.",
    ),
    built("LOCAL_XDS", None, "The same configuration itself, as YAML."),
    // Identity.
    built(
        "FILE_CA_CERT",
        None,
        "PEM file with the certificate of the CA that signs workload certificates.",
    ),
    built("FILE_CA_KEY", None, "PEM file with its key."),
    built(
        "TRUST_DOMAIN",
        Some("cluster.local"),
        "The trust domain of this mesh's identities.",
    ),
    built(
        "SECRET_TTL",
        Some("24h"),
        "Life of a workload certificate; it is renewed at half of it.",
    ),
    // Data path.
    built(
        "ZTUNNEL_WORKER_THREADS",
        Some("2"),
        "Threads of the data path: a number, or a share of the CPUs such as `50%`.",
    ),
    built(
        "ZTUNNEL_CPU_LIMIT",
        None,
        "The CPUs that a share counts from; unset is those of the machine.",
    ),
    built(
        "HTTP2_STREAM_WINDOW_SIZE",
        Some("4194304"),
        "Bytes that a peer may send ahead on one connection through a tunnel.",
    ),
    built(
        "HTTP2_CONNECTION_WINDOW_SIZE",
        Some("16777216"),
        "Bytes that a peer may send ahead on one tunnel.",
    ),
    built(
        "HTTP2_FRAME_SIZE",
        Some("1048576"),
        "Largest HTTP/2 frame that is accepted, in bytes.",
    ),
    built(
        "POOL_MAX_STREAMS_PER_CONNECTION",
        Some("100"),
        "Connections that share one tunnel.",
    ),
    built(
        "POOL_UNUSED_RELEASE_TIMEOUT",
        Some("5m"),
        "How long a tunnel without connections is kept.",
    ),
    built(
        "KEEPALIVE_ENABLED",
        Some("true"),
        "Whether TCP keep-alive is on.",
    ),
    built(
        "KEEPALIVE_TIME",
        Some("180s"),
        "Silence before the first keep-alive probe.",
    ),
    built("KEEPALIVE_INTERVAL", Some("180s"), "Time between probes."),
    built(
        "KEEPALIVE_RETRIES",
        Some("9"),
        "Unanswered probes that end a connection.",
    ),
    built(
        "USER_TIMEOUT_ENABLED",
        Some("false"),
        "Whether unacknowledged data ends a connection after the keep-alive's total time.",
    ),
    built(
        "LOCALHOST_APP_TUNNEL",
        Some("true"),
        "Whether application tunnels end on 127.0.0.1 instead of the pod's address.",
    ),
    built(
        "ENABLE_RESPONSE_BAGGAGE",
        Some("true"),
        "Whether the answer to a CONNECT describes the destination.",
    ),
    built(
        "CONNECTION_TERMINATION_DEADLINE",
        None,
        "How long open connections may last once the process is told to end; wins over `TERMINATION_GRACE_PERIOD_SECONDS`.",
    ),
    built(
        "TERMINATION_GRACE_PERIOD_SECONDS",
        None,
        "The pod's grace period; connections get 5 s less of it (half of it below 10 s), and 5 s where neither is set.",
    ),
    // Policy, logs.
    built(
        "AUTHZ_POLICY_INFO_LOGGING",
        Some("false"),
        "Whether verdicts of policies are logged at `info`.",
    ),
    built(
        "AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY",
        Some("false"),
        "Whether dry-run policies are evaluated and logged.",
    ),
    built(
        "RUST_LOG",
        Some("info"),
        "Log filter, for example `info,access=debug`.",
    ),
    built("LOG_FORMAT", Some("text"), "`text` (or `plain`) or `json`."),
    built(
        "ADMIN_ADDR",
        Some("localhost:15000"),
        "Where the admin endpoints are: `localhost:PORT` or `ADDRESS:PORT`.",
    ),
    built(
        "STATS_ADDR",
        None,
        "Where the metrics are; unset is port 15020 on all addresses.",
    ),
    built(
        "READINESS_ADDR",
        None,
        "Where readiness is; unset is port 15021 on all addresses.",
    ),
    // Known, but not honoured.
    unbuilt("XDS_ADDRESS", Asks::Anything, "The xDS server.", NO_XDS),
    unbuilt(
        "XDS_ON_DEMAND",
        Asks::Flag(true),
        "Fetches workloads when they are needed.",
        NO_XDS,
    ),
    unbuilt(
        "XDS_ROOT_CA",
        Asks::Anything,
        "The root certificate of the xDS server.",
        NO_XDS,
    ),
    unbuilt(
        "XDS_HEADER_*",
        Asks::Anything,
        "Headers for the xDS server.",
        NO_XDS,
    ),
    unbuilt(
        "ALT_XDS_HOSTNAME",
        Asks::Anything,
        "Another name in the xDS server's certificate.",
        NO_XDS,
    ),
    unbuilt(
        "ISTIO_METAJSON_*",
        Asks::Anything,
        "Metadata for the xDS server.",
        NO_XDS,
    ),
    unbuilt("CA_ADDRESS", Asks::Anything, "The CA.", NO_CA),
    unbuilt(
        "CA_ROOT_CA",
        Asks::Anything,
        "The root certificate of the CA's server.",
        NO_CA,
    ),
    unbuilt("CA_HEADER_*", Asks::Anything, "Headers for the CA.", NO_CA),
    unbuilt(
        "ALT_CA_HOSTNAME",
        Asks::Anything,
        "Another name in the CA's server certificate.",
        NO_CA,
    ),
    unbuilt(
        "AUTH_TOKEN",
        Asks::Anything,
        "Path of the file with the token for the xDS server and the CA.",
        "nothing is asked for with it",
    ),
    unbuilt(
        "FAKE_CA",
        Asks::Flag(true),
        "Self-signed certificates.",
        NO_CA,
    ),
    unbuilt(
        "SPIRE_ENABLED",
        Asks::Flag(true),
        "Certificates from SPIRE.",
        NO_CA,
    ),
    unbuilt(
        "SPIFFE_ENDPOINT_SOCKET",
        Asks::Anything,
        "The socket of the SPIFFE workload API.",
        NO_CA,
    ),
    unbuilt(
        "PROXY_MODE",
        Asks::Choice {
            unbuilt: "dedicated",
            built: "shared",
            expected: "shared or dedicated",
        },
        "One ztunnel per node or per pod.",
        "it runs as shared",
    ),
    unbuilt(
        "PROXY_WORKLOAD_INFO",
        Asks::Anything,
        "The pod of a dedicated ztunnel.",
        "it runs as shared",
    ),
    unbuilt(
        "PROXY_CONFIG",
        Asks::Anything,
        "Proxy configuration of the mesh, as YAML.",
        "only the variables of this table count",
    ),
    unbuilt(
        "ENABLE_PROXY",
        Asks::Flag(false),
        "Serves DNS only.",
        "connections are proxied",
    ),
    unbuilt(
        "ENABLE_ORIG_SRC",
        Asks::Flag(false),
        "Hides the client's address from applications.",
        "they see the client's address",
    ),
    unbuilt(
        "INPOD_ENABLED",
        Asks::Flag(false),
        "Listens outside of the pods.",
        "it listens inside of them",
    ),
    unbuilt(
        "INPOD_PORT_REUSE",
        Asks::Flag(true),
        "Lets two ztunnels listen in one pod.",
        "only one can",
    ),
    unbuilt(
        "UNSTABLE_ENABLE_SOCKS5",
        Asks::Flag(true),
        "A SOCKS5 entry on 15080 in each pod.",
        "there is none",
    ),
    unbuilt(
        "TLS12_ENABLED",
        Asks::Flag(true),
        "Allows TLS 1.2.",
        "TLS 1.3 is the only version",
    ),
    Variable {
        name: "CRL_PATH",
        aliases: &[],
        default: None,
        meaning: "Certificate revocation list.",
        state: State::Refused {
            reason: "revocation is not checked yet, and revoked certificates would be accepted",
        },
    },
    Variable {
        name: "COMPLIANCE_POLICY",
        aliases: &[],
        default: None,
        meaning: "Cryptography that a regulation demands.",
        state: State::Refused {
            reason: "no compliance policy is enforced yet",
        },
    },
    no_effect(
        "POD_NAME",
        "ztunnel's own pod; described to the xDS server.",
    ),
    no_effect("POD_NAMESPACE", "Its namespace; the same."),
    no_effect("SERVICE_ACCOUNT", "Its service account; the same."),
    no_effect("INSTANCE_IP", "Its address; the same."),
    no_effect(
        "ZTUNNEL_RESOURCE_CPU_LIMIT",
        "Its CPU limit, for the eye of operators.",
    ),
    no_effect(
        "ZTUNNEL_RESOURCE_CPU_REQUEST",
        "Its CPU request, for the eye of operators.",
    ),
];

/// The table as Markdown, for the documents.
#[must_use]
pub fn render_table() -> String {
    let mut table = String::from("| variable | default | meaning |\n|---|---|---|\n");
    for variable in VARIABLES {
        let mut names = format!("`{}`", variable.name);
        for alias in variable.aliases {
            // Writing into a String cannot fail.
            let _ = write!(names, ", `{alias}`");
        }
        let default = variable
            .default
            .map_or_else(String::new, |default| format!("`{default}`"));
        let state = match variable.state {
            State::Built => String::new(),
            State::NoEffect => " No effect yet.".to_owned(),
            State::Unbuilt { instead, .. } => format!(" Not built, warns: {instead}."),
            State::Refused { reason } => format!(" Stops the start: {reason}."),
        };
        let _ = writeln!(
            table,
            "| {names} | {default} | {}{state} |",
            variable.meaning
        );
    }
    table
}
