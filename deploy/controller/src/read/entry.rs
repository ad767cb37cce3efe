//! `networking.istio.io` WorkloadEntry, whose `spec` is also an endpoint of a ServiceEntry.

use std::sync::Arc;

use yaml::{
    Cursor, Error,
    scalar::{checked, is_host, is_label, number, port},
};

use super::{field, labels, name};
use crate::objects::{Address, Endpoint, Meta, WorkloadEntry};

const FIELDS: &[&str] = &[
    "address",
    "labels",
    "locality",
    "network",
    "ports",
    "serviceAccount",
    "weight",
];

/// Fits a label, which a network also is elsewhere.
const MAX_NETWORK_BYTES: usize = 253;

const ENDPOINT: &str = "a mapping with address";
const ADDRESS: &str = "an IP address or a hostname";

pub(super) fn workload_entry(at: &Cursor<'_>, meta: Meta) -> Result<WorkloadEntry, Error> {
    let object = at.object(
        "a WorkloadEntry",
        &["apiVersion", "kind", "metadata", "spec", "status"],
    )?;
    let mut endpoint = object.required("spec", ENDPOINT, endpoint)?;
    for (name, value) in &meta.labels {
        if !endpoint.labels.contains_key(name) {
            endpoint.labels.insert(name.clone(), value.clone());
        }
    }
    Ok(WorkloadEntry { meta, endpoint })
}

/// Reads a `WorkloadEntry.spec`.
pub(super) fn endpoint(at: &Cursor<'_>) -> Result<Endpoint, Error> {
    let object = at.object(ENDPOINT, FIELDS)?;
    let network = field::text(&object, "network", network)?.unwrap_or_default();
    let address = field::text(&object, "address", address)?;
    if address.is_none() && network.is_empty() {
        return Err(object.missing(
            "address",
            "an IP address or a hostname, where there is no network",
        ));
    }
    let mut ports = std::collections::BTreeMap::new();
    object.nullable("ports", |at| {
        at.entries("a mapping of names of ports to ports", |key, value| {
            let name = checked(key, "the name of a service's port", is_label)?;
            ports.insert(name.to_owned(), port(value)?.get());
            Ok(())
        })
    })?;
    Ok(Endpoint {
        address,
        ports,
        labels: object
            .nullable("labels", labels::labels)?
            .unwrap_or_default(),
        network,
        locality: field::text(&object, "locality", locality)?.unwrap_or_default(),
        weight: object.nullable("weight", |at| {
            number(at, "a whole number from 0 to 4294967295")
        })?,
        service_account: field::text(&object, "serviceAccount", |at| {
            name::subdomain(at).map(Arc::from)
        })?
        .unwrap_or_default(),
    })
}

fn address(at: &Cursor<'_>) -> Result<Address, Error> {
    let text = at.text(ADDRESS)?;
    if text.starts_with("unix:") {
        return Err(
            at.unexpected("an IP address or a hostname; a mesh does not reach into a unix socket")
        );
    }
    match text.parse() {
        Ok(ip) if is_host(ip) => Ok(Address::Ip(ip)),
        Ok(_) => Err(at.unexpected("the address of one host, or a hostname")),
        Err(_) => {
            let host = name::canonical(text);
            if name::is_hostname(&host) {
                Ok(Address::Host(host))
            } else {
                Err(at.unexpected(ADDRESS))
            }
        }
    }
}

fn network(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "a network's name without spaces and slashes";
    checked(at, expected, |text| {
        text.len() <= MAX_NETWORK_BYTES
            && !text
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || c == '/')
    })
    .map(str::to_owned)
}

/// `region`, `region/zone` or `region/zone/subzone`.
fn locality(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "a locality such as region/zone/subzone";
    checked(at, expected, |text| {
        let parts: Vec<&str> = text.split('/').collect();
        parts.len() <= 3
            && parts.iter().all(|part| {
                !part.is_empty()
                    && !part
                        .chars()
                        .any(|c| c.is_whitespace() || c.is_control() || c == '*')
            })
    })
    .map(str::to_owned)
}
