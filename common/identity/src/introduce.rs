//! Two credentials of this process as the two ends of a handshake that is not made, because both are here.
//!
//! In: the client's and the server's credential, whom the client expects, the time. Out: who each of them is to the other.
//! Never: believes one that a handshake would not: the verifiers are those of a handshake, revocation lists and all.
//!
//! A handshake also proves that each end has its private key. Here both keys are in this process, which is why there is none.

use mesh::San;
use rustls::{
    client::danger::ServerCertVerifier as _, pki_types::ServerName,
    server::danger::ClientCertVerifier as _, time_provider::TimeProvider as _,
};

use crate::{
    Clock, Credential, PeerRefusal,
    verify::{ExpectSans, ExpectTrustDomain},
    x509::{PeerCertificate, peer_identity},
};

/// What each end has learnt of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduced {
    /// Who the server sees.
    pub client: PeerCertificate,
    /// Who the client sees.
    pub server: PeerCertificate,
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
    ExpectSans::new(client.trust(), expected)
        .verify_server_cert(leaf, intermediates, &name, &[], now)
        .map_err(refusal)?;
    let [leaf, intermediates @ ..] = client.chain() else {
        return Err(PeerRefusal::NoCertificate);
    };
    ExpectTrustDomain::new(server.trust(), server.id().trust_domain.clone())
        .verify_client_cert(leaf, intermediates, now)
        .map_err(refusal)?;
    Ok(Introduced {
        client: peer_identity(client.chain())?,
        server: peer_identity(server.chain())?,
    })
}

#[cfg(test)]
mod tests;
