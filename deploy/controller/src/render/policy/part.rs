//! One part of a rule (a source, an operation, a condition) as what a node proxy compares.
//!
//! **Shape** of `Match`: the AND of its lists, each positive list *any*, each `not_` list *none*; one whose lists are
//! all empty never holds. A positive list that comes to nothing must therefore never be left empty.

mod trust_domain;

use std::net::IpAddr;

use ipnet::IpNet;
use wire::proto::security::{Action, Address, Match, ServiceAccountMatch, StringMatch};

use super::{Scoping, condition::Notes, pattern};
use crate::objects::{Condition, Operation, Source};

/// What a part is rendered for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The policy's action.
    pub(super) action: Action,
    /// The policy's namespace.
    pub(super) namespace: &'a str,
    /// The mesh.
    pub(super) scoping: &'a Scoping<'a>,
}

/// What a part comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// It cannot hold.
    Never,
    /// Nothing of it can be enforced.
    Stripped,
    /// It is enforced as if it always held.
    Always,
    /// All of these must hold; at least one.
    Matches(Vec<Match>),
}

/// The attributes of a source that are not those of a connection.
pub(super) fn http_of_source(source: &Source) -> impl Iterator<Item = &'static str> {
    [
        (!source.remote_ip_blocks.is_empty(), "remoteIpBlocks"),
        (!source.not_remote_ip_blocks.is_empty(), "notRemoteIpBlocks"),
        (!source.request_principals.is_empty(), "requestPrincipals"),
        (
            !source.not_request_principals.is_empty(),
            "notRequestPrincipals",
        ),
    ]
    .into_iter()
    .filter_map(|(is_there, name)| is_there.then_some(name))
}

/// The attributes of an operation that are not those of a connection.
pub(super) fn http_of_operation(operation: &Operation) -> impl Iterator<Item = &'static str> {
    [
        (!operation.hosts.is_empty(), "hosts"),
        (!operation.not_hosts.is_empty(), "notHosts"),
        (!operation.methods.is_empty(), "methods"),
        (!operation.not_methods.is_empty(), "notMethods"),
        (!operation.paths.is_empty(), "paths"),
        (!operation.not_paths.is_empty(), "notPaths"),
    ]
    .into_iter()
    .filter_map(|(is_there, name)| is_there.then_some(name))
}

/// Whether a condition is about the connection. Istio takes `source.serviceAccount` and `source.trustDomain` for
/// attributes of HTTP; both come from the peer's certificate, so they are not.
pub(super) fn is_of_connection(key: &str) -> bool {
    matches!(
        key,
        "source.ip"
            | "source.namespace"
            | "source.principal"
            | "source.serviceAccount"
            | "source.trustDomain"
            | "destination.ip"
            | "destination.port"
    )
}

/// What a source comes to.
pub(super) fn source(source: &Source, context: &Context<'_>, notes: &mut Notes) -> Part {
    let identity = Identity::new(source, context, notes);
    let Some((principals, others)) = identity.principals() else {
        return Part::Never;
    };
    let main = Match {
        namespaces: pattern::texts(&source.namespaces),
        not_namespaces: pattern::texts(&source.not_namespaces),
        service_accounts: accounts(&source.service_accounts, context.namespace),
        not_service_accounts: accounts(&source.not_service_accounts, context.namespace),
        principals,
        not_principals: identity.none_of,
        source_ips: source.ip_blocks.iter().map(address).collect(),
        not_source_ips: source.not_ip_blocks.iter().map(address).collect(),
        ..Match::default()
    };
    if main == Match::default() {
        return if identity.is_widened {
            Part::Always
        } else if http_of_source(source).next().is_some() {
            Part::Stripped
        } else {
            Part::Never
        };
    }
    let others = others.into_iter().map(|principals| Match {
        principals,
        ..Match::default()
    });
    Part::Matches(std::iter::once(main).chain(others).collect())
}

/// What an operation comes to.
pub(super) fn operation(operation: &Operation) -> Part {
    if operation.ports.is_empty() && operation.not_ports.is_empty() {
        return if http_of_operation(operation).next().is_some() {
            Part::Stripped
        } else {
            Part::Never
        };
    }
    Part::Matches(vec![Match {
        destination_ports: operation.ports.iter().copied().map(u32::from).collect(),
        not_destination_ports: operation.not_ports.iter().copied().map(u32::from).collect(),
        ..Match::default()
    }])
}

/// What one of `when` comes to.
pub(super) fn condition(when: &Condition, context: &Context<'_>, notes: &mut Notes) -> Part {
    let (values, not_values) = (&when.values, &when.not_values);
    let of_source = |it: Source, notes: &mut Notes| source(&it, context, notes);
    let parsed = match when.key.as_str() {
        "source.namespace" => {
            let it = Source {
                namespaces: values.clone(),
                not_namespaces: not_values.clone(),
                ..Source::default()
            };
            return of_source(it, notes);
        }
        "source.principal" => {
            let it = Source {
                principals: values.clone(),
                not_principals: not_values.clone(),
                ..Source::default()
            };
            return of_source(it, notes);
        }
        "source.serviceAccount" => {
            let it = Source {
                service_accounts: values.clone(),
                not_service_accounts: not_values.clone(),
                ..Source::default()
            };
            return of_source(it, notes);
        }
        "source.trustDomain" => {
            let it = Source {
                trust_domains: values.clone(),
                not_trust_domains: not_values.clone(),
                ..Source::default()
            };
            return of_source(it, notes);
        }
        "source.ip" => {
            addresses(values)
                .zip(addresses(not_values))
                .map(|(source_ips, not_source_ips)| Match {
                    source_ips,
                    not_source_ips,
                    ..Match::default()
                })
        }
        "destination.ip" => addresses(values).zip(addresses(not_values)).map(
            |(destination_ips, not_destination_ips)| Match {
                destination_ips,
                not_destination_ips,
                ..Match::default()
            },
        ),
        "destination.port" => ports(values).zip(ports(not_values)).map(
            |(destination_ports, not_destination_ports)| Match {
                destination_ports,
                not_destination_ports,
                ..Match::default()
            },
        ),
        _ => return Part::Stripped,
    };
    match parsed {
        Some(it) if it == Match::default() => Part::Never,
        Some(it) => Part::Matches(vec![it]),
        // A source lets no such value through; if one did, the policy must not let in more for it.
        None => match context.action {
            Action::Allow => Part::Never,
            Action::Deny => Part::Always,
        },
    }
}

/// What a source says about the peer's identity.
#[derive(Debug, Default)]
struct Identity {
    /// AND of lists, each OR. An empty list cannot hold.
    any_of: Vec<Vec<StringMatch>>,
    /// None of them.
    none_of: Vec<StringMatch>,
    /// Whether something was left out that would have let fewer through.
    is_widened: bool,
}

impl Identity {
    fn new(source: &Source, context: &Context<'_>, notes: &mut Notes) -> Self {
        let mut identity = Self {
            any_of: Vec::new(),
            none_of: pattern::principals(&source.not_principals, context.scoping),
            is_widened: false,
        };
        if !source.principals.is_empty() {
            let principals = pattern::principals(&source.principals, context.scoping);
            identity.any_of.push(principals);
        }
        let domains = |values| pattern::trust_domains(values, context.scoping);
        identity.require(&domains(&source.trust_domains), context, notes);
        identity.exclude(&domains(&source.not_trust_domains), context, notes);
        identity
    }

    /// The lists of principals that must all hold, the first of which may be no list at all; `None` where they cannot.
    fn principals(&self) -> Option<(Vec<StringMatch>, Vec<Vec<StringMatch>>)> {
        let Some((first, rest)) = self.any_of.split_first() else {
            return Some((Vec::new(), Vec::new()));
        };
        let (mut common, mut others) = (first.clone(), Vec::new());
        for list in rest {
            match pattern::intersection(&common, list) {
                Some(both) => common = both,
                None => others.push(list.clone()),
            }
        }
        let can_hold = !common.is_empty() && others.iter().all(|list| !list.is_empty());
        can_hold.then_some((common, others))
    }
}

/// `name` is an account of the policy's namespace. Source: `Source.serviceAccounts`.
fn accounts(values: &[String], namespace: &str) -> Vec<ServiceAccountMatch> {
    let account = |value: &String| {
        let (namespace, name) = value.split_once('/').unwrap_or((namespace, value));
        ServiceAccountMatch {
            namespace: namespace.to_owned(),
            service_account: name.to_owned(),
        }
    };
    values.iter().map(account).collect()
}

fn address(range: &IpNet) -> Address {
    let address = match range.network() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    Address {
        address: address.into(),
        length: range.prefix_len().into(),
    }
}

fn addresses(values: &[String]) -> Option<Vec<Address>> {
    let one = |value: &String| value.parse::<IpAddr>().ok().map(IpNet::from);
    let range = |value: &String| one(value).or_else(|| value.parse().ok());
    values
        .iter()
        .map(|value| range(value).as_ref().map(address))
        .collect()
}

fn ports(values: &[String]) -> Option<Vec<u32>> {
    let parse = |value: &String| value.parse::<u16>().ok().map(u32::from);
    values.iter().map(parse).collect()
}
