//! Gateway API: HTTPRoute, GRPCRoute, TCPRoute, TLSRoute and ReferenceGrant, refused where Kubernetes would refuse them.
//!
//! Source: Gateway API v1, of the experimental channel, with the limits and rules of its CRDs.

mod cors;
mod filter;
mod grant;
mod grpc;
mod http;
mod l4;
mod matches;
mod parent;

pub(super) use grant::reference_grant;
pub(super) use grpc::grpc_route;
pub(super) use http::http_route;
pub(super) use l4::{tcp_route, tls_route};
pub(super) use matches::http_match;

use std::collections::HashMap;

use yaml::{Cursor, Error, Object, Position};

use super::{field, name};

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

/// Source: Gateway API v1, `hostnames`, `rules`, `filters`, `backendRefs`.
const MAX_ITEMS: usize = 16;
/// Source: Gateway API v1, `rules[].matches`, alone and together.
pub(super) const MAX_MATCHES: usize = 64;
const MAX_ALL_MATCHES: usize = 128;

/// `spec.hostnames`.
fn hostnames(object: &Object<'_>) -> Result<Vec<String>, Error> {
    let expected = "a list of hostnames";
    field::list_up_to(
        object,
        "hostnames",
        expected,
        MAX_ITEMS,
        name::wildcard_hostname,
    )
}

/// The rules of a route, each name of them once.
fn rules<T>(
    at: &Cursor<'_>,
    name: impl Fn(&T) -> Option<&str>,
    read: impl Fn(&Cursor<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut first_by_name: HashMap<String, Position> = HashMap::new();
    field::items_up_to(at, "a list of rules", MAX_ITEMS, |at| {
        let rule = read(at)?;
        if let Some(name) = name(&rule)
            && let Some(first) = first_by_name.insert(name.to_owned(), at.position())
        {
            return Err(at.duplicate(name, first, "each name of a rule once"));
        }
        Ok(rule)
    })
}

/// `name` of a rule.
fn rule_name(object: &Object<'_>) -> Result<Option<String>, Error> {
    field::text(object, "name", |at| name::subdomain(at).map(str::to_owned))
}

/// `sessionPersistence` is there.
fn session_persistence(object: &Object<'_>) -> Result<bool, Error> {
    let warn = |at: &Cursor<'_>| {
        at.warn("not supported");
        Ok(())
    };
    let persistence = object.nullable("sessionPersistence", warn)?;
    Ok(persistence.is_some())
}

#[cfg(test)]
mod tests;
