//! The policies of S1 on one path: strict mutual TLS, nobody unless allowed, who may do what by service account, a release for testers by header,
//! and the local rate limit as it is written for Envoy.

use anyhow::{Result, ensure};
use lab::{PodSpec, eventually};
use suites::balancer::Visit;
use suites::policy::PATIENCE;
use suites::waypoint::{
    Ground, HTTP, authorization_policy, destination_rule, manifest, virtual_service,
};

const GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}";

/// Who may do what.
const FRONTEND: &str = "
    targetRefs: [{kind: Service, group: '', name: web}]
    rules:
    - from: [{source: {principals: [cluster.local/ns/shop/sa/client]}}]
      to: [{operation: {methods: [GET, POST], paths: ['/api/*']}}]
";

/// Testers may see the new release; so may nobody else who says so.
const TESTERS: &str = "
    targetRefs: [{kind: Service, group: '', name: web}]
    action: DENY
    rules:
    - from: [{source: {notNamespaces: [qa]}}]
      when: [{key: 'request.headers[x-release]', values: ['*']}]
";

const OPERATIONS: &str = "
    targetRefs: [{kind: Service, group: '', name: web}]
    rules:
    - from: [{source: {namespaces: [qa]}}]
    - from: [{source: {namespaces: [ops]}}]
      to: [{operation: {paths: [/admin, '/admin/{**}']}}]
";

/// The limit of S1, but for its target.
const LIMIT: &str = "
    targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}]
    configPatches:
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
              stat_prefix: http_local_rate_limiter
              token_bucket: {max_tokens: 100, tokens_per_fill: 100, fill_interval: 60s}
              filter_enabled: {runtime_key: local_rate_limit_enabled, default_value: {numerator: 100, denominator: HUNDRED}}
              filter_enforced: {runtime_key: local_rate_limit_enforced, default_value: {numerator: 100, denominator: HUNDRED}}
              response_headers_to_add:
              - {append: false, header: {key: x-local-rate-limit, value: 'true'}}
";

#[test]
fn the_policies_of_s1_hold_together() -> Result<()> {
    let builder = Ground::builder("s1")
        .pod(PodSpec::new("tester").namespace("qa"))
        .pod(PodSpec::new("operator").namespace("ops"))
        .pod(PodSpec::new("stranger").namespace("town").not_enrolled());
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let status = |from: &str, method: &str, path: &str| {
            let request = ground.get(path).from(from).method(method);
            anyhow::Ok(request.send()?.status)
        };
        // Strict: who has no certificate reaches no pod.
        let pod = (ground.pod("v1a").ip4(), 8080);
        let plain = || Visit::new(&ground.pod("stranger"), pod).send("/plain");
        ensure!(plain()?.status == 200);
        let strict = manifest(
            "security.istio.io/v1",
            "PeerAuthentication",
            "default",
            "mtls: {mode: STRICT}\n",
        );
        ground.apply("strict", &strict)?;
        eventually("plain text refused", PATIENCE, || {
            let seen = plain()?;
            ensure!(seen.status == 0, "{seen:?}");
            Ok(())
        })?;
        ensure!(status("client", "GET", "/api/x")? == 200);

        // Nobody, and then who is named.
        ground.apply(
            "nobody",
            &authorization_policy("nobody", &format!("targetRefs: [{GATEWAY}]\n")),
        )?;
        for from in ["client", "guest", "tester", "operator"] {
            ensure!(status(from, "GET", "/api/x")? == 403, "{from}");
        }
        ground.apply("frontend", &authorization_policy("frontend", FRONTEND))?;
        ground.apply(
            "operations",
            &authorization_policy("operations", OPERATIONS),
        )?;
        let expected = [
            ("client", "GET", "/api/x", 200),
            ("client", "POST", "/api/x", 200),
            ("client", "DELETE", "/api/x", 403),
            ("client", "GET", "/admin", 403),
            ("client", "GET", "/api/../admin", 403),
            ("operator", "GET", "/admin/a/b", 200),
            ("operator", "DELETE", "/admin", 200),
            ("operator", "GET", "/api/x", 403),
            ("guest", "GET", "/api/x", 403),
            ("tester", "GET", "/anything", 200),
        ];
        for (from, method, path, wanted) in expected {
            let found = status(from, method, path)?;
            ensure!(found == wanted, "{from} {method} {path}: {found}");
        }

        // A release that a header leads to, and that not everybody may ask for.
        ground.apply(
            "subsets",
            &destination_rule(
                "web",
                "
            subsets:
            - {name: v1, labels: {version: v1}}
            - {name: v2, labels: {version: v2}}
        ",
            ),
        )?;
        ground.apply(
            "release",
            &virtual_service(
                "web",
                "
            http:
            - match: [{headers: {x-release: {exact: next}}}]
              route: [{destination: {host: web, subset: v2}}]
            - route: [{destination: {host: web, subset: v1}}]
        ",
            ),
        )?;
        ground.apply("testers", &authorization_policy("testers", TESTERS))?;
        let next = |from: &str| {
            ground
                .get("/api/x")
                .from(from)
                .header("x-release: next")
                .send()
        };
        ensure!(next("tester")?.pod().starts_with("v2"));
        for from in ["client", "operator", "guest"] {
            ensure!(next(from)?.status == 403, "{from}");
        }
        let counts = ground.get("/api/x").count(20)?;
        ensure!(counts.of("v1") == 20, "{counts:?}");

        // The limit counts whom policies let in, and nobody else: refusals take no token.
        ground.apply(
            "limit",
            &manifest(
                "networking.istio.io/v1alpha3",
                "EnvoyFilter",
                "limit",
                LIMIT,
            ),
        )?;
        let refused = ground.get("/api/x").from("guest").count(40)?;
        ensure!(refused.of("403") == 40, "{refused:?}");
        let counts = ground.get("/api/x").count(120)?;
        let (passed, limited) = (counts.of("v1"), counts.of("429"));
        ensure!(passed + limited == 120, "{counts:?}");
        // A bucket of a hundred, and what a minute brings if this took so long.
        ensure!((100..=102).contains(&passed), "{counts:?}");
        let answer = ground.get("/api/x?limited").to("web", HTTP).send()?;
        ensure!(answer.status == 429, "{answer:?}");
        ensure!(answer.text() == "local_rate_limited", "{answer:?}");
        ensure!(
            answer.header("x-local-rate-limit").as_deref() == Some("true"),
            "{answer:?}"
        );
        let line = ground.access("/api/x?limited")?;
        ensure!(line.flags == "RL", "{line:?}");
        // Who may not come is told so, and not that it should wait.
        ensure!(status("guest", "GET", "/api/x")? == 403);
        Ok(())
    })
}
