//! The two EnvoyFilters that are read (EX-01): as people wrote them for sidecars and gateways, but for their target; and that every other
//! field refuses the whole object by name, so that nothing of it holds.

use anyhow::{Context as _, Result, ensure};
use suites::plane::{findings, wait_condition};
use suites::waypoint::{Ground, manifest};

const TARGET: &str =
    "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}]\n";

/// A rate limit, as blogs have it: with the type of the protobuf, and as a TypedStruct.
const TYPED: &str = "configPatches:
- applyTo: HTTP_FILTER
  match:
    context: SIDECAR_INBOUND
    listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}}}
  patch:
    operation: INSERT_BEFORE
    value:
      name: envoy.filters.http.local_ratelimit
      typed_config:
        '@type': type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
        stat_prefix: limiter
        token_bucket: {max_tokens: 3, tokens_per_fill: 3, fill_interval: 86400s}
        filter_enabled: {runtime_key: enabled, default_value: {numerator: 100, denominator: HUNDRED}}
        filter_enforced: {runtime_key: enforced, default_value: {numerator: 100, denominator: HUNDRED}}
        response_headers_to_add: [{append: false, header: {key: x-local-rate-limit, value: 'true'}}]
";

const TYPED_STRUCT: &str = "configPatches:
- applyTo: HTTP_FILTER
  match:
    context: SIDECAR_INBOUND
    listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}
  patch:
    operation: INSERT_BEFORE
    value:
      name: envoy.filters.http.local_ratelimit
      typed_config:
        '@type': type.googleapis.com/udpa.type.v1.TypedStruct
        type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
        value:
          stat_prefix: limiter
          token_bucket: {max_tokens: 4, tokens_per_fill: 4, fill_interval: 86400s}
          filter_enabled: {runtime_key: enabled, default_value: {numerator: 100, denominator: HUNDRED}}
          filter_enforced: {runtime_key: enforced, default_value: {numerator: 100, denominator: HUNDRED}}
          response_headers_to_add: [{append: false, header: {key: x-local-rate-limit, value: 'true'}}]
";

const PROXY_PROTOCOL: &str = "- applyTo: LISTENER
  match: {context: GATEWAY}
  patch:
    operation: MERGE
    value:
      listener_filters:
      - name: envoy.filters.listener.proxy_protocol
        typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol}
      - name: envoy.filters.listener.tls_inspector
";

fn filter(name: &str, patches: &str) -> String {
    let spec = format!("{TARGET}{patches}");
    manifest("networking.istio.io/v1alpha3", "EnvoyFilter", name, &spec)
}

/// How many of ten requests to two services pass.
fn pass(ground: &Ground) -> Result<usize> {
    let one = ground.get("/").count(5)?;
    let other = ground.get("/").to("web-v1", 80).count(5)?;
    let (passed, refused) = (one.of("v") + other.of("v"), one.of("429") + other.of("429"));
    ensure!(passed + refused == 10, "{one:?}, {other:?}");
    Ok(passed)
}

#[test]
fn two_shapes_of_envoy_filters_are_in_force() -> Result<()> {
    let Some(ground) = Ground::builder("filters").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        for (name, patches, expected) in [("typed", TYPED, 3), ("struct", TYPED_STRUCT, 4)] {
            ground.apply("filter", &filter(name, patches))?;
            ensure!(pass(&ground)? == expected, "{name}");
            let answer = ground.get("/told").send()?;
            ensure!((answer.status, answer.text().as_str()) == (429, "local_rate_limited"), "{answer:?}");
            ensure!(answer.header("x-local-rate-limit").as_deref() == Some("true"), "{answer:?}");
            let object = format!("EnvoyFilter shop/{name}");
            let controller = ground.lab.controller()?;
            let condition = wait_condition(&controller, &object, "WaypointAccepted")?;
            ensure!(condition["status"] == "True", "{condition}");
        }
        let line = ground.access_lines("/told", 2)?;
        ensure!(line.iter().all(|it| it.flags == "RL" && it.details == "local_rate_limited"), "{line:?}");

        // With the listener filter beside it nothing is in force until somebody says whose PROXY headers count; not the limit, either.
        ground.try_apply("filter", &filter("both", &format!("{TYPED}{PROXY_PROTOCOL}")))?;
        let controller = ground.lab.controller()?;
        let condition = wait_condition(&controller, "EnvoyFilter shop/both", "WaypointAccepted")?;
        ensure!(condition["status"] == "False" && condition["reason"] == "UnsupportedValue", "{condition}");
        ensure!(pass(&ground)? == 10);

        let peers = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}]\n\
                     clientAddress: {trustedPeers: [cluster.local/ns/town/sa/guest]}";
        ground.apply("peers", &manifest("ambit.dev/v1alpha1", "TrafficPolicy", "peers", peers))?;
        lab::eventually("the condition", suites::policy::PATIENCE, || {
            let condition = wait_condition(&controller, "EnvoyFilter shop/both", "WaypointAccepted")?;
            ensure!(condition["status"] == "True", "{condition}");
            Ok(())
        })?;
        ensure!(pass(&ground)? == 3);
        // And who is named must begin with a PROXY header from now on.
        let refused = ground.get("/guest").from("guest").send();
        ensure!(refused.is_err(), "{refused:?}");
        // curl speaks version 1 of its own accord.
        let answer = ground.get("/guest").from("guest").arg("--haproxy-protocol").send()?;
        ensure!(answer.status == 429, "{answer:?}");
        Ok(())
    })
}

/// What somebody could write, and what its finding names.
fn strangers() -> Vec<(&'static str, String, &'static str)> {
    let typed = |from: &str, to: &str| TYPED.replace(from, to);
    let in_limit = |field: &str| {
        typed(
            "        stat_prefix: limiter\n",
            &format!("        stat_prefix: limiter\n        {field}\n"),
        )
    };
    vec![
        ("remove", typed("INSERT_BEFORE", "REMOVE"), "operation"),
        ("merge", typed("INSERT_BEFORE", "MERGE"), "operation"),
        ("replace", typed("INSERT_BEFORE", "REPLACE"), "operation"),
        ("add", typed("INSERT_BEFORE", "ADD"), "operation"),
        (
            "after-router",
            typed("INSERT_BEFORE", "INSERT_AFTER"),
            "operation",
        ),
        ("cluster", typed("HTTP_FILTER", "CLUSTER"), "applyTo"),
        ("route", typed("HTTP_FILTER", "HTTP_ROUTE"), "applyTo"),
        (
            "lua",
            typed(
                "envoy.filters.http.local_ratelimit\n",
                "envoy.filters.http.lua\n",
            ),
            "name",
        ),
        (
            "outbound",
            typed("SIDECAR_INBOUND", "SIDECAR_OUTBOUND"),
            "context",
        ),
        (
            "port",
            typed(
                "listener: {filterChain",
                "listener: {portNumber: 80, filterChain",
            ),
            "portNumber",
        ),
        (
            "proxy",
            typed(
                "    context: SIDECAR_INBOUND\n",
                "    context: SIDECAR_INBOUND\n    proxy: {proxyVersion: ^1}\n",
            ),
            "proxy",
        ),
        (
            "class",
            typed(
                "    operation: INSERT_BEFORE\n",
                "    operation: INSERT_BEFORE\n    filterClass: AUTHZ\n",
            ),
            "filterClass",
        ),
        ("priority", format!("priority: 10\n{TYPED}"), "priority"),
        (
            "selector",
            format!("workloadSelector: {{labels: {{app: web}}}}\n{TYPED}"),
            "workloadSelector",
        ),
        (
            "other-type",
            typed("v3.LocalRateLimit", "v2.LocalRateLimit"),
            "@type",
        ),
        (
            "descriptors",
            in_limit(
                "descriptors: [{entries: [{key: a, value: b}], token_bucket: {max_tokens: 1, fill_interval: 60s}}]",
            ),
            "descriptors",
        ),
        (
            "per-connection",
            in_limit("local_rate_limit_per_downstream_connection: true"),
            "local_rate_limit_per_downstream_connection",
        ),
        (
            "request-headers",
            in_limit("request_headers_to_add_when_not_enforced: [{header: {key: a, value: b}}]"),
            "request_headers_to_add_when_not_enforced",
        ),
        ("stage", in_limit("stage: 1"), "stage"),
        (
            "x-headers",
            in_limit("enable_x_ratelimit_headers: DRAFT_VERSION_03"),
            "enable_x_ratelimit_headers",
        ),
        (
            "misspelt",
            typed("token_bucket", "token_buckets"),
            "token_buckets",
        ),
        (
            "no-tokens",
            typed("max_tokens: 3", "max_tokens: 0"),
            "max_tokens",
        ),
        (
            "two",
            format!(
                "{TYPED}{}",
                PROXY_PROTOCOL.replace("listener.tls_inspector", "listener.http_inspector")
            ),
            "name",
        ),
        (
            "allow-without",
            format!(
                "{TYPED}{}",
                PROXY_PROTOCOL.replace(
                    "v3.ProxyProtocol}",
                    "v3.ProxyProtocol, allow_requests_without_proxy_protocol: true}"
                )
            ),
            "allow_requests_without_proxy_protocol",
        ),
        (
            "listener-field",
            format!(
                "{TYPED}{}",
                PROXY_PROTOCOL.replace(
                    "      listener_filters:\n",
                    "      use_original_dst: true\n      listener_filters:\n"
                )
            ),
            "use_original_dst",
        ),
        (
            "typed-struct",
            TYPED_STRUCT.replace(
                "          stat_prefix: limiter\n",
                "          stat_prefix: limiter\n          stage: 0\n",
            ),
            "stage",
        ),
    ]
}

#[test]
fn any_other_field_refuses_an_envoy_filter_by_name_and_nothing_of_it_holds() -> Result<()> {
    let Some(ground) = Ground::builder("strangers").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let strangers = strangers();
        let all: String = strangers
            .iter()
            .map(|(name, patches, _)| filter(name, patches))
            .collect();
        ground.try_apply("strangers", &all)?;
        let controller = ground.lab.controller()?;
        for (name, patches, field) in &strangers {
            let object = format!("EnvoyFilter shop/{name}:");
            let found = findings(&controller, &[&object])?;
            let (refused, text) = found
                .first()
                .with_context(|| format!("no finding of {name}: {patches}"))?;
            ensure!(*refused && found.len() == 1, "{name}: {found:?}");
            ensure!(text.contains(field), "{name} does not name {field}: {text}");
        }
        ensure!(pass(&ground)? == 10, "one of them is in force");

        // What was good before stays whole when it is made worse, and what is mended holds.
        ground.apply("strangers", &filter("descriptors", TYPED))?;
        let worse = strangers.iter().find(|(name, ..)| *name == "descriptors");
        let (_, worse, _) = worse.context("it is in the list")?;
        ground.try_apply("strangers", &filter("descriptors", worse))?;
        ensure!(pass(&ground)? == 3);
        Ok(())
    })
}
