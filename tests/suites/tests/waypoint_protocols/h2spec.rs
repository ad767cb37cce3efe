//! h2spec in a pod against the waypoint, and against Envoy in its place (`scripts/peer-interop`, `scripts/peer-envoy`).

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use suites::waypoint::junit::{self, Report};
use suites::waypoint::peers::peer;
use suites::waypoint::{ANY, Ground, HTTP};

/// All cases take minutes on a busy machine, as each failure of Envoy waits for a timeout.
const WHOLE: Duration = Duration::from_secs(400);

/// What fails, and why: on a port that carries both versions, a broken preface of HTTP/2 is a broken request of HTTP/1.1, and
/// is answered as one. Envoy does the same.
const KNOWN: [&str; 1] = ["http2/3.5 Sends invalid connection preface"];

fn run(ground: &Ground, program: &str, port: u16, who: &str) -> Result<Report> {
    let client = ground.pod("client");
    let report = client.folder().join(format!("h2spec-{who}-{port}.xml"));
    let (host, port, path) = (
        ground.vip("web")?.to_string(),
        port.to_string(),
        report.display().to_string(),
    );
    let line = [program, "-h", &host, "-p", &port, "-o", "4", "-j", &path];
    // It fails where a case does; the report says which.
    let output = client.command(line).timeout(WHOLE).output()?;
    let xml = std::fs::read_to_string(&report).with_context(|| output.errors())?;
    let report = junit::parse(&xml);
    ensure!(report.cases > 140, "{report:?}: {}", output.text());
    Ok(report)
}

#[test]
#[expect(clippy::print_stderr, reason = "a comparison is told to people")]
fn no_case_of_h2spec_fails_that_does_not_fail_with_envoy() -> Result<()> {
    let (Some(program), Some(_)) = (peer("interop", "h2spec"), peer("envoy", "envoy")) else {
        return Ok(());
    };
    let Some(ground) = Ground::builder("h2spec").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let program = program.display().to_string();
        let declared = run(&ground, &program, HTTP, "waypoint")?;
        let detected = run(&ground, &program, ANY, "waypoint")?;
        // It lives, and answers as before.
        ensure!(ground.get("/after").http2().send()?.status == 200);

        let pods = ["v1a", "v1b", "v2a", "v2b"];
        let envoy = ground.swap_for_envoy(&[ground.for_envoy("web", HTTP, 8080, &pods)?])?;
        let theirs = run(&ground, &program, HTTP, "envoy")?;
        drop(envoy);
        eprintln!(
            "h2spec, failures of {} cases: waypoint {}, on an undeclared port {}, Envoy {}",
            theirs.cases,
            declared.failed.len(),
            detected.failed.len(),
            theirs.failed.len(),
        );
        for ours in [&declared, &detected] {
            let known: Vec<_> = ours
                .failed
                .keys()
                .filter(|case| !KNOWN.contains(&case.as_str()))
                .collect();
            ensure!(known.is_empty(), "{known:#?}");
            let more: Vec<_> = ours
                .failed
                .iter()
                .filter(|(case, _)| !theirs.failed.contains_key(*case))
                .collect();
            ensure!(more.is_empty(), "Envoy does not fail in {more:#?}");
        }
        Ok(())
    })
}
