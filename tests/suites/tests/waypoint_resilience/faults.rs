//! Failures and delays on purpose.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use suites::waypoint::{GRPC, Ground, virtual_service};

const RULES: &str = "
    http:
    - match: [{uri: {prefix: /late}}]
      fault: {delay: {fixedDelay: 0.7s, percentage: {value: 100}}}
      route: [{destination: {host: web}}]
    - match: [{uri: {prefix: /gone}}]
      fault: {abort: {httpStatus: 555, percentage: {value: 100}}}
      retries: {attempts: 3, retryOn: '5xx,555'}
      route: [{destination: {host: web}}]
    - match: [{uri: {prefix: /half}}]
      fault: {abort: {httpStatus: 418, percentage: {value: 50}}}
      route: [{destination: {host: web}}]
    - match: [{uri: {prefix: /never}}]
      fault: {abort: {httpStatus: 418, percentage: {value: 0}}, delay: {fixedDelay: 20s, percentage: {value: 0}}}
      route: [{destination: {host: web}}]
    - match: [{uri: {prefix: /both}}]
      fault: {abort: {httpStatus: 400, percentage: {value: 100}}, delay: {fixedDelay: 0.7s, percentage: {value: 100}}}
      route: [{destination: {host: web}}]
    - match: [{uri: {prefix: /grpc}}]
      fault: {abort: {grpcStatus: RESOURCE_EXHAUSTED, percentage: {value: 100}}}
      route: [{destination: {host: web}}]
    - route: [{destination: {host: web}}]
";

#[test]
fn faults_are_injected_as_often_as_they_are_asked_for() -> Result<()> {
    let Some(ground) = Ground::builder("faults").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("web", &virtual_service("web", RULES))?;
        // Only that it is not earlier can be asked of a machine that has other work.
        let cases = [
            (
                "/late",
                200,
                "DI",
                "via_upstream",
                Duration::from_millis(700),
            ),
            ("/gone", 555, "FI", "fault_filter_abort", Duration::ZERO),
            (
                "/both",
                400,
                "DI,FI",
                "fault_filter_abort",
                Duration::from_millis(700),
            ),
            ("/free", 200, "-", "via_upstream", Duration::ZERO),
            ("/never", 200, "-", "via_upstream", Duration::ZERO),
        ];
        for (path, status, flags, details, least) in cases {
            let begun = Instant::now();
            let answer = ground.get(path).send()?;
            ensure!(
                begun.elapsed() >= least,
                "{path}: after {:?}",
                begun.elapsed()
            );
            ensure!(answer.status == status, "{path}: {answer:?}");
            ensure!(
                (status == 200) != answer.pod().is_empty(),
                "{path}: {answer:?}"
            );
            if status != 200 {
                ensure!(answer.text() == "fault filter abort", "{path}: {answer:?}");
            }
            let line = ground.access(path)?;
            ensure!(
                line.flags == flags && line.details == details,
                "{path}: {line:?}"
            );
        }
        for path in ["/gone", "/both"] {
            let reached: usize = ground
                .echoes
                .values()
                .map(|echo| echo.seen(path).len())
                .sum();
            ensure!(reached == 0, "{path} reached a backend, or was tried again");
        }
        let counts = ground.get("/half").count(200)?;
        ensure!(
            (65..=135).contains(&counts.of("418")) && counts.of("v") + counts.of("418") == 200,
            "{counts:?}"
        );
        let counts = ground.get("/never").count(100)?;
        ensure!(counts.of("v") == 100, "{counts:?}");

        let call = ground
            .get("/grpc")
            .to("web", GRPC)
            .http2()
            .header("te: trailers");
        let answer = call
            .header("content-type: application/grpc")
            .body("")
            .send()?;
        ensure!(
            answer.header("grpc-status").as_deref() == Some("8"),
            "{answer:?}"
        );
        ensure!(
            answer.header("grpc-message").as_deref() == Some("fault filter abort"),
            "{answer:?}"
        );
        // Who does not speak gRPC is told likewise, in words of HTTP.
        let answer = ground.get("/grpc").send()?;
        ensure!(answer.status == 429, "{answer:?}");
        let counted = ground
            .waypoint()
            .metric("istio_requests_total", &[("response_flags", "FI")]);
        ensure!(counted.context("metrics")? >= 2.0);
        Ok(())
    })
}
