//! The tables.

use super::{Match, envoy, middle, table, virtual_service};
use crate::waypoint::exchange::{Exchange, Routes};

fn matches(one: &Match, path: &str) -> bool {
    match one {
        Match::Exact(exact) => path == exact,
        Match::Prefix(prefix) => path.starts_with(prefix.as_str()),
    }
}

#[test]
fn only_the_last_route_matches_what_is_asked_for() {
    for exchange in Exchange::all() {
        let table = table(exchange.routes);
        assert_eq!(table.len(), exchange.routes.count());
        let found = table.iter().position(|it| matches(it, &exchange.path()));
        assert_eq!(found, Some(table.len() - 1), "{exchange}");
    }
}

#[test]
fn the_middle_is_matched_by_one_route_of_the_long_table_alone() {
    let of = |routes| {
        let table = table(routes);
        let all = table.iter().filter(|it| matches(it, &middle()));
        all.count()
    };
    assert_eq!((of(Routes::Many), of(Routes::One)), (1, 0));
}

#[test]
fn both_spellings_have_the_same_order() {
    let table = table(Routes::Many);
    let (envoy, ours) = (envoy(&table), virtual_service("web", &table));
    let rules = ours["spec"]["http"].as_array().unwrap();
    assert_eq!(envoy.len(), rules.len());
    for (envoy, rule) in envoy.iter().zip(rules) {
        let uri = &rule["match"][0]["uri"];
        assert_eq!(
            (&envoy["path"], &envoy["prefix"]),
            (&uri["exact"], &uri["prefix"])
        );
    }
}
