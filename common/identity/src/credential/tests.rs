//! What a credential makes of an authority's answer, and which configurations it shares.

use std::{sync::Arc, time::Duration};

use super::MAX_CLIENT_CONFIGS;
use crate::{
    AnswerError, Credential, Issued, PeerRefusal,
    key::KeyRequest,
    testkit::{START, TestCa, TestClock, at, id, sans, uri},
    trust::Trust,
};

/// The error for an answer that `fault` has changed.
fn answer(fault: impl FnOnce(&TestCa, &mut Issued)) -> AnswerError {
    let (ca, clock) = (TestCa::new("root"), TestClock::new().clock());
    let good = ca.credential("client", &clock);
    let mut issued = Issued {
        chain: good.chain().to_vec(),
        roots: good.roots().to_vec(),
    };
    fault(&ca, &mut issued);
    let key = KeyRequest::new(&id("client")).unwrap().into_key();
    Credential::new(id("client"), key, issued, &clock, Trust::new(None)).unwrap_err()
}

#[test]
fn an_answer_is_checked_before_it_is_used() {
    assert_eq!(
        answer(|_, issued| issued.chain.clear()),
        AnswerError::EmptyChain
    );
    assert_eq!(
        answer(|_, issued| issued.roots.clear()),
        AnswerError::Roots { count: 0, max: 64 }
    );
    assert_eq!(
        answer(|ca, issued| issued.chain.extend(vec![ca.root(); 8])),
        AnswerError::ChainTooLong { count: 9, max: 8 }
    );
    assert_eq!(
        answer(|_, issued| issued.roots.push(vec![1, 2, 3].into())),
        AnswerError::Root { position: 1 }
    );
    let other = |ca: &TestCa, issued: &mut Issued| {
        issued.chain = ca
            .leaf(
                vec![uri("spiffe://cluster.local/ns/default/sa/other")],
                |_| {},
            )
            .chain()
            .to_vec();
    };
    assert_eq!(
        answer(other),
        AnswerError::Name {
            expected: id("client"),
            found: "spiffe://cluster.local/ns/default/sa/other".into()
        }
    );
    assert!(matches!(
        answer(|_, issued| issued.roots = vec![TestCa::new("another").root()]),
        AnswerError::Leaf(PeerRefusal::UnknownIssuer { .. })
    ));
    assert_eq!(
        answer(|_, _| {}),
        AnswerError::ForeignKey,
        "the leaf was made for another key"
    );
}

#[test]
fn an_answer_that_is_not_valid_now_is_refused() {
    let (ca, time) = (TestCa::new("root"), TestClock::new());
    let good = ca.credential("client", &time.clock());
    time.advance(Duration::from_secs(86_400));
    let issued = Issued {
        chain: good.chain().to_vec(),
        roots: good.roots().to_vec(),
    };
    let key = KeyRequest::new(&id("client")).unwrap().into_key();
    let error =
        Credential::new(id("client"), key, issued, &time.clock(), Trust::new(None)).unwrap_err();
    assert!(
        matches!(error, AnswerError::Lifetime { not_after, now, .. } if not_after == now),
        "{error:?}"
    );
}

#[test]
fn half_of_the_life_that_is_left_is_the_time_of_renewal() {
    let credential = TestCa::new("root").credential("client", &TestClock::new().clock());
    assert_eq!(credential.not_before(), at(START - 120));
    assert_eq!(credential.not_after(), at(START + 86_400));
    assert_eq!(credential.renew_at(), at(START + 43_200));
}

#[test]
fn equal_sets_of_sans_share_a_configuration_and_the_cache_is_bounded() {
    let credential = TestCa::new("root").credential("client", &TestClock::new().clock());
    let first = credential.client_config(&sans(&["a"]));
    assert!(Arc::ptr_eq(
        &first,
        &credential.client_config(&sans(&["a"]))
    ));
    assert!(!Arc::ptr_eq(
        &first,
        &credential.client_config(&sans(&["a", "b"]))
    ));
    for i in 0..100 {
        let _another = credential.client_config(&sans(&[&format!("n{i}")]));
        assert!(
            Arc::ptr_eq(&first, &credential.client_config(&sans(&["a"]))),
            "what is used often stays"
        );
        assert!(credential.clients.lock().len() <= MAX_CLIENT_CONFIGS);
    }
    assert!(Arc::ptr_eq(
        &credential.server_config(),
        &credential.server_config()
    ));
}

#[test]
fn the_key_is_not_in_the_debug_text() {
    let credential = TestCa::new("root").credential("client", &TestClock::new().clock());
    let text = format!("{credential:?}");
    assert!(text.contains("[redacted]") && text.len() < 400, "{text}");
}

#[test]
fn generations_grow_with_every_credential() {
    let (ca, clock) = (TestCa::new("root"), TestClock::new().clock());
    let (first, second) = (ca.credential("a", &clock), ca.credential("a", &clock));
    assert!(first.generation() < second.generation());
}
