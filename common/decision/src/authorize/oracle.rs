//! The meaning of policies, written down as plainly as it can be: what the compiled index is tested against.
//!
//! In: policies as delivered. Out: the [`Verdict`] that they define. Never: on the path of a connection; it walks
//! all policies.

use std::net::IpAddr;

use ipnet::IpNet;
use mesh::{
    Authorization, PolicyKey, SpiffeId,
    authorization::{Action, Clause, Match, Rule, Scope, StringMatch},
};

use super::{Connection, Denial, DryRun, Outcome, Verdict};

/// Decides by walking all policies.
#[must_use]
pub fn authorize<'a>(
    policies: impl IntoIterator<Item = &'a Authorization>,
    connection: &Connection<'_>,
) -> Verdict {
    let all: Vec<&Authorization> = policies
        .into_iter()
        .filter(|policy| applies(policy, connection))
        .collect();
    let (dry_run, enforced): (Vec<&Authorization>, Vec<&Authorization>) =
        all.iter().partition(|policy| policy.dry_run);
    Verdict {
        enforced: decide(&enforced, connection),
        dry_run: (!dry_run.is_empty()).then(|| {
            Box::new(DryRun {
                denied_by: first_match(&dry_run, Action::Deny, connection),
                allowed_by: first_match(&dry_run, Action::Allow, connection),
                outcome: decide(&all, connection),
            })
        }),
    }
}

fn applies(policy: &Authorization, connection: &Connection<'_>) -> bool {
    match policy.scope {
        Scope::Global => true,
        Scope::Namespace => policy.key.namespace == connection.destination.namespace,
        Scope::WorkloadSelector => connection
            .destination
            .authorization_policies
            .contains(&policy.key),
    }
}

fn decide(policies: &[&Authorization], connection: &Connection<'_>) -> Outcome {
    if let Some(policy) = first_match(policies, Action::Deny, connection) {
        return Outcome::Deny(Denial::Explicit(policy));
    }
    if policies.iter().all(|policy| policy.action != Action::Allow) {
        return Outcome::Allow { by: None };
    }
    match first_match(policies, Action::Allow, connection) {
        Some(policy) => Outcome::Allow { by: Some(policy) },
        None => Outcome::Deny(Denial::NotAllowed),
    }
}

fn first_match(
    policies: &[&Authorization],
    action: Action,
    connection: &Connection<'_>,
) -> Option<PolicyKey> {
    let matching = policies
        .iter()
        .filter(|policy| policy.action == action && policy_matches(policy, connection));
    matching.map(|policy| policy.key.clone()).min()
}

/// OR of rules: none, and nothing matches.
fn policy_matches(policy: &Authorization, connection: &Connection<'_>) -> bool {
    policy
        .rules
        .iter()
        .any(|rule| rule_matches(rule, connection))
}

/// AND of clauses: none, and everything matches.
fn rule_matches(rule: &Rule, connection: &Connection<'_>) -> bool {
    rule.clauses
        .iter()
        .all(|clause| clause_holds(clause, connection))
}

/// OR of matches, but none is true.
fn clause_holds(clause: &Clause, connection: &Connection<'_>) -> bool {
    clause.matches.is_empty()
        || clause
            .matches
            .iter()
            .any(|one| match_holds(one, connection))
}

/// AND of fields, but none is false. What is not there is like nothing; of two identities each may be what a field means.
fn match_holds(one: &Match, connection: &Connection<'_>) -> bool {
    if *one == Match::default() {
        return false;
    }
    let sources: Vec<&SpiffeId> = connection
        .identity
        .into_iter()
        .chain(connection.behind)
        .collect();
    let source = connection.source_ip.to_canonical();
    let destination = connection.destination_addr.ip().to_canonical();
    let port = connection.destination_addr.port();

    let in_namespace = |condition: &StringMatch| {
        let mut namespaces = sources.iter().map(|id| id.namespace.as_str());
        namespaces.any(|namespace| text_is(namespace, condition))
    };
    let by_principal = |condition: &StringMatch| {
        let mut principals = sources.iter().map(|id| id.principal());
        principals.any(|principal| text_is(&principal, condition))
    };
    let from = |range: &IpNet| range_holds(range, source);
    let to = |range: &IpNet| range_holds(range, destination);
    let accounts = |list: &[mesh::authorization::ServiceAccountMatch]| {
        list.iter().any(|wanted| {
            sources.iter().any(|id| {
                id.namespace == wanted.namespace && id.service_account == wanted.service_account
            })
        })
    };

    (one.namespaces.is_empty() || one.namespaces.iter().any(in_namespace))
        && !one.not_namespaces.iter().any(in_namespace)
        && (one.service_accounts.is_empty() || accounts(&one.service_accounts))
        && !accounts(&one.not_service_accounts)
        && (one.principals.is_empty() || one.principals.iter().any(by_principal))
        && !one.not_principals.iter().any(by_principal)
        && (one.source_ips.is_empty() || one.source_ips.iter().any(from))
        && !one.not_source_ips.iter().any(from)
        && (one.destination_ips.is_empty() || one.destination_ips.iter().any(to))
        && !one.not_destination_ips.iter().any(to)
        && (one.destination_ports.is_empty() || one.destination_ports.contains(&port))
        && !one.not_destination_ports.contains(&port)
}

fn text_is(text: &str, condition: &StringMatch) -> bool {
    match condition {
        StringMatch::Exact(wanted) => text == wanted,
        StringMatch::Prefix(wanted) => text.starts_with(wanted.as_str()),
        StringMatch::Suffix(wanted) => text.ends_with(wanted.as_str()),
        StringMatch::Presence => !text.is_empty(),
    }
}

/// `address` is canonical; a range of IPv4-mapped addresses is the range that it maps.
fn range_holds(range: &IpNet, address: IpAddr) -> bool {
    let mapped = match address {
        IpAddr::V4(address) => IpAddr::V6(address.to_ipv6_mapped()),
        IpAddr::V6(address) => IpAddr::V6(address),
    };
    range.contains(&address) || (is_mapped(range) && range.contains(&mapped))
}

fn is_mapped(range: &IpNet) -> bool {
    match range {
        IpNet::V4(_) => false,
        IpNet::V6(range) => range.prefix_len() >= 96 && range.network().to_ipv4_mapped().is_some(),
    }
}
