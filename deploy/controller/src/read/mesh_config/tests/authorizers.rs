//! External authorizers of the mesh.

use std::{collections::BTreeMap, time::Duration};

use super::{config_of, good};
use crate::objects::{
    Authorizer, AuthorizerBody, AuthorizerProtocol, AuthorizerService, HttpAuthorizer,
};

fn list(values: &[&str]) -> Vec<String> {
    values.iter().map(|it| (*it).to_owned()).collect()
}

/// Without what it does not say.
fn grpc() -> Authorizer {
    Authorizer {
        service: AuthorizerService {
            namespace: None,
            hostname: "authz.shop.svc.cluster.local".to_owned(),
        },
        port: 9000,
        timeout: Duration::from_secs(600),
        fail_open: false,
        status_on_error: 403,
        include_body: None,
        protocol: AuthorizerProtocol::Grpc,
    }
}

#[test]
fn every_option_is_read() {
    let config = good(
        "extensionProviders:
- {name: log, envoyFileAccessLog: {path: /dev/stdout}}
- name: http
  envoyExtAuthzHttp:
    service: shop/Authz.example.com
    port: 8080
    timeout: 250ms
    pathPrefix: /check
    failOpen: true
    clearRouteCache: true
    statusOnError: '503'
    includeHeadersInCheck: [old]
    includeRequestHeadersInCheck: [Cookie, 'X-*', '*-id']
    includeAdditionalHeadersInCheck: {X-From: mesh}
    includeRequestBodyInCheck: {maxRequestBytes: 64, allowPartialMessage: true, packAsBytes: true}
    headersToUpstreamOnAllow: [X-User]
    headersToDownstreamOnDeny: [WWW-Authenticate]
    headersToDownstreamOnAllow: [Set-Cookie]
- {name: grpc, envoyExtAuthzGrpc: {service: authz.shop.svc.cluster.local, port: 9000}}
- {name: old, envoyExtAuthzHttp: {service: authz.shop.svc.cluster.local, port: 9000, includeHeadersInCheck: [old]}}
",
    );
    let http = HttpAuthorizer {
        path_prefix: "/check".to_owned(),
        include_headers: list(&["cookie", "x-*", "*-id"]),
        additional_headers: BTreeMap::from([("x-from".to_owned(), "mesh".to_owned())]),
        upstream_on_allow: list(&["x-user"]),
        downstream_on_deny: list(&["www-authenticate"]),
        downstream_on_allow: list(&["set-cookie"]),
    };
    let http = Authorizer {
        service: AuthorizerService {
            namespace: Some("shop".to_owned()),
            hostname: "authz.example.com".to_owned(),
        },
        port: 8080,
        timeout: Duration::from_millis(250),
        fail_open: true,
        status_on_error: 503,
        include_body: Some(AuthorizerBody {
            max_bytes: 64,
            allow_partial: true,
            as_bytes: true,
        }),
        protocol: AuthorizerProtocol::Http(Box::new(http)),
    };
    let old = HttpAuthorizer {
        include_headers: list(&["old"]),
        ..HttpAuthorizer::default()
    };
    let old = Authorizer {
        protocol: AuthorizerProtocol::Http(Box::new(old)),
        ..grpc()
    };
    let expected = [("http", http), ("grpc", grpc()), ("old", old)];
    let expected = expected.map(|(name, it)| (name.to_owned(), Ok(it)));
    assert_eq!(config.authorizers, BTreeMap::from(expected));
}

#[test]
fn one_that_cannot_be_used_is_kept_with_the_reason_and_the_rest_of_the_mesh_is_read() {
    for (provider, reason) in [
        (
            "envoyExtAuthzGrpc: {port: 1}",
            "service: missing, expected a hostname",
        ),
        (
            "envoyExtAuthzGrpc: {service: a.b}",
            "port: missing, expected a mapping with service and port",
        ),
        (
            "envoyExtAuthzGrpc: {service: a.b, port: 0}",
            "port: found \"0\", expected a port from 1 to 65535",
        ),
        (
            "envoyExtAuthzGrpc: {service: 10.0.0.1, port: 1}",
            "service: found \"10.0.0.1\", expected a hostname",
        ),
        (
            "envoyExtAuthzGrpc: {service: A/b.c, port: 1}",
            "service: found \"A/b.c\", expected a hostname",
        ),
        (
            "envoyExtAuthzGrpc: {service: a.b, port: 1, includeRequestBodyInCheck: {maxRequestBytes: 16777217}}",
            "includeRequestBodyInCheck.maxRequestBytes: found \"16777217\", expected a whole number from 1 to 16777216: so much of a request is held in memory",
        ),
        (
            "envoyExtAuthzGrpc: {service: a.b, port: 1, timeout: 0s}",
            "timeout: found \"0s\", expected a duration",
        ),
        (
            "envoyExtAuthzGrpc: {service: a.b, port: 1, statusOnError: '99'}",
            "statusOnError: found \"99\", expected a status code",
        ),
        (
            "envoyExtAuthzGrpc: {service: a.b, port: 1, failOpn: true}",
            "failOpn: unknown field (did you mean failOpen?)",
        ),
        (
            "envoyExtAuthzGrpc: {service: a.b, port: 1, pathPrefix: /a}",
            "pathPrefix: unknown field",
        ),
        (
            "envoyExtAuthzGrpc: {service: a.b, port: 1, includeRequestBodyInCheck: {maxRequestBytes: 0}}",
            "includeRequestBodyInCheck.maxRequestBytes: found \"0\", expected a whole number from 1",
        ),
        (
            "envoyExtAuthzHttp: {service: a.b, port: 1, pathPrefix: a}",
            "pathPrefix: found \"a\", expected a path",
        ),
        (
            "envoyExtAuthzHttp: {service: a.b, port: 1, pathPrefix: '/a?b'}",
            "pathPrefix: found \"/a?b\", expected a path",
        ),
        (
            "envoyExtAuthzHttp: {service: a.b, port: 1, includeRequestHeadersInCheck: ['*']}",
            "includeRequestHeadersInCheck[0]: found \"*\", expected the name of a header",
        ),
        (
            "envoyExtAuthzHttp: {service: a.b, port: 1, includeAdditionalHeadersInCheck: {A: b, a: c}}",
            "includeAdditionalHeadersInCheck.a: found \"a\", expected each header once",
        ),
        (
            "envoyExtAuthzHttp: {service: a.b, port: 1}, envoyExtAuthzGrpc: {service: a.b, port: 1}",
            "either envoyExtAuthzHttp or envoyExtAuthzGrpc",
        ),
    ] {
        let (read, warnings) = config_of(&format!(
            "trustDomain: td\nextensionProviders: [{{name: x, {provider}}}]"
        ));
        let config = read.expect("a MeshConfig");
        assert_eq!(config.trust_domain, "td");
        let error = config.authorizers["x"].clone().expect_err(provider);
        assert!(error.contains(reason), "{provider}: {error}");
        assert!(
            matches!(&*warnings, [it] if it.contains("policies that name it close what they are attached to")),
            "{provider}: {warnings:?}"
        );
    }
}

#[test]
fn of_two_with_one_name_none_is_asked() {
    let one = "{name: x, envoyExtAuthzGrpc: {service: a.b, port: 1}}";
    let (read, warnings) = config_of(&format!("extensionProviders: [{one}, {one}]"));
    let error = read.unwrap().authorizers["x"].clone().expect_err("two");
    assert_eq!(error, "several providers have this name");
    assert_eq!(warnings.len(), 1);
    let (read, warnings) =
        config_of("extensionProviders: [{envoyExtAuthzGrpc: {service: a.b, port: 1}}]");
    assert_eq!(read.unwrap().authorizers.len(), 0);
    assert!(warnings[0].contains("without a name"), "{warnings:?}");
}
