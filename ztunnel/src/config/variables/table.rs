//! The table itself.

use super::{Asks, State, Variable, aliased, built, no_effect, unbuilt};

const NO_CA: &str = "certificates come from CA_ADDRESS or FILE_CA_KEY";

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
        "Who captures: `agent` (a CNI agent has written its rules already), `iptables` (ztunnel writes them), `ebpf` (programs of ztunnel in the kernel, or no start), `auto` (`ebpf` where a trial of it succeeds, else `iptables`).",
    ),
    built(
        "CGROUP_PATH",
        None,
        "Where the hooks of `ebpf` are attached, a folder of a cgroup2; unset is the root of the tree, which all pods are below.",
    ),
    built(
        "PIN_PATH",
        Some("/sys/fs/bpf/ambit"),
        "The folder in a bpffs for what of `ebpf` outlives ztunnel; of one ztunnel at a time.",
    ),
    built(
        "EXCLUDE_INBOUND_PORTS",
        None,
        "Ports of pods that are reached directly, such as `3306,8000-8080`; not with `CAPTURE=agent`, which holds for the next two as well.",
    ),
    built(
        "EXCLUDE_OUTBOUND_PORTS",
        None,
        "Ports that pods reach directly, on any address.",
    ),
    built(
        "EXCLUDE_OUTBOUND_IP_RANGES",
        None,
        "Addresses that pods reach directly, such as `10.1.0.0/16,2001:db8::7`.",
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
        "Whether DNS is captured, unless `CAPTURE=agent`, where the agent decides; it is served in either case, with `ebpf` only if it is captured or `DNS_PROXY_ADDR` is set.",
    ),
    aliased(
        "DNS_PROXY_ADDR",
        &["ISTIO_META_DNS_PROXY_ADDR"],
        None,
        "Where DNS is served in each pod: `localhost:PORT` (both families) or `ADDRESS:PORT`. Unset is `localhost:15053`, and with `ebpf` a free port of each pod's `localhost`.",
    ),
    built(
        "PREFERED_SERVICE_NAMESPACE",
        None,
        "The namespace whose services win when several share a hostname (spelt as Istio spells it).",
    ),
    // Configuration of the mesh.
    built(
        "XDS_ADDRESS",
        None,
        "The xDS server, `https://HOST:PORT`. Unset is `https://istiod.istio-system.svc:15012` in a pod of Kubernetes, else `https://localhost:15012`, unless the mesh is read from a file.",
    ),
    built(
        "XDS_ROOT_CA",
        Some("./var/run/secrets/istio/root-cert.pem"),
        "PEM file with the roots that its certificate is believed by, re-read for each connection; `SYSTEM` is those of the system.",
    ),
    built(
        "ALT_XDS_HOSTNAME",
        None,
        "The name that its certificate must hold, if not that of its address.",
    ),
    built(
        "XDS_ON_DEMAND",
        Some("false"),
        "Whether workloads are fetched when a connection needs them, instead of all ahead. DNS then knows only what was fetched.",
    ),
    built(
        "XDS_HEADER_*",
        None,
        "A header of requests to it; its name is what follows.",
    ),
    built(
        "ISTIO_METAJSON_*",
        None,
        "A JSON object whose entries are told to it about this proxy.",
    ),
    built(
        "AUTH_TOKEN",
        Some("./var/run/secrets/tokens/istio-token"),
        "File with the token for the xDS server and the CA, re-read for each request.",
    ),
    built(
        "POD_NAME",
        Some("ztunnel"),
        "ztunnel's own pod, as the xDS server is told.",
    ),
    built(
        "POD_NAMESPACE",
        Some("istio-system"),
        "Its namespace; the same.",
    ),
    built("INSTANCE_IP", Some("127.0.0.1"), "Its address; the same."),
    built(
        "KUBERNETES_SERVICE_HOST",
        None,
        "Set by Kubernetes in its pods; decides about the defaults of `XDS_ADDRESS` and `CA_ADDRESS`.",
    ),
    built(
        "LOCAL_XDS_PATH",
        None,
        "Instead of an xDS server: the file with the mesh's configuration, re-read when it changes.",
    ),
    built("LOCAL_XDS", None, "The same configuration itself, as YAML."),
    // Identity.
    built(
        "CA_ADDRESS",
        None,
        "The CA that signs workload certificates, `https://HOST:PORT`. Unset is as for `XDS_ADDRESS`, unless they are signed with a file.",
    ),
    built(
        "CA_ROOT_CA",
        Some("./var/run/secrets/istio/root-cert.pem"),
        "As `XDS_ROOT_CA`, for the CA.",
    ),
    built(
        "ALT_CA_HOSTNAME",
        None,
        "As `ALT_XDS_HOSTNAME`, for the CA.",
    ),
    built("CA_HEADER_*", None, "As `XDS_HEADER_*`, for the CA."),
    built(
        "FILE_CA_CERT",
        None,
        "Instead of a CA: PEM file with the certificate that signs workload certificates.",
    ),
    built("FILE_CA_KEY", None, "PEM file with its key."),
    built(
        "CRL_PATH",
        None,
        "PEM file of certificate revocation lists, re-read when it changes: revoked peers are refused and cut.",
    ),
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
        "Whether application tunnels with a PROXY header end on loopback (127.0.0.1, ::1) instead of the pod's address.",
    ),
    built(
        "SAME_NODE",
        Some("join"),
        "How two pods of this node are connected: `join` (in this process, without encryption, after the same admission) or `hbone` (as between nodes).",
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
        name: "COMPLIANCE_POLICY",
        aliases: &[],
        default: None,
        meaning: "Cryptography that a regulation demands.",
        state: State::Refused {
            reason: "no compliance policy is enforced yet",
        },
    },
    no_effect(
        "SERVICE_ACCOUNT",
        "ztunnel's own service account; its token says it.",
    ),
    no_effect(
        "ZTUNNEL_RESOURCE_CPU_LIMIT",
        "Its CPU limit, for the eye of operators.",
    ),
    no_effect(
        "ZTUNNEL_RESOURCE_CPU_REQUEST",
        "Its CPU request, for the eye of operators.",
    ),
];
