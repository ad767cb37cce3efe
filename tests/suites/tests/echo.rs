//! The suites' own server, asked directly: what it tells, and that its switches do what they say.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Capture, Lab, PodSpec};
use serde_json::Value;
use suites::echo::Echo;

fn get(lab: &Lab, more: &[&str], path: &str) -> Result<lab::Output> {
    let url = format!("http://{}:8080{path}", lab.pod("web").ip4());
    let mut line = vec!["curl", "-sS", "-m", "20"];
    line.extend_from_slice(more);
    line.push(&url);
    lab.pod("client").exec(line)
}

fn status(lab: &Lab, more: &[&str], path: &str) -> Result<String> {
    let mut all = vec!["-o", "/dev/null", "-w", "%{http_code}"];
    all.extend_from_slice(more);
    Ok(get(lab, &all, path)?.text())
}

#[test]
fn it_tells_what_it_saw_and_fails_as_it_is_told() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("echo")
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("web").node(1))
        .capture(Capture::None)
        .build()?;
    let echo = Echo::start(&lab.pod("web"), &[8080])?;

    for (version, flag) in [
        ("HTTP/1.1", "--http1.1"),
        ("HTTP/2.0", "--http2-prior-knowledge"),
    ] {
        let more = [flag, "-H", "x-a: 1", "-H", "x-a: 2", "-d", "four"];
        let told: Value = serde_json::from_str(&get(&lab, &more, "/some?where=1")?.ok()?)?;
        ensure!(
            told["version"] == version && told["method"] == "POST",
            "{told}"
        );
        ensure!(
            told["path"] == "/some?where=1" && told["pod"] == "web",
            "{told}"
        );
        ensure!(
            told["headers"]["x-a"] == serde_json::json!(["1", "2"]),
            "{told}"
        );
        ensure!(told["body_bytes"] == 4, "{told}");
    }
    ensure!(echo.requests() == 2 && echo.seen("where=1").len() == 2);

    ensure!(status(&lab, &[], "/status/418")? == "418");
    ensure!(get(&lab, &[], "/bytes/100000")?.ok()?.len() == 100_000);
    ensure!(get(&lab, &[], "/stream?chunks=2")?.ok()? == "chunk 0\nchunk 1\n");
    ensure!(get(&lab, &["-d", "back"], "/echo")?.ok()? == "back");
    let trailers = ["--http2-prior-knowledge", "-i"];
    ensure!(
        get(&lab, &trailers, "/trailers")?
            .ok()?
            .contains("x-trailer: after")
    );
    ensure!(
        get(&lab, &[], "/cut/1000")?.code() == Some(18),
        "a part of the body"
    );

    echo.forget();
    echo.fail_with(Some(503));
    echo.fail_share(50);
    let text = get(
        &lab,
        &["-w", "%{http_code}\n", "-o", "/dev/null"],
        "/?[1-10]",
    )?
    .ok()?;
    ensure!(text.matches("503").count() == 5, "{text}");
    echo.heal();
    echo.reset_connections(true);
    echo.fail_next(Some(1));
    let reset = get(&lab, &[], "/")?;
    ensure!(reset.code() == Some(56), "{}", reset.errors());
    ensure!(status(&lab, &[], "/")? == "200");

    echo.healthy(false);
    ensure!(status(&lab, &[], "/healthz")? == "503" && echo.checks() == 1);
    echo.delay(Duration::from_secs(60));
    let slow = get(&lab, &["-m", "1"], "/")?;
    ensure!(slow.code() == Some(28), "{}", slow.errors());
    echo.heal();

    echo.stop_listening();
    ensure!(get(&lab, &[], "/")?.code() == Some(7), "refused");
    echo.listen_again()?;
    ensure!(status(&lab, &[], "/")? == "200");
    Ok(())
}
