//! Much at once: ten gigabytes over one connection, a thousand connections, hundreds that stand still, and nothing left of them.

#[path = "volume/flow.rs"]
mod flow;
#[path = "volume/stalled.rs"]
mod stalled;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use lab::{Capture, Lab, PodSpec, Start};
use suites::traffic::pattern::Pattern;
use suites::traffic::{
    End, PATIENCE, accept, dial, end, finish, listen, open_connections, pair, wait_all_closed,
};

/// What goes each way.
const BYTES_EACH_WAY: u64 = 5_000_000_000;

/// Connections that are open at once.
const CONNECTIONS: usize = 1000;

/// What each of them carries each way; small enough for the buffers on the way, so that one thread serves all.
const BYTES_PER_CONNECTION: u64 = 8_000;

/// Every test stands on these two pods.
fn two_pods(name: &str, capture: Capture) -> Result<Lab> {
    Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("server").node(1))
        .capture(capture)
        .build()
}

#[test]
fn ten_gigabytes_go_through_one_connection_without_a_wrong_byte() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = two_pods("gigabytes", Capture::Agent)?;
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let ztunnels = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let listener = listen(&server, 7000)?;
        let connected = pair(
            &client,
            SocketAddr::new(server.ip4().into(), 7000),
            &listener,
        )?;
        let (up, down) = (Pattern::new(1), Pattern::new(2));
        let (client, server) = (connected.client, connected.server);
        thread::scope(|scope| {
            // Who finds a wrong byte is heard before those whom that leaves stuck.
            let works = [
                ("server receives", scope.spawn(|| receive(&server, &up))),
                ("client receives", scope.spawn(|| receive(&client, &down))),
                ("client sends", scope.spawn(|| send(&client, &up))),
                ("server sends", scope.spawn(|| send(&server, &down))),
            ];
            let results = works.map(|(name, work)| {
                let result = work.join().map_err(|_| anyhow!("a thread panicked"));
                result.flatten().context(name)
            });
            results.into_iter().collect::<Result<()>>()
        })?;
        for ztunnel in &ztunnels {
            wait_all_closed(ztunnel)?;
            // The proxies count what has passed, each way: all of it was theirs.
            for metric in [
                "istio_tcp_received_bytes_total",
                "istio_tcp_sent_bytes_total",
            ] {
                let labels = [("connection_security_policy", "mutual_tls")];
                lab::until(metric, PATIENCE, || {
                    let counted = ztunnel.metric(metric, &labels).unwrap_or_default();
                    format!("{counted}") == BYTES_EACH_WAY.to_string()
                })
                .with_context(|| ztunnel.metrics().unwrap_or_default())?;
            }
        }
        Ok(())
    })
}

fn send(mut stream: &TcpStream, pattern: &Pattern) -> Result<()> {
    pattern.write(&mut stream, BYTES_EACH_WAY)?;
    finish(stream)
}

fn receive(mut stream: &TcpStream, pattern: &Pattern) -> Result<()> {
    if let Err(error) = pattern.check(&mut stream, BYTES_EACH_WAY) {
        // Nobody is to wait for a reader that has given up.
        let _ = stream.shutdown(Shutdown::Both);
        return Err(error);
    }
    let more = stream.read(&mut [0])?;
    ensure!(more == 0, "there is more than was sent");
    Ok(())
}

/// What one connection of the many carries: its own number first, so that either end knows which it is.
struct One {
    up: Pattern,
    down: Pattern,
}

impl One {
    fn new(number: u64) -> Self {
        Self {
            up: Pattern::new(2 * number),
            down: Pattern::new(2 * number + 1),
        }
    }
}

fn thousand(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = two_pods("thousand", capture)?;
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let ztunnels = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let listener = listen(&server, 7000)?;
        let ips: [IpAddr; 2] = server.addresses().both();
        let (mut clients, mut servers) = (Vec::new(), Vec::new());
        for number in 0..CONNECTIONS {
            let to = SocketAddr::new(ips[number % 2], 7000);
            let mut dialled = dial(&client, to)?;
            dialled.write_all(&(number as u64).to_le_bytes())?;
            clients.push(dialled);
            // They come in any order, and each tells its number.
            let (mut accepted, seen) = accept(&listener)?;
            ensure!(client.addresses().both().contains(&seen.ip()), "{seen}");
            let mut number = [0; 8];
            accepted.read_exact(&mut number)?;
            servers.push((u64::from_le_bytes(number), accepted));
        }
        servers.sort_by_key(|(number, _)| *number);
        ensure!(
            servers
                .iter()
                .map(|(number, _)| *number)
                .eq(0..CONNECTIONS as u64),
            "one came twice"
        );
        for ztunnel in &ztunnels {
            let open = open_connections(ztunnel)?;
            ensure!(open == CONNECTIONS, "{open} are open in /config_dump");
        }
        // All of them carry at the same time: everything is sent before anything is read.
        for (number, stream) in clients.iter_mut().enumerate() {
            One::new(number as u64)
                .up
                .write(stream, BYTES_PER_CONNECTION)?;
        }
        for (number, stream) in &mut servers {
            One::new(*number).down.write(stream, BYTES_PER_CONNECTION)?;
        }
        for (number, stream) in &mut servers {
            let checked = One::new(*number).up.check(stream, BYTES_PER_CONNECTION);
            checked.with_context(|| format!("up, connection {number}"))?;
        }
        for (number, stream) in clients.iter_mut().enumerate() {
            let checked = One::new(number as u64)
                .down
                .check(stream, BYTES_PER_CONNECTION);
            checked.with_context(|| format!("down, connection {number}"))?;
        }
        // They end in every way: in order from either side, and by closing without a word.
        for (number, (stream, (_, server))) in clients.iter_mut().zip(&mut servers).enumerate() {
            match number % 3 {
                0 => finish(stream)?,
                1 => finish(server)?,
                _ => continue,
            }
            let other = if number % 3 == 0 { server } else { stream };
            ensure!(
                end(other)? == End::Finished(Vec::new()),
                "connection {number}"
            );
        }
        drop((clients, servers));
        for ztunnel in &ztunnels {
            wait_all_closed(ztunnel)?;
            let opened = ztunnel.metric("istio_tcp_connections_opened_total", &[])?;
            ensure!(
                format!("{opened}") == CONNECTIONS.to_string(),
                "{opened} were opened"
            );
            let failed = ztunnel.metric("istio_tcp_connections_failed_total", &[])?;
            ensure!(failed < 0.5, "{failed} failed");
        }
        Ok(())
    })
}

#[test]
fn thousand_concurrent_connections_each_carry_their_own_bytes_and_none_is_left_under_agent_capture()
-> Result<()> {
    thousand(Capture::Agent)
}

#[test]
fn thousand_concurrent_connections_each_carry_their_own_bytes_and_none_is_left_under_iptables_capture()
-> Result<()> {
    thousand(Capture::Iptables)
}

#[test]
fn thousand_concurrent_connections_each_carry_their_own_bytes_and_none_is_left_under_ebpf_capture()
-> Result<()> {
    thousand(Capture::Ebpf)
}
