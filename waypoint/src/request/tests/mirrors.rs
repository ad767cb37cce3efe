//! Copies of requests.

use http::Version;
use http_body_util::BodyExt as _;
use mesh::{
    Resource, Service, ServiceKey, Workload,
    access::Policies,
    route::{Backend, HttpRule, Mirror, RouteTable, Share},
    service::{AppProtocol, PortMap},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};

use super::kit::*;
use crate::access::testkit::{deny, header, path};

const OTHER: &str = "shadow.default.svc.cluster.local";

fn mirrored(share: Share) -> HttpRule {
    HttpRule {
        mirrors: vec![Mirror {
            backend: Backend::new(ServiceKey::new("default", OTHER), 80),
            share,
            shadow_host: true,
        }],
        ..forward()
    }
}

fn other(address: std::net::SocketAddr) -> Vec<Resource> {
    let key = ServiceKey::new("default", OTHER);
    let ports = |port| PortMap([(80, port)].into());
    vec![
        Resource::Service(std::sync::Arc::new(Service {
            name: "shadow".into(),
            namespace: "default".into(),
            hostname: OTHER.into(),
            ports: ports(None),
            ..Service::default()
        })),
        Resource::Workload(std::sync::Arc::new(Workload {
            uid: "Kubernetes//Pod/default/shadow-1".into(),
            name: "shadow-1".into(),
            namespace: "default".into(),
            ips: vec![address.ip()],
            services: [(key, ports(std::num::NonZeroU16::new(address.port())))].into(),
            ..Workload::default()
        })),
    ]
}

#[tokio::test]
async fn a_copy_has_the_head_and_the_body_of_its_request() {
    let (seen, mut copies) = mpsc::unbounded_channel();
    let shadow = backend(Version::HTTP_11, move |request| {
        let seen = seen.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            seen.send((head, body)).unwrap();
            Ok(status(500))
        }
    })
    .await;
    let address = backend(Version::HTTP_11, |request| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "payload");
        Ok(text("ok"))
    })
    .await;
    let kit = Kit::new(
        &[address],
        Plan {
            table: Some(table(vec![mirrored(Share::ALL)])),
            ..Plan::default()
        },
    );
    kit.publish(other(shadow));
    let answered = kit.ask(post("/x?y=1", "payload")).await;
    assert_eq!((answered.status(), &*answered.body), (200, "ok"));
    let copy = tokio::time::timeout(PATIENCE, copies.recv()).await;
    let (head, body) = copy.unwrap().unwrap();
    assert_eq!(body, "payload");
    assert_eq!(head.headers["host"], "reviews-shadow:80");
    assert_eq!(head.uri, "/x?y=1");
    assert_eq!(kit.lines().len(), 1, "a copy has no line of its own");
}

#[tokio::test]
async fn a_mirror_that_hangs_or_is_not_there_holds_nobody_up() {
    let shadow = backend(Version::HTTP_11, |_| std::future::pending()).await;
    let address = backend(Version::HTTP_11, |_| async { Ok(text("ok")) }).await;
    let plan = || Plan {
        table: Some(table(vec![mirrored(Share::ALL)])),
        ..Plan::default()
    };
    let kit = Kit::new(&[address], plan());
    assert_eq!(kit.ask(post("/", "x")).await.body, "ok");
    kit.publish(other(shadow));
    assert_eq!(kit.ask(post("/", "x")).await.body, "ok");
}

#[tokio::test]
async fn a_share_of_none_copies_nothing() {
    let calls = Calls::default();
    let count = calls.clone();
    let shadow = backend(Version::HTTP_11, move |_| {
        count.next();
        async { Ok(text("")) }
    })
    .await;
    let address = backend(Version::HTTP_11, |_| async { Ok(text("ok")) }).await;
    let rules = vec![mirrored(Share::NONE)];
    let kit = Kit::new(
        &[address],
        Plan {
            table: Some(table(rules)),
            ..Plan::default()
        },
    );
    kit.publish(other(shadow));
    for _ in 0..10 {
        assert_eq!(kit.ask(get("/")).await.body, "ok");
    }
    assert_eq!(calls.count(), 0);
}

/// What a copy's backend has got of a body that is longer than anybody sends ahead, once policies have changed.
async fn copied(now: Policies, is_cut: bool) -> Result<usize, usize> {
    let (heads, mut seen) = mpsc::unbounded_channel();
    let (go, may_go) = watch::channel(false);
    let (said, mut says) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shadow = listener.local_addr().unwrap();
    tokio::spawn(async move {
        // An engine that lets a stream send 64 KiB ahead.
        let (tcp, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(tcp).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            heads.send(respond).unwrap();
            let (mut may_go, said) = (may_go.clone(), said.clone());
            tokio::spawn(async move {
                may_go.wait_for(|go| *go).await.unwrap();
                said.send(read(request.into_body()).await).unwrap();
            });
        }
    });
    let address = backend(Version::HTTP_11, |request| async {
        request.into_body().collect().await.unwrap();
        Ok(text("ok"))
    })
    .await;
    let under = |policies| RouteTable {
        policies,
        ..table(vec![mirrored(Share::ALL)])
    };
    let plan = Plan {
        table: Some(under(Policies::default())),
        ..Plan::default()
    };
    let kit = Kit::new(&[address], plan);
    let mut others = other(shadow);
    for resource in &mut others {
        if let Resource::Service(service) = resource {
            let service = std::sync::Arc::get_mut(service).unwrap();
            service.protocols.push((80, AppProtocol::Http2));
        }
    }
    kit.publish(others);
    let mut request = post("/mirrored", vec![b'x'; LENGTH]);
    request
        .headers_mut()
        .insert("x-who", "alice".parse().unwrap());
    assert_eq!(kit.ask(request).await.body, "ok");
    let _respond = tokio::time::timeout(PATIENCE, seen.recv()).await.unwrap();
    let now = std::sync::Arc::new(under(now));
    kit.turn(vec![Resource::RouteTable(now)]);
    if is_cut {
        let gone = async {
            while kit.session.flips.waiting() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.unwrap();
    }
    go.send(true).unwrap();
    let said = tokio::time::timeout(PATIENCE, says.recv()).await;
    said.unwrap().unwrap()
}

/// How long a body is that comes to its end, or how much of it came before it broke off.
async fn read(mut body: h2::RecvStream) -> Result<usize, usize> {
    let mut length = 0;
    while let Some(data) = body.data().await {
        let Ok(data) = data else {
            return Err(length);
        };
        length += data.len();
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    Ok(length)
}

/// More than a stream's window, and less than a copy may be behind.
const LENGTH: usize = 500 * 1024;

#[tokio::test]
async fn a_copy_that_is_under_way_is_cut_when_policies_deny_its_request() {
    for denied in [path("/mirrored"), header("x-who", "alice")] {
        let got = copied(deny(vec![denied]), true).await;
        let got = got.expect_err("the body has come to its end");
        assert!(got < LENGTH, "{got}");
    }
}

#[tokio::test]
async fn a_copy_goes_on_where_policies_let_its_request_go_on() {
    // By headers, too, that nobody looked at before: the copy still has them.
    for denied in [path("/other"), header("x-who", "bob")] {
        assert_eq!(copied(deny(vec![denied]), false).await, Ok(LENGTH));
    }
}
