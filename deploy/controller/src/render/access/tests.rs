//! Whom CUSTOM asks: providers of a mesh in, what waypoints are told out.

use std::{collections::BTreeMap, time::Duration};

use wire::{
    proto::waypoint::{
        AuthorizationAction, AuthorizationPolicy, Backend, ExternalAuthorization, ExternalGrpc,
        ExternalHttp, Header, IncludeBody, Policies, RouteTable, TextMatch,
        external_authorization::Protocol, text_match::Kind,
    },
    xds::Decoder,
};

use super::external;
use crate::objects::{
    Authorizer, AuthorizerBody, AuthorizerProtocol, AuthorizerService, HttpAuthorizer,
};

fn authorizer(protocol: AuthorizerProtocol) -> Authorizer {
    Authorizer {
        service: AuthorizerService {
            namespace: None,
            hostname: "authz.shop.svc.cluster.local".to_owned(),
        },
        port: 9000,
        timeout: Duration::from_millis(250),
        fail_open: true,
        status_on_error: 503,
        include_body: Some(AuthorizerBody {
            max_bytes: 64,
            allow_partial: true,
            as_bytes: true,
        }),
        protocol,
    }
}

#[test]
fn an_authorizer_is_told_with_all_of_its_options() {
    let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
    let http = HttpAuthorizer {
        path_prefix: "/check".to_owned(),
        include_headers: names(&["cookie", "x-*", "*-id"]),
        additional_headers: BTreeMap::from([("x-from".to_owned(), "mesh".to_owned())]),
        upstream_on_allow: names(&["x-user"]),
        downstream_on_deny: names(&["www-authenticate"]),
        downstream_on_allow: names(&["set-cookie"]),
    };
    let text = |kind| TextMatch { kind: Some(kind) };
    let exact = |name: &str| vec![text(Kind::Exact(name.to_owned()))];
    let backend = Backend {
        service: "shop/authz.shop.svc.cluster.local".to_owned(),
        port: 9000,
        subset: String::new(),
    };
    let expected = ExternalAuthorization {
        provider: "ext".to_owned(),
        backend: Some(backend.clone()),
        protocol: Some(Protocol::Http(ExternalHttp {
            path_prefix: "/check".to_owned(),
            include_headers: vec![
                text(Kind::Exact("cookie".to_owned())),
                text(Kind::Prefix("x-".to_owned())),
                text(Kind::Suffix("-id".to_owned())),
            ],
            additional_headers: vec![Header {
                name: "x-from".to_owned(),
                value: "mesh".to_owned(),
            }],
            upstream_on_allow: exact("x-user"),
            downstream_on_deny: exact("www-authenticate"),
            downstream_on_allow: exact("set-cookie"),
        })),
        timeout_us: 250_000,
        fail_open: true,
        status_on_error: 503,
        include_body: Some(IncludeBody {
            max_bytes: 64,
            allow_partial: true,
            as_bytes: true,
        }),
    };
    let by_http = authorizer(AuthorizerProtocol::Http(Box::new(http)));
    let told = external("ext", &by_http, backend.clone());
    assert_eq!(told, expected);
    let policy = AuthorizationPolicy {
        namespace: "shop".to_owned(),
        name: "p".to_owned(),
        action: AuthorizationAction::Custom.into(),
        external: Some(told),
        ..AuthorizationPolicy::default()
    };
    let table = RouteTable {
        service: "shop/web".to_owned(),
        port: 80,
        policies: Some(Policies {
            authorization: vec![policy],
            ..Policies::default()
        }),
        ..RouteTable::default()
    };
    Decoder::new()
        .route_table(&table)
        .expect("waypoints read it");
    let by_grpc = external("ext", &authorizer(AuthorizerProtocol::Grpc), backend);
    assert_eq!(
        by_grpc,
        ExternalAuthorization {
            protocol: Some(Protocol::Grpc(ExternalGrpc {})),
            ..expected
        }
    );
}
