//! What external authorizers have said of a request, beside their answer.
//!
//! In: objects, by the name of who said them. Out: texts, by the way into them. Never: numbers or other values as text, which
//! policies would then compare in ways that nobody wrote down.
//!
//! Source: Envoy's dynamic metadata, `experimental.envoy.filters.<filter>[<key>]`.

use std::collections::BTreeMap;

use mesh::Name;
use serde_json::{Map, Value};

/// The filter under whose name Envoy keeps what an authorizer says.
pub const EXTERNAL: &str = "envoy.filters.http.ext_authz";

/// What was said, by filter. **Shape:** as many filters as there are authorizers that were asked; what one says is bounded by who
/// reads its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(BTreeMap<Name, Map<String, Value>>);

impl Metadata {
    /// Nothing was said.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what a filter said; of what was said before, only the same keys are replaced.
    pub fn insert(&mut self, filter: Name, said: Map<String, Value>) {
        if said.is_empty() {
            return;
        }
        self.0.entry(filter).or_default().extend(said);
    }

    /// What a filter said, as it is.
    #[must_use]
    pub fn of(&self, filter: &str) -> Option<&Map<String, Value>> {
        self.0
            .iter()
            .find_map(|(name, said)| (name.as_str() == filter).then_some(said))
    }

    /// Everything.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Map<String, Value>)> {
        self.0.iter()
    }

    /// The texts at the end of a way: a text, or each of a list of texts.
    pub fn texts<'m>(&'m self, filter: &str, path: &[Name]) -> impl Iterator<Item = &'m str> {
        let found = self.value(filter, path);
        let one = found.and_then(Value::as_str);
        let many = found.and_then(Value::as_array).map(Vec::as_slice);
        one.into_iter()
            .chain(many.unwrap_or_default().iter().filter_map(Value::as_str))
    }

    fn value(&self, filter: &str, path: &[Name]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        let mut value = self.of(filter)?.get(first.as_str())?;
        for name in rest {
            value = value.as_object()?.get(name.as_str())?;
        }
        Some(value)
    }
}
