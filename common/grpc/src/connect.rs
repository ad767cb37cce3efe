//! From an address to a byte stream: name, TCP, TLS 1.3.
//!
//! In: a host and a port, roots, the name that the certificate must have. Out: a stream.
//! Never: a process-wide cryptography provider, a certificate of ours, an earlier session resumed.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Uri, uri::Authority, uri::Scheme};
use rustls::{
    ClientConfig,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs, aws_lc_rs::kx_group},
    version::TLS13,
};
use rustls_pki_types::{InvalidDnsNameError, ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;

use crate::{Roots, RootsError};

/// How long resolving a name and connecting to one of its addresses may take, all tries together.
pub const MAX_CONNECT_TIME: Duration = Duration::from_secs(10);

/// How long a TLS handshake may take.
pub const MAX_TLS_TIME: Duration = Duration::from_secs(10);

/// How long one address of several is tried, so that one that swallows packets does not hide the others.
const MAX_TRY_TIME: Duration = Duration::from_secs(3);

/// The most addresses of a name that are tried; more would not fit into [`MAX_CONNECT_TIME`].
const MAX_ADDRESSES: usize = 16;

/// The only application protocol that gRPC speaks. Source: RFC 9113 §3.3.
const ALPN: &[u8] = b"h2";

/// Why there is no connection; each says which step failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is no address of a server.
    #[error("address {address} {problem}, expected https://host:port")]
    Address {
        /// The setting.
        address: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// What the certificate must be named is no name.
    #[error("{name:?} is neither a DNS name nor an IP address, so no certificate can have it")]
    Name {
        /// The host or the alternative name.
        name: String,
        /// Why not.
        #[source]
        source: InvalidDnsNameError,
    },
    /// Nobody can be believed.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The name has no address.
    #[error("{host} cannot be resolved")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// No address of the host can be reached.
    #[error("no TCP connection to {host}, last tried {address} of {count} addresses")]
    Tcp {
        /// The host and port of the setting.
        host: String,
        /// The last address that was tried.
        address: SocketAddr,
        /// How many the name has.
        count: usize,
        /// What happened to that one.
        #[source]
        source: io::Error,
    },
    /// A step took too long.
    #[error("{phase} of {host} took longer than {} s", limit.as_secs())]
    Timeout {
        /// Which step.
        phase: Phase,
        /// The host and port.
        host: String,
        /// The limit.
        limit: Duration,
    },
    /// TLS cannot be set up on our side.
    #[error("no TLS configuration can be built")]
    Config(#[source] rustls::Error),
    /// The server is not believed, or does not speak TLS 1.3.
    #[error("TLS handshake with {host} as {name} failed")]
    Tls {
        /// The host and port.
        host: String,
        /// The name that its certificate must have.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server speaks something else inside TLS.
    #[error("{host} did not agree on HTTP/2, expected ALPN h2")]
    Alpn {
        /// The host and port.
        host: String,
    },
    /// The name of the cluster is no header text.
    #[error("cluster {cluster:?} cannot be sent in a header")]
    Cluster {
        /// The setting.
        cluster: String,
    },
    /// The HTTP/2 connection did not start.
    #[error("HTTP/2 connection to {host} did not start")]
    Http2 {
        /// The host and port.
        host: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
}

/// A step that has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Asking for the addresses of a name.
    Resolve,
    /// TLS.
    Tls,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "name lookup",
            Self::Tls => "TLS handshake",
        })
    }
}

/// An address, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) scheme: Scheme,
    /// What requests are addressed to.
    pub(crate) authority: Authority,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
}

impl Target {
    pub(crate) fn new(address: &Uri) -> Result<Self, ConnectError> {
        let refuse = |problem| ConnectError::Address {
            address: address.to_string(),
            problem,
        };
        let scheme = address.scheme().cloned().unwrap_or(Scheme::HTTPS);
        let default_port = if scheme == Scheme::HTTPS {
            443
        } else if scheme == Scheme::HTTP {
            80
        } else {
            return Err(refuse("has a scheme that is neither https nor http"));
        };
        let authority = address
            .authority()
            .cloned()
            .ok_or_else(|| refuse("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("has a user name"));
        }
        if !matches!(
            address.path_and_query().map(|p| p.as_str()),
            None | Some("/" | "")
        ) {
            return Err(refuse("has a path"));
        }
        let host = authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host)
            .to_owned();
        if host.is_empty() {
            return Err(refuse("has no host"));
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => Some(default_port),
            // Not `Authority::port`, which takes a number that is too large for none.
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()),
            None => None,
        };
        let port = port
            .filter(|port| *port != 0)
            .ok_or_else(|| refuse("has no port that can be connected to"))?;
        Ok(Self {
            scheme,
            authority,
            host,
            port,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// What HTTP/2 runs over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens the byte stream of a connection.
pub(crate) async fn open(
    target: &Target,
    roots: &Roots,
    alternative_name: Option<&str>,
) -> Result<Box<dyn Stream>, ConnectError> {
    if target.scheme == Scheme::HTTP {
        return Ok(Box::new(tcp(target).await?));
    }
    // First what is wrong on our side: it needs no network to be found.
    let name = alternative_name.unwrap_or(&target.host);
    let server_name =
        ServerName::try_from(name.to_owned()).map_err(|source| ConnectError::Name {
            name: name.to_owned(),
            source,
        })?;
    let config = config(roots).await?;
    let tcp = tcp(target).await?;
    let host = target.authority.to_string();
    let handshake = TlsConnector::from(Arc::new(config)).connect(server_name, tcp);
    let tls = match timeout(MAX_TLS_TIME, handshake).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(source)) => {
            return Err(ConnectError::Tls {
                host,
                name: name.to_owned(),
                source,
            });
        }
        Err(_) => {
            return Err(ConnectError::Timeout {
                phase: Phase::Tls,
                host,
                limit: MAX_TLS_TIME,
            });
        }
    };
    if tls.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(ConnectError::Alpn { host });
    }
    Ok(Box::new(tls))
}

/// TLS 1.3, the hybrid group first so that recorded traffic stays closed to a later quantum computer.
async fn config(roots: &Roots) -> Result<ClientConfig, ConnectError> {
    let provider = CryptoProvider {
        kx_groups: vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ],
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(ConnectError::Config)?
        .with_root_certificates(roots.load().await?)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Each connection has a configuration of its own: there is nothing to resume, and roots may have changed.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Tries the addresses of the host in the resolver's order.
async fn tcp(target: &Target) -> Result<TcpStream, ConnectError> {
    let deadline = Instant::now() + MAX_CONNECT_TIME;
    let host = || target.authority.to_string();
    let lookup = tokio::net::lookup_host((target.host.as_str(), target.port));
    let addresses: Vec<SocketAddr> = match timeout_at(deadline, lookup).await {
        Ok(Ok(addresses)) => addresses.take(MAX_ADDRESSES).collect(),
        Ok(Err(source)) => {
            return Err(ConnectError::Resolve {
                host: host(),
                source,
            });
        }
        Err(_) => {
            return Err(ConnectError::Timeout {
                phase: Phase::Resolve,
                host: host(),
                limit: MAX_CONNECT_TIME,
            });
        }
    };
    let count = addresses.len();
    let mut last = None;
    for (index, address) in addresses.into_iter().enumerate() {
        let end = if index + 1 == count {
            deadline
        } else {
            deadline.min(Instant::now() + MAX_TRY_TIME)
        };
        let source = match timeout_at(end, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small requests must not wait for each other; a failure costs time only.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%address, %error, "TCP_NODELAY not set");
                }
                return Ok(stream);
            }
            Ok(Err(source)) => source,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
        };
        tracing::debug!(%address, error = %source, "address of the control plane cannot be reached");
        last = Some((address, source));
    }
    Err(match last {
        Some((address, source)) => ConnectError::Tcp {
            host: host(),
            address,
            count,
            source,
        },
        None => ConnectError::Resolve {
            host: host(),
            source: io::Error::new(io::ErrorKind::NotFound, "it has no address"),
        },
    })
}

#[cfg(test)]
mod tests;
