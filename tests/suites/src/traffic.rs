//! Traffic between the machines of a lab: dialling, accepting, exchanging, and how a connection ended.
//!
//! In: machines and addresses. Out: sockets with deadlines, answers of real programs, counts of a ztunnel.
//! Never: waits without a deadline; takes a time limit of its own for somebody else's refusal.

pub mod dig;
pub mod nameserver;
pub mod pattern;
pub mod routes;
pub mod steady;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::{Capture, Config, Lab, Machine, Mesh, Pod, Ztunnel, eventually, until};
use socket2::SockRef;

/// How long anything may take that takes milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What curl itself waits: shorter than the lab's own limit for a program, so that curl tells of it.
const CURL_SECONDS: &str = "15";

/// What curl waits where it is to wait in vain: no answer that comes takes as long.
const CURL_SECONDS_DROPPED: &str = "3";

/// curl's exit code after [`CURL_SECONDS`]. Source: curl(1), `CURLE_OPERATION_TIMEDOUT`.
const CURL_TIMED_OUT: i32 = 28;

/// An HTTP URL.
pub fn url(ip: impl Into<IpAddr>, port: u16, path: &str) -> String {
    format!("http://{}{path}", SocketAddr::new(ip.into(), port))
}

/// What curl gets.
///
/// # Errors
///
/// When there is no answer, or one of status 400 or above; the text is curl's.
pub fn get(from: &Machine, url: &str) -> Result<String> {
    from.exec(["curl", "-sS", "--fail", "-m", CURL_SECONDS, url])?
        .ok()
}

/// That curl is refused: it gets no answer, and does not have to give up by itself.
///
/// # Errors
///
/// When it gets an answer or nothing at all.
pub fn refused(from: &Machine, url: &str) -> Result<()> {
    let output = from.exec(["curl", "-sS", "-m", CURL_SECONDS, url])?;
    match output.code() {
        Some(0) => bail!("{} got an answer of {url}: {}", from.name(), output.text()),
        Some(CURL_TIMED_OUT) => bail!("{} was left hanging by {url}", from.name()),
        Some(_) => Ok(()),
        None => bail!("curl was killed: {output:?}"),
    }
}

/// That curl gets nowhere: it is refused, or its packets are dropped, as those of a pod are whose proxy is gone.
///
/// # Errors
///
/// When it gets an answer.
pub fn nowhere(from: &Machine, url: &str) -> Result<()> {
    let output = from.exec(["curl", "-sS", "-m", CURL_SECONDS_DROPPED, url])?;
    match output.code() {
        Some(0) => bail!("{} got an answer of {url}: {}", from.name(), output.text()),
        Some(_) => Ok(()),
        None => bail!("curl was killed: {output:?}"),
    }
}

/// Whether a ztunnel has its listeners in a pod: under eBPF on any port of loopback, where applications of these tests have none.
pub fn is_served(pod: &Pod, capture: Capture) -> bool {
    if capture != Capture::Ebpf {
        return pod.listens(15008);
    }
    let sockets = pod.exec(["ss", "-Hltn"]).and_then(|output| output.ok());
    let addresses = |line: &str| line.split_whitespace().nth(3)?.parse::<SocketAddr>().ok();
    sockets.is_ok_and(|all| {
        all.lines()
            .filter_map(addresses)
            .any(|address| address.ip().is_loopback())
    })
}

/// A listener of both families on a port of a machine.
///
/// # Errors
///
/// When the port is taken.
pub fn listen(on: &Machine, port: u16) -> Result<TcpListener> {
    // A listener that has just been closed lives on for a moment in a program that another test is about to start.
    eventually(&format!("port {port} of {}", on.name()), PATIENCE, || {
        Ok(on.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)))??)
    })
}

/// The next connection and the client's address as this application sees it.
///
/// # Errors
///
/// When none comes in [`PATIENCE`].
pub fn accept(listener: &TcpListener) -> Result<(TcpStream, SocketAddr)> {
    listener.set_nonblocking(true)?;
    let (stream, peer) = eventually("a connection that arrives", PATIENCE, || {
        Ok(listener.accept()?)
    })?;
    stream.set_nonblocking(false)?;
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    Ok((with_deadlines(stream)?, peer))
}

/// A connection from a machine.
///
/// # Errors
///
/// When there is none in [`PATIENCE`].
pub fn dial(from: &Machine, to: SocketAddr) -> Result<TcpStream> {
    let stream = from.run(|| TcpStream::connect_timeout(&to, PATIENCE))?;
    with_deadlines(stream.with_context(|| format!("{} dials {to}", from.name()))?)
}

fn with_deadlines(stream: TcpStream) -> Result<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Both ends of one connection, and whom the server takes for its client.
#[derive(Debug)]
pub struct Pair {
    /// The end that dialled.
    pub client: TcpStream,
    /// The end that accepted.
    pub server: TcpStream,
    /// The client's address in the server's eyes.
    pub seen: SocketAddr,
}

/// Connects two applications.
///
/// # Errors
///
/// When either end fails.
pub fn pair(from: &Machine, to: SocketAddr, listener: &TcpListener) -> Result<Pair> {
    let client = dial(from, to)?;
    let (server, seen) = accept(listener)?;
    Ok(Pair {
        client,
        server,
        seen,
    })
}

impl Pair {
    /// Sends `text` there and back again, each way checked.
    ///
    /// # Errors
    ///
    /// When something else arrives, or nothing.
    pub fn exchange(&mut self, text: &str) -> Result<()> {
        carry(&mut self.client, &mut self.server, text.as_bytes()).context("to the server")?;
        let back: String = text.chars().rev().collect();
        carry(&mut self.server, &mut self.client, back.as_bytes()).context("to the client")
    }
}

/// Writes bytes into one end and reads exactly them from the other. For as many as a socket takes at once.
///
/// # Errors
///
/// When something else arrives, or nothing.
pub fn carry(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    from.write_all(bytes).context("write")?;
    let mut arrived = vec![0; bytes.len()];
    to.read_exact(&mut arrived).context("read")?;
    ensure!(
        arrived == bytes,
        "{:?} has become {:?}",
        String::from_utf8_lossy(bytes),
        String::from_utf8_lossy(&arrived)
    );
    Ok(())
}

/// Says that nothing more comes from this end.
///
/// # Errors
///
/// When the connection is gone already.
pub fn finish(stream: &TcpStream) -> Result<()> {
    stream.shutdown(Shutdown::Write).context("half-close")
}

/// Closes a connection with RST instead of FIN.
///
/// # Errors
///
/// When the kernel refuses the option.
pub fn reset(stream: TcpStream) -> Result<()> {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    drop(stream);
    Ok(())
}

/// How a connection ended for the one who read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// In order, after these bytes.
    Finished(Vec<u8>),
    /// By a reset.
    Reset,
}

/// Reads to the end.
///
/// # Errors
///
/// When no end comes in [`PATIENCE`], or one that is neither.
pub fn end(stream: &mut TcpStream) -> Result<End> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => Ok(End::Finished(bytes)),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(End::Reset),
        Err(error) => Err(error).with_context(|| format!("no end after {} bytes", bytes.len())),
    }
}

/// How many connections a ztunnel's `/config_dump` shows as open, over all its pods and both directions.
///
/// # Errors
///
/// When there is no answer.
pub fn open_connections(ztunnel: &Ztunnel) -> Result<usize> {
    let dump = ztunnel.config_dump()?;
    let pods = dump["workloadState"].as_object().context("workloadState")?;
    let count = |list: &serde_json::Value| list.as_array().map_or(0, Vec::len);
    Ok(pods
        .values()
        .map(|pod| count(&pod["connections"]["inbound"]) + count(&pod["connections"]["outbound"]))
        .sum())
}

/// How many connections a ztunnel has opened, by its metrics; `labels` choose which.
///
/// A scrape may be a second old: only the first one of a test, or one that [`eventually_opened`] waits for, tells
/// of what has just happened.
///
/// # Errors
///
/// When there is no answer.
pub fn opened(ztunnel: &Ztunnel, labels: &[(&str, &str)]) -> Result<f64> {
    ztunnel.metric("istio_tcp_connections_opened_total", labels)
}

/// Waits until a ztunnel has opened exactly `count` connections, by its metrics.
///
/// # Errors
///
/// When it stays another number.
pub fn eventually_opened(ztunnel: &Ztunnel, count: u32, labels: &[(&str, &str)]) -> Result<()> {
    eventually("the metric of opened connections", PATIENCE, || {
        let now = opened(ztunnel, labels)?;
        ensure!(
            (now - f64::from(count)).abs() < 0.5,
            "{now} of {count} with {labels:?}"
        );
        Ok(())
    })
}

/// Waits until a ztunnel has read what a workload speaks. The one that serves a pod knows it when the pod is
/// handed over; the others read of it in their own time, and send in plain text until then.
///
/// # Errors
///
/// When it does not within [`PATIENCE`].
pub fn speaks(ztunnel: &Ztunnel, workload: &str, protocol: &str) -> Result<()> {
    until(&format!("{workload} speaks {protocol}"), PATIENCE, || {
        let Ok(dump) = ztunnel.config_dump() else {
            return false;
        };
        let mut workloads = dump["workloads"].as_array().into_iter().flatten();
        workloads.any(|known| known["name"] == workload && known["protocol"] == protocol)
    })
}

/// Waits until a ztunnel has the certificates of all its pods: pods of one node whose certificates are on their way
/// may be given a tunnel first.
///
/// # Errors
///
/// When one does not come within [`PATIENCE`].
pub fn certified(ztunnel: &Ztunnel) -> Result<()> {
    eventually("the pods' certificates", PATIENCE, || {
        let dump = ztunnel.config_dump()?;
        let pods = dump["workloadState"].as_object().context("workloadState")?;
        let certificates = dump["certificates"].as_array().context("certificates")?;
        for pod in pods.values() {
            let info = &pod["info"];
            let end = format!(
                "/ns/{}/sa/{}",
                info["namespace"].as_str().context("namespace")?,
                info["serviceAccount"].as_str().context("serviceAccount")?
            );
            let there = certificates.iter().any(|one| {
                let identity = one["identity"].as_str();
                identity.is_some_and(|it| it.ends_with(&end)) && one["state"] == "Available"
            });
            ensure!(there, "none of {end} in {certificates:?}");
        }
        Ok(())
    })
}

/// Waits until nothing is open any more: in `/config_dump`, and in the metrics as many closed as opened.
///
/// # Errors
///
/// When something stays open.
pub fn wait_all_closed(ztunnel: &Ztunnel) -> Result<()> {
    eventually("every connection closed", PATIENCE, || {
        let open = open_connections(ztunnel)?;
        ensure!(open == 0, "{open} are open in /config_dump");
        let opened = opened(ztunnel, &[])?;
        let closed = ztunnel.metric("istio_tcp_connections_closed_total", &[])?;
        // Both count up by one.
        #[expect(clippy::float_cmp, reason = "whole numbers far below 2^53")]
        let even = opened == closed;
        ensure!(even, "{opened} opened, {closed} closed");
        Ok(())
    })
}

/// Changes the mesh and waits until every one of `ztunnels` has it.
///
/// # Errors
///
/// When one does not take it in [`PATIENCE`].
pub fn change<T>(
    lab: &Lab,
    ztunnels: &[&Ztunnel],
    change: impl FnOnce(&mut Mesh) -> T,
) -> Result<T> {
    if lab.config() == Config::Manifests {
        let value = lab.change(change)?;
        lab.wait_synced(ztunnels.len(), PATIENCE)?;
        return Ok(value);
    }
    let version = |ztunnel: &Ztunnel| -> Result<u64> {
        ztunnel.config_dump()?["snapshotVersion"]
            .as_u64()
            .context("snapshotVersion")
    };
    let mut before = Vec::new();
    for ztunnel in ztunnels {
        before.push(version(ztunnel)?);
    }
    let value = lab.change(change)?;
    for (ztunnel, before) in ztunnels.iter().zip(before) {
        until("the changed mesh", PATIENCE, || {
            version(ztunnel).is_ok_and(|now| now > before)
        })?;
    }
    Ok(value)
}
