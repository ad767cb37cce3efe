//! What people are shown, also of what nobody sends.

use bytes::Bytes;
use serde_json::json;
use wire::proto::{
    security::{
        self, Authorization, Clause, Match, Rule, ServiceAccountMatch, StringMatch,
        string_match::MatchType,
    },
    workload::{Address, Workload},
};

use super::{address, authorization, workload};

#[test]
fn every_kind_of_match_is_shown() {
    let text = |match_type| StringMatch {
        match_type: Some(match_type),
    };
    let range = security::Address {
        address: Bytes::from_static(&[10, 0, 0, 0]),
        length: 8,
    };
    let policy = Authorization {
        name: "p".to_owned(),
        namespace: "n".to_owned(),
        scope: security::Scope::Namespace.into(),
        action: security::Action::Deny.into(),
        rules: vec![
            Rule::default(),
            Rule {
                clauses: vec![Clause {
                    matches: vec![Match {
                        namespaces: vec![text(MatchType::Exact("a".to_owned()))],
                        principals: vec![text(MatchType::Prefix("td/".to_owned()))],
                        not_principals: vec![
                            text(MatchType::Suffix("/sa/x".to_owned())),
                            text(MatchType::Presence(())),
                        ],
                        service_accounts: vec![ServiceAccountMatch {
                            namespace: "n".to_owned(),
                            service_account: "s".to_owned(),
                        }],
                        not_source_ips: vec![range],
                        destination_ports: vec![80],
                        ..Match::default()
                    }],
                }],
            },
        ],
        dry_run: true,
        extensions: Vec::new(),
    };
    let matched = json!({
        "namespaces": [{ "exact": "a" }],
        "principals": [{ "prefix": "td/" }],
        "notPrincipals": [{ "suffix": "/sa/x" }, { "presence": {} }],
        "serviceAccounts": ["n/s"],
        "notSourceIps": ["10.0.0.0/8"],
        "destinationPorts": [80],
    });
    let expected = json!({
        "name": "p",
        "namespace": "n",
        "scope": "NAMESPACE",
        "action": "DENY",
        "rules": [{ "clauses": [] }, { "clauses": [{ "matches": [matched] }] }],
        "dryRun": true,
    });
    assert_eq!(authorization(&policy), expected);
}

#[test]
fn what_is_not_understood_is_shown_as_it_is() {
    let odd = Workload {
        uid: "odd".to_owned(),
        addresses: vec![Bytes::from_static(&[1, 2])],
        tunnel_protocol: 77,
        ..Workload::default()
    };
    let expected = json!({
        "uid": "odd",
        "addresses": ["[01, 02]"],
        "tunnelProtocol": 77,
        "workloadType": "DEPLOYMENT",
        "status": "HEALTHY",
    });
    assert_eq!(workload(&odd), expected);
    assert_eq!(address(&Address { r#type: None }), json!(null));
}
