//! Policies for tests.

use std::{sync::Arc, time::Duration};

use mesh::{
    PolicyKey,
    access::{
        Policies, Policy, Rulebook,
        authorization::{Action, Clause, Field, Match, Rule, Test, TextAttribute, TextMatch},
        external::{ExternalAuthorization, HttpCheck, Protocol},
    },
    route::Backend,
};

use super::{keys::Reach, shared::Options};

/// Hosts of keys may be where tests have them.
pub(crate) fn options() -> Options {
    Options {
        jwks_reach: Reach::Own,
        ..Options::default()
    }
}

/// A policy of the namespace `shop`.
pub(crate) fn policy(name: &str, action: Action, rules: Vec<Rule>) -> Policy {
    Policy {
        key: PolicyKey {
            namespace: "shop".into(),
            name: name.into(),
        },
        action,
        dry_run: false,
        rules,
    }
}

/// All of these fields.
pub(crate) fn rule(fields: Vec<Field>) -> Rule {
    Rule {
        clauses: vec![Clause {
            matches: vec![Match { fields }],
        }],
    }
}

/// A text that is exactly so.
pub(crate) fn is(attribute: TextAttribute, value: &str) -> Field {
    Field {
        test: Test::Text(attribute, vec![TextMatch::Exact(value.into())]),
        negate: false,
    }
}

pub(crate) fn path(value: &str) -> Rule {
    rule(vec![is(TextAttribute::Path, value)])
}

pub(crate) fn header(name: &str, value: &str) -> Rule {
    rule(vec![is(TextAttribute::Header(name.into()), value)])
}

/// The client that tests come as: `default/client` of `cluster.local`, or `shop/client`.
pub(crate) fn client(namespace: &str) -> Rule {
    let principal = format!("cluster.local/ns/{namespace}/sa/client");
    rule(vec![is(TextAttribute::SourcePrincipal, &principal)])
}

pub(crate) fn policies(all: Vec<Policy>) -> Policies {
    Policies {
        authorization: Rulebook::new(all),
        ..Policies::default()
    }
}

/// One that denies by these rules.
pub(crate) fn deny(rules: Vec<Rule>) -> Policies {
    policies(vec![policy("deny", Action::Deny, rules)])
}

/// One that asks somebody by HTTP, always.
pub(crate) fn custom(backend: Backend) -> Policies {
    let external = ExternalAuthorization {
        provider: "guard".into(),
        backend,
        protocol: Protocol::Http(Box::<HttpCheck>::default()),
        timeout: Duration::from_secs(5),
        fail_open: false,
        status_on_error: 403,
        include_body: None,
    };
    let action = Action::Custom(Arc::new(external));
    policies(vec![policy("custom", action, vec![Rule::default()])])
}
