//! What two ends agree on, and with whom our ends do not talk at all.

use std::sync::Arc;

use rustls::{AlertDescription, CipherSuite, Error, NamedGroup, ProtocolVersion};

use super::{ALPN, provider};
use crate::{
    check_alpn, peer_identity,
    testkit::{Outcome, START, TestCa, TestClock, at, handshake, id, sans, uri},
    verify::ExpectSans,
};

const CLIENT: &str = "spiffe://cluster.local/ns/default/sa/client";
const SERVER: &str = "spiffe://cluster.local/ns/default/sa/server";

#[test]
fn a_server_prefers_aes_128_whatever_the_client_prefers() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new().clock());
    let client = ca.leaf(vec![uri(CLIENT)], |_| {});
    let mut provider = (*provider()).clone();
    provider.cipher_suites.reverse();
    let verifier = ExpectSans::new(ca.trust(), &sans(&["server"]));
    let mut config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(client.client(&ca, SERVER, &clock).client_auth_cert_resolver);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.time_provider = Arc::new(clock.clone());
    let outcome = handshake(config, ca.credential("server", &clock).server_config());
    assert!(outcome.succeeded(), "{outcome:?}");
    assert_eq!(
        outcome.client.negotiated_cipher_suite().unwrap().suite(),
        CipherSuite::TLS13_AES_128_GCM_SHA256
    );
}

#[test]
fn a_peer_without_the_hybrid_group_is_still_a_peer() {
    for (group, name) in [
        (
            rustls::crypto::aws_lc_rs::kx_group::X25519,
            NamedGroup::X25519,
        ),
        (
            rustls::crypto::aws_lc_rs::kx_group::SECP256R1,
            NamedGroup::secp256r1,
        ),
    ] {
        let (ca, clock) = (TestCa::new("root"), TestClock::new().clock());
        let mut provider = (*provider()).clone();
        provider.kx_groups = vec![group];
        let identity = ca.leaf(vec![uri(CLIENT)], |_| {});
        let verifier = ExpectSans::new(ca.trust(), &sans(&["server"]));
        let mut config =
            rustls::ClientConfig::builder_with_details(provider.into(), Arc::new(clock.clone()))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_client_cert_resolver(
                    identity
                        .client(&ca, SERVER, &clock)
                        .client_auth_cert_resolver,
                );
        config.alpn_protocols = vec![ALPN.to_vec()];
        let outcome = handshake(config, ca.credential("server", &clock).server_config());
        assert!(outcome.succeeded(), "{outcome:?}");
        assert_eq!(
            outcome
                .server
                .negotiated_key_exchange_group()
                .unwrap()
                .name(),
            name
        );
    }
}

#[test]
fn a_client_that_speaks_another_protocol_is_refused() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new().clock());
    let mut config = ca
        .leaf(vec![uri(CLIENT)], |_| {})
        .client(&ca, SERVER, &clock);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let outcome = handshake(config, ca.credential("server", &clock).server_config());
    assert_eq!(outcome.server_error, Some(Error::NoApplicationProtocol));
    assert_eq!(
        outcome.client_error,
        Some(Error::AlertReceived(
            AlertDescription::NoApplicationProtocol
        ))
    );
}

#[test]
fn a_client_that_names_no_protocol_is_refused_by_the_alpn_check() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new().clock());
    let mut config = ca
        .leaf(vec![uri(CLIENT)], |_| {})
        .client(&ca, SERVER, &clock);
    config.alpn_protocols = Vec::new();
    let outcome = handshake(config, ca.credential("server", &clock).server_config());
    assert!(
        outcome.succeeded(),
        "the TLS library lets it through, so the check must not"
    );
    assert_eq!(check_alpn(&outcome.server), Err(crate::AlpnMissing));
    assert_eq!(check_alpn(&outcome.client), Err(crate::AlpnMissing));
}

#[test]
fn a_client_that_speaks_only_tls_1_2_is_refused() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new().clock());
    let mut server =
        rustls::ServerConnection::new(ca.credential("server", &clock).server_config()).unwrap();
    server
        .read_tls(&mut tls12_client_hello().as_slice())
        .unwrap();
    let error = server.process_new_packets().unwrap_err();
    assert!(matches!(error, Error::PeerIncompatible(_)), "{error:?}");
    let mut alert = Vec::new();
    server.write_tls(&mut alert).unwrap();
    // RFC 8446 §6.2: a fatal (2) protocol_version (70) alert in a record of type 21.
    assert_eq!((alert[0], &alert[5..7]), (21, &[2, 70][..]));
}

#[test]
fn members_of_a_mesh_agree_on_tls_1_3_with_the_hybrid_group_and_h2() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new().clock());
    let client = ca.credential("client", &clock);
    let server = ca.credential("server", &clock);
    let outcome = handshake(
        client.client_config(&sans(&["other", "server"])),
        server.server_config(),
    );
    assert!(outcome.succeeded(), "{outcome:?}");
    let Outcome { client, server, .. } = outcome;

    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(
        client.negotiated_key_exchange_group().unwrap().name(),
        NamedGroup::X25519MLKEM768
    );
    assert_eq!(
        client.negotiated_cipher_suite().unwrap().suite(),
        CipherSuite::TLS13_AES_128_GCM_SHA256
    );
    assert_eq!(check_alpn(&client), Ok(()));
    assert_eq!(check_alpn(&server), Ok(()));

    assert_eq!(server.server_name(), None, "no SNI is sent");
    assert_eq!(client.tls13_tickets_received(), 0, "nothing to resume");

    let peer = peer_identity(server.peer_certificates().unwrap()).unwrap();
    assert_eq!(peer.id, id("client"));
    assert_eq!(peer.not_after, at(START + 86_400));
    assert_eq!(
        peer_identity(client.peer_certificates().unwrap())
            .unwrap()
            .id,
        id("server")
    );
}

/// The smallest ClientHello of TLS 1.2 that a server could accept. Source: RFC 5246 §7.4.1.2.
fn tls12_client_hello() -> Vec<u8> {
    let extensions: &[&[u8]] = &[
        &[0, 10, 0, 4, 0, 2, 0, 23],         // supported_groups: secp256r1
        &[0, 11, 0, 2, 1, 0],                // ec_point_formats: uncompressed
        &[0, 13, 0, 4, 0, 2, 4, 3],          // signature_algorithms: ecdsa_secp256r1_sha256
        &[0, 16, 0, 5, 0, 3, 2, b'h', b'2'], // ALPN: h2
        &[0, 23, 0, 0],                      // extended_master_secret
    ];
    let extensions = extensions.concat();
    let mut body = vec![3, 3];
    body.extend([7; 32]); // random
    body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]); // no session, ECDHE-ECDSA-AES128-GCM-SHA256, no compression
    body.extend([0, u8::try_from(extensions.len()).unwrap()]);
    body.extend(extensions);
    let length = u8::try_from(body.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(body);
    record
}
