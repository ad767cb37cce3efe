//! `http` of VirtualServices to rules (RT-02 to RT-13).
//!
//! In: the VirtualServices of a service, in order. Out: rules in the order in which they are tried. Never: rules of
//! the Gateway API between them.

mod rule;

use std::collections::BTreeSet;

use wire::proto::waypoint::{HttpMatch, HttpRoutes, HttpRule, path_match::Kind};

use super::{facts::At, notes::Notes, scope::Claim};
use crate::objects::virtual_service::{HttpMatch as Match, HttpRoute, MESH_GATEWAY};

/// Whether a match is about this port, as seen from within the mesh: what is about others is as if it were not there.
fn is_about(it: &Match, at: &At<'_>) -> bool {
    it.port.is_none_or(|port| port == at.port.number) && is_for_mesh(&it.gateways)
}

pub(super) fn is_for_mesh(gateways: &[String]) -> bool {
    gateways.is_empty() || gateways.iter().any(|it| it == MESH_GATEWAY)
}

/// The namespaces of clients that matches for this port name: for each there is a list of its own.
pub(super) fn source_namespaces<'a>(claims: &[Claim<'a>], at: &At<'_>) -> BTreeSet<&'a str> {
    claims
        .iter()
        .flat_map(|claim| &claim.object.http)
        .flat_map(|rule| &rule.matches)
        .filter(|it| is_about(it, at) && !it.source_namespace.is_empty())
        .map(|it| it.source_namespace.as_str())
        .collect()
}

/// The rules for clients of a namespace, or, without one, of all that none of the matches names. `None` where no rule is
/// about this port: requests then go to the service itself. Source: Istio, waypoints without a route for a port.
pub(super) fn http(
    claims: &[Claim<'_>],
    client: Option<&str>,
    at: &At<'_>,
    notes: &mut Notes,
) -> Option<HttpRoutes> {
    let mut rules = Vec::new();
    let mut is_any_about = false;
    for claim in claims {
        for (index, rule) in claim.object.http.iter().enumerate() {
            let about: Vec<_> = rule.matches.iter().filter(|it| is_about(it, at)).collect();
            if about.is_empty() && !rule.matches.is_empty() {
                continue;
            }
            is_any_about = true;
            let place = rule::Place {
                claim: *claim,
                rule,
                index,
            };
            rules.extend(compiled(&place, &about, client, at, notes));
        }
    }
    if !is_any_about {
        return None;
    }
    if claims.len() > 1 {
        // Each by itself, so that what matches everything can go behind what others ask for.
        rules = rules.into_iter().flat_map(split).collect();
        rules.sort_by_key(matches_everything);
    }
    Some(HttpRoutes { rules })
}

/// The rules of one `http[]`: several where its matches have names of their own.
fn compiled(
    place: &rule::Place<'_>,
    about: &[&Match],
    client: Option<&str>,
    at: &At<'_>,
    notes: &mut Notes,
) -> Vec<HttpRule> {
    let source: &HttpRoute = place.rule;
    let Some(base) = rule::without_matches(place, at, notes) else {
        return Vec::new();
    };
    if source.matches.is_empty() {
        let matches = Vec::from_iter(rule::finished(None, place));
        return vec![HttpRule { matches, ..base }];
    }
    let mut rules: Vec<HttpRule> = Vec::new();
    for it in about {
        // A waypoint knows no labels of its clients.
        if !it.source_labels.is_empty() {
            let called = place.called();
            notes.ignored(format!("{called}: a match on sourceLabels never holds"));
            continue;
        }
        if !it.source_namespace.is_empty() && client != Some(it.source_namespace.as_str()) {
            continue;
        }
        let name = rule::name(&source.name, &it.name);
        let matches = rule::finished(Some(it), place);
        match rules.last_mut() {
            Some(last) if last.name == name => last.matches.extend(matches),
            Some(_) | None => rules.push(HttpRule {
                name,
                matches: Vec::from_iter(matches),
                ..base.clone()
            }),
        }
    }
    rules
}

/// A rule for each match.
fn split(rule: HttpRule) -> Vec<HttpRule> {
    if rule.matches.len() < 2 {
        return vec![rule];
    }
    rule.matches
        .iter()
        .map(|it| HttpRule {
            matches: vec![it.clone()],
            ..rule.clone()
        })
        .collect()
}

fn matches_everything(rule: &HttpRule) -> bool {
    rule.matches.is_empty() || rule.matches.iter().any(is_everything)
}

/// Source: Istio, catch-all routes: a path that every path begins with, and nothing else.
fn is_everything(it: &HttpMatch) -> bool {
    let any_path = match it.path.as_ref().and_then(|path| path.kind.as_ref()) {
        None => true,
        Some(Kind::Prefix(text) | Kind::Segments(text)) => text == "/",
        Some(Kind::Regex(text)) => text == ".*",
        Some(Kind::Exact(_)) => false,
    };
    any_path
        && *it
            == HttpMatch {
                path: it.path.clone(),
                ..HttpMatch::default()
            }
}
