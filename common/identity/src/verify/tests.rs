//! Real handshakes between our two sides, and with every kind of stranger.

use std::time::Duration;

use mesh::San;
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};
use rustls::{AlertDescription, CertificateError, Error};

use crate::{
    PeerRefusal,
    testkit::{
        Identity, Outcome, START, TestCa, TestClock, at, ca_params, handshake, leaf_params, sans,
        uri,
    },
    tls, x509,
};

const CLIENT: &str = "spiffe://cluster.local/ns/default/sa/client";
const SERVER: &str = "spiffe://cluster.local/ns/default/sa/server";

/// Our server meets a client that shows `client`.
fn met_by_server(ca: &TestCa, client: &Identity) -> Outcome {
    let clock = TestClock::new().clock();
    handshake(
        client.client(ca, SERVER, &clock),
        ca.credential("server", &clock).server_config(),
    )
}

/// Our client, which expects the server's identity, meets a server that shows `server`.
fn met_by_client(ca: &TestCa, server: &Identity) -> Outcome {
    let clock = TestClock::new().clock();
    let expected = sans(&["server"]);
    handshake(
        ca.credential("client", &clock).client_config(&expected),
        server.server(ca, &clock),
    )
}

fn refusal(error: Option<&Error>) -> PeerRefusal {
    let error = error.expect("the handshake must fail");
    PeerRefusal::from_tls(error).unwrap_or_else(|| panic!("no refusal: {error:?}"))
}

/// Both sides refuse the chain for the same reason; returns what the server said of a client.
fn refused_by_both(
    ca: &TestCa,
    client: &Identity,
    server: &Identity,
    matches: fn(&PeerRefusal) -> bool,
) -> PeerRefusal {
    let said_by_client = refusal(met_by_client(ca, server).client_error.as_ref());
    assert!(matches(&said_by_client), "client said {said_by_client:?}");
    let said_by_server = refusal(met_by_server(ca, client).server_error.as_ref());
    assert!(matches(&said_by_server), "server said {said_by_server:?}");
    said_by_server
}

#[test]
fn chains_with_an_intermediate_are_believed_in_both_directions() {
    let root = TestCa::new("root");
    let middle = root.intermediate(ca_params("middle"));
    let client = middle
        .leaf(vec![uri(CLIENT)], |_| {})
        .followed_by(&[middle.root()]);
    let server = middle
        .leaf(vec![uri(SERVER)], |_| {})
        .followed_by(&[middle.root(), root.root()]);
    assert!(met_by_server(&root, &client).succeeded());
    assert!(met_by_client(&root, &server).succeeded());
    let bare = middle.leaf(vec![uri(CLIENT)], |_| {});
    assert!(matches!(
        refusal(met_by_server(&root, &bare).server_error.as_ref()),
        PeerRefusal::UnknownIssuer { issuer, .. } if issuer.contains("middle")
    ));
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let (ours, theirs) = (TestCa::new("ours"), TestCa::new("theirs"));
    let said = refused_by_both(
        &ours,
        &theirs.leaf(vec![uri(CLIENT)], |_| {}),
        &theirs.leaf(vec![uri(SERVER)], |_| {}),
        |r| matches!(r, PeerRefusal::UnknownIssuer { .. }),
    );
    assert_eq!(
        said.to_string(),
        "peer certificate was issued by \"O=Ambit, CN=theirs\", expected a chain to \"O=Ambit, CN=ours\""
    );
}

#[test]
fn a_forged_certificate_with_the_right_san_is_refused() {
    let ca = TestCa::new("root");
    let forged = |san: &str| {
        let key = KeyPair::generate().unwrap();
        Identity::new(
            vec![
                leaf_params(vec![uri(san)], |_| {})
                    .self_signed(&key)
                    .unwrap(),
            ],
            &key,
        )
    };
    refused_by_both(&ca, &forged(CLIENT), &forged(SERVER), |r| {
        matches!(r, PeerRefusal::UnknownIssuer { .. } | PeerRefusal::Chain(_))
    });
}

#[test]
fn a_certificate_of_an_authority_that_only_has_our_name_is_refused() {
    let (ours, impostor) = (TestCa::new("root"), TestCa::new("root"));
    refused_by_both(
        &ours,
        &impostor.leaf(vec![uri(CLIENT)], |_| {}),
        &impostor.leaf(vec![uri(SERVER)], |_| {}),
        |r| {
            *r == PeerRefusal::Chain(Error::InvalidCertificate(CertificateError::BadSignature))
                || matches!(r, PeerRefusal::UnknownIssuer { .. })
        },
    );
}

#[test]
fn a_client_of_another_trust_domain_is_refused_by_name() {
    let ca = TestCa::new("root");
    let stranger = ca.leaf(
        vec![uri("spiffe://other.example/ns/default/sa/client")],
        |_| {},
    );
    let said = refusal(met_by_server(&ca, &stranger).server_error.as_ref());
    assert_eq!(
        said.to_string(),
        "peer is spiffe://other.example/ns/default/sa/client, expected an identity of the trust domain cluster.local"
    );
}

#[test]
fn an_expired_certificate_is_refused_and_the_peer_is_told_so() {
    let ca = TestCa::new("root");
    let expire = |p: &mut rcgen::CertificateParams| {
        p.not_after = x509::asn1(at(START - 1)).unwrap().to_datetime();
    };
    let said = refused_by_both(
        &ca,
        &ca.leaf(vec![uri(CLIENT)], expire),
        &ca.leaf(vec![uri(SERVER)], expire),
        |r| matches!(r, PeerRefusal::Expired { .. }),
    );
    assert_eq!(
        said.to_string(),
        "peer certificate expired at 2026-11-22T04:59:59Z, now is 2026-11-22T05:00:00Z"
    );
    let outcome = met_by_server(&ca, &ca.leaf(vec![uri(CLIENT)], expire));
    assert_eq!(
        outcome.client_error,
        Some(Error::AlertReceived(AlertDescription::CertificateExpired))
    );
}

#[test]
fn a_certificate_of_the_future_is_refused() {
    let ca = TestCa::new("root");
    let later = |p: &mut rcgen::CertificateParams| {
        p.not_before = x509::asn1(at(START + 600)).unwrap().to_datetime();
    };
    let said = refused_by_both(
        &ca,
        &ca.leaf(vec![uri(CLIENT)], later),
        &ca.leaf(vec![uri(SERVER)], later),
        |r| matches!(r, PeerRefusal::NotYetValid { .. }),
    );
    assert_eq!(
        said.to_string(),
        "peer certificate is not valid before 2026-11-22T05:10:00Z, now is 2026-11-22T05:00:00Z"
    );
}

#[test]
fn the_time_is_that_of_the_handshake_not_of_the_configuration() {
    let (ca, time) = (TestCa::new("root"), TestClock::new());
    let client = ca
        .credential("client", &time.clock())
        .client_config(&sans(&["server"]));
    let server = ca.credential("server", &time.clock()).server_config();
    assert!(
        handshake(
            std::sync::Arc::clone(&client),
            std::sync::Arc::clone(&server)
        )
        .succeeded()
    );
    time.advance(Duration::from_secs(86_401));
    let outcome = handshake(client, server);
    assert!(matches!(
        refusal(outcome.client_error.as_ref()),
        PeerRefusal::Expired { .. }
    ));
}

#[test]
fn two_uri_sans_are_refused_even_if_one_is_right() {
    let ca = TestCa::new("root");
    let both = |name: &str| {
        ca.leaf(
            vec![
                uri(name),
                uri("spiffe://cluster.local/ns/kube-system/sa/admin"),
            ],
            |_| {},
        )
    };
    let said = refused_by_both(&ca, &both(CLIENT), &both(SERVER), |r| {
        matches!(r, PeerRefusal::SeveralUriSans { count: 2, .. })
    });
    assert!(said.to_string().contains("kube-system"), "{said}");
}

#[test]
fn a_dns_san_is_no_identity() {
    let ca = TestCa::new("root");
    let dns = || {
        ca.leaf(
            vec![SanType::DnsName(
                "not.looked.at.example".try_into().unwrap(),
            )],
            |_| {},
        )
    };
    let said = refused_by_both(&ca, &dns(), &dns(), |r| {
        matches!(r, PeerRefusal::NoUriSan { .. })
    });
    assert!(said.to_string().contains("not.looked.at.example"), "{said}");
}

#[test]
fn a_dns_san_beside_the_uri_does_not_disturb() {
    let ca = TestCa::new("root");
    let with_dns = |name: &str| {
        ca.leaf(
            vec![
                SanType::DnsName("pod.example".try_into().unwrap()),
                uri(name),
            ],
            |_| {},
        )
    };
    assert!(met_by_server(&ca, &with_dns(CLIENT)).succeeded());
    assert!(met_by_client(&ca, &with_dns(SERVER)).succeeded());
}

#[test]
fn no_san_at_all_is_refused() {
    let ca = TestCa::new("root");
    refused_by_both(
        &ca,
        &ca.leaf(vec![], |_| {}),
        &ca.leaf(vec![], |_| {}),
        |r| matches!(r, PeerRefusal::NoUriSan { found } if found.is_empty()),
    );
}

#[test]
fn a_uri_that_is_no_spiffe_id_is_refused_by_a_server() {
    let ca = TestCa::new("root");
    for other in [
        "https://cluster.local/ns/default/sa/client",
        "spiffe://cluster.local/agent",
        "spiffe://cluster.local",
    ] {
        let said = refusal(
            met_by_server(&ca, &ca.leaf(vec![uri(other)], |_| {}))
                .server_error
                .as_ref(),
        );
        assert!(
            matches!(&said, PeerRefusal::NotSpiffe(source) if source.text == other),
            "{other}: {said:?}"
        );
    }
}

#[test]
fn a_client_believes_exactly_the_sans_that_it_expects() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new().clock());
    let client = ca.credential("client", &clock);
    let server = ca.leaf(vec![uri("https://bank.example/api")], |_| {});
    let meet =
        |expected: &[San]| handshake(client.client_config(expected), server.server(&ca, &clock));

    assert!(
        meet(&["https://bank.example/api".into()]).succeeded(),
        "a service may allow any URI"
    );
    for expected in [
        "https://bank.example/api/",
        "https://bank.example/ap",
        "https://BANK.example/api",
        "*",
        "",
    ] {
        let outcome = meet(&[expected.into()]);
        assert!(
            matches!(
                refusal(outcome.client_error.as_ref()),
                PeerRefusal::Unexpected { .. }
            ),
            "{expected}"
        );
    }
    let outcome = meet(&[]);
    assert_eq!(
        refusal(outcome.client_error.as_ref()),
        PeerRefusal::Unexpected {
            expected: "nobody".into(),
            found: "https://bank.example/api".into()
        }
    );
}

#[test]
fn an_unexpected_identity_is_refused_with_both_names() {
    let ca = TestCa::new("root");
    let other = ca.leaf(
        vec![uri("spiffe://cluster.local/ns/default/sa/other")],
        |_| {},
    );
    let said = refusal(met_by_client(&ca, &other).client_error.as_ref());
    assert_eq!(
        said.to_string(),
        "peer is \"spiffe://cluster.local/ns/default/sa/other\", expected spiffe://cluster.local/ns/default/sa/server"
    );
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new().clock());
    let mut config = ca
        .leaf(vec![uri(CLIENT)], |_| {})
        .client(&ca, SERVER, &clock);
    config.client_auth_cert_resolver = rustls::ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
        .client_auth_cert_resolver;
    let outcome = handshake(config, ca.credential("server", &clock).server_config());
    assert_eq!(
        refusal(outcome.server_error.as_ref()),
        PeerRefusal::NoCertificate
    );
}

#[test]
fn a_chain_that_is_stuffed_with_certificates_is_refused() {
    let ca = TestCa::new("root");
    let stuffing = vec![ca.root(); 8];
    let said = refused_by_both(
        &ca,
        &ca.leaf(vec![uri(CLIENT)], |_| {}).followed_by(&stuffing),
        &ca.leaf(vec![uri(SERVER)], |_| {}).followed_by(&stuffing),
        |r| matches!(r, PeerRefusal::ChainTooLong { .. }),
    );
    assert_eq!(said, PeerRefusal::ChainTooLong { count: 9, max: 8 });
}

#[test]
fn an_authority_is_no_workload() {
    let ca = TestCa::new("root");
    let authority =
        |p: &mut rcgen::CertificateParams| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    refused_by_both(
        &ca,
        &ca.leaf(vec![uri(CLIENT)], authority),
        &ca.leaf(vec![uri(SERVER)], authority),
        |r| matches!(r, PeerRefusal::Chain(_)),
    );
}

#[test]
fn a_certificate_for_another_purpose_is_refused() {
    let ca = TestCa::new("root");
    let purpose = |p: &mut rcgen::CertificateParams| {
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    };
    refused_by_both(
        &ca,
        &ca.leaf(vec![uri(CLIENT)], purpose),
        &ca.leaf(vec![uri(SERVER)], purpose),
        |r| matches!(r, PeerRefusal::Chain(_)),
    );
}
