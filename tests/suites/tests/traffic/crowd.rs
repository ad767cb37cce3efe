//! Very many plaintext connections from one address. The proxy borrows the client's address to call the
//! application, from a port of its own choice: chosen badly, it is one that the client itself uses at that moment,
//! and the connection hangs.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Lab, Machine, PodSpec, Start, programs};
use socket2::{Domain, Socket, Type};
use suites::traffic::{PATIENCE, open_connections, wait_all_closed};

/// What each connection asks.
const REQUEST: &[u8] = b"GET /whoami HTTP/1.1\r\nhost: web\r\n\r\n";
/// Threads that dial at once.
const DIALERS: usize = 8;
/// What all connections together are at least, by family.
const CONNECTIONS: [usize; 2] = [3000, 500];

fn crowd(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("crowd")
        .pod(PodSpec::new("web").node(1))
        .capture(capture)
        .outside()
        .build()?;
    let web = lab.pod("web");
    let nginx = programs::nginx(&web, 8080)?;
    let ztunnel = lab.start_ztunnel(1, &Start::default())?;
    lab.scenario(|| {
        let mut open = Vec::new();
        let own = lab.outside_addresses().both();
        for ((to, own), count) in web.addresses().both().into_iter().zip(own).zip(CONNECTIONS) {
            open.extend(dial_many(
                lab.outside(),
                SocketAddr::new(to, 8080),
                own,
                count,
            )?);
        }
        // None has been closed: the proxy holds each of them at once.
        let held = open_connections(&ztunnel)?;
        ensure!(
            open.len() == CONNECTIONS.iter().sum::<usize>() && held == open.len(),
            "{held} of {}",
            open.len()
        );
        ensure!(
            nginx.access_log().lines().count() == open.len(),
            "nginx has not answered each once"
        );
        drop(open);
        wait_all_closed(&ztunnel)?;
        let failed = ztunnel.metric("istio_tcp_connections_failed_total", &[])?;
        ensure!(
            failed < 0.5,
            "{failed} connections failed\n{}",
            ztunnel.log_tail()
        );
        Ok(())
    })
}

/// Ports of the client's own that the proxy will want to borrow: it begins at 1024, and has borrowed as many as there are when
/// it comes to the first.
const WANTED: std::ops::Range<u16> = 1324..1624;
/// Connections from other ports that follow: until all of those have been passed over.
const FOLLOWING: usize = 700;

/// The client uses ports that the proxy borrows from.
fn borrowed(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("borrowed")
        .pod(PodSpec::new("web").node(1))
        .capture(capture)
        .outside()
        .build()?;
    let web = lab.pod("web");
    let _nginx = programs::nginx(&web, 8080)?;
    let ztunnel = lab.start_ztunnel(1, &Start::default())?;
    lab.scenario(|| {
        let own = IpAddr::from(lab.outside_addresses().ip4);
        let to = SocketAddr::new(web.ip4().into(), 8080);
        let mut open = Vec::new();
        for port in WANTED {
            let mut stream = lab.outside().run(|| from_port(own, port, to))??;
            answer(&mut stream, own).with_context(|| format!("from port {port}"))?;
            open.push(stream);
        }
        open.extend(dial_many(lab.outside(), to, own, FOLLOWING)?);
        for stream in &mut open {
            stream.write_all(REQUEST)?;
            answer(stream, own).context("again")?;
        }
        drop(open);
        wait_all_closed(&ztunnel)?;
        let failed = ztunnel.metric("istio_tcp_connections_failed_total", &[])?;
        ensure!(failed < 0.5, "{failed} failed\n{}", ztunnel.log_tail());
        Ok(())
    })
}

fn from_port(own: IpAddr, port: u16, to: SocketAddr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(own, port).into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(REQUEST)?;
    Ok(stream)
}

#[test]
fn port_that_a_client_uses_itself_is_not_borrowed_under_agent_capture() -> Result<()> {
    borrowed(Capture::Agent)
}

#[test]
fn port_that_a_client_uses_itself_is_not_borrowed_under_iptables_capture() -> Result<()> {
    borrowed(Capture::Iptables)
}

#[test]
fn port_that_a_client_uses_itself_is_not_borrowed_under_ebpf_capture() -> Result<()> {
    borrowed(Capture::Ebpf)
}

/// Connects, sends a request on each, and only then reads the answers; all stay open.
fn dial_many(from: &Machine, to: SocketAddr, own: IpAddr, count: usize) -> Result<Vec<TcpStream>> {
    let dial = |_| -> Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(REQUEST)?;
        Ok(stream)
    };
    let streams = from.run(|| {
        thread::scope(|scope| {
            let dialers: Vec<_> = (0..DIALERS)
                .map(|dialer| {
                    scope.spawn(move || {
                        (dialer..count)
                            .step_by(DIALERS)
                            .map(dial)
                            .collect::<Result<Vec<_>>>()
                    })
                })
                .collect();
            let joined = dialers
                .into_iter()
                .map(|dialer| dialer.join().map_err(|_| anyhow::anyhow!("panicked"))?);
            joined.collect::<Result<Vec<_>>>()
        })
    })??;
    let mut streams: Vec<_> = streams.into_iter().flatten().collect();
    let total = streams.len();
    for (number, stream) in streams.iter_mut().enumerate() {
        answer(stream, own).with_context(|| format!("connection {number} of {total} to {to}"))?;
    }
    Ok(streams)
}

/// One answer that says whom nginx has seen.
fn answer(stream: &mut TcpStream, own: IpAddr) -> Result<()> {
    let (mut read, mut buffer) = (Vec::new(), [0; 1024]);
    let end = format!("\r\n\r\n{own}\n");
    while !read.ends_with(end.as_bytes()) {
        let length = stream.read(&mut buffer)?;
        ensure!(
            length > 0,
            "ended after {:?}",
            String::from_utf8_lossy(&read)
        );
        read.extend(buffer.get(..length).unwrap_or_default());
    }
    ensure!(
        read.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&read)
    );
    Ok(())
}

#[test]
fn three_thousand_concurrent_plaintext_connections_from_one_address_all_succeed_under_agent_capture()
-> Result<()> {
    crowd(Capture::Agent)
}

#[test]
fn three_thousand_concurrent_plaintext_connections_from_one_address_all_succeed_under_iptables_capture()
-> Result<()> {
    crowd(Capture::Iptables)
}

#[test]
fn three_thousand_concurrent_plaintext_connections_from_one_address_all_succeed_under_ebpf_capture()
-> Result<()> {
    crowd(Capture::Ebpf)
}
