//! A certificate authority that a controller runs, asked over gRPC on behalf of this node's pods.
//!
//! In: signing requests. Out: chains and roots. Never: retries what the authority has heard (the
//! [`Store`](crate::Store) does, with back-off), holds a key, believes a name that was not asked for (the
//! [`Credential`](crate::Credential) that is made of the answer does not).
//!
//! One connection is shared by all requests and kept between them. It is made when the first request needs
//! it, and again when a request finds it broken or gets no answer in time.
//!
//! Source: istio.v1.auth `IstioCertificateService/CreateCertificate`.

use std::{collections::BTreeMap, fmt, sync::Arc};

use grpc::{
    CallError, Channel, Endpoint,
    service::ca::istio_certificate_service_client::IstioCertificateServiceClient, status,
};
use mesh::SpiffeId;
use parking_lot::Mutex;
use prost_types::{Struct, Value, value::Kind};
use tokio::sync::OnceCell;
use tonic::Status;
use wire::proto::ca::{IstioCertificateRequest, IstioCertificateResponse};

use crate::{BoxFuture, CaError, CertificateAuthority, Issued, SigningRequest};

mod answer;

pub use answer::BadAnswer;

/// The most bytes of an answer: eight certificates and a bundle of 64 roots are a tenth of it.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// The key of the request's metadata that names whom the certificate is for. Source: Istio ztunnel.
const IMPERSONATED: &str = "ImpersonatedIdentity";

/// One connection, made once by the first of those who need it.
type Shared = Arc<OnceCell<Channel>>;

/// An authority behind an address.
pub struct RemoteCa {
    endpoint: Endpoint,
    /// Whom the token of a request names already.
    own: Option<SpiffeId>,
    /// The newest connection; locked for a few instructions, never over an await.
    current: Mutex<Shared>,
}

impl RemoteCa {
    /// Connects with the first request.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            own: None,
            current: Mutex::default(),
        }
    }

    /// For a proxy whose token says that it is `own` itself: the request for that certificate names nobody, since an authority
    /// lets only node proxies name others. Source: Istio, whose gateways and sidecars name nobody.
    #[must_use]
    pub fn with_own(self, own: SpiffeId) -> Self {
        Self {
            own: Some(own),
            ..self
        }
    }

    async fn ask(&self, request: &SigningRequest) -> Result<Issued, CaError> {
        let message = message(request, self.own.as_ref());
        let mut link = self.link().await?;
        let mut answer = link.call(message.clone()).await;
        if let Err(status) = &answer
            && link.reused
            && is_lost(status)
        {
            // The connection ended while nobody used it. Whether the request arrived does not matter:
            // a second certificate for the same key harms nobody.
            link = self.link().await?;
            answer = link.call(message).await;
        }
        let authority = || self.endpoint.address.to_string();
        let answer = answer.map_err(|status| match std::error::Error::source(&status) {
            // What never left us, or got lost on the way.
            Some(_) => CaError::Unreachable {
                authority: authority(),
                source: status::words(&status).into(),
            },
            None => CaError::Refused {
                authority: authority(),
                reason: status::words(&status),
            },
        })?;
        answer::parse(&answer.cert_chain).map_err(|source| CaError::Answer {
            authority: authority(),
            source,
        })
    }

    /// The connection for one request, made if there is none that works.
    async fn link(&self) -> Result<Link<'_>, CaError> {
        let shared = {
            let mut current = self.current.lock();
            if current.get().is_some_and(|channel| !channel.is_open()) {
                *current = Shared::default();
            }
            Arc::clone(&current)
        };
        let reused = shared.initialized();
        let channel = shared
            .get_or_try_init(|| self.endpoint.connect())
            .await
            .map_err(|error| CaError::Unreachable {
                authority: self.endpoint.address.to_string(),
                source: error.into(),
            })?
            .clone();
        Ok(Link {
            authority: self,
            shared,
            channel,
            reused,
            proven: false,
        })
    }

    /// The next request makes a connection of its own.
    fn forget(&self, shared: &Shared) {
        let mut current = self.current.lock();
        if Arc::ptr_eq(&current, shared) {
            *current = Shared::default();
        }
    }
}

/// A connection while one request uses it.
struct Link<'a> {
    authority: &'a RemoteCa,
    shared: Shared,
    channel: Channel,
    /// Whether it was there before this request.
    reused: bool,
    /// Whether an answer came over it.
    proven: bool,
}

impl Link<'_> {
    async fn call(
        &mut self,
        message: IstioCertificateRequest,
    ) -> Result<IstioCertificateResponse, Status> {
        self.proven = false;
        let mut client = IstioCertificateServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_ANSWER_BYTES);
        let answer = client.create_certificate(message).await;
        self.proven = match &answer {
            Ok(_) => true,
            Err(status) => std::error::Error::source(status).is_none(),
        };
        Ok(answer?.into_inner())
    }
}

/// Whoever gave up on an answer, or got none, leaves no connection behind that swallows the next request.
impl Drop for Link<'_> {
    fn drop(&mut self) {
        if !self.proven {
            self.authority.forget(&self.shared);
        }
    }
}

impl CertificateAuthority for RemoteCa {
    fn issue(&self, request: SigningRequest) -> BoxFuture<'_, Result<Issued, CaError>> {
        Box::pin(async move { self.ask(&request).await })
    }
}

impl fmt::Debug for RemoteCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteCa")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Whether the connection is what failed.
fn is_lost(status: &Status) -> bool {
    let source = std::error::Error::source(status);
    match source.and_then(|source| source.downcast_ref::<CallError>()) {
        Some(CallError::Ended { .. } | CallError::Failed { .. }) => true,
        Some(CallError::Token(_) | CallError::Request { .. }) | None => false,
    }
}

fn message(request: &SigningRequest, own: Option<&SpiffeId>) -> IstioCertificateRequest {
    let metadata = (own != Some(&request.id)).then(|| {
        let identity = Value {
            kind: Some(Kind::StringValue(request.id.to_string())),
        };
        Struct {
            fields: BTreeMap::from([(IMPERSONATED.to_owned(), identity)]),
        }
    });
    IstioCertificateRequest {
        csr: request.csr_pem(),
        validity_duration: i64::try_from(request.ttl.as_secs()).unwrap_or(i64::MAX),
        metadata,
    }
}

#[cfg(test)]
mod tests;
