//! WebSockets of Python's `websockets`, through the whole path (`scripts/peer-websockets`).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Result, ensure};
use lab::PodSpec;
use suites::hostile::frames::{self, Frame, flag, kind};
use suites::policy::PATIENCE;
use suites::waypoint::peers::peer;
use suites::waypoint::{Ground, service, virtual_service};

#[test]
fn websockets_pass_and_are_routed() -> Result<()> {
    let Some(program) = peer("websockets", "peer") else {
        return Ok(());
    };
    let ports = |name: &str, pod: &str| {
        let spec = service(name)
            .named_port("http-ws", 80, 9001)
            .named_port("any", 81, 9001);
        spec.backend(pod)
    };
    let builder = Ground::bare("websocket")
        .pod(PodSpec::new("one").node(1).namespace("shop"))
        .pod(PodSpec::new("two").node(0).namespace("shop"))
        .service(ports("chat", "one"))
        .service(ports("chat-two", "two"));
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let serve = |pod: &str| -> Result<_> {
            let pod = ground.pod(pod);
            let program = program.display().to_string();
            let server = pod.spawn([program.as_str(), "serve", "9001", pod.name()])?;
            pod.wait_listens(9001, PATIENCE)?;
            Ok(server)
        };
        let _servers = [serve("one")?, serve("two")?];
        let call = |port: u16, path: &str, more: &[&str]| -> Result<String> {
            let url = format!("ws://{}:{port}{path}", ground.vip("chat")?);
            let program = program.display().to_string();
            let mut line = vec![program.as_str(), "call", &url, "20", "70000"];
            line.extend_from_slice(more);
            let output = ground
                .pod("client")
                .command(line)
                .timeout(PATIENCE)
                .output()?;
            Ok(output.ok()?.trim().to_owned())
        };
        for port in [80, 81] {
            let said = call(port, "/room?id=1", &[])?;
            ensure!(said == "ok one /room?id=1 4000", "{port}: {said}");
        }
        let line = ground.access_lines("/room?id=1", 2)?;
        for line in line {
            ensure!(
                line.status == 101 && line.request == "GET /room?id=1 HTTP/1.1",
                "{line:?}"
            );
            ensure!(line.received > 700_000 && line.sent > 700_000, "{line:?}");
        }
        // By path and header, rewritten, like any other request; a timeout of the rule does not end it in the middle.
        let rules = "
            http:
            - match: [{uri: {prefix: /two/}}]
              rewrite: {uri: /}
              timeout: 1s
              route: [{destination: {host: chat-two}}]
            - match: [{headers: {x-room: {exact: two}}}]
              route: [{destination: {host: chat-two}}]
            - match: [{uri: {prefix: /closed}}]
              directResponse: {status: 403}
            - route: [{destination: {host: chat}}]
        ";
        ground.apply("chat", &virtual_service("chat", rules))?;
        ensure!(call(80, "/two/x", &[])? == "ok two /x 4000");
        ensure!(call(80, "/", &["x-room:two"])? == "ok two / 4000");
        ensure!(call(80, "/", &[])? == "ok one / 4000");
        let refused = call(80, "/closed", &[]);
        let text = refused
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap_or_default();
        ensure!(text.contains("403"), "{text}");
        ground.withdraw(&["chat"])?;
        ensure!(by_http_2(&ground)? == b"\x81\x03one", "an extended CONNECT");
        Ok(())
    })
}

/// A WebSocket on a stream of HTTP/2 (RFC 8441), which a server of HTTP/1.1 answers: what comes back for `who`.
fn by_http_2(ground: &Ground) -> Result<Vec<u8>> {
    let to = (ground.vip("chat")?, 80);
    let mut stream = ground.pod("client").run(|| TcpStream::connect(to))??;
    stream.set_read_timeout(Some(PATIENCE))?;
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "chat"),
        (":path", "/by-http-2"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut bytes = frames::PREFACE.to_vec();
    bytes.extend(frames::settings(&[(1, 0)]));
    bytes.extend(frames::headers(1, &frames::block(&fields)));
    stream.write_all(&bytes)?;
    let (mut got, mut back, mut allowed) = (Vec::new(), Vec::new(), false);
    let mut buffer = [0; 16 * 1024];
    while back.len() < 5 {
        let length = stream.read(&mut buffer)?;
        ensure!(length > 0, "the end after {got:?}");
        got.extend_from_slice(buffer.get(..length).unwrap_or_default());
        while let Some(frame) = Frame::take(&mut got) {
            let ack = frames::frame(kind::SETTINGS, flag::END_STREAM, 0, &[]);
            match frame.kind {
                kind::SETTINGS if !frame.has(flag::END_STREAM) => {
                    // SETTINGS_ENABLE_CONNECT_PROTOCOL
                    allowed = frame.payload.chunks(6).any(|it| it == [0, 8, 0, 0, 0, 1]);
                    stream.write_all(&ack)?;
                }
                kind::HEADERS => {
                    let status = frames::status(&frame.payload);
                    ensure!(
                        status == Some(200) && allowed,
                        "{status:?}, allowed: {allowed}"
                    );
                    let who = [&[0x81, 0x83, 0, 0, 0, 0][..], b"who"].concat();
                    stream.write_all(&frames::data(1, &who))?;
                }
                kind::DATA => back.extend(frame.payload),
                kind::RST_STREAM | kind::GOAWAY => anyhow::bail!("{frame:?}"),
                _ => {}
            }
        }
    }
    Ok(back)
}
