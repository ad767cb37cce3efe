//! Bodies that authorizers see: up to the limit, and all of them reach the backend as they were sent.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use suites::asked::{Answerer, Question, authorizer};
use suites::waypoint::{Curl, Ground, peers::peer};

use crate::login::say;
use crate::setup::{BY_GRPC, BY_HTTP, by_grpc, by_http, custom, ground, send_early};

const MAX: usize = 1000;
const WHOLE: &str = "timeout: 10s, includeRequestBodyInCheck: {maxRequestBytes: 1000}";
const PART: &str =
    "timeout: 10s, includeRequestBodyInCheck: {maxRequestBytes: 1000, allowPartialMessage: true}";
const BYTES: &str = "timeout: 10s, includeRequestBodyInCheck: {maxRequestBytes: 1000, allowPartialMessage: true, packAsBytes: true}";

/// How a body is sent.
type Way = for<'g> fn(Curl<'g>) -> Curl<'g>;

fn http2(curl: Curl<'_>) -> Curl<'_> {
    curl.http2()
}

const WAYS: [(&str, Way); 4] = [
    ("length", |curl| curl),
    ("chunked", |curl| curl.header("transfer-encoding: chunked")),
    ("h2", http2),
    ("trickle", |curl| {
        curl.header("transfer-encoding: chunked")
            .arg("--limit-rate")
            .arg("400k")
    }),
];

/// Bytes of all values, in an order in which a piece that is missing or doubled shows.
fn body(length: usize) -> Vec<u8> {
    let byte = |at: usize| u8::try_from((at * 7 + at / 256) % 256).unwrap_or(0);
    (0..length).map(byte).collect()
}

#[test]
fn authorizers_see_bodies_up_to_the_limit_and_backends_get_all_of_them() -> Result<()> {
    let providers = [
        by_http("whole", WHOLE),
        by_http("part", PART),
        by_grpc("gwhole", &WHOLE.replace('}', ", packAsBytes: true}")),
        by_grpc("gpart", BYTES),
    ];
    // `/echo/..` sends the body back.
    let policies = ["whole", "part", "gwhole", "gpart"].map(|name| {
        let rule = format!("to: [{{operation: {{paths: [/echo/{name}]}}}}]");
        custom(name, &rule)
    });
    let builder = ground("bodies", &providers).manifest("ask", policies.concat());
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let auth = ground.pod("auth");
        let http = Answerer::start(&auth, BY_HTTP, |_| say(200, &[], ""))?;
        let grpc = Answerer::start(&auth, BY_GRPC, |_| authorizer::allow(&[]))?;
        for (way, send) in WAYS {
            for length in [1, MAX - 1, MAX, MAX + 1, 3 * MAX, 200_000] {
                for (name, server) in [
                    ("whole", &http),
                    ("part", &http),
                    ("gwhole", &grpc),
                    ("gpart", &grpc),
                ] {
                    let request = send(ground.get(&format!("/echo/{name}")).body(body(length)));
                    one(&ground, server, &request, name, length)
                        .with_context(|| format!("{name}, {way}, {length} bytes"))?;
                }
            }
        }
        let Some(newer) = peer("curl", "curl") else {
            return Ok(());
        };
        // A client that reads early answers does so each time.
        let client = ground.pod("client");
        let file = client.folder().join("long");
        fs::write(&file, body(200_000))?;
        let newer = newer.display().to_string();
        let (data, url) = (
            format!("@{}", file.display()),
            format!("http://{}/echo/whole", ground.vip("web")?),
        );
        for _ in 0..10 {
            let line = [
                newer.as_str(),
                "-sS",
                "-m",
                "60",
                "--http2-prior-knowledge",
                "--data-binary",
                &data,
                "-w",
                " %{http_code}",
                &url,
            ];
            let text = client.exec(line)?.ok()?;
            ensure!(text == "Payload Too Large 413", "{text}");
        }
        Ok(())
    })
}

/// What of a body a question has, and what it says of the rest.
fn sample(question: &Question) -> Result<(Vec<u8>, String)> {
    if question.request.uri().path() != authorizer::PATH {
        let told = question.header("x-envoy-auth-partial-body").to_owned();
        return Ok((question.request.body().to_vec(), told));
    }
    let asked = authorizer::question(question).context("a question")?;
    let request = authorizer::request(&asked).context("about a request")?;
    let told = request.headers.get("x-envoy-auth-partial-body");
    ensure!(request.body.is_empty(), "bytes were asked for");
    Ok((request.raw_body.to_vec(), told.cloned().unwrap_or_default()))
}

fn one(
    ground: &Ground,
    server: &Answerer,
    request: &Curl<'_>,
    name: &str,
    length: usize,
) -> Result<()> {
    let answer = send_early(request, || {
        ground.calm();
        server.forget();
    })?;
    let asked = server.asked();
    if name.ends_with("whole") && length > MAX {
        ensure!(
            (answer.status, answer.text().as_str()) == (413, "Payload Too Large"),
            "{answer:?}"
        );
        ensure!(asked.is_empty() && ground.requests("v") == 0, "{asked:?}");
        return Ok(());
    }
    ensure!(answer.status == 200, "{answer:?}");
    ensure!(answer.body == body(length), "the backend got another body");
    ensure!(
        asked.len() == 1 && ground.requests("v") == 1,
        "{}",
        asked.len()
    );
    let (seen, partial) = sample(asked.first().context("counted above")?)?;
    let expected = body(length.min(MAX));
    ensure!(
        seen == expected,
        "{} bytes, expected {}",
        seen.len(),
        expected.len()
    );
    // At the limit, whether there is more may not be known yet.
    let is_right = match length.cmp(&MAX) {
        std::cmp::Ordering::Less => partial == "false",
        std::cmp::Ordering::Equal => ["true", "false"].contains(&partial.as_str()),
        std::cmp::Ordering::Greater => partial == "true",
    };
    ensure!(is_right, "partial: {partial:?}");
    Ok(())
}
