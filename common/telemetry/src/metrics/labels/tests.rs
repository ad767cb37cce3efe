//! Labels of a connection, in the order in which they are written.

use std::sync::Arc;

use mesh::{Workload, workload::Locality};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::{Labels, UNKNOWN};
use crate::{
    event::{Connection, Direction, Flag},
    testkit::{bare, connection, workload},
};

/// The label set as the encoder writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Owned(Labels, Flag);

impl prometheus_client::encoding::EncodeLabelSet for Owned {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelSetEncoder<'_>,
    ) -> std::fmt::Result {
        self.0.with(self.1).encode(encoder)
    }
}

fn encoded(connection: &Connection, flag: Flag) -> String {
    let family = Family::<Owned, Counter>::default();
    family
        .get_or_create_owned(&Owned(Labels::of(connection), flag))
        .inc();
    let mut registry = Registry::default();
    registry.register("x", "X", family);
    let mut out = String::new();
    encode(&mut out, &registry).unwrap();
    let line = out
        .lines()
        .find(|line| line.starts_with("x_total{"))
        .unwrap();
    line.strip_prefix("x_total{")
        .unwrap()
        .strip_suffix("} 1")
        .unwrap()
        .replace("\",", "\"\n")
}

#[test]
fn labels_have_the_order_and_wording_of_the_node_proxy() {
    assert_eq!(
        encoded(&connection(), Flag::None),
        r#"reporter="source"
source_workload="client"
source_canonical_service="client"
source_canonical_revision="v1"
source_workload_namespace="default"
source_principal="spiffe://cluster.local/ns/default/sa/client"
source_app="client"
source_version="v1"
source_cluster="Kubernetes"
destination_service="reviews.default.svc.cluster.local"
destination_service_namespace="default"
destination_service_name="reviews"
destination_workload="reviews"
destination_canonical_service="reviews"
destination_canonical_revision="v1"
destination_workload_namespace="default"
destination_principal="spiffe://cluster.local/ns/default/sa/reviews"
destination_app="reviews"
destination_version="v1"
destination_cluster="Kubernetes"
request_protocol="tcp"
response_flags="-"
connection_security_policy="mutual_tls""#
    );
}

#[test]
fn everything_unknown_says_so_in_every_label() {
    let labels = encoded(&bare(Direction::Inbound), Flag::Deny);
    let lines: Vec<&str> = labels.lines().collect();
    assert_eq!(lines.len(), 23);
    for line in &lines {
        match line.split_once('=').unwrap() {
            ("reporter", value) => assert_eq!(value, "\"destination\""),
            ("request_protocol", value) => assert_eq!(value, "\"tcp\""),
            ("response_flags", value) => assert_eq!(value, "\"DENY\""),
            (_, value) => assert_eq!(value, format!("\"{UNKNOWN}\""), "{line}"),
        }
    }
}

#[test]
fn a_principal_comes_from_tls_only() {
    let labels = encoded(
        &Connection {
            source_identity: None,
            ..connection()
        },
        Flag::None,
    );
    assert!(labels.contains("source_workload=\"client\"\n"));
    assert!(labels.contains("source_principal=\"unknown\"\n"));
}

#[test]
fn the_client_behind_a_waypoint_stands_beside_the_waypoint() {
    let behind = Connection {
        client_identity: Some(Box::new(crate::testkit::identity("browser"))),
        ..connection()
    };
    let labels = encoded(&behind, Flag::None);
    assert!(labels.contains("source_principal=\"spiffe://cluster.local/ns/default/sa/client\"\n"));
    assert!(labels.contains("client_principal=\"spiffe://cluster.local/ns/default/sa/browser\"\n"));
    assert!(!encoded(&connection(), Flag::None).contains("client_principal"));
}

#[test]
fn nobody_of_the_mesh_is_the_passthrough_cluster() {
    let labels = encoded(
        &Connection {
            passthrough: true,
            ..bare(Direction::Outbound)
        },
        Flag::None,
    );
    assert!(labels.contains("destination_service_name=\"PassthroughCluster\"\n"));
    assert!(labels.contains("destination_service=\"unknown\"\n"));
}

#[test]
fn localities_are_shown_as_a_group_or_not_at_all() {
    assert!(!encoded(&connection(), Flag::None).contains("region"));
    let locality = Locality {
        region: "eu".into(),
        ..Locality::default()
    };
    let source = Arc::new(Workload {
        locality,
        ..(*workload("client", 1)).clone()
    });
    let labels = encoded(
        &Connection {
            source: Some(source),
            ..connection()
        },
        Flag::None,
    );
    assert!(labels.ends_with(
        "connection_security_policy=\"mutual_tls\"\nsource_region=\"eu\"\nsource_zone=\"unknown\"\n\
         destination_region=\"unknown\"\ndestination_zone=\"unknown\""
    ));
}

#[test]
fn a_hostile_name_cannot_break_out_of_its_label() {
    let source = Arc::new(Workload {
        workload_name: "a\"} 1\n\\".into(),
        ..(*workload("client", 1)).clone()
    });
    let labels = encoded(
        &Connection {
            source: Some(source),
            ..connection()
        },
        Flag::None,
    );
    assert!(
        labels.contains(r#"source_workload="a\"} 1\n\\""#),
        "{labels}"
    );
}
