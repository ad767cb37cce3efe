//! GRPCRoute.

use yaml::{Cursor, Error, scalar::checked};

use super::{
    filter, hostnames,
    http::backend_of,
    matches::{self, Type},
    parent, rule_name, rules, session_persistence,
};
use crate::{
    objects::{
        Meta, StringMatch,
        route::{GrpcMatch, GrpcMethodMatch, GrpcRoute, GrpcRule},
    },
    read::matching,
};

const SPEC_FIELDS: &[&str] = &["hostnames", "parentRefs", "rules", "useDefaultGateways"];
const RULE_FIELDS: &[&str] = &[
    "backendRefs",
    "filters",
    "matches",
    "name",
    "sessionPersistence",
];
/// Source: Gateway API v1, `GRPCMethodMatch`.
const MAX_NAME_BYTES: usize = 1024;

const METHOD: &str = "a mapping with at least one of service and method";

/// Reads a GRPCRoute.
///
/// # Errors
/// Kubernetes would refuse it.
pub(in crate::read) fn grpc_route(at: &Cursor<'_>, meta: Meta) -> Result<GrpcRoute, Error> {
    parent::route(at, meta, "a GRPCRoute", spec)
}

fn spec(at: &Cursor<'_>, meta: Meta) -> Result<GrpcRoute, Error> {
    let object = at.object("a mapping with parentRefs and rules", SPEC_FIELDS)?;
    let rules = object.nullable("rules", |at| {
        rules(at, |rule: &GrpcRule| rule.name.as_deref(), rule)
    })?;
    let rules = rules.unwrap_or_default();
    matches::few_enough(&object, rules.iter().map(|rule| rule.matches.len()).sum())?;
    Ok(GrpcRoute {
        meta,
        parents: parent::parents(&object)?,
        hostnames: hostnames(&object)?,
        rules,
    })
}

fn rule(at: &Cursor<'_>) -> Result<GrpcRule, Error> {
    let object = at.object("a rule with matches and backendRefs", RULE_FIELDS)?;
    Ok(GrpcRule {
        name: rule_name(&object)?,
        matches: matches::matches(&object, grpc_match)?,
        filters: filter::filters(&object, filter::Of::Grpc)?,
        backends: parent::backends(&object, |at| backend_of(at, filter::Of::Grpc))?,
        session_persistence: session_persistence(&object)?,
    })
}

fn grpc_match(at: &Cursor<'_>) -> Result<GrpcMatch, Error> {
    // Fewer conditions would match more.
    let object = at.exact_object("a match with method and headers", &["headers", "method"])?;
    Ok(GrpcMatch {
        method: object.nullable("method", method)?,
        headers: matches::headers(&object)?,
    })
}

fn method(at: &Cursor<'_>) -> Result<GrpcMethodMatch, Error> {
    let object = at.exact_object(METHOD, &["method", "service", "type"])?;
    let by = matches::by_type(&object)?;
    let method = GrpcMethodMatch {
        service: object.nullable("service", |at| {
            let expected = "the name of a service such as helloworld.Greeter";
            name(at, by, expected, |text| text.split('.').all(is_identifier))
        })?,
        method: object.nullable("method", |at| {
            name(
                at,
                by,
                "the name of a method such as SayHello",
                is_identifier,
            )
        })?,
    };
    if method == GrpcMethodMatch::default() {
        return Err(at.unexpected(METHOD));
    }
    Ok(method)
}

fn name(
    at: &Cursor<'_>,
    by: Type,
    expected: &'static str,
    is_name: impl Fn(&str) -> bool,
) -> Result<StringMatch, Error> {
    match by {
        Type::Exact => checked(at, expected, |text| {
            text.len() <= MAX_NAME_BYTES && is_name(text)
        })
        .map(|text| StringMatch::Exact(text.to_owned())),
        Type::Regex => matching::regex(at).map(StringMatch::Regex),
    }
}

fn is_identifier(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
