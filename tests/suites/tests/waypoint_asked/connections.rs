//! Connections of which no request is read, judged by an authorizer: redis, whose client speaks first, and MariaDB, whose server does.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::PodSpec;
use lab::programs::{MariaDb, mariadb, redis};
use suites::asked::{Answerer, authorizer};
use suites::waypoint::{Ground, authorization_policy, service};

use crate::login::say;
use crate::setup::{BY_GRPC, BY_HTTP, Fails, asked_once, by_grpc, by_http, with_auth};

const REDIS: u16 = 6379;
const MARIA: u16 = 3306;

fn pings(ground: &Ground, from: &str) -> Result<bool> {
    let vip = ground.vip("cache")?.to_string();
    let output = ground
        .pod(from)
        .exec(["redis-cli", "-h", &vip, "-p", "6379", "PING"])?;
    Ok(String::from_utf8_lossy(&output.stdout).trim() == "PONG")
}

fn selects(ground: &Ground) -> Result<bool> {
    let vip = ground.vip("cache")?.into();
    let output = MariaDb::query(&ground.pod("client"), vip, MARIA, "SELECT 6 * 7")?;
    Ok(output.text().trim() == "42")
}

/// A policy for both ports by this provider.
fn ask(provider: &str) -> String {
    let spec = format!(
        "targetRefs: [{{kind: Service, group: '', name: cache}}]\naction: CUSTOM\nprovider: {{name: {provider}}}\nrules:\n- {{}}"
    );
    authorization_policy("ask", &spec)
}

#[test]
fn connections_pass_if_an_authorizer_by_grpc_lets_them() -> Result<()> {
    let providers = [
        by_grpc("closed", "timeout: 2s"),
        by_grpc("open", "timeout: 2s, failOpen: true"),
        by_http("http", "timeout: 5s, failOpen: true"),
    ];
    let cache = service("cache").named_port("tcp-redis", REDIS, REDIS);
    let builder = with_auth(Ground::bare("askedtcp"), &providers)
        .pod(PodSpec::new("one").node(1).namespace("shop"))
        .service(cache.named_port("tcp-sql", MARIA, MARIA).backend("one"));
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let one = ground.pod("one");
        let _redis = redis(&one, REDIS)?;
        let _maria = mariadb(&one, MARIA)?;
        ensure!(pings(&ground, "client")? && selects(&ground)?);
        let auth = ground.pod("auth");
        let server = Answerer::start(&auth, BY_GRPC, |_| authorizer::allow(&[]))?;
        let by_http = Answerer::start(&auth, BY_HTTP, |_| say(200, &[], ""))?;

        ground.apply("ask", &ask("closed"))?;
        server.forget();
        ensure!(pings(&ground, "guest")?);
        let attributes = asked_once(&server)?.attributes.context("attributes")?;
        let source = attributes.source.as_ref().context("a source")?;
        ensure!(
            source.principal == "spiffe://cluster.local/ns/town/sa/guest",
            "{attributes:?}"
        );
        let address = authorizer::address(Some(source)).context("its address")?;
        ensure!(
            address.0 == ground.pod("guest").ip4().to_string(),
            "{attributes:?}"
        );
        let destination = authorizer::address(attributes.destination.as_ref());
        ensure!(
            destination == Some((ground.vip("cache")?.to_string(), u32::from(REDIS))),
            "{attributes:?}"
        );
        ensure!(
            attributes
                .request
                .as_ref()
                .is_some_and(|it| it.http.is_none()),
            "{attributes:?}"
        );
        ensure!(selects(&ground)?);

        // By who it is.
        server.say(|question| {
            let asked = authorizer::question(question).unwrap_or_default();
            let source = asked
                .attributes
                .and_then(|it| it.source)
                .unwrap_or_default();
            match source.principal.ends_with("/sa/guest") {
                true => authorizer::deny(403, &[], "no"),
                false => authorizer::allow(&[]),
            }
        });
        ensure!(pings(&ground, "client")? && selects(&ground)? && !pings(&ground, "guest")?);
        let line = ground.access("ext_authz_denied")?;
        ensure!(line.flags == "UAEX", "{line:?}");

        // Nobody answers in time; it says that it cannot; what it says cannot be understood, which a client may have brought about.
        let no_answers: [(&str, bool, Fails); 3] = [
            ("late", true, |it| it.delay(Duration::from_secs(20))),
            ("failing", true, |it| it.say(|_| authorizer::fail(14))),
            ("none", false, |it| {
                it.say(|_| say(200, &[("content-type", "application/grpc")], ""));
            }),
        ];
        for (what, opens, fails) in no_answers {
            fails(&server);
            for (provider, passes) in [("closed", false), ("open", opens)] {
                ground.apply("ask", &ask(provider))?;
                ensure!(pings(&ground, "client")? == passes, "{what}, {provider}");
                ensure!(selects(&ground)? == passes, "{what}, {provider}");
            }
            server.delay(Duration::ZERO);
        }
        let lines = ground.access_lines("ext_authz_error", 6)?;
        ensure!(lines.iter().all(|line| line.flags == "UAEX"), "{lines:#?}");

        // A no is heard where the provider fails open.
        server.say(|_| authorizer::deny(403, &[], "no"));
        ensure!(!pings(&ground, "client")?);

        // By HTTP nobody can be asked about a connection, and none passes so.
        ground.try_apply("ask", &ask("http"))?;
        ensure!(!pings(&ground, "client")? && !selects(&ground)?);
        ensure!(by_http.asked().is_empty());
        Ok(())
    })
}
