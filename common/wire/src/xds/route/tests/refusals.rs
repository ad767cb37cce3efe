//! What refuses a route table.

use bytes::Bytes;

use super::{header, respond, table, to};
use crate::{
    proto::waypoint::{self as proto, http_rule, path_match, rewrite},
    xds::{Decoder, Error},
};

/// The field that refuses a table with one rule, and what it holds.
fn refused(change: impl FnOnce(&mut proto::HttpRule)) -> (String, String) {
    let mut rule = proto::HttpRule {
        action: respond(),
        ..proto::HttpRule::default()
    };
    change(&mut rule);
    match Decoder::new().route_table(&table(vec![rule])).unwrap_err() {
        Error::Field {
            resource,
            field,
            found,
            ..
        } => {
            assert_eq!(resource, "route table \"default/Web.example:80\"");
            (
                field.strip_prefix("http.rules[0]").unwrap().to_owned(),
                found,
            )
        }
        other @ Error::Malformed { .. } => panic!("{other}"),
    }
}

#[test]
fn a_rule_that_cannot_be_read_refuses_the_table_and_says_why() {
    let regex = |text: &str| proto::HttpMatch {
        path: Some(proto::PathMatch {
            kind: Some(path_match::Kind::Regex(text.to_owned())),
            ignore_case: false,
        }),
        ..proto::HttpMatch::default()
    };
    let (field, found) = refused(|rule| rule.matches = vec![regex("/ok"), regex("a)|(b")]);
    assert_eq!(field, ".matches[1].path.regex");
    let reason = "not RE2 syntax at byte 2: a parenthesis that nothing opens";
    assert_eq!(found, format!("\"a)|(b\" ({reason})"));
    let (_, found) = refused(|rule| rule.matches = vec![regex("a**{2}\\8")]);
    assert!(!found.contains('\n') && found.contains('('), "{found}");

    let (field, _) = refused(|rule| rule.action = None);
    assert_eq!(field, "");
    let action = |action| move |rule: &mut proto::HttpRule| rule.action = Some(action);
    let (field, _) = refused(action(http_rule::Action::Redirect(
        proto::Redirect::default(),
    )));
    assert_eq!(field, ".redirect.status");
    let (field, _) = refused(action(http_rule::Action::Respond(proto::DirectResponse {
        status: 101,
        body: Bytes::new(),
    })));
    assert_eq!(field, ".respond.status");
    let (field, _) = refused(action(http_rule::Action::Respond(proto::DirectResponse {
        status: 200,
        body: vec![0; (1 << 20) + 1].into(),
    })));
    assert_eq!(field, ".respond.body");
    let (field, _) = refused(action(http_rule::Action::Forward(proto::Forward {
        backends: vec![to(80), to(0)],
        fallback_status: 0,
    })));
    assert_eq!(field, ".forward.backends[1].backend.port");

    let path = |path| {
        Some(proto::Rewrite {
            authority: String::new(),
            path: Some(path),
        })
    };
    let (field, _) = refused(|rule| rule.rewrite = path(rewrite::Path::Full("a".to_owned())));
    assert_eq!(field, ".rewrite.full");
    let (field, _) = refused(|rule| rule.rewrite = path(rewrite::Path::Prefix("/a b".to_owned())));
    assert_eq!(field, ".rewrite.prefix");
    let (field, _) = refused(|rule| {
        let regex = proto::RegexRewrite {
            pattern: "a".to_owned(),
            substitution: r"\1".to_owned(),
        };
        rule.rewrite = path(rewrite::Path::Regex(regex));
    });
    assert_eq!(field, ".rewrite.regex.substitution");
    let (field, _) = refused(|rule| {
        rule.request_headers = Some(proto::HeaderEdits {
            set: vec![header("x", "a\r\nb: c")],
            ..proto::HeaderEdits::default()
        });
    });
    assert_eq!(field, ".request_headers.set[0].value");
    let (field, _) = refused(|rule| {
        rule.response_headers = Some(proto::HeaderEdits {
            remove: vec![":path".to_owned()],
            ..proto::HeaderEdits::default()
        });
    });
    assert_eq!(field, ".response_headers.remove[0]");
    let (field, _) = refused(|rule| rule.mirrors = vec![proto::Mirror::default()]);
    assert_eq!(field, ".mirrors[0].backend");
}

#[test]
fn a_claim_without_a_way_into_it_refuses_the_table() {
    let claim = |names: &[&str]| proto::HttpMatch {
        claims: vec![proto::ClaimMatch {
            claim: names.iter().map(|name| (*name).to_owned()).collect(),
            ..proto::ClaimMatch::default()
        }],
        ..proto::HttpMatch::default()
    };
    let (field, found) = refused(|rule| rule.matches = vec![claim(&[])]);
    assert_eq!(field, ".matches[0].claims[0].claim");
    assert_eq!(found, "0 names");
    let (field, _) = refused(|rule| rule.matches = vec![claim(&["a", ""])]);
    assert_eq!(field, ".matches[0].claims[0].claim[1]");
    let (field, _) = refused(|rule| rule.matches = vec![claim(&["a"; 33])]);
    assert_eq!(field, ".matches[0].claims[0].claim");
    let (field, _) = refused(|rule| rule.matches = vec![claim(&["a\n"])]);
    assert_eq!(field, ".matches[0].claims[0].claim[0]");
}
