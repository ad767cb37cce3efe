//! Applications that do not read, reset or write in crumbs: the other streams of their tunnel know nothing of it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{Capture, Machine, Start, eventually, until};
use socket2::SockRef;
use suites::hostile::frames::{self, code, kind};
use suites::hostile::tls::tcp;
use suites::hostile::{Answer, DEADLINE, Scene};

/// Where the stalled application listens.
const STALLED: u16 = 9000;
/// Streams that stall at once.
const STREAMS: usize = 6;
/// More than an application, two ztunnels and a window hold together.
const PLENTY: usize = 64 << 20;
/// So far apart that the proxy reads them one by one.
const CRUMB_PAUSE: Duration = Duration::from_micros(15);
/// One byte each.
const CRUMBS: usize = 400_000;

/// One worker, so that all streams of the pair share one tunnel.
fn one_worker() -> Start {
    Start::default().env("ZTUNNEL_WORKER_THREADS", "1")
}

/// The one tunnel of a machine, by its own end.
fn tunnel_of(machine: &Machine) -> Result<String> {
    // The table is not read in one piece: a line may be missing or be there twice while others change.
    eventually("one tunnel", DEADLINE, || {
        let table = machine.run(|| std::fs::read_to_string("/proc/thread-self/net/tcp"))??;
        let mut tunnels: Vec<_> = table
            .lines()
            .filter_map(|line| {
                let mut fields = line.split_whitespace().skip(1);
                let (own, peer, state) = (fields.next()?, fields.next()?, fields.next()?);
                // 3AA0 is 15008, 01 is ESTABLISHED.
                (peer.ends_with(":3AA0") && state == "01").then(|| own.to_owned())
            })
            .collect();
        tunnels.dedup();
        match &tunnels[..] {
            [one] => Ok(one.clone()),
            others => bail!("{} tunnels: {others:?}", others.len()),
        }
    })
}

/// Accepts and keeps without a look at them.
fn listen(machine: &Machine) -> Result<TcpListener> {
    let listener = machine.run(|| TcpListener::bind(("0.0.0.0", STALLED)))??;
    // What it does not read must not hide in the kernel.
    SockRef::from(&listener).set_recv_buffer_size(4096)?;
    Ok(listener)
}

/// Writes until nothing is taken for a while.
fn fill(stream: &mut TcpStream) -> Result<usize> {
    stream.set_write_timeout(Some(Duration::from_millis(700)))?;
    let chunk = [7; 64 << 10];
    let mut written = 0;
    while written < PLENTY {
        match stream.write(&chunk) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(written),
            Err(error) => return Err(error).context("write"),
        }
    }
    bail!("{written} bytes were taken that nobody reads")
}

pub(crate) fn unread(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "stalls", &one_worker())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let (client, web) = (scene.lab.pod("client"), scene.lab.pod("web"));
        let listener = listen(&web)?;
        let tunnel = tunnel_of(&client)?;
        let to = SocketAddr::new(scene.ip("web"), STALLED);
        let mut apps = Vec::new();
        // Upwards: the server's application reads nothing.
        let mut stalled = Vec::new();
        for _ in 0..STREAMS {
            let mut stream = tcp(&client, to)?;
            apps.push(listener.accept()?.0);
            ensure!(fill(&mut stream)? > 1 << 20);
            stalled.push(stream);
        }
        scene
            .load
            .goes_on()
            .context("beside streams that stall upwards")?;
        // Downwards: the client's application asks for much and reads nothing.
        for _ in 0..STREAMS {
            let mut stream = tcp(&client, SocketAddr::new(scene.ip("web"), 8080))?;
            stream.write_all(b"GET /bytes/64m HTTP/1.1\r\nhost: x\r\n\r\n")?;
            until("the first bytes", DEADLINE, || {
                stream.peek(&mut [0]).is_ok_and(|count| count > 0)
            })?;
            stalled.push(stream);
        }
        scene
            .load
            .goes_on()
            .context("beside streams that stall downwards")?;
        // All of them share it, or the test shows nothing.
        ensure!(tunnel_of(&client)? == tunnel);

        // Bulk passes, both ways, in the same tunnel.
        let bulk = client
            .exec([
                "curl",
                "-sS",
                "-o",
                "/dev/null",
                "-w",
                "%{size_download}",
                &format!("http://{}:8080/bytes/64m", web.ip4()),
            ])?
            .ok()?;
        ensure!(bulk == (64 << 20).to_string(), "{bulk}");
        ensure!(tunnel_of(&client)? == tunnel);

        // And none of the stalled ones has lost a byte: whoever begins to read gets all of it.
        let mut waking = apps.swap_remove(0);
        let sender = stalled.swap_remove(0);
        sender.shutdown(std::net::Shutdown::Write)?;
        waking.set_read_timeout(Some(DEADLINE))?;
        let mut bytes = Vec::new();
        waking.read_to_end(&mut bytes)?;
        ensure!(
            bytes.len() > 1 << 20 && bytes.iter().all(|byte| *byte == 7),
            "{} bytes",
            bytes.len()
        );
        Ok(())
    })
}

#[test]
fn streams_that_nobody_reads_stall_no_other_stream_of_their_tunnel() -> Result<()> {
    unread(Capture::Agent)
}

pub(crate) fn crumbs_out(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "crumbs", &one_worker())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let (client, web) = (scene.lab.pod("client"), scene.lab.pod("web"));
        let listener = listen(&web)?;
        let tunnel = tunnel_of(&client)?;
        let mut stream = tcp(&client, SocketAddr::new(scene.ip("web"), STALLED))?;
        let mut app = listener.accept()?.0;
        stream.set_write_timeout(Some(Duration::from_millis(700)))?;
        let mut written = 0;
        for number in 0..CRUMBS {
            let due = Instant::now() + CRUMB_PAUSE;
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            match stream.write(&[7]) {
                Ok(_) => written += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).with_context(|| format!("crumb {number}")),
            }
            if number % 50_000 == 0 {
                scene.load.goes_on()?;
            }
        }
        scene.load.goes_on()?;
        ensure!(tunnel_of(&client)? == tunnel, "the tunnel was replaced");
        stream.shutdown(std::net::Shutdown::Write)?;
        app.set_read_timeout(Some(DEADLINE))?;
        let mut bytes = Vec::new();
        app.read_to_end(&mut bytes)
            .with_context(|| format!("{} of {written} crumbs came", bytes.len()))?;
        ensure!(
            bytes.len() == written,
            "{} of {written} crumbs came",
            bytes.len()
        );
        Ok(())
    })
}

#[test]
fn an_application_that_writes_in_crumbs_to_one_that_does_not_read_keeps_its_tunnel() -> Result<()> {
    crumbs_out(Capture::Agent)
}

pub(crate) fn crumbs_in(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "frames", &one_worker())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let listener = listen(&scene.lab.pod("web"))?;
        let mut tunnel = scene.tunnel()?;
        let stream = tunnel.connect(&SocketAddr::new(scene.ip("web"), STALLED).to_string())?;
        ensure!(tunnel.answer(stream)? == Answer::Status(200, false));
        let mut app = listener.accept()?.0;
        let crumbs = frames::data(stream, &[7]).repeat(100);
        for sent in (0..CRUMBS).step_by(100) {
            tunnel
                .send(&crumbs)
                .with_context(|| format!("after {sent} frames"))?;
        }
        tunnel.send(&frames::frame(
            kind::DATA,
            frames::flag::END_STREAM,
            stream,
            &[7],
        ))?;
        tunnel.settle()?;
        app.set_read_timeout(Some(DEADLINE))?;
        let mut bytes = Vec::new();
        app.read_to_end(&mut bytes)?;
        ensure!(
            bytes.len() == CRUMBS + 1,
            "{} of {CRUMBS} crumbs came",
            bytes.len()
        );
        Ok(())
    })
}

#[test]
fn a_peer_that_sends_crumbs_to_an_application_that_does_not_read_keeps_its_tunnel() -> Result<()> {
    crumbs_in(Capture::Agent)
}

pub(crate) fn resets(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "resets", &one_worker())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let (client, web) = (scene.lab.pod("client"), scene.lab.pod("web"));
        let listener = listen(&web)?;
        let to = SocketAddr::new(scene.ip("web"), STALLED);

        // The server's application resets: so it is for the client, and both logs say whose doing it was.
        let mut stream = tcp(&client, to)?;
        let app = listener.accept()?.0;
        stream.write_all(b"hello")?;
        until("hello", DEADLINE, || {
            app.peek(&mut [0; 5]).is_ok_and(|count| count == 5)
        })?;
        SockRef::from(&app).set_linger(Some(Duration::ZERO))?;
        drop(app);
        reset_reaches(&mut stream, "the server's application resets")?;
        let client_addr = stream.local_addr()?.to_string();
        scene.near.wait_log(
            &[
                "error",
                &client_addr,
                "destination disconnected before all data was written",
            ],
            DEADLINE,
        )?;
        scene.far.wait_log(
            &[
                "error",
                "inbound",
                ":9000",
                "destination disconnected before all data was written",
            ],
            DEADLINE,
        )?;

        // The client's application resets.
        let stream = tcp(&client, to)?;
        let client_addr = stream.local_addr()?.to_string();
        let mut app = listener.accept()?.0;
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        drop(stream);
        app.set_read_timeout(Some(DEADLINE))?;
        reset_reaches(&mut app, "the client's application resets")?;
        scene.near.wait_log(
            &[
                "error",
                &client_addr,
                "client disconnected before all data was written",
            ],
            DEADLINE,
        )?;
        scene.far.wait_log(
            &[
                "error",
                "inbound",
                ":9000",
                "client disconnected before all data was written",
            ],
            DEADLINE,
        )?;
        scene.load.goes_on()?;

        // A peer resets a stream in the middle; the other streams of its tunnel stay.
        let mut tunnel = scene.tunnel()?;
        let authority = to.to_string();
        let (first, second) = (tunnel.connect(&authority)?, tunnel.connect(&authority)?);
        for stream in [first, second] {
            ensure!(tunnel.answer(stream)? == Answer::Status(200, false));
        }
        let mut apps = [listener.accept()?.0, listener.accept()?.0];
        tunnel.send(&[frames::data(first, b"1"), frames::data(second, b"2")].concat())?;
        let mut mine = [0; 1];
        for app in &mut apps {
            app.set_read_timeout(Some(DEADLINE))?;
            app.read_exact(&mut mine)?;
        }
        // The last one read is in `mine`; whichever it is, the other is the first's.
        let [one, two] = apps;
        let (mut of_first, mut of_second) = if &mine == b"2" {
            (one, two)
        } else {
            (two, one)
        };
        tunnel.reset(first)?;
        reset_reaches(&mut of_first, "a peer resets its stream")?;
        tunnel.send(&frames::data(second, b"still here"))?;
        let mut text = [0; 10];
        of_second.read_exact(&mut text)?;
        ensure!(&text == b"still here");
        // An application that resets is a reset of its stream.
        SockRef::from(&of_second).set_linger(Some(Duration::ZERO))?;
        drop(of_second);
        let reset = loop {
            let frame = tunnel.of(second)?;
            if frame.kind == kind::RST_STREAM {
                break frame.code();
            }
        };
        ensure!(reset == Some(code::CONNECT_ERROR), "{reset:?}");

        // And when the whole tunnel is reset, so are the applications of its streams.
        let third = tunnel.connect(&authority)?;
        ensure!(tunnel.answer(third)? == Answer::Status(200, false));
        let mut app = listener.accept()?.0;
        tunnel.break_off()?;
        app.set_read_timeout(Some(DEADLINE))?;
        reset_reaches(&mut app, "a tunnel is reset")?;
        Ok(())
    })
}

#[test]
fn resets_pass_through_and_reach_nobody_else() -> Result<()> {
    resets(Capture::Agent)
}

/// Reads to the end, which must be a reset.
fn reset_reaches(stream: &mut TcpStream, what: &str) -> Result<()> {
    let end = stream.read_to_end(&mut Vec::new());
    let reset = end
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
    ensure!(reset, "{what}, and the other end sees {end:?}");
    Ok(())
}
