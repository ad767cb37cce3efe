//! `networking.istio.io` ServiceEntry, under the rules of Istio's validation.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;
use yaml::{
    Cursor, Error, Object, Position,
    scalar::{MAX_NAME_BYTES, checked, host, port, range, word},
};

use super::{entry, field, labels, name, protocol};
use crate::objects::{
    Address, AppProtocol, Endpoint, EntryPort, Location, Meta, Resolution, Selector, ServiceEntry,
};

const SPEC_FIELDS: &[&str] = &[
    "addresses",
    "endpoints",
    "exportTo",
    "hosts",
    "location",
    "ports",
    "resolution",
    "subjectAltNames",
    "workloadSelector",
];

const STATUS_FIELDS: &[&str] = &[
    "addresses",
    "conditions",
    "observedGeneration",
    "validationMessages",
];

const SPEC: &str = "a mapping with hosts, ports and resolution";
const HOSTS: &str = "a list of at least one hostname";

pub(super) fn service_entry(at: &Cursor<'_>, meta: Meta) -> Result<ServiceEntry, Error> {
    let object = at.object(
        "a ServiceEntry",
        &["apiVersion", "kind", "metadata", "spec", "status"],
    )?;
    let mut entry = object.required("spec", SPEC, |at| spec(at, meta))?;
    object.nullable("status", |at| {
        let object = at.object("a mapping with addresses", STATUS_FIELDS)?;
        entry.allocated = field::list(&object, "addresses", "a list of addresses", allocated)?;
        Ok(())
    })?;
    Ok(entry)
}

fn spec(at: &Cursor<'_>, meta: Meta) -> Result<ServiceEntry, Error> {
    let object = at.object(SPEC, SPEC_FIELDS)?;
    let hosts = object.required("hosts", HOSTS, |at| {
        let hosts = at.list(HOSTS, name::wildcard_hostname)?;
        if hosts.is_empty() {
            return Err(at.unexpected(HOSTS));
        }
        Ok(hosts)
    })?;
    let locations = [
        ("MESH_EXTERNAL", Location::External),
        ("MESH_INTERNAL", Location::Internal),
    ];
    let entry = ServiceEntry {
        meta,
        hosts,
        addresses: field::list(
            &object,
            "addresses",
            "a list of addresses and ranges",
            range,
        )?,
        allocated: Vec::new(),
        ports: ports(&object)?,
        location: field::text(&object, "location", |at| word(at, &locations))?.unwrap_or_default(),
        resolution: field::text(&object, "resolution", resolution)?.unwrap_or_default(),
        endpoints: field::list(&object, "endpoints", "a list of endpoints", entry::endpoint)?,
        selector: object.nullable("workloadSelector", workload_selector)?,
        subject_alt_names: field::list(
            &object,
            "subjectAltNames",
            "a list of names",
            subject_alt_name,
        )?,
    };
    if entry.selector.is_some() && !entry.endpoints.is_empty() {
        return field::refuse(&object, "workloadSelector", "either this or endpoints");
    }
    endpoint_ports(&object)?;
    fits_resolution(&object, &entry)?;
    Ok(entry)
}

fn resolution(at: &Cursor<'_>) -> Result<Resolution, Error> {
    word(
        at,
        &[
            ("NONE", Resolution::None),
            ("STATIC", Resolution::Static),
            ("DNS", Resolution::Dns),
            ("DNS_ROUND_ROBIN", Resolution::DnsRoundRobin),
            ("DYNAMIC_DNS", Resolution::DynamicDns),
        ],
    )
}

fn ports(object: &Object<'_>) -> Result<Vec<EntryPort>, Error> {
    let mut first_by_number: HashMap<u16, Position> = HashMap::new();
    let mut first_by_name: HashMap<String, Position> = HashMap::new();
    let ports = field::list(object, "ports", "a list of ports", |at| {
        let object = at.object(
            "a port with number, name and protocol",
            &["name", "number", "protocol", "targetPort"],
        )?;
        let number = object
            .required("number", "a port from 1 to 65535", port)?
            .get();
        let name = object.required("name", "the port's name", |at| {
            name::label(at).map(str::to_owned)
        })?;
        if let Some(first) = first_by_number.insert(number, at.position()) {
            return Err(at.duplicate(&number.to_string(), first, "each number of a port once"));
        }
        if let Some(first) = first_by_name.insert(name.clone(), at.position()) {
            return Err(at.duplicate(&name, first, "each name of a port once"));
        }
        let target = object.nullable("targetPort", port)?;
        let protocol = field::text(&object, "protocol", protocol)?;
        Ok(protocol
            .unwrap_or(Some(AppProtocol::Unknown))
            .map(|protocol| EntryPort {
                number,
                name,
                target: target
                    .map(std::num::NonZeroU16::get)
                    .filter(|target| *target != number),
                protocol,
            }))
    })?;
    Ok(ports.into_iter().flatten().collect())
}

/// `None` for UDP, which has no part in a mesh. Istio knows no case here.
fn protocol(at: &Cursor<'_>) -> Result<Option<AppProtocol>, Error> {
    let expected = "HTTP or HTTPS or HTTP2 or GRPC or GRPC-WEB or TLS or TCP or MONGO or REDIS or MYSQL or UDP";
    let word = at.text(expected)?.to_ascii_lowercase();
    if word == "udp" {
        return Ok(None);
    }
    protocol::of_word(&word)
        .map(Some)
        .ok_or_else(|| at.unexpected(expected))
}

fn workload_selector(at: &Cursor<'_>) -> Result<Selector, Error> {
    let object = at.object("a selector with labels", &["labels"])?;
    Ok(Selector(
        object
            .nullable("labels", labels::labels)?
            .unwrap_or_default(),
    ))
}

fn subject_alt_name(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "a name such as spiffe://cluster.local/ns/default/sa/server";
    checked(at, expected, |text| {
        (1..=MAX_NAME_BYTES * 4).contains(&text.len())
            && !text.chars().any(|c| c.is_whitespace() || c.is_control())
    })
    .map(str::to_owned)
}

/// An endpoint's `ports` name ports of the entry.
fn endpoint_ports(object: &Object<'_>) -> Result<(), Error> {
    let names = field::list(object, "ports", "a list of ports", |at| {
        at.field("name", |at| at.text("a name").map(str::to_owned))
    })?;
    field::list(object, "endpoints", "a list of endpoints", |at| {
        at.field("ports", |at| {
            at.entries("a mapping of names of ports to ports", |key, _| {
                let name = key.text("a name")?;
                if names.iter().flatten().any(|known| known == name) {
                    Ok(())
                } else {
                    Err(key.unexpected("the name of one of the entry's ports"))
                }
            })
        })
    })?;
    Ok(())
}

/// What each resolution asks of hosts, addresses and endpoints.
fn fits_resolution(object: &Object<'_>, entry: &ServiceEntry) -> Result<(), Error> {
    let wildcard = entry.hosts.iter().any(|host| host.starts_with('*'));
    let ranges = |entry: &ServiceEntry| {
        let whole = |range: &IpNet| range.prefix_len() == range.max_prefix_len();
        !entry.addresses.iter().all(whole)
    };
    match entry.resolution {
        Resolution::None => {
            if !entry.endpoints.is_empty() {
                return field::refuse(object, "endpoints", "none with the resolution NONE");
            }
        }
        Resolution::Static => {
            if entry.endpoints.iter().any(is_named) {
                let expected = "addresses that are IP addresses, with the resolution STATIC";
                return field::refuse(object, "endpoints", expected);
            }
            if entry.endpoints.is_empty() && entry.selector.is_none() {
                object.cursor().warn(
                    "the resolution STATIC without endpoints and workloadSelector leads nowhere",
                );
            }
        }
        Resolution::Dns | Resolution::DnsRoundRobin => {
            if entry.endpoints.is_empty() && entry.selector.is_none() && wildcard {
                let expected = "hostnames without * where DNS is to resolve them";
                return field::refuse(object, "hosts", expected);
            }
            if entry.resolution == Resolution::DnsRoundRobin && entry.endpoints.len() > 1 {
                let expected = "at most one with the resolution DNS_ROUND_ROBIN";
                return field::refuse(object, "endpoints", expected);
            }
            if ranges(entry) {
                let expected = "single addresses, except with the resolutions NONE and STATIC";
                return field::refuse(object, "addresses", expected);
            }
        }
        Resolution::DynamicDns => {
            if !entry.endpoints.is_empty() {
                return field::refuse(object, "endpoints", "none with the resolution DYNAMIC_DNS");
            }
            if entry.selector.is_some() {
                let expected = "none with the resolution DYNAMIC_DNS";
                return field::refuse(object, "workloadSelector", expected);
            }
        }
    }
    Ok(())
}

fn is_named(endpoint: &Endpoint) -> bool {
    matches!(endpoint.address, Some(Address::Host(_)))
}

/// One of `status.addresses`: the host that it is for, and the address.
fn allocated(at: &Cursor<'_>) -> Result<(String, IpAddr), Error> {
    let object = at.object("an address with value and host", &["host", "value"])?;
    Ok((
        field::text(&object, "host", name::wildcard_hostname)?.unwrap_or_default(),
        object.required("value", "an IP address", host)?,
    ))
}
