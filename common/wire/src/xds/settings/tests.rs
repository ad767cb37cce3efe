//! Settings of a waypoint: what they become, and what refuses them.

use std::time::Duration;

use bytes::Bytes;
use mesh::{Resource, access::Policies, route::RetryOn};
use prost::Message as _;

use super::*;
use crate::{
    proto::{Any, SETTINGS_TYPE, discovery, waypoint::access_log},
    xds::{Decoder, Error, name},
};

fn settings() -> proto::Settings {
    proto::Settings {
        namespace: "default".to_owned(),
        gateway: "waypoint".to_owned(),
        ..proto::Settings::default()
    }
}

fn decoded(settings: &proto::Settings) -> WaypointSettings {
    Decoder::new().settings(settings).expect("settings")
}

fn fault(settings: &proto::Settings) -> (String, String) {
    match Decoder::new().settings(settings) {
        Err(Error::Field { field, found, .. }) => (field, found),
        other => panic!("{other:?}: expected a fault of a field"),
    }
}

#[test]
fn a_resource_is_read_by_its_type_and_has_its_own_name() {
    let resource = discovery::Resource {
        version: "1".to_owned(),
        name: "default/waypoint".to_owned(),
        resource: Some(Any {
            type_url: SETTINGS_TYPE.to_owned(),
            value: Bytes::from(settings().encode_to_vec()),
        }),
        aliases: Vec::new(),
    };
    let read = Decoder::new().resource(SETTINGS_TYPE, &resource);
    let read = read.expect("settings");
    assert_eq!(name::of(&read.key()), resource.name);
    let removed = name::removed(SETTINGS_TYPE, &resource.name);
    assert_eq!(removed, [read.key()]);
    assert!(matches!(read, Resource::WaypointSettings(_)));
}

#[test]
fn what_is_absent_is_the_default() {
    let expected = WaypointSettings {
        namespace: "default".into(),
        gateway: "waypoint".into(),
        unenforced: Vec::new(),
        access_log: None,
        normalization: Normalization::Base,
        protocol_detection_timeout: None,
        default_retry: None,
        default_policy: Arc::default(),
        serves_services: false,
        serves_workloads: false,
        domain: "cluster.local".into(),
        policies: Policies::default(),
        client_address: None,
        include_client_certificate: false,
        tell_client: false,
    };
    assert_eq!(decoded(&settings()), expected);
}

#[test]
fn settings_are_read_whole() {
    let read = decoded(&proto::Settings {
        unenforced: vec!["AuthorizationPolicy default/all".to_owned()],
        normalization: proto::Normalization::MergeSlashes.into(),
        protocol_detection_timeout_us: 5_000_000,
        default_retry: Some(proto::Retry {
            attempts: 2,
            on: vec!["connect-failure".to_owned(), "unavailable".to_owned()],
            ..proto::Retry::default()
        }),
        default_policy: Some(proto::TrafficPolicy {
            pool: Some(proto::ConnectionPool {
                max_requests: Some(9),
                ..proto::ConnectionPool::default()
            }),
            ..proto::TrafficPolicy::default()
        }),
        serves_services: true,
        serves_workloads: true,
        domain: "Example.org".to_owned(),
        ..settings()
    });
    assert_eq!(read.unenforced, ["AuthorizationPolicy default/all".into()]);
    assert_eq!(read.normalization, Normalization::MergeSlashes);
    let second = Duration::from_secs(1);
    assert_eq!(read.protocol_detection_timeout, Some(5 * second));
    let retry = read.default_retry.expect("retries");
    assert_eq!(retry.attempts, 2);
    assert_eq!(
        retry.on,
        RetryOn::CONNECT_FAILURE.with(RetryOn::UNAVAILABLE)
    );
    assert_eq!(read.default_policy.pool.max_requests, Some(9));
    assert!(read.serves_services && read.serves_workloads);
    assert_eq!(&*read.domain, "example.org");
}

#[test]
fn formats_of_the_access_log_are_kept_as_they_are() {
    let logged = |format| {
        let log = proto::AccessLog {
            format,
            omit_empty: true,
        };
        decoded(&proto::Settings {
            access_log: Some(log),
            ..settings()
        })
        .access_log
        .unwrap()
    };
    let text = "[%START_TIME%]\n\t%RESPONSE_CODE%\n";
    let read = logged(Some(access_log::Format::Text(text.to_owned())));
    let expected = AccessLog {
        format: AccessLogFormat::Text(text.into()),
        omit_empty: true,
    };
    assert_eq!(read, expected);

    let field = |name: &str, value: &str| proto::Header {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let fields = vec![field("z", "%PROTOCOL%"), field("a", "")];
    let json = access_log::Format::Json(proto::JsonFormat { fields });
    let expected = vec![("z".into(), "%PROTOCOL%".into()), ("a".into(), "".into())];
    assert_eq!(logged(Some(json)).format, AccessLogFormat::Json(expected));
    assert_eq!(logged(None).format, AccessLogFormat::Default);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let nameless = proto::Settings {
        gateway: String::new(),
        ..settings()
    };
    assert_eq!(fault(&nameless).0, "gateway");
    let slashed = proto::Settings {
        gateway: "a/b".to_owned(),
        ..settings()
    };
    assert_eq!(
        fault(&slashed),
        ("gateway".to_owned(), "\"a/b\"".to_owned())
    );
    let later = proto::Settings {
        normalization: 9,
        ..settings()
    };
    assert_eq!(fault(&later), ("normalization".to_owned(), "9".to_owned()));
    let long = proto::Settings {
        access_log: Some(proto::AccessLog {
            format: Some(access_log::Format::Text("x".repeat(65_537))),
            omit_empty: false,
        }),
        ..settings()
    };
    let (field, found) = fault(&long);
    assert_eq!((&*field, &*found), ("access_log.text", "65537 bytes"));
    let limited = proto::Settings {
        default_policy: Some(proto::TrafficPolicy {
            retry_budget: Some(proto::RetryBudget {
                share_ppm: 2_000_000,
                ..proto::RetryBudget::default()
            }),
            ..proto::TrafficPolicy::default()
        }),
        ..settings()
    };
    assert_eq!(fault(&limited).0, "default_policy.retry_budget.share_ppm");
}
