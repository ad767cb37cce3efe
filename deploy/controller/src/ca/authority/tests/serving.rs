//! This server's own certificate, as clients see it.

use std::sync::Arc;

use identity::{Clock, tls};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, version::TLS13,
};
use rustls_pki_types::{CertificateDer, ServerName};

use crate::ca::{
    Options, request_rotation,
    testkit::{Ca, DAY, Folder, HOUR, START, at, cacerts, certificates, open},
};

/// What a client that believes `bundle` sees when it calls `name`.
fn call(
    server: Arc<ServerConfig>,
    bundle: &str,
    name: &str,
    now: u64,
) -> Result<Vec<CertificateDer<'static>>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for root in certificates(bundle) {
        roots.add(root).unwrap();
    }
    let clock = Arc::new(Clock::new(move || at(now)));
    let mut config = ClientConfig::builder_with_details(tls::provider(), clock)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    while client.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    assert_eq!(client.alpn_protocol(), Some(&b"h2"[..]));
    Ok(client.peer_certificates().unwrap().to_vec())
}

fn options() -> Options {
    Options {
        serving_names: vec![
            "ctl.example".to_owned(),
            "192.0.2.7".to_owned(),
            "LOCALHOST".to_owned(),
        ],
        ..Options::default()
    }
}

#[test]
fn clients_know_it_by_its_names_and_by_no_other() {
    let folder = Folder::absent();
    let authority = open(&folder, options(), START);
    let see = |name| {
        call(
            authority.serving().load_full(),
            &authority.bundle(),
            name,
            START,
        )
    };
    for name in [
        "istiod.istio-system.svc",
        "localhost",
        "127.0.0.1",
        "::1",
        "ctl.example",
        "192.0.2.7",
    ] {
        assert_eq!(see(name).map(|chain| chain.len()), Ok(1), "{name}");
    }
    for name in ["other.example", "192.0.2.8"] {
        assert!(see(name).is_err(), "{name}");
    }
    let stranger = Ca::root("stranger");
    let server = authority.serving().load_full();
    assert!(call(server, &stranger.pem, "localhost", START).is_err());
}

#[test]
fn a_name_that_no_certificate_can_hold_is_an_error_at_the_start() {
    let folder = Folder::absent();
    let options = Options {
        serving_names: vec!["b\u{fc}ro.example".to_owned()],
        ..Options::default()
    };
    let error =
        crate::ca::Authority::load_or_create(folder.path(), options, at(START)).unwrap_err();
    assert!(
        error.to_string().contains("certificate of this server"),
        "{error}"
    );
}

#[test]
fn it_is_renewed_at_half_of_its_life_and_when_the_clock_was_set_back() {
    let folder = Folder::absent();
    let authority = open(&folder, options(), START);
    let leaf = |now| {
        let server = authority.serving().load_full();
        call(server, &authority.bundle(), "localhost", now).unwrap()
    };
    let first = leaf(START);
    authority.tick(at(START + 12 * HOUR - 1)).unwrap();
    assert_eq!(leaf(START + 12 * HOUR - 1), first);
    authority.tick(at(START + 12 * HOUR)).unwrap();
    let second = leaf(START + DAY + HOUR);
    assert_ne!(second, first);
    authority.tick(at(START + HOUR)).unwrap();
    assert_ne!(leaf(START + HOUR), second);
}

#[test]
fn a_rotation_reaches_it_and_each_client_believes_it_with_the_bundle_of_a_day_ago() {
    let folder = Folder::absent();
    let authority = open(&folder, options(), START);
    request_rotation(folder.path()).unwrap();
    let mut bundle_before = authority.bundle();
    for now in [START, START + DAY + HOUR, START + 2 * DAY + 2 * HOUR] {
        authority.tick(at(now)).unwrap();
        let server = authority.serving().load_full();
        let chain = call(server, &bundle_before, "localhost", now).unwrap();
        assert_eq!(chain.len(), 1);
        bundle_before = authority.bundle();
    }
}

#[test]
fn below_a_root_from_elsewhere_the_chain_is_sent() {
    let (folder, plugged) = (Folder::absent(), Folder::new());
    let root = Ca::root("root");
    let middle = root.below("middle");
    cacerts(&plugged, &middle, &middle.pem, &root.pem);
    let options = Options {
        cacerts: Some(plugged.path().to_owned()),
        ..options()
    };
    let authority = open(&folder, options, START);
    let chain = call(
        authority.serving().load_full(),
        &root.pem,
        "localhost",
        START,
    )
    .unwrap();
    assert_eq!(chain[1..], certificates(&middle.pem));
}
