//! The end of a ztunnel and of a pod: what is open may finish where there is time, is cut with a reason where there
//! is none, and nobody waits for an answer that will never come.

#[path = "drain/modes.rs"]
mod modes;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lab::programs::{self, Nginx};
use lab::{Capture, Lab, Machine, PodSpec, Start, Ztunnel, eventually, until};
use nix::sys::signal::Signal;
use suites::hostile::tls::tcp;
use suites::hostile::tunnel::connect_block;
use suites::hostile::{Answer, Client, DEADLINE, Load, Tunnel, frames};
use suites::traffic::is_served;

/// Where the applications of this suite listen.
const ECHO: u16 = 7001;
const ENDLESS: u16 = 7002;
/// Long enough to see that nobody answers.
const DROPPED: Duration = Duration::from_secs(3);
/// Long enough that nothing here waits for its end.
const LONG: &str = "120";

/// `client` and `near` on node 0, `web` and `other` on node 1, each with an echo and an endless source.
struct Ground {
    lab: Lab,
    near: Ztunnel,
    far: Ztunnel,
    nginx: Nginx,
}

fn ground(capture: Capture, name: &str, start: &Start) -> Result<Option<Ground>> {
    if !lab::possible() {
        return Ok(None);
    }
    let lab = Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("attacker").not_enrolled())
        .pod(PodSpec::new("web").node(1))
        .pod(PodSpec::new("other").node(1))
        .capture(capture)
        .build()?;
    for pod in ["web", "other"] {
        serve(&lab.pod(pod), ECHO, echo)?;
        serve(&lab.pod(pod), ENDLESS, endless)?;
    }
    let nginx = programs::nginx(&lab.pod("web"), 8080)?;
    let [near, far] = lab.start_ztunnels(start)?;
    Ok(Some(Ground {
        lab,
        near,
        far,
        nginx,
    }))
}

impl Ground {
    fn address(&self, pod: &str, port: u16) -> SocketAddr {
        (self.lab.pod(pod).ip4(), port).into()
    }

    /// A connection of `client` that has carried something already.
    fn open(&self, pod: &str) -> Result<TcpStream> {
        let mut stream = tcp(&self.lab.pod("client"), self.address(pod, ECHO))?;
        works(&mut stream)?;
        Ok(stream)
    }

    /// ztunnel's listeners in a pod whose numbers anybody knows.
    fn ports(&self) -> &'static [u16] {
        match self.lab.capture() {
            Capture::Ebpf | Capture::Auto => &[],
            Capture::Agent | Capture::Iptables | Capture::None => &[15001, 15006, 15008],
        }
    }

    /// A new connection that does not come about: the pod's own ztunnel, if that is the one that is not there, is not
    /// heard of again where programs in the kernel drop what would be for it.
    fn refused(&self, pod: &str) -> Result<()> {
        if self.lab.capture() == Capture::Ebpf {
            let to = self.address(pod, ECHO);
            let open = self
                .lab
                .pod("client")
                .run(|| TcpStream::connect_timeout(&to, DROPPED))?;
            let Ok(mut stream) = open else { return Ok(()) };
            stream.set_read_timeout(Some(DEADLINE))?;
            ensure!(
                works(&mut stream).is_err(),
                "a new connection to {pod} was served"
            );
            return Ok(());
        }
        match self.open(pod) {
            Ok(_) => bail!("a new connection to {pod} was served"),
            Err(_) => Ok(()),
        }
    }
}

/// Serves every connection to a port with a thread that ends with it.
fn serve(machine: &Machine, port: u16, serve: fn(TcpStream)) -> Result<()> {
    let listener = machine.run(|| TcpListener::bind(("0.0.0.0", port)))??;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    Ok(())
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream
            .write_all(buffer.get(..count).unwrap_or_default())
            .is_err()
        {
            return;
        }
    }
}

fn endless(mut stream: TcpStream) {
    while stream.write_all(&[1; 64 << 10]).is_ok() {}
}

fn works(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"ping")?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    ensure!(&answer == b"ping");
    Ok(())
}

/// Reads until the end, and answers how it came.
fn end(stream: &mut TcpStream) -> Result<Option<ErrorKind>> {
    let start = Instant::now();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(_) if start.elapsed() > DEADLINE => bail!("bytes come as if nothing had been"),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                bail!("nothing comes, and no end")
            }
            Err(error) => return Ok(Some(error.kind())),
        }
    }
}

/// How a ztunnel is told to end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Signal(Signal),
    Request,
}

fn drains(capture: Capture, by: By) -> Result<()> {
    let start = Start::default().env("TERMINATION_GRACE_PERIOD_SECONDS", LONG);
    let Some(ground) = ground(capture, "drain", &start)? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let mut staying = ground.open("web")?;
        let mut through = ground.open("other")?;
        // A peer of our own, to see what a tunnel is told.
        let attacker = ground.lab.pod("attacker");
        let leaf = ground
            .lab
            .ca()
            .issue(&lab::Leaf::new(attacker.identity()))?;
        let tunnel = Client::with(&leaf).connect(&attacker, ground.address("web", 15008))?;
        let mut tunnel = Tunnel::open(tunnel)?;
        let block = connect_block(&ground.address("web", ECHO).to_string());
        let stream = tunnel.request(&block)?;
        ensure!(tunnel.answer(stream)? == Answer::Status(200, false));

        let told = Instant::now();
        let line = match by {
            By::Signal(signal) => {
                ground.far.signal(signal)?;
                format!("draining on {signal}")
            }
            By::Request => {
                let answer = ground.far.admin_post("/quitquitquit")?;
                ensure!(answer.status == 200, "{answer:?}");
                "draining on request".to_owned()
            }
        };
        ground.far.wait_log(&["info", &line], DEADLINE)?;

        // Told so in its own words; what is open goes on, what is new does not begin.
        until("GOAWAY", DEADLINE, || {
            drop(tunnel.settle());
            tunnel.goaway() == Some(frames::code::NO_ERROR)
        })?;
        tunnel.send(&frames::data(stream, b"still here"))?;
        ensure!(tunnel.read(stream, 10)? == b"still here");
        works(&mut staying)?;
        works(&mut through)?;
        for &port in ground.ports() {
            let closed = || !ground.lab.pod("web").listens(port);
            until("the listeners are closed", DEADLINE, closed)?;
        }
        let closed = || !is_served(&ground.lab.pod("web"), ground.lab.capture());
        until("all listeners are closed", DEADLINE, closed)?;
        ground.refused("web")?;
        ensure!(
            Client::with(&leaf)
                .connect(&attacker, ground.address("web", 15008))
                .is_err()
        );
        ensure!(ground.far.is_running(), "it must wait for what is open");

        // When the last of them has finished, so has it: long before the time is up.
        staying.shutdown(std::net::Shutdown::Write)?;
        ensure!(end(&mut staying)?.is_none(), "a clean end");
        drop((through, staying));
        tunnel.send(&frames::frame(
            frames::kind::DATA,
            frames::flag::END_STREAM,
            stream,
            b"",
        ))?;
        until("the end of the process", DEADLINE, || {
            !ground.far.is_running()
        })?;
        let status = ground.far.terminate(DEADLINE)?;
        ensure!(status.code() == Some(0), "{status}");
        ensure!(told.elapsed() < DEADLINE * 3, "it has waited for nothing");
        let log = ground.far.log();
        ensure!(
            log.contains("ztunnel ended") && !log.contains("connection drain"),
            "{log}"
        );
        ensure!(!log.contains("panicked"), "{log}");
        // The near one goes on, and says what became of the way.
        ground.refused("web")?;
        ensure!(ground.near.is_running());

        // And a new one takes over where it was.
        ground.far.restart()?;
        ground.far.wait_ready()?;
        ground.open("web").context("after the restart")?;
        Ok(())
    })
}

fn sigterm(capture: Capture) -> Result<()> {
    drains(capture, By::Signal(Signal::SIGTERM))
}

#[test]
fn open_connections_finish_after_sigterm_and_new_ones_are_refused() -> Result<()> {
    sigterm(Capture::Agent)
}

#[test]
fn open_connections_finish_after_quitquitquit_and_new_ones_are_refused() -> Result<()> {
    drains(Capture::Agent, By::Request)
}

fn near(capture: Capture) -> Result<()> {
    let start = Start::default().env("TERMINATION_GRACE_PERIOD_SECONDS", LONG);
    let Some(ground) = ground(capture, "near", &start)? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let mut staying = ground.open("web")?;
        ground.near.signal(Signal::SIGTERM)?;
        ground.near.wait_log(&["draining on SIGTERM"], DEADLINE)?;
        for &port in ground.ports() {
            let closed = || !ground.lab.pod("client").listens(port);
            until("the listeners are closed", DEADLINE, closed)?;
        }
        let closed = || !is_served(&ground.lab.pod("client"), ground.lab.capture());
        until("all listeners are closed", DEADLINE, closed)?;
        ground.refused("web")?;
        works(&mut staying)?;
        ensure!(ground.near.is_running());
        drop(staying);
        let status = ground.near.terminate(DEADLINE)?;
        ensure!(status.code() == Some(0), "{status}");
        ensure!(
            !ground.near.log().contains("connection drain"),
            "{}",
            ground.near.log()
        );
        Ok(())
    })
}

#[test]
fn a_client_side_that_drains_lets_its_connections_finish() -> Result<()> {
    near(Capture::Agent)
}

fn deadline(capture: Capture) -> Result<()> {
    let start = Start::default().env("CONNECTION_TERMINATION_DEADLINE", "1s");
    let Some(ground) = ground(capture, "deadline", &start)? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let mut staying = ground.open("web")?;
        let mut source = tcp(&ground.lab.pod("client"), ground.address("web", ENDLESS))?;
        source.read_exact(&mut [0; 100_000])?;
        let status = ground.far.terminate(DEADLINE)?;
        ensure!(status.code() == Some(0), "{status}");
        for stream in [&mut staying, &mut source] {
            ensure!(end(stream)? == Some(ErrorKind::ConnectionReset));
        }
        let log = ground.far.log();
        ensure!(
            log.contains("connection failed to drain within the timeout"),
            "{log}"
        );
        let cut = ground.far.log_lines(&[
            "error",
            "access",
            "inbound",
            "connection closed due to connection drain",
        ]);
        ensure!(cut.len() == 2, "{cut:?}");
        ensure!(ground.near.is_running());
        Ok(())
    })
}

#[test]
fn what_has_not_finished_at_the_deadline_is_cut_with_a_reason() -> Result<()> {
    deadline(Capture::Agent)
}

fn leave(capture: Capture) -> Result<()> {
    let start = Start::default().env("TERMINATION_GRACE_PERIOD_SECONDS", LONG);
    let Some(ground) = ground(capture, "leave", &start)? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let client = ground.lab.pod("client");
        let load = Load::start(&client, ground.address("web", 8080))?;
        let mut leaving = ground.open("other")?;
        let mut staying = ground.open("web")?;
        let mut source = tcp(&client, ground.address("other", ENDLESS))?;
        source.read_exact(&mut [0; 100_000])?;
        // Out of the mesh, and alive.
        ground.lab.unenrol("other")?;
        for stream in [&mut leaving, &mut source] {
            ensure!(end(stream)? == Some(ErrorKind::ConnectionReset));
        }
        let cut = [
            "error",
            "inbound",
            "dst.workload=\"other\"",
            "connection closed due to connection drain",
        ];
        ground.far.wait_log(&cut, DEADLINE)?;
        ground.far.wait_log(
            &["info", "pod removed", ground.lab.pod("other").uid()],
            DEADLINE,
        )?;
        until("a line for each of both", DEADLINE, || {
            ground.far.log_lines(&cut).len() == 2
        })?;
        works(&mut staying)?;
        load.goes_on()?;
        // It is spoken to as anybody outside the mesh is.
        eventually("plain TCP", DEADLINE, || ground.open("other").map(drop))?;

        // Gone altogether, this time the one that connects.
        ground.lab.add_pod(PodSpec::new("second"))?;
        let second = ground.lab.pod("second");
        let mut stream = tcp(&second, ground.address("web", ECHO))?;
        works(&mut stream)?;
        ground.lab.unenrol("second")?;
        ensure!(end(&mut stream)? == Some(ErrorKind::ConnectionReset));
        let cut = [
            "error",
            "outbound",
            "src.workload=\"second\"",
            "connection closed due to connection drain",
        ];
        ground.near.wait_log(&cut, DEADLINE)?;
        ground.lab.remove_pod("second")?;
        works(&mut staying)?;
        load.goes_on()?;
        load.stop()?;
        Ok(())
    })
}

#[test]
fn a_pod_that_leaves_is_cut_at_once_and_no_other_pod_is() -> Result<()> {
    leave(Capture::Agent)
}

fn killed(capture: Capture) -> Result<()> {
    let Some(ground) = ground(capture, "killed", &Start::default())? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let client = ground.lab.pod("client");
        for (side, ztunnel) in [("far", &ground.far), ("near", &ground.near)] {
            let mut quiet = ground.open("web")?;
            let mut down = tcp(&client, ground.address("web", ENDLESS))?;
            down.read_exact(&mut [0; 100_000])?;
            let mut up = tcp(&client, ground.address("web", ECHO))?;
            let mut uploading = up.try_clone()?;
            let upload = thread::spawn(move || {
                loop {
                    if let Err(error) = uploading.write_all(&[1; 64 << 10]) {
                        return error.kind();
                    }
                }
            });
            up.read_exact(&mut [0; 100_000])?;
            ztunnel.kill()?;
            let streams = [
                ("quiet", &mut quiet),
                ("downwards", &mut down),
                ("upwards", &mut up),
            ];
            let mut ends = Vec::new();
            for (what, stream) in streams {
                let ended = end(stream).with_context(|| format!("{side} killed, {what}"))?;
                ends.push((what, ended));
            }
            // A socket tells of its reset once, to whoever asks first.
            let written = upload.join().ok();
            if let Some((_, ended @ None)) = ends.last_mut() {
                *ended = written;
            }
            for (what, ended) in ends {
                // The kernel ends the sockets of the killed one, and does so politely where nothing is unread.
                let reset = ended == Some(ErrorKind::ConnectionReset);
                ensure!(reset || side == "near", "{side} killed, {what}: {ended:?}");
            }
            // The rules stand: what nobody carries does not pass either.
            let requests = ground.nginx.access_log().lines().count();
            ground.refused("web")?;
            let url = format!("http://{}/", ground.address("web", 8080));
            let curl = client.exec(["curl", "-sS", "-m", "5", &url])?;
            ensure!(curl.code() != Some(0), "{curl:?}");
            ensure!(
                ground.nginx.access_log().lines().count() == requests,
                "something passed"
            );

            ztunnel.restart()?;
            ztunnel.wait_ready()?;
            // The other one may still have the tunnel of the dead in its hands, and must find out by itself.
            eventually("a request after the restart", DEADLINE, || {
                ground.open("web").map(drop)
            })?;
            for _ in 0..20 {
                ground
                    .open("web")
                    .with_context(|| format!("after the restart of {side}"))?;
                client.exec(["curl", "-sS", "-m", "5", &url])?.ok()?;
            }
        }
        ensure!(!ground.near.log().contains("panicked") && !ground.far.log().contains("panicked"));
        Ok(())
    })
}

#[test]
fn a_killed_ztunnel_leaves_nobody_waiting_and_nothing_in_the_clear() -> Result<()> {
    killed(Capture::Agent)
}
