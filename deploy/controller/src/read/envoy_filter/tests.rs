//! The two shapes, and everything that is none of them.

use std::time::Duration;

use crate::{
    objects::{
        EnvoyFilter, LocalRateLimit, Object, Patch, Share, traffic_policy::limit::TokenBucket,
    },
    read::testkit::Head,
};

const HEAD: Head = Head("networking.istio.io/v1alpha3", "EnvoyFilter");

const TARGETS: &str = "  targetRefs:
  - {group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}
";

/// The rate limit of S1, as it is written for sidecars, but for its target.
const TYPED_STRUCT: &str = "  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener:
        filterChain:
          filter:
            name: envoy.filters.network.http_connection_manager
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          '@type': type.googleapis.com/udpa.type.v1.TypedStruct
          type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          value:
            stat_prefix: http_local_rate_limiter
            token_bucket:
              max_tokens: 100
              tokens_per_fill: 100
              fill_interval: 60s
            filter_enabled:
              runtime_key: local_rate_limit_enabled
              default_value:
                numerator: 100
                denominator: HUNDRED
            filter_enforced:
              runtime_key: local_rate_limit_enforced
              default_value:
                numerator: 100
                denominator: HUNDRED
            response_headers_to_add:
              - append: false
                header:
                  key: x-local-rate-limit
                  value: 'true'
";

/// The listener of S0.
const PROXY_PROTOCOL: &str = "  configPatches:
  - applyTo: LISTENER
    match: {context: GATEWAY}
    patch:
      operation: MERGE
      value:
        listener_filters:
        - name: envoy.filters.listener.proxy_protocol
        - name: envoy.filters.listener.tls_inspector
";

fn spec(patches: &str) -> String {
    format!("spec:\n{TARGETS}{patches}")
}

fn good(patches: &str) -> EnvoyFilter {
    let Object::EnvoyFilter(filter) = HEAD.good(&spec(patches)) else {
        panic!("another kind")
    };
    (*filter).clone()
}

fn expected() -> LocalRateLimit {
    LocalRateLimit {
        stat_prefix: "http_local_rate_limiter".to_owned(),
        bucket: TokenBucket {
            max_tokens: 100,
            tokens_per_fill: 100,
            fill_interval: Duration::from_mins(1),
        },
        status: 429,
        enabled: Share::ALL,
        enforced: Share::ALL,
        response_headers: vec![("x-local-rate-limit".to_owned(), "true".to_owned())],
        resource_exhausted: false,
    }
}

#[test]
fn a_local_rate_limit_is_read_in_both_spellings() {
    let filter = good(TYPED_STRUCT);
    assert_eq!(filter.patches, [Patch::LocalRateLimit(expected())]);
    assert_eq!(filter.targets.len(), 1);
    assert_eq!(
        good(&TYPED_STRUCT.replace("udpa.type.v1", "xds.type.v3")).patches,
        filter.patches
    );
    let typed = "  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: WAYPOINT, waypoint: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}}}
    patch:
      operation: INSERT_FIRST
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          stat_prefix: s
          token_bucket: {max_tokens: 7, fill_interval: 0.5s}
          status: {code: ServiceUnavailable}
          rate_limited_as_resource_exhausted: true
          filter_enabled: {default_value: {numerator: 5, denominator: TEN_THOUSAND}}
          filter_enforced: {default_value: {numerator: 200}}
";
    let expected = LocalRateLimit {
        stat_prefix: "s".to_owned(),
        bucket: TokenBucket {
            max_tokens: 7,
            tokens_per_fill: 1,
            fill_interval: Duration::from_millis(500),
        },
        status: 503,
        enabled: Share::of_million(500),
        enforced: Share::ALL,
        response_headers: Vec::new(),
        resource_exhausted: true,
    };
    assert_eq!(good(typed).patches, [Patch::LocalRateLimit(expected)]);
}

#[test]
fn shares_that_are_absent_are_none_as_in_envoy() {
    let text = "  configPatches:
  - applyTo: HTTP_FILTER
    patch: {operation: INSERT_BEFORE, value: {name: envoy.filters.http.local_ratelimit, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, stat_prefix: s, token_bucket: {max_tokens: 1, fill_interval: 1s}}}}
";
    let filter = good(text);
    let limit = filter.limits().next().expect("a limit");
    assert_eq!((limit.enabled, limit.enforced), (Share::NONE, Share::NONE));
}

#[test]
fn the_proxy_protocol_is_read() {
    let filter = good(PROXY_PROTOCOL);
    assert_eq!(filter.patches, [Patch::ProxyProtocol]);
    assert!(filter.has_proxy_protocol());
    let alone = PROXY_PROTOCOL.replace(
        "        - name: envoy.filters.listener.tls_inspector\n",
        "          typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol}\n",
    );
    assert_eq!(good(&alone).patches, [Patch::ProxyProtocol]);
    let without_match = PROXY_PROTOCOL.replace("    match: {context: GATEWAY}\n", "");
    assert_eq!(good(&without_match).patches, [Patch::ProxyProtocol]);
}

#[test]
fn both_in_one_object_are_read() {
    let second = PROXY_PROTOCOL.strip_prefix("  configPatches:\n").unwrap();
    let filter = good(&format!("{TYPED_STRUCT}{second}"));
    assert_eq!(filter.patches.len(), 2);
}

/// What comes of one change of a good object: whatever it is, all of it is refused, and the field is named.
#[test]
fn any_other_field_or_patch_refuses_all_of_it() {
    let limit = [
        (
            "stat_prefix: http_local_rate_limiter",
            "stat_prefix: ''",
            "value.stat_prefix",
        ),
        (
            "            stat_prefix: http_local_rate_limiter\n",
            "",
            "value.stat_prefix",
        ),
        (
            "max_tokens: 100",
            "max_tokens: 0",
            "value.token_bucket.max_tokens",
        ),
        (
            "tokens_per_fill: 100",
            "tokens_per_fill: 0",
            "value.token_bucket.tokens_per_fill",
        ),
        (
            "fill_interval: 60s",
            "fill_interval: 0.04s",
            "value.token_bucket.fill_interval",
        ),
        (
            "fill_interval: 60s",
            "fill_interval: 1m",
            "value.token_bucket.fill_interval",
        ),
        (
            "fill_interval: 60s",
            "fill_interval: 100ms",
            "value.token_bucket.fill_interval",
        ),
        (
            "            token_bucket:\n",
            "            descriptors: []\n            token_bucket:\n",
            "value.descriptors",
        ),
        (
            "            token_bucket:\n",
            "            enable_x_ratelimit_headers: DRAFT_VERSION_03\n            token_bucket:\n",
            "value.enable_x_ratelimit_headers",
        ),
        (
            "            token_bucket:\n",
            "            local_rate_limit_per_downstream_connection: true\n            token_bucket:\n",
            "value.local_rate_limit_per_downstream_connection",
        ),
        (
            "            token_bucket:\n",
            "            request_headers_to_add_when_not_enforced: []\n            token_bucket:\n",
            "value.request_headers_to_add_when_not_enforced",
        ),
        (
            "            token_bucket:\n",
            "            status: {code: 200}\n            token_bucket:\n",
            "value.status.code",
        ),
        (
            "            token_bucket:\n",
            "            statPrefix: a\n            token_bucket:\n",
            "value.statPrefix",
        ),
        (
            "denominator: HUNDRED",
            "denominator: TEN",
            "value.filter_enabled.default_value.denominator",
        ),
        (
            "              default_value:\n",
            "              percent: 1\n              default_value:\n",
            "value.filter_enabled.percent",
        ),
        (
            "value: 'true'",
            "value: '%REQ(x)%'",
            "value.response_headers_to_add[0].header.value",
        ),
        (
            "key: x-local-rate-limit",
            "key: content-length",
            "value.response_headers_to_add[0].header.key",
        ),
        (
            "key: x-local-rate-limit",
            "key: content-type",
            "value.response_headers_to_add[0].header.key",
        ),
        (
            "append: false",
            "keep_empty_value: true",
            "value.response_headers_to_add[0].keep_empty_value",
        ),
        (
            "v3.LocalRateLimit",
            "v3.LocalRateLimitPerRoute",
            "typed_config.type_url",
        ),
        (
            "udpa.type.v1.TypedStruct",
            "google.protobuf.Struct",
            "typed_config[\"@type\"]",
        ),
        (
            "          '@type': type.googleapis.com/udpa.type.v1.TypedStruct\n",
            "",
            "typed_config[\"@type\"]",
        ),
        (
            "name: envoy.filters.http.local_ratelimit",
            "name: envoy.filters.http.ratelimit",
            "patch.value.name",
        ),
        (
            "name: envoy.filters.http.local_ratelimit",
            "name: envoy.filters.http.lua",
            "patch.value.name",
        ),
        (
            "        name: envoy.filters.http.local_ratelimit\n",
            "        name: envoy.filters.http.local_ratelimit\n        disabled: true\n",
            "patch.value.disabled",
        ),
        (
            "operation: INSERT_BEFORE",
            "operation: INSERT_AFTER",
            "patch.operation",
        ),
        (
            "operation: INSERT_BEFORE",
            "operation: MERGE",
            "patch.operation",
        ),
        (
            "operation: INSERT_BEFORE",
            "operation: ADD",
            "patch.operation",
        ),
        (
            "operation: INSERT_BEFORE",
            "operation: REPLACE",
            "patch.operation",
        ),
        (
            "operation: INSERT_BEFORE",
            "operation: REMOVE",
            "patch.operation",
        ),
        (
            "operation: INSERT_BEFORE",
            "operation: INSERT_BEFORE\n      filterClass: AUTHZ",
            "patch.filterClass",
        ),
        (
            "context: SIDECAR_INBOUND",
            "context: SIDECAR_OUTBOUND",
            "match.context",
        ),
        (
            "context: SIDECAR_INBOUND",
            "context: ANY\n      proxy: {proxyVersion: '^1'}",
            "match.proxy",
        ),
        (
            "context: SIDECAR_INBOUND",
            "context: ANY\n      cluster: {}",
            "match.cluster",
        ),
        (
            "      listener:\n",
            "      listener:\n        portNumber: 8080\n",
            "match.listener.portNumber",
        ),
        (
            "        filterChain:\n",
            "        filterChain:\n          sni: a\n",
            "match.listener.filterChain.sni",
        ),
        (
            "name: envoy.filters.network.http_connection_manager",
            "name: envoy.filters.network.tcp_proxy",
            "match.listener.filterChain.filter.name",
        ),
        (
            "            name: envoy.filters.network.http_connection_manager\n",
            "            name: envoy.filters.network.http_connection_manager\n            subFilter: {name: envoy.filters.http.cors}\n",
            "match.listener.filterChain.filter.subFilter.name",
        ),
        (
            "applyTo: HTTP_FILTER",
            "applyTo: HTTP_ROUTE",
            "configPatches[0].applyTo",
        ),
        (
            "applyTo: HTTP_FILTER",
            "applyTo: CLUSTER",
            "configPatches[0].applyTo",
        ),
        (
            "applyTo: HTTP_FILTER",
            "applyTo: LISTENER",
            "configPatches[0].match.listener.filterChain",
        ),
    ];
    let listener = [
        ("operation: MERGE", "operation: ADD", "patch.operation"),
        (
            "listener_filters:",
            "per_connection_buffer_limit_bytes: 1\n        listener_filters:",
            "value.per_connection_buffer_limit_bytes",
        ),
        (
            "        - name: envoy.filters.listener.proxy_protocol\n",
            "",
            "value.listener_filters",
        ),
        (
            "name: envoy.filters.listener.tls_inspector",
            "name: envoy.filters.listener.proxy_protocol",
            "value.listener_filters",
        ),
        (
            "name: envoy.filters.listener.tls_inspector",
            "name: envoy.filters.listener.http_inspector",
            "value.listener_filters[1].name",
        ),
        (
            "        - name: envoy.filters.listener.tls_inspector",
            "          typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol, allow_requests_without_proxy_protocol: true}",
            "listener_filters[0].typed_config.allow_requests_without_proxy_protocol",
        ),
        (
            "match: {context: GATEWAY}",
            "match: {context: GATEWAY, listener: {portNumber: 80}}",
            "match.listener.portNumber",
        ),
    ];
    let all = limit.iter().map(|it| (TYPED_STRUCT, it));
    let all = all.chain(listener.iter().map(|it| (PROXY_PROTOCOL, it)));
    for (of, (from, to, field)) in all {
        let changed = of.replacen(from, to, 1);
        assert_ne!(changed, of, "{from}");
        let error = HEAD.read(&spec(&changed)).0.expect_err(to);
        let named = error.split(": ").nth(1).unwrap_or_default();
        assert!(named.ends_with(field), "{to}: {error}");
        // A good patch beside it does not help.
        let beside = PROXY_PROTOCOL.strip_prefix("  configPatches:\n").unwrap();
        assert!(HEAD.read(&spec(&format!("{changed}{beside}"))).0.is_err());
    }
}

#[test]
fn only_gateways_are_targets() {
    let with = |targets: &str| format!("spec:\n{targets}{PROXY_PROTOCOL}");
    HEAD.refused(&[
        (&with(""), "5:3: spec.targetRefs: missing, expected a list of at least one Gateway of gateway.networking.k8s.io"),
        (&with("  targetRefs: []\n"), "5:15: spec.targetRefs: found a list of 0, expected a list of at least one Gateway of gateway.networking.k8s.io"),
        (&with("  workloadSelector: {labels: {app: a}}\n"), "5:21: spec.workloadSelector: found a mapping of 1, expected none: waypoints are named by targetRefs, and no other proxy takes an EnvoyFilter"),
        (&with("  targetRefs: [{kind: Service, name: a}]\n"), "5:16: spec.targetRefs[0].group: missing, expected a reference with group, kind and name"),
        (&with("  targetRefs: [{group: gateway.networking.k8s.io, kind: GatewayClass, name: a}]\n"), "5:57: spec.targetRefs[0].kind: found \"GatewayClass\", expected Gateway"),
        (&with("  priority: 1\n"), "5:3: spec.priority: unknown field, expected one of configPatches, targetRefs, workloadSelector"),
    ]);
    HEAD.refused(&[(
        "spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}], configPatches: []}",
        "4:97: spec.configPatches: found a list of 0, expected a list of at least one patch",
    )]);
}

#[test]
fn no_text_is_too_strange() {
    HEAD.mangled(&spec(TYPED_STRUCT));
    HEAD.mangled(&spec(PROXY_PROTOCOL));
}
