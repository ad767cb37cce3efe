//! Whether a request or a connection may pass a waypoint, by the authorization policies of layer 7.
//!
//! In: compiled policies and [`Facts`]. Out: a [`Verdict`], or whom else to ask. Never: awaits, logs, asks anybody.
//!
//! **Order** (the asker keeps it): [`custom`] says whom to ask; then tokens are verified; then [`authorize`]: any DENY that matches
//! denies; without an ALLOW policy it may pass; any ALLOW that matches allows; else it is denied. AUDIT and dry runs are
//! evaluated beside it and change nothing. All rulebooks that are given count as one set of policies.
//! Source: Istio AuthorizationPolicy; AZ-01, AZ-05, AZ-11.
//!
//! **Cost:** without policies nothing; with ten thousand of them a few microseconds (`benches/access.rs`). It does not allocate,
//! but for what [`mesh::access::authorization::Query`] says.

use std::{fmt, sync::Arc};

use mesh::access::{
    Facts, Rulebook,
    authorization::{Matched, Query, Set},
    external::ExternalAuthorization,
};

pub mod oracle;
pub mod trace;

pub use trace::{Trace, trace};

/// What the policies say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// What is to happen.
    pub enforced: Outcome<'a>,
    /// What dry-run policies say; `None` where there is none. For logs and metrics only.
    pub shadow: Option<Shadow<'a>>,
    /// The first AUDIT rule that matches. For logs and metrics only.
    pub audited: Option<Matched<'a>>,
}

/// Allowed or not, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It may pass.
    Allow {
        /// The first ALLOW rule that matches; `None` where there is no ALLOW policy.
        by: Option<Matched<'a>>,
    },
    /// It may not.
    Deny {
        /// The first DENY rule that matches; `None` where there are ALLOW policies, and none matches.
        by: Option<Matched<'a>>,
    },
}

/// What dry-run policies say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadow<'a> {
    /// Those that deny, by themselves; `None` where there is none.
    pub deny: Option<Outcome<'a>>,
    /// Those that allow, by themselves; `None` where there is none.
    pub allow: Option<Outcome<'a>>,
    /// What would happen if they were enforced beside the others.
    pub together: Outcome<'a>,
}

/// Somebody who is to be asked, and because of which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Custom<'a> {
    /// Whom to ask, and how.
    pub external: &'a Arc<ExternalAuthorization>,
    /// The first rule that says so.
    pub by: Matched<'a>,
}

impl Outcome<'_> {
    /// Whether it may pass.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// The rule that decided; `None`: none did.
    #[must_use]
    pub fn by(&self) -> Option<Matched<'_>> {
        match self {
            Self::Allow { by } | Self::Deny { by } => *by,
        }
    }

    /// The details of a denial for the access log (`%RESPONSE_CODE_DETAILS%`); `None` where it may pass. Source: Envoy,
    /// `rbac_access_denied_matched_policy[...]`.
    #[must_use]
    pub fn details(&self) -> Option<String> {
        match self {
            Self::Allow { .. } => None,
            Self::Deny { by } => Some(format!(
                "rbac_access_denied_matched_policy[{}]",
                ByOrNone(*by)
            )),
        }
    }
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow { by: None } => f.write_str("allowed: there is no ALLOW policy"),
            Self::Allow { by: Some(by) } => write!(f, "allowed by {by}"),
            Self::Deny { by: None } => {
                f.write_str("denied: there are ALLOW policies, and none matches")
            }
            Self::Deny { by: Some(by) } => write!(f, "denied by {by}"),
        }
    }
}

struct ByOrNone<'a>(Option<Matched<'a>>);

impl fmt::Display for ByOrNone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(by) => by.fmt(f),
            None => f.write_str("none"),
        }
    }
}

/// Decides by all policies of the rulebooks together.
#[must_use]
pub fn authorize<'a>(books: &[&'a Rulebook], facts: &dyn Facts) -> Verdict<'a> {
    if books.iter().all(|book| book.is_empty()) {
        return Verdict {
            enforced: Outcome::Allow { by: None },
            shadow: None,
            audited: None,
        };
    }
    let books = Books {
        books,
        query: &Query::new(facts),
    };
    let deny = books.first_match(Set::Deny);
    let has_allow = books.has(Set::Allow);
    let has_shadow_deny = books.has(Set::DryRunDeny);
    let has_shadow_allow = books.has(Set::DryRunAllow);
    let has_shadow = has_shadow_deny || has_shadow_allow;
    // Who is denied need not be allowed, unless the dry run asks what would be without.
    let ask_allow = has_allow && (deny.is_none() || has_shadow);
    let allow = ask_allow.then(|| books.first_match(Set::Allow)).flatten();
    Verdict {
        enforced: outcome(deny, allow, has_allow),
        shadow: has_shadow.then(|| {
            let shadow_deny = books.first_match(Set::DryRunDeny);
            let shadow_allow = books.first_match(Set::DryRunAllow);
            let together = outcome(
                first(deny, shadow_deny),
                first(allow, shadow_allow),
                has_allow || has_shadow_allow,
            );
            Shadow {
                deny: has_shadow_deny.then(|| outcome(shadow_deny, None, false)),
                allow: has_shadow_allow.then(|| outcome(None, shadow_allow, true)),
                together,
            }
        }),
        audited: books.first_match(Set::Audit),
    }
}

/// Those who are to be asked, each once, by the names of providers. All of them must agree.
///
/// Tokens are not verified yet when this is asked: what a token says is absent.
#[must_use]
pub fn custom<'a>(books: &[&'a Rulebook], facts: &dyn Facts) -> Vec<Custom<'a>> {
    let mut asked: Vec<Custom<'a>> = Vec::new();
    if !books.iter().any(|book| book.has_custom()) {
        return asked;
    }
    let query = Query::new(facts);
    for book in books {
        for (external, by) in book.custom(&query) {
            match asked.iter_mut().find(|other| other.external == external) {
                Some(other) => other.by = other.by.min(by),
                None => asked.push(Custom { external, by }),
            }
        }
    }
    asked.sort_by(|a, b| a.external.provider.cmp(&b.external.provider));
    asked
}

/// Rulebooks that are one set of policies.
#[derive(Clone, Copy)]
struct Books<'b, 'a> {
    books: &'b [&'a Rulebook],
    query: &'b Query<'b>,
}

impl<'a> Books<'_, 'a> {
    fn has(&self, set: Set) -> bool {
        self.books.iter().any(|book| book.has(set))
    }

    fn first_match(&self, set: Set) -> Option<Matched<'a>> {
        let matches = self
            .books
            .iter()
            .filter_map(|book| book.first_match(set, self.query));
        matches.min()
    }
}

fn first<'a>(one: Option<Matched<'a>>, other: Option<Matched<'a>>) -> Option<Matched<'a>> {
    one.into_iter().chain(other).min()
}

fn outcome<'a>(
    deny: Option<Matched<'a>>,
    allow: Option<Matched<'a>>,
    must_be_allowed: bool,
) -> Outcome<'a> {
    match (deny, allow) {
        (Some(by), _) => Outcome::Deny { by: Some(by) },
        (None, None) if must_be_allowed => Outcome::Deny { by: None },
        (None, allow) => Outcome::Allow { by: allow },
    }
}

#[cfg(test)]
mod tests;
