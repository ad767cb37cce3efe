//! Names over real sockets: who is asked, how often, and what is remembered.

use std::{
    net::{SocketAddr, TcpListener as StdListener, UdpSocket as StdUdp},
    pin::pin,
};

use futures_util::{future::join_all, stream::FuturesUnordered};
use hickory_proto::rr::{
    RData, Record,
    rdata::{A, AAAA, SOA},
};
use tokio::{
    net::{TcpListener, UdpSocket},
    time::timeout,
};

use super::*;
use crate::dns::{
    ResolvConf,
    forward::{read_message, write_message},
};

/// Longer than any lookup may take.
const DEADLINE: Duration = Duration::from_secs(20);
const FOUR: &str = "192.0.2.7";
const SIX: &str = "2001:db8::7";

type Seen = Arc<Mutex<Vec<(String, RecordType)>>>;

/// A server that answers each query over UDP, unless `script` is silent.
async fn server(
    script: impl Fn(&Message) -> Option<Message> + Send + 'static,
) -> (SocketAddr, Seen) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (address, serve(socket, script))
}

fn serve(socket: UdpSocket, script: impl Fn(&Message) -> Option<Message> + Send + 'static) -> Seen {
    let seen = Seen::default();
    let record = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut bytes = vec![0; 65_535];
        loop {
            let (length, peer) = socket.recv_from(&mut bytes).await.unwrap();
            let query = Message::from_vec(&bytes[..length]).unwrap();
            let question = &query.queries[0];
            record
                .lock()
                .push((question.name.to_string(), question.query_type));
            if let Some(reply) = script(&query) {
                socket
                    .send_to(&reply.to_vec().unwrap(), peer)
                    .await
                    .unwrap();
            }
        }
    });
    seen
}

fn resolver(servers: &[SocketAddr], ipv6: bool) -> Resolver {
    let upstream = Upstream {
        netns: None,
        mark: None,
        servers: Arc::new(ResolvConf::fixed(servers.to_vec())),
    };
    Resolver::new(upstream, ipv6)
}

/// An answer that gives every name one address of the family that is asked for.
fn both(query: &Message) -> Message {
    let question = query.queries[0].clone();
    let data = if asks(query, RecordType::A) {
        RData::A(A(FOUR.parse().unwrap()))
    } else {
        RData::AAAA(AAAA(SIX.parse().unwrap()))
    };
    let mut reply = empty(query);
    reply.answers = vec![Record::from_rdata(question.name, 60, data)];
    reply
}

fn empty(query: &Message) -> Message {
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.add_query(query.queries[0].clone());
    reply
}

fn failed(query: &Message) -> Message {
    let mut reply = empty(query);
    reply.metadata.response_code = ResponseCode::ServFail;
    reply
}

fn asks(query: &Message, kind: RecordType) -> bool {
    query.queries[0].query_type == kind
}

fn host() -> Hostname {
    "db.example.com".into()
}

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|ip| ip.parse().unwrap()).collect()
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(DEADLINE, work).await.expect("too slow")
}

async fn four(resolver: &Resolver) -> Result<Vec<IpAddr>, LookupError> {
    let addresses = within(resolver.ask(&host(), Family::Ipv4)).await?;
    Ok(addresses.ips.to_vec())
}

async fn resolve(resolver: &Resolver, families: &[Family]) -> Result<Vec<IpAddr>, LookupError> {
    let found = within(resolver.resolve(&host(), families.iter().copied())).await?;
    Ok(found.to_vec())
}

/// Lets everything that is known expire.
fn expire(resolver: &Resolver) {
    let now = net::clock::now();
    for entry in resolver.entries.lock().values_mut() {
        if let Entry::Known(addresses) = entry {
            addresses.until = now;
        }
    }
}

#[tokio::test]
async fn a_name_is_asked_for_once_as_long_as_its_answer_holds() {
    let (upstream, seen) = server(|query| Some(both(query))).await;
    let resolver = resolver(&[upstream], true);
    for _ in 0..3 {
        assert_eq!(four(&resolver).await.unwrap(), ips(&[FOUR]));
    }
    let asked = ("db.example.com.".to_owned(), RecordType::A);
    assert_eq!(*seen.lock(), std::slice::from_ref(&asked));
    expire(&resolver);
    assert_eq!(four(&resolver).await.unwrap(), ips(&[FOUR]));
    assert_eq!(*seen.lock(), [asked.clone(), asked]);
}

#[tokio::test]
async fn those_who_ask_at_once_share_one_query() {
    let (upstream, seen) = server(|query| Some(both(query))).await;
    let resolver = resolver(&[upstream], true);
    for answer in join_all((0..50).map(|_| four(&resolver))).await {
        assert_eq!(answer.unwrap(), ips(&[FOUR]));
    }
    assert_eq!(seen.lock().len(), 1);
}

#[tokio::test]
async fn a_query_ends_with_the_last_who_waits_for_it() {
    let (upstream, _) = server(|query| Some(both(query))).await;
    let resolver = resolver(&[upstream], true);
    let name = host();
    let is_asked = || {
        let entries = resolver.entries.lock();
        match entries.get(&(host(), Family::Ipv4)) {
            Some(Entry::Asked(asked)) => asked.upgrade().is_some(),
            Some(Entry::Known(_)) | None => false,
        }
    };
    {
        let mut first = pin!(resolver.ask(&name, Family::Ipv4));
        assert!(first.as_mut().now_or_never().is_none());
        {
            let mut second = pin!(resolver.ask(&name, Family::Ipv4));
            assert!(second.as_mut().now_or_never().is_none());
        }
        assert!(is_asked());
    }
    assert!(!is_asked());
    // Whoever comes next is not left waiting for it.
    assert_eq!(four(&resolver).await.unwrap(), ips(&[FOUR]));
}

#[tokio::test]
async fn a_failure_is_told_and_not_kept() {
    let failing = Arc::new(Mutex::new(true));
    let switch = Arc::clone(&failing);
    let (upstream, _) = server(move |query| {
        Some(if *switch.lock() {
            failed(query)
        } else {
            both(query)
        })
    })
    .await;
    let resolver = resolver(&[upstream], true);
    let answer = four(&resolver).await;
    assert!(
        matches!(
            answer,
            Err(LookupError::Failed {
                code: ResponseCode::ServFail,
                ..
            })
        ),
        "{answer:?}"
    );
    *failing.lock() = false;
    assert_eq!(four(&resolver).await.unwrap(), ips(&[FOUR]));
}

#[tokio::test]
async fn without_a_server_it_is_said_so() {
    let answer = four(&resolver(&[], true)).await;
    assert_eq!(
        answer.unwrap_err().to_string(),
        "dns lookup of db.example.com: no upstream server is known"
    );
    let closed = StdUdp::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let answer = four(&resolver(&[closed], true)).await;
    assert!(
        matches!(answer, Err(LookupError::Unanswered { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn that_there_is_no_such_name_is_remembered_where_the_zone_says_so() {
    for (with_zone, queries) in [(true, 1), (false, 2)] {
        let (upstream, seen) = server(move |query| {
            let mut reply = empty(query);
            reply.metadata.response_code = ResponseCode::NXDomain;
            if with_zone {
                let name = query.queries[0].name.clone();
                let soa = SOA::new(name.clone(), name.clone(), 1, 2, 3, 4, 20);
                reply.authorities = vec![Record::from_rdata(name, 20, RData::SOA(soa))];
            }
            Some(reply)
        })
        .await;
        let resolver = resolver(&[upstream], true);
        for _ in 0..2 {
            assert_eq!(four(&resolver).await.unwrap(), ips(&[]));
        }
        assert_eq!(seen.lock().len(), queries);
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_asked_for_over_tcp() {
    let (udp, tcp) = (0..100)
        .find_map(|_| {
            let udp = StdUdp::bind("127.0.0.1:0").unwrap();
            let tcp = StdListener::bind(udp.local_addr().unwrap()).ok()?;
            Some((udp, tcp))
        })
        .expect("a port that is free for both");
    let address = udp.local_addr().unwrap();
    udp.set_nonblocking(true).unwrap();
    tcp.set_nonblocking(true).unwrap();
    let seen = serve(UdpSocket::from_std(udp).unwrap(), |query| {
        let mut reply = empty(query);
        reply.metadata.truncation = true;
        Some(reply)
    });
    let listener = TcpListener::from_std(tcp).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let query = read_message(&mut stream).await.unwrap().unwrap();
        let reply = both(&Message::from_vec(&query).unwrap());
        write_message(&mut stream, &reply.to_vec().unwrap())
            .await
            .unwrap();
    });
    assert_eq!(
        four(&resolver(&[address], true)).await.unwrap(),
        ips(&[FOUR])
    );
    assert_eq!(seen.lock().len(), 1);
}

#[tokio::test]
async fn the_first_family_does_not_wait_for_the_second() {
    let (upstream, _) = server(|query| asks(query, RecordType::A).then(|| both(query))).await;
    let resolver = resolver(&[upstream], true);
    let families = [Family::Ipv4, Family::Ipv6];
    let name = host();
    let asked = resolver.resolve(&name, families.into_iter());
    // The server never answers for IPv6; its silence would last five seconds.
    let found = timeout(Duration::from_secs(4), asked).await;
    assert_eq!(found.expect("at once").unwrap().to_vec(), ips(&[FOUR]));
}

#[tokio::test]
async fn the_second_family_steps_in_where_the_first_has_nothing_or_fails() {
    for empty_first in [true, false] {
        let (upstream, seen) = server(move |query| {
            Some(if asks(query, RecordType::A) {
                both(query)
            } else if empty_first {
                empty(query)
            } else {
                failed(query)
            })
        })
        .await;
        let resolver = resolver(&[upstream], true);
        let found = resolve(&resolver, &[Family::Ipv6, Family::Ipv4]).await;
        assert_eq!(found.unwrap(), ips(&[FOUR]));
        assert!(seen.lock().len() >= 2);
        // Alone, it counts as it is.
        let alone = resolve(&resolver, &[Family::Ipv6]).await;
        assert_eq!(alone.is_ok(), empty_first, "{alone:?}");
    }
}

#[tokio::test]
async fn nothing_is_certain_only_where_both_families_say_so() {
    let (upstream, _) = server(|query| {
        Some(if asks(query, RecordType::A) {
            empty(query)
        } else {
            failed(query)
        })
    })
    .await;
    let resolver = resolver(&[upstream], true);
    for families in [[Family::Ipv4, Family::Ipv6], [Family::Ipv6, Family::Ipv4]] {
        let found = resolve(&resolver, &families).await;
        assert!(
            matches!(found, Err(LookupError::Failed { .. })),
            "{found:?}"
        );
    }
    assert_eq!(resolve(&resolver, &[Family::Ipv4]).await.unwrap(), ips(&[]));
}

#[tokio::test]
async fn without_ipv6_nobody_asks_for_it() {
    let (upstream, seen) = server(|query| Some(both(query))).await;
    let resolver = resolver(&[upstream], false);
    let found = resolve(&resolver, &[Family::Ipv6, Family::Ipv4]).await;
    assert_eq!(found.unwrap(), ips(&[FOUR]));
    assert_eq!(resolve(&resolver, &[Family::Ipv6]).await.unwrap(), ips(&[]));
    assert_eq!(seen.lock().len(), 1);
}

#[tokio::test]
async fn what_is_no_domain_name_is_not_asked_for() {
    let (upstream, seen) = server(|query| Some(both(query))).await;
    let resolver = resolver(&[upstream], true);
    for text in ["", ".", "a..b", &"a".repeat(64), &"a.".repeat(200)] {
        let answer = within(resolver.ask(&text.into(), Family::Ipv4)).await;
        assert!(
            matches!(answer, Err(LookupError::NotAName { .. })),
            "{text}: {answer:?}"
        );
    }
    assert!(seen.lock().is_empty());
}

#[tokio::test]
async fn names_beyond_the_limit_are_refused_until_there_is_room() {
    let (upstream, _) = server(|_| None).await;
    let resolver = resolver(&[upstream], true);
    let names: Vec<Hostname> = (0..MAX_LOOKUPS)
        .map(|number| format!("n{number}.example.com").into())
        .collect();
    let mut asked: FuturesUnordered<_> = names
        .iter()
        .map(|name| resolver.ask(name, Family::Ipv4))
        .collect();
    let mut next = pin!(futures_util::StreamExt::next(&mut asked));
    assert!(next.as_mut().now_or_never().is_none());
    let answer = within(resolver.ask(&host(), Family::Ipv4)).await;
    assert!(
        matches!(answer, Err(LookupError::TooMany { .. })),
        "{answer:?}"
    );
    // One that is being resolved may be waited for.
    let mut again = pin!(resolver.ask(&names[0], Family::Ipv4));
    assert!(again.as_mut().now_or_never().is_none());
}

#[tokio::test]
async fn what_expires_first_makes_room() {
    let (upstream, _) = server(|query| Some(both(query))).await;
    let resolver = resolver(&[upstream], true);
    let now = net::clock::now();
    let name = |number: usize| Hostname::from(format!("n{number}.example.com"));
    for number in 0..MAX_NAMES {
        let known = Addresses {
            ips: Arc::default(),
            until: now + Duration::from_secs(1000 + u64::try_from(number).unwrap()),
        };
        let key = (name(number), Family::Ipv4);
        resolver.entries.lock().insert(key, Entry::Known(known));
    }
    assert_eq!(four(&resolver).await.unwrap(), ips(&[FOUR]));
    let entries = resolver.entries.lock();
    assert_eq!(entries.len(), MAX_NAMES);
    assert!(!entries.contains_key(&(name(0), Family::Ipv4)));
    assert!(entries.contains_key(&(name(1), Family::Ipv4)));
    assert!(entries.contains_key(&(host(), Family::Ipv4)));
}
