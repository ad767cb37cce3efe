//! Unmodified programs on one node: what they see, what is told of them, and which way their bytes go.

use std::net::SocketAddr;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Start, eventually, programs};
use suites::policy::{Fields, Mark};
use suites::traffic::pattern::Pattern;
use suites::traffic::{self, End, PATIENCE, end, finish, get, pair, url};

use super::{counted, lab, lab_with};

/// Far more than what is read before the kernel moves it, and than what fits between two sockets.
const BULK: u64 = 96 * 1024 * 1024;

fn programs_are_joined(capture: Capture) -> Result<()> {
    let Some((lab, [near, _far])) = lab("joined", capture)? else {
        return Ok(());
    };
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let nginx = programs::nginx(&server, 8080)?;
    let _redis = programs::redis(&server, 6379)?;
    lab.scenario(|| {
        let mark = Mark::now(&near);
        let vip = lab.vip("server");
        let mut asked = 0_u32;
        for ip in server.addresses().both() {
            ensure!(get(&client, &url(ip, 8080, "/"))? == "hello from server\n");
            asked += 1;
        }
        for ip in vip.both() {
            ensure!(get(&client, &url(ip, 80, "/"))? == "hello from server\n");
            asked += 1;
        }
        // The application sees its client.
        for own in client.addresses().both() {
            let seen = nginx
                .access_log()
                .lines()
                .filter(|line| line.starts_with(&format!("{own} ")))
                .count();
            ensure!(seen == 2, "{own} was seen {seen} times");
        }
        let host = server.ip4().to_string();
        let redis = client.exec(["redis-cli", "-h", &host, "set", "a", "b"])?;
        ensure!(redis.ok()? == "OK\n");
        asked += 1;
        eventually("both sides' metrics", PATIENCE, || {
            let joined = counted(&near, "same_node")?;
            let even = joined
                .iter()
                .all(|count| (count - f64::from(asked)).abs() < 0.5);
            ensure!(even, "{joined:?} of {asked}");
            ensure!(counted(&near, "mutual_tls")? == [0.0, 0.0]);
            Ok(())
        })?;
        // One line for each side, of the same connection.
        let texts = ["connection complete", "dst.workload=\"server\""];
        let lines = mark.wait(&near, &texts, usize::try_from(2 * asked)?)?;
        let fields: Vec<Fields> = lines
            .iter()
            .map(|line| Fields::parse(line))
            .collect::<Result<_>>()?;
        for line in &fields {
            ensure!(line.get("src.identity")? == client.identity(), "{line:?}");
            ensure!(line.get("dst.identity")? == server.identity(), "{line:?}");
            let inside: SocketAddr = line.get("dst.hbone_addr")?.parse()?;
            let outside: SocketAddr = line.get("dst.addr")?.parse()?;
            ensure!(outside == SocketAddr::new(inside.ip(), 15008), "{line:?}");
            let address = line.get("src.addr")?;
            let of_it = fields
                .iter()
                .filter(|other| other.get("src.addr").is_ok_and(|it| it == address));
            let mut directions: Vec<&str> =
                of_it.filter_map(|it| it.get("direction").ok()).collect();
            directions.sort_unstable();
            ensure!(
                directions == ["inbound", "outbound"],
                "{address} {directions:?}"
            );
        }
        Ok(())
    })
}

#[test]
fn programs_of_one_node_are_joined_with_agent_capture() -> Result<()> {
    programs_are_joined(Capture::Agent)
}

#[test]
fn programs_of_one_node_are_joined_with_iptables_capture() -> Result<()> {
    programs_are_joined(Capture::Iptables)
}

#[test]
fn programs_of_one_node_are_joined_with_ebpf_capture() -> Result<()> {
    programs_are_joined(Capture::Ebpf)
}

fn bulk(capture: Capture) -> Result<()> {
    let Some((lab, [near, _far])) = lab("bulk", capture)? else {
        return Ok(());
    };
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    lab.scenario(|| {
        let listener = traffic::listen(&server, 7000)?;
        for ip in server.addresses().both() {
            let mut both = pair(&client, SocketAddr::new(ip, 7000), &listener)?;
            // Both ways at once; the client ends first, and is still answered.
            let (mut up, mut down) = (both.client.try_clone()?, both.server.try_clone()?);
            let sending = thread::spawn(move || -> Result<()> {
                Pattern::new(1).write(&mut up, BULK)?;
                finish(&up)
            });
            let answering =
                thread::spawn(move || -> Result<()> { Pattern::new(2).write(&mut down, BULK) });
            let received = both.client.try_clone()?;
            let receiving = thread::spawn(move || Pattern::new(2).check(&mut &received, BULK));
            Pattern::new(1).check(&mut &both.server, BULK)?;
            for it in [sending, answering, receiving] {
                it.join().ok().context("a thread panicked")??;
            }
            ensure!(end(&mut both.server)? == End::Finished(Vec::new()));
            finish(&both.server)?;
            ensure!(end(&mut both.client)? == End::Finished(Vec::new()));
            // A reset is a reset at the other end.
            let mut both = pair(&client, SocketAddr::new(ip, 7000), &listener)?;
            both.exchange("before the reset")?;
            traffic::reset(both.client)?;
            ensure!(end(&mut both.server)? == End::Reset);
        }
        traffic::wait_all_closed(&near)?;
        let labels = [
            ("connection_security_policy", "same_node"),
            ("reporter", "source"),
        ];
        eventually("the metric of bytes", PATIENCE, || {
            let sent = near.metric("istio_tcp_received_bytes_total", &labels)?;
            let lost = 2.0 * 96.0 * 1024.0 * 1024.0 - sent;
            ensure!(lost <= 0.0 && lost > -1000.0, "{sent} bytes were counted");
            Ok(())
        })?;
        Ok(())
    })
}

#[test]
fn bulk_arrives_as_it_was_sent_and_ends_as_it_was_ended_with_agent_capture() -> Result<()> {
    bulk(Capture::Agent)
}

#[test]
fn bulk_arrives_as_it_was_sent_and_ends_as_it_was_ended_with_iptables_capture() -> Result<()> {
    bulk(Capture::Iptables)
}

#[test]
fn bulk_arrives_as_it_was_sent_and_ends_as_it_was_ended_with_ebpf_capture() -> Result<()> {
    bulk(Capture::Ebpf)
}

#[test]
fn with_hbone_asked_for_there_is_a_tunnel() -> Result<()> {
    let start = Start::default().env("SAME_NODE", "hbone");
    let Some((lab, [near, _far])) = lab_with("hbone", Capture::Iptables, &start)? else {
        return Ok(());
    };
    let _nginx = programs::nginx(&lab.pod("server"), 8080)?;
    lab.scenario(|| {
        let ip = lab.pod("server").ip4();
        ensure!(get(&lab.pod("client"), &url(ip, 8080, "/"))? == "hello from server\n");
        ensure!(counted(&near, "mutual_tls")? == [1.0, 1.0]);
        ensure!(counted(&near, "same_node")? == [0.0, 0.0]);
        Ok(())
    })
}

#[test]
fn a_pod_of_another_node_is_reached_through_a_tunnel() -> Result<()> {
    let Some((lab, [near, far])) = lab("nodes", Capture::Iptables)? else {
        return Ok(());
    };
    let _nginx = programs::nginx(&lab.pod("server"), 8080)?;
    lab.scenario(|| {
        let ip = lab.pod("server").ip4();
        ensure!(get(&lab.pod("far"), &url(ip, 8080, "/"))? == "hello from server\n");
        ensure!(counted(&far, "mutual_tls")? == [1.0, 0.0]);
        ensure!(counted(&near, "mutual_tls")? == [0.0, 1.0]);
        Ok(())
    })
}
