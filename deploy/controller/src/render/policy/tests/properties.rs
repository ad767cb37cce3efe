//! Random policies and random callers: what a node proxy makes of the resource is what the policy says.

use std::net::{IpAddr, SocketAddr};

use decision::authorize::{Connection, Outcome, evaluate as judge};
use mesh::{SpiffeId, Workload, policy::PolicyIndex};
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::render::policy::evaluate::{self, Caller};

const DOMAINS: [&str; 4] = ["cluster.local", "td", "a.td", "tdx"];
const NAMESPACES: [&str; 3] = ["shop", "shop2", "b"];
const ACCOUNTS: [&str; 2] = ["web", "b"];
const ADDRESSES: [&str; 4] = ["10.0.0.1", "10.0.1.1", "fd00::1", "fd00::2"];
const PORTS: [u16; 3] = [80, 81, 443];

const PRINCIPALS: [&str; 10] = [
    "*",
    "cluster.local/ns/shop/sa/web",
    "spiffe://td/ns/b/sa/b",
    "cluster.local/*",
    "td*",
    "td/ns/shop*",
    "*/sa/web",
    "*b",
    "*td/ns/b/sa/b",
    "nobody",
];
const PATTERNS: [&str; 7] = ["*", "shop", "shop*", "*2", "b", "none", "*p"];
const NAMED_ACCOUNTS: [&str; 4] = ["web", "b", "b/web", "shop2/b"];
const RANGES: [&str; 5] = [
    "10.0.0.0/24",
    "10.0.0.1",
    "10.0.0.0/8",
    "fd00::/64",
    "fd00::2",
];
const PLAIN_DOMAINS: [&str; 5] = ["*", "cluster.local", "td", "t*", "td*"];
const SUFFIX_DOMAINS: [&str; 3] = ["*td", "*.local", "*.td"];

fn texts(pool: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop_oneof![3 => Just(vec![]), 1 => vec(select(pool), 1..3).prop_map(|it| list(&it))]
}

fn ranges() -> impl Strategy<Value = Vec<ipnet::IpNet>> {
    let parse = |text: String| {
        let one = text.parse::<IpAddr>().map(ipnet::IpNet::from);
        one.unwrap_or_else(|_| text.parse().expect("a range"))
    };
    texts(&RANGES).prop_map(move |list| list.into_iter().map(parse).collect())
}

fn ports() -> impl Strategy<Value = Vec<u16>> {
    prop_oneof![2 => Just(vec![]), 1 => vec(select(&PORTS[..]), 1..3)]
}

/// What a policy is drawn from.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Attributes of the connection.
    Plain,
    /// Ends of trust domains beside them.
    Suffixes,
    /// Attributes of HTTP beside them.
    Http,
}

fn source(kind: Kind) -> impl Strategy<Value = Source> {
    let domains = move || {
        let suffix = if kind == Kind::Suffixes { 1 } else { 0 };
        prop_oneof![4 => texts(&PLAIN_DOMAINS), suffix => texts(&SUFFIX_DOMAINS)]
    };
    let http = move || {
        let some = if kind == Kind::Http { 1 } else { 0 };
        prop_oneof![3 => Just(vec![]), some => Just(list(&["x"]))]
    };
    (
        (texts(&PRINCIPALS), texts(&PRINCIPALS)),
        (texts(&PATTERNS), texts(&PATTERNS)),
        (texts(&NAMED_ACCOUNTS), texts(&NAMED_ACCOUNTS)),
        (ranges(), ranges()),
        (domains(), domains()),
        (http(), http()),
    )
        .prop_map(
            |(principals, namespaces, accounts, ranges, domains, http)| Source {
                principals: principals.0,
                not_principals: principals.1,
                namespaces: namespaces.0,
                not_namespaces: namespaces.1,
                service_accounts: accounts.0,
                not_service_accounts: accounts.1,
                ip_blocks: ranges.0,
                not_ip_blocks: ranges.1,
                trust_domains: domains.0,
                not_trust_domains: domains.1,
                request_principals: http.0,
                not_request_principals: http.1,
                ..Source::default()
            },
        )
        .prop_filter("an empty source is refused", |it| *it != Source::default())
}

fn operation(kind: Kind) -> impl Strategy<Value = Operation> {
    let some = if kind == Kind::Http { 1 } else { 0 };
    let methods = prop_oneof![1 => Just(vec![]), some => Just(list(&["GET"]))];
    (ports(), ports(), methods)
        .prop_map(|(ports, not_ports, methods)| Operation {
            ports,
            not_ports,
            methods,
            ..Operation::default()
        })
        .prop_filter("an empty operation is refused", |it| {
            *it != Operation::default()
        })
}

fn condition(kind: Kind) -> impl Strategy<Value = When> {
    let of = |key: &'static str, pool: &'static [&'static str]| {
        (texts(pool), texts(pool)).prop_map(move |(values, not_values)| When {
            key: key.to_owned(),
            values,
            not_values,
        })
    };
    let some = if kind == Kind::Http { 2 } else { 0 };
    let suffix = if kind == Kind::Suffixes { 1 } else { 0 };
    prop_oneof![
        1 => of("source.ip", &RANGES),
        1 => of("destination.ip", &RANGES),
        1 => of("destination.port", &["80", "81", "443"]),
        1 => of("source.namespace", &PATTERNS),
        1 => of("source.principal", &PRINCIPALS),
        1 => of("source.serviceAccount", &NAMED_ACCOUNTS),
        1 => of("source.trustDomain", &PLAIN_DOMAINS),
        suffix => of("source.trustDomain", &SUFFIX_DOMAINS),
        some => of("request.headers[x]", &["y"]),
    ]
    .prop_filter("a condition without values is refused", |it| {
        !it.values.is_empty() || !it.not_values.is_empty()
    })
}

fn any_policy(kind: Kind) -> impl Strategy<Value = AuthorizationPolicy> {
    let some_rule = (
        vec(source(kind), 0..3),
        vec(operation(kind), 0..3),
        vec(condition(kind), 0..2),
    )
        .prop_map(|(from, to, when)| rule(from, to, when));
    (
        select(&[Action::Allow, Action::Deny][..]),
        vec(some_rule, 0..3),
    )
        .prop_map(|(action, rules)| policy(action, rules))
}

fn caller() -> impl Strategy<Value = Caller> {
    let identity = proptest::option::weighted(
        0.8,
        (
            select(&DOMAINS[..]),
            select(&NAMESPACES[..]),
            select(&ACCOUNTS[..]),
        ),
    );
    let address = || select(&ADDRESSES[..]).prop_map(|it| it.parse().expect("an address"));
    (identity, address(), address(), select(&PORTS[..])).prop_map(
        |(identity, source, destination, port)| Caller {
            identity,
            source,
            destination,
            port,
        },
    )
}

/// What the policy says, read as the API words it: a rule is the OR of each source with each operation.
fn says(policy: &AuthorizationPolicy, caller: &Caller) -> bool {
    policy.rules.iter().any(|rule| {
        let of_connection = |it: &&When| !it.key.starts_with("request.");
        let is_http =
            rule.from.iter().any(|it| {
                !it.request_principals.is_empty() || !it.not_request_principals.is_empty()
            }) || rule.to.iter().any(|it| !it.methods.is_empty())
                || !rule.when.iter().all(|it| of_connection(&it));
        if is_http && policy.action == Action::Allow {
            return false;
        }
        let sources: Vec<Option<&Source>> = or_none(&rule.from);
        let operations: Vec<Option<&Operation>> = or_none(&rule.to);
        sources.iter().any(|source| {
            operations.iter().any(|operation| {
                let left_of_source = source.is_some_and(|it| {
                    let left = Source {
                        request_principals: vec![],
                        not_request_principals: vec![],
                        ..it.clone()
                    };
                    left != Source::default()
                });
                let left_of_operation =
                    operation.is_some_and(|it| !it.ports.is_empty() || !it.not_ports.is_empty());
                let left = left_of_source
                    || left_of_operation
                    || rule.when.iter().any(|it| of_connection(&it));
                (left || !is_http)
                    && source.is_none_or(|it| source_holds(it, caller))
                    && operation.is_none_or(|it| operation_holds(it, caller))
                    && rule
                        .when
                        .iter()
                        .filter(of_connection)
                        .all(|it| condition_holds(it, caller))
            })
        })
    })
}

fn or_none<T>(list: &[T]) -> Vec<Option<&T>> {
    if list.is_empty() {
        vec![None]
    } else {
        list.iter().map(Some).collect()
    }
}

fn source_holds(it: &Source, caller: &Caller) -> bool {
    let principal = caller.principal();
    let principal = principal.as_deref();
    let domain = caller.identity.map(|it| it.0);
    let namespace = caller.identity.map(|it| it.1);
    let account = |wanted: &String| {
        let (namespace, name) = wanted.split_once('/').unwrap_or(("shop", wanted));
        caller.identity.map(|it| (it.1, it.2)) == Some((namespace, name))
    };
    fields(&it.principals, &it.not_principals, |it| {
        pattern(it.trim_start_matches("spiffe://"), principal)
    }) && fields(&it.namespaces, &it.not_namespaces, |it| {
        pattern(it, namespace)
    }) && fields(&it.trust_domains, &it.not_trust_domains, |it| {
        pattern(it, domain)
    }) && fields(&it.service_accounts, &it.not_service_accounts, account)
        && fields(&it.ip_blocks, &it.not_ip_blocks, |it| {
            it.contains(&caller.source)
        })
}

fn operation_holds(it: &Operation, caller: &Caller) -> bool {
    fields(&it.ports, &it.not_ports, |it| *it == caller.port)
}

fn condition_holds(it: &When, caller: &Caller) -> bool {
    let principal = caller.principal();
    let range = |text: &str, address: IpAddr| match text.parse::<ipnet::IpNet>() {
        Ok(range) => range.contains(&address),
        Err(_) => text.parse::<IpAddr>() == Ok(address),
    };
    let holds = |value: &String| match &*it.key {
        "source.ip" => range(value, caller.source),
        "destination.ip" => range(value, caller.destination),
        "destination.port" => value.parse() == Ok(caller.port),
        "source.namespace" => pattern(value, caller.identity.map(|it| it.1)),
        "source.trustDomain" => pattern(value, caller.identity.map(|it| it.0)),
        "source.principal" => pattern(value.trim_start_matches("spiffe://"), principal.as_deref()),
        "source.serviceAccount" => {
            let (namespace, name) = value.split_once('/').unwrap_or(("shop", value));
            caller.identity.map(|it| (it.1, it.2)) == Some((namespace, name))
        }
        other => panic!("no such key: {other}"),
    };
    fields(&it.values, &it.not_values, holds)
}

fn fields<T>(any: &[T], none: &[T], holds: impl Fn(&T) -> bool) -> bool {
    (any.is_empty() || any.iter().any(&holds)) && !none.iter().any(&holds)
}

fn pattern(pattern: &str, text: Option<&str>) -> bool {
    let Some(text) = text else { return false };
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(end), _) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => text == pattern,
    }
}

/// What our own node proxy makes of the resource.
fn judged(resource: &Authorization, caller: &Caller) -> Outcome {
    let policy = wire::xds::authorization(resource.clone()).expect("a policy that can be read");
    let mut policies = PolicyIndex::default();
    policies.insert(policy.into());
    let destination = Workload {
        namespace: "shop".into(),
        ..Workload::default()
    };
    let principal = caller.principal();
    let identity = principal.map(|it| {
        let id = format!("spiffe://{it}").parse::<SpiffeId>();
        id.expect("an identity")
    });
    let connection = Connection {
        destination: &destination,
        identity: identity.as_ref(),
        behind: None,
        source_ip: caller.source,
        destination_addr: SocketAddr::new(caller.destination, caller.port),
    };
    judge(&policies, &connection).enforced
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn our_own_node_proxy_reads_and_judges_it_just_so(
        policy in any_policy(Kind::Suffixes),
        callers in vec(caller(), 1..20),
    ) {
        let (resource, _) = render(&policy, &MESH);
        for caller in &callers {
            let is_match = match (policy.action, judged(&resource, caller)) {
                (Action::Allow, Outcome::Allow { by: Some(_) })
                | (Action::Deny, Outcome::Deny(_)) => true,
                (Action::Allow, Outcome::Deny(_))
                | (Action::Deny, Outcome::Allow { by: None }) => false,
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(is_match, evaluate::matches(&resource, caller), "{:?}", caller);
        }
    }

    #[test]
    fn a_policy_of_connections_is_rendered_exactly(
        policy in any_policy(Kind::Plain),
        callers in vec(caller(), 1..20),
    ) {
        let (resource, condition) = render(&policy, &MESH);
        prop_assert_eq!(condition.reason, "Accepted");
        for caller in &callers {
            prop_assert_eq!(evaluate::matches(&resource, caller), says(&policy, caller), "{:?}\n{:#?}", caller, lines(&resource));
        }
    }

    #[test]
    fn what_is_left_without_http_is_rendered_exactly(
        policy in any_policy(Kind::Http),
        callers in vec(caller(), 1..20),
    ) {
        let (resource, _) = render(&policy, &MESH);
        for caller in &callers {
            prop_assert_eq!(evaluate::matches(&resource, caller), says(&policy, caller), "{:?}\n{:#?}", caller, lines(&resource));
        }
    }

    #[test]
    fn ends_of_trust_domains_never_let_more_in(
        policy in any_policy(Kind::Suffixes),
        callers in vec(caller(), 1..20),
    ) {
        let (resource, _) = render(&policy, &MESH);
        for caller in &callers {
            let (rendered, says) = (evaluate::matches(&resource, caller), says(&policy, caller));
            let is_safe = match policy.action {
                Action::Allow => !rendered || says,
                Action::Deny | Action::Audit | Action::Custom => rendered || !says,
            };
            prop_assert!(is_safe, "{:?}\n{:#?}", caller, lines(&resource));
        }
    }
}
