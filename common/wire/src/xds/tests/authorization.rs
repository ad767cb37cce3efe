//! `istio.security.Authorization`, field by field.

use bytes::Bytes;
use mesh::{
    Authorization, PolicyKey,
    authorization::{Action, Clause, Match, Rule, Scope, ServiceAccountMatch, StringMatch},
};

use super::fault;
use crate::{
    proto::{
        security::{self as proto, string_match::MatchType},
        workload::Extension,
    },
    xds,
};

fn text(condition: MatchType) -> proto::StringMatch {
    proto::StringMatch {
        match_type: Some(condition),
    }
}

fn exact(value: &str) -> proto::StringMatch {
    text(MatchType::Exact(value.to_owned()))
}

fn range(address: &'static [u8], length: u32) -> proto::Address {
    proto::Address {
        address: Bytes::from_static(address),
        length,
    }
}

fn account(namespace: &str, name: &str) -> proto::ServiceAccountMatch {
    proto::ServiceAccountMatch {
        namespace: namespace.to_owned(),
        service_account: name.to_owned(),
    }
}

fn policy(change: impl FnOnce(&mut proto::Authorization)) -> proto::Authorization {
    let mut message = proto::Authorization {
        name: "deny".to_owned(),
        namespace: "default".to_owned(),
        scope: 1,
        action: 1,
        ..proto::Authorization::default()
    };
    change(&mut message);
    message
}

fn with_match(change: impl FnOnce(&mut proto::Match)) -> proto::Authorization {
    let mut condition = proto::Match::default();
    change(&mut condition);
    policy(|message| {
        message.rules = vec![proto::Rule {
            clauses: vec![proto::Clause {
                matches: vec![condition],
            }],
        }];
    })
}

fn read_match(change: impl FnOnce(&mut proto::Match)) -> Match {
    let policy = xds::authorization(with_match(change)).unwrap();
    policy.rules[0].clauses[0].matches[0].clone()
}

#[track_caller]
fn refuse(message: proto::Authorization, field: &str, found: &str) {
    let error = xds::authorization(message).unwrap_err();
    let words = error.to_string();
    assert!(words.starts_with("policy \""), "{words}");
    let (at, what, _) = fault(error);
    assert_eq!((at.as_str(), what.as_str()), (field, found), "{words}");
}

#[track_caller]
fn refuse_match(change: impl FnOnce(&mut proto::Match), field: &str, found: &str) {
    let at = format!("rules[0].clauses[0].matches[0].{field}");
    refuse(with_match(change), &at, found);
}

#[test]
fn every_field_is_read() {
    let message = proto::Authorization {
        name: "allow".to_owned(),
        namespace: "default".to_owned(),
        scope: 2,
        action: 0,
        rules: vec![
            proto::Rule {
                clauses: vec![proto::Clause {
                    matches: vec![proto::Match {
                        namespaces: vec![exact("a")],
                        not_namespaces: vec![text(MatchType::Prefix("b".to_owned()))],
                        service_accounts: vec![account("c", "d")],
                        not_service_accounts: vec![account("e", "f")],
                        principals: vec![text(MatchType::Suffix("/sa/g".to_owned()))],
                        not_principals: vec![text(MatchType::Presence(()))],
                        source_ips: vec![range(&[10, 1, 2, 3], 8)],
                        not_source_ips: vec![range(&[10, 0, 0, 1], 32)],
                        destination_ips: vec![range(
                            &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                            8,
                        )],
                        not_destination_ips: vec![range(&[0, 0, 0, 0], 0)],
                        destination_ports: vec![80, 65535],
                        not_destination_ports: vec![443],
                        extensions: Vec::new(),
                    }],
                }],
            },
            proto::Rule {
                clauses: vec![proto::Clause::default()],
            },
            proto::Rule::default(),
        ],
        dry_run: true,
        extensions: vec![Extension {
            name: "for somebody else".to_owned(),
            config: None,
        }],
    };
    let net = |text: &str| text.parse().unwrap();
    let expected = Authorization {
        key: PolicyKey::new("default", "allow"),
        scope: Scope::WorkloadSelector,
        action: Action::Allow,
        dry_run: true,
        rules: vec![
            Rule {
                clauses: vec![Clause {
                    matches: vec![Match {
                        namespaces: vec![StringMatch::Exact("a".to_owned())],
                        not_namespaces: vec![StringMatch::Prefix("b".to_owned())],
                        service_accounts: vec![ServiceAccountMatch {
                            namespace: "c".into(),
                            service_account: "d".into(),
                        }],
                        not_service_accounts: vec![ServiceAccountMatch {
                            namespace: "e".into(),
                            service_account: "f".into(),
                        }],
                        principals: vec![StringMatch::Suffix("/sa/g".to_owned())],
                        not_principals: vec![StringMatch::Presence],
                        source_ips: vec![net("10.0.0.0/8")],
                        not_source_ips: vec![net("10.0.0.1/32")],
                        destination_ips: vec![net("fd00::/8")],
                        not_destination_ips: vec![net("0.0.0.0/0")],
                        destination_ports: vec![80, 65535],
                        not_destination_ports: vec![443],
                    }],
                }],
            },
            Rule {
                clauses: vec![Clause::default()],
            },
            Rule::default(),
        ],
    };
    assert_eq!(xds::authorization(message).unwrap(), expected);
}

#[test]
fn every_scope_and_action_is_read() {
    for (number, expected) in [
        (0, Scope::Global),
        (1, Scope::Namespace),
        (2, Scope::WorkloadSelector),
    ] {
        let read = xds::authorization(policy(|message| message.scope = number));
        assert_eq!(read.unwrap().scope, expected);
    }
    for (number, expected) in [(0, Action::Allow), (1, Action::Deny)] {
        let read = xds::authorization(policy(|message| message.action = number));
        assert_eq!(read.unwrap().action, expected);
    }
}

#[test]
fn a_scope_or_action_of_a_later_version_is_refused() {
    refuse(policy(|message| message.scope = 3), "scope", "3");
    refuse(policy(|message| message.action = 2), "action", "2");
    refuse(policy(|message| message.action = -1), "action", "-1");
}

#[test]
fn a_policy_without_name_or_namespace_is_refused() {
    refuse(policy(|message| message.name.clear()), "name", "\"\"");
    refuse(
        policy(|message| message.namespace.clear()),
        "namespace",
        "\"\"",
    );
}

#[test]
fn a_text_condition_that_is_not_set_or_empty_is_refused() {
    type Field = fn(&mut proto::Match) -> &mut Vec<proto::StringMatch>;
    let fields: [(&str, Field); 4] = [
        ("namespaces", |read| &mut read.namespaces),
        ("not_namespaces", |read| &mut read.not_namespaces),
        ("principals", |read| &mut read.principals),
        ("not_principals", |read| &mut read.not_principals),
    ];
    for (name, field) in fields {
        let conditions = [
            (proto::StringMatch { match_type: None }, "", "absent"),
            (exact(""), ".exact", "\"\""),
            (text(MatchType::Prefix(String::new())), ".prefix", "\"\""),
            (text(MatchType::Suffix(String::new())), ".suffix", "\"\""),
        ];
        for (condition, at, found) in conditions {
            refuse_match(
                |read| *field(read) = vec![exact("fine"), condition.clone()],
                &format!("{name}[1]{at}"),
                found,
            );
        }
    }
}

#[test]
fn a_principal_is_compared_without_its_scheme() {
    let read = read_match(|read| {
        read.principals = vec![
            exact("spiffe://cluster.local/ns/a/sa/b"),
            text(MatchType::Prefix("spiffe://cluster.local/".to_owned())),
            text(MatchType::Prefix("spiffe://".to_owned())),
            text(MatchType::Prefix("cluster.local/".to_owned())),
        ];
    });
    assert_eq!(
        read.principals,
        [
            StringMatch::Exact("cluster.local/ns/a/sa/b".to_owned()),
            StringMatch::Prefix("cluster.local/".to_owned()),
            StringMatch::Presence,
            StringMatch::Prefix("cluster.local/".to_owned()),
        ]
    );
}

#[test]
fn an_address_of_another_length_or_a_range_beyond_it_is_refused() {
    type Field = fn(&mut proto::Match) -> &mut Vec<proto::Address>;
    let fields: [(&str, Field); 4] = [
        ("source_ips", |read| &mut read.source_ips),
        ("not_source_ips", |read| &mut read.not_source_ips),
        ("destination_ips", |read| &mut read.destination_ips),
        ("not_destination_ips", |read| &mut read.not_destination_ips),
    ];
    for (name, field) in fields {
        let ranges = [
            (range(&[10, 0, 0], 8), "address", "3 bytes"),
            (range(&[], 0), "address", "0 bytes"),
            (range(&[10, 0, 0, 1], 33), "length", "33 for 10.0.0.1"),
            (range(&[10, 0, 0, 1], 0), "length", "0"),
        ];
        for (value, at, found) in ranges {
            refuse_match(
                |read| *field(read) = vec![value.clone()],
                &format!("{name}[0].{at}"),
                found,
            );
        }
    }
}

#[test]
fn a_port_that_is_none_is_refused() {
    for port in [65536, u32::MAX] {
        refuse_match(
            |read| read.destination_ports = vec![80, port],
            "destination_ports[1]",
            &port.to_string(),
        );
        refuse_match(
            |read| read.not_destination_ports = vec![port],
            "not_destination_ports[0]",
            &port.to_string(),
        );
    }
}

#[test]
fn port_0_matches_nothing_and_costs_nothing() {
    let message = policy(|message| {
        let ports = proto::Match {
            destination_ports: vec![0, 8080],
            ..proto::Match::default()
        };
        let clauses = vec![proto::Clause {
            matches: vec![ports],
        }];
        message.rules = vec![proto::Rule { clauses }];
    });
    let read = xds::authorization(message).unwrap();
    assert_eq!(
        read.rules[0].clauses[0].matches[0].destination_ports,
        [0, 8080]
    );
}

#[test]
fn a_service_account_has_a_name_and_a_namespace() {
    refuse_match(
        |read| read.service_accounts = vec![account("", "a")],
        "service_accounts[0].namespace",
        "\"\"",
    );
    refuse_match(
        |read| read.not_service_accounts = vec![account("a", "")],
        "not_service_accounts[0].service_account",
        "\"\"",
    );
}

#[test]
fn a_condition_that_only_others_know_is_not_left_out() {
    refuse_match(
        |read| {
            read.extensions = vec![Extension {
                name: "moon".to_owned(),
                config: None,
            }];
        },
        "extensions[0]",
        "\"moon\"",
    );
}

#[test]
fn an_error_names_the_condition_among_many() {
    let message = policy(|message| {
        let good = proto::Clause {
            matches: vec![proto::Match::default(); 2],
        };
        let mut bad = good.clone();
        bad.matches[1].destination_ports = vec![65536];
        message.rules = vec![
            proto::Rule::default(),
            proto::Rule {
                clauses: vec![good, bad],
            },
        ];
    });
    assert_eq!(
        xds::authorization(message).unwrap_err().to_string(),
        "policy \"default/deny\": rules[1].clauses[1].matches[1].destination_ports[0]: 65536, \
         expected a port from 0 to 65535"
    );
}
