//! Layer-4 policies as people read them.

use serde_json::{Value, json};
use wire::proto::security::{
    Action, Address, Authorization, Clause, Match, Rule, Scope, ServiceAccountMatch, StringMatch,
    string_match::MatchType,
};

use super::{Fields, extension, ip, list, name};

/// A policy.
#[must_use]
pub fn authorization(policy: &Authorization) -> Value {
    let scope = Scope::try_from(policy.scope).map(|it| it.as_str_name());
    let action = Action::try_from(policy.action).map(|it| it.as_str_name());
    Fields::default()
        .text("name", &policy.name)
        .text("namespace", &policy.namespace)
        .always("scope", name(scope, policy.scope))
        .always("action", name(action, policy.action))
        .list("rules", &policy.rules, rule)
        .flag("dryRun", policy.dry_run)
        .list("extensions", &policy.extensions, extension)
        .done()
}

/// A list of clauses, each a list of matches: without one, it matches everything, and so is always shown.
fn rule(rule: &Rule) -> Value {
    json!({ "clauses": list(&rule.clauses, clause) })
}

fn clause(clause: &Clause) -> Value {
    json!({ "matches": list(&clause.matches, matched) })
}

fn matched(it: &Match) -> Value {
    Fields::default()
        .list("namespaces", &it.namespaces, text)
        .list("notNamespaces", &it.not_namespaces, text)
        .list("serviceAccounts", &it.service_accounts, account)
        .list("notServiceAccounts", &it.not_service_accounts, account)
        .list("principals", &it.principals, text)
        .list("notPrincipals", &it.not_principals, text)
        .list("sourceIps", &it.source_ips, range)
        .list("notSourceIps", &it.not_source_ips, range)
        .list("destinationIps", &it.destination_ips, range)
        .list("notDestinationIps", &it.not_destination_ips, range)
        .list("destinationPorts", &it.destination_ports, |port| {
            json!(port)
        })
        .list("notDestinationPorts", &it.not_destination_ports, |port| {
            json!(port)
        })
        .list("extensions", &it.extensions, extension)
        .done()
}

fn account(it: &ServiceAccountMatch) -> Value {
    format!("{}/{}", it.namespace, it.service_account).into()
}

fn text(it: &StringMatch) -> Value {
    match &it.match_type {
        Some(MatchType::Exact(text)) => json!({ "exact": text }),
        Some(MatchType::Prefix(text)) => json!({ "prefix": text }),
        Some(MatchType::Suffix(text)) => json!({ "suffix": text }),
        Some(MatchType::Presence(())) => json!({ "presence": {} }),
        None => json!({}),
    }
}

fn range(it: &Address) -> Value {
    format!("{}/{}", ip(&it.address), it.length).into()
}
