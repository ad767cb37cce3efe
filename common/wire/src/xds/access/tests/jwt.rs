//! Issuers: what is absent, and every option.

use super::*;

#[test]
fn an_issuer_is_read_with_its_defaults() {
    assert_eq!(
        jwt(issuer()).unwrap(),
        JwtRule {
            issuer: "https://idp.example".into(),
            audiences: Vec::new(),
            keys: KeySource::Discovery,
            from_headers: Vec::new(),
            from_params: Vec::new(),
            from_cookies: Vec::new(),
            output_payload_to_header: None,
            forward_original_token: false,
            output_claim_to_headers: Vec::new(),
            timeout: Duration::from_secs(5),
            space_delimited_claims: Vec::new(),
        }
    );
}

#[test]
fn an_issuer_is_read_with_every_option() {
    let read = proto::JwtRule {
        audiences: vec!["shop".to_owned()],
        keys: Some(jwt_rule::Keys::Jwks("{\n\"keys\": []\n}".to_owned())),
        from_headers: vec![proto::JwtHeader {
            name: "X-Token".to_owned(),
            prefix: "Token ".to_owned(),
        }],
        from_params: vec!["token".to_owned()],
        from_cookies: vec!["session".to_owned()],
        output_payload_to_header: "X-Payload".to_owned(),
        forward_original_token: true,
        output_claim_to_headers: vec![proto::ClaimToHeader {
            header: "X-Group".to_owned(),
            claim: vec!["realm".to_owned(), "group".to_owned()],
        }],
        timeout_us: 1_000_000,
        space_delimited_claims: vec!["roles".to_owned()],
        ..issuer()
    };
    assert_eq!(
        jwt(read).unwrap(),
        JwtRule {
            issuer: "https://idp.example".into(),
            audiences: vec!["shop".into()],
            keys: KeySource::Inline("{\n\"keys\": []\n}".into()),
            from_headers: vec![("x-token".into(), "Token ".into())],
            from_params: vec!["token".into()],
            from_cookies: vec!["session".into()],
            output_payload_to_header: Some("x-payload".into()),
            forward_original_token: true,
            output_claim_to_headers: vec![("x-group".into(), vec!["realm".into(), "group".into()])],
            timeout: Duration::from_secs(1),
            space_delimited_claims: vec!["roles".into()],
        }
    );
    let uri = "https://idp.example/keys";
    let read = proto::JwtRule {
        keys: Some(jwt_rule::Keys::JwksUri(uri.to_owned())),
        ..issuer()
    };
    assert_eq!(jwt(read).unwrap().keys, KeySource::Uri(uri.into()));
}
