//! Policies of one target, compiled when they arrive.

use std::sync::Arc;

use super::Policy;

/// Policies, compiled. A clone is cheap.
#[derive(Clone, Debug, Default)]
pub struct Rulebook(Option<Arc<Compiled>>);

#[derive(Debug)]
struct Compiled {
    policies: Vec<Policy>,
}

impl Rulebook {
    /// Compiles policies.
    #[must_use]
    pub fn new(policies: Vec<Policy>) -> Self {
        if policies.is_empty() {
            return Self(None);
        }
        Self(Some(Arc::new(Compiled { policies })))
    }

    /// Whether there is no policy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// All policies.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        self.0
            .as_ref()
            .map(|compiled| &*compiled.policies)
            .unwrap_or_default()
    }
}

impl PartialEq for Rulebook {
    fn eq(&self, other: &Self) -> bool {
        self.policies() == other.policies()
    }
}

impl Eq for Rulebook {}
