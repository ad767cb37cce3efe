//! One rule of an HTTPRoute or a GRPCRoute, without its matches.

use bytes::Bytes;
use wire::proto::waypoint::{
    DirectResponse, Forward, HttpRule, Missing, WeightedBackend, http_rule::Action,
    weighted_backend::Target,
};

use crate::{
    objects::{
        Meta,
        route::{Backend, Filter, Retry, Timeouts},
    },
    render::routing::{
        convert::micros_or_none,
        destination::{self, Route},
        edits::{Values, edits, merged},
        facts::At,
        filters::{Effects, effects},
        notes::Notes,
        retry,
    },
};

/// What is answered in the place of a filter that is not supported. Source: HTTPRoute `filters`, `extensionRef`.
const UNSUPPORTED: u32 = 500;

/// What the rules of both kinds have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule<'a> {
    pub(super) meta: &'a Meta,
    pub(super) index: usize,
    pub(super) name: Option<&'a str>,
    pub(super) filters: &'a [Filter],
    pub(super) backends: &'a [Backend],
    pub(super) timeouts: Timeouts,
    pub(super) retry: Option<&'a Retry>,
    pub(super) session_persistence: bool,
    /// What is answered where there is no backend.
    pub(super) status: u32,
}

impl Rule<'_> {
    /// What people call it.
    fn called(&self) -> String {
        let index = self.index;
        match self.name {
            Some(name) => format!("rules[{index}] ({name})"),
            None => format!("rules[{index}]"),
        }
    }

    /// What the access log calls it.
    fn logged(&self) -> String {
        let Meta {
            namespace, name, ..
        } = self.meta;
        match self.name {
            Some(rule) => format!("{namespace}.{name}.{rule}"),
            None => format!("{namespace}.{name}.{}", self.index),
        }
    }
}

/// The rule.
pub(super) fn compiled(rule: &Rule<'_>, by: Route<'_>, at: &At<'_>, notes: &mut Notes) -> HttpRule {
    if rule.session_persistence {
        let called = rule.called();
        notes.ignored(format!("{called}: sessionPersistence is not supported"));
    }
    let mut own = effects(rule.filters, by, at, notes);
    let base = HttpRule {
        name: rule.logged(),
        ..HttpRule::default()
    };
    if !own.unsupported.is_empty() {
        let kinds = own.unsupported.join(", ");
        let called = rule.called();
        notes.refused(format!(
            "{called} answers {UNSUPPORTED}: filters of type {kinds} are not supported"
        ));
        return HttpRule {
            action: Some(Action::Respond(DirectResponse {
                status: UNSUPPORTED,
                body: Bytes::new(),
            })),
            ..base
        };
    }
    let action = match own.redirect.take() {
        Some(redirect) => Action::Redirect(redirect),
        None => Action::Forward(Forward {
            backends: backends(rule, &mut own, by, at, notes),
            fallback_status: rule.status,
        }),
    };
    HttpRule {
        request_headers: edits(&own.request, Values::Literals),
        response_headers: edits(&own.response, Values::Literals),
        rewrite: own.rewrite,
        mirrors: own.mirrors,
        cors: own.cors,
        timeout_us: micros_or_none(rule.timeouts.request),
        retry: rule.retry.map(retry::of_route),
        action: Some(action),
        ..base
    }
}

/// The backends. Where one of them edits headers, all do, and the rule does not: an edit of a backend comes after those
/// of its rule, while a waypoint does it before.
fn backends(
    rule: &Rule<'_>,
    own: &mut Effects,
    by: Route<'_>,
    at: &At<'_>,
    notes: &mut Notes,
) -> Vec<WeightedBackend> {
    let each: Vec<(&Backend, Effects)> = rule
        .backends
        .iter()
        .map(|it| (it, effects(&it.filters, by, at, notes)))
        .collect();
    let edited = each
        .iter()
        .any(|(_, it)| !it.request.is_empty() || !it.response.is_empty());
    let mut inherited = Effects::default();
    if edited {
        inherited.request = std::mem::take(&mut own.request);
        inherited.response = std::mem::take(&mut own.response);
    }
    each.into_iter()
        .map(|(backend, of)| {
            let target = destination::of_route(&backend.backend, by, rule.status, at, notes);
            weighted(rule, backend.weight, (target, of), (own, &inherited), notes)
        })
        .collect()
}

fn weighted(
    rule: &Rule<'_>,
    weight: u32,
    (target, of): (Target, Effects),
    (own, inherited): (&Effects, &Effects),
    notes: &mut Notes,
) -> WeightedBackend {
    let mut unsupported = of.unsupported;
    if of.cors.is_some() {
        unsupported.push("CORS".to_owned());
    }
    let target = if unsupported.is_empty() {
        target
    } else {
        let kinds = unsupported.join(", ");
        let called = rule.called();
        notes.refused(format!(
            "{called} answers {UNSUPPORTED} in part: filters of type {kinds} are not supported for one backend"
        ));
        Target::Missing(Missing {
            status: UNSUPPORTED,
            name: "UnsupportedFilter".to_owned(),
        })
    };
    // In the place of the rule's, so that what it does not say is the rule's.
    let rewrite = of.rewrite.map(|mut rewrite| {
        let of_rule = own.rewrite.clone().unwrap_or_default();
        if rewrite.authority.is_empty() {
            rewrite.authority = of_rule.authority;
        }
        rewrite.path = rewrite.path.or(of_rule.path);
        rewrite
    });
    WeightedBackend {
        weight,
        request_headers: edits(&merged(&inherited.request, &of.request), Values::Literals),
        response_headers: edits(&merged(&inherited.response, &of.response), Values::Literals),
        rewrite,
        redirect: of.redirect,
        mirrors: of.mirrors,
        timeout_us: micros_or_none(rule.timeouts.backend_request),
        target: Some(target),
    }
}
