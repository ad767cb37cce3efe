//! Where connections go that meet the rules: two namespaces and a cable between them. Without root these say `skipped` and why.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
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
    namespace::{inside, namespace},
    *,
};

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(5);

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
