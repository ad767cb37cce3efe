//! HTTP as RFC 9110 to 9113 have it: trailers, 100-continue, early answers, large heads, bodies that stream.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use suites::policy::PATIENCE;
use suites::waypoint::raw::exchange;
use suites::waypoint::{ANY, Ground, H2, HTTP};

#[test]
fn trailers_continue_and_early_answers_pass() -> Result<()> {
    let Some(ground) = Ground::builder("http").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        // Trailers of the answer: HTTP/2 from end to end, and over HTTP/1.1 to a client that says it wants them.
        for port in [HTTP, ANY, H2] {
            let answer = ground.get("/trailers").to("web", port).http2().header("te: trailers").send()?;
            ensure!(answer.text() == "before\n", "{port}: {answer:?}");
            ensure!(answer.header("x-trailer").as_deref() == Some("after"), "{port}: {answer:?}");
        }
        let answer = ground.get("/trailers").header("te: trailers").send()?;
        ensure!(answer.header("x-trailer").as_deref() == Some("after"), "{answer:?}");
        // And of the request.
        let request = b"POST /take HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\nConnection: close\r\n\r\n\
                        4\r\nbody\r\n0\r\nx-sum: 7\r\n\r\n";
        let said = exchange(&ground.pod("client"), (ground.vip("web")?, HTTP), &[request])?;
        ensure!(said.statuses() == [200], "{}", said.text());
        ensure!(said.text().contains("\"x-sum\":[\"7\"]"), "{}", said.text());
        ensure!(said.text().contains("\"body_bytes\":4"), "{}", said.text());

        // 100-continue comes from the end, and a refusal comes without it.
        for port in [HTTP, ANY] {
            let request = ground.get("/continue").to("web", port).header("expect: 100-continue");
            let answer = request.body(vec![b'b'; 2_000_000]).send()?;
            ensure!(answer.status == 200 && answer.before == [100], "{answer:?}");
            ensure!(answer.json()["body_bytes"] == 2_000_000, "{answer:?}");
            let request = ground.get("/early/413").to("web", port).header("expect: 100-continue");
            let answer = request.body(vec![b'b'; 2_000_000]).send()?;
            ensure!(answer.status == 413, "{answer:?}");
        }
        // An answer before the body: the client gets it, whatever becomes of the rest.
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let request = ground.get("/early/401").arg(version).header("expect;");
            let answer = request.body(vec![b'b'; 30_000_000]).send()?;
            ensure!(answer.status == 401, "{version}: {answer:?}");
        }
        // Answers without a body.
        for (path, method, status) in [
            ("/status/204", "GET", 204),
            ("/status/304", "GET", 304),
            ("/bytes/1000", "HEAD", 200),
            ("/nothing", "HEAD", 200),
        ] {
            for port in [HTTP, ANY] {
                for version in ["--http1.1", "--http2-prior-knowledge"] {
                    let request = ground.get(path).to("web", port).method(method).arg(version);
                    let answer = request.send()?;
                    ensure!(answer.status == status, "{path}: {answer:?}");
                    ensure!(answer.body.is_empty(), "{path}: {answer:?}");
                }
            }
        }
        let two = ground.get("/set-cookie").send()?;
        let cookies = two.headers.iter().filter(|(name, _)| name == "set-cookie").count();
        ensure!(cookies == 2, "{two:?}");
        let options = ground.get("/x").method("OPTIONS").arg("--request-target").arg("*").send()?;
        ensure!(options.told("method") == "OPTIONS", "{options:?}");
        Ok(())
    })
}

#[test]
fn heads_have_a_limit_and_bodies_have_none() -> Result<()> {
    let Some(ground) = Ground::builder("large").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let headers = |length: usize| {
            // Several, as one line may be limited by curl itself.
            (0..length / 1000)
                .map(|number| format!("x-large-{number}: {}", "v".repeat(980)))
                .collect::<Vec<_>>()
        };
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let send = |length: usize| {
                let request = ground.get("/head").arg(version);
                headers(length)
                    .iter()
                    .fold(request, |request, it| request.header(it))
                    .send()
            };
            let answer = send(50_000)?;
            ensure!(answer.status == 200, "{version}: {}", answer.status);
            ensure!(answer.saw("x-large-49").is_some(), "{version}");
            // More than that curl itself does not send in HTTP/2.
            let answer = send(64_000)?;
            ensure!(
                answer.status == 431 && answer.pod().is_empty(),
                "{version}: {answer:?}"
            );
        }
        // Of answers: what is usual passes.
        let answer = ground.get("/headers-large/30000").send()?;
        ensure!(
            answer
                .header("x-large")
                .is_some_and(|it| it.len() == 30_000),
            "{}",
            answer.status
        );
        // One that is absurd is an error of the backend, and the waypoint lives.
        let answer = ground.get("/headers-large/300000").send()?;
        ensure!(answer.status == 502 || answer.status == 503, "{answer:?}");
        ensure!(ground.get("/after").send()?.status == 200);

        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let body: Vec<u8> = (0..20_000_000_u32).map(|it| (it % 251) as u8).collect();
            let answer = ground.get("/echo").arg(version).body(body.clone()).send()?;
            ensure!(
                answer.body == body,
                "{version}: {} bytes came back",
                answer.body.len()
            );
            let answer = ground.get("/bytes/50000000").arg(version).send()?;
            ensure!(
                answer.body.len() == 50_000_000,
                "{version}: {}",
                answer.body.len()
            );
        }
        // Nothing of it stays.
        let memory = ground.waypoint().memory()?;
        ensure!(memory.highest_bytes < 200 << 20, "{memory:?}");
        Ok(())
    })
}

/// Reads until `text` has come.
fn read_until(stream: &mut TcpStream, text: &str) -> Result<String> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&all).contains(text) {
        let length = stream
            .read(&mut buffer)
            .with_context(|| format!("{text:?} after {:?}", String::from_utf8_lossy(&all)))?;
        ensure!(
            length > 0,
            "the end instead of {text:?}, after {:?}",
            String::from_utf8_lossy(&all)
        );
        all.extend_from_slice(&buffer[..length]);
    }
    Ok(String::from_utf8_lossy(&all).into_owned())
}

#[test]
fn a_body_passes_piece_by_piece_in_both_directions() -> Result<()> {
    let Some(ground) = Ground::builder("pieces").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        for port in [HTTP, ANY] {
            let vip = ground.vip("web")?;
            let mut stream = ground
                .pod("client")
                .run(|| TcpStream::connect((vip, port)))??;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(
                b"POST /echo HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n",
            )?;
            // Each piece comes back before the next is sent: nobody waits for the whole.
            for number in 0..5 {
                let piece = format!("piece {number};");
                write!(stream, "{:x}\r\n{piece}\r\n", piece.len())?;
                read_until(&mut stream, &piece)?;
            }
            stream.write_all(b"0\r\n\r\n")?;
            read_until(&mut stream, "0\r\n\r\n")?;
            // The connection is good for another.
            stream.write_all(b"GET /next HTTP/1.1\r\nHost: web\r\n\r\n")?;
            read_until(&mut stream, "\"/next\"")?;
        }
        // A client that goes away in the middle is told to the backend, and to the log.
        let vip = ground.vip("web")?;
        let mut stream = ground
            .pod("client")
            .run(|| TcpStream::connect((vip, HTTP)))??;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(
            b"GET /stream?chunks=100000&every_ms=20&who=gone HTTP/1.1\r\nHost: web\r\n\r\n",
        )?;
        read_until(&mut stream, "chunk 3")?;
        drop(stream);
        let line = ground.access("who=gone")?;
        ensure!(line.flags == "DC", "{line:?}");
        // A backend that goes away in the middle cannot be answered with a status any more.
        let cut = ground.get("/cut/1000?who=cut").run(&["-o", "/dev/null"])?;
        ensure!(
            [Some(18), Some(56), Some(92)].contains(&cut.code()),
            "{}",
            cut.errors()
        );
        let line = ground.access("who=cut")?;
        ensure!(line.status == 200 && line.flags == "UC", "{line:?}");
        let idle = || ground.echoes.values().all(|it| it.active() == 0);
        lab::until("nobody is being answered", Duration::from_secs(20), idle)?;
        Ok(())
    })
}
