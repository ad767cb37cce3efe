//! Requests of HTTP/2 that would be two in HTTP/1.1, or that HTTP/2 does not allow: refused, beside what Envoy does with them.
//! Source: RFC 9113 8.1 to 8.3 and 10.3.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::Machine;
use suites::hostile::frames::{Frame, PREFACE, block, data, flag, frame, headers, kind, settings};
use suites::waypoint::peers::peer;
use suites::waypoint::{ANY, Ground, HTTP};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// `SETTINGS_HEADER_TABLE_SIZE`.
const TABLE_SIZE: u16 = 1;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// A status.
    Status(u16),
    /// `RST_STREAM` with this code.
    Reset(u32),
    /// GOAWAY with this code, or the end of the connection.
    Closed(Option<u32>),
}

impl Outcome {
    fn refuses(self) -> bool {
        match self {
            Self::Status(status) => status >= 400,
            Self::Reset(_) | Self::Closed(_) => true,
        }
    }
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A request with these fields, and perhaps a body.
struct Shape {
    name: &'static str,
    fields: Fields,
    body: Option<&'static [u8]>,
}

const SMUGGLED: &[u8] = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: web\r\n\r\n";

/// The fields of a plain request; those of `changed` take their place, and `more` follows.
fn fields(changed: &[(&str, &str)], more: &[(&str, &str)]) -> Fields {
    let plain = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "web"),
        (":path", "/first"),
    ];
    let value = |name: &str, value| {
        let other = changed.iter().find(|(changed, _)| *changed == name);
        other.map_or(value, |(_, value)| *value)
    };
    let all = plain.iter().map(|(name, old)| (*name, value(name, *old)));
    all.chain(more.iter().copied())
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

fn shapes() -> Vec<Shape> {
    let head = |name, changed: &[(&str, &str)], more: &[(&str, &str)]| Shape {
        name,
        fields: fields(changed, more),
        body: None,
    };
    let body = |name, more: &[(&str, &str)]| Shape {
        name,
        fields: fields(&[], more),
        body: Some(SMUGGLED),
    };
    let line = "GET /smuggled HTTP/1.1\r\nhost: web\r\n\r\n";
    let without = |name, gone: &str| Shape {
        name,
        fields: fields(&[], &[])
            .into_iter()
            .filter(|(field, _)| field != gone.as_bytes())
            .collect(),
        body: None,
    };
    vec![
        body("transfer-encoding", &[("transfer-encoding", "chunked")]),
        body("less length than body", &[("content-length", "5")]),
        body("no length but a body", &[("content-length", "0")]),
        body("more length than body", &[("content-length", "5000")]),
        body(
            "two lengths",
            &[("content-length", "5"), ("content-length", "0")],
        ),
        body("a list of lengths", &[("content-length", "5, 0")]),
        body("length with a sign", &[("content-length", "+0")]),
        head("connection", &[], &[("connection", "close")]),
        head("keep-alive", &[], &[("keep-alive", "timeout=5")]),
        head(
            "proxy-connection",
            &[],
            &[("proxy-connection", "keep-alive")],
        ),
        head("upgrade", &[], &[("upgrade", "h2c")]),
        head("te other than trailers", &[], &[("te", "chunked")]),
        head(
            "line end in a value",
            &[],
            &[("x-a", &format!("b\r\n\r\n{line}"))],
        ),
        head("LF in a value", &[], &[("x-a", "b\nx-c: d")]),
        head("CR in a value", &[], &[("x-a", "b\rx-c: d")]),
        head("NUL in a value", &[], &[("x-a", "b\0c")]),
        head(
            "line end in a name",
            &[],
            &[(&format!("x-a: b\r\n\r\n{line}x"), "c")],
        ),
        head("colon in a name", &[], &[("x-a: b", "c")]),
        head("space in a name", &[], &[("x a", "c")]),
        head("capital in a name", &[], &[("X-A", "c")]),
        head("empty name", &[], &[("", "c")]),
        head(
            "line end in the path",
            &[(":path", &format!("/first HTTP/1.1\r\n\r\n{line}"))],
            &[],
        ),
        head("space in the path", &[(":path", "/first HTTP/1.1")], &[]),
        head("empty path", &[(":path", "")], &[]),
        head("relative path", &[(":path", "first")], &[]),
        head(
            "line in the method",
            &[(":method", &format!("GET /smuggled HTTP/1.1\r\n\r\n{line}"))],
            &[],
        ),
        head("space in the method", &[(":method", "GET /smuggled")], &[]),
        head(
            "line end in the authority",
            &[(":authority", "web\r\nx-a: b")],
            &[],
        ),
        head("user in the authority", &[(":authority", "a@web")], &[]),
        head("path in the authority", &[(":authority", "web/x")], &[]),
        head("another host", &[], &[("host", "other")]),
        head("two paths", &[], &[(":path", "/smuggled")]),
        head(
            "pseudo-header after a field",
            &[],
            &[("x-a", "b"), (":path", "/smuggled")],
        ),
        head(
            "unknown pseudo-header",
            &[(":scheme", "http")],
            &[(":smuggled", "/")],
        ),
        head("URL in the scheme", &[(":scheme", "http://smuggled/")], &[]),
        without("no path", ":path"),
        without("no method", ":method"),
        without("no authority", ":authority"),
    ]
}

fn ask(from: &Machine, to: (Ipv4Addr, u16), shape: &Shape) -> Result<Outcome> {
    let mut stream = from.run(|| TcpStream::connect(to))??;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut bytes = PREFACE.to_vec();
    bytes.extend(settings(&[(TABLE_SIZE, 0)]));
    let block = block(&shape.fields);
    match shape.body {
        None => bytes.extend(frame(
            kind::HEADERS,
            flag::END_HEADERS | flag::END_STREAM,
            1,
            &block,
        )),
        Some(body) => {
            bytes.extend(headers(1, &block));
            bytes.extend(data(1, body));
            bytes.extend(frame(kind::DATA, flag::END_STREAM, 1, &[]));
        }
    }
    stream.write_all(&bytes)?;
    let begun = Instant::now();
    let (mut got, mut goaway) = (Vec::new(), None);
    let mut buffer = [0; 16 * 1024];
    while begun.elapsed() < PATIENCE {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(Outcome::Closed(goaway)),
            Ok(length) => got.extend_from_slice(buffer.get(..length).unwrap_or_default()),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
            Err(_) => return Ok(Outcome::Closed(goaway)),
        }
        while let Some(frame) = Frame::take(&mut got) {
            match frame.kind {
                kind::SETTINGS if !frame.has(flag::END_STREAM) => {
                    // Acknowledged, or a strict peer ends the connection before it answers.
                    let _ = stream.write_all(&suites::hostile::frames::frame(
                        kind::SETTINGS,
                        flag::END_STREAM,
                        0,
                        &[],
                    ));
                }
                kind::HEADERS => {
                    let status = suites::hostile::frames::status(&frame.payload);
                    return Ok(Outcome::Status(
                        status.context("an answer without a status")?,
                    ));
                }
                kind::RST_STREAM => return Ok(Outcome::Reset(frame.code().unwrap_or_default())),
                kind::GOAWAY => goaway = frame.code(),
                _ => {}
            }
        }
    }
    match goaway {
        Some(code) => Ok(Outcome::Closed(Some(code))),
        None => anyhow::bail!("{}: no answer in {PATIENCE:?}", shape.name),
    }
}

/// What became of all shapes on a port, and of how many something reached a backend that must not.
fn ask_all(ground: &Ground, port: u16) -> Result<Vec<(&'static str, Outcome, usize)>> {
    let client = ground.pod("client");
    let to = (ground.vip("web")?, port);
    let mut all = Vec::new();
    for shape in shapes() {
        ground.calm();
        let outcome = ask(&client, to, &shape).with_context(|| shape.name)?;
        let reached = ground.echoes.values().map(|it| {
            let seen = it.last(100);
            let odd = |name: &str| ["x-c", "smuggled"].iter().any(|it| name.contains(it));
            let wrong = seen.iter().filter(|it| {
                it.path != "/first"
                    || it.method != "POST"
                    || it.headers.iter().any(|(name, _)| odd(name))
            });
            wrong.count()
        });
        all.push((shape.name, outcome, reached.sum()));
    }
    Ok(all)
}

#[test]
#[expect(clippy::print_stderr, reason = "a comparison is told to people")]
fn what_http_2_does_not_allow_never_becomes_http_1() -> Result<()> {
    let Some(ground) = Ground::builder("downgrade").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let plain = Shape {
            name: "plain",
            fields: fields(&[], &[("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")]),
            body: None,
        };
        for port in [HTTP, ANY] {
            ground.calm();
            let to = (ground.vip("web")?, port);
            let outcome = ask(&ground.pod("client"), to, &plain)?;
            ensure!(outcome == Outcome::Status(200), "{outcome:?}");
            // Crumbs of a cookie are one field again. Source: RFC 9113 8.2.3.
            let seen: Vec<_> = ground.echoes.values().flat_map(|it| it.last(1)).collect();
            let cookie = seen.first().and_then(|it| it.header("cookie"));
            ensure!(port != HTTP || cookie.as_deref() == Some("a=1; b=2"), "{seen:?}");

            let wrong: Vec<_> = ask_all(&ground, port)?
                .into_iter()
                .filter(|(_, outcome, reached)| !outcome.refuses() || *reached > 0)
                .collect();
            ensure!(wrong.is_empty(), "on port {port}, and what reached a backend: {wrong:#?}");
        }
        ensure!(ground.get("/after").http2().send()?.status == 200);
        if peer("envoy", "envoy").is_none() {
            return Ok(());
        }
        let pods = ["v1a", "v1b", "v2a", "v2b"];
        let _envoy = ground.swap_for_envoy(&[ground.for_envoy("web", HTTP, 8080, &pods)?])?;
        for (name, outcome, reached) in ask_all(&ground, HTTP)? {
            if !outcome.refuses() || reached > 0 {
                eprintln!("Envoy takes what the waypoint refuses: {name}: {outcome:?}, reached a backend: {reached}");
            }
        }
        Ok(())
    })
}
