//! `security.istio.io` PeerAuthentication, refused where Istio's webhook refuses it.
//!
//! Source: Istio PeerAuthentication; validation of `pkg/config/validation`.

use std::collections::BTreeMap;

use yaml::{
    Cursor, Error, Object,
    scalar::{port, word},
};

use super::{field, labels};
use crate::objects::{Meta, MutualTls, PeerAuthentication, Selector};

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

const SPEC_FIELDS: &[&str] = &["mtls", "portLevelMtls", "selector"];

const MTLS: &str = "a mapping with mode";
const PORTS: &str = "a mapping of at least one port to its mode";

/// Reads a policy. A `spec` that is missing is an empty one, which changes nothing.
///
/// # Errors
/// Istio's webhook would refuse it.
pub(crate) fn peer_authentication(
    at: &Cursor<'_>,
    meta: Meta,
) -> Result<PeerAuthentication, Error> {
    let object = at.object("a PeerAuthentication", FIELDS)?;
    let mut policy = PeerAuthentication {
        meta,
        ..PeerAuthentication::default()
    };
    object.nullable("spec", |at| {
        let object = at.object("a mapping with mtls", SPEC_FIELDS)?;
        policy.mode = object.nullable("mtls", mode)?;
        policy.selector = object.nullable("selector", |at| {
            let selector = labels::workload_selector(at)?;
            if selector.0.is_empty() {
                at.warn("a selector without labels is as if it were not there");
            }
            Ok(selector)
        })?;
        policy.ports = ports(&object, policy.selector.as_ref())?;
        Ok(())
    })?;
    Ok(policy)
}

fn mode(at: &Cursor<'_>) -> Result<MutualTls, Error> {
    let object = at.object(MTLS, &["mode"])?;
    let modes = [
        ("UNSET", MutualTls::Unset),
        ("DISABLE", MutualTls::Disable),
        ("PERMISSIVE", MutualTls::Permissive),
        ("STRICT", MutualTls::Strict),
    ];
    let mode = object.nullable("mode", |at| word(at, &modes))?;
    Ok(mode.unwrap_or_default())
}

/// Modes of ports, which only some workloads of a namespace can have.
fn ports(
    object: &Object<'_>,
    selector: Option<&Selector>,
) -> Result<BTreeMap<u16, MutualTls>, Error> {
    let ports = object.nullable("portLevelMtls", |at| {
        let mut ports = BTreeMap::new();
        at.entries(PORTS, |key, value| {
            ports.insert(port(key)?.get(), mode(value)?);
            Ok(())
        })?;
        if ports.is_empty() {
            return Err(at.unexpected(PORTS));
        }
        Ok(ports)
    })?;
    match ports {
        None => Ok(BTreeMap::new()),
        Some(ports) if selector.is_some_and(|it| !it.0.is_empty()) => Ok(ports),
        Some(_) => {
            let expected = "none without a selector: a mode for ports needs to know whose";
            field::refuse(object, "portLevelMtls", expected)
        }
    }
}

#[cfg(test)]
mod tests;
