//! `spec.tls[]` and `spec.tcp[]`. As in matches of HTTP, nothing in a match is left out.

use std::collections::BTreeSet;

use yaml::{Cursor, Error, Object, scalar::range};

use super::{destination, matches};
use crate::{
    objects::virtual_service::{L4Match, TcpRoute, TlsRoute},
    read::{field, labels, name},
};

/// Each is tried in turn.
const MAX_MATCHES: usize = 1024;
/// Each is compared in turn.
const MAX_NAMES: usize = 1024;

const TLS_FIELDS: &[&str] = &[
    "destinationSubnets",
    "gateways",
    "port",
    "sniHosts",
    "sourceLabels",
    "sourceNamespace",
];
const TCP_FIELDS: &[&str] = &[
    "destinationSubnets",
    "gateways",
    "port",
    "sourceLabels",
    "sourceNamespace",
    "sourceSubnet",
];

const SNI_HOSTS: &str = "a list of at least one name, such as db.example.com or *.example.com";
const ROUTE: &str = "a list of at least one destination";

pub(super) fn tls(at: &Cursor<'_>) -> Result<TlsRoute, Error> {
    const MATCH: &str = "a list of at least one match with sniHosts";
    let object = at.object("a route with match and route", &["match", "route"])?;
    let matches = object.required("match", MATCH, |at| {
        let matches = field::items_up_to(at, MATCH, MAX_MATCHES, tls_match)?;
        if matches.is_empty() {
            return Err(at.unexpected(MATCH));
        }
        Ok(matches)
    })?;
    Ok(TlsRoute {
        matches,
        destinations: object.required("route", ROUTE, destination::l4_destinations)?,
    })
}

pub(super) fn tcp(at: &Cursor<'_>) -> Result<TcpRoute, Error> {
    let object = at.object("a route with match and route", &["match", "route"])?;
    Ok(TcpRoute {
        matches: field::list_up_to(&object, "match", "a list of matches", MAX_MATCHES, |at| {
            let object = at.exact_object("a match with port or the like", TCP_FIELDS)?;
            let matched = l4_match(&object)?;
            Ok(L4Match {
                source_subnet: field::text(&object, "sourceSubnet", range)?,
                ..matched
            })
        })?,
        destinations: object.required("route", ROUTE, destination::l4_destinations)?,
    })
}

fn tls_match(at: &Cursor<'_>) -> Result<L4Match, Error> {
    let object = at.exact_object("a match with sniHosts", TLS_FIELDS)?;
    let hosts = object.required("sniHosts", SNI_HOSTS, |at| {
        let hosts = field::items_up_to(at, SNI_HOSTS, MAX_NAMES, |at| {
            if at.text(SNI_HOSTS)? == "*" {
                return Ok("*".to_owned());
            }
            name::wildcard_hostname(at)
        })?;
        if hosts.is_empty() {
            return Err(at.unexpected(SNI_HOSTS));
        }
        Ok(hosts)
    })?;
    Ok(L4Match {
        sni_hosts: hosts.into_iter().collect(),
        ..l4_match(&object)?
    })
}

/// What both have.
fn l4_match(object: &Object<'_>) -> Result<L4Match, Error> {
    let expected = "a list of addresses and ranges";
    let subnets = field::list_up_to(object, "destinationSubnets", expected, MAX_NAMES, range)?;
    Ok(L4Match {
        sni_hosts: BTreeSet::new(),
        destination_subnets: subnets.into_iter().collect(),
        port: matches::port(object)?,
        source_labels: object
            .nullable("sourceLabels", labels::labels)?
            .unwrap_or_default(),
        source_namespace: matches::source_namespace(object)?,
        source_subnet: None,
        gateways: matches::gateways(object)?,
    })
}
