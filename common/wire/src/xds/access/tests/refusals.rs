//! What refuses a resource: a policy that means something else than it says must not be in force.

use super::*;

/// The field that is at fault, from its policy on.
fn fault<T: std::fmt::Debug>(read: Result<T, Error>) -> String {
    match read {
        Err(Error::Field { field, .. }) => field,
        other => panic!("{other:?}: expected a fault of a field"),
    }
}

fn field_fault(field: proto::Field) -> String {
    let fault = fault(fields(vec![field]));
    let inside = "policies.authorization[0].rules[0].clauses[0].matches[0].fields[0]";
    let fault = fault.strip_prefix(inside);
    fault.expect("a fault of the field").to_owned()
}

#[test]
fn a_field_without_values_is_refused() {
    assert_eq!(field_fault(on(Attribute::Path)), ".texts");
    assert_eq!(field_fault(on(Attribute::SourceIp)), ".blocks");
    assert_eq!(field_fault(on(Attribute::DestinationPort)), ".ports");
}

#[test]
fn values_of_another_kind_are_refused() {
    let blocks = vec!["10.0.0.0/8".to_owned()];
    let field = proto::Field {
        blocks: blocks.clone(),
        ..texts(Attribute::Path, exact("/x"))
    };
    assert_eq!(field_fault(field), ".blocks");
    let field = proto::Field {
        ports: vec![80],
        ..texts(Attribute::Path, exact("/x"))
    };
    assert_eq!(field_fault(field), ".ports");
    let field = proto::Field {
        blocks,
        ..texts(Attribute::SourceIp, exact("x"))
    };
    assert_eq!(field_fault(field), ".texts");
    let field = proto::Field {
        name: "x".to_owned(),
        ..texts(Attribute::Path, exact("/x"))
    };
    assert_eq!(field_fault(field), ".name");
    let field = proto::Field {
        path: vec!["x".to_owned()],
        ..texts(Attribute::Audiences, exact("x"))
    };
    assert_eq!(field_fault(field), ".path");
}

#[test]
fn an_attribute_that_is_not_known_is_refused() {
    let field = proto::Field {
        attribute: 99,
        ..texts(Attribute::Path, exact("/x"))
    };
    assert_eq!(field_fault(field), ".attribute");
    let field = texts(Attribute::Unspecified, exact("/x"));
    assert_eq!(field_fault(field), ".attribute");
}

#[test]
fn an_empty_text_is_refused() {
    use text_match::Kind;
    for (kind, at) in [
        (Kind::Exact(String::new()), "exact"),
        (Kind::Prefix(String::new()), "prefix"),
        (Kind::Suffix(String::new()), "suffix"),
        (Kind::Template(String::new()), "template"),
        (Kind::Present(false), "present"),
    ] {
        let field = texts(Attribute::Path, one(kind));
        assert_eq!(field_fault(field), format!(".texts[0].{at}"));
    }
    let field = texts(Attribute::Path, vec![proto::TextMatch { kind: None }]);
    assert_eq!(field_fault(field), ".texts[0]");
    let scheme = texts(Attribute::SourcePrincipal, exact("spiffe://"));
    assert_eq!(field_fault(scheme), ".texts[0].exact");
}

#[test]
fn a_template_is_refused_that_is_none_or_is_for_no_path() {
    use text_match::Kind;
    for template in ["/{**}/a/{*}", "/a{*}", "/*", "a/{*}"] {
        let field = texts(Attribute::Path, one(Kind::Template(template.to_owned())));
        assert_eq!(field_fault(field), ".texts[0].template");
    }
    let field = texts(Attribute::Host, one(Kind::Template("/{*}".to_owned())));
    assert_eq!(field_fault(field), ".texts[0].template");
}

#[test]
fn an_address_that_is_none_or_lacks_its_length_is_refused() {
    for block in ["", "10.0.0.0/33", "10.0.0", "10.0.0.1/0", "fd00::1/0"] {
        let field = proto::Field {
            blocks: vec!["10.0.0.0/8".to_owned(), block.to_owned()],
            ..on(Attribute::RemoteIp)
        };
        assert_eq!(field_fault(field), ".blocks[1]", "{block}");
    }
    let field = proto::Field {
        ports: vec![65536],
        ..on(Attribute::DestinationPort)
    };
    assert_eq!(field_fault(field), ".ports[0]");
}

#[test]
fn what_must_have_a_name_or_a_way_is_refused_without() {
    assert_eq!(field_fault(texts(Attribute::Header, exact("x"))), ".name");
    assert_eq!(field_fault(texts(Attribute::Claim, exact("x"))), ".path");
    assert_eq!(field_fault(texts(Attribute::Metadata, exact("x"))), ".name");
    let field = proto::Field {
        path: vec!["a".to_owned(), String::new()],
        ..texts(Attribute::Claim, exact("x"))
    };
    assert_eq!(field_fault(field), ".path[1]");
    let field = proto::Field {
        path: vec!["a".to_owned(); 33],
        ..texts(Attribute::Claim, exact("x"))
    };
    assert_eq!(field_fault(field), ".path");
    let field = proto::Field {
        name: "x y".to_owned(),
        ..texts(Attribute::Header, exact("x"))
    };
    assert_eq!(field_fault(field), ".name");
}

#[test]
fn a_clause_without_matches_is_refused() {
    let mut read = policy(Vec::new());
    read.rules[0].clauses[0].matches.clear();
    assert_eq!(
        fault(authorization(read)),
        "policies.authorization[0].rules[0].clauses[0].matches"
    );
}

#[test]
fn an_action_that_is_not_known_or_half_said_is_refused() {
    let of = |action: i32| proto::AuthorizationPolicy {
        action,
        ..policy(Vec::new())
    };
    let at = |field: &str| format!("policies.authorization[0].{field}");
    assert_eq!(fault(authorization(of(0))), at("action"));
    assert_eq!(fault(authorization(of(9))), at("action"));
    let custom = AuthorizationAction::Custom.into();
    assert_eq!(fault(authorization(of(custom))), at("external"));
    let asked = http(proto::ExternalHttp::default());
    let read = proto::AuthorizationPolicy {
        external: Some(asked.clone()),
        ..policy(Vec::new())
    };
    assert_eq!(fault(authorization(read)), at("external"));
    let read = proto::AuthorizationPolicy {
        dry_run: true,
        ..asks(asked)
    };
    assert_eq!(fault(authorization(read)), at("dry_run"));
    let read = proto::AuthorizationPolicy {
        name: String::new(),
        ..policy(Vec::new())
    };
    assert_eq!(fault(authorization(read)), at("name"));
}

#[test]
fn an_authorizer_that_cannot_be_asked_is_refused() {
    let asked = || http(proto::ExternalHttp::default());
    let at = |field: &str| format!("policies.authorization[0].external{field}");
    for (read, field) in [
        (
            proto::ExternalAuthorization {
                backend: None,
                ..asked()
            },
            ".backend",
        ),
        (
            proto::ExternalAuthorization {
                protocol: None,
                ..asked()
            },
            "",
        ),
        (
            proto::ExternalAuthorization {
                provider: String::new(),
                ..asked()
            },
            ".provider",
        ),
        (
            proto::ExternalAuthorization {
                status_on_error: 99,
                ..asked()
            },
            ".status_on_error",
        ),
        (
            proto::ExternalAuthorization {
                include_body: Some(proto::IncludeBody::default()),
                ..asked()
            },
            ".include_body.max_bytes",
        ),
        (
            proto::ExternalAuthorization {
                include_body: Some(proto::IncludeBody {
                    max_bytes: u32::MAX,
                    ..proto::IncludeBody::default()
                }),
                ..asked()
            },
            ".include_body.max_bytes",
        ),
        (
            http(proto::ExternalHttp {
                path_prefix: "check".to_owned(),
                ..proto::ExternalHttp::default()
            }),
            ".http.path_prefix",
        ),
        (
            http(proto::ExternalHttp {
                include_headers: exact("a b"),
                ..proto::ExternalHttp::default()
            }),
            ".http.include_headers[0].exact",
        ),
    ] {
        assert_eq!(fault(authorization(asks(read))), at(field));
    }
}

#[test]
fn an_issuer_is_refused_whose_keys_cannot_be_had() {
    use jwt_rule::Keys;
    let at = |field: &str| format!("policies.authentication[0].rules[0].{field}");
    let of = |keys| proto::JwtRule {
        keys: Some(keys),
        ..issuer()
    };
    for uri in ["", "idp.example", "file:///etc/passwd", "https://a b"] {
        assert_eq!(
            fault(jwt(of(Keys::JwksUri(uri.to_owned())))),
            at("jwks_uri")
        );
    }
    assert_eq!(fault(jwt(of(Keys::Jwks(String::new())))), at("jwks"));
    let long = "x".repeat((1 << 20) + 1);
    assert_eq!(fault(jwt(of(Keys::Jwks(long)))), at("jwks"));
    let read = proto::JwtRule {
        issuer: String::new(),
        ..issuer()
    };
    assert_eq!(fault(jwt(read)), at("issuer"));
    let read = proto::JwtRule {
        output_payload_to_header: ":path".to_owned(),
        ..issuer()
    };
    assert_eq!(fault(jwt(read)), at("output_payload_to_header"));
}

#[test]
fn a_limit_is_refused_that_limits_nothing_or_everything() {
    let at = |field: &str| format!("policies.rate_limits[0].{field}");
    let of = |max_tokens, tokens_per_fill, fill_interval_us| proto::RateLimit {
        kind: Some(rate_limit::Kind::Local(proto::TokenBucket {
            max_tokens,
            tokens_per_fill,
            fill_interval_us,
        })),
        ..bucket()
    };
    assert_eq!(fault(limit(of(0, 1, 50_000))), at("local.max_tokens"));
    assert_eq!(fault(limit(of(1, 0, 50_000))), at("local.tokens_per_fill"));
    assert_eq!(fault(limit(of(1, 1, 49_999))), at("local.fill_interval_us"));
    let read = proto::RateLimit {
        enabled_ppm: 1_000_001,
        ..bucket()
    };
    assert_eq!(fault(limit(read)), at("enabled_ppm"));
    let read = proto::RateLimit {
        kind: None,
        ..bucket()
    };
    assert_eq!(fault(limit(read)), "policies.rate_limits[0]");
    let read = proto::RateLimit {
        keys: vec![proto::LimitKey {
            name: "key".to_owned(),
            value: Some(limit_key::Value::Principal(false)),
        }],
        ..bucket()
    };
    assert_eq!(fault(limit(read)), at("keys[0].principal"));
}

#[test]
fn a_trusted_peer_that_is_nobody_is_refused() {
    let table = proto::RouteTable {
        service: "default/web.example".to_owned(),
        port: 80,
        client_address: Some(proto::ClientAddress {
            trusted_peers: exact(""),
            ..proto::ClientAddress::default()
        }),
        ..proto::RouteTable::default()
    };
    let read = Decoder::new().route_table(&table);
    assert_eq!(fault(read), "client_address.trusted_peers[0].exact");
}
