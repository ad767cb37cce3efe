//! Policies of layer 7: what each field means, attacks on each, and compiled policies against the oracle.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr, sync::Arc};

use mesh::{
    Name, PolicyKey, ServiceKey,
    access::{
        Certified, Facts, Policy, RequestPrincipal, Rulebook,
        authorization::{
            Action, Clause, Field, IpAttribute, Match, Rule, Test, TextAttribute, TextMatch,
        },
        external::{ExternalAuthorization, Protocol},
        facts::TextTest,
    },
    route::Backend,
};

use super::{authorize, custom, oracle};

mod attacks;
mod fields;
mod order;
mod properties;
mod tcp;
mod token;
mod tracing;

/// Who asks, and for what.
#[derive(Clone, Debug)]
struct Asker {
    is_http: bool,
    client: Option<Certified>,
    source: Option<IpAddr>,
    remote: Option<IpAddr>,
    destination: Option<IpAddr>,
    port: u16,
    sni: Option<String>,
    authority: Option<String>,
    method: Option<String>,
    path: Option<String>,
    headers: BTreeMap<String, Vec<u8>>,
    principal: Option<RequestPrincipal>,
    presenter: Option<String>,
    audiences: Vec<String>,
    claims: BTreeMap<Vec<Name>, Vec<String>>,
    metadata: BTreeMap<(Name, Vec<Name>), Vec<String>>,
}

fn any<'t>(texts: impl IntoIterator<Item = &'t String>, test: TextTest<'_>) -> bool {
    texts.into_iter().any(|text| test(text.as_bytes()))
}

impl Facts for Asker {
    fn is_http(&self) -> bool {
        self.is_http
    }

    fn client(&self) -> Option<&Certified> {
        self.client.as_ref()
    }

    fn ip(&self, attribute: IpAttribute) -> Option<IpAddr> {
        match attribute {
            IpAttribute::Source => self.source,
            IpAttribute::Remote => self.remote,
            IpAttribute::Destination => self.destination,
        }
    }

    fn destination_port(&self) -> u16 {
        self.port
    }

    fn sni(&self) -> Option<&str> {
        self.sni.as_deref()
    }

    fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.headers.get(name).map(|value| Cow::Borrowed(&**value))
    }

    fn header_names(&self, visit: &mut dyn FnMut(&str)) {
        self.headers.keys().for_each(|name| visit(name));
    }

    fn request_principal(&self) -> Option<&RequestPrincipal> {
        self.principal.as_ref()
    }

    fn presenter(&self) -> Option<&str> {
        self.presenter.as_deref()
    }

    fn any_audience(&self, test: TextTest<'_>) -> bool {
        any(&self.audiences, test)
    }

    fn any_claim(&self, path: &[Name], test: TextTest<'_>) -> bool {
        any(self.claims.get(path).into_iter().flatten(), test)
    }

    fn any_metadata(&self, filter: &str, path: &[Name], test: TextTest<'_>) -> bool {
        let key = (Name::from(filter), path.to_vec());
        any(self.metadata.get(&key).into_iter().flatten(), test)
    }
}

/// A client of the namespace `client` with the service account `web` that asks for `GET /shop/cart` of `shop.example`.
fn asker() -> Asker {
    let id = "spiffe://cluster.local/ns/client/sa/web".parse().unwrap();
    Asker {
        is_http: true,
        client: Some(Certified::new(id)),
        source: Some([10, 0, 0, 5].into()),
        remote: Some([203, 0, 113, 9].into()),
        destination: Some([10, 0, 1, 7].into()),
        port: 8080,
        sni: None,
        authority: Some("shop.example".to_owned()),
        method: Some("GET".to_owned()),
        path: Some("/shop/cart".to_owned()),
        headers: BTreeMap::new(),
        principal: None,
        presenter: None,
        audiences: Vec::new(),
        claims: BTreeMap::new(),
        metadata: BTreeMap::new(),
    }
}

/// A connection of the same client, of which no request is read.
fn connection() -> Asker {
    Asker {
        is_http: false,
        authority: None,
        method: None,
        path: None,
        ..asker()
    }
}

fn exact(text: &str) -> TextMatch {
    TextMatch::Exact(text.into())
}

fn prefix(text: &str) -> TextMatch {
    TextMatch::Prefix(text.into())
}

fn suffix(text: &str) -> TextMatch {
    TextMatch::Suffix(text.into())
}

fn template(text: &str) -> TextMatch {
    TextMatch::Template(text.into())
}

fn text(attribute: TextAttribute, values: Vec<TextMatch>) -> Field {
    Field {
        test: Test::Text(attribute, values),
        negate: false,
    }
}

fn ip(attribute: IpAttribute, ranges: &[&str]) -> Field {
    let ranges = ranges.iter().map(|range| range.parse().unwrap()).collect();
    Field {
        test: Test::Ip(attribute, ranges),
        negate: false,
    }
}

fn port(ports: &[u16]) -> Field {
    Field {
        test: Test::DestinationPort(ports.to_vec()),
        negate: false,
    }
}

fn not(field: Field) -> Field {
    Field {
        negate: true,
        ..field
    }
}

/// All fields in one match.
fn all(fields: Vec<Field>) -> Rule {
    Rule {
        clauses: vec![Clause {
            matches: vec![Match { fields }],
        }],
    }
}

fn policy(name: &str, action: Action, rules: Vec<Rule>) -> Policy {
    Policy {
        key: PolicyKey::new("default", name),
        action,
        dry_run: false,
        rules,
    }
}

fn asks(provider: &str) -> Action {
    Action::Custom(Arc::new(ExternalAuthorization {
        provider: provider.into(),
        backend: Backend {
            service: ServiceKey::new("auth", "auth.example"),
            port: 9000,
            subset: Name::default(),
        },
        protocol: Protocol::Grpc,
        timeout: std::time::Duration::from_secs(1),
        fail_open: false,
        status_on_error: 403,
        include_body: None,
    }))
}

/// What compiled policies say, in the oracle's words.
fn compiled(books: &[&Rulebook], asker: &Asker) -> oracle::Verdict {
    let verdict = authorize(books, asker);
    let name = |by: Option<mesh::access::authorization::Matched<'_>>| by.map(|by| by.to_string());
    oracle::Verdict {
        allowed: verdict.enforced.is_allowed(),
        by: name(verdict.enforced.by()),
        shadow_deny: verdict
            .shadow
            .and_then(|shadow| Some(name(shadow.deny?.by()))),
        shadow_allow: verdict
            .shadow
            .and_then(|shadow| Some(name(shadow.allow?.by()))),
        together: verdict
            .shadow
            .map_or(verdict.enforced, |shadow| shadow.together)
            .is_allowed(),
        audited: name(verdict.audited),
        asked: custom(books, asker)
            .iter()
            .map(|custom| custom.external.provider.to_string())
            .collect(),
    }
}

/// What policies say, after the oracle has said the same: in one rulebook, and in two of which each has a half.
fn verdict(policies: &[Policy], asker: &Asker) -> oracle::Verdict {
    let expected = oracle::authorize(policies, asker);
    let whole = Rulebook::new(policies.to_vec());
    assert_eq!(compiled(&[&whole], asker), expected);
    let (one, other) = policies.split_at(policies.len() / 2);
    let halves = [Rulebook::new(one.to_vec()), Rulebook::new(other.to_vec())];
    assert_eq!(compiled(&[&halves[0], &halves[1]], asker), expected);
    expected
}

/// Whether a rule matches, asked in every way: as the only DENY, ALLOW, AUDIT and CUSTOM.
fn matches(rule: Rule, asker: &Asker) -> bool {
    let one = |action| verdict(&[policy("p", action, vec![rule.clone()])], asker);
    let denied = !one(Action::Deny).allowed;
    assert_eq!(denied, one(Action::Audit).audited.is_some());
    assert_eq!(denied, one(asks("one")).asked == ["one"]);
    // The two differ where none is read (AZ-05).
    if asker.is_http {
        assert_eq!(denied, one(Action::Allow).allowed);
    }
    denied
}

/// Whether a field holds; that its negation does not.
fn holds(field: Field, asker: &Asker) -> bool {
    let holds = matches(all(vec![field.clone()]), asker);
    assert_ne!(holds, matches(all(vec![not(field)]), asker));
    holds
}

fn trace_of<'a>(book: &'a Rulebook, asker: &Asker) -> super::Trace<'a> {
    super::trace(&[book], asker)
}
