//! `parentRefs[]` and `backendRefs[]`.

use yaml::{
    Cursor, Error, Object,
    scalar::{checked, port},
};

use super::{FIELDS, MAX_ITEMS};
use crate::{
    objects::{
        Meta,
        route::{BackendRef, ParentRef},
    },
    read::{field, name, number},
};

/// Source: Gateway API v1, `parentRefs`.
const MAX_PARENTS: usize = 32;
/// Source: Gateway API v1, `Kind`.
const MAX_KIND_BYTES: usize = 63;
/// Source: Gateway API v1, `weight`.
const MAX_WEIGHT: u32 = 1_000_000;

const PARENT_FIELDS: &[&str] = &["group", "kind", "name", "namespace", "port", "sectionName"];
const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
const PARENT: &str = "a reference with name";
const BACKEND: &str = "a reference with name and port";

/// Fields of a `backendRef`, which stands among those of its own.
pub(super) const BACKEND_FIELDS: &[&str] = &["group", "kind", "name", "namespace", "port"];

/// Reads the object around a route's `spec`; the route's own reader gets the latter.
pub(super) fn route<T: Default>(
    at: &Cursor<'_>,
    meta: Meta,
    called: &'static str,
    spec: impl FnOnce(&Cursor<'_>, Meta) -> Result<T, Error>,
) -> Result<T, Error> {
    let object = at.object(called, FIELDS)?;
    object.required("spec", "a mapping with parentRefs and rules", |at| {
        spec(at, meta)
    })
}

/// `spec.parentRefs`, each once.
pub(super) fn parents(object: &Object<'_>) -> Result<Vec<ParentRef>, Error> {
    let mut read: Vec<ParentRef> = Vec::new();
    let expected = "a list of references";
    field::list_up_to(object, "parentRefs", expected, MAX_PARENTS, |at| {
        let parent = parent(at)?;
        if read.contains(&parent) {
            let expected = "each parent once, or with another sectionName or port";
            return Err(at.unexpected(expected));
        }
        read.push(parent);
        Ok(())
    })?;
    Ok(read)
}

fn parent(at: &Cursor<'_>) -> Result<ParentRef, Error> {
    // Without a misspelt port the route would hold for all of them.
    let object = at.exact_object(PARENT, PARENT_FIELDS)?;
    Ok(ParentRef {
        group: group(&object)?.unwrap_or_else(|| GATEWAY_GROUP.to_owned()),
        kind: kind(&object)?.unwrap_or_else(|| "Gateway".to_owned()),
        namespace: namespace(&object)?,
        name: object.required("name", PARENT, |at| name::subdomain(at).map(str::to_owned))?,
        section: field::text(&object, "sectionName", |at| {
            name::subdomain(at).map(str::to_owned)
        })?,
        port: object.nullable("port", |at| port(at).map(|port| port.get()))?,
    })
}

/// A reference that is all there is.
pub(super) fn backend_ref(at: &Cursor<'_>) -> Result<BackendRef, Error> {
    backend(&at.exact_object(BACKEND, BACKEND_FIELDS)?)
}

/// The fields of a reference, among others of the object.
pub(super) fn backend(object: &Object<'_>) -> Result<BackendRef, Error> {
    let backend = BackendRef {
        group: group(object)?.unwrap_or_default(),
        kind: kind(object)?.unwrap_or_else(|| "Service".to_owned()),
        namespace: namespace(object)?,
        name: object.required("name", BACKEND, |at| name::subdomain(at).map(str::to_owned))?,
        port: object.nullable("port", |at| port(at).map(|port| port.get()))?,
    };
    if backend.group.is_empty() && backend.kind == "Service" && backend.port.is_none() {
        return Err(object.missing("port", "a port from 1 to 65535, for a Service"));
    }
    Ok(backend)
}

/// `weight` of a backend.
pub(super) fn weight(object: &Object<'_>) -> Result<u32, Error> {
    let weight = object.nullable("weight", |at| {
        number::within(at, 0..=MAX_WEIGHT, "a whole number from 0 to 1000000")
    })?;
    Ok(weight.unwrap_or(1))
}

/// `backendRefs` of whatever form.
pub(super) fn backends<T>(
    object: &Object<'_>,
    read: impl FnMut(&Cursor<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    field::list_up_to(
        object,
        "backendRefs",
        "a list of references",
        MAX_ITEMS,
        read,
    )
}

/// `group`: an empty one, the core's, is not the same as none.
pub(super) fn group(object: &Object<'_>) -> Result<Option<String>, Error> {
    object.nullable("group", |at| {
        let expected = "an API group such as gateway.networking.k8s.io, or an empty text";
        checked(at, expected, |text| {
            text.is_empty() || name::is_subdomain(text)
        })
        .map(str::to_owned)
    })
}

pub(super) fn kind(object: &Object<'_>) -> Result<Option<String>, Error> {
    object.nullable("kind", kind_name)
}

pub(super) fn kind_name(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "a kind such as Service";
    checked(at, expected, |text| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        text.len() <= MAX_KIND_BYTES
            && text
                .bytes()
                .next()
                .is_some_and(|byte| byte.is_ascii_alphabetic())
            && text.bytes().all(inner)
            && !text.ends_with('-')
    })
    .map(str::to_owned)
}

fn namespace(object: &Object<'_>) -> Result<Option<String>, Error> {
    field::text(object, "namespace", |at| name::label(at).map(str::to_owned))
}
