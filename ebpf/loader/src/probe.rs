//! Whether capture works on this kernel: questions first, which are cheap, and then a trial of the whole of it.
//!
//! In: nothing but the kernel. Out: nothing, or the reason against it.
//! Never: decides by a version number; touches a namespace or a cgroup but its own.
//!
//! The trial captures a scratch namespace with the real programs. Its hooks are attached to this process's own cgroup,
//! so that nobody else passes them.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    thread,
    time::Duration,
};

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported},
};
use ebpf_abi::steer::Listener;
use net::{
    Netns,
    socket::{Answers, Options, SpoofedPorts, connect_as},
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::{CloneFlags, unshare},
};
use socket2::SockRef;

use crate::{
    Capture, Cookie, Error, Home, PodSettings, Serving, Settings,
    capture::Enrolled,
    mounts,
    netlink::{Netlink, message},
    pins::{self, Trial},
};

/// Longer than anything takes that never leaves `lo`.
const DEADLINE: Duration = Duration::from_secs(2);
/// What is sent there and back.
const TEXT: &[u8] = b"ambit";

// Addresses for documentation (RFC 5737, RFC 3849): a scratch namespace reaches nobody, and nobody has them.
const OWN_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const ELSEWHERE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const OWN_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const ELSEWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 7);

/// Why pods cannot be captured by eBPF here.
#[derive(Debug, thiserror::Error)]
pub enum Unsupported {
    /// The kernel says that it lacks something.
    #[error("the kernel has no {0}")]
    Kernel(&'static str),
    /// The proxy cannot be told from applications.
    #[error(transparent)]
    Home(#[from] crate::HomeError),
    /// A step is refused.
    #[error(transparent)]
    Step(#[from] Error),
    /// The trial went wrong.
    #[error("dry run: {step}: {source}")]
    DryRun {
        /// What was tried.
        step: &'static str,
        /// What came instead.
        source: io::Error,
    },
}

/// Everything at once: enters a cgroup of its own, asks the kernel, makes the trial, and opens the capture.
/// **Blocks** for some tens of milliseconds, as what it is made of does.
///
/// # Errors
/// The reason why another mode has to capture.
pub fn start(settings: &Settings, options: &Options) -> Result<Capture, Unsupported> {
    features()?;
    let home = Home::enter(settings.cgroup.as_deref())?;
    dry_run(settings, &home, options)?;
    Ok(Capture::open(settings, Some(&home))?)
}

/// Asks the kernel what it has. An answer that it will not give counts for nothing: the trial decides.
///
/// # Errors
/// The first thing that is missing.
pub fn features() -> Result<(), Unsupported> {
    for (kind, what) in [
        (
            ProgramType::CgroupSockAddr,
            "programs of type cgroup_sock_addr",
        ),
        (
            ProgramType::CgroupSockopt,
            "programs of type cgroup_sockopt",
        ),
        (ProgramType::SkLookup, "programs of type sk_lookup"),
    ] {
        if let Ok(false) = is_program_supported(kind) {
            return Err(Unsupported::Kernel(what));
        }
    }
    for (kind, what) in [
        (MapType::SockMap, "maps of type sockmap"),
        (MapType::LpmTrie, "maps of type lpm_trie"),
        (MapType::SkStorage, "maps of type sk_storage"),
    ] {
        if let Ok(false) = is_map_supported(kind) {
            return Err(Unsupported::Kernel(what));
        }
    }
    for (kind, helper, what) in [
        (
            ProgramType::CgroupSockAddr,
            BpfHelper::BPF_FUNC_setsockopt,
            "bpf_setsockopt in cgroup_sock_addr",
        ),
        (
            ProgramType::CgroupSockAddr,
            BpfHelper::BPF_FUNC_get_netns_cookie,
            "bpf_get_netns_cookie in cgroup_sock_addr",
        ),
        (
            ProgramType::CgroupSockAddr,
            BpfHelper::BPF_FUNC_get_current_cgroup_id,
            "bpf_get_current_cgroup_id in cgroup_sock_addr",
        ),
        (
            ProgramType::CgroupSockAddr,
            BpfHelper::BPF_FUNC_sk_storage_get,
            "bpf_sk_storage_get in cgroup_sock_addr",
        ),
        (
            ProgramType::CgroupSockopt,
            BpfHelper::BPF_FUNC_get_netns_cookie,
            "bpf_get_netns_cookie in cgroup_sockopt",
        ),
        (
            ProgramType::CgroupSockopt,
            BpfHelper::BPF_FUNC_sk_storage_get,
            "bpf_sk_storage_get in cgroup_sockopt",
        ),
        (
            ProgramType::SkLookup,
            BpfHelper::BPF_FUNC_sk_assign,
            "bpf_sk_assign in sk_lookup",
        ),
    ] {
        if let Ok(false) = is_helper_supported(kind, helper) {
            return Err(Unsupported::Kernel(what));
        }
    }
    Ok(())
}

/// Captures a scratch namespace as a pod would be, and sees to it that a connection out of it arrives at the listener
/// with the destination that it asked for and stays on its way, and that one with a borrowed address reaches an
/// application and comes back; in IPv6 as well, where there is any.
///
/// # Errors
/// The step that failed. Nothing is left in either case.
pub fn dry_run(settings: &Settings, home: &Home, options: &Options) -> Result<(), Unsupported> {
    thread::scope(|scope| {
        // A thread of its own: it waits, which a runtime's must not, and leaves its namespace behind.
        let trial = scope.spawn(|| trial(settings, home, options));
        trial.join().unwrap_or_else(|_panic| {
            Err(Unsupported::DryRun {
                step: "the whole of it",
                source: io::Error::other("interrupted"),
            })
        })
    })
}

fn trial(settings: &Settings, home: &Home, options: &Options) -> Result<(), Unsupported> {
    let (netns, ipv6) = scratch().map_err(at("make a network namespace"))?;
    // The bpffs of the real pins, which may have to be mounted; inside, in nobody's way.
    mounts::bpffs(&settings.pins)?;
    pins::create(&settings.pins)?;
    let trial = Trial::make(&settings.pins)?;
    let settings = Settings {
        cgroup: Some(home.path().to_owned()),
        pins: trial.pins(),
        mark: settings.mark,
    };
    let result = captured(&netns, &settings, ipv6, options);
    trial.end();
    result
}

fn captured(
    netns: &Netns,
    settings: &Settings,
    ipv6: bool,
    options: &Options,
) -> Result<(), Unsupported> {
    // Nobody is exempt: the client is this process.
    let capture = Capture::open(settings, None)?;
    let pod = PodSettings {
        ipv6,
        dns: true,
        ..PodSettings::default()
    };
    let serving = Serving {
        port_dns: None,
        options,
        kept: &[],
    };
    let result = Cookie::of(netns)
        .and_then(|cookie| capture.enrol(netns, cookie, &pod, &serving))
        .map_err(Unsupported::from)
        .and_then(|enrolled| try_out(netns, settings, &enrolled, ipv6, options));
    // The namespace ends with this thread, and its routing with it.
    let removed = capture.destroy();
    result?;
    Ok(removed?)
}

/// A namespace with nothing but `lo`, which has an address of each family; and whether IPv6 is among them.
fn scratch() -> io::Result<(Netns, bool)> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let mut netlink = Netlink::open()?;
    netlink.request(&message::lo_up())?;
    netlink.request(&message::lo_address(OWN_V4.into()))?;
    // A kernel without IPv6 has no pods with it either.
    let ipv6 = netlink.request(&message::lo_address(OWN_V6.into())).is_ok();
    Ok((Netns::current()?, ipv6))
}

fn try_out(
    netns: &Netns,
    settings: &Settings,
    enrolled: &Enrolled,
    ipv6: bool,
    options: &Options,
) -> Result<(), Unsupported> {
    let v4 = (
        Listener::OutV4,
        IpAddr::V4(OWN_V4),
        IpAddr::V4(ELSEWHERE_V4),
        IpAddr::V4(CLIENT_V4),
    );
    let v6 = (
        Listener::OutV6,
        IpAddr::V6(OWN_V6),
        IpAddr::V6(ELSEWHERE_V6),
        IpAddr::V6(CLIENT_V6),
    );
    for (place, own, elsewhere, client) in [Some(v4), ipv6.then_some(v6)].into_iter().flatten() {
        let listener = enrolled.listeners.iter().find(|(it, _)| *it == place);
        let Some((_, listener)) = listener else {
            return Err(at("find the listener")(io::ErrorKind::NotFound.into()));
        };
        let connection = outbound(listener, SocketAddr::new(elsewhere, 80))?;
        stays_on_its_way(&connection)?;
        let ports = SpoofedPorts::new(Answers::ByRoute(settings.mark));
        delivery(netns, SocketAddr::new(own, 0), client, &ports, options)?;
    }
    Ok(())
}

/// This thread is the client; it is in the namespace.
fn outbound(listener: &TcpListener, to: SocketAddr) -> Result<TcpStream, Unsupported> {
    let client = TcpStream::connect_timeout(&to, DEADLINE).map_err(at("connect out of the pod"))?;
    let (accepted, _) = accept(listener).map_err(at("accept what the pod sends"))?;
    let found = accepted
        .local_addr()
        .map_err(at("read the original destination"))?;
    if found != to {
        let source = io::Error::other(format!("found {found}, expected {to}"));
        return Err(at("read the original destination")(source));
    }
    let shown = client.try_clone().map_err(at("answer the pod"))?;
    exchange(client, accepted).map_err(at("answer the pod"))?;
    Ok(shown)
}

/// A connection must not get another mark: this process has every right to give it one, and no exemption.
fn stays_on_its_way(client: &TcpStream) -> Result<(), Unsupported> {
    match SockRef::from(client).set_mark(0) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(at("keep a connection on its way")(error)),
        Ok(()) => Err(at("keep a connection on its way")(io::Error::other(
            "its mark was changed",
        ))),
    }
}

/// Waits for a connection, of which the client knows already. Packets on `lo` may still be in somebody else's hands.
fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let timeout = PollTimeout::try_from(DEADLINE).unwrap_or(PollTimeout::MAX);
    let mut waiting = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    match poll(&mut waiting, timeout)? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => listener.accept(),
    }
}

fn delivery(
    netns: &Netns,
    own: SocketAddr,
    client: IpAddr,
    ports: &SpoofedPorts,
    options: &Options,
) -> Result<(), Unsupported> {
    let application = TcpListener::bind(own).map_err(at("listen as an application"))?;
    let to = application
        .local_addr()
        .map_err(at("listen as an application"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(at("make a runtime"))?;
    let options = Options {
        timeout_connect: DEADLINE,
        ..options.clone()
    };
    let client = SocketAddr::new(client, 40_000);
    let delivered = runtime
        .block_on(connect_as(netns, client, to, ports, &options))
        .map_err(|error| at("deliver to the application")(io::Error::other(error)))?;
    let delivered = runtime
        .block_on(async { delivered.into_std() })
        .map_err(at("deliver to the application"))?;
    let (accepted, from) = accept(&application).map_err(at("accept as the application"))?;
    if from.ip() != client.ip() {
        let source = io::Error::other(format!("found {from}, expected {}", client.ip()));
        return Err(at("show the application its client")(source));
    }
    exchange(delivered, accepted).map_err(at("answer a borrowed address"))
}

/// Sends something each way.
fn exchange(mut one: TcpStream, mut other: TcpStream) -> io::Result<()> {
    for stream in [&one, &other] {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(DEADLINE))?;
    }
    for _ in 0..2 {
        one.write_all(TEXT)?;
        let mut bytes = [0; TEXT.len()];
        other.read_exact(&mut bytes)?;
        if bytes != TEXT {
            return Err(io::ErrorKind::InvalidData.into());
        }
        std::mem::swap(&mut one, &mut other);
    }
    Ok(())
}

fn at(step: &'static str) -> impl Fn(io::Error) -> Unsupported {
    move |source| Unsupported::DryRun { step, source }
}
