//! Routes of TLS by server name, and of TCP (RT-16).
//!
//! In: `tls` and `tcp` of VirtualServices, TLSRoutes and TCPRoutes. Out: routes in the order in which they are tried; for TLS
//! the most specific name first, as Envoy chooses.

use std::cmp::Reverse;

use wire::proto::waypoint::{
    Missing, TcpRoute, TlsRoute, WeightedBackend, weighted_backend::Target,
};

use super::{
    destination::{self, Route, Traffic},
    facts::At,
    http_route::is_attached,
    notes::Notes,
    scope::{self, Claim},
    virtual_service::is_for_mesh,
};
use crate::objects::{
    Meta,
    route::{self, L4Rule, ParentRef},
    virtual_service::{L4Match, WeightedDestination},
};

/// A connection has no status; the field has one.
const CLOSED: u32 = 503;

/// Routes by server name.
pub(super) fn tls(claims: &[Claim<'_>], routes: &[&route::TlsRoute], at: &At<'_>) -> Vec<TlsRoute> {
    if !at.port.may_be_tls() {
        return Vec::new();
    }
    let mut notes = Notes::default();
    let mut routes: Vec<_> = attached(routes, at, |it| (&it.parents, &it.meta)).collect();
    let mut found = if routes.is_empty() {
        tls_of_claims(claims, at, &mut notes)
    } else {
        routes.sort_by_cached_key(|it| scope::by_age(&it.meta));
        let each = routes
            .iter()
            .flat_map(|it| tls_of_route(it, at, &mut notes));
        each.collect()
    };
    // Stable: what is as specific stays in its order.
    found.sort_by_key(|it| Reverse(it.server_names.first().map(|name| scope::specificity(name))));
    found
}

/// The routes of a TLSRoute, one for each name.
pub(super) fn tls_of_route(
    route: &route::TlsRoute,
    at: &At<'_>,
    notes: &mut Notes,
) -> Vec<TlsRoute> {
    const ALL: &str = "*";
    let meta = &route.meta;
    let mut found = Vec::new();
    for (index, rule) in route.rules.iter().enumerate() {
        let backends = of_rule(rule, "TLSRoute", meta, at, notes);
        let mut names: Vec<&str> = route.hostnames.iter().map(String::as_str).collect();
        if names.is_empty() {
            names.push(ALL);
        }
        found.extend(names.into_iter().map(|name| TlsRoute {
            name: logged(meta, rule, index),
            server_names: vec![name.to_owned()],
            backends: backends.clone(),
        }));
    }
    found
}

/// The routes of VirtualServices, one for each name.
pub(super) fn tls_of_claims(claims: &[Claim<'_>], at: &At<'_>, notes: &mut Notes) -> Vec<TlsRoute> {
    let mut found = Vec::new();
    let mut is_any_about = false;
    for claim in claims {
        for (index, rule) in claim.object.tls.iter().enumerate() {
            for it in rule.matches.iter().filter(|it| is_about(it, at)) {
                is_any_about = true;
                let called = format!("tls[{index}]");
                let has_subnets = !it.destination_subnets.is_empty() || it.source_subnet.is_some();
                if is_unknown(it, &called, notes) {
                    continue;
                }
                if has_subnets {
                    notes.ignored(format!("{called}: a match on subnets never holds"));
                    continue;
                }
                let backends = of_destinations(&rule.destinations, claim, at, notes);
                found.extend(it.sni_hosts.iter().map(|name| TlsRoute {
                    name: String::new(),
                    server_names: vec![name.clone()],
                    backends: backends.clone(),
                }));
            }
        }
    }
    if found.is_empty() && is_any_about {
        found.push(TlsRoute {
            server_names: vec!["*".to_owned()],
            backends: vec![closed()],
            ..TlsRoute::default()
        });
    }
    found
}

/// Routes of connections.
pub(super) fn tcp(claims: &[Claim<'_>], routes: &[&route::TcpRoute], at: &At<'_>) -> Vec<TcpRoute> {
    if !at.port.may_be_tcp() {
        return Vec::new();
    }
    let mut notes = Notes::default();
    let mut routes: Vec<_> = attached(routes, at, |it| (&it.parents, &it.meta)).collect();
    if routes.is_empty() {
        return tcp_of_claims(claims, at, &mut notes);
    }
    routes.sort_by_cached_key(|it| scope::by_age(&it.meta));
    let each = routes
        .iter()
        .flat_map(|it| tcp_of_route(it, at, &mut notes));
    each.collect()
}

/// The routes of a TCPRoute.
pub(super) fn tcp_of_route(
    route: &route::TcpRoute,
    at: &At<'_>,
    notes: &mut Notes,
) -> Vec<TcpRoute> {
    let rules = route
        .rules
        .iter()
        .enumerate()
        .map(|(index, rule)| TcpRoute {
            name: logged(&route.meta, rule, index),
            backends: of_rule(rule, "TCPRoute", &route.meta, at, notes),
            ..TcpRoute::default()
        });
    rules.collect()
}

/// The routes of VirtualServices.
pub(super) fn tcp_of_claims(claims: &[Claim<'_>], at: &At<'_>, notes: &mut Notes) -> Vec<TcpRoute> {
    let mut found = Vec::new();
    let mut is_any_about = false;
    for claim in claims {
        for (index, rule) in claim.object.tcp.iter().enumerate() {
            let called = format!("tcp[{index}]");
            let about: Vec<_> = rule.matches.iter().filter(|it| is_about(it, at)).collect();
            if about.is_empty() && !rule.matches.is_empty() {
                continue;
            }
            is_any_about = true;
            let mut each: Vec<TcpRoute> = about
                .into_iter()
                .filter(|it| !is_unknown(it, &called, notes))
                .map(|it| TcpRoute {
                    destination_subnets: it
                        .destination_subnets
                        .iter()
                        .map(ToString::to_string)
                        .collect(),
                    source_subnet: it
                        .source_subnet
                        .map_or_else(String::new, |it| it.to_string()),
                    ..TcpRoute::default()
                })
                .collect();
            if rule.matches.is_empty() {
                each.push(TcpRoute::default());
            }
            if each.is_empty() {
                continue;
            }
            let backends = of_destinations(&rule.destinations, claim, at, notes);
            found.extend(each.into_iter().map(|it| TcpRoute {
                backends: backends.clone(),
                ..it
            }));
        }
    }
    if found.is_empty() && is_any_about {
        found.push(TcpRoute {
            backends: vec![closed()],
            ..TcpRoute::default()
        });
    }
    found
}

/// What takes the place of routes that never hold: without any, connections would go to the service itself.
fn closed() -> WeightedBackend {
    WeightedBackend {
        weight: 1,
        target: Some(Target::Missing(Missing {
            status: CLOSED,
            name: "BlackHoleCluster".to_owned(),
        })),
        ..WeightedBackend::default()
    }
}

/// Routes of the service's own namespace that are attached. Others would be for clients of theirs, which only routes of HTTP
/// can tell.
fn attached<'a, T>(
    routes: &'a [&'a T],
    at: &'a At<'_>,
    of: impl Fn(&'a T) -> (&'a [ParentRef], &'a Meta) + 'a,
) -> impl Iterator<Item = &'a T> {
    routes.iter().copied().filter(move |it| {
        let (parents, meta) = of(it);
        *meta.namespace == *at.service.namespace && is_attached(parents, meta, at)
    })
}

fn is_about(it: &L4Match, at: &At<'_>) -> bool {
    it.port.is_none_or(|port| port == at.port.number) && is_for_mesh(&it.gateways)
}

/// Whether a match asks for what a waypoint cannot know: then it never holds.
fn is_unknown(it: &L4Match, called: &str, notes: &mut Notes) -> bool {
    let what = if !it.source_labels.is_empty() {
        "sourceLabels"
    } else if !it.source_namespace.is_empty() {
        "sourceNamespace"
    } else {
        return false;
    };
    notes.ignored(format!("{called}: a match on {what} never holds"));
    true
}

fn of_destinations(
    destinations: &[WeightedDestination],
    claim: &Claim<'_>,
    at: &At<'_>,
    notes: &mut Notes,
) -> Vec<WeightedBackend> {
    let namespace = &claim.object.meta.namespace;
    let is_only = destinations.len() == 1;
    destinations
        .iter()
        .filter(|it| is_only || it.weight > 0)
        .map(|it| WeightedBackend {
            weight: it.weight.max(1),
            target: Some(destination::of_virtual_service(
                &it.destination,
                namespace,
                Traffic::Tcp,
                at,
                notes,
            )),
            ..WeightedBackend::default()
        })
        .collect()
}

fn of_rule(
    rule: &L4Rule,
    kind: &'static str,
    meta: &Meta,
    at: &At<'_>,
    notes: &mut Notes,
) -> Vec<WeightedBackend> {
    let by = Route {
        kind,
        namespace: &meta.namespace,
    };
    rule.backends
        .iter()
        .map(|it| WeightedBackend {
            weight: it.weight,
            target: Some(destination::of_route(&it.backend, by, CLOSED, at, notes)),
            ..WeightedBackend::default()
        })
        .collect()
}

fn logged(meta: &Meta, rule: &L4Rule, index: usize) -> String {
    let Meta {
        namespace, name, ..
    } = meta;
    match &rule.name {
        Some(rule) => format!("{namespace}.{name}.{rule}"),
        None => format!("{namespace}.{name}.{index}"),
    }
}
