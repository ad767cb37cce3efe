//! The page of attacks: each gets its refusal, by both versions of HTTP, in the answer and in the log; and afterwards good
//! tokens pass as before.

use anyhow::{Context as _, Result, ensure};
use suites::asked::{Answerer, Issuer};
use suites::waypoint::raw::exchange;
use suites::waypoint::{Curl, Ground, HTTP, authorization_policy};

use super::forged::{self, Attack, Sent, Signers};
use super::{
    DENIED, ISSUER, OTHER, WEB, authentication, bearer, details, inline, is_refusal, only_tokens,
    passes, refuses, with_host,
};

const CLAIM_HEADERS: &str = ", audiences: [shop], outputPayloadToHeader: x-jwt-payload, \
                             outputClaimToHeaders: [{header: x-jwt-sub, claim: sub}, {header: x-jwt-role, claim: role}]";

/// All issuers, whose tokens everybody needs.
fn guard(ground: &Ground, signers: &Signers) -> Result<()> {
    let rules = [
        inline(ISSUER, &[&signers.rsa], CLAIM_HEADERS)?,
        inline(OTHER, &[&signers.other], "")?,
        inline(signers.ec.issuer(), &[&signers.ec], "")?,
        inline(signers.ed.issuer(), &[&signers.ed], "")?,
    ];
    ground.apply("tokens", &authentication(&rules))?;
    ground.apply("only-tokens", &only_tokens())
}

fn good_tokens_pass(ground: &Ground, signers: &Signers) -> Result<()> {
    let of = |issuer: &Issuer| issuer.sign(&issuer.token("alice"));
    for token in [
        signers.good()?,
        of(&signers.other)?,
        of(&signers.ec)?,
        of(&signers.ed)?,
    ] {
        passes(&bearer(ground, "/good", &token))?;
        passes(&bearer(ground, "/good", &token).http2())?;
    }
    Ok(())
}

fn request<'g>(ground: &'g Ground, path: &str, sent: &Sent) -> Curl<'g> {
    let with = |curl: Curl<'g>, headers: &[String]| {
        headers
            .iter()
            .fold(curl, |curl, header| curl.header(header))
    };
    match sent {
        Sent::Bearer(token) => bearer(ground, path, token),
        Sent::Headers(headers) => with(ground.get(path), headers),
        Sent::Query(query, headers) => with(ground.get(&format!("{path}?{query}")), headers),
    }
}

/// Sends each by both versions of HTTP; all that got something else, and what the log said of them.
fn all(ground: &Ground, attacks: &[Attack]) -> Result<()> {
    let mut wrong = Vec::new();
    for attack in attacks {
        for version in ["h1", "h2"] {
            let path = format!("/attack/{}/{version}", attack.name);
            let request = request(ground, &path, &attack.sent);
            let request = if version == "h2" {
                request.http2()
            } else {
                request
            };
            let told = request.send().and_then(|answer| {
                is_refusal(&answer, attack.status, attack.text)?;
                let line = ground.access(&path)?;
                let expected = match attack.text {
                    DENIED => "rbac_access_denied_matched_policy[none]".to_owned(),
                    text => details(text),
                };
                ensure!(
                    (line.status, line.flags.as_str()) == (attack.status, "-"),
                    "{line:?}"
                );
                ensure!(
                    line.details == expected && line.upstream_host == "-",
                    "{line:?}"
                );
                Ok(())
            });
            if let Err(error) = told {
                wrong.push(format!("{path}: {error:#}"));
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        attacks.len(),
        wrong.join("\n")
    );
    ensure!(ground.requests("v") > 0, "good tokens were to pass before");
    let panicked = ground.waypoint().log_lines(&["panicked"]);
    ensure!(panicked.is_empty(), "{panicked:?}");
    Ok(())
}

#[test]
fn every_forged_token_gets_its_refusal() -> Result<()> {
    let Some(ground) = with_host(Ground::builder("forged"), "evil").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let signers = Signers::new(ground.lab.folder())?;
        guard(&ground, &signers)?;
        good_tokens_pass(&ground, &signers)?;
        let keys = Issuer::set(&[&signers.stranger])?;
        let evil = Answerer::start(&ground.pod("evil"), 8080, Issuer::host(ISSUER, &keys))?;
        let before = ground.requests("v");
        let attacks = forged::tokens(&signers, "http://evil.shop.svc.cluster.local/keys")?;
        all(&ground, &attacks)?;
        ensure!(ground.requests("v") == before, "a backend was reached");
        ensure!(
            evil.asked().is_empty(),
            "a token had its own host asked: {:?}",
            evil.asked()
        );

        // More than a head may have is refused before anybody looks for tokens in it.
        let huge = signers.rsa.sign(
            &signers
                .rsa
                .token("alice")
                .claim("pad", "x".repeat(64 * 1024)),
        )?;
        let answer = bearer(&ground, "/attack/huge", &huge).send()?;
        ensure!(
            answer.status == 431 && answer.pod().is_empty(),
            "{answer:?}"
        );
        ensure!(ground.requests("v") == before, "a backend was reached");

        // What looks odd and is right: clocks that differ by less than a minute, padding that is due, no end at all.
        let now = signers.rsa.token("alice").claims["iat"]
            .as_u64()
            .context("iat")?;
        let alice = || {
            signers
                .rsa
                .token("alice")
                .claim("aud", vec!["bank", "shop"])
        };
        let odd = [
            signers.rsa.sign(&alice().claim("exp", now - 20))?,
            signers.rsa.sign(&alice().claim("nbf", now + 30))?,
            format!("{}==", signers.good()?),
            signers
                .rsa
                .sign(&alice().claim("pad", "x".repeat(12 * 1024)))?,
            signers
                .rsa
                .sign(&alice().head("jku", "http://evil.shop.svc.cluster.local/keys"))?,
        ];
        for (number, token) in odd.iter().enumerate() {
            passes(&bearer(&ground, "/odd", token)).with_context(|| format!("odd {number}"))?;
        }
        ensure!(
            evil.asked().is_empty(),
            "a token had its own host asked: {:?}",
            evil.asked()
        );
        good_tokens_pass(&ground, &signers)
    })
}

#[test]
fn a_good_token_carries_no_other_in() -> Result<()> {
    let Some(ground) = Ground::builder("places").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let signers = Signers::new(ground.lab.folder())?;
        guard(&ground, &signers)?;
        good_tokens_pass(&ground, &signers)?;
        all(&ground, &forged::places(&signers)?)?;
        // Shapes that curl does not send: a name with a space before the colon, a folded line, a bare line feed.
        let (good, bad) = (signers.good()?, "e30.e30.AAAA");
        let client = ground.pod("client");
        let vip = ground.vip("web")?;
        let before = ground.requests("v");
        for lines in [
            format!("authorization : Bearer {good}\r\n"),
            format!("authorization: Bearer {bad}\r\n {good}\r\n"),
            format!("authorization:\r\n Bearer {good}\r\n"),
            format!("authorization: Bearer {bad}\nauthorization: Bearer {good}\r\n"),
            format!("authorization: Bearer {good}\0\r\n"),
        ] {
            let head =
                format!("GET /raw HTTP/1.1\r\nhost: web\r\n{lines}connection: close\r\n\r\n");
            let seen = exchange(&client, (vip, HTTP), &[head.as_bytes()])?;
            ensure!(
                seen.statuses().first().is_none_or(|it| *it == 400),
                "{lines:?}: {}",
                seen.text()
            );
        }
        ensure!(ground.requests("v") == before, "a backend was reached");
        good_tokens_pass(&ground, &signers)
    })
}

#[test]
fn nobody_writes_what_only_tokens_say() -> Result<()> {
    let Some(ground) = Ground::builder("spoofed").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let signers = Signers::new(ground.lab.folder())?;
        guard(&ground, &signers)?;
        let good = signers.good()?;
        let spoofed = [
            "x-jwt-sub: root",
            "X-JWT-SUB: root",
            "x_jwt_sub: root",
            "x-jwt_sub: root",
            "X_Jwt-Sub: root",
            "x-jwt-role: root",
            "x_jwt_role: root",
            "x-jwt-payload: cm9vdA",
            "x_jwt_payload: cm9vdA",
        ];
        for http2 in [false, true] {
            // One by one, and all at once; `connection` would have the header removed further on.
            let mut lists: Vec<Vec<&str>> = spoofed.iter().map(|header| vec![*header]).collect();
            lists.push(spoofed.to_vec());
            if !http2 {
                lists.push(vec!["connection: x-jwt-sub"]);
            }
            for headers in lists {
                let request = bearer(&ground, "/spoofed", &good);
                let request = headers
                    .iter()
                    .fold(request, |request, header| request.header(header));
                let answer = passes(&if http2 { request.http2() } else { request })?;
                let list = answer.json()["headers"]
                    .as_object()
                    .context("headers")?
                    .clone();
                for (name, values) in &list {
                    let text = values.to_string();
                    ensure!(
                        !text.contains("root") && !text.contains("cm9vdA"),
                        "{headers:?}: {name}: {text}"
                    );
                }
                ensure!(
                    list.get("x-jwt-sub") == Some(&serde_json::json!(["alice"])),
                    "{headers:?}: {list:?}"
                );
                ensure!(!list.contains_key("x-jwt-role"), "{list:?}");
            }
        }
        // Where no token is needed nobody gets them by having none.
        ground.withdraw(&["only-tokens"])?;
        let request = spoofed
            .iter()
            .fold(ground.get("/spoofed"), |request, header| {
                request.header(header)
            });
        let answer = passes(&request)?;
        let list = answer.json()["headers"]
            .as_object()
            .context("headers")?
            .clone();
        let left: Vec<&String> = list
            .keys()
            .filter(|name| name.replace('_', "-").starts_with("x-jwt-"))
            .collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
}

#[test]
fn no_spelling_of_a_path_needs_less_of_a_token() -> Result<()> {
    let Some(ground) = Ground::builder("spelt").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let signers = Signers::new(ground.lab.folder())?;
        guard(&ground, &signers)?;
        let admins = format!(
            "{WEB}\naction: DENY\nrules:\n- to: [{{operation: {{paths: [/admin, '/admin/*']}}}}]\n  \
             when: [{{key: 'request.auth.claims[role]', notValues: [admin]}}]\n"
        );
        ground.apply("admins", &authorization_policy("admins", &admins))?;
        let alice = signers.good()?;
        let root = signers.rsa.sign(&signers.rsa.token("root").claim("aud", "shop").claim("role", "admin"))?;
        let spellings = [
            "/admin", "/admin/", "/admin/x", "/%61dmin/x", "/x/../admin/x", "/x/%2e%2e/admin", "/./admin/x",
            "/admin/./x", "/a/b/../../admin/x", "/admin\\x", "/x\\..\\admin\\x", "/admin/x?role=admin", "/admin/x?/public",
        ];
        for spelling in spellings {
            for in_query in [false, true] {
                let ask = |token: &str| {
                    let mark = if spelling.contains('?') { '&' } else { '?' };
                    let path = format!("{spelling}{mark}access_token={token}");
                    let request = if in_query { ground.get(&path) } else { bearer(&ground, spelling, token) };
                    [request.clone(), request.http2()]
                };
                for request in ask(&alice) {
                    refuses(&request, 403, DENIED).with_context(|| spelling.to_owned())?;
                }
                for request in ask(&root) {
                    let answer = passes(&request).with_context(|| spelling.to_owned())?;
                    let path = answer.told("path");
                    ensure!(path.starts_with("/admin") && !path.contains("access_token"), "{spelling}: {path}");
                }
            }
        }
        // What is no such path to us is none to the backend.
        for spelling in ["/admin%2fx", "//admin/x", "/admin;x", "/ADMIN/x", "/x%2f..%2fadmin", "/x/..%2fadmin", "/admin%00/x", "/%2561dmin/x", "/x%5c..%5cadmin"] {
            for request in [bearer(&ground, spelling, &alice), bearer(&ground, spelling, &alice).http2()] {
                let answer = request.send()?;
                let path = answer.told("path");
                ensure!(!(path == "/admin" || path.starts_with("/admin/")), "{spelling}: {answer:?}");
                ensure!([200, 400, 403].contains(&answer.status), "{spelling}: {answer:?}");
                ensure!(answer.status != 200 || path == spelling, "{spelling}: {answer:?}");
            }
        }
        Ok(())
    })
}
