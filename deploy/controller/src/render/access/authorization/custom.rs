//! What the action CUSTOM cannot be decided by.
//!
//! Whether an authorizer is asked is decided before any token is read, and before it has said anything. A rule by what is only known
//! afterwards would never match, and nobody would be asked. (Istio's webhook refuses most of these.)

use crate::{
    objects::{PolicyRule, Source},
    render::access::Unenforceable,
};

const OF_TOKENS: &str =
    "nothing of tokens with the action CUSTOM, which is decided before any is read";
const OF_AUTHORIZERS: &str =
    "nothing that an authorizer says with the action CUSTOM, which is decided before it is asked";

/// Whether a rule can be decided in time.
pub(super) fn decidable(rule: &PolicyRule) -> Result<(), Unenforceable> {
    for (index, it) in rule.from.iter().enumerate() {
        source(it).map_err(|error| error.within(format_args!("from[{index}].source")))?;
    }
    for (index, it) in rule.when.iter().enumerate() {
        key(&it.key).map_err(|error| error.within(format_args!("when[{index}]")))?;
    }
    Ok(())
}

fn source(it: &Source) -> Result<(), Unenforceable> {
    let lists = [
        ("requestPrincipals", &it.request_principals),
        ("notRequestPrincipals", &it.not_request_principals),
    ];
    for (name, values) in lists {
        if let Some(value) = values.first() {
            return Err(Unenforceable::field(name, value, OF_TOKENS));
        }
    }
    Ok(())
}

fn key(key: &str) -> Result<(), Unenforceable> {
    if key.starts_with("request.auth.") {
        return Err(Unenforceable::field("key", key, OF_TOKENS));
    }
    if key.starts_with("experimental.") {
        return Err(Unenforceable::field("key", key, OF_AUTHORIZERS));
    }
    Ok(())
}
