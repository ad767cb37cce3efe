//! Who may do what at the waypoint: AuthorizationPolicy with unmodified clients, as Istio's users know it.

#[path = "waypoint_policy/attached.rs"]
mod attached;
#[path = "waypoint_policy/attacks.rs"]
mod attacks;
#[path = "waypoint_policy/fields.rs"]
mod fields;
#[path = "waypoint_policy/flips.rs"]
mod flips;
#[path = "waypoint_policy/moves.rs"]
mod moves;
#[path = "waypoint_policy/order.rs"]
mod order;
#[path = "waypoint_policy/streams.rs"]
mod streams;
