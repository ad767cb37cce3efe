//! gRPC's own interoperability client against its server, through the whole path (`scripts/peer-interop`); gRPC-Web.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::PodSpec;
use suites::policy::PATIENCE;
use suites::waypoint::peers::peer;
use suites::waypoint::{Ground, backend, service};

/// Every case of the client that needs no credentials and only one server.
const CASES: [&str; 14] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
    "custom_metadata",
];

#[test]
fn every_case_of_grpc_s_interop_client_passes() -> Result<()> {
    let (Some(client), Some(server)) = (peer("interop", "client"), peer("interop", "server"))
    else {
        return Ok(());
    };
    let builder = Ground::bare("interop")
        .pod(PodSpec::new("server").node(1).namespace("shop"))
        .service(
            service("interop")
                .named_port("grpc", 10000, 10000)
                .named_port("any", 10001, 10000)
                .backend("server"),
        );
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let pod = ground.pod("server");
        let _server = pod.spawn([server.display().to_string().as_str(), "-port", "10000"])?;
        pod.wait_listens(10000, PATIENCE)?;
        let host = ground.vip("interop")?.to_string();
        let mut failed = Vec::new();
        for port in ["10000", "10001"] {
            for case in CASES {
                let program = client.display().to_string();
                let line = [
                    &program,
                    "-server_host",
                    &host,
                    "-server_port",
                    port,
                    "-test_case",
                    case,
                ];
                let output = ground
                    .pod("client")
                    .command(line)
                    .timeout(Duration::from_secs(60))
                    .output()?;
                if !output.status.success() {
                    failed.push(format!("{case} on {port}: {}", output.errors().trim()));
                }
            }
        }
        ensure!(failed.is_empty(), "{failed:#?}");

        // What the log says: the status of HTTP, which is 200 for all of them.
        let lines = ground.access_lines("/grpc.testing.TestService/EmptyCall", 2)?;
        ensure!(
            lines
                .iter()
                .all(|line| line.status == 200 && line.flags == "-"),
            "{lines:#?}"
        );
        let labels = [
            ("reporter", "waypoint"),
            ("request_protocol", "grpc"),
            ("grpc_response_status", "12"),
        ];
        lab::until("metrics of gRPC", PATIENCE, || {
            let count = ground.waypoint().metric("istio_requests_total", &labels);
            count.is_ok_and(|count| count >= 2.0)
        })?;
        Ok(())
    })
}

/// One message of gRPC-Web: a frame of data, or with `0x80` one of trailers.
fn frames(mut bytes: &[u8]) -> Result<Vec<(u8, Vec<u8>)>> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<5>() {
        let length = usize::try_from(u32::from_be_bytes([head[1], head[2], head[3], head[4]]))?;
        let payload = rest.get(..length).context("a frame is cut short")?;
        frames.push((head[0], payload.to_vec()));
        bytes = rest.get(length..).unwrap_or_default();
    }
    ensure!(bytes.is_empty(), "{bytes:?} at the end");
    Ok(frames)
}

#[test]
fn grpc_web_is_translated() -> Result<()> {
    let builder = Ground::bare("grpcweb")
        .echo(backend("v1", 1, "v1"))
        .service(
            service("web")
                .named_port("grpc-web-shop", 80, 8080)
                .backend("v1"),
        );
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let message = [&[0, 0, 0, 0, 3][..], b"abc"].concat();
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let call = ground
                .get("/shop.Cart/Add")
                .arg(version)
                .header("content-type: application/grpc-web+proto");
            let answer = call.header("x-grpc-web: 1").body(message.clone()).send()?;
            ensure!(answer.status == 200, "{answer:?}");
            ensure!(
                answer.header("content-type").as_deref() == Some("application/grpc-web+proto"),
                "{answer:?}"
            );
            let frames = frames(&answer.body)?;
            let [(0, data), (0x80, trailers)] = frames.as_slice() else {
                anyhow::bail!("{frames:?}");
            };
            ensure!(data == b"abc", "{frames:?}");
            let trailers = String::from_utf8_lossy(trailers).to_lowercase();
            ensure!(
                trailers.contains("grpc-status") && trailers.contains('0'),
                "{trailers}"
            );
        }
        let seen = ground.echo("v1").seen("Cart/Add");
        ensure!(seen.len() == 2, "{seen:?}");
        for request in &seen {
            ensure!(request.version == "HTTP/2.0", "{request:?}");
            ensure!(
                request
                    .header("content-type")
                    .is_some_and(|it| it.starts_with("application/grpc")),
                "{request:?}"
            );
            ensure!(
                !request
                    .header("content-type")
                    .is_some_and(|it| it.contains("web")),
                "{request:?}"
            );
        }
        // The same in base64, as browsers that cannot take bytes ask for it.
        let text = "AAAAAANhYmM=";
        let call = ground
            .get("/shop.Cart/Text")
            .header("content-type: application/grpc-web-text");
        let answer = call
            .header("accept: application/grpc-web-text")
            .body(text)
            .send()?;
        ensure!(
            answer.status == 200 && answer.text().starts_with("AAAAAANhYmM"),
            "{answer:?}"
        );
        // gRPC itself passes on such a port, too.
        let call = ground
            .get("/shop.Cart/Plain")
            .http2()
            .header("content-type: application/grpc")
            .header("te: trailers");
        let answer = call.body(message).send()?;
        ensure!(
            answer.header("grpc-status").as_deref() == Some("0"),
            "{answer:?}"
        );
        Ok(())
    })
}
