//! Two credentials of this process as the two ends of a handshake that is not made, because both are here.
//!
//! In: the client's and the server's credential, whom the client expects, the time. Out: who each of them is to the other.
//! Never: believes one that a handshake would not: the verifiers are those of a handshake, revocation lists and all.
//!
//! A handshake also proves that each end has its private key. Here both keys are in this process, which is why there is none.
//!
//! ```text
//! Store::introduce ─▶ both credentials, as they are now ─▶ Acquaintances of the client's ─┬─ known ───────────────────────┬▶ on a list? ─▶ Introduced
//!                                                                                         └─ chains checked, remembered ─┘
//! ```
//! What is remembered holds for these two credentials, these expected names and these trust bundles, while every certificate of both chains
//! is valid. Lists are asked each time. So whatever makes a handshake fail makes the next introduction fail.

use std::{
    ops::Range,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use mesh::{San, SpiffeId};
use rustls::{
    client::danger::ServerCertVerifier as _, pki_types::ServerName,
    server::danger::ClientCertVerifier as _, time_provider::TimeProvider as _,
};
use rustls_pki_types::CertificateDer;

use crate::{
    Clock, Credential, PeerRefusal,
    trust::Roots,
    verify::{ExpectSans, ExpectTrustDomain},
    x509::{self, PeerCertificate, peer_identity},
};

/// Introductions that one client's credential remembers: its neighbours of one node, each by the few sets of names that it is called by.
/// One more than that costs the check of two chains again.
const MAX_ACQUAINTANCES: usize = 128;

/// What each end has learnt of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduced {
    /// Who the server sees.
    pub client: Arc<PeerCertificate>,
    /// Who the client sees.
    pub server: Arc<PeerCertificate>,
}

/// Why two identities of this node are not introduced.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotIntroduced {
    /// One of them has no certificate at the moment.
    #[error("no certificate of {identity}")]
    NoCertificate {
        /// Whose.
        identity: SpiffeId,
    },
    /// One of them would refuse the other in a handshake.
    #[error(transparent)]
    Refused(#[from] PeerRefusal),
}

/// Whom one client's credential has been introduced to. Read without a lock.
#[derive(Debug, Default)]
pub(crate) struct Acquaintances(ArcSwap<Vec<Arc<Acquaintance>>>);

/// One introduction, and all that it rests on.
#[derive(Debug)]
struct Acquaintance {
    /// The server's credential.
    server: u64,
    expected: Box<[San]>,
    /// Whom the client believes, and whom the server. Held, so that another bundle is never at the same place.
    roots: [Option<Arc<Roots>>; 2],
    /// While every certificate of both chains is valid.
    valid: Range<SystemTime>,
    introduced: Arc<Introduced>,
}

impl Credential {
    /// Introduces this credential, as the client's, to a server's; remembers that for the next time. Revocation lists count only when the chains
    /// are checked: the caller asks them again.
    ///
    /// # Errors
    /// What either end would refuse the other for.
    pub(crate) fn introduce_to(
        &self,
        server: &Self,
        expected: &[San],
        clock: &Clock,
    ) -> Result<Arc<Introduced>, PeerRefusal> {
        let now = clock.now();
        let is_it = |known: &&Arc<Acquaintance>| {
            known.server == server.generation() && *known.expected == *expected
        };
        let holds = |known: &Acquaintance| {
            let [client_believes, server_believes] = &known.roots;
            known.valid.contains(&now)
                && self.trust().is_still(client_believes.as_ref())
                && server.trust().is_still(server_believes.as_ref())
        };
        let known = self.acquaintances().0.load();
        if let Some(known) = known.iter().find(is_it)
            && holds(known)
        {
            return Ok(Arc::clone(&known.introduced));
        }
        // Before the check: a bundle that comes meanwhile makes this one void, and not the next.
        let roots = [self.trust().roots(), server.trust().roots()];
        let introduced = Arc::new(introduce(self, server, expected, clock)?);
        let made = Arc::new(Acquaintance {
            server: server.generation(),
            expected: expected.into(),
            roots,
            valid: validity([self.chain(), server.chain()])?,
            introduced: Arc::clone(&introduced),
        });
        self.acquaintances().0.rcu(|known| {
            let others = known.iter().filter(|known| !is_it(known));
            std::iter::once(&made)
                .chain(others)
                .take(MAX_ACQUAINTANCES)
                .map(Arc::clone)
                .collect::<Vec<_>>()
        });
        Ok(introduced)
    }
}

/// Checks two credentials as the two ends of a handshake would.
///
/// # Errors
/// What either end would refuse the other for.
pub fn introduce(
    client: &Credential,
    server: &Credential,
    expected: &[San],
    clock: &Clock,
) -> Result<Introduced, PeerRefusal> {
    let now = clock.current_time().ok_or(PeerRefusal::NoCertificate)?;
    let refusal =
        |error: rustls::Error| PeerRefusal::from_tls(&error).unwrap_or(PeerRefusal::Chain(error));
    let [leaf, intermediates @ ..] = server.chain() else {
        return Err(PeerRefusal::NoCertificate);
    };
    // As in a handshake, where it is not sent and not looked at.
    let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    ExpectSans::new(Arc::clone(client.trust()), expected)
        .verify_server_cert(leaf, intermediates, &name, &[], now)
        .map_err(refusal)?;
    let [leaf, intermediates @ ..] = client.chain() else {
        return Err(PeerRefusal::NoCertificate);
    };
    let trust = Arc::clone(server.trust());
    ExpectTrustDomain::new(trust, server.id().trust_domain.clone())
        .verify_client_cert(leaf, intermediates, now)
        .map_err(refusal)?;
    Ok(Introduced {
        client: Arc::new(peer_identity(client.chain())?),
        server: Arc::new(peer_identity(server.chain())?),
    })
}

/// The time in which every certificate of all chains is valid. An intermediate that no path needs counts, too: what is checked again too early
/// is only checked.
fn validity(chains: [&[CertificateDer<'static>]; 2]) -> Result<Range<SystemTime>, PeerRefusal> {
    let mut valid: Option<Range<SystemTime>> = None;
    for certificate in chains.into_iter().flatten() {
        let certificate = x509::parse(certificate)?;
        let (start, end) = (
            x509::wall(certificate.validity().not_before),
            x509::wall(certificate.validity().not_after),
        );
        valid = Some(match valid {
            None => start..end,
            Some(valid) => valid.start.max(start)..valid.end.min(end),
        });
    }
    Ok(valid.unwrap_or(UNIX_EPOCH..UNIX_EPOCH))
}

#[cfg(test)]
mod tests;
