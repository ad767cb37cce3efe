//! What tokens say decides: who may do what, and which way a request goes.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use suites::asked::{Issuer, Kind, Token};
use suites::waypoint::{Ground, authorization_policy, destination_rule, virtual_service};

use super::{DENIED, ISSUER, WEB, authentication, bearer, inline, passes, refuses};

fn alice(issuer: &Issuer) -> Token {
    let token = issuer.token("alice");
    let token = token.claim("aud", vec!["shop", "bank"]).claim("azp", "app");
    let token = token
        .claim("groups", vec!["readers", "admins"])
        .claim("email", "alice@shop.example");
    let token = token.claim(
        "realm_access",
        json!({"roles": ["buyer"], "level": {"name": "gold"}}),
    );
    let token = token
        .claim("scope", "read write")
        .claim("rights", "open close");
    let token = token.claim("https://shop.example/team", "red");
    token.claim("age", 42).claim("empty", "")
}

/// A condition, and whether it holds for alice.
const CONDITIONS: &[(&str, bool)] = &[
    (
        "key: request.auth.principal, values: ['https://issuer.example/alice']",
        true,
    ),
    ("key: request.auth.principal, values: ['*/alice']", true),
    (
        "key: request.auth.principal, values: ['https://issuer.example/*']",
        true,
    ),
    ("key: request.auth.principal, values: [alice]", false),
    (
        "key: request.auth.principal, notValues: ['*/mallory']",
        true,
    ),
    ("key: request.auth.audiences, values: [bank]", true),
    ("key: request.auth.audiences, values: [ban]", false),
    ("key: request.auth.audiences, values: ['shop,bank']", false),
    ("key: request.auth.presenter, values: [app]", true),
    ("key: request.auth.presenter, values: [other]", false),
    (
        "key: 'request.auth.claims[iss]', values: ['https://issuer.example']",
        true,
    ),
    ("key: 'request.auth.claims[groups]', values: [admins]", true),
    ("key: 'request.auth.claims[groups]', values: ['adm*']", true),
    ("key: 'request.auth.claims[groups]', values: ['*']", true),
    ("key: 'request.auth.claims[groups]', values: [admin]", false),
    (
        "key: 'request.auth.claims[groups]', values: [Admins]",
        false,
    ),
    (
        "key: 'request.auth.claims[groups]', notValues: [admins]",
        false,
    ),
    (
        "key: 'request.auth.claims[groups]', notValues: [nobody]",
        true,
    ),
    (
        "key: 'request.auth.claims[groups]', values: ['readers,admins']",
        false,
    ),
    (
        "key: 'request.auth.claims[email]', values: ['*@shop.example']",
        true,
    ),
    (
        "key: 'request.auth.claims[email]', values: ['*@bank.example']",
        false,
    ),
    (
        "key: 'request.auth.claims[realm_access][roles]', values: [buyer]",
        true,
    ),
    (
        "key: 'request.auth.claims[realm_access][roles]', values: [seller]",
        false,
    ),
    (
        "key: 'request.auth.claims[realm_access][level][name]', values: [gold]",
        true,
    ),
    (
        "key: 'request.auth.claims[realm_access]', values: ['*']",
        false,
    ),
    ("key: 'request.auth.claims[roles]', values: [buyer]", false),
    ("key: 'request.auth.claims[scope]', values: [write]", true),
    (
        "key: 'request.auth.claims[scope]', values: ['read write']",
        false,
    ),
    ("key: 'request.auth.claims[rights]', values: [close]", true),
    (
        "key: 'request.auth.claims[https://shop.example/team]', values: [red]",
        true,
    ),
    ("key: 'request.auth.claims[age]', values: ['42']", false),
    ("key: 'request.auth.claims[missing]', values: ['*']", false),
];

#[test]
fn claims_decide_who_may_do_what() -> Result<()> {
    let Some(ground) = Ground::builder("claims").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let issuer = Issuer::new(ground.lab.folder(), ISSUER, "one", Kind::Ec)?;
        let token = issuer.sign(&alice(&issuer))?;
        let rule = inline(ISSUER, &[&issuer], ", spaceDelimitedClaims: [rights]")?;
        ground.apply("tokens", &authentication(&[rule]))?;
        // One rule for each, on a path of its own.
        let rules = |action: &str| {
            let rules = CONDITIONS.iter().enumerate().map(|(number, (condition, _))| {
                format!("- {{to: [{{operation: {{paths: [/{number}]}}}}], when: [{{{condition}}}]}}\n")
            });
            format!("{WEB}\naction: {action}\nrules:\n{}", rules.collect::<String>())
        };
        for action in ["ALLOW", "DENY"] {
            ground.apply("when", &authorization_policy("when", &rules(action)))?;
            for (number, (condition, holds)) in CONDITIONS.iter().enumerate() {
                let path = format!("/{number}");
                let what = || format!("{action} {condition}");
                let let_in = *holds == (action == "ALLOW");
                let request = bearer(&ground, &path, &token);
                let answer = request.send()?;
                ensure!(answer.status == if let_in { 200 } else { 403 }, "{}: {answer:?}", what());
                // Without a token nothing is said by it: what asks for a value does not hold, what excludes some does.
                let nothing_holds = condition.contains("notValues");
                let let_in = nothing_holds == (action == "ALLOW");
                let answer = ground.get(&path).send()?;
                ensure!(answer.status == if let_in { 200 } else { 403 }, "no token, {}: {answer:?}", what());
            }
        }
        Ok(())
    })
}

#[test]
fn claims_choose_the_way_and_nothing_else_can() -> Result<()> {
    let Some(ground) = Ground::builder("way").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let issuer = Issuer::new(ground.lab.folder(), ISSUER, "one", Kind::Ec)?;
        let sign = |token: &Token| issuer.sign(token);
        ground.apply(
            "subsets",
            &destination_rule("web", "subsets:\n- {name: v1, labels: {version: v1}}\n- {name: v2, labels: {version: v2}}\n"),
        )?;
        let routes = "
            http:
            - match:
              - headers: {'@request.auth.claims.group': {exact: testers}}
              - headers: {'@request.auth.claims.realm.roles': {exact: early}}
              - headers: {'@request.auth.claims[https://shop.example/team]': {prefix: re}}
              route: [{destination: {host: web, subset: v2}}]
            - match: [{headers: {'@request.auth.claims.sub': {exact: nobody}}}]
              directResponse: {status: 410}
            - route: [{destination: {host: web, subset: v1}}]
        ";
        ground.apply("web", &virtual_service("web", routes))?;
        // Nobody verifies tokens yet: claims are what a stranger writes.
        let tester = sign(&issuer.token("alice").claim("group", "testers"))?;
        let pod = |request: suites::waypoint::Curl<'_>| anyhow::Ok(passes(&request)?.pod());
        ensure!(pod(bearer(&ground, "/", &tester))?.starts_with("v1"));
        ground.apply("tokens", &authentication(&[inline(ISSUER, &[&issuer], "")?]))?;
        let cases = [
            (tester.clone(), "v2"),
            (sign(&issuer.token("alice").claim("group", vec!["x", "testers"]))?, "v2"),
            (sign(&issuer.token("alice").claim("group", "customers"))?, "v1"),
            (sign(&issuer.token("alice").claim("realm", json!({"roles": ["early"]})))?, "v2"),
            (sign(&issuer.token("alice").claim("https://shop.example/team", "red"))?, "v2"),
            (sign(&issuer.token("alice"))?, "v1"),
        ];
        for (number, (token, expected)) in cases.iter().enumerate() {
            for request in [bearer(&ground, "/", token), bearer(&ground, "/", token).http2()] {
                let pod = pod(request).with_context(|| format!("case {number}"))?;
                ensure!(pod.starts_with(expected), "case {number}: {pod}");
            }
        }
        let gone = bearer(&ground, "/", &sign(&issuer.token("nobody"))?).send()?;
        ensure!(gone.status == 410, "{gone:?}");
        // Without a token there are no claims, whatever a header is called.
        ensure!(pod(ground.get("/"))?.starts_with("v1"));
        for header in ["@request.auth.claims.group: testers", "request.auth.claims.group: testers", "group: testers"] {
            let answer = ground.get("/").header(header).send()?;
            ensure!(!answer.pod().starts_with("v2"), "{header}: {answer:?}");
        }
        let forged = format!("{}.{}", tester.rsplit_once('.').context("a signature")?.0, "AAAA");
        refuses(&bearer(&ground, "/", &forged), 401, super::NOT_SIGNED)?;
        ground.apply(
            "none",
            &authorization_policy("none", &format!("{WEB}\naction: DENY\nrules:\n- {{}}\n")),
        )?;
        refuses(&bearer(&ground, "/", &tester), 403, DENIED)?;
        Ok(())
    })
}
