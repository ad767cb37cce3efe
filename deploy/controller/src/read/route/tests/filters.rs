//! Every filter.

use std::{collections::BTreeSet, time::Duration};

use super::{grpc, regex, rule, service, text};
use crate::objects::{
    Cors, CorsOrigin, HeaderEdit, Share, StringMatch, UnmatchedPreflights,
    route::{Filter, PathChange, RequestMirror, RequestRedirect, UrlRewrite},
};

/// The one filter of a rule.
fn filter(fields: &str) -> Filter {
    let mut rule = rule(&format!("filters: [{{{fields}}}]"));
    rule.filters.pop().expect("a filter")
}

#[test]
fn headers_are_changed() {
    let edit = HeaderEdit {
        set: [(text("a"), text("b"))].into(),
        add: [(text("c"), text("d"))].into(),
        remove: BTreeSet::from([text("e")]),
    };
    let fields = "{set: [{name: A, value: b}], add: [{name: c, value: d}], remove: [E]}";
    assert_eq!(
        filter(&format!(
            "type: RequestHeaderModifier, requestHeaderModifier: {fields}"
        )),
        Filter::RequestHeaders(edit.clone())
    );
    assert_eq!(
        filter(&format!(
            "type: ResponseHeaderModifier, responseHeaderModifier: {fields}"
        )),
        Filter::ResponseHeaders(edit)
    );
}

#[test]
fn mirrors_have_shares_of_either_form() {
    for (fields, parts) in [
        ("", 1_000_000),
        (", percent: 0", 0),
        (", percent: 42", 420_000),
        (", fraction: {numerator: 5}", 50_000),
        (", fraction: {numerator: 1, denominator: 3}", 333_333),
        (
            ", fraction: {numerator: 2147483647, denominator: 2147483647}",
            1_000_000,
        ),
    ] {
        assert_eq!(
            filter(&format!(
                "type: RequestMirror, requestMirror: {{backendRef: {{name: a, port: 1}}{fields}}}"
            )),
            Filter::Mirror(RequestMirror {
                backend: service("a", 1),
                share: Share::of_million(parts),
            }),
            "{fields}"
        );
    }
}

#[test]
fn redirects_and_rewrites_are_read() {
    assert_eq!(
        filter("type: RequestRedirect, requestRedirect: {}"),
        Filter::Redirect(RequestRedirect {
            scheme: None,
            hostname: None,
            path: None,
            port: None,
            code: 302,
        })
    );
    assert_eq!(
        filter(
            "type: RequestRedirect, requestRedirect: {scheme: https, hostname: A.b, path: {type: ReplacePrefixMatch, replacePrefixMatch: /c}, port: 8443, statusCode: 307}"
        ),
        Filter::Redirect(RequestRedirect {
            scheme: Some(text("https")),
            hostname: Some(text("a.b")),
            path: Some(PathChange::Prefix(text("/c"))),
            port: Some(8443),
            code: 307,
        })
    );
    assert_eq!(
        filter(
            "type: URLRewrite, urlRewrite: {hostname: a, path: {type: ReplaceFullPath, replaceFullPath: /}}"
        ),
        Filter::Rewrite(UrlRewrite {
            hostname: Some(text("a")),
            path: Some(PathChange::Full(text("/"))),
        })
    );
    // An empty prefix takes the old one away.
    assert_eq!(
        filter(
            "type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: ''}}"
        ),
        Filter::Rewrite(UrlRewrite {
            hostname: None,
            path: Some(PathChange::Prefix(String::new())),
        })
    );
}

#[test]
fn cors_is_read() {
    let exact = |origin: &str| CorsOrigin::Match(StringMatch::Exact(text(origin)));
    assert_eq!(
        filter(
            "type: CORS, cors: {allowOrigins: ['https://a.example:8443', 'https://*.b.example', '*'], allowMethods: [GET], allowHeaders: [X-A], exposeHeaders: ['*'], maxAge: 60, allowCredentials: true}"
        ),
        Filter::Cors(Cors {
            origins: vec![
                exact("https://a.example:8443"),
                CorsOrigin::Match(regex(r"https://[^/:]+\.b\.example")),
                CorsOrigin::Any,
            ],
            methods: BTreeSet::from([text("GET")]),
            headers: BTreeSet::from([text("x-a")]),
            expose_headers: BTreeSet::from([text("*")]),
            max_age: Some(Duration::from_mins(1)),
            credentials: true,
            unmatched_preflights: UnmatchedPreflights::Ignore,
        })
    );
    let below = mesh::route::Pattern::new(r"https://[^/:]+\.b\.example").expect("a regex");
    assert!(below.matches(b"https://a.b.example"));
    assert!(!below.matches(b"https://b.example"));
    assert!(!below.matches(b"https://evil/.b.example"));
    let Filter::Cors(cors) = filter("type: CORS, cors: {}") else {
        panic!("another filter")
    };
    assert_eq!(cors.max_age, Some(Duration::from_secs(5)));
}

#[test]
fn what_is_not_supported_is_kept() {
    let unsupported = |kind: &str| Filter::Unsupported { kind: text(kind) };
    let of = |body: &str| {
        let (read, _) = super::HTTP.read(body);
        let Ok(crate::objects::Object::HttpRoute(route)) = read else {
            panic!("{read:?}")
        };
        route.rules[0].filters.clone()
    };
    assert_eq!(
        of(
            "spec: {rules: [{filters: [{type: ExtensionRef, extensionRef: {group: g, kind: K, name: n}}, {type: ExternalAuth, externalAuth: {protocol: GRPC}}]}]}"
        ),
        [unsupported("ExtensionRef"), unsupported("ExternalAuth")]
    );
}

#[test]
fn backends_and_grpc_have_filters_of_their_own() {
    let rule = rule(
        "backendRefs: [{name: a, port: 1, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [x]}}]}]",
    );
    let remove = Filter::ResponseHeaders(HeaderEdit {
        remove: BTreeSet::from([text("x")]),
        ..HeaderEdit::default()
    });
    assert_eq!(rule.backends[0].filters, std::slice::from_ref(&remove));
    let route = grpc(
        "spec: {rules: [{filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [x]}}]}]}",
    );
    assert_eq!(route.rules[0].filters, [remove]);
}
