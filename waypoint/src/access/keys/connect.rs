//! From an address to a byte stream past the mesh: name, TCP, and TLS where it is https.
//!
//! In: a host and a port, whom to believe. Out: a stream. Never: a certificate of ours (keys are public); an address that [`super::reach`] refuses, or any other than
//! those that it was shown: a name is resolved once, and what was looked at is what is connected to.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, client::Resumption, crypto::aws_lc_rs, pki_types::ServerName,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Duration, timeout},
};
use tokio_rustls::TlsConnector;

use super::{
    Trust,
    fetch::{Address, FetchError},
    reach,
};

/// The most addresses of a name that are tried. Reason: the time that a policy gives is for all of them.
const MAX_ADDRESSES: usize = 4;
/// How long one of several is tried, so that one that swallows packets does not hide the others.
const MAX_TRY_TIME: Duration = Duration::from_secs(2);
/// Source: RFC 7301, RFC 9112.
const ALPN: &[u8] = b"http/1.1";

/// What HTTP runs over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens a stream. `own` is the waypoint's address.
pub(super) async fn open(
    address: &Address,
    trust: &Trust,
    own: Option<IpAddr>,
) -> Result<Box<dyn Stream>, FetchError> {
    if !address.is_secure() {
        return Ok(Box::new(tcp(address, trust, own).await?));
    }
    let tls = |source| FetchError::Tls {
        host: address.host.clone(),
        source,
    };
    let name =
        ServerName::try_from(address.host.clone()).map_err(|error| tls(io::Error::other(error)))?;
    let config = config(trust)
        .await?
        .map_err(|error| tls(io::Error::other(error)))?;
    let stream = tcp(address, trust, own).await?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(tls)?;
    Ok(Box::new(stream))
}

/// TLS 1.3 and 1.2: hosts of keys are not ours to choose.
async fn config(trust: &Trust) -> Result<Result<ClientConfig, rustls::Error>, FetchError> {
    let roots = roots(trust).await?;
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12]);
    Ok(builder.map(|builder| {
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        // The next fetch is a third of an hour away, and roots may have changed.
        config.resumption = Resumption::disabled();
        config
    }))
}

/// The system's roots, and those of the setting. Either may be missing, as long as there is somebody to believe.
async fn roots(trust: &Trust) -> Result<RootCertStore, FetchError> {
    let system = grpc::Roots::System.load().await;
    let Some(further) = &trust.further else {
        return Ok(system?);
    };
    let mut all = further.load().await?;
    if let Ok(system) = system {
        all.extend(system.roots);
    }
    Ok(all)
}

/// Tries the addresses of a host in the resolver's order.
async fn tcp(
    address: &Address,
    trust: &Trust,
    own: Option<IpAddr>,
) -> Result<TcpStream, FetchError> {
    let host = || address.host.clone();
    let found = tokio::net::lookup_host((address.host.as_str(), address.port))
        .await
        .map_err(|source| FetchError::Resolve {
            host: host(),
            source,
        })?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    // One is enough: a name that leads there was made to.
    for ip in addresses.iter().map(SocketAddr::ip) {
        if let Some(why) = reach::refused(ip, own, trust.reach) {
            return Err(FetchError::Forbidden {
                host: host(),
                address: ip,
                why,
            });
        }
    }
    addresses.truncate(MAX_ADDRESSES);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    let count = addresses.len();
    for (index, address) in addresses.into_iter().enumerate() {
        let connecting = TcpStream::connect(address);
        let connected = if index + 1 == count {
            connecting.await
        } else {
            let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
            let tried = timeout(MAX_TRY_TIME, connecting).await;
            tried.unwrap_or_else(|_| Err(late()))
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(FetchError::Connect {
        host: host(),
        source: last,
    })
}
