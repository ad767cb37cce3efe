//! One identity's key and certificate, with the TLS configurations that use them.
//!
//! In: an authority's answer to our request, checked before it is used. Out: configurations that are built
//! once. Never: changes; a renewed certificate is a new [`Credential`], and old connections keep theirs.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mesh::{San, SpiffeId};
use parking_lot::Mutex;
use rustls::{
    ClientConfig, ServerConfig,
    sign::{CertifiedKey, SingleCertAndKey},
    time_provider::TimeProvider,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::{
    Clock, Issued,
    authority::{MAX_CHAIN, MAX_ROOTS},
    introduce::Acquaintances,
    refusal::{PeerRefusal, cut, rfc3339},
    tls,
    trust::{Roots, Trust},
    verify::{ExpectSans, ExpectTrustDomain},
    x509,
};

/// How many sets of expected SANs keep their client configuration.
///
/// A configuration is small and quickly made; the cache serves the few destinations that a workload dials
/// again and again, and a scan of it stays cheaper than making one.
const MAX_CLIENT_CONFIGS: usize = 16;

/// The shortest time between issue and renewal, whatever the authority hands out.
const MIN_RENEWAL_INTERVAL: Duration = Duration::from_secs(1);

/// A client configuration and the SANs that it believes.
type ForSans = (Box<[San]>, Arc<ClientConfig>);

/// One identity's key and certificate.
pub struct Credential {
    id: SpiffeId,
    generation: u64,
    not_before: SystemTime,
    not_after: SystemTime,
    renew_at: SystemTime,
    issued_at: SystemTime,
    chain: Vec<CertificateDer<'static>>,
    /// The bundle that came with it; what is believed is `trust`.
    issued_roots: Arc<Roots>,
    trust: Arc<Trust>,
    server: Arc<ServerConfig>,
    client: ClientConfig,
    /// Most recently used first, at most [`MAX_CLIENT_CONFIGS`].
    clients: Mutex<VecDeque<ForSans>>,
    /// Servers of this process, for connections that need no handshake.
    acquaintances: Acquaintances,
}

impl Credential {
    /// Checks an authority's answer and builds what TLS needs of it. Peers are checked against `trust`, which
    /// this does not change.
    pub(crate) fn new(
        id: SpiffeId,
        key: PrivateKeyDer<'static>,
        issued: Issued,
        clock: &Clock,
        trust: Arc<Trust>,
    ) -> Result<Self, AnswerError> {
        let Issued { chain, roots } = issued;
        let now = clock.now();
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Err(AnswerError::EmptyChain);
        };
        if chain.len() > MAX_CHAIN {
            return Err(AnswerError::ChainTooLong {
                count: chain.len(),
                max: MAX_CHAIN,
            });
        }
        if roots.is_empty() || roots.len() > MAX_ROOTS {
            return Err(AnswerError::Roots {
                count: roots.len(),
                max: MAX_ROOTS,
            });
        }
        let (not_before, not_after) = {
            let leaf = x509::parse(leaf).map_err(AnswerError::Leaf)?;
            let found = x509::sole_uri_san(&leaf).map_err(AnswerError::Leaf)?;
            if found != id.to_string() {
                return Err(AnswerError::Name {
                    expected: id,
                    found: cut(found),
                });
            }
            (
                x509::wall(leaf.validity().not_before),
                x509::wall(leaf.validity().not_after),
            )
        };
        if now < not_before || not_after <= now {
            return Err(AnswerError::Lifetime {
                not_before,
                not_after,
                now,
            });
        }
        let issued_roots = trust
            .share(&roots)
            .map_err(|position| AnswerError::Root { position })?;
        // Peers hold the same roots: what we would refuse, they would.
        let time = clock.current_time().ok_or(AnswerError::Lifetime {
            not_before,
            not_after,
            now,
        })?;
        issued_roots
            .check(leaf, intermediates, time)
            .map_err(|error| {
                AnswerError::Leaf(
                    PeerRefusal::from_tls(&error).unwrap_or(PeerRefusal::Chain(error)),
                )
            })?;

        let key = tls::provider()
            .key_provider
            .load_private_key(key)
            .map_err(AnswerError::Tls)?;
        let certified = CertifiedKey::new(chain.clone(), key);
        certified
            .keys_match()
            .map_err(|_| AnswerError::ForeignKey)?;
        let certified = Arc::new(certified);
        let resolver = || SingleCertAndKey::from(Arc::clone(&certified));
        let clients_are = ExpectTrustDomain::new(Arc::clone(&trust), id.trust_domain.clone());
        let nobody = Arc::new(ExpectSans::new(Arc::clone(&trust), &[]));
        let server =
            tls::server(resolver(), Arc::new(clients_are), clock).map_err(AnswerError::Tls)?;
        let client = tls::client(resolver(), nobody, clock).map_err(AnswerError::Tls)?;

        let life_left = not_after.duration_since(now).unwrap_or_default();
        Ok(Self {
            id,
            generation: next_generation(),
            not_before,
            not_after,
            renew_at: now + (life_left / 2).max(MIN_RENEWAL_INTERVAL),
            issued_at: now,
            chain,
            issued_roots,
            trust,
            server: Arc::new(server),
            client,
            clients: Mutex::default(),
            acquaintances: Acquaintances::default(),
        })
    }

    /// Whom it names.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// Grows with every credential of this process; two with the same number are the same.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The start of the leaf's validity.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// The end of the leaf's validity.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// When half of the life that was left at issue is over.
    #[must_use]
    pub fn renew_at(&self) -> SystemTime {
        self.renew_at
    }

    /// Whether it can be shown to a peer at `now`.
    #[must_use]
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        // A clock that was set back does not make the certificate useless: peers check by their own.
        now < self.not_after
    }

    /// Leaf first, then the intermediates.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Whom peers must chain to now: what the authority said last, which may be later than this credential.
    #[must_use]
    pub fn roots(&self) -> Arc<[CertificateDer<'static>]> {
        let roots = self.trust.roots();
        Arc::clone(roots.as_ref().unwrap_or(&self.issued_roots).certificates())
    }

    /// Whom peers are checked against.
    pub(crate) fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    /// Whom it has been introduced to.
    pub(crate) fn acquaintances(&self) -> &Acquaintances {
        &self.acquaintances
    }

    /// The bundle that came with it.
    pub(crate) fn issued_roots(&self) -> &Arc<Roots> {
        &self.issued_roots
    }

    /// When it was made, by the clock of the store.
    pub(crate) fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// Whether those who believe `roots` would believe it, its age aside.
    pub(crate) fn chains_to(&self, roots: &Roots) -> bool {
        let time = self.issued_at.duration_since(UNIX_EPOCH);
        match (self.chain.split_first(), time) {
            (Some((leaf, intermediates)), Ok(time)) => roots
                .check(leaf, intermediates, UnixTime::since_unix_epoch(time))
                .is_ok(),
            (None, _) | (_, Err(_)) => false,
        }
    }

    /// For accepting tunnels: mutual, ALPN `h2`, clients of our trust domain.
    /// Call [`check_alpn`](crate::check_alpn) after the handshake.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// For opening a tunnel to a peer whose one URI SAN is in `expected`; an empty set believes nobody.
    ///
    /// **Shape**: sort `expected`, so that equal sets share a configuration. The server name that TLS asks
    /// for is not sent and not checked: give the peer's address.
    #[must_use]
    pub fn client_config(&self, expected: &[San]) -> Arc<ClientConfig> {
        let mut clients = self.clients.lock();
        if let Some(position) = clients.iter().position(|(sans, _)| **sans == *expected)
            && let Some(entry) = clients.remove(position)
        {
            let config = Arc::clone(&entry.1);
            clients.push_front(entry);
            return config;
        }
        let mut config = self.client.clone();
        let verifier = ExpectSans::new(Arc::clone(&self.trust), expected);
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(verifier));
        let config = Arc::new(config);
        clients.truncate(MAX_CLIENT_CONFIGS - 1);
        clients.push_front((expected.into(), Arc::clone(&config)));
        config
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("id", &self.id)
            .field("generation", &self.generation)
            .field("not_after", &rfc3339(self.not_after))
            .field("key", &"[redacted]")
            .finish_non_exhaustive()
    }
}

/// Why an authority's answer cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AnswerError {
    /// No certificate.
    #[error("the chain is empty, expected the leaf first")]
    EmptyChain,
    /// More certificates than a path can hold.
    #[error("the chain holds {count} certificates, expected at most {max}")]
    ChainTooLong {
        /// How many.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// Nobody to believe, or too many.
    #[error("the trust bundle holds {count} roots, expected 1 to {max}")]
    Roots {
        /// How many.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// A root that is not a certificate.
    #[error("root {position} of the trust bundle is not a certificate that can be a trust anchor")]
    Root {
        /// Counted from zero.
        position: usize,
    },
    /// The leaf would be refused by a peer that holds the same roots.
    #[error("the certificate would be refused by peers")]
    Leaf(#[source] PeerRefusal),
    /// Another identity than the one that was asked for.
    #[error("the certificate names {found:?}, expected {expected}")]
    Name {
        /// What was asked for.
        expected: SpiffeId,
        /// The URI SAN.
        found: String,
    },
    /// Not valid at the time of its arrival.
    #[error(
        "the certificate is valid from {} to {}, now is {}",
        rfc3339(*not_before), rfc3339(*not_after), rfc3339(*now)
    )]
    Lifetime {
        /// The start of its validity.
        not_before: SystemTime,
        /// The end of its validity.
        not_after: SystemTime,
        /// The time of its arrival.
        now: SystemTime,
    },
    /// Made for somebody else's key.
    #[error("the certificate holds another public key than the request did")]
    ForeignKey,
    /// The TLS library refuses the key or the settings.
    #[error("no TLS configuration can be built")]
    Tls(#[source] rustls::Error),
}

fn next_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests;
