//! What a node proxy makes of a rendered policy, written down as plainly as it can be.
//!
//! Source: the match algebra of `istio.security.Authorization` as ztunnel evaluates it.

use std::net::IpAddr;

use wire::proto::security::{Address, Authorization, Match, StringMatch, string_match::MatchType};

/// A connection, as policies see it.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Trust domain, namespace and service account of the certificate; `None` for plaintext.
    pub(crate) identity: Option<(&'static str, &'static str, &'static str)>,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) port: u16,
}

impl Caller {
    pub(crate) fn principal(&self) -> Option<String> {
        self.identity
            .map(|(domain, namespace, account)| format!("{domain}/ns/{namespace}/sa/{account}"))
    }
}

/// Whether one of the policy's rules holds.
pub(crate) fn matches(policy: &Authorization, caller: &Caller) -> bool {
    policy.rules.iter().any(|rule| {
        rule.clauses.iter().all(|clause| {
            clause.matches.is_empty() || clause.matches.iter().any(|it| holds(it, caller))
        })
    })
}

fn holds(it: &Match, caller: &Caller) -> bool {
    if *it == Match::default() {
        return false;
    }
    let principal = caller.principal();
    let namespace = caller.identity.map(|(_, namespace, _)| namespace);
    let account = caller
        .identity
        .map(|(_, namespace, name)| (namespace, name));
    let port = u32::from(caller.port);

    let is_principal = |wanted: &StringMatch| is(principal.as_deref(), wanted);
    let is_namespace = |wanted: &StringMatch| is(namespace, wanted);
    let is_source = |range: &Address| contains(range, caller.source);
    let is_destination = |range: &Address| contains(range, caller.destination);

    fn lists<T>(any: &[T], none: &[T], is: impl Fn(&T) -> bool) -> bool {
        (any.is_empty() || any.iter().any(&is)) && !none.iter().any(&is)
    }

    lists(&it.principals, &it.not_principals, is_principal)
        && lists(&it.namespaces, &it.not_namespaces, is_namespace)
        && lists(&it.service_accounts, &it.not_service_accounts, |wanted| {
            account == Some((&wanted.namespace, &wanted.service_account))
        })
        && lists(&it.source_ips, &it.not_source_ips, is_source)
        && lists(&it.destination_ips, &it.not_destination_ips, is_destination)
        && lists(&it.destination_ports, &it.not_destination_ports, |wanted| {
            *wanted == port
        })
}

fn is(text: Option<&str>, wanted: &StringMatch) -> bool {
    let Some(text) = text else {
        return false;
    };
    match wanted.match_type.as_ref().expect("a condition") {
        MatchType::Exact(wanted) => text == wanted,
        MatchType::Prefix(wanted) => text.starts_with(wanted.as_str()),
        MatchType::Suffix(wanted) => text.ends_with(wanted.as_str()),
        MatchType::Presence(()) => !text.is_empty(),
    }
}

fn contains(range: &Address, address: IpAddr) -> bool {
    let bits = |bytes: &[u8]| {
        bytes
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
            .take(usize::try_from(range.length).expect("a length"))
            .collect::<Vec<_>>()
    };
    match (range.address.len(), address) {
        (4, IpAddr::V4(address)) => bits(&range.address) == bits(&address.octets()),
        (16, IpAddr::V6(address)) => bits(&range.address) == bits(&address.octets()),
        _ => false,
    }
}
