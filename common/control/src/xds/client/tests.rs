//! Tests of the stream, against a control plane in this process.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use grpc::{Endpoint, Roots};
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use wire::proto::{
    ADDRESS_TYPE, AUTHORIZATION_TYPE,
    discovery::{DeltaDiscoveryRequest, Resource},
};

use self::plane::{Plane, Talk, within};
use super::{Settings, run};
use crate::{
    publish::{Publisher, View},
    xds::{
        Demand, Node, Outcome, Role, XdsState, XdsStatus,
        tests::{Contents, broken, pod, policy, response},
    },
};

mod demand;
mod groups;
mod moves;
mod plane;

const POD: &str = "c//Pod/default/a";

/// A client that runs until it is dropped.
struct Ztunnel {
    view: View,
    publisher: Arc<Publisher>,
    status: XdsStatus,
    demand: Demand,
    task: JoinHandle<()>,
}

impl Drop for Ztunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ztunnel {
    fn start(server: SocketAddr, on_demand: bool) -> Self {
        let settings = Settings {
            endpoint: Endpoint {
                address: format!("http://{server}").parse().unwrap(),
                roots: Roots::System,
                alternative_name: None,
                token: None,
                cluster: "cluster-7".to_owned(),
                headers: Vec::new(),
            },
            node: Node {
                role: Role::NodeProxy,
                pod: "ztunnel-1".to_owned(),
                namespace: "istio-system".to_owned(),
                instance_ip: "10.0.0.9".to_owned(),
                node_name: "node-1".to_owned(),
                metadata: [
                    ("EXTRA".to_owned(), "more".to_owned()),
                    ("NAME".to_owned(), "somebody else".to_owned()),
                ]
                .into(),
            },
        };
        let publisher = Arc::new(Publisher::new());
        let (status, demand) = (XdsStatus::new(Role::NodeProxy), Demand::new(on_demand));
        let task = tokio::spawn(run(
            settings,
            Arc::clone(&publisher),
            status.clone(),
            demand.clone(),
        ));
        Self {
            view: publisher.view(),
            publisher,
            status,
            demand,
            task,
        }
    }

    fn names(&self) -> Vec<String> {
        let contents = Contents::of(&self.view.load());
        contents.names().into_iter().map(str::to_owned).collect()
    }

    fn state(&self) -> XdsState {
        self.status.state(net::clock::now())
    }

    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let wait = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .is_err()
        {
            panic!("{:?}, {:?}", self.names(), self.state());
        }
    }
}

/// Answers the first request of both types.
async fn welcome(talk: &mut Talk, policies: Vec<Resource>, addresses: Vec<Resource>) {
    assert_eq!(talk.request().await.type_url, AUTHORIZATION_TYPE);
    talk.send(response(AUTHORIZATION_TYPE, "p", policies, &[]))
        .await;
    assert_eq!(
        acked(talk).await,
        (AUTHORIZATION_TYPE.to_owned(), "p".to_owned())
    );
    assert_eq!(talk.request().await.type_url, ADDRESS_TYPE);
    talk.send(response(ADDRESS_TYPE, "a", addresses, &[])).await;
    assert_eq!(acked(talk).await, (ADDRESS_TYPE.to_owned(), "a".to_owned()));
}

async fn acked(talk: &mut Talk) -> (String, String) {
    let ack = talk.request().await;
    assert_eq!(ack.error_detail, None);
    assert_eq!(ack.node, None);
    (ack.type_url, ack.response_nonce)
}

fn node(request: &DeltaDiscoveryRequest) -> Vec<(String, String)> {
    let metadata = request.node.clone().unwrap().metadata.unwrap();
    let text = |value: prost_types::Value| match value.kind {
        Some(prost_types::value::Kind::StringValue(text)) => text,
        other => panic!("{other:?}"),
    };
    let fields = metadata.fields.into_iter();
    fields.map(|(key, value)| (key, text(value))).collect()
}

#[tokio::test]
async fn it_says_who_it_is_and_is_ready_once_both_types_were_answered() {
    let mut plane = Plane::start();
    let ztunnel = Ztunnel::start(plane.address(), false);
    let mut talk = plane.accept().await;
    assert_eq!(talk.metadata.get("clusterid").unwrap(), "cluster-7");
    let first = talk.request().await;
    assert_eq!(
        first.node.as_ref().unwrap().id,
        "ztunnel~10.0.0.9~ztunnel-1.istio-system~istio-system.svc.cluster.local"
    );
    let expected = [
        ("EXTRA", "more"),
        ("INSTANCE_IPS", "10.0.0.9"),
        ("NAME", "ztunnel-1"),
        ("NAMESPACE", "istio-system"),
        ("NODE_NAME", "node-1"),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(node(&first), expected);
    assert_eq!(first.type_url, AUTHORIZATION_TYPE);
    assert!(first.resource_names_subscribe.is_empty());

    talk.send(response(
        AUTHORIZATION_TYPE,
        "1",
        vec![policy("deny", 1)],
        &[],
    ))
    .await;
    assert_eq!(acked(&mut talk).await.1, "1");
    let second = talk.request().await;
    assert_eq!(second.type_url, ADDRESS_TYPE);
    assert_eq!(node(&second), expected);
    assert!(second.resource_names_subscribe.is_empty());
    assert!(!ztunnel.status.is_ready());

    talk.send(response(
        ADDRESS_TYPE,
        "2",
        vec![pod(POD, [10, 0, 0, 1])],
        &[],
    ))
    .await;
    assert_eq!(acked(&mut talk).await.1, "2");
    within(ztunnel.status.ready()).await;
    assert_eq!(ztunnel.names(), [POD, "default/deny"]);
    let state = ztunnel.state();
    assert!(state.connected);
    assert_eq!(state.age_seconds, 0);
    assert_eq!(state.address, format!("http://{}/", plane.address()));
    let [addresses, policies] = <[_; 2]>::try_from(state.types).unwrap();
    assert_eq!((addresses.resources, addresses.messages), (1, 1));
    assert!(addresses.message_bytes > 50 && addresses.synced);
    assert_eq!((policies.resources, policies.nacks), (1, 0));
    assert!(!ztunnel.demand.is_enabled());
    assert_eq!(ztunnel.demand.fetch("/10.0.0.1").await, Outcome::Disabled);
}

#[tokio::test]
async fn a_bad_resource_is_refused_and_the_others_are_in_force() {
    let mut plane = Plane::start();
    let ztunnel = Ztunnel::start(plane.address(), false);
    let mut talk = plane.accept().await;
    welcome(&mut talk, vec![], vec![pod(POD, [10, 0, 0, 1])]).await;
    let next = vec![broken(POD), pod("b", [10, 0, 0, 2])];
    talk.send(response(ADDRESS_TYPE, "bad", next, &[])).await;
    let nack = talk.request().await;
    assert_eq!(nack.response_nonce, "bad");
    let detail = nack.error_detail.unwrap();
    assert!(detail.message.contains(POD), "{}", detail.message);
    ztunnel
        .until(|ztunnel| ztunnel.state().types[0].nacks == 1)
        .await;
    assert_eq!(ztunnel.names(), ["b", POD]);
    let refusals = ztunnel.state().types[0].refusals.clone();
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].name, POD);
    assert!(
        refusals[0].error.contains("expected an address"),
        "{refusals:?}"
    );
    // Mended.
    talk.send(response(
        ADDRESS_TYPE,
        "good",
        vec![pod(POD, [10, 0, 0, 3])],
        &[],
    ))
    .await;
    assert_eq!(acked(&mut talk).await.1, "good");
    ztunnel
        .until(|ztunnel| ztunnel.state().types[0].refused == 0)
        .await;
}

#[tokio::test]
async fn a_first_response_with_a_bad_resource_does_not_keep_it_from_being_ready() {
    let mut plane = Plane::start();
    let ztunnel = Ztunnel::start(plane.address(), false);
    let mut talk = plane.accept().await;
    talk.request().await;
    let bad = policy("odd", 77);
    talk.send(response(
        AUTHORIZATION_TYPE,
        "1",
        vec![bad, policy("deny", 1)],
        &[],
    ))
    .await;
    assert!(talk.request().await.error_detail.is_some());
    talk.request().await;
    talk.send(response(ADDRESS_TYPE, "2", vec![], &[])).await;
    within(ztunnel.status.ready()).await;
    assert_eq!(ztunnel.names(), ["default/deny"]);
}

#[tokio::test]
async fn after_a_stream_ended_it_comes_back_with_versions_and_nothing_was_lost() {
    let mut plane = Plane::start();
    let ztunnel = Ztunnel::start(plane.address(), false);
    let mut talk = plane.accept().await;
    let (a, deny) = (pod(POD, [10, 0, 0, 1]), policy("deny", 1));
    welcome(&mut talk, vec![deny.clone()], vec![a.clone()]).await;
    drop(talk);
    let mut talk = plane.accept().await;
    assert_eq!(ztunnel.names(), [POD, "default/deny"]);
    let version = |request: &DeltaDiscoveryRequest, name: &str| {
        request.initial_resource_versions.get(name).cloned()
    };
    assert_eq!(
        version(&talk.request().await, "default/deny"),
        Some(deny.version)
    );
    assert_eq!(version(&talk.request().await, POD), Some(a.version));
    // Only what changed meanwhile.
    talk.send(response(
        ADDRESS_TYPE,
        "1",
        vec![pod("b", [10, 0, 0, 2])],
        &[POD],
    ))
    .await;
    assert_eq!(acked(&mut talk).await.1, "1");
    assert_eq!(ztunnel.names(), ["b", "default/deny"]);
    assert_eq!(ztunnel.state().connection_terminations.complete, 1);
    assert!(ztunnel.state().connected && ztunnel.state().last_error.is_none());
}

#[tokio::test]
async fn each_way_to_end_a_stream_is_counted_by_its_reason() {
    let mut plane = Plane::start();
    let ztunnel = Ztunnel::start(plane.address(), false);
    let count = |ztunnel: &Ztunnel| {
        let ends = ztunnel.state().connection_terminations;
        [ends.error, ends.reconnect, ends.complete]
    };
    let talk = plane.accept().await;
    talk.fail(Status::new(Code::PermissionDenied, "not you"))
        .await;
    ztunnel.until(|ztunnel| count(ztunnel) == [1, 0, 0]).await;
    let talk = plane.accept().await;
    talk.fail(Status::unavailable("come again")).await;
    ztunnel.until(|ztunnel| count(ztunnel) == [1, 1, 0]).await;
    let talk = plane.accept().await;
    drop(talk);
    ztunnel.until(|ztunnel| count(ztunnel) == [1, 1, 1]).await;
    let _talk = plane.accept().await;
    plane.cut();
    ztunnel.until(|ztunnel| count(ztunnel) == [1, 2, 1]).await;
    let mut talk = plane.accept().await;
    welcome(&mut talk, vec![], vec![]).await;
    assert!(ztunnel.status.is_ready());
}

#[tokio::test]
async fn the_words_of_a_refusal_are_shown() {
    let mut plane = Plane::start();
    let ztunnel = Ztunnel::start(plane.address(), false);
    plane.refuse(Status::unauthenticated("no token"));
    ztunnel
        .until(|ztunnel| ztunnel.state().connection_terminations.error > 0)
        .await;
    let error = ztunnel.state().last_error.unwrap();
    assert!(error.contains("UNAUTHENTICATED: no token"), "{error}");
    plane.admit();
    let mut talk = plane.accept().await;
    welcome(&mut talk, vec![], vec![]).await;
    within(ztunnel.status.ready()).await;
}

#[tokio::test]
async fn without_a_control_plane_it_goes_on_trying_and_everything_known_stays() {
    let mut plane = Plane::start();
    let address = plane.address();
    let ztunnel = Ztunnel::start(address, false);
    let mut talk = plane.accept().await;
    welcome(&mut talk, vec![], vec![pod(POD, [10, 0, 0, 1])]).await;
    drop(talk);
    drop(plane);
    ztunnel
        .until(|ztunnel| ztunnel.state().connection_terminations.connection_error > 1)
        .await;
    assert_eq!(ztunnel.names(), [POD]);
    assert!(!ztunnel.status.is_connected() && ztunnel.status.is_ready());
    assert!(ztunnel.state().last_error.is_some());
    let later = net::clock::now() + Duration::from_secs(60);
    assert!(ztunnel.status.age(later) >= Duration::from_secs(59));
    let mut plane = Plane::start_at(address);
    let mut talk = plane.accept().await;
    assert_eq!(talk.request().await.type_url, AUTHORIZATION_TYPE);
    assert_eq!(talk.request().await.initial_resource_versions.len(), 1);
    ztunnel.until(|ztunnel| ztunnel.status.is_connected()).await;
    assert_eq!(ztunnel.status.age(later), Duration::ZERO);
}

#[tokio::test]
async fn a_control_plane_that_was_never_there_has_an_age_since_the_start() {
    let plane = Plane::start();
    let address = plane.address();
    drop(plane);
    let began = net::clock::now();
    let ztunnel = Ztunnel::start(address, false);
    ztunnel
        .until(|ztunnel| ztunnel.state().connection_terminations.connection_error > 0)
        .await;
    let age = ztunnel.status.age(began + Duration::from_secs(100));
    assert!(age > Duration::from_secs(70) && age <= Duration::from_secs(100));
    assert!(!ztunnel.status.is_ready());
    assert_eq!(XdsStatus::new(Role::NodeProxy).age(began), Duration::ZERO);
}

#[tokio::test]
async fn a_large_response_is_published_whole_and_others_run_while_it_is_taken_in() {
    let mut plane = Plane::start();
    let ztunnel = Ztunnel::start(plane.address(), false);
    let mut talk = plane.accept().await;
    welcome(&mut talk, vec![], vec![]).await;
    let before = ztunnel.publisher.version();
    let [addresses, _] = <[_; 2]>::try_from(ztunnel.state().types).unwrap();
    // One of the others on this runtime: its turns from when the response is there until it is published.
    let (status, view) = (ztunnel.status.clone(), ztunnel.view.clone());
    let others = tokio::spawn(async move {
        let mut turns = 0;
        while view.version() == before {
            let now = &status.state(net::clock::now()).types[0];
            turns += usize::from(now.messages > addresses.messages);
            tokio::task::yield_now().await;
        }
        (turns, view.load().iter_workloads().len())
    });
    // Larger than what gRPC takes unasked.
    let long = "x".repeat(1000);
    let all = (0..3000_u16).map(|number| {
        let [high, low] = number.to_be_bytes();
        let mut pod = pod(&format!("c//Pod/default/{number}"), [10, 0, high, low]);
        pod.aliases = vec![long.clone(); 2];
        pod
    });
    talk.send(response(ADDRESS_TYPE, "all", all.collect(), &[]))
        .await;
    assert_eq!(acked(&mut talk).await.1, "all");
    assert_eq!(ztunnel.publisher.version() - before, 1);
    let (turns, seen) = within(others).await.unwrap();
    assert!(turns >= 3000 / 256, "{turns}");
    assert_eq!(seen, 3000);
    assert!(ztunnel.state().types[0].message_bytes > 4 << 20);
}

#[tokio::test]
async fn a_server_that_cannot_take_all_versions_is_told_none() {
    let mut plane = Plane::start();
    plane.limit(1536 << 10);
    let ztunnel = Ztunnel::start(plane.address(), false);
    let mut talk = plane.accept().await;
    let long = "x".repeat(900);
    let all = (0..2000).map(|number| pod(&format!("c//Pod/{long}/{number:04}"), [10, 0, 0, 1]));
    let all: Vec<_> = all.collect();
    let kept = all[7].clone();
    welcome(&mut talk, vec![], all).await;
    drop(talk);
    let mut talk = plane.accept().await;
    assert_eq!(talk.request().await.type_url, AUTHORIZATION_TYPE);
    let status = talk.failure().await;
    assert_eq!(status.code(), Code::OutOfRange);
    talk.fail(status).await;
    let mut talk = plane.accept().await;
    talk.request().await;
    let second = talk.request().await;
    assert_eq!(second.type_url, ADDRESS_TYPE);
    assert!(second.initial_resource_versions.is_empty());
    assert_eq!(ztunnel.names().len(), 2000, "until it is known what went");
    talk.send(response(ADDRESS_TYPE, "1", vec![kept.clone()], &[]))
        .await;
    assert_eq!(acked(&mut talk).await.1, "1");
    assert_eq!(ztunnel.names(), [kept.name]);
}
