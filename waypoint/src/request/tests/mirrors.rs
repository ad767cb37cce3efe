//! Copies of requests.

use http::Version;
use http_body_util::BodyExt as _;
use mesh::{
    Resource, Service, ServiceKey, Workload,
    route::{Backend, HttpRule, Mirror, Share},
    service::PortMap,
};
use tokio::sync::mpsc;

use super::kit::*;

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
