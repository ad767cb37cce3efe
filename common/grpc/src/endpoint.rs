//! Where the control plane is, whom to believe there, and who we say we are.
//!
//! In: settings. Out: a connection by [`Endpoint::connect`]. Never: reads the environment.

use std::{fmt, path::PathBuf};

use http::{HeaderName, HeaderValue, Uri, uri::Scheme};

use crate::{Channel, ConnectError, Roots, channel, connect};

/// A control plane, as its clients are told of it.
#[derive(Clone)]
pub struct Endpoint {
    /// `https://host:port`, or `http://host:port` without any protection. Without a scheme it is https,
    /// without a port 443 or 80. Source: `XDS_ADDRESS`, `CA_ADDRESS`.
    pub address: Uri,
    /// Whom to believe; read anew for every connection. Source: `XDS_ROOT_CA`, `CA_ROOT_CA`.
    pub roots: Roots,
    /// The name that the certificate must have and that TLS asks for, in place of the address's host.
    /// Source: `ALT_XDS_HOSTNAME`, `ALT_CA_HOSTNAME`.
    pub alternative_name: Option<String>,
    /// A file with a bearer token, read anew for every request; without one, requests carry none.
    /// Source: `AUTH_TOKEN`.
    pub token: Option<PathBuf>,
    /// The cluster that we are in, sent as `clusterid`; an empty one is not sent. Source: `CLUSTER_ID`.
    pub cluster: String,
    /// Sent with every request, instead of a header of ours with the same name.
    /// Source: `XDS_HEADER_*`, `CA_HEADER_*`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Endpoint {
    /// Opens one connection: name, TCP, TLS, HTTP/2.
    ///
    /// # Errors
    /// [`ConnectError`], which says which of these failed, within
    /// [`MAX_CONNECT_TIME`](connect::MAX_CONNECT_TIME) and [`MAX_TLS_TIME`](connect::MAX_TLS_TIME).
    pub async fn connect(&self) -> Result<Channel, ConnectError> {
        let target = connect::Target::new(&self.address)?;
        if target.scheme == Scheme::HTTP && self.token.is_some() {
            tracing::warn!(address = %target, "requests carry a token that is sent without protection");
        }
        let stream = connect::open(&target, &self.roots, self.alternative_name.as_deref()).await?;
        channel::start(stream, target, self).await
    }
}

/// Header values may be secrets; names are not.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Endpoint")
            .field("address", &self.address)
            .field("roots", &self.roots)
            .field("alternative_name", &self.alternative_name)
            .field("token", &self.token)
            .field("cluster", &self.cluster)
            .field("headers", &headers)
            .finish()
    }
}
