//! Authorizers that are away, fail closed and fail open, by HTTP and by gRPC: gone, hanging, resetting, failing, babbling; under load;
//! and what a client brings about by itself, which opens nothing.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::Response;
use lab::{Pod, eventually, until};
use suites::asked::{Answer, Answerer, Question, authorizer};
use suites::echo::Seen;
use suites::policy::PATIENCE;
use suites::traffic::dial;
use suites::waypoint::{Access, Answer as Got, Ground, HTTP, load::Wrk, raw::exchange};

use crate::broken::{Broken, Kind};
use crate::login::say;
use crate::setup::{
    BY_GRPC, BY_HTTP, by_grpc, by_http, by_path, custom, ensure_line, ground, reached, send_early,
};

/// The provider, and whether it fails open.
const MODES: [(&str, bool); 4] = [
    ("hclosed", false),
    ("hopen", true),
    ("gclosed", false),
    ("gopen", true),
];

/// Only an authorizer that has said yes sets it.
const PASS: (&str, &str) = ("x-pass", "given");

fn providers() -> [String; 4] {
    let up = "headersToUpstreamOnAllow: [x-pass]";
    [
        by_http("hclosed", &format!("timeout: 1s, statusOnError: 503, {up}")),
        by_http(
            "hopen",
            &format!("timeout: 1s, failOpen: true, statusOnError: 503, {up}"),
        ),
        by_grpc("gclosed", "timeout: 1s"),
        by_grpc("gopen", "timeout: 1s, failOpen: true"),
    ]
}

fn yes_by_http(_: &Question) -> Response<Answer> {
    say(200, &[PASS], "")
}

fn yes_by_grpc(_: &Question) -> Response<Answer> {
    authorizer::allow(&[PASS])
}

/// The authorizers of both protocols, alive or in one of their deaths.
struct Authorizers {
    pod: Arc<Pod>,
    alive: Option<[Answerer; 2]>,
    broken: Vec<Broken>,
}

#[derive(Clone, Copy, Debug)]
enum Outage {
    /// Nobody listens, and what was open has ended.
    Gone,
    /// Questions are read and not answered.
    Hanging,
    Broken(Kind),
    /// 503, and UNAVAILABLE.
    Failing,
    /// 500 with a page, and an answer of gRPC without a message.
    Wrong,
}

const OUTAGES: [Outage; 7] = [
    Outage::Gone,
    Outage::Hanging,
    Outage::Broken(Kind::Reset),
    Outage::Broken(Kind::Garbage),
    Outage::Broken(Kind::Half),
    Outage::Failing,
    Outage::Wrong,
];

impl Outage {
    /// Whether nobody but the authorizer can have brought it about, so that it opens where the provider says so. A question whose
    /// connection broke may have been too much for it, and so may one whose answer nobody understands; that would be the client's choice.
    fn is_its_own(self, provider: &str) -> bool {
        match self {
            Self::Gone | Self::Hanging | Self::Failing => true,
            Self::Wrong => provider.starts_with('h'),
            Self::Broken(_) => false,
        }
    }
}

impl Authorizers {
    fn start(pod: Arc<Pod>) -> Result<Self> {
        let mut started = Self {
            pod,
            alive: None,
            broken: Vec::new(),
        };
        started.heal()?;
        Ok(started)
    }

    fn heal(&mut self) -> Result<()> {
        self.broken.clear();
        if let Some([http, grpc]) = &self.alive {
            http.say(yes_by_http);
            grpc.say(yes_by_grpc);
            [http, grpc].iter().for_each(|it| it.delay(Duration::ZERO));
            return Ok(());
        }
        let http = Answerer::start(&self.pod, BY_HTTP, yes_by_http)?;
        self.alive = Some([http, Answerer::start(&self.pod, BY_GRPC, yes_by_grpc)?]);
        Ok(())
    }

    fn fail(&mut self, outage: Outage) -> Result<()> {
        let alive = || self.alive.as_ref().context("they are alive");
        match outage {
            Outage::Gone => self.alive = None,
            Outage::Broken(kind) => {
                self.alive = None;
                for port in [BY_HTTP, BY_GRPC] {
                    self.broken.push(Broken::start(&self.pod, port, kind)?);
                }
            }
            Outage::Hanging => {
                let hangs = |it: &Answerer| it.delay(Duration::from_secs(30));
                alive()?.iter().for_each(hangs);
            }
            Outage::Failing => {
                let [http, grpc] = alive()?;
                http.say(|_| say(503, &[PASS], "try later"));
                grpc.say(|_| authorizer::fail(14));
            }
            Outage::Wrong => {
                let [http, grpc] = alive()?;
                http.say(|_| say(500, &[PASS], "<p>oops</p>"));
                grpc.say(|_| say(200, &[("content-type", "application/grpc"), PASS], ""));
            }
        }
        Ok(())
    }
}

#[test]
fn an_outage_closes_or_opens_as_the_provider_says() -> Result<()> {
    let builder =
        ground("outage", &providers()).manifest("ask", by_path(&MODES.map(|(name, _)| name)));
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let mut authorizers = Authorizers::start(ground.pod("auth"))?;
        for (number, outage) in OUTAGES.into_iter().enumerate() {
            healed(&ground).with_context(|| format!("before {outage:?}"))?;
            authorizers.fail(outage)?;
            for (name, opens) in MODES {
                for http2 in [false, true] {
                    let opens = opens && outage.is_its_own(name);
                    during(&ground, name, opens, http2, number)
                        .with_context(|| format!("{outage:?}, {name}, HTTP/2: {http2}"))?;
                }
            }
            authorizers.heal()?;
        }
        healed(&ground)
    })
}

/// One request while nobody can decide.
fn during(ground: &Ground, name: &str, opens: bool, http2: bool, number: usize) -> Result<()> {
    ground.calm();
    let path = format!("/{name}?outage={number}-{http2}");
    let request = ground.get(&path).body("whole").header("x-mine: kept");
    let request = if http2 { request.http2() } else { request };
    if opens {
        // A connection that was kept may still have to find out that its server is gone.
        let answer = request.until("it opens", |answer| answer.status == 200)?;
        ensure!(answer.json()["body_bytes"] == 5, "{answer:?}");
        // Not as if it had been let in.
        ensure!(
            answer.saw(PASS.0).is_none() && answer.saw("x-mine").is_some(),
            "{answer:?}"
        );
        let is_passed = |line: &Access| line.details == "via_upstream";
        let lines = ground.access_lines(&path, 1)?;
        ensure!(lines.iter().any(is_passed), "{lines:#?}");
        return Ok(());
    }
    let answer = send_early(&request, || {})?;
    let status = if name.starts_with('h') { 503 } else { 403 };
    ensure!(
        (answer.status, answer.body.len()) == (status, 0),
        "{answer:?}"
    );
    for line in ground.access_lines(&path, 1)? {
        ensure_line(&line, status, "ext_authz_error")?;
    }
    ensure!(ground.requests("v") == 0);
    Ok(())
}

/// Waits until the authorizers are asked again by everybody.
fn healed(ground: &Ground) -> Result<()> {
    for (name, _) in MODES {
        let request = ground.get(&format!("/{name}"));
        let is_given = |answer: &Got| answer.saw(PASS.0).as_deref() == Some(PASS.1);
        request.until("the authorizers are back", |it| {
            it.status == 200 && is_given(it)
        })?;
    }
    Ok(())
}

/// Requests of each load before an outage, and during it.
const SOME: usize = 10;
/// Connections of each load.
const LOAD: usize = 2;

#[test]
fn under_load_an_outage_lets_nobody_in_unasked_and_fails_nobody_where_it_opens() -> Result<()> {
    let policies = MODES.map(|(name, _)| {
        let rule = format!(
            "to: [{{operation: {{paths: ['/{name}', '{}']}}}}]",
            slowly(name)
        );
        custom(name, &rule)
    });
    let builder = ground("loaded", &providers()).manifest("ask", policies.concat());
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let mut authorizers = Authorizers::start(ground.pod("auth"))?;
        healed(&ground)?;
        // Whose question was under way when the server died is asked for again.
        let outages = [
            Outage::Failing,
            Outage::Hanging,
            Outage::Failing,
            Outage::Gone,
        ];
        under_load(&ground, &mut authorizers, &outages)
    })
}

/// A path that takes a while, so that there are not more requests than can be looked at.
fn slowly(name: &str) -> String {
    format!("/delay/20/{name}")
}

/// Outages, one after the other, while requests come all the time; none of those that open fails.
fn under_load(ground: &Ground, authorizers: &mut Authorizers, outages: &[Outage]) -> Result<()> {
    ground.calm();
    let started =
        MODES.map(|(name, opens)| anyhow::Ok((name, opens, ground.wrk(&slowly(name), LOAD)?)));
    let loads: Vec<(&str, bool, Wrk)> = started.into_iter().collect::<Result<_>>()?;
    for outage in outages {
        for (name, _) in MODES {
            let path = slowly(name);
            until("requests before it", PATIENCE, || {
                reached(ground, &path).len() >= SOME
            })?;
        }
        authorizers.fail(*outage)?;
        for (name, _) in MODES.into_iter().filter(|(_, opens)| *opens) {
            // The load has met it: some have passed unasked.
            let path = slowly(name);
            eventually("requests during the outage", PATIENCE, || {
                let seen = reached(ground, &path);
                let unasked = seen.iter().filter(|it| it.header(PASS.0).is_none()).count();
                ensure!(unasked >= SOME, "{outage:?}, {path}: {unasked}");
                Ok(())
            })?;
        }
        // Nobody who came unasked may have reached a backend where it closes.
        ensure_asked(ground)?;
        authorizers.heal()?;
        healed(ground).with_context(|| format!("after {outage:?}"))?;
        ensure_asked(ground)?;
        ground.calm();
    }
    for (name, opens, load) in loads {
        let sum = load.end()?;
        ensure!(
            sum.answered >= u64::try_from(2 * SOME * outages.len())?,
            "{name}: {sum:?}"
        );
        match opens {
            true => ensure!(sum.failed == 0, "{name}: {sum:?}"),
            // The load has met the outage.
            false => ensure!(sum.failed > 0, "{name}: {sum:?}"),
        }
    }
    ensure_asked(ground)
}

/// That everything that has reached a backend behind a provider that fails closed was let in.
fn ensure_asked(ground: &Ground) -> Result<()> {
    for (name, _) in MODES.into_iter().filter(|(_, opens)| !opens) {
        let seen = reached(ground, name);
        let is_given = |it: &&Seen| it.header(PASS.0).as_deref() != Some(PASS.1);
        let unasked: Vec<_> = seen.iter().filter(is_given).collect();
        ensure!(
            unasked.is_empty(),
            "{name}: {} of {}: {:#?}",
            unasked.len(),
            seen.len(),
            unasked.first()
        );
    }
    Ok(())
}

/// More than the authorizer of [`what_a_client_brings_about_by_itself_opens_nothing`] reads.
const TOO_MUCH: usize = 64 * 1024;

#[test]
fn what_a_client_brings_about_by_itself_opens_nothing() -> Result<()> {
    let body = "failOpen: true, timeout: 5s, includeRequestBodyInCheck: {maxRequestBytes: 1000000, allowPartialMessage: true, packAsBytes: true}";
    let providers = [by_http("hbody", body), by_grpc("gbody", body)];
    let builder = ground("opens", &providers).manifest("ask", by_path(&["hbody", "gbody"]));
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let auth = ground.pod("auth");
        // As servers do that are asked for more than they take: gRPC's libraries answer RESOURCE_EXHAUSTED above 4 MiB.
        let _http = Answerer::start(&auth, BY_HTTP, |question| {
            match question.request.body().len() > TOO_MUCH {
                true => say(413, &[], "too much"),
                false => say(403, &[], "no"),
            }
        })?;
        let _grpc = Answerer::start(&auth, BY_GRPC, |question| {
            match question.request.body().len() > TOO_MUCH {
                true => authorizer::fail(8),
                false => authorizer::deny(403, &[], "no"),
            }
        })?;
        // A body that breaks off, and one that is none.
        let client = ground.pod("client");
        let to = (ground.vip("web")?, HTTP);
        for name in ["hbody", "gbody"] {
            let head = format!(
                "POST /{name}?half HTTP/1.1\r\nhost: web\r\ncontent-length: 100\r\n\r\nhalf"
            );
            let mut stream = dial(&client, to.into())?;
            stream.write_all(head.as_bytes())?;
            drop(stream);
            let line = ground.access(&format!("/{name}?half"))?;
            ensure!(line.upstream_host == "-", "{line:?}");
            let head = format!(
                "POST /{name}?bad HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
            );
            let answer = exchange(&client, to, &[head.as_bytes()])?;
            ensure!(
                answer.closed && answer.statuses() == [400],
                "{}",
                answer.text()
            );
        }
        for (path, long) in [("/hbody", 413), ("/gbody", 403)] {
            for request in [
                ground.get(path),
                ground.get(path).http2(),
                ground.get(path).header("transfer-encoding: chunked"),
            ] {
                ensure!(
                    send_early(&request.clone().body("short"), || {})?.status == 403,
                    "{path}"
                );
                let answer = send_early(&request.body(vec![b'x'; 3 * TOO_MUCH]), || {})?;
                ensure!(answer.status == long, "{path}: {answer:?}");
            }
        }
        ensure!(ground.requests("v") == 0);
        Ok(())
    })
}
