//! Garbage on 15008, 15001 and 15006, from outside and from inside the pod.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Machine, Start};
use socket2::{Domain, Socket, Type};
use suites::hostile::tls::{self, tcp};
use suites::hostile::{Client, DEADLINE, Scene};

/// Handshakes that are begun and not ended, all at once.
const LORIS: usize = 300;

/// What no proxy expects.
fn garbage() -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(15008);
    let mut bytes = |length: usize| (0..length).map(|_| random.u8(..)).collect::<Vec<_>>();
    // A TLS record of a handshake whose length is the largest that the field holds.
    let mut record = vec![0x16, 0x03, 0x01, 0xff, 0xff];
    record.extend(bytes(1000));
    vec![
        b"GET / HTTP/1.1\r\nhost: web\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        vec![0; 100],
        bytes(5000),
        record,
    ]
}

/// Sends what it is given, and answers what came back until the end.
fn exchange(from: &Machine, to: SocketAddr, bytes: &[u8]) -> Result<(SocketAddr, Vec<u8>)> {
    let mut socket = begin(from, to)?;
    let local = socket.local_addr()?;
    // It may be closed before all is written.
    drop(socket.write_all(bytes));
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(error).with_context(|| format!("{to} neither answers nor closes"))
        }
        _ => Ok((local, answer)),
    }
}

/// A connection that may have been reset before it is looked at.
fn begin(from: &Machine, to: SocketAddr) -> Result<TcpStream> {
    let socket = from.run(|| Socket::new(Domain::for_address(to), Type::STREAM, None))??;
    socket.set_read_timeout(Some(DEADLINE))?;
    socket.set_write_timeout(Some(DEADLINE))?;
    match socket.connect(&to.into()) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => {
            Err(error).with_context(|| format!("connect to {to} from {}", from.name()))
        }
        _ => Ok(socket.into()),
    }
}

pub(crate) fn tunnel_port(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "garbage", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let (attacker, web) = (scene.lab.pod("attacker"), scene.lab.pod("web"));
        for bytes in garbage() {
            for from in [&**attacker, &**web] {
                let (address, answer) = exchange(from, scene.hbone(), &bytes)?;
                // An alert at most: 2 bytes in a record.
                ensure!(
                    answer.is_empty() || answer.len() == 7 && answer[0] == 21,
                    "{answer:?}"
                );
                scene.told("garbage", address, "tls error")?;
            }
        }
        let from_v6 = exchange(
            &attacker,
            (web.ip6(), 15008).into(),
            b"garbage over IPv6\r\n\r\n",
        )?
        .0;
        scene.told("IPv6", from_v6, "tls error")?;

        // TLS, but not the one that is asked for. Own TLS 1.2 is not built, so this is curl's.
        let url = format!("https://{}/", scene.hbone());
        let (chain, key) = scene
            .certificate("attacker")?
            .write(attacker.folder(), "valid")?;
        let old = attacker.exec([
            "curl".into(),
            "-vsSk".into(),
            "--tls-max".into(),
            "1.2".into(),
            "--cert".into(),
            chain.into_os_string(),
            "--key".into(),
            key.into_os_string(),
            url.into(),
        ])?;
        ensure!(
            old.code() == Some(35) && old.errors().contains("alert"),
            "TLS 1.2: {old:?}"
        );
        scene.far.wait_log(
            &["connection failed", "tls error: peer is incompatible"],
            DEADLINE,
        )?;

        for protocols in [&["http/1.1"][..], &[]] {
            let client = Client::with(&scene.certificate("attacker")?).protocols(protocols);
            let words = tls::refusal(client.connect(&attacker, scene.hbone()))?;
            ensure!(!words.is_empty(), "{protocols:?}");
        }
        for line in ["tls error: peer doesn't support any known protocol", "ALPN"] {
            scene.far.wait_log(&["connection failed", line], DEADLINE)?;
        }

        // A valid handshake, and then no HTTP/2.
        let mut random = fastrand::Rng::with_seed(2);
        let noise: Vec<u8> = (0..4000).map(|_| random.u8(..)).collect();
        for (what, bytes) in [
            ("HTTP/1.1", &b"GET / HTTP/1.1\r\nhost: web\r\n\r\n"[..]),
            ("another preface", b"PRI * HTTP/9.0\r\n\r\nSM\r\n\r\n"),
            ("noise", &noise),
        ] {
            let tls = scene.handshake()?;
            let address = tls.sock.local_addr()?;
            scene.ends(tls, bytes).context(what)?;
            scene.told(what, address, "tunnel failed")?;
        }
        Ok(())
    })
}

#[test]
fn garbage_on_the_tunnel_port_is_refused_with_a_reason() -> Result<()> {
    tunnel_port(Capture::Agent)
}

pub(crate) fn capture_ports(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "capture", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let (attacker, web) = (scene.lab.pod("attacker"), scene.lab.pod("web"));
        for port in [15001, 15006] {
            for bytes in garbage() {
                let own: SocketAddr = (web.ip4(), port).into();
                for (from, to) in [
                    (&**attacker, own),
                    (&**web, own),
                    (&**web, (Ipv4Addr::LOCALHOST, port).into()),
                ] {
                    let (address, answer) = exchange(from, to, &bytes)?;
                    ensure!(answer.is_empty(), "{to} answered {answer:?}");
                    scene.told(&format!("{to} from {}", from.name()), address, "error=")?;
                }
            }
        }
        // Nothing of it reached the app.
        ensure!(
            !scene.nginx.access_log().contains(" 400 "),
            "{}",
            scene.nginx.access_log()
        );
        Ok(())
    })
}

#[test]
fn garbage_on_the_capture_ports_is_refused_with_a_reason() -> Result<()> {
    capture_ports(Capture::Agent)
}

pub(crate) fn unended(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "loris", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let attacker = scene.lab.pod("attacker");
        // Half of the head of a ClientHello; and a whole handshake without a preface after it.
        let mut half: Vec<TcpStream> = (0..LORIS)
            .map(|_| {
                let mut socket = tcp(&attacker, scene.hbone())?;
                socket.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00])?;
                Ok(socket)
            })
            .collect::<Result<_>>()?;
        let silent = scene.handshake()?;
        scene.load.goes_on()?;
        ensure!(
            half.iter_mut().all(is_open),
            "they must all be open at once"
        );

        // Somebody with a certificate still gets in.
        let mut tunnel = scene.tunnel()?;
        tunnel.settle()?;

        for socket in &mut half {
            let mut rest = Vec::new();
            let end = socket.read_to_end(&mut rest);
            let timed_out = end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            ensure!(!timed_out, "a handshake that was never ended is still open");
        }
        scene.told(
            "half a handshake",
            half[0].local_addr()?,
            "tls handshake timed out",
        )?;
        let address = silent.sock.local_addr()?;
        scene.ends(silent, b"")?;
        scene.told("no preface", address, "no HTTP/2 preface")?;
        tunnel.settle().context("the tunnel of the honest one")
    })
}

#[test]
fn handshakes_that_never_end_hold_nobody_up_and_are_ended() -> Result<()> {
    unended(Capture::Agent)
}

/// Whether the server has not closed it yet.
fn is_open(socket: &mut TcpStream) -> bool {
    let looked = socket
        .set_nonblocking(true)
        .and_then(|()| socket.peek(&mut [0]));
    socket.set_nonblocking(false).is_ok()
        && looked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}
