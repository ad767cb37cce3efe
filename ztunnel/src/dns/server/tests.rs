//! Queries and answers over real sockets.

use std::{
    net::{Ipv4Addr, TcpListener as StdListener, UdpSocket as StdUdp},
    str::FromStr as _,
    sync::Mutex,
};

use control::Publisher;
use hickory_proto::{
    op::{Edns, Message, Query, ResponseCode},
    rr::{Name, RData, RecordType, rdata::A},
};
use mesh::{
    Service,
    delta::{Delta, Resource},
    service::{NetworkAddress, PortMap},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
};

use super::*;
use crate::dns::ResolvConf;

mod upstream;

const LOCALHOST: &str = "127.0.0.1:0";
/// Longer than any query may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A server that runs, and how to reach it.
struct Running {
    udp: SocketAddr,
    tcp: SocketAddr,
    events: Arc<Mutex<Vec<Event>>>,
    task: JoinHandle<()>,
    // Kept, because a view outlives its publisher only in name.
    _publisher: Publisher,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn start(upstreams: Vec<SocketAddr>) -> Running {
    let publisher = Publisher::new();
    let vips = |count: u8| {
        (0..count).map(|last| NetworkAddress {
            network: "".into(),
            ip: Ipv4Addr::new(10, 96, 0, last).into(),
            prefix_length: None,
        })
    };
    let service = |hostname: &str, count| {
        Resource::Service(Arc::new(Service {
            namespace: "shop".into(),
            hostname: hostname.into(),
            vips: vips(count).collect(),
            ..Service::default()
        }))
    };
    let outside = |name: &str| {
        let key = mesh::ServiceKey::new("shop", "db.shop.svc.cluster.local");
        Resource::Workload(Arc::new(mesh::Workload {
            uid: name.into(),
            hostname: format!("{name}.example.org").as_str().into(),
            services: [(key, PortMap::default())].into(),
            ..mesh::Workload::default()
        }))
    };
    publisher.publish(Delta {
        upserts: vec![
            service("cart.shop.svc.cluster.local", 1),
            service("large.shop.svc.cluster.local", 100),
            service("db.shop.svc.cluster.local", 0),
            outside("one"),
            outside("two"),
        ],
        removals: Vec::new(),
    });
    let udp = StdUdp::bind(LOCALHOST).unwrap();
    let tcp = StdListener::bind(LOCALHOST).unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&events);
    let upstream = Upstream {
        netns: None,
        mark: None,
        servers: Arc::new(ResolvConf::fixed(upstreams)),
    };
    let server = Server {
        zone: Arc::new(Zone {
            domain: "cluster.local".to_owned(),
            preferred_namespace: None,
            ipv6: true,
        }),
        client: Client {
            namespace: "shop".into(),
            network: "".into(),
        },
        view: publisher.view(),
        resolver: Arc::new(Resolver::new(upstream.clone(), true)),
        upstream,
        observer: Some(Arc::new(move |event| recorded.lock().unwrap().push(event))),
    };
    let addresses = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
    let sockets = Sockets {
        udp: vec![udp],
        tcp: vec![tcp],
    };
    let task = tokio::spawn(async move {
        match serve(server, sockets).await {
            Ok(never) => match never {},
            Err(error) => panic!("{error}"),
        }
    });
    Running {
        udp: addresses.0,
        tcp: addresses.1,
        events,
        task,
        _publisher: publisher,
    }
}

fn query(name: &str, edns: Option<u16>) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_str(name).unwrap(), RecordType::A));
    if let Some(size) = edns {
        let mut edns = Edns::new();
        edns.set_max_payload(size);
        message.set_edns(edns);
    }
    message
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(DEADLINE, work).await.expect("too slow")
}

async fn exchange_udp(server: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind(LOCALHOST).await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(bytes).await.unwrap();
    let mut reply = vec![0; 65_535];
    let length = within(socket.recv(&mut reply)).await.unwrap();
    reply.truncate(length);
    reply
}

async fn ask_udp(server: SocketAddr, query: &Message) -> Message {
    Message::from_vec(&exchange_udp(server, &query.to_vec().unwrap()).await).unwrap()
}

async fn exchange_tcp(stream: &mut TcpStream, bytes: &[u8]) -> Option<Vec<u8>> {
    write_message(stream, bytes).await.unwrap();
    within(read_message(stream)).await.unwrap()
}

async fn ask_tcp(stream: &mut TcpStream, query: &Message) -> Message {
    Message::from_vec(
        &exchange_tcp(stream, &query.to_vec().unwrap())
            .await
            .unwrap(),
    )
    .unwrap()
}

fn addresses(message: &Message) -> Vec<String> {
    message
        .answers
        .iter()
        .map(|record| record.data.to_string())
        .collect()
}

/// What an upstream says to a query: `addresses` of the question's name.
fn answered(query: &Message, addresses: &[[u8; 4]]) -> Message {
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    let question = query.queries[0].clone();
    reply.add_answers(
        addresses
            .iter()
            .map(|&ip| Record::from_rdata(question.name.clone(), 7, RData::A(A(ip.into())))),
    );
    reply.add_query(question);
    reply
}

fn failed(query: &Message, code: ResponseCode) -> Message {
    let mut reply = answered(query, &[]);
    reply.metadata.response_code = code;
    reply
}

/// An upstream over UDP that answers each query with all messages that `script` makes of it.
async fn udp_upstream(
    script: impl Fn(&Message) -> Vec<Message> + Send + 'static,
) -> (SocketAddr, Arc<Mutex<Vec<Message>>>) {
    let socket = UdpSocket::bind(LOCALHOST).await.unwrap();
    let address = socket.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut bytes = vec![0; 65_535];
        loop {
            let (length, peer) = socket.recv_from(&mut bytes).await.unwrap();
            let query = Message::from_vec(&bytes[..length]).unwrap();
            let replies = script(&query);
            record.lock().unwrap().push(query);
            for reply in replies {
                socket
                    .send_to(&reply.to_vec().unwrap(), peer)
                    .await
                    .unwrap();
            }
        }
    });
    (address, seen)
}

/// An address on which nothing listens.
fn closed() -> SocketAddr {
    StdUdp::bind(LOCALHOST).unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn names_of_the_mesh_are_answered_over_udp_and_tcp() {
    let running = start(vec![]);
    let asked = query("cart.", None);
    let mut stream = TcpStream::connect(running.tcp).await.unwrap();
    for answer in [
        ask_udp(running.udp, &asked).await,
        ask_tcp(&mut stream, &asked).await,
    ] {
        assert_eq!(answer.metadata.id, asked.metadata.id);
        assert!(answer.metadata.authoritative);
        assert_eq!(addresses(&answer), ["10.96.0.0"]);
    }
    assert_eq!(
        *running.events.lock().unwrap(),
        [Event::Request, Event::Request]
    );
}

#[tokio::test]
async fn a_name_that_stands_for_others_is_answered_with_their_addresses() {
    let (upstream, seen) = udp_upstream(|query| {
        let last = if query.queries[0].name.to_string() == "one.example.org." {
            1
        } else {
            2
        };
        vec![answered(query, &[[192, 0, 2, last]])]
    })
    .await;
    let running = start(vec![upstream]);
    let mut stream = TcpStream::connect(running.tcp).await.unwrap();
    let asked = query("db.", None);
    for answer in [
        ask_udp(running.udp, &asked).await,
        ask_tcp(&mut stream, &asked).await,
    ] {
        assert_eq!(answer.metadata.id, asked.metadata.id);
        assert!(answer.metadata.authoritative);
        let mut addresses = addresses(&answer);
        addresses.sort();
        assert_eq!(addresses, ["192.0.2.1", "192.0.2.2"]);
        // No longer than the servers said.
        assert!(answer.answers.iter().all(|record| record.ttl <= 7));
    }
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_name_that_stands_for_others_is_answered_with_those_that_can_be_had() {
    let (upstream, _) = udp_upstream(|query| {
        vec![if query.queries[0].name.to_string() == "one.example.org." {
            failed(query, ResponseCode::ServFail)
        } else {
            answered(query, &[[192, 0, 2, 2]])
        }]
    })
    .await;
    let running = start(vec![upstream]);
    let answer = ask_udp(running.udp, &query("db.", None)).await;
    assert_eq!(addresses(&answer), ["192.0.2.2"]);
    let (failing, _) = udp_upstream(|query| vec![failed(query, ResponseCode::Refused)]).await;
    let running = start(vec![failing]);
    let answer = ask_udp(running.udp, &query("db.", None)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn a_long_answer_is_cut_over_udp_and_whole_over_tcp() {
    let running = start(vec![]);
    let plain = ask_udp(running.udp, &query("large.", None)).await;
    assert!(plain.metadata.truncation);
    assert!((1..100).contains(&plain.answers.len()));
    let roomy = ask_udp(running.udp, &query("large.", Some(4096))).await;
    assert_eq!(
        (roomy.metadata.truncation, roomy.answers.len()),
        (false, 100)
    );
    let mut stream = TcpStream::connect(running.tcp).await.unwrap();
    let whole = ask_tcp(&mut stream, &query("large.", None)).await;
    assert_eq!(
        (whole.metadata.truncation, whole.answers.len()),
        (false, 100)
    );
}

#[tokio::test]
async fn queries_beyond_the_limit_fail_at_once() {
    let (silent, _) = udp_upstream(|_| Vec::new()).await;
    let running = start(vec![silent]);
    let socket = UdpSocket::bind(LOCALHOST).await.unwrap();
    socket.connect(running.udp).await.unwrap();
    let mut reply = [0; 512];
    let mut sent = 0;
    // One by one, so that no datagram is lost in a full buffer: each is seen before the next is sent.
    let refused = loop {
        assert!(sent <= MAX_IN_FLIGHT, "no limit");
        socket
            .send(&query("www.example.org.", None).to_vec().unwrap())
            .await
            .unwrap();
        sent += 1;
        let seen = || {
            running
                .events
                .lock()
                .unwrap()
                .iter()
                .filter(|event| **event == Event::Request)
                .count()
        };
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while seen() < sent {
            assert!(tokio::time::Instant::now() < deadline, "not seen");
            tokio::task::yield_now().await;
        }
        match timeout(
            Duration::from_millis(u64::from(sent > MAX_IN_FLIGHT) * 5000),
            socket.recv(&mut reply),
        )
        .await
        {
            Ok(length) => break Message::from_vec(&reply[..length.unwrap()]).unwrap(),
            Err(_nothing_yet) => {}
        }
    };
    assert_eq!(sent, MAX_IN_FLIGHT + 1);
    assert_eq!(refused.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn garbage_gets_format_errors_or_silence_and_changes_nothing() {
    let running = start(vec![]);
    let reply = Message::from_vec(
        &exchange_udp(running.udp, &[0xab, 0xcd, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7]).await,
    )
    .unwrap();
    assert_eq!(
        (reply.metadata.id, reply.metadata.response_code),
        (0xabcd, ResponseCode::FormErr)
    );
    let socket = UdpSocket::bind(LOCALHOST).await.unwrap();
    socket.connect(running.udp).await.unwrap();
    let mut generator = fastrand::Rng::with_seed(11);
    for length in 0..300 {
        let mut garbage: Vec<u8> = (0..length).map(|_| generator.u8(..)).collect();
        // A response, so that none of these is answered.
        if let Some(flags) = garbage.get_mut(2) {
            *flags |= 0x80;
        }
        socket.send(&garbage).await.unwrap();
    }
    assert_eq!(
        addresses(&ask_udp(running.udp, &query("cart.", None)).await),
        ["10.96.0.0"]
    );
    let mut nothing = [0; 1];
    assert_eq!(
        socket.try_recv(&mut nothing).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );

    let mut stream = TcpStream::connect(running.tcp).await.unwrap();
    let reply = Message::from_vec(
        &exchange_tcp(&mut stream, &[1, 2, 0, 0, 0, 0])
            .await
            .unwrap(),
    )
    .unwrap();
    assert_eq!(reply.metadata.response_code, ResponseCode::FormErr);
    assert_eq!(exchange_tcp(&mut stream, &[]).await, None);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_and_silent_ones_give_way() {
    let running = start(vec![]);
    let mut silent = Vec::new();
    for _ in 0..MAX_TCP_CONNECTIONS {
        silent.push(TcpStream::connect(running.tcp).await.unwrap());
    }
    let mut late = TcpStream::connect(running.tcp).await.unwrap();
    assert_eq!(
        addresses(&ask_tcp(&mut late, &query("cart.", None)).await),
        ["10.96.0.0"]
    );
    // It was served because the silent ones were closed.
    let mut byte = [0; 1];
    assert_eq!(within(silent[0].read(&mut byte)).await.unwrap(), 0);
}
