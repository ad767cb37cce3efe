//! Long and many: requests of one connection over all replicas, hundreds of streams at once, an hour's stream in a minute.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::PodSpec;
use suites::policy::PATIENCE;
use suites::waypoint::peers::peer;
use suites::waypoint::{ANY, GRPC, Ground, H2, HTTP, destination_rule, service, virtual_service};

const PODS: [&str; 4] = ["v1a", "v1b", "v2a", "v2b"];

#[test]
fn requests_of_one_connection_spread_over_replicas() -> Result<()> {
    let Some(ground) = Ground::builder("spread").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        // One connection of gRPC, one call after the other, then ten at a time.
        let message = ground.pod("client").folder().join("message");
        fs::write(&message, b"\0\0\0\0\x05hello")?;
        let message = message.display().to_string();
        let grpc = [
            "-d",
            &message,
            "-H",
            "content-type: application/grpc",
            "-H",
            "te: trailers",
        ];
        for (port, streams) in [(GRPC, 1), (GRPC, 10), (ANY, 10)] {
            ground.calm();
            let sum = ground.h2load(port, "/shop.Cart/Add", [400, 1, streams], &grpc)?;
            ensure!(sum.failed == 0 && sum.answered == 400, "{port}: {sum:?}");
            for pod in PODS {
                let requests = ground.echo(pod).requests();
                ensure!(
                    requests >= 40,
                    "{pod} had {requests} of 400 on {port}, {streams} at a time"
                );
                let last = ground.echo(pod).last(1);
                let last = last.first().context("it had some")?;
                ensure!(
                    last.version == "HTTP/2.0" && last.path == "/shop.Cart/Add",
                    "{last:?}"
                );
            }
        }
        // Five hundred streams at once, on one connection.
        ground.calm();
        let sum = ground.h2load(H2, "/delay/4000", [1000, 1, 500], &[])?;
        ensure!(sum.failed == 0 && sum.answered == 1000, "{sum:?}");
        let at_once: u64 = PODS.iter().map(|pod| ground.echo(pod).most_active()).sum();
        ensure!(at_once >= 500, "{at_once} at once");
        // On connections of HTTP/1.1 behind it.
        ground.calm();
        let sum = ground.h2load(HTTP, "/delay/4000", [500, 1, 500], &[])?;
        ensure!(sum.failed == 0 && sum.answered == 500, "{sum:?}");
        let at_once: u64 = PODS.iter().map(|pod| ground.echo(pod).most_active()).sum();
        ensure!(at_once >= 400, "{at_once} at once");
        Ok(())
    })
}

/// How long a stream is watched, in the place of ten minutes, which was done by hand: no timer on the way lies between the two.
const SECONDS: usize = 60;
/// How long all may take then.
const LONG_ENOUGH: Duration = Duration::from_secs(2 * SECONDS as u64);

#[test]
fn streams_and_websockets_outlive_changes_of_configuration() -> Result<()> {
    let program = peer("websockets", "peer");
    let builder = Ground::builder("long").pod(PodSpec::new("talk").node(1).namespace("shop"));
    let talk = service("chat")
        .named_port("http-ws", 80, 9001)
        .backend("talk");
    let Some(ground) = builder.service(talk).build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let client = ground.pod("client");
        let curl = |version: &str, port: u16| -> Result<_> {
            let url = format!("http://{}:{port}/stream?chunks={SECONDS}&every_ms=1000", ground.vip("web")?);
            client.spawn(["curl", "-sS", "-N", version, &url])
        };
        let streams = [curl("--http1.1", HTTP)?, curl("--http2-prior-knowledge", H2)?];
        let mut servers = Vec::new();
        let mut calls = Vec::new();
        if let Some(program) = &program {
            let program = program.display().to_string();
            servers.push(ground.pod("talk").spawn([program.as_str(), "serve", "9001", "talk"])?);
            ground.pod("talk").wait_listens(9001, PATIENCE)?;
            let url = format!("ws://{}:80/", ground.vip("chat")?);
            calls.push(client.spawn([program.as_str(), "hold", &url, &(SECONDS - 10).to_string()])?);
        }
        // An upload of as many pieces, which the backend sends back while it comes.
        let url = format!("http://{}:{H2}/echo", ground.vip("web")?);
        let script = format!(
            "for i in $(seq {}); do echo piece $i; sleep 1; done | curl -sS -N --http2-prior-knowledge -T - {url}",
            SECONDS / 2
        );
        let upload = client.spawn(["sh", "-c", &script])?;

        let subsets = "subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]";
        ground.apply("subsets", &destination_rule("web", subsets))?;
        for round in 0..10 {
            let subset = if round % 2 == 0 { "v1" } else { "v2" };
            let rules = format!("http: [{{timeout: 3s, route: [{{destination: {{host: web, subset: {subset}}}}}]}}]");
            ground.apply("web", &virtual_service("web", &rules))?;
            let rules = "http: [{timeout: 1s, route: [{destination: {host: chat}}]}]";
            ground.apply("chat", &virtual_service("chat", rules))?;
            ensure!(ground.get("/").count(4)?.of(subset) == 4);
            ground.withdraw(&["chat"])?;
        }
        for stream in &streams {
            stream.wait(LONG_ENOUGH)?;
            let expected: String = (0..SECONDS).map(|number| format!("chunk {number}\n")).collect();
            ensure!(stream.log() == expected, "{}", stream.log());
        }
        upload.wait(LONG_ENOUGH)?;
        let expected: String = (1..=SECONDS / 2).map(|number| format!("piece {number}\n")).collect();
        ensure!(upload.log() == expected, "{}", upload.log());
        for call in &calls {
            call.wait(LONG_ENOUGH)?;
            ensure!(call.log().trim() == "ok", "{}", call.log());
        }
        Ok(())
    })
}
