//! `metadata` of every kind.

use std::sync::Arc;

use yaml::{
    Cursor, Error,
    scalar::{boolean, checked, text},
};

use super::{field, labels, name};
use crate::objects::{Kind, Meta, ObjectKey, OwnerReference};

/// The longest uid; Kubernetes makes them of 36 characters.
const MAX_UID_BYTES: usize = 253;
/// The namespace of an object of a namespaced kind that names none.
const DEFAULT_NAMESPACE: &str = "default";

const FIELDS: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
    "clusterName",
];

const OWNER_FIELDS: &[&str] = &[
    "apiVersion",
    "kind",
    "name",
    "uid",
    "controller",
    "blockOwnerDeletion",
];

/// What names an object of `kind`, where at least that can be told of it.
pub(super) fn key(at: &Cursor<'_>, kind: Kind) -> Option<ObjectKey> {
    at.field("metadata", |at| {
        let name = at.field("name", |at| object_name(at, kind))?;
        let namespace = at.field("namespace", |at| {
            // As `metadata` has it: what is read as an object of another key would escape who looks at keys.
            if field::is_empty(at) {
                Ok(None)
            } else {
                name::label(at).map(Arc::from).map(Some)
            }
        })?;
        let namespace = placed(kind, namespace.flatten());
        Ok(name.map(|name| ObjectKey::new(kind, namespace, name)))
    })
    .ok()
    .flatten()
    .flatten()
}

/// Reads the `metadata` of an object of `kind`.
pub(super) fn meta(at: &Cursor<'_>, kind: Kind) -> Result<Meta, Error> {
    at.field("metadata", |at| metadata(at, kind))?
        .ok_or_else(|| at.missing("metadata", "a mapping with name"))
}

fn metadata(at: &Cursor<'_>, kind: Kind) -> Result<Meta, Error> {
    let object = at.object("a mapping with name", FIELDS)?;
    let name = object.required("name", "the object's name", |at| object_name(at, kind))?;
    let namespace = field::text(&object, "namespace", |at| {
        if kind.is_cluster_scoped() {
            at.warn("an object of this kind has no namespace, ignored");
        }
        name::label(at).map(Arc::from)
    })?;
    let mut owner = None;
    field::list(&object, "ownerReferences", "a list of references", |at| {
        owner = owner_reference(at)?.or(owner.take());
        Ok(())
    })?;
    Ok(Meta {
        name,
        namespace: placed(kind, namespace),
        uid: object.nullable("uid", uid)?.unwrap_or_default(),
        labels: object
            .nullable("labels", labels::labels)?
            .unwrap_or_default(),
        annotations: object
            .nullable("annotations", labels::annotations)?
            .unwrap_or_default(),
        created: object
            .nullable("creationTimestamp", timestamp)?
            .unwrap_or_default(),
        terminating: object.nullable("deletionTimestamp", timestamp)?.is_some(),
        owner,
    })
}

/// A namespace and a service become names of DNS.
fn object_name(at: &Cursor<'_>, kind: Kind) -> Result<Arc<str>, Error> {
    match kind {
        Kind::Namespace | Kind::Service => name::label(at),
        Kind::Node
        | Kind::Pod
        | Kind::EndpointSlice
        | Kind::ServiceAccount
        | Kind::WorkloadEntry
        | Kind::ServiceEntry
        | Kind::Gateway
        | Kind::GatewayClass
        | Kind::AuthorizationPolicy
        | Kind::PeerAuthentication
        | Kind::ConfigMap
        | Kind::VirtualService
        | Kind::DestinationRule
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::ReferenceGrant
        | Kind::RequestAuthentication
        | Kind::TrafficPolicy
        | Kind::EnvoyFilter => name::subdomain(at),
    }
    .map(Arc::from)
}

fn placed(kind: Kind, namespace: Option<Arc<str>>) -> Arc<str> {
    if kind.is_cluster_scoped() {
        Arc::default()
    } else {
        namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.into())
    }
}

fn uid(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "at most 253 bytes without spaces";
    checked(at, expected, |text| {
        text.len() <= MAX_UID_BYTES && !text.chars().any(|c| c.is_whitespace() || c.is_control())
    })
    .map(str::to_owned)
}

/// Seconds since 1970.
fn timestamp(at: &Cursor<'_>) -> Result<i64, Error> {
    let expected = "a time such as 2026-01-31T12:00:00Z";
    at.text(expected)?
        .parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_second)
        .map_err(|_| at.unexpected(expected))
}

/// The reference, where it is the one that controls the object.
fn owner_reference(at: &Cursor<'_>) -> Result<Option<OwnerReference>, Error> {
    let object = at.object("a reference with kind and name", OWNER_FIELDS)?;
    let owner = OwnerReference {
        kind: object.required("kind", "the owner's kind", text)?,
        name: object.required("name", "the owner's name", text)?,
    };
    let controls = object.nullable("controller", boolean)?.unwrap_or_default();
    Ok(controls.then_some(owner))
}
