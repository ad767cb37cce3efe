//! `discovery.k8s.io/v1` EndpointSlice.

use std::{net::IpAddr, sync::Arc};

use yaml::{
    Cursor, Error,
    scalar::{boolean, checked, host, port, text, word},
};

use super::{field, name, pod::is_tcp};
use crate::objects::{EndpointSlice, Meta, SliceEndpoint, SlicePort};

/// Source: `discovery.k8s.io/v1 EndpointSlice.endpoints`.
const MAX_ENDPOINTS: usize = 1000;
/// Source: `discovery.k8s.io/v1 Endpoint.addresses`.
const MAX_ADDRESSES: usize = 100;

const FIELDS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "addressType",
    "endpoints",
    "ports",
];

const ENDPOINT_FIELDS: &[&str] = &[
    "addresses",
    "conditions",
    "deprecatedTopology",
    "hints",
    "hostname",
    "nodeName",
    "targetRef",
    "zone",
];

const REFERENCE_FIELDS: &[&str] = &[
    "apiVersion",
    "fieldPath",
    "kind",
    "name",
    "namespace",
    "resourceVersion",
    "uid",
];

const ADDRESSES: &str = "a list of 1 to 100 addresses";

/// `addressType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    /// Names: they have no part in a mesh.
    Names,
}

pub(super) fn endpoint_slice(at: &Cursor<'_>, meta: Meta) -> Result<EndpointSlice, Error> {
    let object = at.object("an EndpointSlice", FIELDS)?;
    let families = [
        ("IPv4", Family::V4),
        ("IPv6", Family::V6),
        ("FQDN", Family::Names),
    ];
    let family = object.required("addressType", "IPv4 or IPv6 or FQDN", |at| {
        let family = word(at, &families)?;
        if family == Family::Names {
            at.warn("endpoints of this type have no addresses that a mesh could know, ignored");
        }
        Ok(family)
    })?;
    let endpoints = field::list(&object, "endpoints", "a list of endpoints", |at| {
        endpoint(at, family, &meta)
    })?;
    if endpoints.len() > MAX_ENDPOINTS {
        return field::refuse(&object, "endpoints", "at most 1000 endpoints");
    }
    let ports = field::list(&object, "ports", "a list of ports", slice_port)?;
    Ok(EndpointSlice {
        endpoints: endpoints.into_iter().flatten().collect(),
        ports: ports.into_iter().flatten().collect(),
        meta,
    })
}

fn endpoint(at: &Cursor<'_>, family: Family, meta: &Meta) -> Result<Option<SliceEndpoint>, Error> {
    let object = at.object("an endpoint with addresses", ENDPOINT_FIELDS)?;
    let addresses = object.required("addresses", ADDRESSES, |at| {
        let addresses = at.list(ADDRESSES, |at| address(at, family))?;
        if (1..=MAX_ADDRESSES).contains(&addresses.len()) {
            Ok(addresses)
        } else {
            Err(at.unexpected(ADDRESSES))
        }
    })?;
    let (ready, terminating) = object
        .nullable("conditions", conditions)?
        .unwrap_or((true, false));
    let pod = object
        .nullable("targetRef", |at| target(at, &meta.namespace))?
        .flatten();
    let node = field::text(&object, "nodeName", |at| name::subdomain(at).map(Arc::from))?;
    Ok((family != Family::Names).then(|| SliceEndpoint {
        addresses: addresses.into_iter().flatten().collect(),
        ready,
        terminating,
        pod,
        node: node.unwrap_or_default(),
    }))
}

fn address(at: &Cursor<'_>, family: Family) -> Result<Option<IpAddr>, Error> {
    let (expected, v4) = match family {
        Family::V4 => ("an IPv4 address, as addressType says", true),
        Family::V6 => ("an IPv6 address, as addressType says", false),
        Family::Names => return name::hostname(at).map(|_| None),
    };
    let ip = host(at)?;
    if ip.is_ipv4() == v4 {
        Ok(Some(ip))
    } else {
        Err(at.unexpected(expected))
    }
}

/// Whether it is ready, and whether it is about to go.
fn conditions(at: &Cursor<'_>) -> Result<(bool, bool), Error> {
    let object = at.object(
        "a mapping with ready, serving and terminating",
        &["ready", "serving", "terminating"],
    )?;
    Ok((
        // Unknown is to be taken as true.
        object.nullable("ready", boolean)?.unwrap_or(true),
        field::switch(&object, "terminating")?,
    ))
}

/// A namespace and a name.
type PodName = (Arc<str>, Arc<str>);

/// Namespace and name of the pod behind the endpoint.
fn target(at: &Cursor<'_>, namespace: &Arc<str>) -> Result<Option<PodName>, Error> {
    let object = at.object("a reference with kind and name", REFERENCE_FIELDS)?;
    if field::text(&object, "kind", text)?.as_deref() != Some("Pod") {
        return Ok(None);
    }
    let of = field::text(&object, "namespace", |at| name::label(at).map(Arc::from))?;
    let name = object.required("name", "the pod's name", |at| {
        name::subdomain(at).map(Arc::from)
    })?;
    Ok(Some((of.unwrap_or_else(|| Arc::clone(namespace)), name)))
}

fn slice_port(at: &Cursor<'_>) -> Result<Option<SlicePort>, Error> {
    let object = at.object(
        "a port with name and port",
        &["appProtocol", "name", "port", "protocol"],
    )?;
    let tcp = field::text(&object, "protocol", is_tcp)?.unwrap_or(true);
    let name = field::text(&object, "name", |at| {
        let expected = "the name of a service's port";
        checked(at, expected, yaml::scalar::is_label).map(str::to_owned)
    })?
    .unwrap_or_default();
    let Some(number) = object.nullable("port", port)? else {
        at.warn("a port without a number leads nowhere, ignored");
        return Ok(None);
    };
    Ok(tcp.then(|| SlicePort {
        name,
        port: number.get(),
    }))
}
