//! The smallest proxy that the loader serves: it captures the namespaces that it is given and forwards each connection
//! to where it was going, with the client's address. Tests run it, and kill it.
//!
//! ```text
//! forwarder --cgroup FOLDER --pins FOLDER [--check] [--build NUMBER] [--dns PORT] [--exclude-inbound PORT] NETNS...
//! forwarder --pins FOLDER --uncapture
//! ```
#![expect(clippy::print_stdout, reason = "its output is what tests wait for")]

use std::{
    net::{SocketAddr, TcpListener, TcpStream as StdStream},
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use ebpf_loader::{
    Capture, Cookie, Home, PodSettings, Serving, Settings,
    capture::MARK,
    is_steered,
    listeners::{Traffic, traffic},
    probe, uncapture,
};
use net::{
    Netns,
    accept::Acceptor,
    socket::{self, Answers, Options, SpoofedPorts},
};
use tokio::{
    io::copy_bidirectional,
    net::TcpStream,
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};

/// Longer than any handshake in a test takes.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often it looks whether its connections have ended.
const PAUSE: Duration = Duration::from_millis(5);

/// One pod.
struct Pod {
    netns: Netns,
    ports: SpoofedPorts,
    options: Options,
    open: AtomicUsize,
}

struct Arguments {
    settings: Settings,
    pod: PodSettings,
    port_dns: Option<NonZeroU16>,
    build: Option<u64>,
    check: bool,
    uncapture: bool,
    pods: Vec<String>,
}

fn arguments() -> Result<Arguments> {
    let mut all = Arguments {
        settings: Settings::default(),
        pod: PodSettings::default(),
        port_dns: None,
        build: None,
        check: false,
        uncapture: false,
        pods: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} has no value"));
        match word.as_str() {
            "--cgroup" => all.settings.cgroup = Some(value()?.into()),
            "--pins" => all.settings.pins = value()?.into(),
            "--build" => all.build = Some(value()?.parse()?),
            "--dns" => {
                all.pod.dns = true;
                all.port_dns = NonZeroU16::new(value()?.parse()?);
            }
            "--exclude-inbound" => {
                let port = value()?.parse()?;
                all.pod.excluded_inbound_ports.push(port..=port);
            }
            "--check" => all.check = true,
            "--uncapture" => all.uncapture = true,
            word if word.starts_with('-') => bail!("unknown option {word}"),
            path => all.pods.push(path.to_owned()),
        }
    }
    Ok(all)
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    let options = Options {
        mark: 0x539.try_into()?,
        keepalive: None,
        user_timeout: false,
        timeout_connect: TIMEOUT,
    };
    if arguments.uncapture {
        println!("{:?}", uncapture(&arguments.settings.pins)?);
        return Ok(());
    }
    let home = Home::enter(arguments.settings.cgroup.as_deref())?;
    if arguments.check {
        probe::features()?;
        probe::dry_run(&arguments.settings, &home, &options)?;
        println!("eBPF works here");
        return Ok(());
    }
    let capture = match arguments.build {
        Some(build) => Capture::open_build(&arguments.settings, Some(&home), build)?,
        None => Capture::open(&arguments.settings, Some(&home))?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, serve(&arguments, &capture, &options))
}

async fn serve(arguments: &Arguments, capture: &Capture, options: &Options) -> Result<()> {
    let mut pods = Vec::new();
    let mut cookies = Vec::new();
    let mut tasks = Vec::new();
    for path in &arguments.pods {
        let pod = Arc::new(Pod {
            netns: Netns::open(path)?,
            ports: SpoofedPorts::new(Answers::ByRoute(MARK)),
            options: options.clone(),
            open: AtomicUsize::new(0),
        });
        let cookie = Cookie::of(&pod.netns)?;
        let serving = Serving {
            port_dns: arguments.port_dns,
            options,
            kept: &[],
        };
        let enrolled = capture.enrol(&pod.netns, cookie, &arguments.pod, &serving)?;
        cookies.push(cookie);
        println!("captured {path} taken over {}", enrolled.taken_over);
        for (place, listener) in enrolled.listeners {
            let pod = Arc::clone(&pod);
            tasks.push(tokio::task::spawn_local(accept(
                pod,
                listener,
                traffic(place),
            )));
        }
        pods.push(pod);
    }
    capture.retain(&cookies)?;
    println!("ready");
    signal(SignalKind::terminate())?.recv().await;
    // Whoever comes to our listeners now has come before a successor put in its own.
    while pods.iter().any(|pod| pod.open.load(Ordering::Relaxed) > 0) {
        tokio::time::sleep(PAUSE).await;
    }
    println!("drained");
    Ok(())
}

async fn accept(pod: Arc<Pod>, listener: TcpListener, traffic: Traffic) -> Result<()> {
    let acceptor = Acceptor::new(listener)?;
    loop {
        let (socket, peer) = acceptor.accept().await?;
        let pod = Arc::clone(&pod);
        pod.open.fetch_add(1, Ordering::Relaxed);
        tokio::task::spawn_local(async move {
            if let Err(error) = forward(&pod, socket, peer, traffic).await {
                println!("failed {peer}: {error:#}");
            }
            pod.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn forward(pod: &Pod, socket: StdStream, peer: SocketAddr, traffic: Traffic) -> Result<()> {
    let to = socket.local_addr()?;
    if !is_steered(to) {
        bail!("connected to the listener itself");
    }
    let _kept = pod.ports.keep(peer);
    let mut near = TcpStream::from_std(socket)?;
    let mut far = match traffic {
        Traffic::Outbound => {
            println!("out {peer} {to}");
            socket::connect(&pod.netns, None, to, &pod.options).await?
        }
        Traffic::Inbound => {
            println!("in {peer} {to}");
            socket::connect_as(&pod.netns, peer, to, &pod.ports, &pod.options).await?
        }
        // It speaks no HBONE; that it came is what tests ask.
        Traffic::Hbone => {
            println!("hbone {peer} {to}");
            return Ok(());
        }
    };
    copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}
