//! One stream from its request's head to its trailers, without a socket.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use prost::Message as _;
use tokio::sync::mpsc;
use tonic::{Code, Status};
use wire::proto::{
    ADDRESS_TYPE, AUTHORIZATION_TYPE,
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node},
};

use super::{
    Clients, Service,
    testkit::{self, List, ack, caller, nack, names, policy, puts, subscribe, workload, ztunnel},
};
use crate::{
    output::{Account, Output},
    publish::Publisher,
    serve::Connection,
};

mod announced;

struct Bench {
    publisher: Publisher,
    door: Arc<List>,
    clients: Arc<Clients>,
    service: Service,
    metrics: crate::metrics::Metrics,
    connection: Arc<Connection>,
}

/// A client's side of a stream.
struct Client {
    requests: mpsc::UnboundedSender<Bytes>,
    response: tonic::body::Body,
    buffer: BytesMut,
}

/// What comes next on a stream.
#[derive(Debug)]
enum Next {
    Response(DeltaDiscoveryResponse),
    End(Status),
    /// Reset, without a status.
    Cut,
}

impl Bench {
    fn new() -> Self {
        let publisher = Publisher::new();
        let door = Arc::new(List::default());
        door.add("node", ztunnel(Some("n1")), true);
        door.add("waypoint", caller("ns", "waypoint", None), false);
        let clients = Arc::new(Clients::default());
        let metrics = testkit::metrics();
        let service = Service::with_door(
            publisher.view(),
            Arc::<List>::clone(&door),
            metrics.clone(),
            Arc::clone(&clients),
        );
        let peer = SocketAddr::from(([10, 0, 0, 1], 4_000));
        Self {
            publisher,
            door,
            clients,
            service,
            metrics,
            connection: Arc::new(Connection::new(peer)),
        }
    }

    async fn open(&self, token: &str) -> Result<Client, Status> {
        let (requests, sent) = mpsc::unbounded_channel::<Bytes>();
        let body = StreamBody::new(Box::pin(stream::unfold(sent, |mut sent| async {
            let bytes = sent.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(bytes)), sent))
        })));
        let request = Request::post(super::PATH)
            .header("authorization", format!("Bearer {token}"))
            .body(body)
            .unwrap();
        let response: Response<_> = self
            .service
            .clone()
            .open(request, Arc::clone(&self.connection))
            .await;
        if let Some(status) = Status::from_header_map(response.headers()) {
            return Err(status);
        }
        assert_eq!(response.headers()["content-type"], "application/grpc");
        Ok(Client {
            requests,
            response: response.into_body(),
            buffer: BytesMut::new(),
        })
    }
}

impl Client {
    fn say(&self, request: &DeltaDiscoveryRequest) {
        let mut bytes = BytesMut::new();
        bytes.put_u8(0);
        bytes.put_u32(u32::try_from(request.encoded_len()).unwrap());
        request.encode(&mut bytes).unwrap();
        // Nobody listens to a client that has been cut off.
        drop(self.requests.send(bytes.freeze()));
    }

    async fn hear(&mut self) -> Next {
        loop {
            if let Some((head, rest)) = self.buffer.split_at_checked(5) {
                let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
                if rest.len() >= length {
                    let message = DeltaDiscoveryResponse::decode(&rest[..length]).unwrap();
                    self.buffer = self.buffer.split_off(5 + length);
                    return Next::Response(message);
                }
            }
            match self.response.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => return Next::End(trailers(frame.trailers_ref())),
                },
                Some(Err(_)) | None => return Next::Cut,
            }
        }
    }

    async fn response(&mut self) -> DeltaDiscoveryResponse {
        match self.hear().await {
            Next::Response(response) => response,
            other @ (Next::End(_) | Next::Cut) => panic!("{other:?}"),
        }
    }

    async fn end(&mut self) -> Status {
        match self.hear().await {
            Next::End(status) => status,
            other @ (Next::Response(_) | Next::Cut) => panic!("{other:?}"),
        }
    }

    /// Hears a response and acknowledges it.
    async fn take(&mut self) -> DeltaDiscoveryResponse {
        let response = self.response().await;
        self.say(&ack(&response));
        response
    }
}

fn trailers(headers: Option<&HeaderMap>) -> Status {
    Status::from_header_map(headers.unwrap()).unwrap()
}

#[tokio::test]
async fn nobody_without_a_token_is_let_in() {
    let bench = Bench::new();
    bench.publisher.apply(Output::default());
    let refused = bench.open("stolen").await.err().unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(refused.message(), "authentication failure");
    assert!(bench.clients.is_empty());
}

#[tokio::test]
async fn an_identity_that_is_neither_node_nor_waypoint_sees_nothing() {
    let bench = Bench::new();
    bench.publisher.apply(Output::default());
    let refused = bench.open("waypoint").await.err().unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn policies_come_before_what_they_protect_and_a_change_follows_at_once() {
    let bench = Bench::new();
    let mut client = bench.open("node").await.unwrap();
    client.say(&subscribe(ADDRESS_TYPE, &[]));
    client.say(&subscribe(AUTHORIZATION_TYPE, &[]));
    // Both requests are there before anything is published, or the order would be theirs.
    while bench.clients.json(&bench.publisher.view().load())[0]["resources"]
        .as_object()
        .is_none_or(|types| types.len() < 2)
    {
        tokio::task::yield_now().await;
    }
    bench.publisher.apply(puts([
        workload("a", [10, 0, 0, 1], "n1", &[]),
        policy("ns", "p", 0),
    ]));
    assert_eq!(names(&client.take().await).0, ["ns/p"]);
    assert_eq!(names(&client.take().await).0, ["a"]);
    bench.publisher.apply(puts([policy("ns", "p", 1)]));
    assert_eq!(names(&client.take().await).0, ["ns/p"]);
}

#[tokio::test]
async fn a_waypoint_sees_its_policies_until_it_is_none() {
    let bench = Bench::new();
    let account = Account {
        namespace: "ns".into(),
        name: "waypoint".into(),
    };
    let mut output = puts([
        policy("ns", "p", 0),
        policy("foreign", "p", 0),
        policy("istio-system", "p", 0),
    ]);
    output.waypoints = vec![(account.clone(), true)];
    bench.publisher.apply(output);
    let mut client = bench.open("waypoint").await.unwrap();
    client.say(&subscribe(AUTHORIZATION_TYPE, &[]));
    assert_eq!(names(&client.take().await).0, ["istio-system/p", "ns/p"]);
    bench.publisher.apply(Output {
        waypoints: vec![(account, false)],
        ..Output::default()
    });
    assert_eq!(client.end().await.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_waypoint_sees_the_root_namespace_as_configured_and_begins_anew_when_it_moves() {
    let bench = Bench::new();
    let mut output = puts([policy("istio-system", "p", 0), policy("root", "p", 0)]);
    output.waypoints = vec![(
        Account {
            namespace: "ns".into(),
            name: "waypoint".into(),
        },
        true,
    )];
    output.root_namespace = Some("root".to_owned());
    bench.publisher.apply(output);
    let mut client = bench.open("waypoint").await.unwrap();
    client.say(&subscribe(AUTHORIZATION_TYPE, &[]));
    assert_eq!(names(&client.take().await).0, ["root/p"]);
    let mut node = bench.open("node").await.unwrap();
    node.say(&subscribe(AUTHORIZATION_TYPE, &[]));
    node.take().await;
    bench.publisher.apply(Output {
        root_namespace: Some("istio-system".to_owned()),
        ..puts([policy("root", "q", 0)])
    });
    assert_eq!(client.end().await.code(), Code::Unavailable);
    // Who sees everything goes on.
    assert_eq!(names(&node.take().await).0, ["root/q"]);
}

#[tokio::test]
async fn lines_about_strangers_are_few() {
    let bench = Bench::new();
    for _ in 0..1_000 {
        assert!(bench.open("stolen").await.is_err());
    }
    let later = net::clock::now() + Duration::from_secs(3_600);
    let left_out = bench.service.quota.take(later);
    assert!(left_out.is_some_and(|lines| lines > 0), "{left_out:?}");
}

#[tokio::test]
async fn a_waypoint_that_comes_before_the_first_snapshot_waits_for_it() {
    let bench = Bench::new();
    let mut output = puts([policy("ns", "p", 0)]);
    output.waypoints = vec![(
        Account {
            namespace: "ns".into(),
            name: "waypoint".into(),
        },
        true,
    )];
    let (opened, _) = tokio::join!(bench.open("waypoint"), async {
        tokio::task::yield_now().await;
        bench.publisher.apply(output)
    });
    assert!(opened.is_ok());
}

#[tokio::test]
async fn a_type_that_is_not_served_is_answered_with_nothing() {
    let bench = Bench::new();
    bench.publisher.apply(Output::default());
    let mut client = bench.open("node").await.unwrap();
    client.say(&subscribe(
        "type.googleapis.com/istio.workload.Workload",
        &["x"],
    ));
    let response = client.take().await;
    assert_eq!(
        response.type_url,
        "type.googleapis.com/istio.workload.Workload"
    );
    assert_eq!(names(&response), (vec![], vec!["x"]));
    for index in 0..20 {
        client.say(&subscribe(&format!("type/{index}"), &[]));
    }
    let end = loop {
        match client.hear().await {
            Next::Response(_) => {}
            Next::End(status) => break status,
            Next::Cut => panic!("cut"),
        }
    };
    assert_eq!(end.code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_revoked_ends_the_stream() {
    let bench = Bench::new();
    bench.publisher.apply(Output::default());
    let mut client = bench.open("node").await.unwrap();
    client.say(&subscribe(ADDRESS_TYPE, &[]));
    client.take().await;
    bench.door.revoke("node");
    assert_eq!(client.end().await.code(), Code::Unauthenticated);
    assert!(bench.clients.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_ends_the_stream() {
    let bench = Bench::new();
    bench.publisher.apply(Output::default());
    let mut node = ztunnel(None);
    node.expires = Some(net::clock::wall() - Duration::from_secs(1));
    bench.door.add("old", node, true);
    let mut client = bench.open("old").await.unwrap();
    assert_eq!(client.end().await.code(), Code::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_acknowledge_is_cut_off() {
    let bench = Bench::new();
    bench.publisher.apply(Output::default());
    let mut client = bench.open("node").await.unwrap();
    client.say(&subscribe(ADDRESS_TYPE, &[]));
    client.response().await;
    let waited = tokio::time::Instant::now();
    bench.connection.was_cut().await;
    let waited = waited.elapsed();
    assert!(waited >= Duration::from_secs(50), "{waited:?}");
    assert!(matches!(client.hear().await, Next::Cut));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_cut_off() {
    let bench = Bench::new();
    bench.publisher.apply(puts(
        (0..3_000).map(|i| workload(&format!("w{i}"), [10, 0, 0, 1], "", &[])),
    ));
    let client = bench.open("node").await.unwrap();
    client.say(&subscribe(ADDRESS_TYPE, &[]));
    bench.connection.was_cut().await;
    drop(client);
}

#[tokio::test]
async fn a_connection_that_is_recycled_ends_its_streams() {
    let bench = Bench::new();
    bench.publisher.apply(Output::default());
    let mut client = bench.open("node").await.unwrap();
    client.say(&subscribe(ADDRESS_TYPE, &[]));
    client.take().await;
    bench.connection.drain();
    assert_eq!(client.end().await.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_client_that_ends_its_side_is_answered_well() {
    let bench = Bench::new();
    let Client {
        requests,
        response,
        buffer,
    } = bench.open("node").await.unwrap();
    drop(requests);
    let mut client = Client {
        requests: mpsc::unbounded_channel().0,
        response,
        buffer,
    };
    assert_eq!(client.end().await.code(), Code::Ok);
}

#[tokio::test]
async fn a_client_s_mistakes_end_its_stream_with_a_reason() {
    let bench = Bench::new();
    let mut client = bench.open("node").await.unwrap();
    client
        .requests
        .send(Bytes::from_static(&[0, 0, 0, 0, 2, 0xff, 0xff]))
        .unwrap();
    assert_eq!(client.end().await.code(), Code::InvalidArgument);
    let mut client = bench.open("node").await.unwrap();
    client
        .requests
        .send(Bytes::from_static(&[0, 0x7f, 0, 0, 0]))
        .unwrap();
    let end = client.end().await;
    assert_eq!(end.code(), Code::ResourceExhausted);
    assert!(end.message().contains("at most"), "{}", end.message());
}

#[tokio::test]
async fn clients_are_listed_with_what_they_have() {
    let bench = Bench::new();
    bench
        .publisher
        .apply(puts([workload("a", [10, 0, 0, 1], "n1", &[])]));
    let mut client = bench.open("node").await.unwrap();
    let mut request = subscribe(ADDRESS_TYPE, &[]);
    request.node = Some(Node {
        id: "ztunnel~10.0.0.1~ztunnel-x.istio-system~istio-system.svc.cluster.local\u{1b}"
            .to_owned(),
        ..Node::default()
    });
    client.say(&request);
    let view = bench.publisher.view();
    let first = client.response().await;
    let list = bench.clients.json(&view.load());
    assert_eq!(list[0]["proxy"], "ztunnel-x.istio-system");
    assert_eq!(list[0]["identity"], "istio-system/ztunnel");
    assert_eq!(list[0]["node"], "n1");
    assert!(!list[0]["node_id"].as_str().unwrap().contains('\u{1b}'));
    let address = &list[0]["resources"]["istio.workload.Address"];
    assert_eq!(
        (&address["status"], &address["sent"]),
        (&"STALE".into(), &first.nonce.clone().into())
    );
    client.say(&nack(&first, "no\nreally"));
    while bench.clients.json(&view.load())[0]["resources"]["istio.workload.Address"]["status"]
        != "ERROR"
    {
        tokio::task::yield_now().await;
    }
    bench
        .publisher
        .apply(puts([workload("b", [10, 0, 0, 2], "n1", &[])]));
    client.take().await;
    while bench.clients.json(&view.load())[0]["resources"]["istio.workload.Address"]["status"]
        != "SYNCED"
    {
        tokio::task::yield_now().await;
    }
    let list = bench.clients.json(&view.load());
    let address = &list[0]["resources"]["istio.workload.Address"];
    assert_eq!(address["rejects"], 1);
    assert_eq!(address["last_reject"]["error"], "no\u{fffd}really");
    assert_eq!(bench.metrics.xds.get(), 1);
    drop(client);
    while !bench.clients.is_empty() || bench.metrics.xds.get() != 0 {
        tokio::task::yield_now().await;
    }
}
