//! `key` of a limit: what tells requests apart.

use yaml::{
    Cursor, Error, Object, Value,
    scalar::{boolean, checked},
};

use crate::{
    objects::traffic_policy::limit::{LimitKey, LimitValue},
    read::{field, header},
};

const FIELDS: &[&str] = &[
    "claim",
    "clientAddress",
    "header",
    "identity",
    "method",
    "name",
    "path",
    "route",
    "service",
    "value",
];

/// A descriptor of more is none that anybody writes.
const MAX_KEYS: usize = 8;
/// As deep as claims are read.
const MAX_CLAIM_PARTS: usize = 8;
const MAX_TEXT_BYTES: usize = 256;

const KEYS: &str = "a list of what tells requests apart";
const KEY: &str =
    "one of header, claim, identity, clientAddress, route, service, path, method and value";
const TEXT: &str = "a text of 1 to 256 bytes without control characters";

/// `key`, in its order.
pub(super) fn keys(object: &Object<'_>) -> Result<Vec<LimitKey>, Error> {
    field::list_up_to(object, "key", KEYS, MAX_KEYS, key)
}

fn key(at: &Cursor<'_>) -> Result<LimitKey, Error> {
    let object = at.exact_object(KEY, FIELDS)?;
    let mut values = Vec::new();
    values.extend(object.nullable("header", |at| header::name(at).map(LimitValue::Header))?);
    values.extend(object.nullable("claim", |at| claim(at).map(LimitValue::Claim))?);
    values.extend(object.nullable("value", |at| text(at).map(LimitValue::Value))?);
    let flags = [
        ("clientAddress", LimitValue::ClientAddress),
        ("identity", LimitValue::Identity),
        ("method", LimitValue::Method),
        ("path", LimitValue::Path),
        ("route", LimitValue::Route),
        ("service", LimitValue::Service),
    ];
    for (name, value) in flags {
        let is_on = object.nullable(name, |at| {
            // One that is off says nothing that anybody could mean.
            match boolean(at)? {
                true => Ok(()),
                false => Err(at.unexpected("true")),
            }
        })?;
        values.extend(is_on.map(|()| value));
    }
    let mut values = values.into_iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(at.unexpected(KEY));
    };
    let name = object.nullable("name", text)?;
    Ok(LimitKey {
        name: name.unwrap_or_else(|| default_name(&value)),
        value,
    })
}

/// Under which a service is told it. Source: Envoy's descriptors, where they have one.
fn default_name(value: &LimitValue) -> String {
    match value {
        LimitValue::Header(name) => name,
        LimitValue::Claim(path) => return path.join("."),
        LimitValue::Identity => "source_principal",
        LimitValue::ClientAddress => "remote_address",
        LimitValue::Route => "route",
        LimitValue::Service => "service",
        LimitValue::Path => "path",
        LimitValue::Method => "method",
        LimitValue::Value(_) => "generic_key",
    }
    .to_owned()
}

/// A name, or the way into nested claims.
fn claim(at: &Cursor<'_>) -> Result<Vec<String>, Error> {
    const CLAIM: &str = "the name of a claim, or a list of names that lead to it";
    match &at.node().value {
        Value::List(_) => {
            let path = field::items_up_to(at, CLAIM, MAX_CLAIM_PARTS, text)?;
            if path.is_empty() {
                return Err(at.unexpected(CLAIM));
            }
            Ok(path)
        }
        Value::Null | Value::Scalar(_) | Value::Mapping(_) => {
            checked(at, CLAIM, is_text).map(|name| vec![name.to_owned()])
        }
    }
}

fn text(at: &Cursor<'_>) -> Result<String, Error> {
    checked(at, TEXT, is_text).map(str::to_owned)
}

fn is_text(text: &str) -> bool {
    (1..=MAX_TEXT_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}
