//! Layer-4 authorization on the whole path: who is let in, who is not, what each side is told, and that what is
//! open is judged again when a policy comes. Rows L4P-01 to L4P-07.

#[path = "policy/attacks.rs"]
mod attacks;
#[path = "policy/changes.rs"]
mod changes;
#[path = "policy/conditions.rs"]
mod conditions;
#[path = "policy/dry_run.rs"]
mod dry_run;
#[path = "policy/modes.rs"]
mod modes;
#[path = "policy/scopes.rs"]
mod scopes;
