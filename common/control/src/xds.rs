//! Workload xDS: the client of a control plane.
//!
//! In: responses of `DeltaAggregatedResources`. Out: deltas to the [`Publisher`](crate::Publisher), acknowledgements
//! and subscriptions to the control plane, its fate to [`XdsStatus`].
//! Never: forgets what it knows because the control plane is away; lets one bad resource spoil the others.
//!
//! ```text
//!              requests                    Delta
//!   server <-------------- session ----------------> Publisher
//!          --------------> (pure)  --> answers --> Demand
//!             responses
//! ```
//!
//! * `session` is the protocol: what is known, what is asked, how a response is taken in, slice by slice.
//! * `client` is the transport around it: it connects, moves messages and comes back after a failure.
//! * `group` holds responses that belong together until all are there; `gathered` makes one delta of what they bring.
//! * [`Demand`] asks for one name at a time, for the data path; `subscriptions` is its memory.
//!
//! A resource that cannot be read is refused with its reason, its last good version stays in force, and its version
//! is not kept, so the control plane will send it again. One of which there is no good version is only reported.

mod client;
mod demand;
mod gathered;
mod group;
mod known;
mod node;
mod session;
mod status;
mod subscriptions;

pub use client::{Settings, run};
pub use demand::{Demand, Outcome};
pub use node::{Node, Role};
pub use status::{RefusedResource, Terminations, TypeState, XdsState, XdsStatus};
pub use subscriptions::MAX_SUBSCRIPTIONS;

#[cfg(test)]
mod tests;
