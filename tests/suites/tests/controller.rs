//! The controller on the whole path: edits of manifests, its outages, strangers at its door, discovery on demand,
//! the rotation of its root, revocation, and what it says of what cannot be enforced.

#[path = "controller/conditions.rs"]
mod conditions;
#[path = "controller/crl.rs"]
mod crl;
#[path = "controller/edits.rs"]
mod edits;
#[path = "controller/on_demand.rs"]
mod on_demand;
#[path = "controller/outage.rs"]
mod outage;
#[path = "controller/rotation.rs"]
mod rotation;
#[path = "controller/strangers.rs"]
mod strangers;
