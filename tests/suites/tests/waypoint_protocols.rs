//! Protocols through the waypoint, with clients and servers that others wrote: what is detected, what passes unchanged,
//! what is refused; beside Envoy in the same place where there is something to compare.

#[path = "waypoint_protocols/detection.rs"]
mod detection;
#[path = "waypoint_protocols/downgrade.rs"]
mod downgrade;
#[path = "waypoint_protocols/grpc.rs"]
mod grpc;
#[path = "waypoint_protocols/h2spec.rs"]
mod h2spec;
#[path = "waypoint_protocols/http.rs"]
mod http;
#[path = "waypoint_protocols/paths.rs"]
mod paths;
#[path = "waypoint_protocols/smuggling.rs"]
mod smuggling;
#[path = "waypoint_protocols/websocket.rs"]
mod websocket;
