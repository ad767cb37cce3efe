//! HTTPRoute.

use yaml::{Cursor, Error, Object};

use super::{
    filter, hostnames, matches,
    parent::{self, BACKEND_FIELDS},
    rule_name, rules, session_persistence,
};
use crate::{
    objects::{
        Meta,
        route::{Backend, Filter, HttpRoute, HttpRule, PathChange, PathMatch, Retry, Timeouts},
    },
    read::{duration, field, number},
};

const SPEC_FIELDS: &[&str] = &["hostnames", "parentRefs", "rules", "useDefaultGateways"];
const RULE_FIELDS: &[&str] = &[
    "backendRefs",
    "filters",
    "matches",
    "name",
    "retry",
    "sessionPersistence",
    "timeouts",
];
/// Those of a reference, and what stands beside them.
const HTTP_BACKEND_FIELDS: &[&str] = &[
    "filters",
    "group",
    "kind",
    "name",
    "namespace",
    "port",
    "weight",
];

/// As many status codes as there are from 400 to 599.
const MAX_CODES: usize = 200;

/// Reads an HTTPRoute.
///
/// # Errors
/// Kubernetes would refuse it.
pub(in crate::read) fn http_route(at: &Cursor<'_>, meta: Meta) -> Result<HttpRoute, Error> {
    parent::route(at, meta, "an HTTPRoute", spec)
}

fn spec(at: &Cursor<'_>, meta: Meta) -> Result<HttpRoute, Error> {
    let object = at.object("a mapping with parentRefs and rules", SPEC_FIELDS)?;
    let rules = object.nullable("rules", |at| {
        rules(at, |rule: &HttpRule| rule.name.as_deref(), rule)
    })?;
    let everything = || {
        vec![HttpRule {
            matches: vec![Default::default()],
            ..HttpRule::default()
        }]
    };
    let rules = rules.unwrap_or_else(everything);
    matches::few_enough(&object, rules.iter().map(|rule| rule.matches.len()).sum())?;
    Ok(HttpRoute {
        meta,
        parents: parent::parents(&object)?,
        hostnames: hostnames(&object)?,
        rules,
    })
}

fn rule(at: &Cursor<'_>) -> Result<HttpRule, Error> {
    let object = at.object("a rule with matches and backendRefs", RULE_FIELDS)?;
    let rule = HttpRule {
        name: rule_name(&object)?,
        matches: matches::matches(&object, matches::http_match)?,
        filters: filter::filters(&object, filter::Of::Http)?,
        backends: parent::backends(&object, backend)?,
        timeouts: object.nullable("timeouts", timeouts)?.unwrap_or_default(),
        retry: object.nullable("retry", retry)?,
        session_persistence: session_persistence(&object)?,
    };
    let redirects = |filters: &[Filter]| filters.iter().any(|it| matches!(it, Filter::Redirect(_)));
    if redirects(&rule.filters) && !rule.backends.is_empty() {
        return field::refuse(&object, "backendRefs", "none beside a RequestRedirect");
    }
    replaces_a_prefix(&object, &rule)?;
    Ok(rule)
}

/// `ReplacePrefixMatch` needs a prefix that it replaces. Source: Gateway API v1, the rules of `HTTPRouteRule`.
fn replaces_a_prefix(object: &Object<'_>, rule: &HttpRule) -> Result<(), Error> {
    let replaces = |filter: &Filter| match filter {
        Filter::Redirect(it) => matches!(it.path, Some(PathChange::Prefix(_))),
        Filter::Rewrite(it) => matches!(it.path, Some(PathChange::Prefix(_))),
        Filter::RequestHeaders(_)
        | Filter::ResponseHeaders(_)
        | Filter::Mirror(_)
        | Filter::Cors(_)
        | Filter::Unsupported { .. } => false,
    };
    let of_backends = rule.backends.iter().flat_map(|it| &it.filters);
    let one_prefix = match rule.matches.as_slice() {
        [only] => matches!(only.path, PathMatch::Prefix(_)),
        _ => false,
    };
    if !one_prefix && rule.filters.iter().chain(of_backends).any(replaces) {
        let expected = "exactly one match, with a PathPrefix, for the filter's ReplacePrefixMatch";
        return field::refuse(object, "matches", expected);
    }
    Ok(())
}

/// Also of GRPCRoute's backends, whose filters are fewer.
pub(super) fn backend_of(at: &Cursor<'_>, of: filter::Of) -> Result<Backend, Error> {
    debug_assert!(
        BACKEND_FIELDS
            .iter()
            .all(|it| HTTP_BACKEND_FIELDS.contains(it))
    );
    let object = at.exact_object("a reference with name and port", HTTP_BACKEND_FIELDS)?;
    Ok(Backend {
        backend: parent::backend(&object)?,
        weight: parent::weight(&object)?,
        filters: filter::filters(&object, of)?,
    })
}

fn backend(at: &Cursor<'_>) -> Result<Backend, Error> {
    backend_of(at, filter::Of::Http)
}

fn timeouts(at: &Cursor<'_>) -> Result<Timeouts, Error> {
    let object = at.object(
        "a mapping with request and backendRequest",
        &["backendRequest", "request"],
    )?;
    let timeout = |name| {
        let timeout = object.nullable(name, duration::gateway)?;
        Ok::<_, Error>(timeout.filter(|it| !it.is_zero()))
    };
    let timeouts = Timeouts {
        request: timeout("request")?,
        backend_request: timeout("backendRequest")?,
    };
    let is_longer = |one: &Timeouts| matches!((one.backend_request, one.request), (Some(one), Some(all)) if one > all);
    if is_longer(&timeouts) {
        return field::refuse(&object, "backendRequest", "not longer than `request`");
    }
    Ok(timeouts)
}

fn retry(at: &Cursor<'_>) -> Result<Retry, Error> {
    const CODE: &str = "a status code from 400 to 599";
    let object = at.object(
        "a mapping with codes, attempts and backoff",
        &["attempts", "backoff", "codes"],
    )?;
    let codes = field::list_up_to(
        &object,
        "codes",
        "a list of status codes",
        MAX_CODES,
        |at| {
            let code = number::within(at, 400..=599, CODE)?;
            u16::try_from(code).map_err(|_| at.unexpected(CODE))
        },
    )?;
    Ok(Retry {
        codes: codes.into_iter().collect(),
        attempts: object.nullable("attempts", number::count)?,
        backoff: object.nullable("backoff", duration::gateway)?,
    })
}
