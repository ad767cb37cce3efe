//! Ids of requests and headers of traces: made where there is none, otherwise passed on as they are.

use anyhow::{Result, ensure};
use serde_json::json;
use suites::waypoint::{GRPC, Ground};

/// What tracing systems put into requests. Source: TR-02.
const TRACES: [(&str, &str); 14] = [
    ("x-b3-traceid", "80f198ee56343ba864fe8b2a57d3eff7"),
    ("x-b3-spanid", "e457b5a2e4d86bd1"),
    ("x-b3-parentspanid", "05e3ac9a4f6e3b90"),
    ("x-b3-sampled", "1"),
    ("x-b3-flags", "0"),
    (
        "b3",
        "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90",
    ),
    (
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
    ("x-datadog-trace-id", "1234567890"),
    ("x-datadog-parent-id", "987654321"),
    ("x-datadog-sampling-priority", "1"),
    (
        "sw8",
        "1-TRACEID-SEGMENTID-3-U0VSVklDRQ==-SU5TVEFOQ0U=-L2FwaQ==-MTI3LjAuMC4x",
    ),
    (
        "x-cloud-trace-context",
        "105445aa7843bc8bf206b12000100000/1;o=1",
    ),
    ("grpc-trace-bin", "AAAQQu8jTtuUYJLpq0Ss1x8VAAHK3KAhJAhz0BAg"),
];

/// Whether it is a random UUID (RFC 9562, version 4).
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let hexadecimal = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    lengths == [8, 4, 4, 4, 12]
        && hexadecimal
        && text.as_bytes().get(14) == Some(&b'4')
        && matches!(text.as_bytes().get(19), Some(b'8' | b'9' | b'a' | b'b'))
}

#[test]
fn requests_have_ids_and_traces_pass_unchanged() -> Result<()> {
    let Some(ground) = Ground::builder("ids").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let mut ids = Vec::new();
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            for _ in 0..10 {
                let answer = ground.get("/made").arg(version).send()?;
                let id = answer.saw("x-request-id").unwrap_or_default();
                ensure!(is_uuid(&id), "{id}");
                ids.push(id);
            }
            // One that is there stays, whatever it looks like.
            let given = format!("order-4711 {version}");
            let answer = ground
                .get("/given")
                .arg(version)
                .header(&format!("x-request-id: {given}"))
                .send()?;
            ensure!(
                answer.saw("x-request-id").as_ref() == Some(&given),
                "{answer:?}"
            );
            ground.waypoint().wait_log(
                &["/given", &format!("\"{given}\"")],
                suites::policy::PATIENCE,
            )?;

            let mut request = ground.get("/traced").arg(version);
            for (name, value) in TRACES {
                request = request.header(&format!("{name}: {value}"));
            }
            let answer = request.send()?;
            for (name, value) in TRACES {
                let seen = &answer.json()["headers"][name];
                ensure!(*seen == json!([value]), "{version}: {name}: {seen}");
            }
            // Where there are none, none are made: nobody would collect them.
            let answer = ground.get("/bare").arg(version).send()?;
            for (name, _) in TRACES {
                ensure!(answer.saw(name).is_none(), "{name}: {:?}", answer.saw(name));
            }
        }
        ids.sort();
        ids.dedup();
        ensure!(ids.len() == 20, "an id was given twice: {ids:?}");
        // gRPC's own among its metadata.
        let call = ground
            .get("/shop.Cart/Add")
            .to("web", GRPC)
            .http2()
            .header("te: trailers");
        let call = call
            .header("content-type: application/grpc")
            .header("grpc-trace-bin: AAAQ")
            .header("x-meta: v");
        ensure!(call.body("").send()?.header("grpc-status").as_deref() == Some("0"));
        let seen: Vec<_> = ground
            .echoes
            .values()
            .flat_map(|echo| echo.seen("/shop.Cart/Add"))
            .collect();
        ensure!(
            seen.len() == 1 && seen[0].header("grpc-trace-bin").as_deref() == Some("AAAQ"),
            "{seen:?}"
        );
        ensure!(seen[0].header("x-meta").as_deref() == Some("v"), "{seen:?}");
        Ok(())
    })
}
