//! Outlier detection and health checks.

use std::num::{NonZeroU16, NonZeroU32};

use mesh::backend::{HealthCheck, OutlierDetection, Probe, StatusRange};

use super::*;
use crate::proto::waypoint::health_check;

fn with_outlier(outlier: proto::OutlierDetection) -> proto::TrafficPolicy {
    proto::TrafficPolicy {
        outlier: Some(outlier),
        ..proto::TrafficPolicy::default()
    }
}

fn checked(kind: Option<health_check::Kind>) -> proto::TrafficPolicy {
    proto::TrafficPolicy {
        health_check: Some(proto::HealthCheck {
            kind,
            ..proto::HealthCheck::default()
        }),
        ..proto::TrafficPolicy::default()
    }
}

#[test]
fn outlier_detection_is_read_as_written() {
    let read = decoded(with_outlier(proto::OutlierDetection {
        consecutive_5xx: 0,
        consecutive_gateway_errors: 3,
        split_local_origin: true,
        consecutive_local_origin: 4,
        interval_us: 5_000_000,
        base_ejection_us: 0,
        max_ejection_percent: 100,
        min_health_percent: 30,
        error_statuses: vec![503, 429, 503],
    }));
    let expected = OutlierDetection {
        consecutive_5xx: None,
        consecutive_gateway_errors: NonZeroU32::new(3),
        split_local_origin: true,
        consecutive_local_origin: NonZeroU32::new(4),
        interval: Duration::from_secs(5),
        base_ejection: Duration::from_secs(30),
        max_ejection_percent: 100,
        min_health_percent: 30,
        error_statuses: vec![429, 503],
    };
    assert_eq!(read.outlier, Some(expected));

    let (field, found, expected) = fault(with_outlier(proto::OutlierDetection {
        max_ejection_percent: 101,
        ..proto::OutlierDetection::default()
    }));
    assert_eq!(field, "policy.outlier.max_ejection_percent");
    assert_eq!((&*found, expected), ("101", "a number from 0 to 100"));
    let (field, ..) = fault(with_outlier(proto::OutlierDetection {
        error_statuses: vec![500, 5000],
        ..proto::OutlierDetection::default()
    }));
    assert_eq!(field, "policy.outlier.error_statuses[1]");
}

#[test]
fn health_checks_are_read_with_the_defaults_of_a_probe() {
    let http = health_check::Kind::Http(proto::HttpCheck {
        path: String::new(),
        host: "web".to_owned(),
        expected: vec![proto::StatusRange {
            first: 200,
            last: 299,
        }],
    });
    let expected = HealthCheck {
        probe: Probe::Http {
            path: "/".into(),
            host: "web".into(),
            expected: vec![StatusRange {
                first: 200,
                last: 299,
            }],
        },
        port: None,
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        unhealthy_threshold: NonZeroU32::new(3).unwrap(),
        healthy_threshold: NonZeroU32::MIN,
    };
    assert_eq!(decoded(checked(Some(http))).health_check, Some(expected));

    let mut grpc = checked(Some(health_check::Kind::Grpc(proto::GrpcCheck {
        service: "a.B".to_owned(),
    })));
    grpc.health_check.as_mut().unwrap().port = 9;
    let read = decoded(grpc).health_check.unwrap();
    let service = "a.B".into();
    assert_eq!(read.probe, Probe::Grpc { service });
    assert_eq!(read.port, NonZeroU16::new(9));

    let tcp = checked(Some(health_check::Kind::Tcp(proto::TcpCheck {})));
    assert_eq!(decoded(tcp).health_check.unwrap().probe, Probe::Tcp);
}

#[test]
fn health_checks_that_cannot_be_are_refused() {
    assert_eq!(fault(checked(None)).0, "policy.health_check.kind");
    let http = |path: &str, host: &str, first, last| {
        checked(Some(health_check::Kind::Http(proto::HttpCheck {
            path: path.to_owned(),
            host: host.to_owned(),
            expected: vec![proto::StatusRange { first, last }],
        })))
    };
    let field = |policy| fault(policy).0;
    let of_http = "policy.health_check.http";
    assert_eq!(field(http("a", "", 200, 200)), format!("{of_http}.path"));
    assert_eq!(field(http("/a b", "", 200, 200)), format!("{of_http}.path"));
    assert_eq!(field(http("/", "a b", 200, 200)), format!("{of_http}.host"));
    let range = format!("{of_http}.expected[0]");
    assert_eq!(field(http("/", "", 300, 200)), range);
    assert_eq!(field(http("/", "", 0, 200)), format!("{range}.first"));
}
