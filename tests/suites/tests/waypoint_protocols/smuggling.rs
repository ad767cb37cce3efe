//! Requests with more than one reading: refused with a reason, beside what Envoy does with the same bytes.
//!
//! Behind each shape stands a second request, `/smuggled`, in the place where one of the readings would begin it. Whatever
//! the answer, it must not reach a backend, unless both readings are that it is a request.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use suites::waypoint::peers::peer;
use suites::waypoint::raw::{Exchange, exchange};
use suites::waypoint::{Ground, HTTP};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: web\r\n\r\n";

/// What a shape is to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// This status, the end of the connection, nothing to a backend.
    Refused(u16),
    /// It has one reading, and is answered with 200. Here so that the guard is shown to know the difference.
    Taken,
}
use Expected::{Refused, Taken};

/// Name, bytes before the smuggled request, what is to become of it.
fn shapes() -> Vec<(&'static str, String, Expected)> {
    let post = |headers: &str, body: &str| {
        format!("POST /first HTTP/1.1\r\nHost: web\r\n{headers}\r\n{body}")
    };
    let get = |line: &str, headers: &str| format!("{line}\r\nHost: web\r\n{headers}\r\n");
    let plain = "GET /first HTTP/1.1";
    let chunked = "Transfer-Encoding: chunked\r\n";
    vec![
        // Which length counts.
        (
            "length and chunked",
            post(&format!("Content-Length: 4\r\n{chunked}"), "0\r\n\r\n"),
            Refused(400),
        ),
        (
            "chunked and length",
            post(&format!("{chunked}Content-Length: 4\r\n"), "0\r\n\r\n"),
            Refused(400),
        ),
        (
            "two lengths",
            post("Content-Length: 0\r\nContent-Length: 5\r\n", ""),
            Refused(400),
        ),
        (
            "two lengths in one",
            post("Content-Length: 0, 5\r\n", ""),
            Refused(400),
        ),
        (
            "length with a sign",
            post("Content-Length: +0\r\n", ""),
            Refused(400),
        ),
        (
            "negative length",
            post("Content-Length: -1\r\n", ""),
            Refused(400),
        ),
        (
            "hexadecimal length",
            post("Content-Length: 0x0\r\n", ""),
            Refused(400),
        ),
        (
            "empty length",
            post("Content-Length:\r\n", ""),
            Refused(400),
        ),
        (
            "length beyond numbers",
            post("Content-Length: 18446744073709551616\r\n", ""),
            Refused(400),
        ),
        (
            "chunked twice",
            post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
            Refused(400),
        ),
        (
            "chunked in two fields",
            post(&format!("{chunked}{chunked}"), "0\r\n\r\n"),
            Refused(400),
        ),
        (
            "chunked is not last",
            post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
            Refused(400),
        ),
        (
            "identity",
            post("Transfer-Encoding: identity\r\n", ""),
            Refused(400),
        ),
        (
            "unknown coding",
            post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
            Refused(400),
        ),
        (
            "coding with a tab",
            post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"),
            Refused(400),
        ),
        (
            "another coding before chunked",
            post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
            Refused(501),
        ),
        (
            "quoted coding",
            post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"),
            Refused(400),
        ),
        // Where a field ends.
        (
            "space before the colon",
            post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
            Refused(400),
        ),
        (
            "tab before the colon",
            post("Content-Length\t: 0\r\n", ""),
            Refused(400),
        ),
        ("folded field", post("X-A: b\r\n c\r\n", ""), Refused(400)),
        (
            "folded coding",
            post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
            Refused(400),
        ),
        (
            "space before the first field",
            format!("{plain}\r\n Host: web\r\nHost: web\r\n\r\n"),
            Refused(400),
        ),
        (
            "LF alone in a field",
            get(plain, "X-A: b\nX-C: d\r\n"),
            Refused(400),
        ),
        (
            "LF alone at the end",
            format!("{plain}\r\nHost: web\r\nX-A: b\r\n\n"),
            Refused(400),
        ),
        (
            "LF alone everywhere",
            format!("{plain}\nHost: web\n\n"),
            Refused(400),
        ),
        (
            "CR alone in a field",
            get(plain, "X-A: b\rX-C: d\r\n"),
            Refused(400),
        ),
        ("NUL in a field", get(plain, "X-A: b\0c\r\n"), Refused(400)),
        ("NUL in a name", get(plain, "X\0A: b\r\n"), Refused(400)),
        ("no colon", get(plain, "nothing\r\n"), Refused(400)),
        ("empty name", get(plain, ": b\r\n"), Refused(400)),
        ("space in a name", get(plain, "X A: b\r\n"), Refused(400)),
        // Whom it is for.
        ("no host", format!("{plain}\r\n\r\n"), Refused(400)),
        ("two hosts", get(plain, "Host: other\r\n"), Refused(400)),
        (
            "host with a path",
            format!("{plain}\r\nHost: web/x\r\n\r\n"),
            Refused(400),
        ),
        (
            "host with a user",
            format!("{plain}\r\nHost: a@web\r\n\r\n"),
            Refused(400),
        ),
        (
            "host with a space",
            format!("{plain}\r\nHost: web other\r\n\r\n"),
            Refused(400),
        ),
        // The first line.
        ("two spaces", get("GET  /first HTTP/1.1", ""), Refused(400)),
        (
            "tab in the line",
            get("GET\t/first HTTP/1.1", ""),
            Refused(400),
        ),
        (
            "space in the path",
            get("GET /fi rst HTTP/1.1", ""),
            Refused(400),
        ),
        ("no version", get("GET /first", ""), Refused(400)),
        ("version 1.2", get("GET /first HTTP/1.2", ""), Refused(400)),
        ("version 2.0", get("GET /first HTTP/2.0", ""), Refused(400)),
        ("version 1.0", get("GET /first HTTP/1.0", ""), Refused(426)),
        (
            "version in lower case",
            get("GET /first http/1.1", ""),
            Refused(400),
        ),
        (
            "method is no token",
            get("G(T /first HTTP/1.1", ""),
            Refused(400),
        ),
        ("relative path", get("GET first HTTP/1.1", ""), Refused(400)),
        ("fragment", get("GET /first#x HTTP/1.1", ""), Refused(400)),
        // Chunks.
        (
            "chunk size with a prefix",
            post(chunked, "0x0\r\n\r\n"),
            Refused(400),
        ),
        (
            "chunk size with a sign",
            post(chunked, "+0\r\n\r\n"),
            Refused(400),
        ),
        (
            "chunk size that overflows",
            post(chunked, "10000000000000000\r\n\r\n"),
            Refused(400),
        ),
        (
            "chunk size that is none",
            post(chunked, "zz\r\n\r\n"),
            Refused(400),
        ),
        (
            "chunk longer than it says",
            post(chunked, "1\r\nabc\r\n0\r\n\r\n"),
            Refused(400),
        ),
        (
            "chunk that ends with LF",
            post(chunked, "1\r\na\n0\r\n\r\n"),
            Refused(400),
        ),
        (
            "chunk size that ends with LF",
            post(chunked, "1\na\r\n0\r\n\r\n"),
            Refused(400),
        ),
        (
            "LF in a chunk extension",
            post(chunked, "0;a=b\nc\r\n\r\n"),
            Refused(400),
        ),
        (
            "length in the trailers",
            post(chunked, "0\r\nContent-Length: 50\r\n\r\n"),
            Refused(400),
        ),
        (
            "coding in the trailers",
            post(chunked, "0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Refused(400),
        ),
        // What is fine.
        (
            "chunked in capitals",
            post("TRANSFER-ENCODING: Chunked\r\n", "0\r\n\r\n"),
            Taken,
        ),
        (
            "a chunk with an extension",
            post(chunked, "1;a=\"b\"\r\nx\r\n0\r\n\r\n"),
            Taken,
        ),
        ("a trailer", post(chunked, "0\r\nX-A: b\r\n\r\n"), Taken),
        (
            "white space around a value",
            get(plain, "X-A: \t b \t\r\n"),
            Taken,
        ),
        (
            "an empty line before",
            format!("\r\n{}", get(plain, "")),
            Taken,
        ),
        (
            "the whole URL",
            get("GET http://web/first HTTP/1.1", ""),
            Taken,
        ),
    ]
}

/// Sends every shape; what came back by name, and whether `/smuggled` reached a backend.
fn send_all(ground: &Ground) -> Result<BTreeMap<&'static str, (Exchange, usize)>> {
    let client = ground.pod("client");
    let to = (ground.vip("web")?, HTTP);
    let mut all = BTreeMap::new();
    for (name, bytes, _) in shapes() {
        ground.calm();
        let request = format!("{bytes}{SMUGGLED}");
        let exchange = exchange(&client, to, &[request.as_bytes()]).with_context(|| name)?;
        let reached = ground
            .echoes
            .values()
            .map(|it| it.seen("smuggled").len())
            .sum();
        all.insert(name, (exchange, reached));
    }
    Ok(all)
}

#[test]
#[expect(clippy::print_stderr, reason = "a comparison is told to people")]
fn a_request_with_two_readings_is_refused() -> Result<()> {
    let Some(ground) = Ground::builder("smuggling").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let mark = ground.mark();
        let ours = send_all(&ground)?;
        let mut wrong = Vec::new();
        for (name, _, expected) in shapes() {
            let (exchange, reached) = ours.get(name).context(name)?;
            let statuses = exchange.statuses();
            let right = match expected {
                Taken => statuses == [200, 200] && *reached == 1,
                Refused(status) => statuses == [status] && *reached == 0 && exchange.closed,
            };
            if !right {
                let (closed, text) = (exchange.closed, exchange.text());
                wrong.push(format!("{name}: expected {expected:?}, got {statuses:?}, closed {closed}, smuggled {reached}: {text:?}"));
            }
        }
        ensure!(wrong.is_empty(), "{wrong:#?}");
        // The log has each of them, with what was wrong.
        let refused = shapes().iter().filter(|(_, _, expected)| *expected == Refused(400)).count();
        let waypoint = ground.waypoint();
        lab::until("the log has them", suites::policy::PATIENCE, || mark.lines(waypoint, &[" 400 DPE "]).len() >= refused)?;
        let lines = mark.lines(waypoint, &[" 400 DPE "]);
        ensure!(lines.len() == refused, "{refused} were refused: {lines:#?}");
        // Of a head that is none, nothing is known: the log must not make up a request. Source: Envoy's lines of the same.
        let made_up: Vec<_> = lines
            .iter()
            .filter(|line| !line.contains("\"- - HTTP/1.1\"") && !line.contains("\"POST /first HTTP/1.1\""))
            .collect();
        ensure!(made_up.is_empty(), "{made_up:#?}");
        for reason in ["http1.content_length_and_chunked_not_allowed", "http1.invalid_transfer_encoding", "http1.codec_error", "invalid_host_header"] {
            ensure!(lines.iter().any(|line| line.contains(reason)), "no {reason} in {lines:#?}");
        }

        // What Envoy refuses, we refuse; where it takes more, it is told.
        if peer("envoy", "envoy").is_none() {
            return Ok(());
        }
        let pods = ["v1a", "v1b", "v2a", "v2b"];
        let _envoy = ground.swap_for_envoy(&[ground.for_envoy("web", HTTP, 8080, &pods)?])?;
        let theirs = send_all(&ground)?;
        let mut looser = Vec::new();
        for (name, _, expected) in shapes() {
            let (exchange, reached) = theirs.get(name).context(name)?;
            let refuses = exchange.statuses().first().is_none_or(|it| *it >= 400);
            if expected != Taken && !refuses {
                eprintln!("Envoy takes what the waypoint refuses: {name}: {:?}, smuggled {reached}", exchange.statuses());
            }
            if expected == Taken && refuses {
                looser.push(format!("{name}: {:?}", exchange.text()));
            }
        }
        ensure!(looser.is_empty(), "Envoy refuses what the waypoint takes: {looser:#?}");
        Ok(())
    })
}
