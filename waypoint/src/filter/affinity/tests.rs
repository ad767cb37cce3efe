//! Tests of keys for consistent hashing, and of cookies that are made.

use std::{net::Ipv4Addr, time::Duration};

use super::*;

fn affinity(
    key: &HashKey,
    headers: &[(&'static str, &'static str)],
    query: Option<&str>,
) -> Affinity {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect();
    let parts = Parts {
        headers: &headers,
        authority: "reviews:9080",
        query,
        client: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    };
    of(key, &parts, &mut fastrand::Rng::with_seed(3))
}

fn hash(value: &str) -> Option<u64> {
    Some(decision::hash::value(value.as_bytes()))
}

fn session(ttl: Option<u64>) -> HashKey {
    HashKey::Cookie(HashCookie {
        name: "session".into(),
        path: "/".into(),
        ttl: ttl.map(Duration::from_secs),
        attributes: vec![
            ("SameSite".into(), "Lax".into()),
            ("Secure".into(), "".into()),
        ],
    })
}

#[test]
fn a_header_is_the_key() {
    let key = HashKey::Header("x-user".into());
    assert_eq!(affinity(&key, &[("x-user", "ann")], None).hash, hash("ann"));
    assert_eq!(affinity(&key, &[("x-other", "ann")], None).hash, None);
    let both = affinity(&key, &[("x-user", "ann"), ("x-user", "bob")], None);
    let turned = affinity(&key, &[("x-user", "bob"), ("x-user", "ann")], None);
    assert_eq!(both, turned);
    assert_ne!(both.hash, hash("ann"));
}

#[test]
fn the_authority_may_be_the_key() {
    let key = HashKey::Header(":authority".into());
    assert_eq!(affinity(&key, &[], None).hash, hash("reviews:9080"));
}

#[test]
fn the_first_value_of_a_query_parameter_is_the_key() {
    let key = HashKey::QueryParameter("tenant".into());
    for (query, expected) in [
        (Some("tenant=a"), hash("a")),
        (Some("x=1&tenant=a&tenant=b"), hash("a")),
        (Some("tenant=a%20b"), hash("a%20b")),
        (Some("tenants=a"), None),
        (None, None),
    ] {
        assert_eq!(affinity(&key, &[], query).hash, expected, "{query:?}");
    }
}

#[test]
fn the_client_s_address_is_the_key() {
    assert_eq!(
        affinity(&HashKey::SourceIp, &[], None).hash,
        hash("10.0.0.1")
    );
}

#[test]
fn a_cookie_that_is_there_is_the_key_with_quotes_or_without() {
    for value in ["a=1; session=xyz", "session=\"xyz\"", "session=xyz ;b=2"] {
        let value: &'static str = value;
        let found = affinity(&session(Some(60)), &[("cookie", value)], None);
        assert_eq!(found.hash, hash("xyz"), "{value}");
        assert_eq!(found.cookie, None, "{value}");
    }
    let second = affinity(
        &session(None),
        &[("cookie", "a=1"), ("cookie", "session=xyz")],
        None,
    );
    assert_eq!(second.hash, hash("xyz"));
}

#[test]
fn a_cookie_that_is_missing_is_made_and_leads_to_the_same_endpoint_when_it_comes_back() {
    let made = affinity(&session(Some(60)), &[("cookie", "other=1")], None);
    let text = made.cookie.unwrap().to_str().unwrap().to_owned();
    let value = text.split('"').nth(1).unwrap();
    assert_eq!(
        text,
        format!("session=\"{value}\"; Max-Age=60; Path=/; SameSite=Lax; Secure; HttpOnly")
    );
    assert_eq!(made.hash, hash(value));
}

#[test]
fn a_session_cookie_has_no_age_and_without_a_ttl_none_is_made() {
    let made = affinity(&session(Some(0)), &[], None);
    assert!(!made.cookie.unwrap().to_str().unwrap().contains("Max-Age"));
    assert_eq!(affinity(&session(None), &[], None), Affinity::default());
}
