//! What policies look at.
//!
//! In: policies of settings and of a table, by the address at which a snapshot has them. Out: names of headers; a warning where they look
//! at requests and none are read. Never: shares between workers:
//! see [`crate::request::compiled`].

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use http::HeaderName;
use mesh::{
    access::{
        Policies,
        authorization::{Action, Test, TextAttribute},
    },
    route::RouteTable,
    settings::WaypointSettings,
};

use crate::request::compiled::Cache;

/// What policies look at, of what not every request keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Names of headers. **Shape:** sorted, each once.
    pub headers: Box<[HeaderName]>,
    /// Those of them by which it is found out whom to ask (CUSTOM).
    pub custom: Box<[HeaderName]>,
    /// Whether they look at what a token says.
    pub tokens: bool,
}

thread_local! {
    static OF_SETTINGS: RefCell<Cache<WaypointSettings, Needs>> = RefCell::new(Cache::new());
    static OF_TABLES: RefCell<Cache<RouteTable, Needs>> = RefCell::new(Cache::new());
}

/// What the policies of settings look at.
#[must_use]
pub fn of_settings(settings: &Arc<WaypointSettings>) -> Arc<Needs> {
    OF_SETTINGS.with_borrow_mut(|cache| cache.of(settings, |settings| of(&settings.policies)))
}

/// What the policies of a table look at.
#[must_use]
pub fn of_table(table: &Arc<RouteTable>) -> Arc<Needs> {
    OF_TABLES.with_borrow_mut(|cache| cache.of(table, |table| of(&table.policies)))
}

thread_local! {
    static SETTINGS_TOLD: RefCell<Cache<WaypointSettings, ()>> = RefCell::new(Cache::new());
    static TABLES_TOLD: RefCell<Cache<RouteTable, ()>> = RefCell::new(Cache::new());
}

/// Warns, once per worker and version, of policies that look at requests, where none is read (AZ-05).
pub fn tell_of_requests(settings: &Arc<WaypointSettings>, table: Option<&Arc<RouteTable>>) {
    SETTINGS_TOLD.with_borrow_mut(|told| {
        told.of(settings, |settings| {
            tell(&settings.policies, &"the waypoint");
        })
    });
    if let Some(table) = table {
        TABLES_TOLD
            .with_borrow_mut(|told| told.of(table, |table| tell(&table.policies, &table.key)));
    }
}

fn tell(policies: &Policies, target: &dyn std::fmt::Display) {
    let all = policies.authorization.policies();
    let mut looking = all.iter().filter(|policy| policy.looks_at_requests());
    if let Some(first) = looking.next() {
        let (policy, more) = (&first.key, looking.count());
        tracing::warn!(%policy, more, %target, "policy looks at requests, where there are connections of which none is read: rules that allow by that never match there, others are taken without it");
    }
}

fn of(policies: &Policies) -> Needs {
    let mut all = Looks::default();
    let mut custom = Looks::default();
    for policy in policies.authorization.policies() {
        let asks = match &policy.action {
            Action::Custom(_) => true,
            Action::Allow | Action::Deny | Action::Audit => false,
        };
        let matches = policy.rules.iter().flat_map(|rule| &rule.clauses);
        for found in matches.flat_map(|clause| &clause.matches) {
            for field in &found.fields {
                all.add(&field.test);
                if asks {
                    custom.add(&field.test);
                }
            }
        }
    }
    Needs {
        headers: all.names(),
        custom: custom.names(),
        tokens: all.tokens,
    }
}

/// What fields look at.
#[derive(Default)]
struct Looks {
    headers: BTreeSet<String>,
    tokens: bool,
}

impl Looks {
    fn add(&mut self, test: &Test) {
        let attribute = match test {
            Test::Text(attribute, _) => attribute,
            Test::Ip(..) | Test::DestinationPort(_) => return,
        };
        match attribute {
            TextAttribute::Header(name) => {
                // A name that is none is never there; `host` is the authority.
                if let Ok(name) = HeaderName::try_from(name.as_str())
                    && name != http::header::HOST
                {
                    self.headers.insert(name.as_str().to_owned());
                }
            }
            TextAttribute::RequestPrincipal
            | TextAttribute::Audiences
            | TextAttribute::Presenter
            | TextAttribute::Claim(_) => self.tokens = true,
            TextAttribute::SourcePrincipal
            | TextAttribute::SourceNamespace
            | TextAttribute::SourceServiceAccount
            | TextAttribute::SourceTrustDomain
            | TextAttribute::Host
            | TextAttribute::Method
            | TextAttribute::Path
            | TextAttribute::Sni
            // Whoever says something was asked when the request came, or it is cut.
            | TextAttribute::Metadata(..) => {}
        }
    }

    fn names(&self) -> Box<[HeaderName]> {
        let names = self.headers.iter();
        names
            .filter_map(|name| HeaderName::try_from(name.as_str()).ok())
            .collect()
    }
}
