//! Documents that say where keys are.

use super::{Address, FetchError, read};

const ISSUER: &str = "https://issuer.example/realm";

fn ask(issuer: &str, text: &str) -> Result<String, FetchError> {
    let address = Address::parse(&format!("{issuer}/x")).unwrap();
    read(issuer, &address, text.as_bytes()).map(|address| address.to_string())
}

#[test]
fn a_document_names_the_address_of_the_keys() {
    let text = format!(
        r#"{{"issuer": "{ISSUER}", "jwks_uri": "https://keys.example/k?x=1", "other": []}}"#
    );
    assert_eq!(ask(ISSUER, &text).unwrap(), "https://keys.example/k?x=1");
}

#[test]
fn a_document_of_another_issuer_counts_for_nothing() {
    for other in ["https://issuer.example/realm/", "https://evil.example", ""] {
        let text = format!(r#"{{"issuer": "{other}", "jwks_uri": "https://keys.example/k"}}"#);
        let refused = ask(ISSUER, &text).unwrap_err();
        assert!(
            matches!(refused, FetchError::OtherIssuer { .. }),
            "{refused}"
        );
    }
}

#[test]
fn a_document_cannot_lead_away_from_tls() {
    let document =
        |issuer: &str| format!(r#"{{"issuer": "{issuer}", "jwks_uri": "http://keys.example/k"}}"#);
    let refused = ask(ISSUER, &document(ISSUER)).unwrap_err();
    assert!(matches!(refused, FetchError::Downgrade(_)), "{refused}");
    let plain = "http://issuer.example";
    assert_eq!(
        ask(plain, &document(plain)).unwrap(),
        "http://keys.example/k"
    );
}

#[test]
fn what_is_no_document_is_said_so() {
    for text in [
        "",
        "<html>",
        "{}",
        r#"{"issuer": "x"}"#,
        r#"{"issuer": 1, "jwks_uri": "http://a"}"#,
    ] {
        let refused = ask(ISSUER, text).unwrap_err();
        assert!(matches!(refused, FetchError::Document), "{text}: {refused}");
    }
    let text = format!(r#"{{"issuer": "{ISSUER}", "jwks_uri": "file:///etc/passwd"}}"#);
    assert!(matches!(
        ask(ISSUER, &text),
        Err(FetchError::Address { .. })
    ));
}
