//! Routing at layer 7 and 4 on the whole path: unmodified clients in pods, two ztunnels, a waypoint, manifests as people
//! write them.

#[path = "waypoint_routing/answers.rs"]
mod answers;
#[path = "waypoint_routing/copies.rs"]
mod copies;
#[path = "waypoint_routing/edits.rs"]
mod edits;
#[path = "waypoint_routing/filters.rs"]
mod filters;
#[path = "waypoint_routing/gateway_api.rs"]
mod gateway_api;
#[path = "waypoint_routing/grpc_route.rs"]
mod grpc_route;
#[path = "waypoint_routing/matches.rs"]
mod matches;
#[path = "waypoint_routing/releases.rs"]
mod releases;
#[path = "waypoint_routing/streams.rs"]
mod streams;
