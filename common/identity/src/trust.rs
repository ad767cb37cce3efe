//! Until when whom we believe: the roots that the authority named last, and what it has taken back.
//!
//! In: the bundle of every answer, a file of CRLs. Out: whether a chain is believed now.
//! Never: adds one bundle to another. Trust is what the authority said last, so a root that it has dropped
//! is believed by no credential any more, and a new one is believed by all at once, also by those that
//! were issued before it.
//!
//! ```text
//!  answer for identity a ──▶ bundle ──▶ Trust ◀── every verifier of every credential of the store
//!                                        ▲
//!                             CRL file ──┘
//! ```

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use rustls::{
    CertificateError, RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::{
    authority::MAX_CHAIN,
    crl::{Authority, Chain, CrlFile},
    refusal::{PeerRefusal, list},
    tls, x509,
};

/// A trust bundle. Cheap to clone, never empty.
#[derive(Clone)]
pub(crate) struct Roots {
    certificates: Arc<[CertificateDer<'static>]>,
    store: Arc<RootCertStore>,
    /// The same roots for the chain of a client, which must be made for that purpose.
    clients: Arc<dyn ClientCertVerifier>,
    /// Whose signature on a CRL counts.
    authorities: Arc<[Authority]>,
    /// For messages.
    subjects: Arc<str>,
}

impl Roots {
    /// Reads trust anchors; the error is the position of the one that cannot be used.
    pub(crate) fn new(roots: &[CertificateDer<'static>]) -> Result<Self, usize> {
        let mut store = RootCertStore::empty();
        let (mut subjects, mut authorities) = (Vec::new(), Vec::new());
        for (position, root) in roots.iter().enumerate() {
            store.add(root.clone()).map_err(|_| position)?;
            let parsed = x509::parse(root).map_err(|_| position)?;
            subjects.push(format!("{:?}", x509::subject(&parsed)));
            authorities.push(Authority::new(&parsed));
        }
        let store = Arc::new(store);
        // The roots are not named to the client: it has one certificate to show.
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&store), tls::provider())
                .clear_root_hint_subjects()
                .build()
                .map_err(|_| 0usize)?;
        Ok(Self {
            certificates: roots.into(),
            store,
            clients,
            authorities: authorities.into(),
            subjects: list(subjects).into(),
        })
    }

    /// The roots, in the order of the authority.
    pub(crate) fn certificates(&self) -> &Arc<[CertificateDer<'static>]> {
        &self.certificates
    }

    /// Whether a chain would be accepted from a server at `now`, whatever it is called.
    pub(crate) fn check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        bound(intermediates)?;
        let algorithms = tls::provider().signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(leaf)?,
            &self.store,
            intermediates,
            now,
            algorithms,
        )
        .map_err(|error| self.explain(error, leaf))
    }

    /// The same for a client.
    fn check_client(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        bound(intermediates)?;
        self.clients
            .verify_client_cert(leaf, intermediates, now)
            .map_err(|error| self.explain(error, leaf))
    }

    /// Adds to "unknown issuer" which one and what was expected; other errors carry their context already.
    fn explain(&self, error: rustls::Error, leaf: &CertificateDer<'_>) -> rustls::Error {
        if error == rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)
            && let Ok(certificate) = x509::parse(leaf)
        {
            let (issuer, roots) = (x509::issuer(&certificate), self.subjects.to_string());
            return PeerRefusal::UnknownIssuer { issuer, roots }.into();
        }
        error
    }
}

/// The subjects, for a log line.
impl fmt::Display for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // They are quoted one by one for messages of one field, and a log quotes once more.
        f.write_str(&self.subjects.replace('"', ""))
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Roots").field(&self.subjects).finish()
    }
}

/// Whom all credentials of a store believe.
#[derive(Debug)]
pub(crate) struct Trust {
    /// The newest bundle; none before the first answer, and then nobody is believed.
    roots: ArcSwapOption<Roots>,
    crl: Option<Arc<CrlFile>>,
}

impl Trust {
    pub(crate) fn new(crl: Option<Arc<CrlFile>>) -> Arc<Self> {
        Arc::new(Self {
            roots: ArcSwapOption::empty(),
            crl,
        })
    }

    /// The newest bundle.
    pub(crate) fn roots(&self) -> Option<Arc<Roots>> {
        self.roots.load_full()
    }

    /// Whether `roots` is the newest bundle, the very one. Takes no reference.
    pub(crate) fn is_still(&self, roots: Option<&Arc<Roots>>) -> bool {
        match (&*self.roots.load(), roots) {
            (Some(now), Some(roots)) => Arc::ptr_eq(now, roots),
            (None, _) | (_, None) => false,
        }
    }

    /// Believes `roots` and nobody else from now on; says whether that is a change.
    pub(crate) fn replace(&self, roots: &Arc<Roots>) -> bool {
        let changed = self
            .roots()
            .is_none_or(|old| old.certificates != roots.certificates);
        if changed {
            self.roots.store(Some(Arc::clone(roots)));
        }
        changed
    }

    /// A bundle that equals the newest one is that one.
    pub(crate) fn share(&self, roots: &[CertificateDer<'static>]) -> Result<Arc<Roots>, usize> {
        match self.roots() {
            Some(known) if *known.certificates == *roots => Ok(known),
            Some(_) | None => Roots::new(roots).map(Arc::new),
        }
    }

    /// Whether the chain of a server is believed at `now`, whatever it is called.
    pub(crate) fn check_server(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let roots = self.expect(leaf)?;
        roots.check(leaf, intermediates, now)?;
        self.check_revocation(&roots, leaf, intermediates)
    }

    /// Whether the chain of a client is believed at `now`, whatever it is called.
    pub(crate) fn check_client(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let roots = self.expect(leaf)?;
        let verified = roots.check_client(leaf, intermediates, now)?;
        self.check_revocation(&roots, leaf, intermediates)?;
        Ok(verified)
    }

    /// Whether a chain that was believed once has been taken back since.
    pub(crate) fn revoked(&self, chain: &Chain) -> Option<PeerRefusal> {
        let crl = self.crl.as_ref()?.current();
        match self.roots() {
            Some(roots) => crl.find(chain, &roots.authorities),
            None => crl.find(chain, &[]),
        }
    }

    fn check_revocation(
        &self,
        roots: &Roots,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), rustls::Error> {
        let Some(file) = &self.crl else { return Ok(()) };
        let crl = file.current();
        if crl.is_empty() {
            return Ok(());
        }
        // Strict: what cannot be read here cannot be looked up, but might be part of the path.
        let chain = Chain::read(leaf, intermediates)?;
        match crl.find(&chain, &roots.authorities) {
            Some(refusal) => {
                file.count_refusal();
                Err(refusal.into())
            }
            None => Ok(()),
        }
    }

    fn expect(&self, leaf: &CertificateDer<'_>) -> Result<Arc<Roots>, rustls::Error> {
        self.roots().ok_or_else(|| {
            let issuer =
                x509::parse(leaf).map_or_else(|_| String::new(), |leaf| x509::issuer(&leaf));
            PeerRefusal::UnknownIssuer {
                issuer,
                roots: "none, for the authority has not named any yet".to_owned(),
            }
            .into()
        })
    }
}

fn bound(intermediates: &[CertificateDer<'_>]) -> Result<(), PeerRefusal> {
    let count = 1 + intermediates.len();
    if count > MAX_CHAIN {
        Err(PeerRefusal::ChainTooLong {
            count,
            max: MAX_CHAIN,
        })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
