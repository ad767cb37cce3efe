//! Which plaintext connections are denied.

use std::{collections::BTreeMap, net::Ipv4Addr};

use proptest::{collection::vec, option, prelude::*, sample::select};
use wire::proto::security::StringMatch;

use super::*;
use crate::{
    objects::Meta,
    render::policy::evaluate::{self, Caller},
};

const ROOT: &str = "istio-system";

fn object(
    name: &str,
    namespace: &str,
    selector: Option<&str>,
    mode: Option<MutualTls>,
    ports: &[(u16, MutualTls)],
) -> PeerAuthentication {
    PeerAuthentication {
        meta: Meta {
            name: name.into(),
            namespace: namespace.into(),
            ..Meta::default()
        },
        selector: selector
            .map(|app| Selector(BTreeMap::from([("app".to_owned(), app.to_owned())]))),
        mode,
        ports: ports.iter().copied().collect(),
    }
}

/// Every rule as its clauses, each `!principal`, `port` or `!port`.
fn lines(policy: &Authorization) -> Vec<String> {
    let one = |it: &Match| {
        assert!(
            it.not_principals.is_empty() || it.not_principals == [presence()],
            "{it:?}"
        );
        let plaintext = it.not_principals.iter().map(|_| "plaintext".to_owned());
        let ports = it
            .destination_ports
            .iter()
            .map(|port| format!("port {port}"));
        let but = it
            .not_destination_ports
            .iter()
            .map(|port| format!("not {port}"));
        plaintext
            .chain(ports)
            .chain(but)
            .collect::<Vec<_>>()
            .join(" and ")
    };
    let rules = policy.rules.iter();
    rules
        .map(|rule| {
            let clauses = rule.clauses.iter().map(|clause| {
                assert_eq!(clause.matches.len(), 1, "{clause:?}");
                clause.matches.iter().map(one).collect::<String>()
            });
            clauses.collect::<Vec<_>>().join(" AND ")
        })
        .collect()
}

fn presence() -> StringMatch {
    policy::presence()
}

#[test]
fn strict_without_ports_is_the_static_policy() {
    let policy = static_strict(ROOT);
    assert_eq!(
        (&*policy.namespace, &*policy.name),
        (ROOT, "istio_converted_static_strict")
    );
    assert_eq!(policy.scope(), Scope::WorkloadSelector);
    assert_eq!(policy.action(), Action::Deny);
    assert_eq!(lines(&policy), ["plaintext"]);

    let strict = object("a", "shop", Some("web"), Some(MutualTls::Strict), &[]);
    let name = Some("istio-system/istio_converted_static_strict".to_owned());
    assert_eq!(listed(Mode::Permissive, Some(&strict), ROOT), name);
    assert_eq!(converted(&strict, Mode::Permissive, ROOT), None);
    assert_eq!(listed(Mode::Strict, None, ROOT), name);
    assert_eq!(listed(Mode::Permissive, None, ROOT), None);
}

#[test]
fn a_permissive_selector_takes_its_workloads_out_of_a_strict_namespace() {
    let permissive = object("a", "shop", Some("web"), Some(MutualTls::Permissive), &[]);
    assert_eq!(listed(Mode::Strict, Some(&permissive), ROOT), None);
    assert_eq!(converted(&permissive, Mode::Strict, ROOT), None);
}

#[test]
fn permissive_ports_are_left_out_of_a_strict_policy() {
    let ports = [
        (80, MutualTls::Permissive),
        (81, MutualTls::Strict),
        (82, MutualTls::Disable),
        (83, MutualTls::Unset),
    ];
    for (mode, parent) in [
        (Some(MutualTls::Strict), Mode::Permissive),
        (Some(MutualTls::Unset), Mode::Strict),
        (None, Mode::Strict),
    ] {
        let it = object("a", "shop", Some("web"), mode, &ports);
        let policy = converted(&it, parent, ROOT).expect("a policy");
        assert_eq!(lines(&policy), ["plaintext AND not 80 AND not 82"]);
        assert_eq!(
            (&*policy.namespace, &*policy.name),
            ("shop", "converted_peer_authentication_a")
        );
        assert_eq!(policy.scope(), Scope::WorkloadSelector);
        assert_eq!(
            listed(parent, Some(&it), ROOT),
            Some("shop/converted_peer_authentication_a".to_owned())
        );
    }
}

#[test]
fn strict_ports_are_all_that_a_permissive_policy_denies() {
    let ports = [
        (80, MutualTls::Strict),
        (81, MutualTls::Permissive),
        (82, MutualTls::Strict),
    ];
    for (mode, parent) in [
        (Some(MutualTls::Permissive), Mode::Strict),
        (Some(MutualTls::Disable), Mode::Strict),
        (None, Mode::Permissive),
    ] {
        let it = object("a", "shop", Some("web"), mode, &ports);
        let policy = converted(&it, parent, ROOT).expect("a policy");
        assert_eq!(
            lines(&policy),
            ["plaintext and port 80", "plaintext and port 82"]
        );
    }
}

#[test]
fn ports_that_agree_with_the_rest_need_no_policy_of_their_own() {
    let it = object(
        "a",
        "shop",
        Some("web"),
        None,
        &[(80, MutualTls::Strict), (81, MutualTls::Unset)],
    );
    assert_eq!(converted(&it, Mode::Strict, ROOT), None);
    assert_eq!(
        listed(Mode::Strict, Some(&it), ROOT),
        Some("istio-system/istio_converted_static_strict".to_owned())
    );
}

#[test]
fn reach_follows_selector_and_root_namespace() {
    let some = Selector(BTreeMap::from([("app".to_owned(), "web".to_owned())]));
    let reach_of = |namespace, selector| {
        let it = object("a", namespace, selector, None, &[]);
        format!("{:?}", reach(&it, ROOT))
    };
    assert_eq!(reach_of(ROOT, None), "Mesh");
    assert_eq!(reach_of("shop", None), "Namespace");
    assert_eq!(
        reach_of("shop", Some("web")),
        format!("{:?}", Reach::Workloads(&some))
    );
    assert_eq!(reach_of(ROOT, Some("web")), "Nothing");

    let mut empty = object("a", "shop", None, None, &[]);
    empty.selector = Some(Selector::default());
    assert_eq!(reach(&empty, ROOT), Reach::Namespace);
}

#[test]
fn what_is_not_enforced_as_written_is_said() {
    let of = |it: &PeerAuthentication| {
        let conditions = conditions(it, ROOT).into_iter();
        conditions
            .map(|it| (it.status, it.reason))
            .collect::<Vec<_>>()
    };
    let strict = Some(MutualTls::Strict);
    assert_eq!(of(&object("a", "shop", None, strict, &[])), []);
    assert_eq!(
        of(&object("a", "shop", None, Some(MutualTls::Disable), &[])),
        [(true, "UnsupportedValue")]
    );
    let port = [(80, MutualTls::Disable)];
    assert_eq!(
        of(&object("a", "shop", Some("web"), strict, &port)),
        [(true, "UnsupportedValue")]
    );
    assert_eq!(
        of(&object("a", ROOT, Some("web"), strict, &[])),
        [(false, "UnsupportedValue")]
    );
}

fn mode() -> impl Strategy<Value = MutualTls> {
    select(
        &[
            MutualTls::Unset,
            MutualTls::Disable,
            MutualTls::Permissive,
            MutualTls::Strict,
        ][..],
    )
}

fn objects() -> impl Strategy<Value = Vec<PeerAuthentication>> {
    let one = (
        select(&[ROOT, "shop", "bank"][..]),
        option::of(select(&["web", "db"][..])),
        option::of(mode()),
        proptest::collection::btree_map(select(&[80u16, 81, 82][..]), mode(), 0..3),
        0..3i64,
    );
    vec(one, 0..8).prop_map(|all| {
        let all = all.into_iter().enumerate();
        all.map(|(index, (namespace, selector, mode, ports, created))| {
            let mut it = object(&format!("p{index}"), namespace, selector, mode, &[]);
            it.meta.created = created;
            if selector.is_some() {
                it.ports = ports;
            }
            it
        })
        .collect()
    })
}

/// The mode of a port of a workload, as the API words it: the narrowest that is set, of the oldest object each.
fn says(all: &[PeerAuthentication], namespace: &str, app: &str, port: u16) -> MutualTls {
    let oldest = |namespace: &str, selector: Option<&str>| {
        let labels = selector.map(|app| BTreeMap::from([("app".to_owned(), app.to_owned())]));
        let mut found: Vec<_> = all
            .iter()
            .filter(|it| {
                *it.meta.namespace == *namespace
                    && it.selector.as_ref().map(|it| &it.0) == labels.as_ref()
            })
            .collect();
        found.sort_by_key(|it| (it.meta.created, it.meta.name.to_string()));
        found.first().copied()
    };
    let own = oldest(namespace, Some(app)).filter(|_| namespace != ROOT);
    let of_port = own.and_then(|it| it.ports.get(&port).copied());
    let wide = oldest(namespace, None).and_then(|it| it.mode);
    let mesh = oldest(ROOT, None).and_then(|it| it.mode);
    [of_port, own.and_then(|it| it.mode), wide, mesh]
        .into_iter()
        .flatten()
        .find(|mode| *mode != MutualTls::Unset)
        .unwrap_or(MutualTls::Permissive)
}

/// The oldest of one reach, as the index keeps them.
fn first<'a>(
    all: &'a [PeerAuthentication],
    namespace: &str,
    is_wanted: impl Fn(Reach<'_>) -> bool,
) -> Option<&'a PeerAuthentication> {
    all.iter()
        .filter(|it| *it.meta.namespace == *namespace && is_wanted(reach(it, ROOT)))
        .min_by(|a, b| by_age(a, b))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn plaintext_is_denied_exactly_where_the_mode_is_strict(all in objects()) {
        for (namespace, app) in [("shop", "web"), ("shop", "db"), ("shop", "x"), ("bank", "web"), (ROOT, "web")] {
            let labels = BTreeMap::from([("app".to_owned(), app.to_owned())]);
            let mesh = first(&all, ROOT, |it| it == Reach::Mesh);
            let wide = first(&all, namespace, |it| it == Reach::Namespace);
            let inherited = inherited(mesh, wide);
            let own = first(&all, namespace, |it| matches!(it, Reach::Workloads(it) if it.matches(&labels)));

            let mut served: Vec<_> = all
                .iter()
                .filter(|it| *it.meta.namespace == *namespace)
                .filter_map(|it| converted(it, inherited, ROOT))
                .collect();
            served.push(static_strict(ROOT));
            let name = listed(inherited, own, ROOT);
            let policy = name.as_ref().map(|name| {
                let is_named = |it: &&Authorization| format!("{}/{}", it.namespace, it.name) == *name;
                served.iter().find(is_named).expect("what is listed is served")
            });

            for port in [80, 81, 82, 83] {
                let mut caller = Caller {
                    identity: None,
                    source: Ipv4Addr::LOCALHOST.into(),
                    destination: Ipv4Addr::LOCALHOST.into(),
                    port,
                };
                let is_denied = policy.is_some_and(|it| evaluate::matches(it, &caller));
                let expected = says(&all, namespace, app, port) == MutualTls::Strict;
                prop_assert_eq!(is_denied, expected, "{}/{} port {}", namespace, app, port);

                caller.identity = Some(("cluster.local", "shop", "web"));
                prop_assert!(!policy.is_some_and(|it| evaluate::matches(it, &caller)), "an identity is never denied");
            }
        }
    }
}
