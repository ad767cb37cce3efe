//! What a handshake would refuse is refused here, in the same words.

use std::{sync::Arc, time::Duration};

use mesh::SpiffeId;

use super::{MAX_ACQUAINTANCES, introduce};
use crate::{
    Config, Credential, NotIntroduced, PeerRefusal, Store,
    testkit::{ScriptedCa, TestCa, TestClock, ca_params, handshake, id, sans},
    trust::{Roots, Trust},
    x509,
};

fn pair(ca: &TestCa, clock: &TestClock) -> (Credential, Credential) {
    let of = |name| ca.credential(name, &clock.clock());
    (of("client"), of("server"))
}

#[test]
fn each_end_learns_who_the_other_is() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new());
    let (client, server) = pair(&ca, &clock);
    let expected = sans(&["another", "server"]);
    let introduced = introduce(&client, &server, &expected, &clock.clock()).unwrap();
    assert_eq!(introduced.client.id, id("client"));
    assert_eq!(introduced.server.id, id("server"));
    assert_eq!(introduced.client.not_after, client.not_after());
}

#[test]
fn a_server_that_was_not_called_is_refused_as_in_a_handshake() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new());
    let (client, server) = pair(&ca, &clock);
    for expected in [sans(&[]), sans(&["another"])] {
        let here = introduce(&client, &server, &expected, &clock.clock()).unwrap_err();
        let there = handshake(client.client_config(&expected), server.server_config());
        let there = there.client_error.as_ref().and_then(PeerRefusal::from_tls);
        assert_eq!(Some(here), there);
    }
}

#[test]
fn a_client_of_another_trust_domain_or_authority_is_refused() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new());
    let (_, server) = pair(&ca, &clock);
    let expected = sans(&["server"]);
    let foreign: SpiffeId = "spiffe://elsewhere/ns/default/sa/client".parse().unwrap();
    let foreign = ca.credential_for(foreign, &clock.clock());
    assert!(matches!(
        introduce(&foreign, &server, &expected, &clock.clock()),
        Err(PeerRefusal::WrongTrustDomain { .. })
    ));
    let stranger = TestCa::new("theirs").credential("client", &clock.clock());
    assert!(matches!(
        introduce(&stranger, &server, &expected, &clock.clock()),
        Err(PeerRefusal::UnknownIssuer { .. })
    ));
}

#[test]
fn a_certificate_whose_time_is_over_is_refused_on_either_side() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new());
    let expected = sans(&["server"]);
    let (old_client, old_server) = pair(&ca, &clock);
    clock.advance(Duration::from_secs(86_401));
    let (client, server) = pair(&ca, &clock);
    assert!(introduce(&client, &server, &expected, &clock.clock()).is_ok());
    for (client, server) in [(&old_client, &server), (&client, &old_server)] {
        assert!(matches!(
            introduce(client, server, &expected, &clock.clock()),
            Err(PeerRefusal::Expired { .. })
        ));
    }
}

/// Two credentials of one store, as two pods of a node have them.
fn neighbours(ca: &TestCa, clock: &TestClock) -> (Arc<Trust>, Credential, Credential) {
    let trust = ca.trust();
    let of = |name| ca.credential_within(id(name), &clock.clock(), Arc::clone(&trust));
    let (client, server) = (of("client"), of("server"));
    (trust, client, server)
}

#[test]
fn an_introduction_is_remembered_for_each_set_of_names() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new());
    let (_trust, client, server) = neighbours(&ca, &clock);
    let (one, other) = (sans(&["server"]), sans(&["another", "server"]));
    let by = |names: &[_]| client.introduce_to(&server, names, &clock.clock()).unwrap();
    let (first, second) = (by(&one), by(&other));
    for _ in 0..3 {
        assert!(Arc::ptr_eq(&by(&one), &first));
        assert!(Arc::ptr_eq(&by(&other), &second));
    }
    assert!(
        client
            .introduce_to(&server, &sans(&["another"]), &clock.clock())
            .is_err()
    );
}

#[test]
fn what_is_remembered_is_bounded() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new());
    let (_trust, client, server) = neighbours(&ca, &clock);
    for number in 0..MAX_ACQUAINTANCES + 5 {
        let names = sans(&["server", &format!("name-{number}")]);
        client
            .introduce_to(&server, &names, &clock.clock())
            .unwrap();
    }
    assert_eq!(client.acquaintances().0.load().len(), MAX_ACQUAINTANCES);
}

#[test]
fn nobody_is_introduced_any_more_when_the_root_is_dropped() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new());
    let (trust, client, server) = neighbours(&ca, &clock);
    let expected = sans(&["server"]);
    let first = client
        .introduce_to(&server, &expected, &clock.clock())
        .unwrap();
    let other = Arc::new(Roots::new(&[TestCa::new("other").root()]).unwrap());
    assert!(trust.replace(&other));
    assert!(matches!(
        client.introduce_to(&server, &expected, &clock.clock()),
        Err(PeerRefusal::UnknownIssuer { .. })
    ));
    // A handshake says the same, and both say yes when the root is back.
    let there = handshake(client.client_config(&expected), server.server_config());
    assert!(!there.succeeded());
    let back = Arc::new(Roots::new(&[ca.root()]).unwrap());
    assert!(trust.replace(&back));
    let again = client
        .introduce_to(&server, &expected, &clock.clock())
        .unwrap();
    assert!(
        !Arc::ptr_eq(&first, &again),
        "it must have been checked again"
    );
}

#[test]
fn nobody_is_introduced_any_more_when_an_intermediate_has_ended() {
    let (root, clock) = (TestCa::new("root"), TestClock::new());
    let mut params = ca_params("intermediate");
    let end = clock.now() + Duration::from_secs(600);
    params.not_after = x509::asn1(end).unwrap().to_datetime();
    let ca = root.intermediate(params);
    let trust = root.trust();
    let of = |name: &str| {
        let leaf = crate::testkit::uri(&id(name).to_string());
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = crate::testkit::leaf_params(vec![leaf], |_| {})
            .signed_by(&key, &ca.issuer)
            .unwrap();
        let issued = crate::Issued {
            chain: vec![leaf.der().clone(), ca.root()],
            roots: vec![root.root()],
        };
        let key = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Credential::new(id(name), key, issued, &clock.clock(), Arc::clone(&trust)).unwrap()
    };
    let (client, server) = (of("client"), of("server"));
    let expected = sans(&["server"]);
    let first = client
        .introduce_to(&server, &expected, &clock.clock())
        .unwrap();
    clock.advance(Duration::from_secs(599));
    let again = client
        .introduce_to(&server, &expected, &clock.clock())
        .unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    clock.advance(Duration::from_secs(2));
    // Both leaves are in their time, and the handshake fails.
    assert!(client.is_valid_at(clock.now()) && server.is_valid_at(clock.now()));
    assert!(!handshake(client.client_config(&expected), server.server_config()).succeeded());
    assert!(matches!(
        client.introduce_to(&server, &expected, &clock.clock()),
        Err(PeerRefusal::Expired { .. })
    ));
}

#[tokio::test]
async fn a_store_introduces_whom_it_has_certificates_of() {
    let (ca, clock) = (ScriptedCa::new(&TestCa::new("root")), TestClock::new());
    let config = Config {
        clock: clock.clock(),
        ..Config::default()
    };
    let store = Store::new(ca, config);
    let task = tokio::spawn(Arc::clone(&store).run());
    let (client, server, expected) = (id("client"), id("server"), sans(&["server"]));
    store.fetch(&client).await.unwrap();
    assert_eq!(
        store.introduce(&client, &server, &expected),
        Err(NotIntroduced::NoCertificate {
            identity: server.clone()
        })
    );
    store.fetch(&server).await.unwrap();
    let introduced = store.introduce(&client, &server, &expected).unwrap();
    assert_eq!(
        (&introduced.client.id, &introduced.server.id),
        (&client, &server)
    );
    // Renewed meanwhile: whoever is shown is the new one.
    clock.advance(Duration::from_secs(86_401));
    assert!(store.introduce(&client, &server, &expected).is_err());
    for id in [&client, &server] {
        store.fetch(id).await.unwrap();
    }
    let renewed = store.introduce(&client, &server, &expected).unwrap();
    assert!(renewed.client.not_after > introduced.client.not_after);
    task.abort();
}
