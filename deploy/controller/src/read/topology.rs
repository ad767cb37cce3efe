//! `gatewayTopology` of a ProxyConfig.
//!
//! In: a ProxyConfig. Out: the topology, or why it cannot be read. Never: refuses the object that holds it, which would leave all else that
//! it says as it was yesterday.
//!
//! Most of ProxyConfig is for proxies that are not here; its other fields are accepted without a look.
//!
//! Source: `istio.mesh.v1alpha1.ProxyConfig`, `Topology`; protobuf's JSON form.

use yaml::{Cursor, Error, Value, nearest::nearest};

use super::{embedded::embedded, field, traffic_policy};
use crate::objects::{ForwardClientCert, GatewayTopology};

/// A topology, or why there is none to be had.
pub(super) type Read = Option<Result<GatewayTopology, String>>;

const TOPOLOGY: &str = "gatewayTopology";
const TOPOLOGY_FIELDS: &[&str] = &[
    "forwardClientCertDetails",
    "numTrustedProxies",
    "proxyProtocol",
];

const CONFIG: &str = "a ProxyConfig: a mapping";
const FORWARD: &str =
    "SANITIZE or SANITIZE_SET: with any other, what a client says of itself would count";
const EXPECTED: &str =
    "a mapping with numTrustedProxies, proxyProtocol and forwardClientCertDetails";

/// That of a ProxyConfig.
pub(super) fn of_config(at: &Cursor<'_>) -> Read {
    settled(at, config(at))
}

/// That of a ProxyConfig which is written as a text.
pub(super) fn of_text(at: &Cursor<'_>) -> Read {
    let read = embedded(at, "ProxyConfig", config);
    settled(at, read.map(Option::flatten))
}

fn settled(at: &Cursor<'_>, read: Result<Option<GatewayTopology>, Error>) -> Read {
    match read {
        Ok(read) => read.map(Ok),
        Err(error) => {
            let reason = field::reason(error);
            at.warn(format!(
                "{reason}: a Gateway that relies on it for the addresses of clients is closed"
            ));
            Some(Err(reason))
        }
    }
}

fn config(at: &Cursor<'_>) -> Result<Option<GatewayTopology>, Error> {
    let Value::Mapping(entries) = &at.node().value else {
        return Err(at.unexpected(CONFIG));
    };
    for (key, _) in entries {
        if key.text != TOPOLOGY && nearest(&key.text, &[TOPOLOGY]).is_some() {
            at.warn(format!(
                "unknown field {:?} of ProxyConfig, ignored (did you mean {TOPOLOGY}?)",
                key.text
            ));
        }
    }
    at.field(TOPOLOGY, topology)
}

fn topology(at: &Cursor<'_>) -> Result<GatewayTopology, Error> {
    // What is passed over could be what makes an address the right one.
    let object = at.exact_object(EXPECTED, TOPOLOGY_FIELDS)?;
    Ok(GatewayTopology {
        trusted_proxies: object.nullable("numTrustedProxies", traffic_policy::trusted_proxies)?,
        proxy_protocol: object
            .nullable("proxyProtocol", |at| {
                at.exact_object("an empty mapping", &[]).map(|_| ())
            })?
            .is_some(),
        forward: object
            .nullable("forwardClientCertDetails", forward)?
            .unwrap_or_default(),
    })
}

fn forward(at: &Cursor<'_>) -> Result<ForwardClientCert, Error> {
    Ok(match at.text(FORWARD)? {
        "" | "UNDEFINED" => ForwardClientCert::Unsaid,
        "SANITIZE" => ForwardClientCert::Sanitize,
        "SANITIZE_SET" => ForwardClientCert::SanitizeSet,
        _other => {
            let error = at.unexpected(FORWARD);
            at.warn(format!(
                "{}; it is taken as SANITIZE",
                field::problem(&error)
            ));
            ForwardClientCert::Refused(field::reason(error))
        }
    })
}

#[cfg(test)]
mod tests;
