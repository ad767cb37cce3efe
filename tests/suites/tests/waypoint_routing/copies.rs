//! Copies of requests, and requests of other origins.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::until;
use suites::policy::PATIENCE;
use suites::waypoint::{Ground, destination_rule, virtual_service};

const SUBSETS: &str = "
    subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
";

#[test]
fn a_mirror_gets_copies_and_nobody_waits_for_it() -> Result<()> {
    let Some(ground) = Ground::builder("mirror").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("subsets", &destination_rule("web", SUBSETS))?;
        let rules = "
            http:
            - match: [{uri: {prefix: /half}}]
              mirror: {host: web, subset: v2}
              mirrorPercentage: {value: 50}
              route: [{destination: {host: web, subset: v1}}]
            - match: [{uri: {prefix: /two}}]
              mirrors:
              - destination: {host: web, subset: v2}
              - destination: {host: web-v2}
              route: [{destination: {host: web, subset: v1}}]
            - mirror: {host: web, subset: v2}
              route: [{destination: {host: web, subset: v1}}]
        ";
        ground.apply("web", &virtual_service("web", rules))?;

        // The copies' answers go nowhere, however late and bad they are.
        for pod in ["v2a", "v2b"] {
            ground.echo(pod).delay(Duration::from_secs(3));
            ground.echo(pod).fail_with(Some(500));
        }
        let copied =
            |text: &str| ground.echo("v2a").seen(text).len() + ground.echo("v2b").seen(text).len();
        let counts = ground.get("/all").header("x-mine: 1").count(20)?;
        ensure!(counts.of("v1") == 20, "{counts:?}");
        until("the copies", PATIENCE, || copied("/all") == 20)?;
        let copies = [
            ground.echo("v2a").seen("/all"),
            ground.echo("v2b").seen("/all"),
        ]
        .concat();
        for copy in &copies {
            ensure!(
                copy.authority == "web.shop.svc.cluster.local-shadow",
                "{copy:?}"
            );
            ensure!(copy.header("x-mine").as_deref() == Some("1"), "{copy:?}");
        }
        let originals = [
            ground.echo("v1a").seen("/all"),
            ground.echo("v1b").seen("/all"),
        ]
        .concat();
        ensure!(
            originals
                .iter()
                .all(|it| it.authority == "web.shop.svc.cluster.local")
        );

        // Bodies are copied, too.
        let sent = ground.get("/body").body(vec![b'b'; 100_000]).send()?;
        ensure!(sent.json()["body_bytes"] == 100_000, "{sent:?}");
        let body = || {
            let all = [
                ground.echo("v2a").seen("/body"),
                ground.echo("v2b").seen("/body"),
            ]
            .concat();
            all.first().is_some_and(|it| it.body_bytes() == 100_000)
        };
        until("the copy of a body", PATIENCE, body)?;

        ground.calm();
        let counts = ground.get("/half").count(200)?;
        ensure!(counts.of("v1") == 200, "{counts:?}");
        until("copies of a half", PATIENCE, || copied("/half") >= 60)?;
        ground.get("/two?x=1").send()?;
        until("two copies", PATIENCE, || copied("/two") == 2)?;
        ensure!(copied("/half") <= 140, "{} of 200", copied("/half"));

        // They are not counted as the client's requests, and nothing of them is in the log.
        let lines = ground.access_lines("/two?x=1", 1)?;
        ensure!(lines.len() == 1, "{lines:?}");
        Ok(())
    })
}

#[test]
fn other_origins_are_told_what_they_may() -> Result<()> {
    let Some(ground) = Ground::builder("cors").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let policy = |unmatched: &str| {
            format!(
                "
                http:
                - corsPolicy:
                    allowOrigins: [{{exact: 'https://a.example'}}, {{regex: 'https://.*\\.trusted\\.example'}}]
                    allowMethods: [GET, PUT]
                    allowHeaders: [x-one, x-two]
                    exposeHeaders: [x-pod]
                    maxAge: 2h
                    allowCredentials: true
                    {unmatched}
                  route: [{{destination: {{host: web}}}}]
                "
            )
        };
        ground.apply("web", &virtual_service("web", &policy("unmatchedPreflights: IGNORE")))?;
        let preflight = |origin: &str| {
            let request = ground.get("/cors").method("OPTIONS").header(&format!("origin: {origin}"));
            request.header("access-control-request-method: PUT").send()
        };
        for origin in ["https://a.example", "https://x.trusted.example"] {
            let answer = preflight(origin)?;
            ensure!(answer.status == 200 && answer.pod().is_empty(), "{answer:?}");
            let expected = [
                ("access-control-allow-origin", origin),
                ("access-control-allow-methods", "GET, PUT"),
                ("access-control-allow-headers", "x-one, x-two"),
                ("access-control-max-age", "7200"),
                ("access-control-allow-credentials", "true"),
            ];
            for (name, value) in expected {
                ensure!(answer.header(name).as_deref() == Some(value), "{name}: {answer:?}");
            }
            let answer = ground.get("/cors").header(&format!("origin: {origin}")).send()?;
            ensure!(answer.status == 200 && !answer.pod().is_empty(), "{answer:?}");
            let allowed = answer.header("access-control-allow-origin");
            ensure!(allowed.as_deref() == Some(origin), "{answer:?}");
            let exposed = answer.header("access-control-expose-headers");
            ensure!(exposed.as_deref() == Some("x-pod"), "{answer:?}");
        }
        for origin in ["https://b.example", "https://trusted.example.evil"] {
            let answer = preflight(origin)?;
            ensure!(answer.header("access-control-allow-origin").is_none(), "{answer:?}");
            ensure!(answer.status == 200 && answer.pod().is_empty(), "{answer:?}");
            let answer = ground.get("/cors").header(&format!("origin: {origin}")).send()?;
            ensure!(answer.status == 200 && !answer.pod().is_empty(), "{answer:?}");
            ensure!(answer.header("access-control-allow-origin").is_none(), "{answer:?}");
        }
        // Forwarded is what happens unless told otherwise.
        ground.apply("web", &virtual_service("web", &policy("")))?;
        let answer = preflight("https://b.example")?;
        ensure!(answer.told("method") == "OPTIONS", "{answer:?}");
        Ok(())
    })
}
