//! Connections on every way through and past the mesh, by unmodified programs: the bytes, the ends, the
//! addresses, and what the link between the nodes carried.

#[path = "traffic/crowd.rs"]
mod crowd;
#[path = "traffic/ends.rs"]
mod ends;
#[path = "traffic/link.rs"]
mod link;
#[path = "traffic/programs.rs"]
mod programs;
#[path = "traffic/transports.rs"]
mod transports;
