//! `istio.security.Authorization`.
//!
//! Nothing is left out of a policy: a condition that cannot be judged refuses the whole of it, because a `Deny`
//! without it would deny too little, and an `Allow` would allow too much.

use ipnet::IpNet;
use mesh::{
    Authorization, PolicyKey,
    authorization::{Action, Clause, Match, Rule, Scope, ServiceAccountMatch, StringMatch},
};

use super::{
    error::{Fault, each},
    field, gateway,
    names::Names,
};
use crate::proto::security as proto;

/// Reads a policy. Extensions of the policy as a whole are for other readers.
pub(super) fn read(read: proto::Authorization, names: &mut Names) -> Result<Authorization, Fault> {
    let name = field::name("name", &read.name)?;
    let namespace = field::required_segment("namespace", &read.namespace)?;
    let scope = match field::choice(
        "scope",
        read.scope,
        "GLOBAL, NAMESPACE or WORKLOAD_SELECTOR",
    )? {
        proto::Scope::Global => Scope::Global,
        proto::Scope::Namespace => Scope::Namespace,
        proto::Scope::WorkloadSelector => Scope::WorkloadSelector,
    };
    let action = match field::choice("action", read.action, "ALLOW or DENY")? {
        proto::Action::Allow => Action::Allow,
        proto::Action::Deny => Action::Deny,
    };
    Ok(Authorization {
        key: PolicyKey {
            namespace: names.namespaces.share(namespace),
            name: names.labels.share(name),
        },
        scope,
        action,
        dry_run: read.dry_run,
        rules: each("rules", &read.rules, |rule| {
            let clauses = each("clauses", &rule.clauses, |clause| {
                let matches = each("matches", &clause.matches, |read| condition(read, names))?;
                Ok(Clause { matches })
            })?;
            Ok(Rule { clauses })
        })?,
    })
}

fn condition(read: &proto::Match, names: &mut Names) -> Result<Match, Fault> {
    if let Some(extension) = read.extensions.first() {
        let expected = "no condition beside those of istio.security.Match";
        return Err(Fault::text("extensions[0]", &extension.name, expected));
    }
    let mut accounts = |field, read: &[proto::ServiceAccountMatch]| {
        each(field, read, |account| {
            Ok(ServiceAccountMatch {
                namespace: names
                    .namespaces
                    .share(field::required_segment("namespace", &account.namespace)?),
                service_account: names.service_accounts.share(field::required_segment(
                    "service_account",
                    &account.service_account,
                )?),
            })
        })
    };
    Ok(Match {
        namespaces: each("namespaces", &read.namespaces, text)?,
        not_namespaces: each("not_namespaces", &read.not_namespaces, text)?,
        service_accounts: accounts("service_accounts", &read.service_accounts)?,
        not_service_accounts: accounts("not_service_accounts", &read.not_service_accounts)?,
        principals: each("principals", &read.principals, principal)?,
        not_principals: each("not_principals", &read.not_principals, principal)?,
        source_ips: ranges("source_ips", &read.source_ips)?,
        not_source_ips: ranges("not_source_ips", &read.not_source_ips)?,
        destination_ips: ranges("destination_ips", &read.destination_ips)?,
        not_destination_ips: ranges("not_destination_ips", &read.not_destination_ips)?,
        destination_ports: ports("destination_ports", &read.destination_ports)?,
        not_destination_ports: ports("not_destination_ports", &read.not_destination_ports)?,
    })
}

/// A text condition. An empty prefix or suffix would hold for a peer without identity, an empty text for nobody.
fn text(read: &proto::StringMatch) -> Result<StringMatch, Fault> {
    use proto::string_match::MatchType;
    let not_empty = |field, text: &str| {
        if text.is_empty() {
            Err(Fault::text(field, text, "a text that is not empty"))
        } else {
            Ok(text.to_owned())
        }
    };
    match &read.match_type {
        Some(MatchType::Exact(text)) => not_empty("exact", text).map(StringMatch::Exact),
        Some(MatchType::Prefix(text)) => not_empty("prefix", text).map(StringMatch::Prefix),
        Some(MatchType::Suffix(text)) => not_empty("suffix", text).map(StringMatch::Suffix),
        Some(MatchType::Presence(())) => Ok(StringMatch::Presence),
        None => Err(Fault::missing("", "exact, prefix, suffix or presence")),
    }
}

/// A condition on the principal, which is compared without its scheme: one that carries it means the same.
fn principal(read: &proto::StringMatch) -> Result<StringMatch, Fault> {
    const SCHEME: &str = "spiffe://";
    let bare = |text: String| text.strip_prefix(SCHEME).map(str::to_owned).unwrap_or(text);
    Ok(match text(read)? {
        StringMatch::Exact(text) => StringMatch::Exact(bare(text)),
        StringMatch::Prefix(text) if text == SCHEME => StringMatch::Presence,
        StringMatch::Prefix(text) => StringMatch::Prefix(bare(text)),
        StringMatch::Suffix(text) => StringMatch::Suffix(text),
        StringMatch::Presence => StringMatch::Presence,
    })
}

fn ranges(field: &str, read: &[proto::Address]) -> Result<Vec<IpNet>, Fault> {
    each(field, read, |read| {
        let range = gateway::range(&read.address, read.length)?;
        // Nobody writes 10.0.0.1/0: the length was forgotten, and the range would hold everybody.
        if read.length == 0 && read.address.iter().any(|byte| *byte != 0) {
            let expected = "the prefix length of an address that is not 0";
            return Err(Fault::new("length", "0", expected));
        }
        Ok(range)
    })
}

fn ports(field: &str, read: &[u32]) -> Result<Vec<u16>, Fault> {
    // 0 is no port, and so matches none; Istio lets it be written, and one of it must not cost the policy.
    each(field, read, |port| {
        let expected = "a port from 0 to 65535";
        u16::try_from(*port).map_err(|_| Fault::new("", port.to_string(), expected))
    })
}
