//! `when[]`: a key and the values that go with it.

use yaml::{Cursor, Error, scalar::checked};

use super::value;
use crate::objects::Condition;

const CONDITION: &str = "a condition with key and values or notValues";

const KEY: &str = "one of request.headers[..], source.ip, remote.ip, source.namespace, source.serviceAccount, \
                   source.trustDomain, source.principal, request.auth.principal, request.auth.audiences, \
                   request.auth.presenter, request.auth.claims[..], destination.ip, destination.port, connection.sni, \
                   experimental.envoy.filters...[..]";

pub(super) fn condition(at: &Cursor<'_>) -> Result<Condition, Error> {
    let object = at.exact_object(CONDITION, &["key", "notValues", "values"])?;
    let key = object.required("key", KEY, |at| {
        checked(at, KEY, |key| reader(key).is_some()).map(str::to_owned)
    })?;
    let read = reader(&key).unwrap_or(value::text);
    let condition = Condition {
        values: value::list(&object, "values", read)?,
        not_values: value::list(&object, "notValues", read)?,
        key,
    };
    if condition.values.is_empty() && condition.not_values.is_empty() {
        return Err(object.missing("values", "at least one of values or notValues"));
    }
    Ok(condition)
}

/// How values of a key are read; `None` for a key that does not exist. Source: Istio authorization policy conditions.
fn reader(key: &str) -> Option<value::Read<String>> {
    match key {
        "source.ip" | "remote.ip" | "destination.ip" => Some(block),
        "destination.port" => Some(port),
        "source.principal" => Some(value::principal),
        "source.serviceAccount" => Some(value::account),
        "source.trustDomain" => Some(value::trust_domain),
        "source.namespace"
        | "request.auth.principal"
        | "request.auth.audiences"
        | "request.auth.presenter"
        | "connection.sni" => Some(value::pattern),
        _ => {
            let (name, rest) = key.split_once('[')?;
            let is_known = matches!(name, "request.headers" | "request.auth.claims")
                || name
                    .strip_prefix("experimental.envoy.filters.")
                    .is_some_and(|filter| !filter.is_empty());
            let is_indexed = rest
                .strip_suffix(']')
                .is_some_and(|inner| !inner.is_empty());
            (is_known && is_indexed).then_some(value::pattern as value::Read<String>)
        }
    }
}

/// An address or a range, as it is written.
fn block(at: &Cursor<'_>) -> Result<String, Error> {
    value::block(at).map(|it| it.to_string())
}

fn port(at: &Cursor<'_>) -> Result<String, Error> {
    value::port(at).map(|it| it.to_string())
}
