//! Tests of what is prepared once for each rule.

use mesh::route::{DirectResponse, HeaderText};

use super::*;

fn answering(value: &str) -> Arc<HttpRule> {
    let mut rule = HttpRule::new(Action::Respond(DirectResponse {
        status: 200,
        body: Arc::from([]),
    }));
    rule.response_headers.set.push(HeaderText {
        name: "x".into(),
        value: value.into(),
    });
    Arc::new(rule)
}

#[test]
fn a_rule_is_read_once() {
    let one = answering("a");
    assert!(Arc::ptr_eq(&rule(&one), &rule(&one)));
    let same = answering("a");
    assert!(!Arc::ptr_eq(&rule(&one), &rule(&same)));
}

#[test]
fn what_is_gone_is_let_go_and_its_address_never_means_another() {
    let mut cache: Cache<HttpRule, usize> = Cache::new();
    for number in 0..1000 {
        let one = answering("a");
        assert_eq!(*cache.of(&one, |_| number), number);
        assert_eq!(*cache.of(&one, |_| usize::MAX), number);
    }
    assert!(cache.entries.len() <= 64, "{}", cache.entries.len());
}

#[test]
fn what_edits_of_the_response_read_of_the_request_is_kept() {
    assert!(rule(&answering("fixed")).keep.is_empty());
    assert!(!rule(&answering("%REQ(x-user)%")).keep.is_empty());
}
