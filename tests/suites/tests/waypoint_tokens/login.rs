//! Logging in with tokens: what is told to whom, where tokens are looked for, what goes on to the application.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use suites::asked::{Answerer, Issuer, Kind, login};
use suites::waypoint::peers::peer;
use suites::waypoint::{GRPC, Ground, authorization_policy, virtual_service};

use super::{
    DENIED, FORM, ISSUER, NO_KEY, NOT_SIGNED, OTHER, WEB, authentication, bearer, details, inline,
    only_tokens, passes, refuses, with_host,
};

#[test]
fn a_token_lets_in_and_everybody_else_is_told_why_not() -> Result<()> {
    let Some(ground) = Ground::builder("login").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let folder = ground.lab.folder();
        let ours = Issuer::new(folder, ISSUER, "ours", Kind::Rsa)?;
        let theirs = Issuer::new(folder, OTHER, "theirs", Kind::Ec)?;
        let third = Issuer::new(folder, "https://third.example", "third", Kind::Ed25519)?;
        let stranger = Issuer::new(folder, ISSUER, "stranger", Kind::Rsa)?;
        let rules = [
            inline(
                ISSUER,
                &[&ours],
                ", audiences: [shop, 'https://bank.example/']",
            )?,
            inline(OTHER, &[&theirs], "")?,
            inline(third.issuer(), &[&third], "")?,
        ];
        ground.apply("tokens", &authentication(&rules))?;
        let token = || ours.token("alice").claim("aud", "shop");
        let good = ours.sign(&token())?;
        let goods = [
            good.clone(),
            ours.sign(&ours.token("bob").claim("aud", vec!["x", "bank.example"]))?,
            theirs.sign(&theirs.token("carol"))?,
            third.sign(&third.token("dave"))?,
        ];

        // A policy that says which tokens are good makes nobody have one.
        passes(&ground.get("/without"))?;
        passes(
            &ground
                .get("/basic")
                .header("authorization: Basic YWxpY2U6eA=="),
        )?;
        for good in &goods {
            passes(&bearer(&ground, "/good", good))?;
            passes(&bearer(&ground, "/good", good).http2())?;
            passes(&ground.get(&format!("/good?access_token={good}")))?;
        }

        let mut impostor = token();
        impostor.header["kid"] = "ours".into();
        let cases = [
            (
                "expired",
                ours.sign(&token().claim("exp", 1))?,
                401,
                "Jwt is expired",
            ),
            (
                "early",
                ours.sign(&token().claim("nbf", 4_000_000_000_u64))?,
                401,
                "Jwt not yet valid",
            ),
            (
                "issuer",
                ours.sign(&token().claim("iss", "https://nobody.example"))?,
                401,
                "Jwt issuer is not configured",
            ),
            ("signature", stranger.sign(&impostor)?, 401, NOT_SIGNED),
            (
                "key",
                stranger.sign(&stranger.token("alice").claim("aud", "shop"))?,
                401,
                NO_KEY,
            ),
            ("form", "alice".to_owned(), 401, FORM),
            (
                "audience",
                ours.sign(&token().claim("aud", "elsewhere"))?,
                403,
                "Audiences in Jwt are not allowed",
            ),
            (
                "nobody",
                ours.sign(&ours.token("alice"))?,
                403,
                "Audiences in Jwt are not allowed",
            ),
        ];
        for (name, token, status, text) in &cases {
            let path = format!("/refused/{name}");
            let answer = refuses(&bearer(&ground, &path, token), *status, text)?;
            let realm = format!("http://web.shop.svc.cluster.local{path}");
            let challenge = format!("Bearer realm=\"{realm}\", error=\"invalid_token\"");
            ensure!(
                answer.header("www-authenticate") == Some(challenge),
                "{answer:?}"
            );
            ensure!(
                answer.header("content-type").as_deref() == Some("text/plain"),
                "{answer:?}"
            );
            let line = ground.access(&path)?;
            ensure!(
                (line.status, line.flags.as_str()) == (*status, "-"),
                "{line:?}"
            );
            ensure!(
                line.details == details(text) && line.upstream_host == "-",
                "{line:?}"
            );
            refuses(&bearer(&ground, "/refused", token).http2(), *status, text)?;
        }
        // Clients of gRPC hear it in their own words.
        for (token, status) in [(&cases[0].1, "16"), (&cases[6].1, "7")] {
            let call = bearer(&ground, "/a.B/C", token).to("web", GRPC).http2();
            let answer = call
                .header("content-type: application/grpc")
                .body(&b"\0\0\0\0\0"[..])
                .send()?;
            ensure!(answer.status == 200, "{answer:?}");
            ensure!(
                answer.header("grpc-status").as_deref() == Some(status),
                "{answer:?}"
            );
        }

        // Whoever must have one is asked for by another policy.
        ground.apply("only-tokens", &only_tokens())?;
        refuses(&ground.get("/without/2"), 403, DENIED)?;
        let line = ground.access("/without/2")?;
        ensure!(
            line.details == "rbac_access_denied_matched_policy[none]",
            "{line:?}"
        );
        for good in &goods {
            passes(&bearer(&ground, "/good", good))?;
        }
        refuses(
            &bearer(&ground, "/refused/again", &cases[0].1),
            401,
            "Jwt is expired",
        )?;
        let alice = format!(
            "{WEB}\nrules:\n- from: [{{source: {{requestPrincipals: ['{ISSUER}/alice']}}}}]\n"
        );
        ground.apply("only-tokens", &authorization_policy("only-tokens", &alice))?;
        passes(&bearer(&ground, "/", &good))?;
        for other in goods.iter().skip(1) {
            refuses(&bearer(&ground, "/", other), 403, DENIED)?;
        }
        Ok(())
    })
}

#[test]
fn tokens_are_looked_for_where_policies_say_and_go_no_further() -> Result<()> {
    let Some(ground) = Ground::builder("places").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let issuer = Issuer::new(ground.lab.folder(), ISSUER, "one", Kind::Ec)?;
        let claims = issuer.token("alice").claim("level", 7).claim("vip", true);
        let claims = claims.claim("realm", serde_json::json!({"role": "buyer", "roles": ["a"]}));
        let token = issuer.sign(&claims)?;
        let payload = token.split('.').nth(1).context("a payload")?.to_owned();
        let places = ", fromHeaders: [{name: x-token, prefix: 'JWT '}, {name: x-bare}], fromParams: [jwt], fromCookies: [session]";
        let told = ", outputPayloadToHeader: x-payload, outputClaimToHeaders: [{header: x-user, claim: sub}, \
                    {header: x-role, claim: realm.role}, {header: x-roles, claim: realm.roles}, \
                    {header: x-level, claim: level}, {header: x-vip, claim: vip}, {header: x-none, claim: none}]";
        let apply = |more: &str| {
            let rule = inline(ISSUER, &[&issuer], &format!("{places}{told}{more}"))?;
            ground.apply("tokens", &authentication(&[rule]))
        };
        apply("")?;
        ground.apply("only-tokens", &only_tokens())?;
        let requests = || {
            [
                ("x-token", ground.get("/p?a=1").header(&format!("x-token: JWT {token}"))),
                ("x-bare", ground.get("/p?a=1").header(&format!("x-bare: {token}"))),
                ("path", ground.get(&format!("/p?a=1&jwt={token}"))),
                ("cookie", ground.get("/p?a=1").header(&format!("cookie: a=b; session={token}; c=d"))),
            ]
        };
        for (place, request) in requests() {
            for request in [request.clone(), request.http2()] {
                let answer = passes(&request)?;
                let seen = if place == "path" { Some(answer.told("path")) } else { answer.saw(place) };
                let seen = seen.unwrap_or_default();
                ensure!(!seen.contains(&token), "{place}: {seen}");
                ensure!(answer.told("path") == "/p?a=1", "{answer:?}");
                let saw = |name: &str| answer.saw(name).unwrap_or_default();
                ensure!(place != "cookie" || saw("cookie") == "a=b; c=d", "{}", saw("cookie"));
                ensure!(saw("x-payload") == payload, "{answer:?}");
                let claims = ["x-user", "x-role", "x-level", "x-vip", "x-roles", "x-none"].map(saw);
                ensure!(claims == ["alice", "buyer", "7", "true", "", ""], "{claims:?}");
            }
        }
        // Elsewhere it is no token.
        refuses(&bearer(&ground, "/", &token), 403, DENIED)?;
        refuses(&ground.get("/").header(&format!("x-token: {token}")), 403, DENIED)?;
        refuses(&ground.get(&format!("/?access_token={token}")), 403, DENIED)?;

        apply(", forwardOriginalToken: true")?;
        for (place, request) in requests() {
            let answer = passes(&request)?;
            let seen = if place == "path" { Some(answer.told("path")) } else { answer.saw(place) };
            ensure!(seen.unwrap_or_default().contains(&token), "{place}: {answer:?}");
        }
        Ok(())
    })
}

#[test]
fn a_browser_logs_in_and_out() -> Result<()> {
    let Some(ground) = with_host(Ground::builder("browser"), "idp").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let folder = ground.lab.folder();
        let issuer = Issuer::new(folder, ISSUER, "one", Kind::Rsa)?;
        let rule = inline(ISSUER, &[&issuer], ", fromCookies: [session], fromHeaders: [{name: authorization, prefix: 'Bearer '}], \
                                               outputClaimToHeaders: [{header: x-user, claim: sub}]")?;
        let _idp = Answerer::start(&ground.pod("idp"), 8080, login::page(issuer))?;
        let routes = "
            http:
            - match: [{uri: {exact: /login}}, {uri: {exact: /logout}}, {uri: {exact: /token}}]
              route: [{destination: {host: idp}}]
            - route: [{destination: {host: web}}]
        ";
        let deny = format!(
            "{WEB}\naction: DENY\nrules:\n- from: [{{source: {{notRequestPrincipals: ['*']}}}}]\n  \
             to: [{{operation: {{notPaths: [/login, /logout, /token]}}}}]\n"
        );
        ground.apply("web", &virtual_service("web", routes))?;
        ground.apply("tokens", &authentication(&[rule]))?;
        ground.apply("only-users", &authorization_policy("only-users", &deny))?;

        let jar = ground.pod("client").folder().join("jar").display().to_string();
        let browse = |path: &str| ground.get(path).arg("-L").arg("-c").arg(&jar).arg("-b").arg(&jar);
        refuses(&browse("/account"), 403, DENIED)?;
        let form = browse("/login").send()?;
        ensure!(form.status == 200 && form.text().contains("<form"), "{form:?}");
        let wrong = browse("/login").body("user=alice&password=x").send()?;
        ensure!(wrong.status == 401, "{wrong:?}");
        refuses(&browse("/account"), 403, DENIED)?;

        let landed = browse("/login").body("user=alice&password=wonderland").send()?;
        ensure!(landed.before == [303] && landed.status == 200, "{landed:?}");
        ensure!(landed.told("path") == "/account", "{landed:?}");
        ensure!(landed.saw("x-user").as_deref() == Some("alice"), "{landed:?}");
        ensure!(landed.saw("cookie").as_deref() == Some("visited=1"), "{landed:?}");
        passes(&browse("/account/orders?page=2"))?;
        ensure!(fs::read_to_string(&jar)?.contains("session"), "no cookie was kept");

        // One step after the other: curl would read its jar anew before it follows.
        let out = browse("/logout").arg("--no-location").send()?;
        ensure!(out.status == 303 && out.header("location").as_deref() == Some("/login"), "{out:?}");
        ensure!(!fs::read_to_string(&jar)?.contains("session"), "the cookie was kept");
        let form = browse("/login").send()?;
        ensure!(form.status == 200 && form.text().contains("<form"), "{form:?}");
        refuses(&browse("/account"), 403, DENIED)?;

        // A program asks for a token and shows it, with curl's own option.
        let granted = ground.get("/token").body("grant_type=password&username=alice&password=wonderland").send()?;
        let token = granted.json()["access_token"].as_str().context("a token")?.to_owned();
        let answer = passes(&ground.get("/api").arg("--oauth2-bearer").arg(&token))?;
        ensure!(answer.saw("x-user").as_deref() == Some("alice"), "{answer:?}");
        ensure!(answer.saw("authorization").is_none(), "{answer:?}");
        Ok(())
    })
}

/// All algorithms of asymmetric keys and of secrets.
const ALGORITHMS: [&str; 13] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    "HS256", "HS384", "HS512",
];

#[test]
fn tokens_of_pyjwt_are_believed() -> Result<()> {
    let Some(program) = peer("jwt", "peer") else {
        return Ok(());
    };
    let Some(ground) = Ground::builder("pyjwt").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let output = std::process::Command::new(program)
            .arg(ISSUER)
            .args(ALGORITHMS)
            .output()?;
        let lines: Vec<Value> = output
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(serde_json::from_slice)
            .collect::<Result<_, _>>()?;
        ensure!(lines.len() == ALGORITHMS.len(), "{output:?}");
        let keys: Vec<&Value> = lines.iter().map(|line| &line["jwk"]).collect();
        let jwks = serde_json::json!({"keys": keys});
        let rule = format!("issuer: '{ISSUER}', audiences: [shop], jwks: '{jwks}'");
        ground.apply("tokens", &authentication(&[rule]))?;
        ground.apply("only-tokens", &only_tokens())?;
        for line in &lines {
            let token = line["token"].as_str().context("a token")?;
            passes(&bearer(&ground, "/", token)).with_context(|| line["alg"].to_string())?;
            // Each by its own key alone: the next one's signature is none.
            let (text, _) = token.rsplit_once('.').context("a signature")?;
            let other = lines
                .iter()
                .find(|other| other["alg"] != line["alg"])
                .context("another")?;
            let (_, signature) = other["token"]
                .as_str()
                .and_then(|it| it.rsplit_once('.'))
                .context("a signature")?;
            let answer = bearer(&ground, "/", &format!("{text}.{signature}")).send()?;
            ensure!(answer.status == 401, "{}: {answer:?}", line["alg"]);
        }
        Ok(())
    })
}
