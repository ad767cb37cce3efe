//! How a waypoint is named.

use std::fmt;

use crate::name::{Name, Namespace};

/// What the settings of a waypoint are named by, written `<namespace>/<gateway>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaypointKey {
    /// The Gateway's namespace.
    pub namespace: Namespace,
    /// The Gateway's name.
    pub gateway: Name,
}

impl WaypointKey {
    /// Names a waypoint.
    #[must_use]
    pub fn new(namespace: impl Into<Namespace>, gateway: impl Into<Name>) -> Self {
        Self {
            namespace: namespace.into(),
            gateway: gateway.into(),
        }
    }
}

impl fmt::Display for WaypointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.gateway)
    }
}
