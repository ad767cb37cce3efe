//! Who asks for what is not there, or not ours.

use std::sync::Arc;

use futures_util::future::join_all;
use mesh::{Resource, service::AppProtocol};

use super::kit::{Waypoint, echo, service, settings, table};

#[tokio::test]
async fn whatever_this_waypoint_does_not_stand_before_is_refused_with_its_status() {
    let app = echo().await;
    let mut bare = service("bare", 9, AppProtocol::Tcp);
    bare.waypoint = None;
    let waypoint = Waypoint::start(vec![
        (service("tcp", 1, AppProtocol::Tcp), app),
        (bare, app),
    ])
    .await;
    let cases = [
        ("10.96.7.7:80", 400),
        ("8.8.8.8:53", 400),
        ("127.0.0.1:80", 400),
        ("127.9.9.9:15008", 400),
        ("127.9.9.9:80", 400),
        ("10.96.0.9:80", 400),
        ("10.96.0.1:81", 503),
        ("unknown.example:80", 400),
        ("bare.shop.svc.cluster.local:80", 400),
        ("tcp.shop.svc.cluster.local:81", 503),
    ];
    // All at once: what might become ours in a moment is waited for.
    let asked = cases.map(|(authority, _)| waypoint.connect(authority));
    for (answer, (authority, status)) in join_all(asked).await.into_iter().zip(cases) {
        assert_eq!(answer.expect_err(authority).as_u16(), status, "{authority}");
    }
    for authority in ["10.96.0.1:80", "tcp.shop.svc.cluster.local:80"] {
        assert!(waypoint.connect(authority).await.is_ok(), "{authority}");
    }
}

#[tokio::test]
async fn nobody_is_served_without_settings_and_a_client_that_comes_too_early_is_held() {
    let waypoint = Waypoint::unconfigured().await;
    let app = echo().await;
    let service = service("tcp", 1, AppProtocol::Tcp);
    waypoint.publish([
        Resource::Workload(Arc::new(super::kit::endpoint("tcp", app))),
        Resource::Service(Arc::new(service)),
    ]);
    waypoint.proxy.configured.set(()).unwrap();
    let refused = waypoint.connect("10.96.0.1:80").await.unwrap_err();
    assert_eq!(refused.as_u16(), 503);

    let early = Waypoint::unconfigured().await;
    let connect = early.connect("10.96.0.1:80");
    let configure = async {
        // Whatever order they run in, the CONNECT is answered after this.
        early.publish([
            Resource::Workload(Arc::new(super::kit::endpoint("tcp", app))),
            Resource::Service(Arc::new(super::kit::service("tcp", 1, AppProtocol::Tcp))),
            Resource::WaypointSettings(Arc::new(settings())),
            Resource::RouteTable(Arc::new(table("tcp"))),
        ]);
        early.proxy.configured.set(()).unwrap();
    };
    let (connected, ()) = tokio::join!(connect, configure);
    assert!(connected.is_ok());
}
