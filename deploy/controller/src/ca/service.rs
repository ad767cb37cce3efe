//! `istio.v1.auth.IstioCertificateService`: who may ask for which certificate.
//!
//! ```text
//! token is good ──▶ mesh is known ──▶ ImpersonatedIdentity?
//!                                       no   the caller's own identity
//!                                       yes  a trusted node, and a pod of that account runs on its node
//!                                     ──▶ the request is signed with its own key and names nobody else ──▶ signed
//! ```
//! In: a request and its headers. Out: a chain, or a refusal. Never: tells a caller why an identity is not his to
//! ask for; the log says it.
//!
//! Source: Istio `CreateCertificate`; ID-02, ID-03, ID-11, CP-02.

use std::{sync::Arc, time::Duration};

use grpc::service::ca::istio_certificate_service_server::IstioCertificateService;
use identity::{CaError, Clock};
use mesh::SpiffeId;
use prost_types::value::Kind;
use tonic::{Request, Response, Status, async_trait};
use wire::proto::ca::{IstioCertificateRequest, IstioCertificateResponse};

use super::{
    Authority, Issued,
    request::{CertificateRequest, RequestError},
};
use crate::{
    metrics::Metrics,
    publish::View,
    quota::Quota,
    serve::Peer,
    token::{Authenticator, Caller, TokenError, TrustedNodes},
};

/// The field of the metadata that names another identity. Source: Istio `security.ImpersonatedIdentity`.
const IMPERSONATED: &str = "ImpersonatedIdentity";

/// What a caller hears whose token is not believed.
const NOT_AUTHENTICATED: &str = "authentication failure";

/// What a caller hears who may not have the identity that he asks for, whatever the reason.
const NOT_IMPERSONATED: &str = "request impersonation authentication failure";

/// What is asked of the mesh before something is signed.
pub trait Residents: Send + Sync + 'static {
    /// The trust domain; `None` as long as no configuration has been read.
    fn trust_domain(&self) -> Option<Arc<str>>;

    /// Whether a pod of this service account runs on this node.
    fn runs(&self, node: &str, namespace: &str, service_account: &str) -> bool;
}

impl Residents for View {
    fn trust_domain(&self) -> Option<Arc<str>> {
        let snapshot = self.load();
        (snapshot.generation() > 0).then(|| snapshot.trust_domain().into())
    }

    fn runs(&self, node: &str, namespace: &str, service_account: &str) -> bool {
        self.load().runs(node, namespace, service_account)
    }
}

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The request is wrong.
    #[error(transparent)]
    Request(RequestError),
    /// The authority cannot sign now.
    #[error("nothing can be signed")]
    Authority(#[source] CaError),
}

/// Why a caller may not have an identity. Only the log hears it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Impersonation {
    #[error("the metadata's ImpersonatedIdentity is no string")]
    NoString,
    #[error("it is not spiffe://<trust domain>/ns/<namespace>/sa/<service account>")]
    NotSpiffe,
    #[error("the caller is none of CA_TRUSTED_NODE_ACCOUNTS")]
    NotTrusted,
    #[error("the caller's token names no node")]
    NoNode,
    #[error("its trust domain is not {expected:?}")]
    TrustDomain { expected: Arc<str> },
    #[error("no pod of that service account runs on the caller's node")]
    NotResident,
}

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the caller's token is not believed")]
    Authentication(#[source] TokenError),
    #[error("no configuration has been read yet")]
    NotReady,
    #[error("the caller may not ask for {requested:?}")]
    Impersonation {
        requested: String,
        #[source]
        reason: Impersonation,
    },
    #[error("the request is not signed")]
    Issue(#[source] IssueError),
}

impl Refusal {
    fn status(&self) -> Status {
        match self {
            Self::Authentication(_) => Status::unauthenticated(NOT_AUTHENTICATED),
            Self::NotReady => Status::unavailable("no configuration has been read yet"),
            Self::Impersonation { .. } => Status::unauthenticated(NOT_IMPERSONATED),
            Self::Issue(IssueError::Request(error)) => Status::invalid_argument(error.to_string()),
            Self::Issue(IssueError::Authority(_)) => {
                Status::unavailable("the certificate authority cannot sign now")
            }
        }
    }
}

/// The service.
#[derive(Clone)]
pub struct Service {
    authority: Arc<Authority>,
    authenticator: Arc<Authenticator>,
    trusted: Arc<TrustedNodes>,
    residents: Arc<dyn Residents>,
    metrics: Metrics,
    clock: Clock,
    quota: Arc<Quota>,
}

impl Service {
    /// A service that signs with `authority` for whom `authenticator` knows.
    #[must_use]
    pub fn new(
        authority: Arc<Authority>,
        authenticator: Arc<Authenticator>,
        trusted: Arc<TrustedNodes>,
        residents: impl Residents,
        metrics: Metrics,
    ) -> Self {
        Self {
            authority,
            authenticator,
            trusted,
            residents: Arc::new(residents),
            metrics,
            clock: Clock::default(),
            quota: Arc::default(),
        }
    }

    fn answer(
        &self,
        headers: &http::HeaderMap,
        message: &IstioCertificateRequest,
    ) -> (Option<Caller>, Result<(SpiffeId, Issued), Refusal>) {
        match self.authenticator.authenticate(headers) {
            Ok(caller) => {
                let answer = self.answer_to(&caller, message);
                (Some(caller), answer)
            }
            Err(error) => (None, Err(Refusal::Authentication(error))),
        }
    }

    fn answer_to(
        &self,
        caller: &Caller,
        message: &IstioCertificateRequest,
    ) -> Result<(SpiffeId, Issued), Refusal> {
        let trust_domain = self.residents.trust_domain().ok_or(Refusal::NotReady)?;
        let id = self.identity(caller, &trust_domain, message)?;
        let request = CertificateRequest::from_pem(&message.csr)
            .map_err(|error| Refusal::Issue(error.into()))?;
        // Nothing asked for, or nonsense: the usual life.
        let ttl = u64::try_from(message.validity_duration)
            .ok()
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs);
        let issued = self
            .authority
            .issue(&id, &request, ttl, self.clock.now())
            .map_err(Refusal::Issue)?;
        Ok((id, issued))
    }

    /// Whose certificate it shall be: the token decides, and the request never.
    fn identity(
        &self,
        caller: &Caller,
        trust_domain: &Arc<str>,
        message: &IstioCertificateRequest,
    ) -> Result<SpiffeId, Refusal> {
        let field = message
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.fields.get(IMPERSONATED))
            .map(|value| value.kind.as_ref());
        let requested = match field {
            None => "",
            Some(Some(Kind::StringValue(text))) => text.as_str(),
            Some(_) => {
                return Err(Refusal::Impersonation {
                    requested: String::new(),
                    reason: Impersonation::NoString,
                });
            }
        };
        if requested.is_empty() {
            return Ok(SpiffeId::new(
                (&**trust_domain).into(),
                (&*caller.namespace).into(),
                (&*caller.service_account).into(),
            ));
        }
        self.impersonate(caller, trust_domain, requested)
            .map_err(|reason| Refusal::Impersonation {
                requested: crate::words::quoted(requested),
                reason,
            })
    }

    fn impersonate(
        &self,
        caller: &Caller,
        trust_domain: &Arc<str>,
        requested: &str,
    ) -> Result<SpiffeId, Impersonation> {
        let id: SpiffeId = requested.parse().map_err(|_| Impersonation::NotSpiffe)?;
        if !self.trusted.contains(caller) {
            return Err(Impersonation::NotTrusted);
        }
        let node = caller.node.as_ref().ok_or(Impersonation::NoNode)?;
        if *id.trust_domain != **trust_domain {
            return Err(Impersonation::TrustDomain {
                expected: Arc::clone(trust_domain),
            });
        }
        if !self
            .residents
            .runs(node, &id.namespace, &id.service_account)
        {
            return Err(Impersonation::NotResident);
        }
        Ok(id)
    }
}

#[async_trait]
impl IstioCertificateService for Service {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        self.metrics.csr.inc();
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
        let (metadata, _, message) = request.into_parts();
        let (caller, answer) = self.answer(metadata.as_ref(), &message);
        let (caller, peer) = (Who(caller.as_ref()), peer.map(tracing::field::display));
        match answer {
            Ok((id, issued)) => {
                self.metrics.issued.inc();
                // The serial number is what `controller revoke` takes.
                tracing::info!(peer, %caller, identity = %id, serial = issued.serial,
                    not_after = super::rfc3339(issued.not_after), "certificate signed");
                Ok(Response::new(IstioCertificateResponse {
                    cert_chain: issued.chain,
                }))
            }
            Err(refusal) => {
                match &refusal {
                    Refusal::Authentication(_) | Refusal::Impersonation { .. } => {
                        self.metrics.authentication_failures.inc();
                    }
                    Refusal::NotReady | Refusal::Issue(_) => {}
                }
                if let Some(left_out) = self.quota.take(net::clock::now()) {
                    tracing::warn!(peer, %caller, reason = grpc::status::chain(&refusal), left_out, "certificate refused");
                }
                Err(refusal.status())
            }
        }
    }
}

/// A caller in a log line.
struct Who<'a>(Option<&'a Caller>);

impl std::fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("unknown"),
            Some(caller) => write!(
                f,
                "{}/{}@{}",
                caller.namespace,
                caller.service_account,
                caller.node.as_deref().unwrap_or("-")
            ),
        }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
