//! What a token that is believed says.
//!
//! In: the claims of a verified token. Out: texts, by the way into them. Never: numbers or other values as text, which
//! policies would then compare in ways that nobody wrote down.

use std::{slice, sync::Arc};

use mesh::{Name, route::Claims};
use serde_json::{Map, Value};

/// Claims that are lists of words, whatever a policy says. Source: Istio.
const SPACE_DELIMITED: [&str; 2] = ["scope", "permission"];

/// A token that is believed. A clone is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified(Arc<Said>);

#[derive(Debug, PartialEq, Eq)]
struct Said {
    claims: Map<String, Value>,
    payload: Box<str>,
    space_delimited: Box<[Name]>,
}

impl Verified {
    /// `claims` are those of `payload`, which is base64url.
    pub(crate) fn new(claims: Map<String, Value>, payload: &str, delimited: &[Name]) -> Self {
        Self(Arc::new(Said {
            payload: payload.into(),
            space_delimited: delimited.into(),
            claims,
        }))
    }

    /// `iss`. **Shape:** the issuer that the policy names.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.text("iss").unwrap_or_default()
    }

    /// `sub`.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// `aud`: one or several. Source: Istio `request.auth.audiences`.
    pub fn audiences(&self) -> Texts<'_> {
        Texts::of(self.0.claims.get("aud"), false)
    }

    /// `azp`. Source: Istio `request.auth.presenter`.
    #[must_use]
    pub fn presenter(&self) -> Option<&str> {
        self.text("azp")
    }

    /// The texts of a claim, by the way into it: a text, each of a list of texts, or the words of a claim that is
    /// delimited by spaces. None where it is not there or is something else. Source: Istio `request.auth.claims`.
    pub fn claim(&self, path: &[Name]) -> Texts<'_> {
        Texts::of(self.value(path), self.is_delimited(path))
    }

    /// A claim as it is, by the way into it.
    #[must_use]
    pub fn value(&self, path: &[Name]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        let mut value = self.0.claims.get(first.as_str())?;
        for name in rest {
            value = value.as_object()?.get(name.as_str())?;
        }
        Some(value)
    }

    /// The payload as it was sent, base64url without padding.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.0.payload
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.claims.get(name)?.as_str()
    }

    /// Such claims stand at the top. Source: Istio `spaceDelimitedClaims`.
    fn is_delimited(&self, path: &[Name]) -> bool {
        let [name] = path else { return false };
        SPACE_DELIMITED.contains(&name.as_str()) || self.0.space_delimited.contains(name)
    }
}

/// For the rules of routes.
impl Claims for Verified {
    fn any(&self, claim: &[Name], wanted: &dyn Fn(&str) -> bool) -> bool {
        self.claim(claim).any(wanted)
    }
}

/// The texts of a claim, in their order.
#[derive(Clone, Debug)]
pub struct Texts<'a>(Kind<'a>);

#[derive(Clone, Debug)]
enum Kind<'a> {
    One(Option<&'a str>),
    Words(std::str::Split<'a, char>),
    List(slice::Iter<'a, Value>),
}

impl<'a> Texts<'a> {
    fn of(value: Option<&'a Value>, delimited: bool) -> Self {
        Self(match value {
            Some(Value::String(text)) if delimited => Kind::Words(text.split(' ')),
            Some(Value::String(text)) => Kind::One(Some(text)),
            Some(Value::Array(values)) => Kind::List(values.iter()),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
                Kind::One(None)
            }
        })
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        match &mut self.0 {
            Kind::One(text) => text.take(),
            Kind::Words(words) => words.find(|word| !word.is_empty()),
            Kind::List(values) => values.find_map(Value::as_str),
        }
    }
}
