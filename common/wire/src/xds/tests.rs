//! Tests of what resources become.

use bytes::Bytes;
use mesh::{Resource, ResourceKey, ServiceKey, Uid};
use prost::Message as _;

use super::{Decoder, Error, name};
use crate::proto::{
    ADDRESS_TYPE, AUTHORIZATION_TYPE, Any, discovery, security,
    workload::{self as proto, address},
};

mod authorization;
mod service;
mod workload;

/// The field, what was found and what was expected.
fn fault(error: Error) -> (String, String, &'static str) {
    match error {
        Error::Field {
            field,
            found,
            expected,
            ..
        } => (field, found, expected),
        Error::Malformed { .. } => panic!("{error}: expected a fault of a field"),
    }
}

fn envelope(type_url: &str, name: &str, value: Vec<u8>) -> discovery::Resource {
    discovery::Resource {
        version: "1".to_owned(),
        resource: Some(Any {
            type_url: type_url.to_owned(),
            value: Bytes::from(value),
        }),
        name: name.to_owned(),
        aliases: Vec::new(),
    }
}

fn address(read: address::Type) -> discovery::Resource {
    let message = proto::Address { r#type: Some(read) };
    envelope(ADDRESS_TYPE, "a", message.encode_to_vec())
}

#[test]
fn each_kind_of_resource_is_read_by_its_type() {
    let mut decoder = Decoder::new();
    let workload = address(address::Type::Workload(proto::Workload {
        uid: "a".to_owned(),
        ..proto::Workload::default()
    }));
    let service = address(address::Type::Service(proto::Service {
        namespace: "default".to_owned(),
        hostname: "web.example".to_owned(),
        ..proto::Service::default()
    }));
    let policy = security::Authorization {
        name: "p".to_owned(),
        namespace: "default".to_owned(),
        ..security::Authorization::default()
    };
    let policy = envelope(AUTHORIZATION_TYPE, "default/p", policy.encode_to_vec());
    let keys = [
        decoder.resource(ADDRESS_TYPE, &workload),
        decoder.resource(ADDRESS_TYPE, &service),
        decoder.resource(AUTHORIZATION_TYPE, &policy),
    ]
    .map(|read| name::of(&read.unwrap().key()));
    assert_eq!(keys, ["a", "default/web.example", "default/p"]);
}

#[test]
fn a_resource_without_content_is_refused_by_its_name() {
    let mut empty = envelope(ADDRESS_TYPE, "cluster//Pod/a/b", Vec::new());
    empty.resource = None;
    let error = Decoder::new().resource(ADDRESS_TYPE, &empty).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"cluster//Pod/a/b\": resource: absent, expected a message"
    );
}

#[test]
fn an_address_that_is_neither_workload_nor_service_is_refused() {
    let nothing = envelope(ADDRESS_TYPE, "x", Vec::new());
    let error = Decoder::new().resource(ADDRESS_TYPE, &nothing).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"x\": type: absent, expected a workload or a service"
    );
}

#[test]
fn a_resource_of_another_type_than_its_response_is_refused() {
    let policy = envelope(AUTHORIZATION_TYPE, "a/b", Vec::new());
    let error = Decoder::new().resource(ADDRESS_TYPE, &policy).unwrap_err();
    let (field, found, expected) = fault(error);
    assert_eq!(field, "resource.type_url");
    assert_eq!(found, format!("\"{AUTHORIZATION_TYPE}\""));
    assert_eq!(expected, "the type of the response");
}

#[test]
fn a_type_that_nobody_knows_is_refused() {
    let other = envelope("type.googleapis.com/x.Y", "a", Vec::new());
    let error = Decoder::new()
        .resource("type.googleapis.com/x.Y", &other)
        .unwrap_err();
    assert_eq!(fault(error).0, "type_url");
}

#[test]
fn bytes_that_are_no_message_are_refused_with_the_place_where_reading_stopped() {
    for (type_url, message) in [
        (ADDRESS_TYPE, "istio.workload.Address"),
        (AUTHORIZATION_TYPE, "istio.security.Authorization"),
    ] {
        let broken = envelope(type_url, "n", vec![0x0a, 0x05, 0x01]);
        let error = Decoder::new().resource(type_url, &broken).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("\"n\": not a message of type {message}")
        );
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[test]
fn foreign_text_in_an_error_is_escaped_and_cut() {
    let uid = format!("a\n\"b\\{}", "x".repeat(1000));
    let error = super::workload(proto::Workload {
        uid,
        ..proto::Workload::default()
    })
    .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("workload \"a\\u{a}\\\"b\\\\xxx"),
        "{text:?}"
    );
    assert!(!text.contains('\n'));
    assert!(text.len() < 600, "{}", text.len());
}

#[test]
fn the_same_resource_is_read_the_same_by_a_decoder_that_has_seen_others() {
    let mut decoder = Decoder::new();
    let read = |decoder: &mut Decoder, uid: &str| {
        decoder
            .workload(proto::Workload {
                uid: uid.to_owned(),
                namespace: "default".to_owned(),
                node: "node-1".to_owned(),
                ..proto::Workload::default()
            })
            .unwrap()
    };
    let first = read(&mut decoder, "a");
    read(&mut decoder, "b");
    assert_eq!(read(&mut decoder, "a"), first);
    assert_eq!(read(&mut Decoder::new(), "a"), first);
}

#[test]
fn names_are_those_of_the_control_plane() {
    assert_eq!(
        name::address("net-1", "10.0.0.1".parse().unwrap()),
        "net-1/10.0.0.1"
    );
    assert_eq!(name::address("", "fd00::1".parse().unwrap()), "/fd00::1");
    assert_eq!(
        name::address("", "::ffff:10.0.0.1".parse().unwrap()),
        "/10.0.0.1"
    );
    assert_eq!(
        name::service("default", "Web.Example"),
        "default/web.example"
    );
    assert_eq!(
        name::pod("Kubernetes", "default", "web-1"),
        "Kubernetes//Pod/default/web-1"
    );
}

#[test]
fn a_removed_name_of_one_slash_may_be_a_service_or_a_workload() {
    let workload = |uid: &str| ResourceKey::Workload(Uid::from(uid));
    let check = |name: &str, expected: &[ResourceKey]| {
        assert_eq!(name::removed(ADDRESS_TYPE, name), expected, "{name}");
    };
    check(
        "Kubernetes//Pod/default/web-1",
        &[workload("Kubernetes//Pod/default/web-1")],
    );
    check(
        "default/Web.Example",
        &[
            workload("default/Web.Example"),
            ResourceKey::Service(ServiceKey::new("default", "web.example")),
        ],
    );
    check(
        "/10.0.0.1",
        &[
            workload("/10.0.0.1"),
            ResourceKey::Service(ServiceKey::new("", "10.0.0.1")),
        ],
    );
    check("plain", &[workload("plain")]);
}

#[test]
fn a_removed_policy_is_named_by_namespace_and_name() {
    let removed = name::removed(AUTHORIZATION_TYPE, "default/deny");
    assert_eq!(
        removed,
        [ResourceKey::Authorization(mesh::PolicyKey::new(
            "default", "deny"
        ))]
    );
    assert_eq!(name::removed(AUTHORIZATION_TYPE, "deny"), []);
    assert_eq!(name::removed("type.googleapis.com/x.Y", "a/b"), []);
}

#[test]
fn aliases_are_the_addresses_of_a_resource() {
    let workload = super::workload(proto::Workload {
        uid: "a".to_owned(),
        network: "n".to_owned(),
        addresses: vec![
            Bytes::from_static(&[10, 0, 0, 1]),
            Bytes::from_static(&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ],
        ..proto::Workload::default()
    })
    .unwrap();
    assert_eq!(
        name::aliases(&Resource::Workload(workload.into())),
        ["n/10.0.0.1", "n/fd00::1"]
    );
    let vip = |address: &'static [u8], length| proto::NetworkAddress {
        network: "n".to_owned(),
        address: Bytes::from_static(address),
        length,
    };
    let service = super::service(proto::Service {
        namespace: "default".to_owned(),
        hostname: "web.example".to_owned(),
        addresses: vec![vip(&[10, 96, 0, 1], None), vip(&[10, 97, 0, 0], Some(16))],
        ..proto::Service::default()
    })
    .unwrap();
    assert_eq!(
        name::aliases(&Resource::Service(service.into())),
        ["n/10.96.0.1"]
    );
}
