//! TCPRoute and TLSRoute.

use yaml::{Cursor, Error};

use super::{hostnames, parent, rule_name, rules};
use crate::objects::{
    Meta,
    route::{L4Backend, L4Rule, TcpRoute, TlsRoute},
};

const TCP_FIELDS: &[&str] = &["parentRefs", "rules", "useDefaultGateways"];
const TLS_FIELDS: &[&str] = &["hostnames", "parentRefs", "rules", "useDefaultGateways"];
/// Those of a reference, and its weight.
const BACKEND_FIELDS: &[&str] = &["group", "kind", "name", "namespace", "port", "weight"];

const SPEC: &str = "a mapping with parentRefs and rules";
const RULES: &str = "a list of at least one rule";
const RULE: &str = "a rule with backendRefs";

/// Reads a TCPRoute.
///
/// # Errors
/// Kubernetes would refuse it.
pub(in crate::read) fn tcp_route(at: &Cursor<'_>, meta: Meta) -> Result<TcpRoute, Error> {
    parent::route(at, meta, "a TCPRoute", |at, meta| {
        let object = at.object(SPEC, TCP_FIELDS)?;
        Ok(TcpRoute {
            meta,
            parents: parent::parents(&object)?,
            rules: object.required("rules", RULES, l4_rules)?,
        })
    })
}

/// Reads a TLSRoute.
///
/// # Errors
/// Kubernetes would refuse it.
pub(in crate::read) fn tls_route(at: &Cursor<'_>, meta: Meta) -> Result<TlsRoute, Error> {
    parent::route(at, meta, "a TLSRoute", |at, meta| {
        let object = at.object(SPEC, TLS_FIELDS)?;
        Ok(TlsRoute {
            meta,
            parents: parent::parents(&object)?,
            hostnames: hostnames(&object)?,
            rules: object.required("rules", RULES, l4_rules)?,
        })
    })
}

fn l4_rules(at: &Cursor<'_>) -> Result<Vec<L4Rule>, Error> {
    let rules = rules(at, |rule: &L4Rule| rule.name.as_deref(), rule)?;
    if rules.is_empty() {
        return Err(at.unexpected(RULES));
    }
    Ok(rules)
}

fn rule(at: &Cursor<'_>) -> Result<L4Rule, Error> {
    let object = at.object(RULE, &["backendRefs", "name"])?;
    Ok(L4Rule {
        name: rule_name(&object)?,
        backends: parent::backends(&object, |at| {
            let object = at.exact_object("a reference with name and port", BACKEND_FIELDS)?;
            Ok(L4Backend {
                backend: parent::backend(&object)?,
                weight: parent::weight(&object)?,
            })
        })?,
    })
}
