//! Limits that a service counts (RS-15): what it is told, what a client is told, and what happens while nobody answers.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use suites::asked::limiter::{self, Limiter};
use suites::asked::{Answerer, Issuer, Kind};
use suites::waypoint::{GRPC, Ground, request_authentication};
use wire::proto::rate_limit::{RateLimitResponse, rate_limit_response::Code};

use crate::broken::{Broken, Kind as Death};
use crate::login::say;
use crate::setup::{Fails, LIMITS, limits, reached, reached_once, send_early, with_auth};

const SERVER: &str = "service: auth.shop.svc.cluster.local, port: 9002, timeout: 5s";

fn at(path: &str) -> String {
    format!("matches: [{{path: {{type: PathPrefix, value: {path}}}}}]")
}

fn policy() -> String {
    let global = |more: &str| format!("global: {{domain: shop, {SERVER}{more}}}");
    // Eight keys at most in one limit.
    let who = "[{header: x-tenant}, {claim: [org, team]}, {identity: true}, {clientAddress: true}]";
    let what = "[{route: true}, {service: true}, {path: true}, {method: true}, {value: fixed}]";
    let soon = SERVER.replace("5s", "1s");
    limits(
        "web",
        "web",
        &[
            format!("- {{name: one, {}, key: {who}, {}}}", at("/all"), global("")),
            format!("- {{name: two, {}, key: {what}, {}}}", at("/all"), global("")),
            format!("- {{name: named, {}, key: [{{header: x-tenant, name: tenant}}], {}}}", at("/all"), global("")),
            format!("- {{name: keyless, {}, {}}}", at("/all"), global("")),
            format!("- {{name: elsewhere, {}, global: {{domain: other, {SERVER}}}}}", at("/all/two")),
            format!("- {{name: counted, {}, key: [{{header: x-tenant}}], {}}}", at("/counted"), global("")),
            format!("- {{name: own, {}, status: 503, responseHeaders: [{{name: retry-after, value: '7'}}], grpcStatus: RESOURCE_EXHAUSTED, {}}}", at("/own"), global("")),
            format!("- {{name: watched, {}, enforced: 0, {}}}", at("/watched"), global("")),
            format!("- {{name: local, {}, local: {{requests: 2, interval: 24h}}}}", at("/both")),
            format!("- {{name: beside, {}, {}}}", at("/both"), global("")),
            format!("- {{name: opens, {}, global: {{domain: shop, {soon}}}}}", at("/open")),
            format!("- {{name: closes, {}, global: {{domain: shop, {soon}, failClosed: true}}}}", at("/closed")),
        ]
        .join("\n"),
    )
}

#[test]
fn a_service_counts_what_the_limits_tell_it() -> Result<()> {
    let builder = with_auth(Ground::builder("global"), &[]).manifest("limits", policy());
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let server = Answerer::start(&ground.pod("auth"), LIMITS, |_| ok())?;
        for scenario in [
            descriptors,
            over_the_limit,
            what_it_adds,
            local_ones_come_first,
        ] {
            ground.calm();
            server.forget();
            scenario(&ground, &server)?;
        }
        nobody_answers(&ground, server)
    })
}

fn ok() -> http::Response<suites::asked::Answer> {
    limiter::answer(&RateLimitResponse {
        overall_code: Code::Ok.into(),
        ..RateLimitResponse::default()
    })
}

fn pairs(pairs: &[(&str, &str)]) -> limiter::Entries {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(pair).collect()
}

/// The questions since the server was told to forget: domains and descriptors.
fn asked(server: &Answerer) -> Result<Vec<(String, Vec<limiter::Entries>)>> {
    let asked = server.asked();
    let read = asked.iter().map(|question| {
        let asked = limiter::question(question).with_context(|| format!("{question:?}"))?;
        ensure!(asked.hits_addend <= 1, "{asked:?}");
        let descriptors = asked.descriptors.iter().map(limiter::entries).collect();
        Ok((asked.domain, descriptors))
    });
    read.collect()
}

fn descriptors(ground: &Ground, server: &Answerer) -> Result<()> {
    let issuer = Issuer::new(ground.lab.folder(), "https://issuer", "one", Kind::Ec)?;
    let keys = serde_json::json!({"keys": [issuer.jwk()?]});
    let spec = format!(
        "targetRefs: [{{kind: Service, group: '', name: web}}]\njwtRules: [{{issuer: https://issuer, jwks: '{keys}'}}]"
    );
    ground.apply("tokens", &request_authentication("tokens", &spec))?;
    let mut token = issuer.token("alice");
    token.claims["org"] = serde_json::json!({"team": "red"});
    let bearer = format!("authorization: Bearer {}", issuer.sign(&token)?);

    let request = ground
        .get("/x/../all/two?query=1")
        .header("x-tenant: acme")
        .header(&bearer);
    let answer = request
        .method("PUT")
        .header("x-forwarded-for: 9.9.9.9")
        .send()?;
    ensure!(answer.status == 200, "{answer:?}");
    let address = ground.pod("client").ip4().to_string();
    let of_shop = vec![
        pairs(&[
            ("x-tenant", "acme"),
            ("org.team", "red"),
            ("source_principal", "cluster.local/ns/shop/sa/client"),
            ("remote_address", &address),
        ]),
        pairs(&[
            ("route", "default"),
            ("service", "web.shop.svc.cluster.local"),
            ("path", "/all/two"),
            ("method", "PUT"),
            ("generic_key", "fixed"),
        ]),
        pairs(&[("tenant", "acme")]),
        pairs(&[("generic_key", "shop/web/keyless")]),
    ];
    let elsewhere = vec![pairs(&[("generic_key", "shop/web/elsewhere")])];
    let found = asked(server)?;
    let expected = [
        ("shop".to_owned(), of_shop.clone()),
        ("other".to_owned(), elsewhere),
    ];
    ensure!(found == expected, "{found:#?}");

    // What lacks a key is not told of; a body and its length play no part.
    server.forget();
    ensure!(ground.get("/all").body("x").send()?.status == 200);
    let found = asked(server)?;
    let route = of_shop.get(1).context("it has four")?.clone();
    let route: Vec<_> = route
        .into_iter()
        .map(|(name, value)| {
            let value = match name.as_str() {
                "path" => "/all".to_owned(),
                "method" => "POST".to_owned(),
                _ => value,
            };
            (name, value)
        })
        .collect();
    ensure!(
        found
            == [(
                "shop".to_owned(),
                vec![route, pairs(&[("generic_key", "shop/web/keyless")])]
            )],
        "{found:#?}"
    );
    ground.withdraw(&["tokens"])
}

fn over_the_limit(ground: &Ground, server: &Answerer) -> Result<()> {
    let counts = Limiter::new(3);
    server.say(move |question| counts.answer(question));
    for (tenant, expected) in [("a", 3), ("b", 3), ("a", 0)] {
        let header = format!("x-tenant: {tenant}");
        let counts = ground.get("/counted").header(&header).count(5)?;
        ensure!(
            (counts.of("v"), counts.of("429")) == (expected, 5 - expected),
            "{tenant}: {counts:?}"
        );
    }
    // Nothing tells it apart, so nobody is asked.
    server.forget();
    ensure!(ground.get("/counted").count(5)?.of("v") == 5 && server.asked().is_empty());
    for request in [
        ground.get("/counted?n=1"),
        ground.get("/counted?n=2").http2(),
    ] {
        let answer = request.header("x-tenant: a").send()?;
        ensure!((answer.status, answer.body.len()) == (429, 0), "{answer:?}");
        ensure!(
            answer.header("x-envoy-ratelimited").as_deref() == Some("true"),
            "{answer:?}"
        );
        ensure!(answer.header("x-local-rate-limit").is_none(), "{answer:?}");
    }
    let line = ground.access("/counted?n=1")?;
    let told = (line.status, line.flags.as_str(), line.details.as_str());
    ensure!(told == (429, "RL", "request_rate_limited"), "{line:?}");
    ensure!(
        ground.get("/watched").count(5)?.of("v") == 5,
        "what is only watched passes"
    );

    ensure!(ground.get("/own").count(3)?.of("v") == 3);
    let answer = ground.get("/own").send()?;
    ensure!(
        answer.status == 503 && answer.header("retry-after").as_deref() == Some("7"),
        "{answer:?}"
    );
    for (path, tenant, code) in [("/own/Call", "a", "8"), ("/counted/Call", "a", "14")] {
        let call = ground.get(path).to("web", GRPC).http2().body(vec![0; 5]);
        let call = call
            .header("content-type: application/grpc")
            .header("te: trailers");
        let answer = send_early(&call.header(&format!("x-tenant: {tenant}")), || {})?;
        let status = answer.header("grpc-status");
        ensure!(
            (answer.status, status.as_deref()) == (200, Some(code)),
            "{path}: {answer:?}"
        );
        ensure!(
            answer.header("x-envoy-ratelimited").as_deref() == Some("true"),
            "{answer:?}"
        );
    }
    Ok(())
}

fn what_it_adds(ground: &Ground, server: &Answerer) -> Result<()> {
    let said = |code: Code| RateLimitResponse {
        overall_code: code.into(),
        response_headers_to_add: limiter::headers(&[
            ("ratelimit-remaining", "0"),
            ("content-length", "7"),
            ("connection", "x"),
        ]),
        request_headers_to_add: limiter::headers(&[
            ("x-checked", "yes"),
            ("transfer-encoding", "chunked"),
            ("host", "other"),
        ]),
        raw_body: b"too much of it".to_vec().into(),
        ..RateLimitResponse::default()
    };
    server.say(move |_| limiter::answer(&said(Code::Ok)));
    ground.calm();
    let answer = ground.get("/counted").header("x-tenant: c").send()?;
    ensure!(
        answer.status == 200 && answer.header("ratelimit-remaining").as_deref() == Some("0"),
        "{answer:?}"
    );
    let seen = reached_once(ground, "/counted")?;
    ensure!(
        seen.header("x-checked").as_deref() == Some("yes"),
        "{seen:?}"
    );
    ensure!(
        seen.authority == "web.shop.svc.cluster.local"
            && seen.header("transfer-encoding").is_none(),
        "{seen:?}"
    );
    server.say(move |_| limiter::answer(&said(Code::OverLimit)));
    let answer = ground.get("/counted").header("x-tenant: c").send()?;
    ensure!(
        (answer.status, answer.text().as_str()) == (429, "too much of it"),
        "{answer:?}"
    );
    ensure!(
        answer.header("ratelimit-remaining").as_deref() == Some("0"),
        "{answer:?}"
    );
    ensure!(
        answer.header("content-length").as_deref() == Some("14"),
        "{answer:?}"
    );
    Ok(())
}

fn local_ones_come_first(ground: &Ground, server: &Answerer) -> Result<()> {
    server.say(|_| ok());
    let counts = ground.get("/both").count(5)?;
    ensure!((counts.of("v"), counts.of("429")) == (2, 3), "{counts:?}");
    ensure!(
        server.asked().len() == 2,
        "nobody is asked about what is refused here"
    );
    Ok(())
}

/// `failClosed` and its absence, whatever befalls the service; afterwards it counts again.
fn nobody_answers(ground: &Ground, server: Answerer) -> Result<()> {
    let deaths: [(&str, Fails); 4] = [
        ("hanging", |it| it.delay(Duration::from_secs(30))),
        ("failing", |it| it.say(|_| limiter::fail(14))),
        ("saying neither", |it| {
            it.say(|_| limiter::answer(&RateLimitResponse::default()));
        }),
        ("speaking something else", |it| {
            it.say(|_| say(200, &[], "fine by me"));
        }),
    ];
    for (what, dies) in deaths {
        dies(&server);
        unanswered(ground, what).with_context(|| what.to_owned())?;
        server.delay(Duration::ZERO);
        server.say(|_| ok());
        ensure!(ground.get("/closed").send()?.status == 200, "after {what}");
    }
    drop(server);
    unanswered(ground, "gone")?;
    let auth = ground.pod("auth");
    for death in [Death::Reset, Death::Garbage] {
        let _broken = Broken::start(&auth, LIMITS, death)?;
        unanswered(ground, &format!("{death:?}"))?;
    }
    let counts = Limiter::new(1);
    let _server = Answerer::start(&auth, LIMITS, move |question| counts.answer(question))?;
    let again = ground.get("/closed");
    again.until("it counts again", |answer| answer.status == 429)?;
    ensure!(
        ground
            .waypoint()
            .log_lines(&["rate limit service does not answer"])
            .len()
            >= 2
    );
    Ok(())
}

fn unanswered(ground: &Ground, what: &str) -> Result<()> {
    ground.calm();
    let mark = what.replace(' ', "-");
    let open = ground.get(&format!("/open?{mark}")).body("whole").send()?;
    ensure!(
        open.status == 200 && open.json()["body_bytes"] == 5,
        "{open:?}"
    );
    let closed = ground.get(&format!("/closed?{mark}")).send()?;
    ensure!(
        closed.status == 500 && closed.header("x-envoy-ratelimited").is_none(),
        "{closed:?}"
    );
    let line = ground.access(&format!("/closed?{mark}"))?;
    let told = (line.status, line.flags.as_str(), line.details.as_str());
    ensure!(told == (500, "RLSE", "rate_limiter_error"), "{line:?}");
    ensure!(reached(ground, "/closed").is_empty());
    Ok(())
}
