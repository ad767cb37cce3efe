//! From an address to the bytes that are there: one GET, through the mesh or past it.
//!
//! In: `http` or `https`. Out: the body of an answer with status 200. Never: follows a redirect, reads more than a key set may have, sends
//! anything of a client's.
//!
//! A host that is a service of the mesh, asked by `http`, is asked through the mesh, under the waypoint's own identity: it may
//! take no plain connections. All others are connected to as their name resolves.

use std::{fmt, io, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use decision::waypoint::service_by_hostname;
use http::{
    HeaderValue, Request, StatusCode, Uri,
    header::{ACCEPT, HOST, USER_AGENT},
};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use jwt::{KeySetError, MAX_SET_BYTES, Refusal};
use mesh::route::Backend;
use tokio::task::JoinHandle;

use super::{Trust, connect};
use crate::{
    access::ask::{self, AskError},
    proxy::Proxy,
};

/// For a question through the mesh; the caller's time is shorter, and ends the wait.
const MAX_TIME: Duration = Duration::from_secs(60);

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is none.
    #[error("address {address:?} {problem}, expected http:// or https:// with a host")]
    Address {
        /// What was found, cut.
        address: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The name has no address, or none that may be asked.
    #[error("{host} cannot be resolved")]
    Resolve {
        /// The host.
        host: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Its address is one that nobody is asked at.
    #[error("{host} is at {address}, which is {why}")]
    Forbidden {
        /// The host.
        host: String,
        /// Its address.
        address: IpAddr,
        /// Whose it is.
        why: &'static str,
    },
    /// It cannot be connected to.
    #[error("no connection to {host}")]
    Connect {
        /// The host.
        host: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Nobody can be believed.
    #[error(transparent)]
    Roots(#[from] grpc::RootsError),
    /// TLS cannot be set up, or the host is not believed.
    #[error("TLS with {host} failed")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is connected, and does not answer.
    #[error("no answer of {host}")]
    Http {
        /// The host.
        host: String,
        /// Why not.
        #[source]
        source: hyper::Error,
    },
    /// The mesh has not brought an answer.
    #[error("no answer through the mesh")]
    Mesh(#[source] AskError),
    /// It answers, with something else.
    #[error("status is {0}, expected 200")]
    Status(StatusCode),
    /// It answers with more than keys.
    #[error("answer has more than {MAX_SET_BYTES} bytes")]
    TooLong,
    /// All of it took too long.
    #[error("no keys within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The issuer's document is none.
    #[error("document is not JSON with issuer and jwks_uri")]
    Document,
    /// The issuer's document is another's.
    #[error("document is that of issuer {found:?}, expected {expected:?}")]
    OtherIssuer {
        /// Whose it says it is, cut.
        found: String,
        /// Whom we asked.
        expected: String,
    },
    /// The issuer's document leads away from TLS.
    #[error("jwks_uri is {0:?}, expected https as the document's own")]
    Downgrade(String),
    /// What is there are no keys.
    #[error(transparent)]
    Keys(#[from] KeySetError),
}

impl FetchError {
    /// What a client is told. Source: Envoy.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Keys(error) => error.refusal(),
            Self::Address { .. }
            | Self::Resolve { .. }
            | Self::Forbidden { .. }
            | Self::Connect { .. }
            | Self::Roots(_)
            | Self::Tls { .. }
            | Self::Http { .. }
            | Self::Mesh(_)
            | Self::Status(_)
            | Self::TooLong
            | Self::TimedOut(_)
            | Self::Document
            | Self::OtherIssuer { .. }
            | Self::Downgrade(_) => Refusal::Fetch,
        }
    }
}

/// Where something is.
#[derive(Clone, Debug)]
pub(super) struct Address {
    uri: Uri,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    secure: bool,
}

impl Address {
    /// Reads an address.
    pub(super) fn parse(text: &str) -> Result<Self, FetchError> {
        let refuse = |problem| FetchError::Address {
            address: text.chars().take(256).collect(),
            problem,
        };
        let uri: Uri = text.parse().map_err(|_| refuse("is none"))?;
        let (secure, usual) = match uri.scheme_str() {
            Some("https") => (true, 443),
            Some("http") => (false, 80),
            Some(_) | None => return Err(refuse("has another scheme")),
        };
        let authority = uri.authority().ok_or_else(|| refuse("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("has a user name"));
        }
        let host = authority.host();
        // Not `Authority::port`, which takes a number that is too large for none.
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => Some(usual),
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()),
            None => None,
        };
        let port = port
            .filter(|port| *port != 0)
            .ok_or_else(|| refuse("has no port that can be connected to"))?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = bare
            .unwrap_or(host)
            .trim_end_matches('.')
            .to_ascii_lowercase();
        if host.is_empty() {
            return Err(refuse("has no host"));
        }
        Ok(Self {
            host,
            port,
            secure,
            uri,
        })
    }

    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    /// The question, as HTTP/1.1 writes it to the host itself.
    fn request<B: Default>(&self) -> Request<B> {
        let mut request = Request::new(B::default());
        let path = self.uri.path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        let headers = request.headers_mut();
        let authority = self
            .uri
            .authority()
            .map_or("", |authority| authority.as_str());
        if let Ok(authority) = HeaderValue::try_from(authority) {
            headers.insert(HOST, authority);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("ambit-waypoint"));
        request
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uri, f)
    }
}

/// How hosts are reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way<'a> {
    /// The mesh, if there is one.
    pub(super) proxy: Option<&'a Arc<Proxy>>,
    /// Whom hosts are believed by.
    pub(super) trust: &'a Trust,
}

impl Way<'_> {
    /// What is at an address. The caller sets a time.
    pub(super) async fn get(self, address: &Address) -> Result<Bytes, FetchError> {
        let service = self
            .proxy
            .filter(|_| !address.secure)
            .and_then(|proxy| Some((proxy, backend(proxy, address)?)));
        match service {
            Some((proxy, backend)) => through(proxy, backend, address).await,
            None => self.past(address).await,
        }
    }

    /// Past the mesh.
    async fn past(self, address: &Address) -> Result<Bytes, FetchError> {
        let own = self.proxy.map(|proxy| proxy.own.instance_ip);
        let stream = connect::open(address, self.trust, own).await?;
        let failed = |source| FetchError::Http {
            host: address.host.clone(),
            source,
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        let _driven = Driven(tokio::spawn(connection));
        let request = address.request::<Empty<Bytes>>();
        let response = sender.send_request(request).await.map_err(failed)?;
        expect_ok(response.status())?;
        let body = Limited::new(response.into_body(), MAX_SET_BYTES);
        match body.collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLong),
            Err(error) => Err(match error.downcast::<hyper::Error>() {
                Ok(error) => failed(*error),
                // There is no third error.
                Err(_) => FetchError::TooLong,
            }),
        }
    }
}

/// The service of the mesh that an address names, as our own namespace sees it: nobody else's entry may take its place.
fn backend(proxy: &Proxy, address: &Address) -> Option<Backend> {
    let mesh = proxy.view.load();
    let service = service_by_hostname(&mesh, &address.host, &proxy.own.namespace)?;
    service.ports.0.get(&address.port)?;
    Some(Backend::new(service.key(), address.port))
}

async fn through(
    proxy: &Arc<Proxy>,
    backend: Backend,
    address: &Address,
) -> Result<Bytes, FetchError> {
    let request = address.request();
    let asking = ask::in_background(proxy, backend, request, MAX_TIME, MAX_SET_BYTES);
    let response = asking.await.map_err(|error| match error {
        AskError::TooLong(_) => FetchError::TooLong,
        AskError::Unknown { .. }
        | AskError::NoHost(_)
        | AskError::Overflow(_)
        | AskError::NoRoom(_)
        | AskError::Send(_)
        | AskError::Status(_)
        | AskError::TimedOut(_)
        | AskError::NotHttp2(_)
        | AskError::Body(_)
        | AskError::Question(_)
        | AskError::Ended => FetchError::Mesh(error),
    })?;
    expect_ok(response.status())?;
    Ok(response.into_body())
}

fn expect_ok(status: StatusCode) -> Result<(), FetchError> {
    if status == StatusCode::OK {
        Ok(())
    } else {
        Err(FetchError::Status(status))
    }
}

/// The task that moves the bytes of a connection; it ends with the question.
struct Driven(JoinHandle<hyper::Result<()>>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}
