//! Whole policies in, whole resources out.

mod golden;
mod http;
mod properties;
mod trust_domains;

use wire::proto::security::{
    Authorization, Clause, Match, Scope, StringMatch, string_match::MatchType,
};

use super::{Scoping, authorization};
use crate::{
    objects::{
        Action, AuthorizationPolicy, Condition as When, Meta, Operation, PolicyRule, Selector,
        Source,
    },
    status::Condition,
};

/// A mesh without aliases.
const MESH: Scoping<'static> = Scoping {
    root_namespace: "istio-system",
    trust_domain: "cluster.local",
    trust_domain_aliases: &[],
};

fn policy(action: Action, rules: Vec<PolicyRule>) -> AuthorizationPolicy {
    AuthorizationPolicy {
        meta: Meta {
            name: "p".into(),
            namespace: "shop".into(),
            ..Meta::default()
        },
        action,
        rules,
        ..AuthorizationPolicy::default()
    }
}

fn rule(from: Vec<Source>, to: Vec<Operation>, when: Vec<When>) -> PolicyRule {
    PolicyRule { from, to, when }
}

fn when(key: &str, values: &[&str], not_values: &[&str]) -> When {
    When {
        key: key.to_owned(),
        values: list(values),
        not_values: list(not_values),
    }
}

fn list(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn selector(labels: &[(&str, &str)]) -> Selector {
    let labels = labels.iter();
    Selector(
        labels
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

/// Renders a policy of which a resource must come.
fn render(policy: &AuthorizationPolicy, scoping: &Scoping<'_>) -> (Authorization, Condition) {
    let (resource, conditions) = authorization(policy, scoping);
    let [condition] = <[_; 1]>::try_from(conditions).expect("one condition");
    (resource.expect("a resource"), condition)
}

/// A resource, one line for each rule: clauses joined by AND, matches by OR, lists of a match by `and`.
fn lines(resource: &Authorization) -> Vec<String> {
    let clause = |clause: &Clause| {
        let matches = clause.matches.iter().map(one_match);
        format!("({})", matches.collect::<Vec<_>>().join(" OR "))
    };
    let rules = resource.rules.iter();
    rules
        .map(|rule| {
            let clauses = rule.clauses.iter().map(clause);
            clauses.collect::<Vec<_>>().join(" AND ")
        })
        .collect()
}

fn one_match(it: &Match) -> String {
    let texts = |list: &[StringMatch]| list.iter().map(text).collect::<Vec<_>>();
    let accounts = |list: &[wire::proto::security::ServiceAccountMatch]| {
        let account = |it: &wire::proto::security::ServiceAccountMatch| {
            format!("{}/{}", it.namespace, it.service_account)
        };
        list.iter().map(account).collect::<Vec<_>>()
    };
    let addresses = |list: &[wire::proto::security::Address]| {
        let address = |it: &wire::proto::security::Address| match it.address.len() {
            4 => format!(
                "{}/{}",
                std::net::Ipv4Addr::from(<[u8; 4]>::try_from(&*it.address).expect("4 bytes")),
                it.length
            ),
            _ => format!(
                "{}/{}",
                std::net::Ipv6Addr::from(<[u8; 16]>::try_from(&*it.address).expect("16 bytes")),
                it.length
            ),
        };
        list.iter().map(address).collect::<Vec<_>>()
    };
    let ports = |list: &[u32]| list.iter().map(u32::to_string).collect::<Vec<_>>();
    [
        ("principal", texts(&it.principals)),
        ("!principal", texts(&it.not_principals)),
        ("namespace", texts(&it.namespaces)),
        ("!namespace", texts(&it.not_namespaces)),
        ("account", accounts(&it.service_accounts)),
        ("!account", accounts(&it.not_service_accounts)),
        ("source", addresses(&it.source_ips)),
        ("!source", addresses(&it.not_source_ips)),
        ("destination", addresses(&it.destination_ips)),
        ("!destination", addresses(&it.not_destination_ips)),
        ("port", ports(&it.destination_ports)),
        ("!port", ports(&it.not_destination_ports)),
    ]
    .into_iter()
    .filter(|(_, values)| !values.is_empty())
    .map(|(name, values)| format!("{name}={}", values.join("|")))
    .collect::<Vec<_>>()
    .join(" and ")
}

fn text(it: &StringMatch) -> String {
    match it.match_type.as_ref().expect("a condition") {
        MatchType::Exact(text) => text.clone(),
        MatchType::Prefix(text) => format!("{text}*"),
        MatchType::Suffix(text) => format!("*{text}"),
        MatchType::Presence(()) => "*".to_owned(),
    }
}

fn scope(resource: &Authorization) -> Scope {
    Scope::try_from(resource.scope).expect("a scope")
}
