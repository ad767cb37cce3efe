//! Where a client is and who it is, behind load balancers and behind waypoints: PROXY protocol in and out, `x-forwarded-for`, the application
//! tunnel, the client's name on the way to its destination; with haproxy, nginx, redis, mariadb, python and curl as they are.

#[path = "waypoint_client/balancer.rs"]
mod balancer;
#[path = "waypoint_client/behind.rs"]
mod behind;
#[path = "waypoint_client/flips.rs"]
mod flips;
#[path = "waypoint_client/forwarded.rs"]
mod forwarded;
#[path = "waypoint_client/proxy_out.rs"]
mod proxy_out;
#[path = "waypoint_client/sandwich.rs"]
mod sandwich;
#[path = "waypoint_client/scenario_s1.rs"]
mod scenario_s1;
#[path = "waypoint_client/strangers.rs"]
mod strangers;
#[path = "waypoint_client/streams.rs"]
mod streams;
#[path = "waypoint_client/yard.rs"]
mod yard;
