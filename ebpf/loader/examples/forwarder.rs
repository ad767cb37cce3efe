//! The smallest proxy that the loader serves: it captures the namespaces that it is given and forwards each connection
//! to where it was going, with the client's address. Tests run it, and kill it.
//!
//! ```text
//! forwarder --cgroup FOLDER --pins FOLDER [--check] [--build NUMBER] [--dns PORT] NETNS...
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
    Capture, Home, PodSettings, Settings, capture::MARK, is_steered, listeners::is_outbound, probe,
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
    build: Option<u64>,
    check: bool,
    pods: Vec<String>,
}

fn arguments() -> Result<Arguments> {
    let mut all = Arguments {
        settings: Settings::default(),
        pod: PodSettings::default(),
        build: None,
        check: false,
        pods: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} has no value"));
        match word.as_str() {
            "--cgroup" => all.settings.cgroup = Some(value()?.into()),
            "--pins" => all.settings.pins = value()?.into(),
            "--build" => all.build = Some(value()?.parse()?),
            "--dns" => all.pod.port_dns = NonZeroU16::new(value()?.parse()?),
            "--exclude-inbound" => {
                let port = value()?.parse()?;
                all.pod.excluded_inbound_ports.push(port..=port);
            }
            "--check" => all.check = true,
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
        let enrolled = capture.enrol(&pod.netns, &arguments.pod, options)?;
        cookies.push(enrolled.cookie);
        println!("captured {path} taken over {}", enrolled.taken_over);
        for (place, listener) in enrolled.listeners {
            let pod = Arc::clone(&pod);
            tasks.push(tokio::task::spawn_local(accept(
                pod,
                listener,
                is_outbound(place),
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

async fn accept(pod: Arc<Pod>, listener: TcpListener, outbound: bool) -> Result<()> {
    let acceptor = Acceptor::new(listener)?;
    loop {
        let (socket, peer) = acceptor.accept().await?;
        let pod = Arc::clone(&pod);
        pod.open.fetch_add(1, Ordering::Relaxed);
        tokio::task::spawn_local(async move {
            if let Err(error) = forward(&pod, socket, peer, outbound).await {
                println!("failed {peer}: {error:#}");
            }
            pod.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn forward(pod: &Pod, socket: StdStream, peer: SocketAddr, outbound: bool) -> Result<()> {
    let to = socket.local_addr()?;
    if !is_steered(to) {
        bail!("connected to the listener itself");
    }
    let _kept = pod.ports.keep(peer);
    let mut near = TcpStream::from_std(socket)?;
    let mut far = if outbound {
        println!("out {peer} {to}");
        socket::connect(&pod.netns, None, to, &pod.options).await?
    } else {
        println!("in {peer} {to}");
        socket::connect_as(&pod.netns, peer, to, &pod.ports, &pod.options).await?
    };
    copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}
