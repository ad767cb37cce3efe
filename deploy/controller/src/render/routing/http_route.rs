//! HTTPRoutes and GRPCRoutes to rules (RT-14, RT-15).
//!
//! In: the routes of a service, from all namespaces. Out: the rules of each namespace of routes, in the order in which they are
//! tried: those of the service's own are for everybody, those of another for its own clients (consumer routes, GEP-1426).

mod rule;

use std::collections::BTreeMap;

use wire::proto::waypoint::{HttpMatch, HttpRoutes, HttpRule};

use super::{
    Sources,
    destination::Route,
    facts::{At, ServiceFacts},
    matches,
    notes::Notes,
    precedence::{self, Place, Rank},
};
use crate::objects::{
    Kind, Meta,
    route::{GrpcRoute, HttpRoute, ParentRef},
};
use rule::Rule;

/// Whether a reference is to a service, whatever its port. The namespace of the route stands for one that is absent.
pub(super) fn names(parent: &ParentRef, namespace: &str, service: &ServiceFacts<'_>) -> bool {
    (parent.group.as_str(), parent.kind.as_str()) == service.group_and_kind()
        && parent.name == service.name
        && parent.namespace.as_deref().unwrap_or(namespace) == service.namespace
}

/// Whether a reference to a service means one of its ports. Source: `parentRef.port`, `parentRef.sectionName` (a port's name).
pub(super) fn means(parent: &ParentRef, port: super::PortFacts<'_>) -> bool {
    parent.port.is_none_or(|number| number == port.number)
        && parent
            .section
            .as_deref()
            .is_none_or(|name| name == port.name)
}

/// Whether a route is attached to the port.
pub(super) fn is_attached(parents: &[ParentRef], meta: &Meta, at: &At<'_>) -> bool {
    parents
        .iter()
        .any(|it| names(it, &meta.namespace, at.service) && means(it, at.port))
}

/// One match of a route, and what is done.
struct Ranked<'a> {
    rank: Rank,
    it: HttpMatch,
    /// The same for all matches of a rule.
    rule: &'a HttpRule,
}

/// The rules by the namespace of their routes; only namespaces with a route for this port.
pub(super) fn by_namespace(
    sources: &Sources<'_>,
    at: &At<'_>,
    notes: &mut Notes,
) -> BTreeMap<String, HttpRoutes> {
    let mut by_namespace: BTreeMap<&str, Vec<Compiled<'_>>> = BTreeMap::new();
    for route in sources.http_routes {
        if is_attached(&route.parents, &route.meta, at) {
            let compiled = of_http_route(route, at, notes);
            by_namespace
                .entry(&route.meta.namespace)
                .or_default()
                .extend(compiled);
        }
    }
    for route in sources.grpc_routes {
        if is_attached(&route.parents, &route.meta, at) {
            let compiled = of_grpc_route(route, at, notes);
            by_namespace
                .entry(&route.meta.namespace)
                .or_default()
                .extend(compiled);
        }
    }
    by_namespace
        .into_iter()
        .map(|(namespace, compiled)| (namespace.to_owned(), sorted(&compiled)))
        .collect()
}

/// One rule with its matches, each with its place.
pub(super) struct Compiled<'a> {
    meta: &'a Meta,
    kind: &'static str,
    index: usize,
    /// Without matches.
    rule: HttpRule,
    matches: Vec<HttpMatch>,
}

/// The rules of an HTTPRoute, as written.
pub(super) fn of_http_route<'a>(
    route: &'a HttpRoute,
    at: &At<'_>,
    notes: &mut Notes,
) -> Vec<Compiled<'a>> {
    const KIND: &str = "HTTPRoute";
    let by = Route {
        kind: KIND,
        namespace: &route.meta.namespace,
    };
    let rules = route.rules.iter().enumerate().map(|(index, it)| {
        let common = Rule {
            meta: &route.meta,
            index,
            name: it.name.as_deref(),
            filters: &it.filters,
            backends: &it.backends,
            timeouts: it.timeouts,
            retry: it.retry.as_ref(),
            session_persistence: it.session_persistence,
            status: 500,
        };
        Compiled {
            meta: &route.meta,
            kind: KIND,
            index,
            rule: rule::compiled(&common, by, at, notes),
            matches: at_hosts(
                &route.hostnames,
                at,
                it.matches.iter().map(matches::of_http_route),
            ),
        }
    });
    rules.collect()
}

/// The rules of a GRPCRoute, as written.
pub(super) fn of_grpc_route<'a>(
    route: &'a GrpcRoute,
    at: &At<'_>,
    notes: &mut Notes,
) -> Vec<Compiled<'a>> {
    const KIND: &str = "GRPCRoute";
    let by = Route {
        kind: KIND,
        namespace: &route.meta.namespace,
    };
    let rules = route.rules.iter().enumerate().map(|(index, it)| {
        let common = Rule {
            meta: &route.meta,
            index,
            name: it.name.as_deref(),
            filters: &it.filters,
            backends: &it.backends,
            timeouts: crate::objects::route::Timeouts::default(),
            retry: None,
            session_persistence: it.session_persistence,
            // Which is UNAVAILABLE to a client of gRPC. Source: GRPCRoute `backendRefs`.
            status: 503,
        };
        Compiled {
            meta: &route.meta,
            kind: KIND,
            index,
            rule: rule::compiled(&common, by, at, notes),
            matches: at_hosts(
                &route.hostnames,
                at,
                it.matches.iter().map(matches::of_grpc_route),
            ),
        }
    });
    rules.collect()
}

/// The matches for each hostname. A Service is one host, so that hostnames of its routes have no effect; a ServiceEntry may be
/// many.
fn at_hosts(
    hostnames: &[String],
    at: &At<'_>,
    matches: impl Iterator<Item = HttpMatch>,
) -> Vec<HttpMatch> {
    if at.service.kind == Kind::Service || hostnames.is_empty() {
        return matches.collect();
    }
    let each = |it: HttpMatch| {
        hostnames.iter().map(move |host| HttpMatch {
            hostnames: vec![host.clone()],
            ..it.clone()
        })
    };
    matches.flat_map(each).collect()
}

/// All matches in the order in which they are tried; neighbours of one rule are one again.
fn sorted(compiled: &[Compiled<'_>]) -> HttpRoutes {
    let mut ranked: Vec<Ranked<'_>> = Vec::new();
    for of in compiled {
        for (index, it) in of.matches.iter().enumerate() {
            let place = Place {
                meta: of.meta,
                kind: of.kind,
                rule: of.index,
                index,
            };
            ranked.push(Ranked {
                rank: precedence::rank(it, place),
                it: it.clone(),
                rule: &of.rule,
            });
        }
    }
    ranked.sort_by(|one, other| one.rank.cmp(&other.rank));
    let mut rules: Vec<HttpRule> = Vec::new();
    let mut last: Option<&HttpRule> = None;
    for Ranked { it, rule, .. } in ranked {
        match rules.last_mut() {
            Some(known) if last.is_some_and(|last| std::ptr::eq(last, rule)) => {
                known.matches.push(it);
            }
            Some(_) | None => rules.push(HttpRule {
                matches: vec![it],
                ..rule.clone()
            }),
        }
        last = Some(rule);
    }
    HttpRoutes { rules }
}
