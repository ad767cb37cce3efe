//! `networking.istio.io` DestinationRule, refused where Istio's webhook refuses it.
//!
//! Source: `istio.networking.v1.DestinationRule`; validation of `pkg/config/validation`.

mod balancer;
mod outlier;
mod pool;
mod tls;

pub(super) use balancer::locality;
pub(super) use outlier::outlier_detection;
pub(super) use pool::connection_pool;

use std::collections::{BTreeMap, HashMap};

use yaml::{
    Cursor, Error, Object, Position,
    scalar::{port, word},
};

use super::{export, field, labels, name};
use crate::objects::{
    DestinationRule, Meta,
    destination_rule::{PortPolicy, ProxyProtocol, Subset, TrafficPolicy, Tunnel},
};

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
const SPEC_FIELDS: &[&str] = &[
    "exportTo",
    "host",
    "subsets",
    "trafficPolicy",
    "workloadSelector",
];
const POLICY_FIELDS: &[&str] = &[
    "connectionPool",
    "loadBalancer",
    "outlierDetection",
    "portLevelSettings",
    "proxyProtocol",
    "retryBudget",
    "tls",
    "tunnel",
];
const PORT_POLICY_FIELDS: &[&str] = &[
    "connectionPool",
    "loadBalancer",
    "outlierDetection",
    "port",
    "tls",
];

/// Each is a set of endpoints of its own.
const MAX_SUBSETS: usize = 1000;
/// Source: Istio's CRD, `portLevelSettings`.
const MAX_PORTS: usize = 4096;

const SPEC: &str = "a mapping with host";
const POLICY: &str = "a traffic policy with at least one field";

/// Reads a DestinationRule.
///
/// # Errors
/// Istio's webhook would refuse it.
pub(super) fn destination_rule(at: &Cursor<'_>, meta: Meta) -> Result<DestinationRule, Error> {
    let object = at.object("a DestinationRule", FIELDS)?;
    object.required("spec", SPEC, |at| spec(at, meta))
}

fn spec(at: &Cursor<'_>, meta: Meta) -> Result<DestinationRule, Error> {
    let object = at.object(SPEC, SPEC_FIELDS)?;
    let policy = object.nullable("trafficPolicy", traffic_policy)?;
    Ok(DestinationRule {
        meta,
        host: object.required("host", "a hostname", name::wildcard_hostname)?,
        export_to: export::export_to(&object)?,
        selector: object.nullable("workloadSelector", labels::workload_selector)?,
        policy: policy.unwrap_or_default(),
        subsets: subsets(&object)?,
    })
}

fn subsets(object: &Object<'_>) -> Result<Vec<Subset>, Error> {
    let mut first_by_name: HashMap<String, Position> = HashMap::new();
    field::list_up_to(object, "subsets", "a list of subsets", MAX_SUBSETS, |at| {
        let object = at.object(
            "a subset with name and labels",
            &["labels", "name", "trafficPolicy"],
        )?;
        let name = object.required("name", "a subset's name", |at| {
            name::label(at).map(str::to_owned)
        })?;
        if let Some(first) = first_by_name.insert(name.clone(), at.position()) {
            return Err(at.duplicate(&name, first, "each name of a subset once"));
        }
        let policy = object.nullable("trafficPolicy", traffic_policy)?;
        Ok(Subset {
            name,
            labels: object
                .nullable("labels", labels::labels)?
                .unwrap_or_default(),
            policy: policy.unwrap_or_default(),
        })
    })
}

fn traffic_policy(at: &Cursor<'_>) -> Result<TrafficPolicy, Error> {
    let object = at.object(POLICY, POLICY_FIELDS)?;
    let policy = TrafficPolicy {
        any_port: blocks(&object)?,
        ports: ports(&object)?,
        retry_budget: object.nullable("retryBudget", outlier::retry_budget)?,
        proxy_protocol: object.nullable("proxyProtocol", proxy_protocol)?,
        tunnel: object.nullable("tunnel", tunnel)?,
    };
    if policy == TrafficPolicy::default() {
        return Err(at.unexpected(POLICY));
    }
    Ok(policy)
}

/// The blocks that a port can have of its own.
fn blocks(object: &Object<'_>) -> Result<PortPolicy, Error> {
    Ok(PortPolicy {
        load_balancer: object.nullable("loadBalancer", balancer::load_balancer)?,
        connection_pool: object.nullable("connectionPool", connection_pool)?,
        outlier_detection: object.nullable("outlierDetection", outlier_detection)?,
        tls: object.nullable("tls", tls::client_tls)?,
    })
}

fn ports(object: &Object<'_>) -> Result<BTreeMap<u16, PortPolicy>, Error> {
    const PORT: &str = "a mapping with number";
    let mut ports = BTreeMap::new();
    let expected = "a list of settings of ports";
    field::list_up_to(object, "portLevelSettings", expected, MAX_PORTS, |at| {
        let object = at.object("a port with its settings", PORT_POLICY_FIELDS)?;
        let number = object.required("port", PORT, |at| {
            // Without the number nobody knows whose settings these are.
            let selector = at.exact_object(PORT, &["number"])?;
            selector.required("number", "a port from 1 to 65535", port)
        })?;
        if ports.insert(number.get(), blocks(&object)?).is_some() {
            return Err(at.unexpected("each port once"));
        }
        Ok(())
    })?;
    Ok(ports)
}

fn proxy_protocol(at: &Cursor<'_>) -> Result<ProxyProtocol, Error> {
    let object = at.object("a mapping with version", &["version"])?;
    let versions = [("V1", ProxyProtocol::V1), ("V2", ProxyProtocol::V2)];
    let version = object.nullable("version", |at| word(at, &versions))?;
    Ok(version.unwrap_or_default())
}

fn tunnel(at: &Cursor<'_>) -> Result<Tunnel, Error> {
    const TUNNEL: &str = "a tunnel with targetHost and targetPort";
    let object = at.object(TUNNEL, &["protocol", "targetHost", "targetPort"])?;
    let protocol = field::text(&object, "protocol", |at| {
        word(at, &[("CONNECT", "CONNECT"), ("POST", "POST")])
    })?;
    Ok(Tunnel {
        protocol: protocol.unwrap_or("CONNECT").to_owned(),
        host: object.required("targetHost", TUNNEL, |at| {
            match at.text(TUNNEL)?.parse::<std::net::IpAddr>() {
                Ok(ip) => Ok(ip.to_string()),
                Err(_) => name::hostname(at),
            }
        })?,
        port: object.required("targetPort", TUNNEL, port)?.get(),
    })
}

#[cfg(test)]
mod tests;
