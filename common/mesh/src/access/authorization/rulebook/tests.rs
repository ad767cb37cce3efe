//! How rules are found and told apart; what they mean is tested against `decision::access::oracle`.

use std::{borrow::Cow, net::IpAddr};

use super::*;
use crate::{
    access::{
        authorization::{
            Action, Clause, Field, IpAttribute, Match, Rule, Test, TextAttribute, TextMatch,
        },
        facts::{Certified, Facts, RequestPrincipal, TextTest},
    },
    name::Name,
};

/// Somebody who asks for a path, and of whom nothing else is known.
struct Asker(&'static str);

impl Facts for Asker {
    fn is_http(&self) -> bool {
        true
    }

    fn client(&self) -> Option<&Certified> {
        None
    }

    fn ip(&self, _attribute: IpAttribute) -> Option<IpAddr> {
        None
    }

    fn destination_port(&self) -> u16 {
        80
    }

    fn sni(&self) -> Option<&str> {
        None
    }

    fn authority(&self) -> Option<&str> {
        None
    }

    fn method(&self) -> Option<&str> {
        Some("GET")
    }

    fn path(&self) -> Option<&str> {
        Some(self.0)
    }

    fn header(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn header_names(&self, _visit: &mut dyn FnMut(&str)) {}

    fn request_principal(&self) -> Option<&RequestPrincipal> {
        None
    }

    fn presenter(&self) -> Option<&str> {
        None
    }

    fn any_audience(&self, _test: TextTest<'_>) -> bool {
        false
    }

    fn any_claim(&self, _path: &[Name], _test: TextTest<'_>) -> bool {
        false
    }

    fn any_metadata(&self, _filter: &str, _path: &[Name], _test: TextTest<'_>) -> bool {
        false
    }
}

fn text(attribute: TextAttribute, value: TextMatch) -> Field {
    Field {
        test: Test::Text(attribute, vec![value]),
        negate: false,
    }
}

fn path(value: &str) -> Field {
    text(TextAttribute::Path, TextMatch::Exact(value.into()))
}

fn get() -> Field {
    text(TextAttribute::Method, TextMatch::Exact("GET".into()))
}

fn not(field: Field) -> Field {
    Field {
        negate: true,
        ..field
    }
}

fn policy(name: &str, fields: Vec<Field>) -> Policy {
    Policy {
        key: PolicyKey::new("default", name),
        action: Action::Deny,
        dry_run: false,
        rules: vec![Rule {
            clauses: vec![Clause {
                matches: vec![Match { fields }],
            }],
        }],
    }
}

fn looked_at(book: &Rulebook, asker: &Asker) -> usize {
    book.candidates(&Query::new(asker)).len()
}

#[test]
fn a_rule_is_found_by_what_the_fewest_others_require() {
    let policies = (0..1_000).map(|n| policy(&format!("{n}"), vec![get(), path(&format!("/{n}"))]));
    let book = Rulebook::new(policies.collect());
    assert_eq!(looked_at(&book, &Asker("/7")), 1);
    assert_eq!(looked_at(&book, &Asker("/x")), 0);
    let asker = Asker("/7");
    let matched = book.first_match(Set::Deny, &Query::new(&asker)).unwrap();
    assert_eq!(matched.to_string(), "ns[default]-policy[7]-rule[0]");
}

#[test]
fn a_rule_that_requires_nothing_is_always_looked_at() {
    let book = Rulebook::new(vec![
        policy("a", vec![not(path("/x"))]),
        policy("b", vec![path("/y")]),
    ]);
    assert_eq!(looked_at(&book, &Asker("/z")), 1);
}

#[test]
fn a_clause_of_several_matches_is_found_by_each_of_them() {
    let either = |fields: Vec<Field>| {
        let matches = fields.into_iter().map(|field| Match {
            fields: vec![field],
        });
        let clause = Clause {
            matches: matches.collect(),
        };
        Policy {
            rules: vec![Rule {
                clauses: vec![clause],
            }],
            ..policy("p", Vec::new())
        }
    };
    let book = Rulebook::new(vec![either(vec![path("/a"), path("/b")])]);
    assert_eq!(looked_at(&book, &Asker("/a")), 1);
    assert_eq!(looked_at(&book, &Asker("/b")), 1);
    assert_eq!(looked_at(&book, &Asker("/c")), 0);
    // One that cannot be found by makes the rule one that is always looked at.
    let book = Rulebook::new(vec![either(vec![path("/a"), not(path("/b"))])]);
    assert_eq!(looked_at(&book, &Asker("/c")), 1);
}

#[test]
fn templates_that_begin_alike_are_found_by_a_segment_or_by_their_end() {
    for template in [
        |n| format!("/api/{{*}}/resource-{n}/{{**}}"),
        |n| format!("/{{**}}/resource-{n}"),
        |n| format!("/{{*}}/a/{n}"),
    ] as [fn(u32) -> String; 3]
    {
        let value = |n| TextMatch::Template(template(n).into());
        let policies = (0..1_000).map(|n| {
            let path = text(TextAttribute::Path, value(n));
            policy(&n.to_string(), vec![path])
        });
        let book = Rulebook::new(policies.collect());
        let all = ["/api/x/resource-7/", "/x/resource-7", "/x/a/7"];
        let looked_at: Vec<usize> = all.map(|path| looked_at(&book, &Asker(path))).to_vec();
        assert_eq!(looked_at.iter().sum::<usize>(), 1, "{looked_at:?}");
    }
}

/// The guards of a crowded place stand behind each other; there must not be as many as a policy has fields.
#[test]
fn rules_that_share_many_conditions_do_not_nest_without_bound() {
    let fields = || -> Vec<Field> { (0..2_000).map(|n| not(path(&format!("/{n}")))).collect() };
    let policies = (0..20).map(|n| policy(&format!("{n:02}"), fields()));
    let book = Rulebook::new(policies.collect());
    let asker = Asker("/x");
    let matched = book.first_match(Set::Deny, &Query::new(&asker)).unwrap();
    assert_eq!(&*matched.policy.name, "00");
    let asker = Asker("/7");
    assert_eq!(book.first_match(Set::Deny, &Query::new(&asker)), None);
}

#[test]
fn equal_policies_are_equal_rulebooks() {
    let one = Rulebook::new(vec![policy("a", vec![path("/x")])]);
    let same = Rulebook::new(vec![policy("a", vec![path("/x")])]);
    let other = Rulebook::new(vec![policy("a", vec![path("/y")])]);
    assert_eq!(one, same);
    assert_eq!(one, one.clone());
    assert_ne!(one, other);
    assert_ne!(one, Rulebook::default());
    assert_eq!(Rulebook::new(Vec::new()), Rulebook::default());
}

#[test]
fn a_set_is_there_though_its_rules_never_match() {
    let never = Policy {
        action: Action::Allow,
        rules: Vec::new(),
        ..policy("a", Vec::new())
    };
    let book = Rulebook::new(vec![never]);
    assert!(book.has(Set::Allow));
    assert!(!book.has(Set::Deny));
    let asker = Asker("/");
    assert_eq!(book.first_match(Set::Allow, &Query::new(&asker)), None);
}
