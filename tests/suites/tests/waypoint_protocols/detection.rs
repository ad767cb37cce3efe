//! What a connection speaks, where nobody declared it and where somebody did. Redis and TLS are in `waypoint_routing`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::programs::nginx;
use lab::{PodSpec, until};
use suites::policy::PATIENCE;
use suites::waypoint::raw::exchange;
use suites::waypoint::{ANY, GRPC, Ground, H2, HTTP, TCP, destination_rule, service};

#[test]
fn http_of_both_versions_is_recognised_and_kept() -> Result<()> {
    let Some(ground) = Ground::builder("detect").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        // Port, whether the client speaks HTTP/2, what the backend sees, what the log says the client spoke.
        let cases = [
            (HTTP, false, "HTTP/1.1", "HTTP/1.1"),
            (HTTP, true, "HTTP/1.1", "HTTP/2"),
            (ANY, false, "HTTP/1.1", "HTTP/1.1"),
            (ANY, true, "HTTP/2.0", "HTTP/2"),
            (H2, true, "HTTP/2.0", "HTTP/2"),
            (H2, false, "HTTP/2.0", "HTTP/1.1"),
            (GRPC, true, "HTTP/2.0", "HTTP/2"),
        ];
        for (number, (port, http2, backend, log)) in cases.into_iter().enumerate() {
            let path = format!("/case-{number}");
            let request = ground.get(&path).to("web", port);
            let request = if http2 { request.http2() } else { request };
            let answer = request.send()?;
            ensure!(
                answer.status == 200 && answer.told("version") == backend,
                "{number}: {answer:?}"
            );
            let line = ground.access(&format!("{path} "))?;
            ensure!(line.request == format!("GET {path} {log}"), "{line:?}");
            ensure!(
                line.cluster == format!("inbound-vip|{port}|http|web.shop.svc.cluster.local"),
                "{line:?}"
            );
        }
        // What is declared TCP is not looked at: the server speaks HTTP, the waypoint does not.
        let answer = ground.get("/tcp").to("web", TCP).send()?;
        ensure!(
            answer.status == 200 && answer.header("server").is_none(),
            "{answer:?}"
        );
        let vip = format!("{}:{TCP}", ground.vip("web")?);
        let line = ground.access(&vip)?;
        ensure!(line.request == "- - -" && line.status == 0, "{line:?}");
        ensure!(
            line.cluster == format!("inbound-vip|{TCP}|tcp|web.shop.svc.cluster.local"),
            "{line:?}"
        );

        // What is declared HTTP and is not gets an answer of HTTP, and nothing of it passes.
        ground.calm();
        let client = ground.pod("client");
        let said = exchange(
            &client,
            (ground.vip("web")?, HTTP),
            &[b"\x16\x03\x01\x00\x05hello, this is no HTTP\r\n\r\n"],
        )?;
        ensure!(
            said.closed && said.statuses().iter().all(|it| *it == 400),
            "{said:?}"
        );
        ensure!(ground.echoes.values().all(|it| it.requests() == 0));

        // The version upstream can be asked for: on the port, whether the client speaks HTTP/2, what the backend sees.
        let asked = [
            ("h2UpgradePolicy: UPGRADE", HTTP, false, "HTTP/2.0"),
            ("h2UpgradePolicy: UPGRADE", ANY, false, "HTTP/2.0"),
            ("h2UpgradePolicy: DO_NOT_UPGRADE", HTTP, true, "HTTP/1.1"),
            ("useClientProtocol: true", HTTP, true, "HTTP/2.0"),
            ("useClientProtocol: true", HTTP, false, "HTTP/1.1"),
        ];
        for (setting, port, http2, backend) in asked {
            let policy = format!("trafficPolicy: {{connectionPool: {{http: {{{setting}}}}}}}");
            ground.apply("upgrade", &destination_rule("web", &policy))?;
            let request = ground.get("/asked").to("web", port);
            let request = if http2 { request.http2() } else { request };
            let answer = request.send()?;
            ensure!(
                answer.told("version") == backend,
                "{setting} {port} {http2}: {answer:?}"
            );
        }
        Ok(())
    })
}

#[test]
fn bytes_that_are_no_protocol_pass_in_both_directions() -> Result<()> {
    let builder = Ground::bare("bytes")
        .pod(PodSpec::new("server").node(1).namespace("shop"))
        .service(
            service("any")
                .named_port("any", 7000, 7000)
                .named_port("tcp-any", 7001, 7000)
                .backend("server"),
        );
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let server = suites::policy::Echo::start(&ground.pod("server"), &[7000])?;
        let client = ground.pod("client");
        let vip = ground.vip("any")?;
        for port in [7000, 7001] {
            // Looks like nothing; like HTTP at first; a byte at a time; all 256 values.
            let all: Vec<u8> = (0..=255).collect();
            for bytes in [
                b"hello\n".as_slice(),
                b"GETTING somewhere\n",
                b"PRI * HELLO\r\n",
                &all,
            ] {
                let mut stream = client.run(|| TcpStream::connect((vip, port)))??;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                for byte in bytes {
                    stream.write_all(&[*byte])?;
                }
                let mut back = vec![0; bytes.len()];
                stream
                    .read_exact(&mut back)
                    .with_context(|| format!("{:?} to {port}", String::from_utf8_lossy(bytes)))?;
                ensure!(back == bytes, "{back:?}");
                // Half of it is closed, the other half goes on, and then ends.
                stream.shutdown(std::net::Shutdown::Write)?;
                ensure!(stream.read_to_end(&mut back)? == 0);
            }
            // Large, both ways at once.
            let mut stream = client.run(|| TcpStream::connect((vip, port)))??;
            stream.set_read_timeout(Some(PATIENCE))?;
            let pattern = suites::traffic::pattern::Pattern::new(7);
            let mut writer = stream.try_clone()?;
            let writing = pattern.clone();
            let thread = thread::spawn(move || writing.write(&mut writer, 8 << 20));
            pattern.check(&mut stream, 8 << 20)?;
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        }
        ensure!(server.accepted() == 10, "{}", server.accepted());
        Ok(())
    })
}

#[test]
fn a_server_that_speaks_first_on_an_undeclared_port_needs_a_timeout() -> Result<()> {
    let builder = Ground::bare("first")
        .pod(PodSpec::new("server").node(1).namespace("shop"))
        .service(
            service("any")
                .named_port("any", 7000, 7000)
                .backend("server"),
        )
        .mesh_config("protocolDetectionTimeout: 0.2s");
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let listener = ground
            .pod("server")
            .run(|| std::net::TcpListener::bind("0.0.0.0:7000"))??;
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                // A client that has gone is the test's own affair.
                let _ = stream.write_all(b"220 ready\r\n");
            }
        });
        let mut stream = ground.pod("client").run(|| {
            TcpStream::connect((ground.vip("any")?, 7000)).map_err(anyhow::Error::from)
        })??;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut said = [0; 11];
        stream.read_exact(&mut said)?;
        ensure!(&said == b"220 ready\r\n");
        Ok(())
    })
}

#[test]
fn nginx_behind_the_waypoint_is_what_it_is_without() -> Result<()> {
    let builder = Ground::bare("nginx")
        .pod(PodSpec::new("server").node(1).namespace("shop"))
        .service(
            service("site")
                .named_port("http", 80, 8080)
                .named_port("any", 81, 8080)
                .backend("server"),
        );
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let server = nginx(&ground.pod("server"), 8080)?;
        for port in [80, 81] {
            let answer = ground.get("/").to("site", port).send()?;
            ensure!(
                answer.status == 200 && answer.text() == "hello from server\n",
                "{answer:?}"
            );
            ensure!(ground.get("/status/403").to("site", port).send()?.status == 403);
            ensure!(ground.get("/nowhere").to("site", port).send()?.status == 404);
            for (path, length) in [
                ("/bytes/1k", 1 << 10),
                ("/bytes/1m", 1 << 20),
                ("/bytes/64m", 64 << 20),
            ] {
                let answer = ground.get(path).to("site", port).send()?;
                ensure!(
                    answer.body.len() == length && answer.body.iter().all(|it| *it == 0),
                    "{path}"
                );
                let h2 = ground.get(path).to("site", port).http2().send();
                // On the undeclared port HTTP/2 stays HTTP/2, which this nginx does not speak.
                if port == 80 {
                    ensure!(h2?.body.len() == length, "{path} by HTTP/2");
                }
            }
            let part = ground
                .get("/bytes/1m")
                .to("site", port)
                .header("range: bytes=10-19")
                .send()?;
            ensure!(part.status == 206 && part.body.len() == 10, "{part:?}");
            let head = ground
                .get("/bytes/1m")
                .to("site", port)
                .method("HEAD")
                .send()?;
            ensure!(
                head.header("content-length").as_deref() == Some("1048576"),
                "{head:?}"
            );
            ensure!(head.body.is_empty(), "{head:?}");
        }
        // The waypoint is who connects; nobody else does.
        let waypoint = ground.pod("waypoint").ip4().to_string();
        until("the server's log", Duration::from_secs(5), || {
            !server.access_log().is_empty()
        })?;
        ensure!(
            server
                .access_log()
                .lines()
                .all(|line| line.starts_with(&waypoint)),
            "{}",
            server.access_log()
        );
        Ok(())
    })
}
