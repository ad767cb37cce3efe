//! PROXY headers that must not count, and such as are made wrong or come slowly.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use suites::balancer::handmade::{framed, v1, v2};
use suites::balancer::{Balancer, Front, Visit};
use suites::traffic::dial;
use suites::waypoint::peers::peer;
use suites::waypoint::raw::{Exchange, exchange};
use suites::waypoint::{ANY, Ground, HTTP, TCP, authorization_policy};

use crate::yard::{self, LISTED, WEB, addresses, at, edge, yard};

/// Lets the listed address in and nobody else.
const ONLY_LISTED: &str = "
    targetRefs: [{kind: Service, group: '', name: web}]
    rules:
    - from: [{source: {remoteIpBlocks: [172.19.0.10]}}]
";

const REQUEST: &[u8] = b"GET /made HTTP/1.1\r\nhost: web.shop\r\nconnection: close\r\n\r\n";

/// The address that a header claims.
fn claimed() -> SocketAddr {
    (LISTED, 40_000).into()
}

/// Bytes from a pod to a port of `web`.
fn send(ground: &Ground, from: &str, port: u16, pieces: &[&[u8]]) -> Result<Exchange> {
    exchange(&ground.pod(from), (ground.vip("web")?, port), pieces)
}

/// That a port answers nothing, and nothing reaches a backend.
fn refused(ground: &Ground, what: &str, from: &str, port: u16, pieces: &[&[u8]]) -> Result<()> {
    let before = ground.requests("");
    let seen = send(ground, from, port, pieces)?;
    ensure!(
        seen.closed && seen.bytes.is_empty(),
        "{what}, {from}, {port}: {seen:?}"
    );
    ensure!(
        ground.requests("") == before,
        "{what}, {from}, {port}: it reached a backend"
    );
    Ok(())
}

#[test]
fn who_is_not_listed_cannot_say_where_it_is() -> Result<()> {
    let Some(ground) = yard(Ground::builder("strangers")).build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let web = |port| at(&ground, "web", port);
        ground.apply("clients", &yard::trust(WEB, ", proxyProtocol: true"))?;
        let before = ground.requests("");
        // curl, which writes headers of version 1 with its own address ..
        for from in ["client", "guest", "neighbour"] {
            let pod = ground.pod(from);
            for port in [HTTP, ANY] {
                let visit = Visit::new(&pod, web(port)?).arg("--haproxy-protocol");
                let seen = visit.send("/stranger")?;
                ensure!(seen.status == 0, "{from} {port}: {seen:?}");
            }
        }
        // .. and a newer one, with any.
        if let Some(newer) = peer("curl", "curl") {
            let newer = newer.display().to_string();
            let to = format!("::{}", web(HTTP)?);
            let claim = LISTED.to_string();
            let line = [
                newer.as_str(),
                "-sS",
                "-m",
                "20",
                "--connect-to",
                &to,
                "--haproxy-clientip",
                &claim,
            ];
            let url = [
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "http://web.shop.svc.cluster.local/stranger",
            ];
            let output = ground
                .pod("client")
                .exec(line.iter().chain(&url).copied())?;
            ensure!(
                output.text() == "000" && !output.status.success(),
                "{output:?}"
            );
            // The one that is listed may.
            let output = ground.pod("edge").exec(line.iter().chain(&url).copied())?;
            ensure!(output.text() == "200", "{output:?}");
            let line = ground.access("/stranger")?;
            ensure!(yard::host(&line.remote) == Some(LISTED.into()), "{line:?}");
        }
        ensure!(
            ground.requests("") - before <= 1,
            "a stranger reached a backend"
        );
        // By hand, on every port, in both versions.
        for port in [HTTP, ANY, TCP] {
            let to = web(port)?;
            for from in ["client", "neighbour"] {
                refused(
                    &ground,
                    "version 1",
                    from,
                    port,
                    &[&v1(claimed(), to), REQUEST],
                )?;
                refused(
                    &ground,
                    "version 2",
                    from,
                    port,
                    &[&v2(claimed(), to, &[]), REQUEST],
                )?;
                refused(
                    &ground,
                    "LOCAL",
                    from,
                    port,
                    &[&framed(0x20, 0, &[]), REQUEST],
                )?;
            }
            // What only looks like the beginning of one is the application's.
            let seen = send(&ground, "client", port, &[REQUEST])?;
            ensure!(seen.statuses() == [200], "{port}: {seen:?}");
        }
        ground
            .waypoint()
            .wait_log(&["PROXY header"], suites::policy::PATIENCE)?;

        // With addresses that decide: the balancer's word counts, nobody else's does.
        ground.apply("list", &authorization_policy("list", ONLY_LISTED))?;
        let to = web(HTTP)?;
        let seen = send(&ground, "edge", HTTP, &[&v2(claimed(), to, &[]), REQUEST])?;
        ensure!(seen.statuses() == [200], "{seen:?}");
        let stranger: SocketAddr = "198.51.100.7:1".parse()?;
        let seen = send(&ground, "edge", HTTP, &[&v1(stranger, to), REQUEST])?;
        ensure!(seen.statuses() == [403], "{seen:?}");
        for from in ["client", "guest", "neighbour"] {
            let seen = send(&ground, from, HTTP, &[REQUEST])?;
            ensure!(seen.statuses() == [403], "{from}: {seen:?}");
            refused(
                &ground,
                "version 2",
                from,
                HTTP,
                &[&v2(claimed(), to, &[]), REQUEST],
            )?;
        }
        // An identity in a TLV is nobody's certificate.
        let by_name = "
            targetRefs: [{kind: Service, group: '', name: web}]
            rules:
            - from: [{source: {principals: [cluster.local/ns/shop/sa/client]}}]
        ";
        ground.apply("list", &authorization_policy("list", by_name))?;
        let name = b"spiffe://cluster.local/ns/shop/sa/client";
        let mut tlv = vec![0xD0, 0, u8::try_from(name.len())?];
        tlv.extend(name);
        let seen = send(&ground, "edge", HTTP, &[&v2(claimed(), to, &tlv), REQUEST])?;
        ensure!(seen.statuses() == [403], "{seen:?}");
        // Nor is a header behind the header.
        ground.apply("list", &authorization_policy("list", ONLY_LISTED))?;
        let twice = [v2(stranger, to, &[]), v2(claimed(), to, &[])].concat();
        let seen = send(&ground, "edge", HTTP, &[&twice, REQUEST])?;
        ensure!(!seen.statuses().contains(&200), "{seen:?}");
        Ok(())
    })
}

#[test]
fn headers_in_pieces_are_read_and_headers_made_wrong_are_refused() -> Result<()> {
    let Some(ground) = yard(Ground::builder("pieces")).build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("clients", &yard::trust(WEB, ", proxyProtocol: true"))?;
        ground.apply("list", &authorization_policy("list", ONLY_LISTED))?;
        for port in [HTTP, ANY] {
            let to = at(&ground, "web", port)?;
            // A TLV that nobody knows, which fills more than one packet.
            let long = [vec![0xE5, 0x0A, 0], vec![7; 0x0A00]].concat();
            for header in [
                v1(claimed(), to),
                v2(claimed(), to, &[]),
                v2(claimed(), to, &long),
            ] {
                // Byte by byte, each in a packet of its own, and the first request in the last one's.
                let step = header.len().div_ceil(120);
                let (last, rest) = header.split_last().context("a header")?;
                let end = [&[*last], REQUEST].concat();
                let pieces: Vec<&[u8]> = rest.chunks(step).chain([end.as_slice()]).collect();
                let seen = send(&ground, "edge", port, &pieces)?;
                ensure!(seen.statuses() == [200], "{port}: {seen:?}");
            }
            let whole = v2(claimed(), to, &[]);
            let cases: [(&str, Vec<u8>); 9] = [
                ("no header", Vec::new()),
                ("another version", framed(0x31, 0x11, &[0; 12])),
                ("another command", framed(0x22, 0x11, &[0; 12])),
                ("a datagram", framed(0x21, 0x12, &[0; 12])),
                ("too short for its family", framed(0x21, 0x21, &[0; 12])),
                (
                    "a TLV that overflows",
                    v2(claimed(), to, &[0xE0, 0xFF, 0xFF, 1]),
                ),
                (
                    "text that is none",
                    b"PROXY TCP4 here there 1 2\r\n".to_vec(),
                ),
                (
                    "text without an end",
                    [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(),
                ),
                (
                    "families mixed up",
                    b"PROXY TCP4 fd00::1 fd00::2 1 2\r\n".to_vec(),
                ),
            ];
            for (what, header) in cases {
                refused(&ground, what, "edge", port, &[&header, REQUEST])?;
            }
            // Half of one, and then the end: from the client, and by the clock.
            let half = whole.get(..20).context("a header")?;
            let mut stream = dial(&ground.pod("edge"), to)?;
            stream.write_all(half)?;
            stream.shutdown(std::net::Shutdown::Write)?;
            let mut bytes = Vec::new();
            let ended = stream.read_to_end(&mut bytes);
            ensure!(bytes.is_empty(), "{bytes:?}, {ended:?}");
            refused(&ground, "half of one", "edge", port, &[half])?;
        }
        let log = ground.waypoint().log();
        ensure!(
            log.contains("not whole after"),
            "nothing is said of the slow one"
        );
        // The next one is served as if nothing had been.
        let front = Front::tcp(8001, at(&ground, "web", HTTP)?).v2();
        let balancer = Balancer::start(&ground.pod("edge"), &[front])?;
        addresses(&ground)?;
        let seen = Visit::new(ground.lab.outside(), edge(&ground, 8001))
            .as_address(LISTED)
            .send("/after")?;
        ensure!(seen.status == 200, "{seen:?}");
        balancer.stop()
    })
}
