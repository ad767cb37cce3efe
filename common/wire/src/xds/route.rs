//! `ambit.waypoint.v1.RouteTable`.
//!
//! Nothing is left out of a table: a rule that cannot be read refuses the whole of it, because the requests that it is for
//! would go where another rule says.

use mesh::{
    Namespace,
    route::{
        Action, DirectResponse, HttpRule, HttpRules, RouteKey, RouteTable, TcpRoute, TlsRoute,
    },
};

use super::{
    access,
    error::{Fault, each},
    field,
    names::Names,
};
use crate::proto::waypoint as proto;

mod behavior;
mod edit;
mod forward;
mod matching;
pub(super) mod scalar;

pub(super) use behavior::retry;
pub(super) use forward::backend;
pub(super) use matching::http as http_match;

/// The longest body of a direct response. Units: bytes. Source: Istio, `HTTPBody`.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Reads a route table.
pub(super) fn read(read: &proto::RouteTable, names: &mut Names) -> Result<RouteTable, Fault> {
    let (namespace, hostname) = field::namespaced_hostname("service", &read.service)?;
    let key = RouteKey::new(
        names.service(namespace, &hostname),
        field::port("port", read.port)?.get(),
    );
    let mut table = RouteTable::new(key);
    table.unenforced = each("unenforced", &read.unenforced, |text| {
        Ok(field::name("", text)?.into())
    })?;
    if let Some(routes) = &read.http {
        table.http = Some(rules(routes, names).map_err(|fault| fault.within("http"))?);
    }
    for (namespace, routes) in &read.consumers {
        let within = field::entry("consumers", namespace);
        let namespace: Namespace = names
            .namespaces
            .share(field::required_segment(&within, namespace)?);
        let rules = rules(routes, names).map_err(|fault| fault.within(&within))?;
        table.consumers.insert(namespace, rules);
    }
    table.tls = each("tls", &read.tls, |route| tls(route, names))?;
    table.tcp = each("tcp", &read.tcp, |route| tcp(route, names))?;
    table.grpc_web = read.grpc_web;
    table.policies = access::policies("policies", read.policies.as_ref(), names)?;
    table.client_address = access::client_address(read.client_address.as_ref())?;
    Ok(table)
}

fn rules(read: &proto::HttpRoutes, names: &mut Names) -> Result<HttpRules, Fault> {
    let rules = each("rules", &read.rules, |read| rule(read, names))?;
    Ok(HttpRules::new(rules))
}

fn rule(read: &proto::HttpRule, names: &mut Names) -> Result<HttpRule, Fault> {
    use proto::http_rule::Action as Read;
    let action = match &read.action {
        Some(Read::Forward(read)) => forward::forward(read, names)
            .map(Action::Forward)
            .map_err(|fault| fault.within("forward")),
        Some(Read::Redirect(read)) => edit::redirect(read)
            .map(Action::Redirect)
            .map_err(|fault| fault.within("redirect")),
        Some(Read::Respond(read)) => respond(read)
            .map(Action::Respond)
            .map_err(|fault| fault.within("respond")),
        None => Err(Fault::missing("", "forward, redirect or respond")),
    }?;
    Ok(HttpRule {
        name: field::label("name", &read.name)?.into(),
        matches: each("matches", &read.matches, matching::http)?,
        action,
        request_headers: edit::headers("request_headers", read.request_headers.as_ref())?,
        response_headers: edit::headers("response_headers", read.response_headers.as_ref())?,
        rewrite: edit::optional_rewrite(read.rewrite.as_ref())?,
        mirrors: each("mirrors", &read.mirrors, |read| {
            forward::mirror(read, names)
        })?,
        cors: optional("cors", read.cors.as_ref(), behavior::cors)?,
        fault: optional("fault", read.fault.as_ref(), behavior::fault)?,
        timeout: scalar::duration(read.timeout_us),
        retry: optional("retry", read.retry.as_ref(), retry)?,
    })
}

fn respond(read: &proto::DirectResponse) -> Result<DirectResponse, Fault> {
    if read.body.len() > MAX_BODY_BYTES {
        let found = format!("{} bytes", read.body.len());
        return Err(Fault::new("body", found, "at most 1048576 bytes"));
    }
    Ok(DirectResponse {
        status: scalar::status("status", read.status)?,
        body: (*read.body).into(),
    })
}

fn tls(read: &proto::TlsRoute, names: &mut Names) -> Result<TlsRoute, Fault> {
    Ok(TlsRoute {
        name: field::label("name", &read.name)?.into(),
        server_names: each("server_names", &read.server_names, |text| {
            matching::host(text)
        })?,
        backends: each("backends", &read.backends, |read| {
            forward::weighted(read, names)
        })?,
    })
}

fn tcp(read: &proto::TcpRoute, names: &mut Names) -> Result<TcpRoute, Fault> {
    Ok(TcpRoute {
        name: field::label("name", &read.name)?.into(),
        destination_subnets: each("destination_subnets", &read.destination_subnets, |text| {
            scalar::subnet("", text)
        })?,
        source_subnet: match &*read.source_subnet {
            "" => None,
            text => Some(scalar::subnet("source_subnet", text)?),
        },
        backends: each("backends", &read.backends, |read| {
            forward::weighted(read, names)
        })?,
    })
}

fn optional<T, U>(
    field: &str,
    read: Option<&T>,
    convert: impl FnOnce(&T) -> Result<U, Fault>,
) -> Result<Option<U>, Fault> {
    let converted = read.map(convert).transpose();
    converted.map_err(|fault| fault.within(field))
}

#[cfg(test)]
mod tests;
