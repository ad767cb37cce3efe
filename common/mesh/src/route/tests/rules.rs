//! The order of rules, and what the index spares.

use super::{Get, exact, found, rule};
use crate::route::{
    Found, HeaderMatch, HostMatch, HttpMatch, HttpRules, PathKind, PathMatch, Pattern, QueryMatch,
    StringMatch,
};

fn path(kind: PathKind) -> HttpMatch {
    HttpMatch {
        path: Some(PathMatch::new(kind, false)),
        ..HttpMatch::default()
    }
}

fn prefix(text: &str) -> HttpMatch {
    path(PathKind::Prefix(text.into()))
}

fn tenant(number: usize) -> HttpMatch {
    HttpMatch {
        headers: vec![HeaderMatch {
            name: "x-tenant".into(),
            value: Some(StringMatch::Exact(number.to_string().into())),
            invert: false,
        }],
        ..prefix("/api")
    }
}

#[test]
fn an_earlier_rule_wins_whatever_its_kind() {
    let pattern = path(PathKind::Regex(Pattern::new("/[a-z]").unwrap()));
    let rules = HttpRules::new(vec![
        rule(200, vec![pattern]),
        rule(201, vec![exact("/a")]),
        rule(202, vec![exact("/a/b"), prefix("/a")]),
        rule(203, vec![exact("/a/b")]),
        rule(204, Vec::new()),
        rule(205, vec![exact("/1")]),
    ]);
    for (path, expected) in [("/a", 0), ("/a/b", 2), ("/a/c", 2), ("/1", 4), ("/", 4)] {
        assert_eq!(found(&rules, &Get::new(path)), Some(expected), "{path}");
    }
    let rules = HttpRules::new(vec![rule(200, vec![exact("/a")])]);
    assert_eq!(found(&rules, &Get::new("/b")), None);
    assert_eq!(found(&HttpRules::new(Vec::new()), &Get::new("/")), None);
}

#[test]
fn the_condition_on_the_path_that_held_is_told() {
    let rules = HttpRules::new(vec![rule(200, vec![exact("/a"), prefix("/b")])]);
    let path = |path| {
        let facts = Get::new(path);
        let Found { path, .. } = rules.first_match(&facts).unwrap();
        path.unwrap().kind().clone()
    };
    assert_eq!(path("/a"), PathKind::Exact("/a".into()));
    assert_eq!(path("/bc"), PathKind::Prefix("/b".into()));
}

/// How often the rules of a table are asked for one request: each asks for the method once.
fn asked(condition: impl Fn(usize) -> HttpMatch, facts: &Get<'_>) -> usize {
    let method = Some(StringMatch::Exact("GET".into()));
    let rules = (0..1000).map(|number| {
        let condition = condition(number);
        rule(
            200,
            vec![HttpMatch {
                method: method.clone(),
                ..condition
            }],
        )
    });
    let rules = HttpRules::new(rules.collect());
    let found = found(&rules, facts);
    assert_eq!(found.is_some(), facts.methods.get() > 0);
    facts.methods.get()
}

#[test]
fn of_a_thousand_rules_only_those_are_asked_that_share_something_rare_with_the_request() {
    let get = Get::new;
    assert_eq!(
        asked(|number| exact(&format!("/p/{number}")), &get("/p/7")),
        1
    );
    assert_eq!(
        asked(|number| exact(&format!("/p/{number}")), &get("/p/x")),
        0
    );
    // `/p/7` and `/p/77` are prefixes of it.
    assert_eq!(
        asked(|number| prefix(&format!("/p/{number}")), &get("/p/77x")),
        2
    );
    let segments = |number| path(PathKind::Segments(format!("/p/{number}").into()));
    assert_eq!(asked(segments, &get("/p/99/x")), 2);
    let pattern = |number| {
        let pattern = format!("/users/{number}/[0-9]+");
        path(PathKind::Regex(Pattern::new(&pattern).unwrap()))
    };
    assert_eq!(asked(pattern, &get("/users/999/1")), 1);
    let client = Get {
        header: Some(("x-tenant", "12")),
        ..get("/api")
    };
    assert_eq!(asked(tenant, &client), 1);
    let host = |number: usize| HttpMatch {
        hostnames: vec![HostMatch::new(&format!("h{number}.example"))],
        ..prefix("/")
    };
    assert_eq!(asked(host, &get("/")), 0);
    let parameter = |number: usize| HttpMatch {
        query: vec![QueryMatch {
            name: "k".into(),
            value: Some(StringMatch::Exact(number.to_string().into())),
        }],
        ..prefix("/")
    };
    assert_eq!(asked(parameter, &get("/")), 0);
}

#[test]
fn equal_rules_are_equal_tables() {
    let table = |status| HttpRules::new(vec![rule(status, vec![exact("/a")])]);
    assert_eq!(table(200), table(200));
    assert_ne!(table(200), table(201));
}
