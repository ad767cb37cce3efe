//! CUSTOM by HTTP (AZ-07, AZ-08): a login, which header goes where, and what an answer means.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::{HeaderName, HeaderValue, Response};
use suites::asked::{Answer, Answerer, Question, login};
use suites::waypoint::Ground;

use crate::setup::{BY_HTTP, by_http, by_path, custom, ensure_line, ground, reached, reached_once};

/// An answer with a status, headers and a body.
pub(crate) fn say(
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &str,
) -> Response<Answer> {
    let mut response = Response::new(Answer::from(body.to_owned()));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    for (name, value) in headers {
        let name = HeaderName::from_static(name);
        let value = HeaderValue::from_static(value);
        response.headers_mut().append(name, value);
    }
    response
}

/// The login, for browsers that reach it without TLS: they would not keep a cookie that is for TLS alone.
fn plain_login(question: &Question) -> Response<Answer> {
    let mut response = login::answer(question);
    if let Some(cookie) = response.headers_mut().get_mut("set-cookie") {
        let text = cookie.to_str().unwrap_or_default();
        let text = text.replace("; Secure", "");
        *cookie = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("none"));
    }
    response
}

#[test]
fn who_has_no_session_is_sent_to_the_login_and_comes_back_with_one() -> Result<()> {
    let options = "timeout: 10s, includeRequestHeadersInCheck: [cookie], headersToUpstreamOnAllow: [x-auth-request-user], \
                   headersToDownstreamOnDeny: [set-cookie]";
    let builder = ground("login", &[by_http("login", options)]);
    let Some(ground) = builder.manifest("login", custom("login", "{}")).build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let server = Answerer::start(&ground.pod("auth"), BY_HTTP, plain_login)?;
        let answer = ground
            .get("/private?n=1")
            .header("x-auth-request-user: admin")
            .send()?;
        ensure!(answer.status == 302, "{answer:?}");
        let to = answer.header("location");
        ensure!(
            to.as_deref() == Some("/oauth2/start?rd=/private?n=1"),
            "{answer:?}"
        );
        ensure_line(&ground.access("n=1")?, 302, "ext_authz_denied")?;
        ensure!(ground.requests("v") == 0);

        // A browser: it follows and keeps cookies.
        let jar = ground.pod("client").folder().join("jar");
        let browse = |path: &str| {
            let curl = ground.get(path).arg("-L").arg("-b").arg(&jar);
            curl.arg("-c").arg(&jar)
        };
        let answer = browse("/private?n=2").send()?;
        ensure!(
            (answer.status, answer.before.as_slice()) == (200, &[302, 302]),
            "{answer:?}"
        );
        ensure!(answer.told("path") == "/private?n=2", "{answer:?}");
        ensure!(
            answer.saw("x-auth-request-user").as_deref() == Some("alice"),
            "{answer:?}"
        );
        let cookies = std::fs::read_to_string(&jar)?;
        ensure!(cookies.contains("alice-0123456789"), "{cookies}");

        // With the session it passes at once, and what the client says of itself does not count.
        for request in [
            browse("/private?n=3").header("x-auth-request-user: admin"),
            browse("/private?n=3").header("X_Auth_Request_User: admin"),
            browse("/private?n=3")
                .http2()
                .header("x-auth-request-user: admin"),
            browse("/private?n=3")
                .body("some")
                .header("x-auth-request-user;"),
        ] {
            let answer = request.send()?;
            ensure!(
                (answer.status, answer.before.len()) == (200, 0),
                "{answer:?}"
            );
            ensure!(
                answer.saw("x-auth-request-user").as_deref() == Some("alice"),
                "{answer:?}"
            );
            ensure!(answer.saw("x_auth_request_user").is_none(), "{answer:?}");
        }

        // A session that nobody has given; one beside the real one; somebody else's name for the header.
        for cookie in [
            "cookie: _session=alice",
            "cookie: x_session=alice-0123456789",
            "x-cookie: _session=alice-0123456789",
        ] {
            let answer = ground.get("/private").header(cookie).send()?;
            ensure!(answer.status == 302, "{cookie}: {answer:?}");
        }
        let answer = ground.get("/private").method("HEAD").send()?;
        ensure!((answer.status, answer.body.len()) == (302, 0), "{answer:?}");
        let asked = server.asked();
        let heads = asked.iter().filter(|it| it.request.method() == "HEAD");
        ensure!(heads.count() == 1, "{asked:?}");
        Ok(())
    })
}

const LISTS: &str = "timeout: 10s, pathPrefix: /authorize, includeRequestHeadersInCheck: [x-ask-*, '*-tail', x-one], \
                     includeAdditionalHeadersInCheck: {x-from: waypoint, x-ask-own: ours}, headersToUpstreamOnAllow: [x-user, x-up-*], \
                     headersToDownstreamOnDeny: [x-why, set-cookie], headersToDownstreamOnAllow: [x-down, set-cookie]";

#[test]
fn headers_and_answers_go_where_the_provider_says() -> Result<()> {
    let providers = [
        by_http("lists", LISTS),
        by_http("bare", "timeout: 10s"),
        by_http("late", "timeout: 2s, statusOnError: 503"),
        by_http(
            "first",
            "timeout: 10s, pathPrefix: /first, includeRequestHeadersInCheck: [x-no]",
        ),
        by_http(
            "second",
            "timeout: 10s, pathPrefix: /second, includeRequestHeadersInCheck: [x-no]",
        ),
    ];
    let both = |name: &str| custom(name, "to: [{operation: {paths: ['/both*']}}]");
    let policies = by_path(&["lists", "bare", "late"]) + &both("first") + &both("second");
    let builder = ground("headers", &providers).manifest("ask", policies);
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let server = Answerer::start(&ground.pod("auth"), BY_HTTP, |_| say(200, &[], ""))?;
        for scenario in [
            headers_of_who_may_pass,
            headers_of_who_may_not,
            what_an_answer_means,
            who_is_late,
            who_is_asked_of_several,
        ] {
            ground.calm();
            server.forget();
            scenario(&ground, &server)?;
        }
        Ok(())
    })
}

fn headers_of_who_may_pass(ground: &Ground, server: &Answerer) -> Result<()> {
    server.say(|_| {
        let headers = [
            ("x-user", "alice"),
            ("x-up-2", "two"),
            ("x-other", "for nobody"),
            ("x-down", "seen"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            (
                "x-envoy-auth-headers-to-remove",
                "x-secret, host, content-length",
            ),
        ];
        say(200, &headers, "a body that nobody gets")
    });
    let mut request = ground.get("/lists/../lists/a%20b?c=d");
    for header in [
        "x-ask-me: 1",
        "x-ask-me: 2",
        "x-ask-own: theirs",
        "some-tail: 3",
        "x-one: 4",
        "x-ones: 5",
        "authorization: Basic abc",
        "cookie: not=asked",
        "x-user: admin",
        "x-secret: shown",
        "x-from: client",
        "x-envoy-auth-partial-body: false",
    ] {
        request = request.header(header);
    }
    for request in [request.clone(), request.http2()] {
        ground.calm();
        server.forget();
        let answer = request.send()?;
        ensure!(
            answer.status == 200 && !answer.pod().is_empty(),
            "{answer:?}"
        );
        ensure!(
            answer.header("x-down").as_deref() == Some("seen"),
            "{answer:?}"
        );
        ensure!(
            answer.header("set-cookie").as_deref() == Some("a=1, b=2"),
            "{answer:?}"
        );
        for name in ["x-other", "x-user", "x-envoy-auth-headers-to-remove"] {
            ensure!(answer.header(name).is_none(), "{name}: {answer:?}");
        }

        let asked = server.asked();
        let question = asked.first().context("a question")?;
        ensure!(
            asked.len() == 1 && question.request.method() == "GET",
            "{asked:?}"
        );
        ensure!(
            question.request.uri() == "/authorize/lists/a%20b?c=d",
            "{question:?}"
        );
        for (name, expected) in [
            ("host", "web.shop.svc.cluster.local"),
            ("authorization", "Basic abc"),
            ("x-ask-own", "ours"),
            ("x-from", "waypoint"),
            ("some-tail", "3"),
            ("x-one", "4"),
            ("content-length", "0"),
        ] {
            ensure!(question.header(name) == expected, "{name}: {question:?}");
        }
        let list = question.header("x-ask-me").replace(' ', "");
        ensure!(list == "1,2", "{question:?}");
        for name in [
            "cookie",
            "x-ones",
            "x-user",
            "x-secret",
            "x-envoy-auth-partial-body",
            "x-request-id",
        ] {
            ensure!(
                !question.request.headers().contains_key(name),
                "{name}: {question:?}"
            );
        }

        let seen = reached_once(ground, "/lists")?;
        ensure!(seen.path == "/lists/a%20b?c=d", "{seen:?}");
        for (name, expected) in [
            ("x-user", Some("alice")),
            ("x-up-2", Some("two")),
            ("x-from", Some("client")),
            ("x-ask-own", Some("theirs")),
            ("cookie", Some("not=asked")),
            ("x-other", None),
            ("x-down", None),
            ("x-secret", None),
        ] {
            ensure!(seen.header(name).as_deref() == expected, "{name}: {seen:?}");
        }
        ensure!(seen.authority == "web.shop.svc.cluster.local", "{seen:?}");
    }
    Ok(())
}

fn headers_of_who_may_not(ground: &Ground, server: &Answerer) -> Result<()> {
    server.say(|_| {
        let headers = [
            ("www-authenticate", "Basic realm=x"),
            ("location", "/elsewhere"),
            ("content-type", "text/html"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-why", "because"),
            ("x-inner", "not for clients"),
        ];
        say(401, &headers, "<p>go away</p>")
    });
    // With a list: what is in it, and what a browser needs. Without one: everything.
    for (path, inner) in [("/lists/no", None), ("/bare/no", Some("not for clients"))] {
        for request in [ground.get(path), ground.get(path).http2()] {
            let answer = request.send()?;
            ensure!(
                (answer.status, answer.text().as_str()) == (401, "<p>go away</p>"),
                "{answer:?}"
            );
            for (name, expected) in [
                ("www-authenticate", Some("Basic realm=x")),
                ("location", Some("/elsewhere")),
                ("set-cookie", Some("a=1, b=2")),
                ("x-why", Some("because")),
                ("x-inner", inner),
                ("content-length", Some("14")),
            ] {
                ensure!(
                    answer.header(name).as_deref() == expected,
                    "{path} {name}: {answer:?}"
                );
            }
        }
    }
    ensure!(ground.requests("v") == 0);
    Ok(())
}

/// 200 lets pass, 5xx is no answer, everything else is the client's.
fn what_an_answer_means(ground: &Ground, server: &Answerer) -> Result<()> {
    for (said, expected, details) in [
        (200, 200, "via_upstream"),
        (201, 201, "ext_authz_denied"),
        (204, 204, "ext_authz_denied"),
        (302, 302, "ext_authz_denied"),
        (304, 304, "ext_authz_denied"),
        (400, 400, "ext_authz_denied"),
        (404, 404, "ext_authz_denied"),
        (413, 413, "ext_authz_denied"),
        (429, 429, "ext_authz_denied"),
        (431, 431, "ext_authz_denied"),
        (500, 403, "ext_authz_error"),
        (503, 403, "ext_authz_error"),
        (599, 403, "ext_authz_error"),
    ] {
        server.say(move |_| say(said, &[], ""));
        let path = format!("/bare/status?said={said}");
        let answer = ground.get(&path).send()?;
        ensure!(answer.status == expected, "{said}: {answer:?}");
        let line = ground.access(&path)?;
        ensure!(
            (line.status, line.details.as_str()) == (expected, details),
            "{line:?}"
        );
        ensure!((line.flags == "UAEX") == (said != 200), "{line:?}");
    }
    ensure!(reached(ground, "/bare/status").len() == 1);
    Ok(())
}

fn who_is_late(ground: &Ground, server: &Answerer) -> Result<()> {
    server.say(|_| say(200, &[], ""));
    server.delay(Duration::from_secs(20));
    let answer = ground.get("/late?n=1").send()?;
    ensure!((answer.status, answer.body.len()) == (503, 0), "{answer:?}");
    ensure_line(&ground.access("/late?n=1")?, 503, "ext_authz_error")?;
    ensure!(ground.requests("v") == 0);
    server.delay(Duration::ZERO);
    ensure!(ground.get("/late?n=2").send()?.status == 200);
    Ok(())
}

fn who_is_asked_of_several(ground: &Ground, server: &Answerer) -> Result<()> {
    server.say(|question| {
        let refuses = question
            .request
            .uri()
            .path()
            .starts_with(question.header("x-no"));
        match question.header("x-no").is_empty() || !refuses {
            true => say(200, &[], ""),
            false => say(401, &[], "no"),
        }
    });
    for (no, status, least) in [
        ("", 200, 2),
        ("/first", 401, 1),
        ("/second", 401, 1),
        ("/third", 200, 2),
    ] {
        ground.calm();
        server.forget();
        let answer = ground.get("/both").header(&format!("x-no: {no}")).send()?;
        ensure!(answer.status == status, "{no}: {answer:?}");
        let asked = server.asked();
        let paths: Vec<_> = asked.iter().map(|it| it.request.uri().path()).collect();
        ensure!((least..=2).contains(&paths.len()), "{no}: {paths:?}");
        // The one that refuses is the last that is asked, and nobody is asked twice.
        ensure!(
            status == 200 || paths.last().is_some_and(|it| it.starts_with(no)),
            "{no}: {paths:?}"
        );
        ensure!(
            paths.len() < 2 || paths.first() != paths.last(),
            "{paths:?}"
        );
        ensure!(reached(ground, "/both").len() == usize::from(status == 200));
    }
    Ok(())
}
