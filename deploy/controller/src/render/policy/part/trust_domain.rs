//! Trust domains as conditions on principals: `td` is the prefix `td/`, `x*` the prefix `x`, `*` presence.
//!
//! The end of a trust domain (`*x`) is somewhere within the principal and cannot be compared. In its place stand the
//! trust domains that the mesh knows as its own: an ALLOW rule lets in those of them that are meant, a DENY rule spares
//! those that are not meant and denies all others. No other trust domain gets in by what cannot be compared.

use wire::proto::security::{Action, StringMatch};

use super::{Context, Identity};
use crate::render::policy::{condition::Notes, pattern};

/// The values of one list.
#[derive(Debug, Default)]
struct Values<'a> {
    /// What can be said about principals.
    principals: Vec<StringMatch>,
    /// All values that a trust domain can have, as conditions on it.
    domains: Vec<StringMatch>,
    /// Those of the form `*x`.
    suffixes: Vec<&'a str>,
}

impl<'a> Values<'a> {
    fn new(values: &'a [String]) -> Self {
        let mut all = Self::default();
        // No trust domain has a slash; a prefix with one would compare what comes after it.
        for value in values.iter().filter(|value| !value.contains('/')) {
            all.domains.push(pattern::text(value));
            if value == "*" {
                all.principals.push(pattern::presence());
            } else if value.starts_with('*') {
                all.suffixes.push(value);
            } else if let Some(start) = value.strip_suffix('*') {
                all.principals.push(pattern::prefix(start));
            } else {
                all.principals.push(principals_of(value));
            }
        }
        all
    }

    fn contains(&self, domain: &str) -> bool {
        self.domains
            .iter()
            .any(|value| pattern::matches(value, domain))
    }

    /// The mesh's own trust domains that are, or are not, among the values.
    fn own(&self, are_meant: bool, context: &Context<'_>) -> impl Iterator<Item = StringMatch> {
        context
            .scoping
            .trust_domains()
            .filter(move |domain| self.contains(domain) == are_meant)
            .map(principals_of)
    }
}

impl Identity {
    /// The trust domain is one of `values`; no values ask for nothing.
    pub(super) fn require(&mut self, values: &[String], context: &Context<'_>, notes: &mut Notes) {
        if values.is_empty() {
            return;
        }
        let mut values = Values::new(values);
        if values.suffixes.is_empty() {
            self.any_of.push(values.principals);
            return;
        }
        values.suffixes.iter().for_each(|it| notes.domain(it));
        match context.action {
            Action::Allow => {
                let own = Vec::from_iter(values.own(true, context));
                values.principals.extend(own);
                self.any_of.push(values.principals);
            }
            Action::Deny => {
                self.none_of.extend(values.own(false, context));
                self.any_of.push(vec![pattern::presence()]);
            }
        }
    }

    /// The trust domain is none of `values`.
    pub(super) fn exclude(&mut self, values: &[String], context: &Context<'_>, notes: &mut Notes) {
        let values = Values::new(values);
        self.none_of.extend(values.principals.iter().cloned());
        if values.suffixes.is_empty() {
            return;
        }
        values.suffixes.iter().for_each(|it| notes.domain(it));
        match context.action {
            Action::Allow => self.any_of.push(values.own(false, context).collect()),
            Action::Deny => {
                self.none_of.extend(values.own(true, context));
                self.is_widened = true;
            }
        }
    }
}

fn principals_of(domain: &str) -> StringMatch {
    pattern::prefix(format!("{domain}/"))
}
