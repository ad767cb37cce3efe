//! Policies of layer 7: what they become, and what refuses the resource that carries them.

use mesh::{
    PolicyKey, ServiceKey,
    access::{
        authorization::{
            Action, Clause, Field, IpAttribute, Match, Policy, Rule, Test, TextAttribute, TextMatch,
        },
        external::{ExternalAuthorization, HttpCheck, IncludeBody, Protocol},
        jwt::{JwtRule, KeySource},
        limit::{GlobalLimit, LimitKey, LimitKind, LimitValue, RateLimit, TokenBucket},
    },
    route::Backend,
};

use super::*;
use crate::{
    proto::waypoint::{
        Attribute, AuthorizationAction, external_authorization, jwt_rule, limit_key, rate_limit,
        text_match,
    },
    xds::{Decoder, Error},
};

mod external;
mod jwt;
mod limits;
mod refusals;

fn decoded(policies: proto::Policies) -> Result<Policies, Error> {
    let settings = proto::Settings {
        namespace: "default".to_owned(),
        gateway: "waypoint".to_owned(),
        policies: Some(policies.clone()),
        ..proto::Settings::default()
    };
    let table = proto::RouteTable {
        service: "default/web.example".to_owned(),
        port: 80,
        policies: Some(policies),
        ..proto::RouteTable::default()
    };
    let settings = Decoder::new().settings(&settings);
    let table = Decoder::new().route_table(&table);
    match (settings, table) {
        (Ok(settings), Ok(table)) => {
            assert_eq!(settings.policies, table.policies);
            Ok(table.policies)
        }
        (Err(_), Err(error)) => Err(error),
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => panic!("refused by one only: {error}"),
    }
}

fn one(kind: text_match::Kind) -> Vec<proto::TextMatch> {
    vec![proto::TextMatch { kind: Some(kind) }]
}

fn exact(text: &str) -> Vec<proto::TextMatch> {
    one(text_match::Kind::Exact(text.to_owned()))
}

fn on(attribute: Attribute) -> proto::Field {
    proto::Field {
        attribute: attribute.into(),
        ..proto::Field::default()
    }
}

fn texts(attribute: Attribute, texts: Vec<proto::TextMatch>) -> proto::Field {
    proto::Field {
        texts,
        ..on(attribute)
    }
}

fn policy(fields: Vec<proto::Field>) -> proto::AuthorizationPolicy {
    proto::AuthorizationPolicy {
        namespace: "default".to_owned(),
        name: "p".to_owned(),
        action: AuthorizationAction::Deny.into(),
        rules: vec![proto::AuthorizationRule {
            clauses: vec![proto::Clause {
                matches: vec![proto::Match { fields }],
            }],
        }],
        ..proto::AuthorizationPolicy::default()
    }
}

fn authorization(policy: proto::AuthorizationPolicy) -> Result<Policy, Error> {
    let policies = decoded(proto::Policies {
        authorization: vec![policy],
        ..proto::Policies::default()
    })?;
    Ok(policies.authorization.policies()[0].clone())
}

fn fields(read: Vec<proto::Field>) -> Result<Vec<Field>, Error> {
    let policy = authorization(policy(read))?;
    Ok(policy.rules[0].clauses[0].matches[0].fields.clone())
}

fn backend() -> proto::Backend {
    proto::Backend {
        service: "auth/auth.example".to_owned(),
        port: 9000,
        subset: String::new(),
    }
}

fn to_backend() -> Backend {
    Backend {
        service: ServiceKey::new("auth", "auth.example"),
        port: 9000,
        subset: Name::default(),
    }
}

#[test]
fn absent_policies_are_none() {
    let policies = decoded(proto::Policies::default()).unwrap();
    assert!(policies.is_empty());
}

#[test]
fn a_policy_is_its_rules_in_their_order() {
    let read = proto::AuthorizationPolicy {
        action: AuthorizationAction::Audit.into(),
        dry_run: true,
        rules: vec![
            proto::AuthorizationRule::default(),
            policy(vec![texts(Attribute::Path, exact("/x"))]).rules[0].clone(),
        ],
        ..policy(Vec::new())
    };
    let path = Field {
        test: Test::Text(TextAttribute::Path, vec![TextMatch::Exact("/x".into())]),
        negate: false,
    };
    assert_eq!(
        authorization(read).unwrap(),
        Policy {
            key: PolicyKey::new("default", "p"),
            action: Action::Audit,
            dry_run: true,
            rules: vec![
                Rule::default(),
                Rule {
                    clauses: vec![Clause {
                        matches: vec![Match { fields: vec![path] }],
                    }],
                },
            ],
        }
    );
}

#[test]
fn every_text_attribute_is_read() {
    use TextAttribute as T;
    let plain = [
        (Attribute::SourcePrincipal, T::SourcePrincipal),
        (Attribute::SourceNamespace, T::SourceNamespace),
        (Attribute::SourceServiceAccount, T::SourceServiceAccount),
        (Attribute::SourceTrustDomain, T::SourceTrustDomain),
        (Attribute::RequestPrincipal, T::RequestPrincipal),
        (Attribute::Audiences, T::Audiences),
        (Attribute::Presenter, T::Presenter),
        (Attribute::Host, T::Host),
        (Attribute::Method, T::Method),
        (Attribute::Path, T::Path),
        (Attribute::Sni, T::Sni),
    ];
    let way = || vec!["a".to_owned(), "b".to_owned()];
    let named = [
        (
            proto::Field {
                path: way(),
                ..texts(Attribute::Claim, exact("x"))
            },
            T::Claim(vec!["a".into(), "b".into()]),
        ),
        (
            proto::Field {
                name: "X-Team".to_owned(),
                ..texts(Attribute::Header, exact("x"))
            },
            T::Header("x-team".into()),
        ),
        (
            proto::Field {
                name: "envoy.filters.http.ext_authz".to_owned(),
                path: way(),
                ..texts(Attribute::Metadata, exact("x"))
            },
            T::Metadata(
                "envoy.filters.http.ext_authz".into(),
                vec!["a".into(), "b".into()],
            ),
        ),
    ];
    let plain = plain.map(|(read, attribute)| (texts(read, exact("x")), attribute));
    for (read, attribute) in plain.into_iter().chain(named) {
        let expected = Test::Text(attribute, vec![TextMatch::Exact("x".into())]);
        assert_eq!(fields(vec![read]).unwrap()[0].test, expected);
    }
}

#[test]
fn addresses_and_ports_are_read() {
    for (read, attribute) in [
        (Attribute::SourceIp, IpAttribute::Source),
        (Attribute::RemoteIp, IpAttribute::Remote),
        (Attribute::DestinationIp, IpAttribute::Destination),
    ] {
        let blocks = ["10.0.0.9/8", "10.0.0.1", "::ffff:10.0.0.0/104", "0.0.0.0/0"];
        let field = proto::Field {
            blocks: blocks.map(str::to_owned).to_vec(),
            negate: true,
            ..on(read)
        };
        let ranges = ["10.0.0.0/8", "10.0.0.1/32", "10.0.0.0/8", "0.0.0.0/0"];
        let ranges = ranges.map(|range| range.parse().unwrap()).to_vec();
        assert_eq!(
            fields(vec![field]).unwrap(),
            [Field {
                test: Test::Ip(attribute, ranges),
                negate: true,
            }]
        );
    }
    let field = proto::Field {
        ports: vec![0, 80, 65535],
        ..on(Attribute::DestinationPort)
    };
    let test = Test::DestinationPort(vec![0, 80, 65535]);
    assert_eq!(fields(vec![field]).unwrap()[0].test, test);
}

#[test]
fn every_kind_of_text_is_read() {
    use text_match::Kind;
    for (kind, expected) in [
        (Kind::Exact("/a".to_owned()), TextMatch::Exact("/a".into())),
        (
            Kind::Prefix("/a".to_owned()),
            TextMatch::Prefix("/a".into()),
        ),
        (
            Kind::Suffix("/a".to_owned()),
            TextMatch::Suffix("/a".into()),
        ),
        (Kind::Present(true), TextMatch::Present),
        (
            Kind::Template("/{*}/a".to_owned()),
            TextMatch::Template("/{*}/a".into()),
        ),
    ] {
        let field = texts(Attribute::Path, one(kind));
        let expected = Test::Text(TextAttribute::Path, vec![expected]);
        assert_eq!(fields(vec![field]).unwrap()[0].test, expected);
    }
}

#[test]
fn a_principal_is_read_without_its_scheme() {
    use text_match::Kind;
    let uri = "spiffe://cluster.local/ns/a/sa/b".to_owned();
    for (kind, expected) in [
        (
            Kind::Exact(uri.clone()),
            TextMatch::Exact("cluster.local/ns/a/sa/b".into()),
        ),
        (
            Kind::Prefix(uri),
            TextMatch::Prefix("cluster.local/ns/a/sa/b".into()),
        ),
        (Kind::Prefix("spiffe://".to_owned()), TextMatch::Present),
    ] {
        let field = texts(Attribute::SourcePrincipal, one(kind));
        let expected = Test::Text(TextAttribute::SourcePrincipal, vec![expected]);
        assert_eq!(fields(vec![field]).unwrap()[0].test, expected);
    }
}

fn asks(external: proto::ExternalAuthorization) -> proto::AuthorizationPolicy {
    proto::AuthorizationPolicy {
        action: AuthorizationAction::Custom.into(),
        external: Some(external),
        ..policy(Vec::new())
    }
}

fn http(read: proto::ExternalHttp) -> proto::ExternalAuthorization {
    proto::ExternalAuthorization {
        provider: "login".to_owned(),
        backend: Some(backend()),
        protocol: Some(external_authorization::Protocol::Http(read)),
        ..proto::ExternalAuthorization::default()
    }
}

fn jwt(rule: proto::JwtRule) -> Result<JwtRule, Error> {
    let policies = decoded(proto::Policies {
        authentication: vec![proto::RequestAuthentication {
            namespace: "default".to_owned(),
            name: "jwt".to_owned(),
            rules: vec![rule],
        }],
        ..proto::Policies::default()
    })?;
    assert_eq!(
        policies.authentication[0].key,
        PolicyKey::new("default", "jwt")
    );
    Ok(policies.authentication[0].rules[0].clone())
}

fn issuer() -> proto::JwtRule {
    proto::JwtRule {
        issuer: "https://idp.example".to_owned(),
        ..proto::JwtRule::default()
    }
}

fn limit(read: proto::RateLimit) -> Result<RateLimit, Error> {
    let policies = decoded(proto::Policies {
        rate_limits: vec![read],
        ..proto::Policies::default()
    })?;
    Ok((*policies.rate_limits[0]).clone())
}

fn bucket() -> proto::RateLimit {
    proto::RateLimit {
        name: "limit".to_owned(),
        kind: Some(rate_limit::Kind::Local(proto::TokenBucket {
            max_tokens: 10,
            tokens_per_fill: 5,
            fill_interval_us: 50_000,
        })),
        ..proto::RateLimit::default()
    }
}

#[test]
fn who_speaks_for_others_is_read() {
    let settings = proto::Settings {
        namespace: "default".to_owned(),
        gateway: "waypoint".to_owned(),
        client_address: Some(proto::ClientAddress {
            trusted_peers: exact("spiffe://cluster.local/ns/edge/sa/proxy"),
            trusted_proxies: 2,
            proxy_protocol: true,
        }),
        ..proto::Settings::default()
    };
    let read = Decoder::new().settings(&settings).unwrap();
    let principal = "cluster.local/ns/edge/sa/proxy";
    assert_eq!(
        read.client_address,
        Some(ClientAddress {
            trusted_peers: vec![TextMatch::Exact(principal.into())],
            trusted_proxies: 2,
            proxy_protocol: true,
        })
    );
}
