//! What a waypoint asks others about requests: authorizers by HTTP and gRPC, and limits of its own and of a service; beside Envoy
//! where there is something to compare.

#[path = "waypoint_asked/bodies.rs"]
mod bodies;
#[path = "waypoint_asked/broken.rs"]
mod broken;
#[path = "waypoint_asked/burst.rs"]
mod burst;
#[path = "waypoint_asked/cases.rs"]
mod cases;
#[path = "waypoint_asked/connections.rs"]
mod connections;
#[path = "waypoint_asked/envoy.rs"]
mod envoy;
#[path = "waypoint_asked/filters.rs"]
mod filters;
#[path = "waypoint_asked/global.rs"]
mod global;
#[path = "waypoint_asked/grpc.rs"]
mod grpc;
#[path = "waypoint_asked/limits.rs"]
mod limits;
#[path = "waypoint_asked/login.rs"]
mod login;
#[path = "waypoint_asked/outage.rs"]
mod outage;
#[path = "waypoint_asked/setup.rs"]
mod setup;
