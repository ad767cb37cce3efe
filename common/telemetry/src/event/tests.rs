//! Which words the metrics and levels of each reason are.

use super::{Direction, Flag, HboneAddress, Outcome, Reason};

#[test]
fn the_flags_that_istio_has_keep_their_names() {
    let flag = |reason: Reason| reason.flag().as_str();
    assert_eq!(Outcome::Complete.flag().as_str(), "-");
    assert_eq!(flag(Reason::Denied), "DENY");
    assert_eq!(flag(Reason::PolicyChange), "DENY");
    assert_eq!(flag(Reason::ConnectFailed), "CONNECT");
    assert_eq!(flag(Reason::Io), "CONNECT");
    assert_eq!(flag(Reason::TlsHandshake), "TLS_FAILURE");
    assert_eq!(flag(Reason::Http2Handshake), "H2_HANDSHAKE_FAILURE");
    assert_eq!(flag(Reason::NetworkPolicy), "NETWORK_POLICY");
    assert_eq!(flag(Reason::Identity), "IDENTITY_ERROR");
    assert_eq!(flag(Reason::Revoked), "CERT_REVOKED");
}

#[test]
fn every_flag_has_its_own_place_and_name() {
    for (index, flag) in Flag::ALL.iter().enumerate() {
        assert_eq!(flag.index(), index);
        assert_eq!(
            Flag::ALL
                .iter()
                .filter(|other| other.as_str() == flag.as_str())
                .count(),
            1
        );
    }
}

#[test]
fn directions_name_the_reporter() {
    assert_eq!(Direction::Inbound.reporter(), "destination");
    assert_eq!(Direction::Outbound.reporter(), "source");
}

#[test]
fn hbone_addresses_read_like_a_connect_authority() {
    assert_eq!(
        HboneAddress::from("10.0.1.7:8080".parse::<std::net::SocketAddr>().unwrap()).to_string(),
        "10.0.1.7:8080"
    );
    assert_eq!(
        HboneAddress::from("[fd00::7]:80".parse::<std::net::SocketAddr>().unwrap()).to_string(),
        "[fd00::7]:80"
    );
    assert_eq!(
        HboneAddress::Hostname("a.b".into(), 80).to_string(),
        "a.b:80"
    );
}
