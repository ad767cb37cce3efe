//! Limits that the waypoint counts itself (RS-14): by route, service, identity, header, claim; what a client is told.
//!
//! Buckets are filled once a day, so that what passes is what they held: no test waits for a fill, none is disturbed by one.

use anyhow::{Context as _, Result, ensure};
use lab::eventually;
use suites::asked::{Issuer, Kind};
use suites::policy::PATIENCE;
use suites::waypoint::{
    Counts, Curl, GRPC, Ground, H2, authorization_policy, request_authentication, virtual_service,
};

use crate::setup::{limits, send_early};

/// What a bucket of three holds.
const THREE: &str = "local: {requests: 3, interval: 24h}";

const ROUTES: &str = "
    http:
    - {name: fast, match: [{uri: {prefix: /route/fast}}], route: [{destination: {host: web}}]}
    - {name: slow, match: [{uri: {prefix: /route/slow}}], route: [{destination: {host: web}}]}
    - {route: [{destination: {host: web}}]}
";

fn of_web() -> String {
    let at = |path: &str| format!("matches: [{{path: {{type: PathPrefix, value: {path}}}}}]");
    let own = "status: 503, responseHeaders: [{name: retry-after, value: '7'}, {name: x-local-rate-limit, value: mine}]";
    limits(
        "web",
        "web",
        &[
            format!("- {{name: by-route, routes: [fast, slow], key: [{{route: true}}], {THREE}}}"),
            format!(
                "- {{name: by-identity, {}, key: [{{identity: true}}], {THREE}}}",
                at("/identity")
            ),
            format!(
                "- {{name: by-address, {}, key: [{{clientAddress: true}}], {THREE}}}",
                at("/address")
            ),
            format!(
                "- {{name: by-header, {}, key: [{{header: x-tenant}}], {THREE}}}",
                at("/header")
            ),
            format!(
                "- {{name: by-two, {}, key: [{{header: x-tenant}}, {{method: true}}], {THREE}}}",
                at("/two")
            ),
            format!(
                "- {{name: by-claim, {}, key: [{{claim: [org, team]}}], {THREE}}}",
                at("/claim")
            ),
            format!(
                "- {{name: by-path, {}, key: [{{path: true}}], {THREE}}}",
                at("/path")
            ),
            format!(
                "- {{name: own, {}, {THREE}, {own}, grpcStatus: RESOURCE_EXHAUSTED}}",
                at("/own")
            ),
            format!("- {{name: plain, {}, {THREE}}}", at("/plain")),
            format!(
                "- {{name: watched, {}, {THREE}, enforced: 0}}",
                at("/watched")
            ),
            format!("- {{name: off, {}, {THREE}, enabled: 0}}", at("/off")),
            format!("- {{name: guarded, {}, {THREE}}}", at("/guarded")),
        ]
        .join("\n"),
    )
}

fn of_waypoint() -> String {
    let matches = "matches: [{path: {type: PathPrefix, value: /service}}]";
    let everything = "matches: [{path: {type: PathPrefix, value: /everything}}]";
    limits(
        "all",
        "waypoint",
        &[
            format!("- {{name: by-service, {matches}, key: [{{service: true}}], {THREE}}}"),
            format!("- {{name: one, {everything}, {THREE}}}"),
        ]
        .join("\n"),
    )
}

#[test]
fn requests_over_a_local_limit_are_told_apart_and_refused() -> Result<()> {
    let builder = Ground::builder("local")
        .manifest("routes", virtual_service("web", ROUTES))
        .manifest("web-limits", of_web())
        .manifest("all-limits", of_waypoint());
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        for scenario in [
            what_tells_requests_apart,
            what_a_client_is_told,
            by_claims,
            shares_and_counts,
            tokens_outlive_changes,
        ] {
            scenario(&ground)?;
        }
        Ok(())
    })
}

/// That so many pass and the others are refused.
fn passed(counts: &Counts, passed: usize) -> Result<()> {
    let all = counts.all();
    let found = (counts.of("v"), counts.of("429"));
    ensure!(
        found == (passed, all - passed),
        "{passed} of {all} were to pass: {counts:?}"
    );
    Ok(())
}

fn what_tells_requests_apart(ground: &Ground) -> Result<()> {
    let sends: Vec<(&str, Curl<'_>, usize)> = vec![
        ("a route", ground.get("/route/fast"), 3),
        ("another", ground.get("/route/slow"), 3),
        (
            "the first again, by another spelling",
            ground.get("/x/../route/%66ast"),
            0,
        ),
        (
            "the first again, in HTTP/2",
            ground.get("/route/fast").http2(),
            0,
        ),
        ("no route of these", ground.get("/route"), 5),
        ("an identity", ground.get("/identity"), 3),
        ("another", ground.get("/identity").from("guest"), 3),
        (
            "the first again, whatever it says",
            ground
                .get("/identity")
                .header("x-forwarded-client-cert: URI=spiffe://x"),
            0,
        ),
        ("an address", ground.get("/address"), 3),
        (
            "the same, whatever it says",
            ground.get("/address").header("x-forwarded-for: 9.9.9.9"),
            0,
        ),
        ("another", ground.get("/address").from("guest"), 3),
        ("a header", ground.get("/header").header("x-tenant: a"), 3),
        (
            "another value",
            ground.get("/header").header("X-Tenant: b"),
            3,
        ),
        (
            "the first again, from elsewhere",
            ground.get("/header").header("x-tenant: a").from("guest"),
            0,
        ),
        (
            "several values",
            ground
                .get("/header")
                .header("x-tenant: a")
                .header("x-tenant: b"),
            3,
        ),
        (
            "an empty value",
            ground.get("/header").header("x-tenant;"),
            3,
        ),
        ("none", ground.get("/header"), 5),
        ("two keys", ground.get("/two").header("x-tenant: a"), 3),
        (
            "another method",
            ground.get("/two").header("x-tenant: a").body("x"),
            3,
        ),
        ("one of two", ground.get("/two"), 5),
        ("a path", ground.get("/path/a"), 3),
        ("another", ground.get("/path/b?query=1"), 3),
        (
            "the first again, with a query",
            ground.get("/path/a?query=1"),
            0,
        ),
        ("a service", ground.get("/service"), 3),
        ("another", ground.get("/service").to("web-v1", 80), 3),
        (
            "the first again, on another port",
            ground.get("/service").to("web", H2).http2(),
            0,
        ),
        ("the waypoint", ground.get("/everything"), 3),
        (
            "the waypoint again",
            ground.get("/everything").to("web-v2", 80),
            0,
        ),
    ];
    for (what, request, expected) in sends {
        let counts = request.count(5).context(what)?;
        passed(&counts, expected).context(what)?;
    }
    Ok(())
}

fn what_a_client_is_told(ground: &Ground) -> Result<()> {
    passed(&ground.get("/plain").count(3)?, 3)?;
    for request in [ground.get("/plain?n=1"), ground.get("/plain?n=2").http2()] {
        let answer = request.send()?;
        ensure!(
            (answer.status, answer.text().as_str()) == (429, "local_rate_limited"),
            "{answer:?}"
        );
        ensure!(
            answer.header("x-local-rate-limit").as_deref() == Some("true"),
            "{answer:?}"
        );
        ensure!(answer.header("x-envoy-ratelimited").is_none(), "{answer:?}");
    }
    let line = ground.access("/plain?n=1")?;
    let told = (line.status, line.flags.as_str(), line.details.as_str());
    ensure!(told == (429, "RL", "local_rate_limited"), "{line:?}");
    ensure!(line.upstream_host == "-", "{line:?}");
    let head = ground.get("/plain").method("HEAD").send()?;
    ensure!((head.status, head.body.len()) == (429, 0), "{head:?}");

    ensure!(ground.get("/own").count(3)?.of("v") == 3);
    let answer = ground.get("/own").send()?;
    ensure!(
        (answer.status, answer.text().as_str()) == (503, "local_rate_limited"),
        "{answer:?}"
    );
    for (name, value) in [("retry-after", "7"), ("x-local-rate-limit", "mine")] {
        ensure!(answer.header(name).as_deref() == Some(value), "{answer:?}");
    }
    // UNAVAILABLE, and RESOURCE_EXHAUSTED where the limit says so.
    for (path, code) in [("/plain/Call", "14"), ("/own/Call", "8")] {
        let call = ground.get(path).to("web", GRPC).http2().body(vec![0; 5]);
        let call = call
            .header("content-type: application/grpc")
            .header("te: trailers");
        let answer = send_early(&call, || {})?;
        let status = answer.header("grpc-status");
        ensure!(
            (answer.status, status.as_deref()) == (200, Some(code)),
            "{path}: {answer:?}"
        );
        ensure!(
            answer.header("grpc-message").as_deref() == Some("local_rate_limited"),
            "{answer:?}"
        );
        ensure!(answer.body.is_empty(), "{answer:?}");
    }
    Ok(())
}

fn by_claims(ground: &Ground) -> Result<()> {
    let issuer = Issuer::new(ground.lab.folder(), "https://issuer", "one", Kind::Ec)?;
    let keys = serde_json::json!({"keys": [issuer.jwk()?]});
    let spec = format!(
        "targetRefs: [{{kind: Service, group: '', name: web}}]\njwtRules: [{{issuer: https://issuer, jwks: '{keys}', forwardOriginalToken: true}}]"
    );
    ground.apply("tokens", &request_authentication("tokens", &spec))?;
    let bearer = |team: serde_json::Value| -> Result<String> {
        let mut token = issuer.token("alice");
        token.claims["org"] = serde_json::json!({"team": team});
        Ok(format!("authorization: Bearer {}", issuer.sign(&token)?))
    };
    let (red, blue) = (bearer("red".into())?, bearer("blue".into())?);
    let both = bearer(serde_json::json!(["red", "blue"]))?;
    // One that nobody believes takes no tokens.
    let broken = format!("{red}x");
    for (what, header, expected, status) in [
        ("a team", &red, 3, "429"),
        ("another", &blue, 3, "429"),
        ("a list", &both, 3, "429"),
        ("one that is not believed", &broken, 0, "401"),
        ("the first again", &red, 0, "429"),
    ] {
        let counts = ground.get("/claim").header(header).count(5).context(what)?;
        ensure!(
            (counts.of("v"), counts.of(status)) == (expected, 5 - expected),
            "{what}: {counts:?}"
        );
    }
    // Nobody's claim.
    passed(&ground.get("/claim").count(5)?, 5)?;
    ground.withdraw(&["tokens"])
}

/// What the waypoint has counted of a limit of `web`.
fn counted(ground: &Ground, limit: &str, outcome: &str) -> Result<f64> {
    let name = format!("shop/{limit}");
    let labels = [("limit", name.as_str()), ("outcome", outcome)];
    ground
        .waypoint()
        .metric("ambit_rate_limit_requests_total", &labels)
}

fn shares_and_counts(ground: &Ground) -> Result<()> {
    passed(&ground.get("/watched").count(5)?, 5)?;
    passed(&ground.get("/off").count(5)?, 5)?;
    for (limit, [ok, over, refused]) in [
        ("web/watched", [3.0, 2.0, 0.0]),
        ("web/by-path", [6.0, 0.0, 9.0]),
        ("all/by-service", [6.0, 0.0, 9.0]),
    ] {
        // A scrape may be a moment old.
        eventually("the counts", PATIENCE, || {
            let of = |outcome| counted(ground, limit, outcome);
            let found = [of("ok")?, of("over")?, of("refused")?];
            ensure!(found == [ok, over, refused], "{limit}: {found:?}");
            Ok(())
        })?;
    }
    // Who may not come takes nothing.
    let spec = "targetRefs: [{kind: Service, group: '', name: web}]\naction: DENY\nrules:\n- to: [{operation: {paths: [/guarded], methods: [GET]}}]";
    ground.apply("deny", &authorization_policy("deny", spec))?;
    ensure!(ground.get("/guarded").count(10)?.of("403") == 10);
    passed(&ground.get("/guarded").body("x").count(5)?, 3)?;
    ground.withdraw(&["deny"])
}

fn tokens_outlive_changes(ground: &Ground) -> Result<()> {
    // What is used up stays so, whatever else changes of the limit or beside it.
    ground.apply(
        "web-limits",
        &of_web()
            .replace("enforced: 0", "enforced: 1")
            .replace("value: '7'", "value: '8'"),
    )?;
    passed(&ground.get("/plain").count(5)?, 0)?;
    let answer = ground.get("/own").send()?;
    ensure!(
        answer.header("retry-after").as_deref() == Some("8"),
        "{answer:?}"
    );
    // Another bucket begins anew.
    ground.apply(
        "web-limits",
        &of_web().replace("requests: 3", "requests: 4"),
    )?;
    passed(&ground.get("/plain").count(5)?, 4)?;
    ground.withdraw(&["web-limits"])?;
    passed(&ground.get("/plain").count(5)?, 5)
}
