//! What the suites of policy, configuration and observability share: a town of pods in which everybody may be
//! called in every way, an application that counts who reaches it, and a peer that lies.
//!
//! In: policies as they stand in the file. Out: what a caller saw, and what the ztunnels said of it.
//! Never: asserts; the suites do.
//!
//! Reading order: [`call`] (one connection and what became of it), [`flow`] (many, while something changes), [`echo`]
//! (the application), [`town`], [`log`] (what a ztunnel has written since a moment), [`liar`] (an HBONE client
//! that says what it likes).

pub mod call;
pub mod echo;
pub mod flow;
pub mod liar;
pub mod log;
pub mod town;

use std::time::Duration;

use serde_json::{Value, json};

pub use self::call::{Call, Seen};
pub use self::echo::Echo;
pub use self::flow::Flow;
pub use self::log::{Fields, Mark};
pub use self::town::Town;

/// How long anything may take: what takes milliseconds on a quiet machine takes seconds on one that builds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A policy of namespace `prod`, with the scope `Namespace`.
pub fn policy(name: &str, action: &str, rules: Value) -> Value {
    scoped(name, "prod", "Namespace", action, rules)
}

/// A policy.
pub fn scoped(name: &str, namespace: &str, scope: &str, action: &str, rules: Value) -> Value {
    json!({"name": name, "namespace": namespace, "scope": scope, "action": action, "rules": rules})
}
