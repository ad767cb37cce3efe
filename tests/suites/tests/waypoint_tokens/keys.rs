//! Hosts of keys that are down, slow, or say something else; keys that are replaced.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use http::{Response, StatusCode, header};
use lab::{PodSpec, eventually};
use serde_json::json;
use suites::asked::{Answer, Answerer, Issuer, Kind, Question, Token};
use suites::policy::PATIENCE;
use suites::waypoint::Ground;

use super::{
    ISSUER, NO_KEY, NOT_FETCHED, OTHER, at, authentication, bearer, inline, passes, refuses,
    with_host,
};

/// How long after a fetch that went well a key that is not there has keys fetched again. Source: `waypoint/README.md`.
const PAUSE: Duration = Duration::from_secs(30);
/// Longer than that, and than the pauses after a few failures.
const LONG: Duration = Duration::from_secs(120);

#[test]
fn keys_outlive_their_host_and_follow_it_when_it_has_others() -> Result<()> {
    let Some(ground) = with_host(Ground::builder("outage"), "keys").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let folder = ground.lab.folder();
        let old = Issuer::new(folder, ISSUER, "old", Kind::Rsa)?;
        let new = Issuer::new(folder, ISSUER, "new", Kind::Ec)?;
        let near = Issuer::new(folder, OTHER, "near", Kind::Ed25519)?;
        let host = Answerer::start(
            &ground.pod("keys"),
            8080,
            Issuer::host(ISSUER, &Issuer::set(&[&old])?),
        )?;
        host.stop_listening();
        ground.apply(
            "tokens",
            &authentication(&[
                at(ISSUER, "http://keys.shop.svc.cluster.local/keys", ""),
                inline(OTHER, &[&near], "")?,
            ]),
        )?;
        let good = old.sign(&old.token("alice"))?;
        let other = near.sign(&near.token("bob"))?;

        // Down from the start: its tokens are refused, and nothing else is.
        for _ in 0..3 {
            refuses(&bearer(&ground, "/down", &good), 401, NOT_FETCHED)?;
            passes(&bearer(&ground, "/", &other))?;
            passes(&ground.get("/"))?;
        }
        let lines = ground.access_lines("/down", 3)?;
        ensure!(
            lines
                .iter()
                .all(|line| line.details == super::details(NOT_FETCHED)),
            "{lines:?}"
        );
        host.listen_again()?;
        bearer(&ground, "/", &good).until("the host is up", |answer| answer.status == 200)?;

        // Down again: its keys go on, also after another look at it went wrong.
        host.crash();
        let mark = ground.mark();
        let rotated = new.sign(&new.token("alice"))?;
        eventually("a fetch that fails", LONG, || {
            refuses(&bearer(&ground, "/", &rotated), 401, NO_KEY)?;
            passes(&bearer(&ground, "/", &good))?;
            let lines = mark.lines(ground.waypoint(), &["cannot be fetched", "has_keys=true"]);
            ensure!(
                !lines.is_empty(),
                "asked by {:?}, the log says {:?}",
                host.asked().iter().map(|it| it.client).collect::<Vec<_>>(),
                mark.lines(ground.waypoint(), &["keys of an issuer"])
            );
            Ok(())
        })?;
        passes(&bearer(&ground, "/", &good))?;

        // Up, with another key in the place of the first.
        host.say(Issuer::host(ISSUER, &Issuer::set(&[&new])?));
        host.listen_again()?;
        eventually("the new key", LONG, || {
            passes(&bearer(&ground, "/", &rotated))
        })?;
        refuses(&bearer(&ground, "/", &good), 401, NO_KEY)?;

        // Names that strangers make up have it asked no more often.
        host.forget();
        let begun = Instant::now();
        for number in 0..150 {
            let made_up = Token::head(new.token("alice"), "kid", format!("made-up-{number}"));
            refuses(
                &bearer(&ground, "/", &format!("{}.AAAA", made_up.text())),
                401,
                NO_KEY,
            )?;
        }
        let asked = host.asked().len();
        let most = 1 + begun.elapsed().as_secs() / PAUSE.as_secs();
        ensure!(
            u64::try_from(asked)? <= most,
            "asked {asked} times, expected {most} at most"
        );
        passes(&bearer(&ground, "/", &rotated))?;
        Ok(())
    })
}

#[test]
fn a_host_that_is_slow_holds_nobody_but_who_asks_for_its_keys() -> Result<()> {
    let Some(ground) = with_host(with_host(Ground::builder("slow"), "keys"), "brief").build()?
    else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let folder = ground.lab.folder();
        let slow = Issuer::new(folder, ISSUER, "slow", Kind::Ec)?;
        let near = Issuer::new(folder, OTHER, "near", Kind::Ec)?;
        let brief = Issuer::new(folder, "https://brief.example", "brief", Kind::Ec)?;
        let serve = |pod: &str, issuer: &Issuer| {
            let keys = Issuer::set(&[issuer])?;
            Answerer::start(&ground.pod(pod), 8080, Issuer::host(issuer.issuer(), &keys))
        };
        let (host, brief_host) = (serve("keys", &slow)?, serve("brief", &brief)?);
        host.hold(true);
        brief_host.hold(true);
        ground.apply(
            "tokens",
            &authentication(&[
                at(
                    ISSUER,
                    "http://keys.shop.svc.cluster.local/keys",
                    ", timeout: 50s",
                ),
                at(
                    brief.issuer(),
                    "http://brief.shop.svc.cluster.local/keys",
                    ", timeout: 1s",
                ),
                inline(OTHER, &[&near], "")?,
            ]),
        )?;
        let tokens = [
            slow.sign(&slow.token("a"))?,
            near.sign(&near.token("b"))?,
            brief.sign(&brief.token("c"))?,
        ];
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| passes(&bearer(&ground, "/waits", &tokens[0]))))
                .collect();
            let others = || {
                eventually("the host is asked", PATIENCE, || {
                    ensure!(!host.asked().is_empty(), "not yet");
                    Ok(())
                })?;
                for _ in 0..30 {
                    passes(&ground.get("/"))?;
                    passes(&bearer(&ground, "/", &tokens[1]))?;
                    passes(&bearer(&ground, "/", &tokens[1]).http2())?;
                }
                // Who has less time waits no longer.
                refuses(&bearer(&ground, "/", &tokens[2]), 401, NOT_FETCHED)?;
                let ended = waiting.iter().filter(|it| it.is_finished()).count();
                ensure!(ended == 0, "{ended} did not wait");
                ensure!(host.asked().len() == 1, "{:?}", host.asked());
                Ok(())
            };
            let outcome = others();
            host.hold(false);
            for it in waiting {
                it.join().map_err(|_| anyhow!("a thread panicked"))??;
            }
            outcome
        })?;
        brief_host.hold(false);
        bearer(&ground, "/", &tokens[2])
            .until("its own host answers", |answer| answer.status == 200)?;
        Ok(())
    })
}

const NO_JSON: &str = "Jwks is an invalid JSON";
const NO_VALID: &str = "Jwks doesn't have any valid public key";

/// What a host answers, what a client is told then, and what the log says.
const ANSWERS: &[(&str, &str, &str)] = &[
    ("huge", NOT_FETCHED, "answer has more than 262144 bytes"),
    ("moved", NOT_FETCHED, "status is 302"),
    ("absent", NOT_FETCHED, "status is 404"),
    ("failing", NOT_FETCHED, "status is 500"),
    ("empty", NO_JSON, "key set is not a JSON object"),
    ("page", NO_JSON, "key set is not a JSON object"),
    ("twice", NO_JSON, "key set is not a JSON object"),
    ("deep", NO_JSON, "key set is not a JSON object"),
    (
        "object",
        "Jwks does not have [keys] field",
        "key set has no field keys",
    ),
    (
        "text",
        "[keys] in Jwks is not an array",
        "keys of the key set is not an array",
    ),
    ("none", NO_VALID, "key set has no key that can be used"),
    ("secret", NO_VALID, "key set has no key that can be used"),
    ("weak", NO_VALID, "key set has no key that can be used"),
    (
        "encryption",
        NO_VALID,
        "key set has no key that can be used",
    ),
    ("many", NO_VALID, "key set has 65 keys, expected at most 64"),
];

fn answer(question: &Question, good: &serde_json::Value) -> Response<Answer> {
    let path = question.request.uri().path();
    let key = &good["keys"][0];
    let with = |field: &str, value: serde_json::Value| {
        let mut changed = key.clone();
        changed[field] = value;
        json!({"keys": [changed]}).to_string()
    };
    let (status, text) = match path.trim_start_matches('/') {
        "good" => (200, good.to_string()),
        "huge" => (200, format!("{good}{}", " ".repeat(300 * 1024))),
        "moved" => (302, good.to_string()),
        "absent" => (404, good.to_string()),
        "failing" => (500, good.to_string()),
        "empty" => (200, String::new()),
        "page" => (200, "<html><body>Sign in</body></html>".to_owned()),
        "twice" => (200, format!("{{\"keys\": [{key}], \"keys\": []}}")),
        "deep" => (
            200,
            format!("{{\"keys\": {}{}}}", "[".repeat(100), "]".repeat(100)),
        ),
        "object" => (200, key.to_string()),
        "text" => (200, json!({"keys": "all"}).to_string()),
        "none" => (200, json!({"keys": []}).to_string()),
        "secret" => {
            let secret = Token::part(&[7; 32]);
            (
                200,
                json!({"keys": [{"kty": "oct", "k": secret, "kid": "one", "alg": "HS256"}]})
                    .to_string(),
            )
        }
        "weak" => (200, with("n", Token::part(&[0xc5; 64]).into())),
        "encryption" => (200, with("use", "enc".into())),
        "many" => (200, json!({"keys": vec![key; 65]}).to_string()),
        // Whatever else is asked for was not to be.
        _ => (418, String::new()),
    };
    let mut response = Response::new(Answer::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    if status == 302 {
        let to = header::HeaderValue::from_static("/followed");
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

#[test]
fn answers_that_are_no_keys_let_nobody_in() -> Result<()> {
    let builder = Ground::builder("garbage")
        .pod(PodSpec::new("far").node(0).namespace("town").not_enrolled());
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let signer = Issuer::new(ground.lab.folder(), ISSUER, "one", Kind::Rsa)?;
        let good = Issuer::set(&[&signer])?;
        let far = ground.pod("far");
        let host = Answerer::start(&far, 8080, move |question| answer(question, &good))?;
        let name = |case: &str| format!("https://{case}.example");
        let uri = |case: &str| format!("http://{}:8080/{case}", far.ip4());
        let echo = |path: &str| format!("http://{}:8080{path}", ground.pod("v1a").ip4());
        let more = [
            (
                "endless",
                echo("/stream?chunks=1000000&every_ms=50"),
                "no keys within 2000 ms",
            ),
            (
                "long",
                echo("/bytes/100000000"),
                "answer has more than 262144 bytes",
            ),
            ("broken", echo("/cut/1000"), "no answer of"),
            (
                "neighbour",
                "http://169.254.169.254/keys".to_owned(),
                "which is link-local",
            ),
            (
                "nothing",
                format!("http://{}:9/keys", far.ip4()),
                "no connection to",
            ),
        ];
        let listed = ANSWERS
            .iter()
            .map(|(case, _, _)| at(&name(case), &uri(case), ""));
        let further = more
            .iter()
            .map(|(case, uri, _)| at(&name(case), uri, ", timeout: 2s"));
        let rules: Vec<String> = listed
            .chain(further)
            .chain([at(ISSUER, &uri("good"), "")])
            .collect();
        ground.apply("tokens", &authentication(&rules))?;

        let listed = ANSWERS.iter().map(|(case, told, log)| (*case, *told, *log));
        let further = more.iter().map(|(case, _, log)| (*case, NOT_FETCHED, *log));
        for (case, told, log) in listed.chain(further) {
            let mark = ground.mark();
            let token = signer.sign(&signer.token("alice").claim("iss", name(case)))?;
            refuses(&bearer(&ground, "/", &token), 401, told).with_context(|| case.to_owned())?;
            eventually(case, PATIENCE, || {
                let lines = mark.lines(ground.waypoint(), &["cannot be fetched", log]);
                ensure!(
                    !lines.is_empty(),
                    "{:?}",
                    mark.lines(ground.waypoint(), &["fetched"])
                );
                Ok(())
            })?;
            // A secret that anybody can fetch signs nothing.
            if case == "secret" {
                let mut forged = signer.token("alice").claim("iss", name(case));
                forged.header["alg"] = "HS256".into();
                let forged = forged.sign_with_secret(&[7; 32])?;
                refuses(&bearer(&ground, "/", &forged), 401, told)?;
            }
        }
        passes(&bearer(&ground, "/", &signer.sign(&signer.token("alice"))?))?;
        let paths: Vec<String> = host
            .asked()
            .iter()
            .map(|it| it.request.uri().path().to_owned())
            .collect();
        ensure!(!paths.contains(&"/followed".to_owned()), "{paths:?}");
        Ok(())
    })
}
