//! The order of rules of the Gateway API, against a plain reading of the specification.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use wire::proto::waypoint::HttpMatch as Wire;

use super::world::World;
use crate::{
    objects::{
        AppProtocol, Labels, Meta, Service, ServicePort, StringMatch, TargetPort,
        route::{Backend, BackendRef, HttpMatch, HttpRoute, HttpRule, ParentRef, PathMatch},
    },
    render::routing::matches::of_http_route,
};

fn world(routes: Vec<HttpRoute>) -> World {
    let waypoint = ("istio.io/use-waypoint".to_owned(), "w".to_owned());
    let service = Service {
        meta: Meta {
            name: "web".into(),
            namespace: "shop".into(),
            labels: Labels::from([waypoint]),
            ..Meta::default()
        },
        ports: vec![ServicePort {
            name: "http".to_owned(),
            port: 80,
            target: TargetPort::Same,
            protocol: AppProtocol::Http11,
        }],
        ..Service::default()
    };
    World::of(service, routes)
}

fn route(name: &str, created: i64, rules: Vec<Vec<HttpMatch>>) -> HttpRoute {
    let parent = ParentRef {
        group: String::new(),
        kind: "Service".to_owned(),
        namespace: None,
        name: "web".to_owned(),
        section: None,
        port: None,
    };
    let backend = Backend {
        backend: BackendRef {
            group: String::new(),
            kind: "Service".to_owned(),
            namespace: None,
            name: "web".to_owned(),
            port: Some(80),
        },
        weight: 1,
        filters: Vec::new(),
    };
    HttpRoute {
        meta: Meta {
            name: name.into(),
            namespace: "shop".into(),
            created,
            ..Meta::default()
        },
        parents: vec![parent],
        rules: rules
            .into_iter()
            .map(|matches| HttpRule {
                matches,
                backends: vec![backend.clone()],
                ..HttpRule::default()
            })
            .collect(),
        ..HttpRoute::default()
    }
}

/// The matches in the order in which they are tried, each with the name of its rule.
fn compiled(routes: Vec<HttpRoute>) -> Vec<(String, Wire)> {
    let world = world(routes);
    let table = world.table("web.shop.svc.cluster.local", 80);
    let rules = table
        .and_then(|it| it.http)
        .into_iter()
        .flat_map(|it| it.rules);
    rules
        .flat_map(|rule| {
            let name = rule.name.clone();
            rule.matches.into_iter().map(move |it| (name.clone(), it))
        })
        .collect()
}

/// One match and where it was written.
#[derive(Clone)]
struct Written<'a> {
    route: &'a HttpRoute,
    rule: usize,
    index: usize,
    it: &'a HttpMatch,
}

/// Whether one match goes before another, clause by clause as the specification lists them.
fn goes_before(one: &Written<'_>, other: &Written<'_>) -> bool {
    let form = |it: &HttpMatch| match &it.path {
        PathMatch::Exact(_) => 0,
        PathMatch::Regex(_) => 1,
        PathMatch::Prefix(_) => 2,
    };
    let length = |it: &HttpMatch| match &it.path {
        PathMatch::Exact(text) | PathMatch::Regex(text) | PathMatch::Prefix(text) => {
            text.chars().count()
        }
    };
    if form(one.it) != form(other.it) {
        return form(one.it) < form(other.it);
    }
    if length(one.it) != length(other.it) {
        return length(one.it) > length(other.it);
    }
    if one.it.method.is_some() != other.it.method.is_some() {
        return one.it.method.is_some();
    }
    if one.it.headers.len() != other.it.headers.len() {
        return one.it.headers.len() > other.it.headers.len();
    }
    if one.it.query_params.len() != other.it.query_params.len() {
        return one.it.query_params.len() > other.it.query_params.len();
    }
    let (mine, its) = (&one.route.meta, &other.route.meta);
    if mine.created != its.created {
        return mine.created < its.created;
    }
    let full = |meta: &Meta| format!("{}/{}", meta.namespace, meta.name);
    if full(mine) != full(its) {
        return full(mine) < full(its);
    }
    if one.rule != other.rule {
        return one.rule < other.rule;
    }
    one.index < other.index
}

/// Takes, again and again, a match that no other goes before.
fn naive(routes: &[HttpRoute]) -> Vec<(String, Wire)> {
    let mut left = Vec::new();
    for route in routes {
        for (rule, of) in route.rules.iter().enumerate() {
            for (index, it) in of.matches.iter().enumerate() {
                left.push(Written {
                    route,
                    rule,
                    index,
                    it,
                });
            }
        }
    }
    let mut order = Vec::new();
    while !left.is_empty() {
        let first = (0..left.len())
            .find(|&at| !left.iter().any(|other| goes_before(other, &left[at])))
            .unwrap();
        let next = left.remove(first);
        let name = format!("shop.{}.{}", next.route.meta.name, next.rule);
        order.push((name, of_http_route(next.it)));
    }
    order
}

fn a_match() -> impl Strategy<Value = HttpMatch> {
    let text = prop_oneof![Just("/"), Just("/a"), Just("/b"), Just("/a/b"), Just("/ä")];
    let path = (0..3, text).prop_map(|(form, text)| match form {
        0 => PathMatch::Exact(text.to_owned()),
        1 => PathMatch::Regex(text.to_owned()),
        _prefix => PathMatch::Prefix(text.to_owned()),
    });
    let values = || {
        vec(prop_oneof![Just("x"), Just("y"), Just("z")], 0..3).prop_map(|names| {
            names
                .into_iter()
                .map(|name| (name.to_owned(), StringMatch::Exact("1".to_owned())))
                .collect::<BTreeMap<_, _>>()
        })
    };
    let method = prop::option::of(prop_oneof![Just("GET"), Just("POST")]);
    (path, values(), values(), method).prop_map(|(path, headers, query_params, method)| HttpMatch {
        path,
        headers,
        query_params,
        method: method.map(str::to_owned),
    })
}

fn some_routes() -> impl Strategy<Value = Vec<HttpRoute>> {
    // `-` and `.` are below `/`, so that names alone and with their namespace differ in order.
    let names = ["a", "a-b", "a.b", "b"];
    vec((0_i64..3, vec(vec(a_match(), 1..4), 1..4)), 0..5).prop_map(move |routes| {
        let each = routes.into_iter().zip(names);
        each.map(|((created, rules), name)| route(name, created, rules))
            .collect()
    })
}

proptest! {
    #[test]
    fn rules_are_in_the_order_of_the_specification(routes in some_routes(), turn in 0_usize..5) {
        let expected = naive(&routes);
        prop_assert_eq!(&compiled(routes.clone()), &expected);
        // In whichever order the objects come.
        let mut turned = routes;
        let by = turn.min(turned.len());
        turned.rotate_left(by);
        prop_assert_eq!(&compiled(turned), &expected);
    }
}

fn matching(path: PathMatch, headers: &[&str], query: &[&str], method: Option<&str>) -> HttpMatch {
    let map = |names: &[&str]| {
        let names = names.iter();
        names
            .map(|name| ((*name).to_owned(), StringMatch::Exact("1".to_owned())))
            .collect()
    };
    HttpMatch {
        path,
        headers: map(headers),
        query_params: map(query),
        method: method.map(str::to_owned),
    }
}

#[test]
fn each_clause_decides_before_the_next() {
    let exact = |text: &str| PathMatch::Exact(text.to_owned());
    let prefix = |text: &str| PathMatch::Prefix(text.to_owned());
    let regex = |text: &str| PathMatch::Regex(text.to_owned());
    // Each goes before all that follow it.
    let order = [
        matching(exact("/a"), &[], &[], None),
        matching(regex("/.*"), &[], &[], None),
        matching(prefix("/longer"), &[], &[], None),
        matching(prefix("/a"), &[], &[], Some("GET")),
        matching(prefix("/a"), &["x", "y"], &[], None),
        matching(prefix("/a"), &["x"], &["x", "y"], None),
        matching(prefix("/a"), &["x"], &["x"], None),
        matching(prefix("/a"), &[], &["x", "y", "z"], None),
        matching(prefix("/"), &["x", "y", "z"], &["x"], Some("GET")),
        matching(prefix("/"), &[], &[], None),
    ];
    let mut reversed = order.to_vec();
    reversed.reverse();
    let found = compiled(vec![route("a", 0, vec![reversed])]);
    let found: Vec<_> = found.into_iter().map(|(_, it)| it).collect();
    let expected: Vec<_> = order.iter().map(of_http_route).collect();
    assert_eq!(found, expected);
}

#[test]
fn neighbours_of_one_rule_are_one_again() {
    let all = || matching(PathMatch::default(), &[], &[], None);
    let a = || matching(PathMatch::Exact("/a".to_owned()), &[], &[], None);
    let world = world(vec![
        route("new", 2, vec![vec![a(), all()]]),
        route("old", 1, vec![vec![all(), all()]]),
    ]);
    let table = world.table("web.shop.svc.cluster.local", 80).unwrap();
    let rules = table.http.unwrap().rules;
    let found: Vec<_> = rules
        .iter()
        .map(|it| (it.name.as_str(), it.matches.len()))
        .collect();
    assert_eq!(
        found,
        [("shop.new.0", 1), ("shop.old.0", 2), ("shop.new.0", 1)]
    );
}
