//! Which pages of other origins may call: `corsPolicy` of VirtualService, the filter `CORS` of HTTPRoute.

use std::{collections::BTreeSet, time::Duration};

use super::StringMatch;

/// Who may call from a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// `allowOrigins` (and `allowOrigin`, its older form).
    pub origins: Vec<CorsOrigin>,
    /// `allowMethods`; `*` is any.
    pub methods: BTreeSet<String>,
    /// `allowHeaders`, in lower case; `*` is any.
    pub headers: BTreeSet<String>,
    /// `exposeHeaders`, in lower case; `*` is any.
    pub expose_headers: BTreeSet<String>,
    /// `maxAge`: whole seconds. `None` sends none.
    pub max_age: Option<Duration>,
    /// `allowCredentials`.
    pub credentials: bool,
    /// `unmatchedPreflights`.
    pub unmatched_preflights: UnmatchedPreflights,
}

/// One of `allowOrigins`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CorsOrigin {
    /// `*`: any.
    Any,
    /// Those that match.
    Match(StringMatch),
}

/// What becomes of a preflight from an origin that is not allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnmatchedPreflights {
    /// `FORWARD`: the service answers it.
    #[default]
    Forward,
    /// `IGNORE`: it is answered here, without permission.
    Ignore,
}
