//! Limits that a service counts.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU16,
};

use bytes::Bytes;
use grpc::service::rate_limit::rate_limit_service_server::{
    RateLimitService, RateLimitServiceServer,
};
use http_body_util::BodyExt as _;
use mesh::{Service, ServiceKey, Workload, service::PortMap};
use parking_lot::Mutex;
use tower_service::Service as _;
use wire::proto::rate_limit::{
    HeaderValue as Said, RateLimitRequest, RateLimitResponse,
    rate_limit_response::{Code, DescriptorStatus},
};

use super::*;
use crate::body::BodyError;

type Saying = Result<RateLimitResponse, tonic::Status>;

/// What the service was asked.
#[derive(Clone, Default)]
struct Questions(Arc<Mutex<Vec<RateLimitRequest>>>);

impl Questions {
    /// `<domain>: <key>=<value> <key>=<value> | ...`, since the last time.
    fn take(&self) -> Vec<String> {
        let all = std::mem::take(&mut *self.0.lock());
        let words = |question: &RateLimitRequest| {
            let descriptors = question.descriptors.iter().map(|it| {
                let entries = it.entries.iter();
                let entries = entries.map(|entry| format!("{}={}", entry.key, entry.value));
                entries.collect::<Vec<_>>().join(" ")
            });
            let descriptors = descriptors.collect::<Vec<_>>().join(" | ");
            format!("{}: {descriptors}", question.domain)
        };
        all.iter().map(words).collect()
    }
}

struct Counting {
    questions: Questions,
    answer: Box<dyn Fn(&RateLimitRequest) -> Saying + Send + Sync>,
}

#[tonic::async_trait]
impl RateLimitService for Counting {
    async fn should_rate_limit(
        &self,
        request: tonic::Request<RateLimitRequest>,
    ) -> Result<tonic::Response<RateLimitResponse>, tonic::Status> {
        let request = request.into_inner();
        let answer = (self.answer)(&request);
        self.questions.0.lock().push(request);
        answer.map(tonic::Response::new)
    }
}

async fn service(
    questions: &Questions,
    answer: impl Fn(&RateLimitRequest) -> Saying + Send + Sync + 'static,
) -> SocketAddr {
    let server = RateLimitServiceServer::new(Counting {
        questions: questions.clone(),
        answer: Box::new(answer),
    });
    backend(Version::HTTP_2, move |request| {
        let mut server = server.clone();
        async move {
            let Ok(response) = server.call(request).await;
            let failed = |status: tonic::Status| BodyError::Filter(Box::new(status));
            Ok(response.map(|body| Body::boxed(body.map_err(failed))))
        }
    })
    .await
}

fn says(code: Code) -> RateLimitResponse {
    RateLimitResponse {
        overall_code: code.into(),
        ..RateLimitResponse::default()
    }
}

fn each(codes: &[Code]) -> Vec<DescriptorStatus> {
    let status = |code: &Code| DescriptorStatus {
        code: (*code).into(),
        ..DescriptorStatus::default()
    };
    codes.iter().map(status).collect()
}

fn header(key: &str, value: &str) -> Said {
    Said {
        key: key.to_owned(),
        value: value.to_owned(),
        raw_value: Bytes::new(),
    }
}

fn counter() -> ServiceKey {
    ServiceKey::new("default", "rls.default.svc.cluster.local")
}

fn global(name: &str, keys: Vec<LimitKey>, fail_closed: bool) -> RateLimit {
    RateLimit {
        keys,
        kind: LimitKind::Global(GlobalLimit {
            domain: "mesh".into(),
            backend: Backend::new(counter(), 8081),
            timeout: PATIENCE,
            fail_closed,
        }),
        response_headers: Vec::new(),
        ..local(name, 1)
    }
}

/// A waypoint whose requests are counted at `address`.
async fn asking(address: SocketAddr, limits: Vec<RateLimit>) -> Kit {
    let kit = kit(limits).await;
    appears(&kit, address);
    kit
}

/// The mesh gets a rate limit service.
fn appears(kit: &Kit, address: SocketAddr) {
    let key = counter();
    let service = Service {
        name: "rls".into(),
        namespace: key.namespace.clone(),
        hostname: key.hostname.clone(),
        ports: PortMap(BTreeMap::from([(8081, None)])),
        ..Service::default()
    };
    let port = NonZeroU16::new(address.port());
    let workload = Workload {
        uid: "Kubernetes//Pod/default/rls".into(),
        name: "rls".into(),
        namespace: "default".into(),
        ips: vec![address.ip()],
        services: HashMap::from([(key, PortMap(BTreeMap::from([(8081, port)])))]),
        ..Workload::default()
    };
    kit.publish(vec![
        Resource::Service(Arc::new(service)),
        Resource::Workload(Arc::new(workload)),
    ]);
}

#[tokio::test]
async fn a_service_is_told_all_keys_in_their_order_and_may_add_headers() {
    let questions = Questions::default();
    let address = service(&questions, |_| {
        Ok(RateLimitResponse {
            request_headers_to_add: vec![header("x-added", "by the service")],
            response_headers_to_add: vec![header("x-ratelimit-remaining", "4")],
            ..says(Code::Ok)
        })
    })
    .await;
    let keys = vec![
        key("tenant", LimitValue::Header("x-tenant".into())),
        key("who", LimitValue::Principal),
        key("from", LimitValue::RemoteAddress),
        key("to", LimitValue::Service),
        key("path", LimitValue::Path),
        key("method", LimitValue::Method),
        key("route", LimitValue::Route),
        key("generic_key", LimitValue::Constant("api".into())),
    ];
    let second = global("b", vec![by_header("x-tenant")], false);
    let kit = asking(address, vec![global("a", keys, false), second]).await;
    let answer = kit.ask(with("x-tenant", "t 1")).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body, "by the service");
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("4"));
    assert_eq!(
        questions.take(),
        [
            "mesh: tenant=t 1 who=cluster.local/ns/default/sa/client from=10.0.0.9 to=reviews.default.svc.cluster.local path=/ method=GET route= generic_key=api | x-tenant=t 1"
        ]
    );
    // Who lacks all of it is asked about nowhere.
    assert_eq!(kit.ask(get("/")).await.body, "good");
    assert_eq!(questions.take(), [""; 0]);
}

#[tokio::test]
async fn over_the_limit_the_client_is_told_what_the_service_says() {
    let questions = Questions::default();
    let address = service(&questions, |_| {
        Ok(RateLimitResponse {
            response_headers_to_add: vec![header("x-ratelimit-reset", "9")],
            raw_body: Bytes::from_static(b"slow down"),
            ..says(Code::OverLimit)
        })
    })
    .await;
    let limit = global("a", vec![key("p", LimitValue::Path)], true);
    let kit = asking(address, vec![limit]).await;
    let answer = kit.ask(get("/")).await;
    assert_eq!((answer.status(), &*answer.body), (429, "slow down"));
    assert_eq!(answer.header("x-envoy-ratelimited"), Some("true"));
    assert_eq!(answer.header("x-ratelimit-reset"), Some("9"));
    assert_eq!(answer.header("x-local-rate-limit"), None);
    let line = kit.line();
    assert_eq!(line["flags"], "RL");
    assert_eq!(line["details"], "request_rate_limited");
    let answer = kit.ask(grpc()).await;
    assert_eq!(answer.header("grpc-status"), Some("14"));
    assert_eq!(answer.header("x-envoy-ratelimited"), Some("true"));
    assert_eq!(questions.take().len(), 2);
}

#[tokio::test]
async fn of_several_limits_the_one_that_is_over_counts() {
    let questions = Questions::default();
    let address = service(&questions, |_| {
        Ok(RateLimitResponse {
            statuses: each(&[Code::Ok, Code::OverLimit]),
            ..says(Code::OverLimit)
        })
    })
    .await;
    let path = || vec![key("p", LimitValue::Path)];
    let second = |enforced_ppm| RateLimit {
        status: 503,
        enforced_ppm,
        ..global("b", path(), false)
    };
    let kit = asking(address, vec![global("a", path(), false), second(1_000_000)]).await;
    assert_eq!(kit.ask(get("/")).await.status(), 503);
    // The other one is not over, so its share does not matter.
    let kit = asking(address, vec![global("a", path(), false), second(0)]).await;
    assert_eq!(kit.ask(get("/")).await.status(), 200);
    let counts = kit.proxy.access.limits.counts();
    let counts: Vec<_> = counts
        .iter()
        .map(|it| (it.ok, it.limited, it.enforced))
        .collect();
    assert_eq!(counts, [(1, 0, 0), (0, 1, 0)]);
}

#[tokio::test]
async fn nobody_is_asked_where_a_local_limit_refuses() {
    let questions = Questions::default();
    let address = service(&questions, |_| Ok(says(Code::Ok))).await;
    let limit = global("a", vec![key("p", LimitValue::Path)], true);
    // The local one is last in the list, and first in time.
    let kit = asking(address, vec![limit, local("b", 1)]).await;
    assert_eq!(statuses(&kit, 3, || get("/")).await, [200, 429, 429]);
    assert_eq!(questions.take(), ["mesh: p=/"]);
}

/// What becomes of a request whose limit is open or closed.
async fn outage(address: SocketAddr, timeout: Duration) {
    for (fail_closed, status) in [(false, 200), (true, 500)] {
        let mut limit = global("a", vec![key("p", LimitValue::Path)], fail_closed);
        if let LimitKind::Global(global) = &mut limit.kind {
            global.timeout = timeout;
        }
        let kit = asking(address, vec![limit]).await;
        let answer = kit.ask(get("/")).await;
        assert_eq!(answer.status(), status);
        let line = kit.line();
        if fail_closed {
            assert_eq!(answer.body, "");
            assert_eq!(line["flags"], "RLSE");
            assert_eq!(line["details"], "rate_limiter_error");
            assert_eq!(kit.ask(grpc()).await.header("grpc-status"), Some("2"));
        } else {
            assert_eq!(line["flags"], "-");
        }
        let counts = kit.proxy.access.limits.counts();
        let asked = if fail_closed { 2 } else { 1 };
        let allowed = if fail_closed { 0 } else { 1 };
        assert_eq!(
            (counts[0].error, counts[0].failure_mode_allowed),
            (asked, allowed)
        );
        assert_eq!((counts[0].ok, counts[0].limited), (0, 0));
    }
}

#[tokio::test]
async fn while_nobody_listens_the_limit_says_what_happens() {
    outage(nobody().await, PATIENCE).await;
}

#[tokio::test]
async fn while_nobody_answers_in_time_the_limit_says_what_happens() {
    let address = backend(Version::HTTP_2, |_| std::future::pending()).await;
    outage(address, Duration::from_millis(30)).await;
}

#[tokio::test]
async fn an_answer_that_is_none_is_no_answer() {
    let questions = Questions::default();
    let answers: [fn() -> Saying; 3] = [
        || Err(tonic::Status::unavailable("down")),
        || Ok(says(Code::Unknown)),
        || {
            Ok(RateLimitResponse {
                raw_body: Bytes::from(vec![b'x'; 100_000]),
                ..says(Code::Ok)
            })
        },
    ];
    for answer in answers {
        outage(service(&questions, move |_| answer()).await, PATIENCE).await;
    }
    let no_grpc = backend(Version::HTTP_2, |_| async { Ok(text("hello")) }).await;
    outage(no_grpc, PATIENCE).await;
}

#[tokio::test]
async fn a_service_that_the_mesh_does_not_know_is_nobody() {
    for (fail_closed, status) in [(false, 200), (true, 500)] {
        let limit = global("a", vec![key("p", LimitValue::Path)], fail_closed);
        let kit = kit(vec![limit]).await;
        assert_eq!(kit.ask(get("/")).await.status(), status);
    }
}

#[tokio::test]
async fn a_service_that_comes_back_counts_again() {
    let questions = Questions::default();
    let address = service(&questions, |_| Ok(says(Code::OverLimit))).await;
    let limit = global("a", vec![key("p", LimitValue::Path)], false);
    let kit = kit(vec![limit]).await;
    assert_eq!(statuses(&kit, 2, || get("/")).await, [200; 2]);
    appears(&kit, address);
    assert_eq!(statuses(&kit, 2, || get("/")).await, [429; 2]);
    let counts = &kit.proxy.access.limits.counts()[0];
    let counts = (counts.error, counts.failure_mode_allowed, counts.limited);
    assert_eq!(counts, (2, 2, 2));
}
