//! How connections end, on every way: each side by itself, by a reset, and not at all because nobody listens.

use std::io::{Read as _, Write as _};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Lab, Start, Ztunnel};
use suites::traffic::routes::{self, Kind, Route};
use suites::traffic::{self, End, Pair, carry, end, finish, pair, wait_all_closed};

/// What is sent after the other side has ended its own direction: more than all buffers between hold.
const AFTER_BYTES: usize = 24 << 20;

/// Runs `check` on every route, with both ends connected.
fn on_every_route(name: &str, capture: Capture, check: impl Fn(Pair) -> Result<()>) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = routes::lab(name, capture)?;
    let ztunnels = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        for route in routes::all(&lab) {
            let connected = connect(&route).with_context(|| route.name.clone())?;
            check(connected).with_context(|| route.name.clone())?;
        }
        went_as_planned(&lab, &ztunnels)
    })
}

fn connect(route: &Route<'_>) -> Result<Pair> {
    let listener = traffic::listen(&route.at, routes::PORT)?;
    let mut connected = pair(&route.from, route.to, &listener)?;
    ensure!(
        connected.seen.ip() == route.client,
        "the server saw {}",
        connected.seen
    );
    connected.exchange("before")?;
    Ok(connected)
}

/// Every route was one of the proxies', and of the kind that it was meant to be.
fn went_as_planned(lab: &Lab, [near, far]: &[Ztunnel; 2]) -> Result<()> {
    let mut counted = [0.0; 4];
    for ztunnel in [near, far] {
        wait_all_closed(ztunnel)?;
        let security = |reporter, security| {
            let labels = [
                ("reporter", reporter),
                ("connection_security_policy", security),
            ];
            traffic::opened(ztunnel, &labels)
        };
        counted[0] += security("source", "mutual_tls")?;
        counted[1] += security("destination", "unknown")?;
        counted[2] += security("source", "unknown")?;
        counted[3] += security("source", "same_node")?;
    }
    let kinds = [
        Kind::Hbone,
        Kind::PlainInbound,
        Kind::PlainOutbound,
        Kind::Joined,
    ];
    for (kind, counted) in kinds.into_iter().zip(counted) {
        let routes = routes::all(lab);
        let expected = routes.iter().filter(|route| route.kind == kind).count();
        ensure!(
            format!("{counted}") == expected.to_string(),
            "{expected} routes were {kind:?}, {counted} are counted"
        );
    }
    Ok(())
}

fn half_close(capture: Capture) -> Result<()> {
    on_every_route("halfclose", capture, |pair| {
        // The client has asked everything; the server answers after that.
        let Pair {
            mut client,
            mut server,
            ..
        } = pair;
        client.write_all(b"question")?;
        finish(&client)?;
        ensure!(end(&mut server)? == End::Finished(b"question".to_vec()));
        carry(
            &mut server,
            &mut client,
            b"answer after the end of the question",
        )?;
        drop(server);
        ensure!(end(&mut client)? == End::Finished(Vec::new()));
        Ok(())
    })
}

#[test]
fn server_answers_after_the_client_has_ended_its_side_under_agent_capture() -> Result<()> {
    half_close(Capture::Agent)
}

#[test]
fn server_answers_after_the_client_has_ended_its_side_under_iptables_capture() -> Result<()> {
    half_close(Capture::Iptables)
}

#[test]
fn server_answers_after_the_client_has_ended_its_side_under_ebpf_capture() -> Result<()> {
    half_close(Capture::Ebpf)
}

fn half_close_reversed(capture: Capture) -> Result<()> {
    on_every_route("halfopen", capture, |pair| {
        let Pair {
            mut client,
            mut server,
            ..
        } = pair;
        server.write_all(b"all that I have to say")?;
        finish(&server)?;
        ensure!(end(&mut client)? == End::Finished(b"all that I have to say".to_vec()));
        carry(&mut client, &mut server, b"and now it is my turn")?;
        // More than fits into buffers: the direction must really go on, not only be emptied.
        let sender = thread::spawn(move || -> Result<()> {
            client.write_all(&vec![7; AFTER_BYTES])?;
            finish(&client)?;
            ensure!(end(&mut client)? == End::Finished(Vec::new()));
            Ok(())
        });
        let mut received = Vec::new();
        server.read_to_end(&mut received)?;
        ensure!(
            received.len() == AFTER_BYTES && received.iter().all(|byte| *byte == 7),
            "{}",
            received.len()
        );
        sender
            .join()
            .map_err(|_panic| anyhow::anyhow!("the client panicked"))?
    })
}

#[test]
fn client_goes_on_after_the_server_has_ended_its_side_under_agent_capture() -> Result<()> {
    half_close_reversed(Capture::Agent)
}

#[test]
fn client_goes_on_after_the_server_has_ended_its_side_under_iptables_capture() -> Result<()> {
    half_close_reversed(Capture::Iptables)
}

#[test]
fn client_goes_on_after_the_server_has_ended_its_side_under_ebpf_capture() -> Result<()> {
    half_close_reversed(Capture::Ebpf)
}

fn server_resets(capture: Capture) -> Result<()> {
    on_every_route("serverrst", capture, |pair| {
        let Pair {
            mut client,
            mut server,
            ..
        } = pair;
        // In the middle of a stream.
        carry(&mut server, &mut client, &[1; 100_000])?;
        carry(&mut client, &mut server, &[2; 100_000])?;
        traffic::reset(server)?;
        ensure!(end(&mut client)? == End::Reset);
        Ok(())
    })
}

#[test]
fn server_that_resets_is_seen_as_a_reset_by_its_client_under_agent_capture() -> Result<()> {
    server_resets(Capture::Agent)
}

#[test]
fn server_that_resets_is_seen_as_a_reset_by_its_client_under_iptables_capture() -> Result<()> {
    server_resets(Capture::Iptables)
}

#[test]
fn server_that_resets_is_seen_as_a_reset_by_its_client_under_ebpf_capture() -> Result<()> {
    server_resets(Capture::Ebpf)
}

fn client_resets(capture: Capture) -> Result<()> {
    on_every_route("clientrst", capture, |pair| {
        let Pair {
            mut client,
            mut server,
            ..
        } = pair;
        carry(&mut client, &mut server, &[1; 100_000])?;
        carry(&mut server, &mut client, &[2; 100_000])?;
        traffic::reset(client)?;
        ensure!(end(&mut server)? == End::Reset);
        Ok(())
    })
}

#[test]
fn client_that_resets_is_seen_as_a_reset_by_its_server_under_agent_capture() -> Result<()> {
    client_resets(Capture::Agent)
}

#[test]
fn client_that_resets_is_seen_as_a_reset_by_its_server_under_iptables_capture() -> Result<()> {
    client_resets(Capture::Iptables)
}

#[test]
fn client_that_resets_is_seen_as_a_reset_by_its_server_under_ebpf_capture() -> Result<()> {
    client_resets(Capture::Ebpf)
}

/// A reset is a reset even for a side that has ended its own direction before.
fn reset_after_half_close(capture: Capture) -> Result<()> {
    on_every_route("laterst", capture, |pair| {
        let Pair {
            mut client,
            mut server,
            ..
        } = pair;
        finish(&client)?;
        ensure!(end(&mut server)? == End::Finished(Vec::new()));
        carry(&mut server, &mut client, b"the beginning of an answer")?;
        traffic::reset(server)?;
        ensure!(end(&mut client)? == End::Reset);
        Ok(())
    })
}

#[test]
fn reset_after_a_half_close_is_no_orderly_end_under_agent_capture() -> Result<()> {
    reset_after_half_close(Capture::Agent)
}

#[test]
fn reset_after_a_half_close_is_no_orderly_end_under_iptables_capture() -> Result<()> {
    reset_after_half_close(Capture::Iptables)
}

#[test]
fn reset_after_a_half_close_is_no_orderly_end_under_ebpf_capture() -> Result<()> {
    reset_after_half_close(Capture::Ebpf)
}

fn nobody_listens(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = routes::lab("refused", capture)?;
    let [near, far] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        for route in routes::all(&lab) {
            // Whether the proxy takes the connection first or not: it must fail, soon, and not end in order.
            let failed = match traffic::dial(&route.from, route.to) {
                Err(_refused) => true,
                Ok(mut client) => {
                    end(&mut client).with_context(|| route.name.clone())? == End::Reset
                }
            };
            ensure!(
                failed,
                "{}: an orderly end where nobody listens",
                route.name
            );
            let url = traffic::url(route.to.ip(), route.to.port(), "/");
            traffic::refused(&route.from, &url).with_context(|| route.name.clone())?;
        }
        let server = lab.pod("server");
        for ip in server.addresses().both() {
            let authority = format!(
                "dst.hbone_addr={}",
                std::net::SocketAddr::new(ip, routes::PORT)
            );
            near.wait_log(
                &[
                    "outbound",
                    &authority,
                    "error=",
                    "http status: 503 Service Unavailable",
                ],
                lab::SECONDS_5,
            )?;
            far.wait_log(
                &[
                    "inbound",
                    &authority,
                    "error=",
                    "connection failed",
                    "Connection refused",
                ],
                lab::SECONDS_5,
            )?;
        }
        Ok(())
    })
}

#[test]
fn connection_that_the_application_refuses_fails_for_the_client_under_agent_capture() -> Result<()>
{
    nobody_listens(Capture::Agent)
}

#[test]
fn connection_that_the_application_refuses_fails_for_the_client_under_iptables_capture()
-> Result<()> {
    nobody_listens(Capture::Iptables)
}

#[test]
fn connection_that_the_application_refuses_fails_for_the_client_under_ebpf_capture() -> Result<()> {
    nobody_listens(Capture::Ebpf)
}
