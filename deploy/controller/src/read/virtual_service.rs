//! `networking.istio.io` VirtualService, refused where Istio's webhook refuses it.
//!
//! Source: `istio.networking.v1.VirtualService`; validation of `pkg/config/validation`. Unlike it, claims of
//! tokens among headers (`@request.auth.claims`) are for waypoints, too, and not for gateways alone.
//!
//! A field that is not known is an error where leaving it out would send requests elsewhere: in matches and in
//! destinations. Otherwise it is a warning.

mod action;
mod cors;
mod destination;
mod fault;
mod http;
mod l4;
mod matches;
mod retry;

pub(super) use action::{authority, path as rewritten_path, redirect_code};
pub(super) use cors::{header_names, methods};
pub(super) use retry::retries;

use std::{collections::HashMap, net::IpAddr};

use yaml::{Cursor, Error, Position};

use super::{export, field, name};
use crate::objects::{Meta, VirtualService, virtual_service::MESH_GATEWAY};

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
const SPEC_FIELDS: &[&str] = &["exportTo", "gateways", "hosts", "http", "tcp", "tls"];

/// Hosts of one object. An object that etcd takes has hardly more.
const MAX_HOSTS: usize = 4096;
/// Gateways of one object, of which at most one is a mesh.
const MAX_GATEWAYS: usize = 256;
/// Rules of each kind of one object. An object that etcd takes (1.5 MiB) has hardly more, and each is tried in turn.
const MAX_RULES: usize = 4096;

const SPEC: &str = "a mapping with hosts, and with http, tls or tcp";
const HOST: &str =
    "a hostname such as reviews, db.example.com or *.example.com, an IP address, or *";

/// Reads a VirtualService.
///
/// # Errors
/// Istio's webhook would refuse it.
pub(super) fn virtual_service(at: &Cursor<'_>, meta: Meta) -> Result<VirtualService, Error> {
    let object = at.object("a VirtualService", FIELDS)?;
    object.required("spec", SPEC, |at| spec(at, meta))
}

fn spec(at: &Cursor<'_>, meta: Meta) -> Result<VirtualService, Error> {
    let object = at.object(SPEC, SPEC_FIELDS)?;
    let hosts = object.nullable("hosts", hosts)?.unwrap_or_default();
    let mut gateways = field::list_up_to(
        &object,
        "gateways",
        "a list of names of gateways",
        MAX_GATEWAYS,
        gateway,
    )?;
    if hosts.is_empty() {
        // What others delegate to has neither.
        if !gateways.is_empty() {
            return Err(object.missing("hosts", "at least one hostname, where there are gateways"));
        }
    }
    if gateways.is_empty() {
        gateways.push(MESH_GATEWAY.to_owned());
    }
    let service = VirtualService {
        meta,
        hosts,
        gateways,
        export_to: export::export_to(&object)?,
        http: field::list_up_to(&object, "http", "a list of routes", MAX_RULES, http::route)?,
        tls: field::list_up_to(&object, "tls", "a list of routes", MAX_RULES, l4::tls)?,
        tcp: field::list_up_to(&object, "tcp", "a list of routes", MAX_RULES, l4::tcp)?,
    };
    if service.is_for_mesh() && service.hosts.iter().any(|host| host == "*") {
        return field::refuse(&object, "hosts", "no * alone for the gateway `mesh`");
    }
    if service.http.is_empty() && service.tls.is_empty() && service.tcp.is_empty() {
        return Err(object.missing("http", "at least one of http, tls and tcp"));
    }
    Ok(service)
}

fn hosts(at: &Cursor<'_>) -> Result<Vec<String>, Error> {
    let mut first_by_host: HashMap<String, Position> = HashMap::new();
    field::items_up_to(at, "a list of hostnames", MAX_HOSTS, |at| {
        let host = host(at)?;
        if let Some(first) = first_by_host.insert(host.clone(), at.position()) {
            return Err(at.duplicate(&host, first, "each host once"));
        }
        Ok(host)
    })
}

fn host(at: &Cursor<'_>) -> Result<String, Error> {
    let text = at.text(HOST)?;
    if text == "*" {
        return Ok(text.to_owned());
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(ip.to_string());
    }
    name::wildcard_hostname(at).map_err(|_| at.unexpected(HOST))
}

/// `mesh`, a name, or a namespace, `/` and a name.
fn gateway(at: &Cursor<'_>) -> Result<String, Error> {
    const GATEWAY: &str = "mesh, the name of a gateway, or namespace/name";
    let text = at.text(GATEWAY)?;
    let is_name = match text.split_once('/') {
        Some((namespace, name)) => name::is_subdomain(namespace) && name::is_subdomain(name),
        None => name::is_subdomain(text),
    };
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(at.unexpected(GATEWAY))
    }
}

#[cfg(test)]
mod tests;
