//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The control plane of an ambient mesh: reads Kubernetes and Istio manifests, tells ztunnels and waypoints what they
/// need to know, and signs their certificates.
#[derive(Debug, Parser)]
#[command(
    name = "controller",
    version,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = false
)]
pub struct Arguments {
    /// Without a command it serves.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How it serves.
    #[command(flatten)]
    pub serve: Serve,
    /// The folder with the root's key, the tokens and what else must outlive the process. The roots that others are
    /// to believe are readable at DIR/root-cert.pem.
    #[arg(long, global = true, value_name = "DIR", default_value = "./state")]
    pub state_dir: PathBuf,
}

/// What else it can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a token, by which a proxy is known to the controller, and prints it.
    Token(Token),
    /// Has the running controller replace its root, with overlap.
    RotateRoot,
    /// Revokes a certificate that the controller's own root has signed.
    Revoke {
        /// The serial number, in hexadecimal.
        serial: String,
    },
}

/// Whom a token stands for.
#[derive(Debug, Args)]
pub struct Token {
    /// The namespace.
    #[arg(long)]
    pub namespace: String,
    /// The service account.
    #[arg(long)]
    pub service_account: String,
    /// The node. Only with one may a ztunnel ask for the certificates of pods: of those that run there.
    #[arg(long)]
    pub node: Option<String>,
    /// How long it is good for, for example 24h; without it, until its line is removed from DIR/tokens.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub ttl: Option<std::time::Duration>,
}

/// How it serves.
#[derive(Debug, Args)]
pub struct Serve {
    /// The folder of manifests: every *.yaml below it, read again when it changes.
    #[arg(long, value_name = "DIR", required = true)]
    pub source: Option<PathBuf>,
    /// Where xDS and the CA are, both by TLS.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:15012")]
    pub xds_listen: SocketAddr,
    /// A name or address, besides istiod.istio-system.svc and localhost, that proxies reach it by. May be repeated.
    #[arg(long, value_name = "NAME")]
    pub tls_san: Vec<String>,
    /// Where metrics and the pages of /debug are.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:15014")]
    pub admin_listen: SocketAddr,
    /// A CA below a root of yours: a folder with ca-cert.pem, ca-key.pem, cert-chain.pem, root-cert.pem and perhaps
    /// ca-crl.pem. Without it there is a root of the controller's own, or DIR/cacerts of the state folder.
    #[arg(long, value_name = "DIR")]
    pub cacerts: Option<PathBuf>,
    /// Who issues the JWTs that are believed besides the tokens of `controller token`.
    #[arg(long, value_name = "ISSUER", requires = "token_jwks")]
    pub token_issuer: Option<String>,
    /// The keys that those JWTs are signed with: a JWKS file, or a public key as PEM.
    #[arg(long, value_name = "FILE", requires = "token_issuer")]
    pub token_jwks: Option<PathBuf>,
    /// The audience that those JWTs must name.
    #[arg(long, value_name = "AUDIENCE", default_value = "istio-ca")]
    pub token_audience: String,
    /// Service accounts, as NAMESPACE/NAME separated by commas, that may ask for certificates of pods of their node.
    #[arg(
        long,
        env = "CA_TRUSTED_NODE_ACCOUNTS",
        value_name = "LIST",
        default_value = "istio-system/ztunnel"
    )]
    pub trusted_node_accounts: String,
    /// The longest life of a certificate.
    #[arg(long, env = "MAX_WORKLOAD_CERT_TTL", value_name = "DURATION", value_parser = duration, default_value = "24h")]
    pub max_cert_ttl: std::time::Duration,
    /// The cluster's name.
    #[arg(long, env = "CLUSTER_ID", default_value = "Kubernetes")]
    pub cluster: String,
    /// The DNS domain of the cluster's services.
    #[arg(long, env = "CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub domain: String,
    /// The network of pods that do not say one.
    #[arg(long, env = "NETWORK", default_value = "")]
    pub network: String,
    /// Whether dry-run policies are sent; ztunnels older than 1.29 would enforce them.
    #[arg(long, env = "AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY")]
    pub dry_run_policies: bool,
    /// Whether Gateways of the class istio-waypoint are run by waypoints of Ambit, too; those of ambit-waypoint always are.
    #[arg(long, env = "AMBIT_ISTIO_WAYPOINTS")]
    pub istio_waypoints: bool,
    /// Which log lines are written, for example info,xds=debug.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log: String,
    /// How a log line looks.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[value(alias = "plain")]
    Text,
    /// For machines.
    Json,
}

/// `1h30m`, `90s`.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    let expected = "expected a positive duration such as 90s or 24h";
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| expected.to_owned())?;
    std::time::Duration::try_from(parsed)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| expected.to_owned())
}
