//! Waypoints: which Gateways are any, and which of them stands before what.
//!
//! In: Gateways, labels and annotations. Out: references, and why there is none. Never: looks for objects, except
//! through the [`Gateways`] that a caller hands in.
//!
//! A Gateway of a managed class is usable as soon as it is there, since its Service is: a folder has no status that
//! would say more. Any other is usable when it has an address. Until then it is not ready.

mod binding;
mod clients;
mod gateway;

pub use binding::{
    Binding, Bound, Canary, Gateways, Problem, Reference, References, Target, WAYPOINT_BOUND, bind,
    canary, conditions, reference,
};
pub use clients::{Addresses, Clients, clients};
pub use gateway::{
    Class, Found, GATEWAY_NAME, ISTIO_CLASS, Instance, Traffic, Waypoint, account, class, class_of,
    instance, service, service_name, waypoint,
};
