//! `ambit.waypoint.v1.Policies` and `ClientAddress`: what is asked of who comes.
//!
//! Nothing is left out of a policy: one that cannot be read refuses the whole resource that carries it, because what it denies
//! would pass without it. Defaults stand at their fields.

use std::{sync::Arc, time::Duration};

use mesh::{
    Name,
    access::{ClientAddress, Policies, Rulebook},
};

use super::{
    error::{Fault, each},
    field,
    names::Names,
    route::scalar,
};
use crate::proto::waypoint as proto;

mod authorization;
mod external;
mod jwt;
mod limit;
mod text;

/// The longest way into a claim, or into what an authorizer said. Reason: no token is read that nests deeper.
const MAX_DEPTH: usize = 32;

/// Headers that are not fields of a request, but are looked at like them.
const PSEUDO: &[&str] = &[":method", ":path", ":scheme", ":authority"];

/// Reads what is asked; absent is nothing.
pub(super) fn policies(
    field: &str,
    read: Option<&proto::Policies>,
    names: &mut Names,
) -> Result<Policies, Fault> {
    let Some(read) = read else {
        return Ok(Policies::default());
    };
    let mut policies = || {
        let authorization = each("authorization", &read.authorization, |read| {
            authorization::policy(read, names)
        })?;
        Ok(Policies {
            authorization: Rulebook::new(authorization),
            authentication: each("authentication", &read.authentication, |read| {
                jwt::policy(read, names).map(Arc::new)
            })?,
            rate_limits: each("rate_limits", &read.rate_limits, |read| {
                limit::limit(read, names).map(Arc::new)
            })?,
        })
    };
    policies().map_err(|fault: Fault| fault.within(field))
}

/// Reads whose word counts for the client's address; absent: it is not said.
pub(super) fn client_address(
    read: Option<&proto::ClientAddress>,
) -> Result<Option<ClientAddress>, Fault> {
    let convert = |read: &proto::ClientAddress| {
        Ok(ClientAddress {
            trusted_peers: each("trusted_peers", &read.trusted_peers, text::principal)?,
            trusted_proxies: read.trusted_proxies,
            proxy_protocol: read.proxy_protocol,
        })
    };
    let converted = read.map(convert).transpose();
    converted.map_err(|fault: Fault| fault.within("client_address"))
}

/// Text that must be there.
fn text(field: &str, text: &str) -> Result<Name, Fault> {
    if text.is_empty() {
        return Err(Fault::text(field, text, "a text that is not empty"));
    }
    Ok(Name::from(&*scalar::text(field, text)?))
}

/// The name of a header, in lower case.
fn header(field: &str, name: &str) -> Result<Name, Fault> {
    Ok(Name::from(&*scalar::header(field, name, &[])?))
}

/// A header to be written.
fn header_text(read: &proto::Header) -> Result<(Name, Name), Fault> {
    let value = scalar::text("value", &read.value)?;
    Ok((header("name", &read.name)?, Name::from(&*value)))
}

/// The way into a claim or into what an authorizer said.
fn way(field: &str, read: &[String]) -> Result<Vec<Name>, Fault> {
    if read.is_empty() || read.len() > MAX_DEPTH {
        let found = format!("{} names", read.len());
        return Err(Fault::new(field, found, "from 1 to 32 names"));
    }
    each(field, read, |name| text("", name))
}

/// A time; 0 is the default.
fn time_or(us: u64, default: Duration) -> Duration {
    match us {
        0 => default,
        us => Duration::from_micros(us),
    }
}

/// The name of a policy.
fn key(namespace: &str, name: &str, names: &mut Names) -> Result<mesh::PolicyKey, Fault> {
    let name = field::name("name", name)?;
    let namespace = field::required_segment("namespace", namespace)?;
    Ok(mesh::PolicyKey {
        namespace: names.namespaces.share(namespace),
        name: names.labels.share(name),
    })
}

#[cfg(test)]
mod tests;
