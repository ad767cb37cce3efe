//! Whom CUSTOM asks: what is absent, and every option.

use super::*;

#[test]
fn an_authorizer_is_read_with_its_defaults() {
    let read = proto::ExternalAuthorization {
        protocol: Some(external_authorization::Protocol::Grpc(
            proto::ExternalGrpc {},
        )),
        ..http(proto::ExternalHttp::default())
    };
    let expected = ExternalAuthorization {
        provider: "login".into(),
        backend: to_backend(),
        protocol: Protocol::Grpc,
        timeout: Duration::from_secs(600),
        fail_open: false,
        status_on_error: 403,
        include_body: None,
    };
    assert_eq!(
        authorization(asks(read)).unwrap().action,
        Action::Custom(expected.into())
    );
}

#[test]
fn an_authorizer_is_read_with_every_option() {
    let read = proto::ExternalAuthorization {
        timeout_us: 1_000,
        fail_open: true,
        status_on_error: 503,
        include_body: Some(proto::IncludeBody {
            max_bytes: 1024,
            allow_partial: true,
            as_bytes: true,
        }),
        ..http(proto::ExternalHttp {
            path_prefix: "/check".to_owned(),
            include_headers: exact("Cookie"),
            additional_headers: vec![proto::Header {
                name: "X-From".to_owned(),
                value: "mesh".to_owned(),
            }],
            upstream_on_allow: one(text_match::Kind::Prefix("X-User".to_owned())),
            downstream_on_deny: one(text_match::Kind::Present(true)),
            downstream_on_allow: one(text_match::Kind::Suffix("-Cookie".to_owned())),
        })
    };
    let expected = ExternalAuthorization {
        provider: "login".into(),
        backend: to_backend(),
        protocol: Protocol::Http(Box::new(HttpCheck {
            path_prefix: "/check".into(),
            include_headers: vec![TextMatch::Exact("cookie".into())],
            additional_headers: vec![("x-from".into(), "mesh".into())],
            upstream_on_allow: vec![TextMatch::Prefix("x-user".into())],
            downstream_on_deny: vec![TextMatch::Present],
            downstream_on_allow: vec![TextMatch::Suffix("-cookie".into())],
        })),
        timeout: Duration::from_millis(1),
        fail_open: true,
        status_on_error: 503,
        include_body: Some(IncludeBody {
            max_bytes: 1024,
            allow_partial: true,
            as_bytes: true,
        }),
    };
    assert_eq!(
        authorization(asks(read)).unwrap().action,
        Action::Custom(expected.into())
    );
}
