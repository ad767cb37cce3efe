//! One `http[]` of a VirtualService to a rule, without its matches.

use bytes::Bytes;
use wire::proto::waypoint::{
    self as proto, DirectResponse, Forward, HttpRule, Mirror, Redirect, RegexRewrite, Rewrite,
    WeightedBackend, http_rule::Action, path_match::Kind, redirect, rewrite,
};

use crate::{
    objects::virtual_service::{
        AbortStatus, DerivedPort, Fault, HttpAction, HttpDestination, HttpMatch, HttpRoute,
        Redirect as Redirection,
    },
    render::routing::{
        convert::{absolute, micros, micros_or_none, target},
        destination::{self, Traffic},
        edits::{self, Values, authority, edits},
        facts::At,
        filters, matches,
        notes::Notes,
        retry,
        scope::Claim,
    },
};

/// What is answered where no destination has a weight.
const NO_DESTINATION: u32 = 503;

/// Where a rule was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The VirtualService.
    pub(super) claim: Claim<'a>,
    /// The rule.
    pub(super) rule: &'a HttpRoute,
    /// Which of `http[]` it is.
    pub(super) index: usize,
}

impl Place<'_> {
    /// What people call it.
    pub(super) fn called(&self) -> String {
        if self.rule.name.is_empty() {
            format!("http[{}]", self.index)
        } else {
            format!("http[{}] ({})", self.index, self.rule.name)
        }
    }
}

/// The name of a rule, with that of its match.
pub(super) fn name(rule: &str, of_match: &str) -> String {
    if of_match.is_empty() {
        rule.to_owned()
    } else {
        format!("{rule}.{of_match}")
    }
}

/// One match with what its rule and the host add to it; `None` where that is nothing, and so everything matches.
pub(super) fn finished(it: Option<&HttpMatch>, place: &Place<'_>) -> Option<proto::HttpMatch> {
    let mut result = it.map(matches::of_virtual_service).unwrap_or_default();
    if let Some(host) = place.claim.authority {
        result.hostnames = vec![host.to_owned()];
    }
    // `uri` takes the place of a prefix, which is `/` where no path is asked for. Source: Istio and Envoy: `/v1` in the
    // place of it makes `/v1x` of `/x`.
    if replaces_prefix(place.rule) && result.path.is_none() {
        result.path = Some(matches::path(Kind::Prefix("/".to_owned())));
    }
    (it.is_some() || result != proto::HttpMatch::default()).then_some(result)
}

fn replaces_prefix(rule: &HttpRoute) -> bool {
    let redirects = match &rule.action {
        HttpAction::Redirect(redirect) => redirect.prefix.is_some(),
        HttpAction::Route(_) | HttpAction::DirectResponse(_) | HttpAction::Delegate(_) => false,
    };
    redirects || rule.rewrite.as_ref().is_some_and(|it| it.uri.is_some())
}

/// The rule without its matches; `None` where it says nothing of what to do (`delegate`).
pub(super) fn without_matches(
    place: &Place<'_>,
    at: &At<'_>,
    notes: &mut Notes,
) -> Option<HttpRule> {
    let rule = place.rule;
    let mut headers = rule.headers.clone();
    let mut rewrite = rule.rewrite.as_ref().map(|it| Rewrite {
        authority: it.authority.clone().unwrap_or_default(),
        path: match (&it.regex, &it.uri) {
            (Some(regex), _) => Some(rewrite::Path::Regex(RegexRewrite {
                pattern: regex.pattern.clone(),
                substitution: target(&regex.substitution),
            })),
            (None, Some(uri)) => Some(rewrite::Path::Prefix(target(uri))),
            (None, None) => None,
        },
    });
    if let Some(authority) = authority(&headers.request) {
        let rewrite = rewrite.get_or_insert_default();
        if rewrite.authority.is_empty() {
            rewrite.authority = authority.to_owned();
        }
    }
    let action = match &rule.action {
        HttpAction::Route(destinations) => {
            // Source: Istio: edits of the only destination are done after the rule's; those of several, before.
            if let [only] = destinations.as_slice() {
                headers.request = edits::merged(&headers.request, &only.headers.request);
                headers.response = edits::merged(&headers.response, &only.headers.response);
            }
            let backends = backends(destinations, &mut rewrite, place, at, notes);
            Action::Forward(Forward {
                backends,
                fallback_status: NO_DESTINATION,
            })
        }
        HttpAction::Redirect(it) => Action::Redirect(redirect(it, at)),
        HttpAction::DirectResponse(it) => Action::Respond(DirectResponse {
            status: it.status.into(),
            body: Bytes::copy_from_slice(&it.body),
        }),
        HttpAction::Delegate(it) => {
            let called = place.called();
            let name = &it.name;
            notes.ignored(format!("{called}: delegate {name} has no effect in a mesh"));
            return None;
        }
    };
    Some(HttpRule {
        name: rule.name.clone(),
        matches: Vec::new(),
        request_headers: edits(&headers.request, Values::Formats),
        response_headers: edits(&headers.response, Values::Formats),
        rewrite,
        mirrors: mirrors(place, at, notes),
        cors: rule.cors.as_ref().map(filters::cors),
        fault: fault(&rule.fault),
        timeout_us: micros_or_none(rule.timeout),
        retry: rule.retries.as_ref().map(retry::of_istio),
        action: Some(action),
    })
}

/// Of several, those with a weight. Source: Istio; the only one gets everything.
fn backends(
    destinations: &[HttpDestination],
    rewrite: &mut Option<Rewrite>,
    place: &Place<'_>,
    at: &At<'_>,
    notes: &mut Notes,
) -> Vec<WeightedBackend> {
    let namespace = &place.claim.object.meta.namespace;
    let mut lead = |it: &HttpDestination| {
        destination::of_virtual_service(&it.destination, namespace, Traffic::Http, at, notes)
    };
    if let [only] = destinations {
        if let Some(authority) = authority(&only.headers.request) {
            let rewrite = rewrite.get_or_insert_default();
            if rewrite.authority.is_empty() {
                rewrite.authority = authority.to_owned();
            }
        }
        return vec![WeightedBackend {
            weight: only.weight.max(1),
            target: Some(lead(only)),
            ..WeightedBackend::default()
        }];
    }
    let of_rule = rewrite.clone().unwrap_or_default();
    destinations
        .iter()
        .filter(|it| it.weight > 0)
        .map(|it| WeightedBackend {
            weight: it.weight,
            request_headers: edits(&it.headers.request, Values::Formats),
            response_headers: edits(&it.headers.response, Values::Formats),
            // In the place of the rule's, so that it says what the rule's says of the path.
            rewrite: authority(&it.headers.request)
                .filter(|_| of_rule.authority.is_empty())
                .map(|authority| Rewrite {
                    authority: authority.to_owned(),
                    path: of_rule.path.clone(),
                }),
            target: Some(lead(it)),
            ..WeightedBackend::default()
        })
        .collect()
}

fn mirrors(place: &Place<'_>, at: &At<'_>, notes: &mut Notes) -> Vec<Mirror> {
    let namespace = &place.claim.object.meta.namespace;
    place
        .rule
        .mirrors
        .iter()
        .filter_map(|it| {
            let found = destination::of_virtual_service(
                &it.destination,
                namespace,
                Traffic::Http,
                at,
                notes,
            );
            filters::to(found, it.share.parts_per_million(), true)
        })
        .collect()
}

/// Source: RT-06; the port of the request is that of the service, as a table is for one port.
fn redirect(it: &Redirection, at: &At<'_>) -> Redirect {
    let scheme = it.scheme.as_deref();
    let port = match (it.port, it.derive_port) {
        (Some(port), _) => filters::written(Some(port), scheme),
        (None, Some(DerivedPort::Request)) => filters::written(Some(at.port.number), scheme),
        (None, Some(DerivedPort::ProtocolDefault)) => filters::written(None, scheme),
        (None, None) => Redirect::default(),
    };
    Redirect {
        scheme: it.scheme.clone().unwrap_or_default(),
        authority: it.authority.clone().unwrap_or_default(),
        status: it.code.into(),
        path: match (it.uri.as_deref().filter(|uri| !uri.is_empty()), &it.prefix) {
            (Some(uri), _) => Some(redirect::Path::Full(absolute(uri))),
            (None, Some(prefix)) => Some(redirect::Path::Prefix(target(prefix))),
            (None, None) => None,
        },
        ..port
    }
}

/// Source: RS-12, RS-13.
fn fault(it: &Fault) -> Option<proto::Fault> {
    let mut fault = proto::Fault::default();
    if let Some(delay) = it
        .delay
        .as_ref()
        .filter(|it| it.share.parts_per_million() > 0)
    {
        fault.delay_us = micros(delay.fixed);
        fault.delay_ppm = delay.share.parts_per_million();
    }
    if let Some(abort) = it
        .abort
        .as_ref()
        .filter(|it| it.share.parts_per_million() > 0)
    {
        match abort.status {
            AbortStatus::Http(status) => fault.abort_status = status.into(),
            AbortStatus::Grpc(status) => fault.abort_grpc_status = Some(status.into()),
        }
        fault.abort_ppm = abort.share.parts_per_million();
    }
    (fault != proto::Fault::default()).then_some(fault)
}
