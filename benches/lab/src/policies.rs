//! Authorization policies by the thousand: all of them apply to the server, and one lets the client in.
//!
//! In: how many. Out: policies of the server's namespace. Never: two that say the same; one but the last that matches what the
//! client does, so that each has to be ruled out.

use serde_json::{Value, json};

use crate::load::server::PORT_ANSWER;

/// The namespace of both pods.
const NAMESPACE: &str = "default";

/// The kinds that are mixed, in equal shares.
const KINDS: usize = 8;

/// So many policies; the last allows what the client does on [`PORT_ANSWER`], and nothing else.
///
/// Without any, everything is allowed.
pub(crate) fn mixture(count: usize) -> Vec<Value> {
    let others = (0..count.saturating_sub(1)).map(other);
    others.chain((count > 0).then(last)).collect()
}

fn policy(name: &str, action: &str, clauses: &Value) -> Value {
    json!({
        "name": name, "namespace": NAMESPACE, "scope": "Namespace", "action": action,
        "rules": [clauses],
    })
}

fn last() -> Value {
    let clauses = json!([
        [{"principals": [{"exact": "cluster.local/ns/default/sa/client"}]}],
        [{"destinationPorts": [PORT_ANSWER]}],
    ]);
    policy("z-last", "Allow", &clauses)
}

/// One that does not match: for some the port holds, for some the source, for some only what is excluded decides.
fn other(index: usize) -> Value {
    let team = format!("team-{index}");
    let app = format!("cluster.local/ns/{team}/sa/app");
    let network = format!("172.{}.{}.0/24", 64 + index / 256, index % 256);
    let (action, clauses) = match index % KINDS {
        0 => (
            "Allow",
            json!([[{"principals": [{"exact": app}]}], [{"destinationPorts": [PORT_ANSWER]}]]),
        ),
        1 => ("Allow", json!([[{"namespaces": [{"exact": team}]}]])),
        2 => (
            "Allow",
            json!([[{"sourceIps": [network]}], [{"destinationPorts": [PORT_ANSWER]}]]),
        ),
        3 => ("Deny", json!([[{"principals": [{"exact": app}]}]])),
        4 => (
            "Deny",
            json!([
                [{"namespaces": [{"exact": NAMESPACE}]}],
                [{"destinationPorts": [10_000 + index]}],
            ]),
        ),
        5 => (
            "Allow",
            json!([[{"notSourceIps": ["10.10.0.0/16", network]}]]),
        ),
        6 => (
            "Deny",
            json!([
                [{"destinationPorts": [PORT_ANSWER]}],
                [{"principals": [{"suffix": format!("/sa/{team}")}]}],
            ]),
        ),
        _ => (
            "Allow",
            json!([
                [{"notNamespaces": [{"exact": NAMESPACE}, {"exact": team}]}],
                [{"destinationPorts": [PORT_ANSWER]}],
            ]),
        ),
    };
    policy(&format!("p-{index:05}"), action, &clauses)
}

#[cfg(test)]
mod tests;
