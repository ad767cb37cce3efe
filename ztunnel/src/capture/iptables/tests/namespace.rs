//! The rules in real network namespaces. Without root these say `skipped` and why.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use net::{
    Netns,
    socket::{Options, SpoofedPorts, connect_as, original_destination},
};
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Socket, Type};

use super::{
    super::{
        apply::{apply_with, remove_with},
        tool::Tools,
    },
    *,
};

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(5);

/// A fresh namespace with `lo` up; `None` says why it cannot be had.
#[expect(clippy::print_stdout, reason = "a test that cannot run must say so")]
fn namespace() -> Option<Netns> {
    let made = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Netns::current()
    });
    match made.join().unwrap() {
        Ok(netns) => {
            inside(&netns, "ip link set lo up");
            Some(netns)
        }
        Err(error) => {
            println!("skipped: cannot make a network namespace: {error}");
            None
        }
    }
}

/// Runs a command inside and returns what it printed.
fn inside(netns: &Netns, command: &str) -> String {
    let mut words = command.split(' ');
    let output = netns
        .run(|| Command::new(words.next().unwrap()).args(words).output())
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Everything that the rules consist of, without counters and comments.
fn state(netns: &Netns) -> Vec<String> {
    let mut lines = Vec::new();
    for command in ["iptables-save", "ip6tables-save"] {
        let dump = inside(netns, command);
        let kept = dump.lines().filter(|line| {
            ["-A", ":ISTIO", ":AMBIT"]
                .iter()
                .any(|ours| line.starts_with(ours))
        });
        lines.extend(kept.map(|line| line.split(" [").next().unwrap().to_owned()));
    }
    for command in [
        "ip -4 rule show",
        "ip -6 rule show",
        "ip -4 route show table all",
        "ip -6 route show table all",
    ] {
        let ours = |line: &&str| line.contains("lookup 100") || line.contains("table 100");
        lines.extend(
            inside(netns, command)
                .lines()
                .filter(ours)
                .map(|line| line.trim().to_owned()),
        );
    }
    lines
}

#[test]
fn applying_twice_is_applying_once_and_removal_leaves_nothing() {
    let Some(netns) = namespace() else { return };
    let settings = settings(true);
    assert_eq!(apply(&netns, &settings).unwrap(), Families::Both);
    let once = state(&netns);
    // Per family three tables of three chains and three jumps, two rules each in raw and mangle, eight in nat, and a
    // rule and a route.
    assert_eq!(once.len(), 2 * (3 * 6 + 2 + 2 + 8 + 2), "{once:#?}");
    assert_eq!(apply(&netns, &settings).unwrap(), Families::Both);
    assert_eq!(state(&netns), once);
    remove(&netns).unwrap();
    assert_eq!(state(&netns), Vec::<String>::new());
    remove(&netns).unwrap();
    assert_eq!(state(&netns), Vec::<String>::new());
}

#[test]
fn whatever_is_damaged_is_repaired() {
    let Some(netns) = namespace() else { return };
    let settings = settings(true);
    apply(&netns, &settings).unwrap();
    let whole = state(&netns);
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    for damage in [
        "iptables -t nat -F ISTIO_OUTPUT",
        "iptables -t nat -D OUTPUT -j ISTIO_OUTPUT",
        "iptables -t nat -A OUTPUT -j ISTIO_OUTPUT",
        "ip6tables -t mangle -F",
        "iptables -t raw -I ISTIO_PRERT -j ACCEPT",
        "ip -4 rule del pref 32764",
        "ip -6 route flush table 100",
    ] {
        inside(&netns, damage);
        assert_ne!(state(&netns), whole, "{damage}");
        apply(&netns, &settings).unwrap();
        assert_eq!(sorted(state(&netns)), sorted(whole.clone()), "{damage}");
    }
    apply(&netns, &super::settings(false)).unwrap();
    let without_dns = state(&netns);
    assert!(
        without_dns
            .iter()
            .all(|line| !line.contains("port 53 ") && !line.contains("-j CT ")),
        "{without_dns:#?}"
    );
}

#[test]
fn an_agents_rules_are_left_alone_and_named() {
    let Some(netns) = namespace() else { return };
    assert_eq!(owner(&netns).unwrap(), Owner::Nobody);
    apply(&netns, &settings(true)).unwrap();
    assert_eq!(owner(&netns).unwrap(), Owner::Ours);
    // An agent of the same rules: nothing in them says that they are ours.
    for program in ["iptables", "ip6tables"] {
        for table in ["raw", "mangle", "nat"] {
            inside(
                &netns,
                &format!("{program} -t {table} -D ISTIO_PRERT -j AMBIT"),
            );
            inside(&netns, &format!("{program} -t {table} -X AMBIT"));
        }
    }
    let agents = state(&netns);
    assert_eq!(owner(&netns).unwrap(), Owner::Agent);
    let only_v4 = Settings {
        ipv6: false,
        ..settings(true)
    };
    for settings in [settings(true), settings(false), only_v4] {
        let error = apply(&netns, &settings).unwrap_err();
        assert!(matches!(error, Error::Agent), "{error:?}");
        assert_eq!(state(&netns), agents);
    }
    remove(&netns).unwrap();
    assert_eq!(state(&netns), agents);
}

#[test]
fn a_pod_without_ipv6_gets_ipv4_rules_only() {
    let Some(netns) = namespace() else { return };
    netns
        .run(|| {
            for interface in ["all", "default", "lo"] {
                let path = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
                std::fs::write(&path, "1")?;
            }
            io::Result::Ok(())
        })
        .unwrap()
        .unwrap();
    assert_eq!(apply(&netns, &settings(false)).unwrap(), Families::V4);
    assert!(
        inside(&netns, "ip6tables-save")
            .lines()
            .all(|line| !line.contains("ISTIO"))
    );
    remove(&netns).unwrap();
    assert_eq!(state(&netns), Vec::<String>::new());
}

#[test]
fn a_failure_is_taken_back_in_a_fresh_pod_and_leaves_a_captured_one_captured() {
    let Some(netns) = namespace() else { return };
    let broken = Tools {
        restore_v6: "false".into(),
        ..Tools::default()
    };
    let error = apply_with(&netns, &settings(true), &broken).unwrap_err();
    assert!(
        matches!(&error, Error::Tool { command, .. } if command == "false --noflush --wait=30"),
        "{error:?}"
    );
    assert_eq!(state(&netns), Vec::<String>::new());

    apply(&netns, &settings(true)).unwrap();
    let whole = state(&netns);
    apply_with(&netns, &settings(true), &broken).unwrap_err();
    assert_eq!(state(&netns), whole);
}

#[test]
fn a_missing_tool_is_named_with_its_package() {
    let Some(netns) = namespace() else { return };
    let tools = Tools {
        ip: "no-such-ip".into(),
        ..Tools::default()
    };
    let error = apply_with(&netns, &settings(true), &tools).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no-such-ip is not installed, it comes with the package iproute2"
    );
    let tools = Tools {
        save_v4: "no-such-save".into(),
        ..Tools::default()
    };
    let error = remove_with(&netns, &tools).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no-such-save is not installed, it comes with the package iptables"
    );
}

#[test]
fn what_a_tool_says_is_in_the_error() {
    let Some(netns) = namespace() else { return };
    inside(&netns, "ip link set lo down");
    let error = apply(&netns, &settings(false)).unwrap_err();
    let Error::Tool {
        command, stderr, ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(command, "ip -6 route replace local ::/0 dev lo table 100");
    assert!(
        !stderr.is_empty() && error.to_string().ends_with(stderr),
        "{error}"
    );
    inside(&netns, "ip link set lo up");
    assert_eq!(state(&netns), Vec::<String>::new());
}

/// A pod and a peer, each in its namespace, with a cable between them.
struct Cable {
    pod: Netns,
    peer: Netns,
}

fn cable() -> Option<Cable> {
    let pod = namespace()?;
    // The peer's thread stays, because a namespace is named by a thread that is in it.
    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        tell.send((nix::unistd::gettid(), Netns::current().unwrap()))
            .unwrap();
        assert!(ended.recv().is_err());
    });
    let (thread_id, peer) = told.recv_timeout(DEADLINE).unwrap();
    inside(&pod, "ip link add eth0 type veth peer name eth1");
    inside(&pod, &format!("ip link set eth1 netns {thread_id}"));
    drop(end);
    thread.join().unwrap();
    for (netns, link, number) in [(&pod, "eth0", 1), (&peer, "eth1", 2)] {
        inside(netns, "ip link set lo up");
        inside(netns, &format!("ip addr add 10.9.9.{number}/24 dev {link}"));
        inside(
            netns,
            &format!("ip -6 addr add fd09::{number}/64 dev {link} nodad"),
        );
        inside(netns, &format!("ip link set {link} up"));
    }
    // VIPs go out by the default route, as in a cluster.
    inside(&pod, "ip route add default via 10.9.9.2");
    inside(&pod, "ip -6 route add default via fd09::2");
    inside(&peer, &format!("ip addr add {PROBE_V4}/32 dev eth1"));
    inside(
        &peer,
        &format!("ip -6 addr add {PROBE_V6}/128 dev eth1 nodad"),
    );
    Some(Cable { pod, peer })
}

fn listen(netns: &Netns, address: &str) -> TcpListener {
    netns.run(|| TcpListener::bind(address)).unwrap().unwrap()
}

/// Connects from `source` (any if none), with a mark if given.
fn connect(
    netns: &Netns,
    source: Option<IpAddr>,
    to: &str,
    mark: Option<u32>,
) -> io::Result<TcpStream> {
    let to: SocketAddr = to.parse().unwrap();
    let socket = netns
        .run(|| Socket::new(Domain::for_address(to), Type::STREAM, None))
        .unwrap()?;
    if let Some(mark) = mark {
        socket.set_mark(mark)?;
    }
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect_timeout(&to.into(), DEADLINE)?;
    Ok(socket.into())
}

fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let deadline = net::clock::now() + DEADLINE;
    listener.set_nonblocking(true).unwrap();
    loop {
        match listener.accept() {
            Ok((stream, peer)) => {
                stream.set_nonblocking(false).unwrap();
                return (stream, net::socket::canonical(peer));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                assert!(
                    net::clock::now() < deadline,
                    "nothing came to {:?}",
                    listener.local_addr()
                );
                thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn no_connection_waits(listener: &TcpListener) {
    listener.set_nonblocking(true).unwrap();
    assert_eq!(
        listener.accept().map(drop).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
}

/// Proves that bytes go both ways.
fn exchange(one: &mut TcpStream, other: &mut TcpStream) {
    transfer(one, other);
    transfer(other, one);
}

fn transfer(from: &mut TcpStream, to: &mut TcpStream) {
    to.set_read_timeout(Some(DEADLINE)).unwrap();
    from.write_all(b"live").unwrap();
    let mut bytes = [0; 4];
    to.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"live");
}

#[test]
fn connections_go_where_the_table_of_this_module_says() {
    let Some(Cable { pod, peer }) = cable() else {
        return;
    };
    for (own, other, vip, probe) in [
        ("10.9.9.1", "10.9.9.2", "10.96.0.1", PROBE_V4.to_string()),
        ("[fd09::1]", "[fd09::2]", "[fd96::1]", PROBE_V6.to_string()),
    ] {
        let app = listen(&pod, &format!("{own}:80"));
        let server = listen(&peer, &format!("{other}:80"));
        let (to_app, to_server) = (format!("{own}:80"), format!("{other}:80"));
        let client: IpAddr = other.trim_matches(['[', ']']).parse().unwrap();

        // Older than the rules, in both directions.
        let mut old_out = connect(&pod, None, &to_server, None).unwrap();
        let (mut old_out_end, _) = accept(&server);
        let mut old_in = connect(&peer, None, &to_app, None).unwrap();
        let (mut old_in_end, _) = accept(&app);
        exchange(&mut old_out, &mut old_out_end);

        apply(&pod, &settings(false)).unwrap();
        let outbound = listen(&pod, "[::]:15001");
        let plaintext = listen(&pod, "[::]:15006");
        let tunnels = listen(&pod, "[::]:15008");
        exchange(&mut old_out, &mut old_out_end);
        exchange(&mut old_in, &mut old_in_end);
        no_connection_waits(&outbound);
        no_connection_waits(&plaintext);

        // Out: to a pod and to a VIP.
        for to in [to_server.clone(), format!("{vip}:443")] {
            let mut from_app = connect(&pod, None, &to, None).unwrap();
            let (mut captured, _) = accept(&outbound);
            assert_eq!(original_destination(&captured).unwrap().to_string(), to);
            exchange(&mut from_app, &mut captured);
        }
        // Out, by ztunnel itself.
        let mut ours = connect(&pod, None, &to_server, Some(0x539)).unwrap();
        exchange(&mut ours, &mut accept(&server).0);
        // To itself.
        let mut own_call = connect(&pod, None, &to_app, None).unwrap();
        exchange(&mut own_call, &mut accept(&app).0);
        // In: plain, a tunnel, a probe.
        let mut from_peer = connect(&peer, None, &to_app, None).unwrap();
        let (mut captured, from) = accept(&plaintext);
        assert_eq!(
            (
                original_destination(&captured).unwrap().to_string(),
                from.ip()
            ),
            (to_app.clone(), client)
        );
        exchange(&mut from_peer, &mut captured);
        let mut tunnel = connect(&peer, None, &format!("{own}:15008"), None).unwrap();
        exchange(&mut tunnel, &mut accept(&tunnels).0);
        let mut kubelet = connect(&peer, Some(probe.parse().unwrap()), &to_app, None).unwrap();
        exchange(&mut kubelet, &mut accept(&app).0);
        // Delivery with the client's address.
        let mut delivered = deliver(&pod, client, &to_app);
        let (mut seen, from) = accept(&app);
        assert_eq!(from.ip(), client);
        exchange(&mut delivered, &mut seen);
        no_connection_waits(&outbound);
        no_connection_waits(&plaintext);

        remove(&pod).unwrap();
        exchange(&mut old_out, &mut old_out_end);
        exchange(&mut old_in, &mut old_in_end);
        let mut direct = connect(&pod, None, &to_server, None).unwrap();
        exchange(&mut direct, &mut accept(&server).0);
    }
}

fn deliver(pod: &Netns, client: IpAddr, to: &str) -> TcpStream {
    let options = Options {
        mark: NonZeroU32::new(0x539).unwrap(),
        keepalive: None,
        user_timeout: false,
        timeout_connect: DEADLINE,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = SocketAddr::new(client, 40_000);
    let to = to.parse().unwrap();
    let stream = runtime
        .block_on(connect_as(
            pod,
            client,
            to,
            &SpoofedPorts::default(),
            &options,
        ))
        .unwrap();
    let stream = runtime.block_on(async { stream.into_std() }).unwrap();
    stream.set_nonblocking(false).unwrap();
    stream
}

#[test]
fn dns_goes_to_the_proxy_and_the_proxys_own_goes_out() {
    let Some(Cable { pod, peer }) = cable() else {
        return;
    };
    apply(&pod, &settings(true)).unwrap();
    for (loopback, server) in [("127.0.0.1", "10.9.9.2:53"), ("[::1]", "[fd09::2]:53")] {
        let udp = |netns: &Netns, address: &str| {
            let socket = netns.run(|| UdpSocket::bind(address)).unwrap().unwrap();
            socket.set_read_timeout(Some(DEADLINE)).unwrap();
            socket
        };
        let any = if loopback == "127.0.0.1" {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let proxy = udp(&pod, &format!("{loopback}:15053"));
        let upstream = udp(&peer, server);
        let app = udp(&pod, any);
        app.connect(server).unwrap();
        let forwarder = udp(&pod, any);
        socket2::SockRef::from(&forwarder).set_mark(0x539).unwrap();
        forwarder.connect(server).unwrap();

        let mut bytes = [0; 16];
        app.send(b"query").unwrap();
        let (length, from_app) = proxy.recv_from(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"query");
        forwarder.send(b"forwarded").unwrap();
        let (length, from_proxy) = upstream.recv_from(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"forwarded");
        upstream.send_to(b"upstream", from_proxy).unwrap();
        let length = forwarder.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"upstream");
        proxy.send_to(b"answer", from_app).unwrap();
        // Connected: it takes answers from the server that it asked, and from no other address.
        let length = app.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"answer");

        let proxy = listen(&pod, &format!("{loopback}:15053"));
        let mut app = connect(&pod, None, server, None).unwrap();
        exchange(&mut app, &mut accept(&proxy).0);
    }
}
