//! The way through the waypoint: who is led to it, what happens without it, several of it, changes under load, long
//! streams, and who is refused at its door.

#[path = "waypoint_path/changes.rs"]
mod changes;
#[path = "waypoint_path/doors.rs"]
mod doors;
#[path = "waypoint_path/outage.rs"]
mod outage;
#[path = "waypoint_path/policies.rs"]
mod policies;
#[path = "waypoint_path/replicas.rs"]
mod replicas;
#[path = "waypoint_path/streams.rs"]
mod streams;
#[path = "waypoint_path/targets.rs"]
mod targets;
