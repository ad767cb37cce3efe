//! What a client does to an authorizer's connections and endpoints, which must not look like an outage.

use std::num::NonZeroU32;

use mesh::backend::{BackendKey, BackendPolicy, OutlierDetection, TrafficPolicy};

use super::*;

/// A provider that fails open, and the policy of its service.
fn kit_with(
    backend: SocketAddr,
    provider: SocketAddr,
    external: ExternalAuthorization,
    policy: TrafficPolicy,
) -> Kit {
    let open = ExternalAuthorization {
        fail_open: true,
        ..external
    };
    let kit = asking(backend, provider, open);
    kit.publish(vec![Resource::BackendPolicy(Arc::new(BackendPolicy {
        key: BackendKey::new(authorizer(), ""),
        policy: Arc::new(policy),
        ports: BTreeMap::new(),
    }))]);
    kit
}

/// 501 is what a client can bring about; here it has the only endpoint ejected.
#[tokio::test]
async fn who_has_an_authorizer_ejected_is_not_let_by() {
    let (asked, reached) = (Got::default(), Got::default());
    let provider = saying(&asked, |_| status(501)).await;
    let policy = TrafficPolicy {
        outlier: Some(OutlierDetection {
            consecutive_5xx: NonZeroU32::new(1),
            max_ejection_percent: 100,
            ..OutlierDetection::default()
        }),
        ..TrafficPolicy::default()
    };
    let external = by_http(HttpCheck::default());
    let kit = kit_with(echo(&reached).await, provider, external, policy);
    for number in 1..=4 {
        assert_eq!(kit.ask(get("/")).await.status(), 403, "request {number}");
        assert_eq!(asked.count(), number, "each is a question");
        let cluster = kit
            .proxy
            .clusters
            .get(&Backend::new(authorizer(), 80))
            .unwrap();
        assert!(cluster.hosts()[0].is_ejected());
    }
    assert_eq!(reached.count(), 0);
}

/// One question holds the only connection; the next ones wait until their time is over.
#[tokio::test]
async fn who_takes_all_connections_to_an_authorizer_lets_nobody_by() {
    let (calls, reached) = (Calls::default(), Got::default());
    let count = calls.clone();
    let provider = backend(Version::HTTP_11, move |_: Request<Incoming>| {
        count.next();
        std::future::pending::<Result<Response<Body>, io::Error>>()
    })
    .await;
    let mut policy = TrafficPolicy::default();
    policy.pool.max_connections = Some(1);
    let external = ExternalAuthorization {
        // Much longer than what lies between the two questions on a busy machine.
        timeout: 30 * SOON,
        ..by_http(HttpCheck::default())
    };
    let kit = kit_with(echo(&reached).await, provider, external, policy);
    // Its own time is over as well, and that is the authorizer's doing: the other one has never been asked.
    let (first, second) = tokio::join!(kit.ask(get("/first")), async {
        calls.reach(1).await;
        kit.ask(get("/second")).await
    });
    assert_eq!((first.status(), second.status()), (200, 403));
    // The second question may still get the connection, when the first has given it up, for the rest of its time.
    assert!(calls.count() <= 2);
    assert_eq!(reached.count(), 1);
}
