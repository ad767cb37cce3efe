//! What a handshake would refuse is refused here, in the same words.

use std::time::Duration;

use mesh::SpiffeId;

use super::introduce;
use crate::{
    Credential, PeerRefusal,
    testkit::{TestCa, TestClock, handshake, id, sans},
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
