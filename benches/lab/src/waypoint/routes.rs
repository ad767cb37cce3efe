//! The tables of routes, as a VirtualService and as Envoy's matches.
//!
//! In: how many. Out: exact paths and prefixes in turn, all of one service; the last is the one that is asked for.

use serde_json::{Value, json};

use super::exchange::Routes;

/// The prefix of everything that is asked for.
const LAST: &str = "/last/";

/// One match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// This path.
    Exact(String),
    /// Every path that begins so.
    Prefix(String),
}

/// The matches in order.
pub(crate) fn table(routes: Routes) -> Vec<Match> {
    let others = (1..routes.count()).map(|number| {
        if number.is_multiple_of(2) {
            Match::Exact(format!("/route-{number}/item"))
        } else {
            Match::Prefix(format!("/route-{number}/"))
        }
    });
    others.chain([Match::Prefix(LAST.to_owned())]).collect()
}

/// A path that only the route in the middle of a long table matches.
pub(crate) fn middle() -> String {
    format!("/route-{}/item", Routes::Many.count() / 2)
}

/// The matches as Envoy writes them.
pub(crate) fn envoy(table: &[Match]) -> Vec<Value> {
    let one = |it: &Match| match it {
        Match::Exact(path) => json!({"path": path}),
        Match::Prefix(prefix) => json!({"prefix": prefix}),
    };
    table.iter().map(one).collect()
}

/// The table as a VirtualService of a service in namespace `default`.
pub(crate) fn virtual_service(service: &str, table: &[Match]) -> Value {
    let rule = |it: &Match| {
        let uri = match it {
            Match::Exact(path) => json!({"exact": path}),
            Match::Prefix(prefix) => json!({"prefix": prefix}),
        };
        json!({"match": [{"uri": uri}], "route": [{"destination": {"host": service}}]})
    };
    let rules: Vec<Value> = table.iter().map(rule).collect();
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": service, "namespace": "default"},
        "spec": {"hosts": [service], "http": rules},
    })
}

#[cfg(test)]
mod tests;
