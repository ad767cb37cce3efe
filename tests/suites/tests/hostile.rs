//! Garbage at every door, malformed requests and frames, floods: the attacker is told off with a status and a line
//! in the log, ztunnel lives, its memory stays bounded, and everybody else gets on with their work.

#[path = "hostile/doors.rs"]
mod doors;
#[path = "hostile/floods.rs"]
mod floods;
#[path = "hostile/frames.rs"]
mod frames;
#[path = "hostile/heads.rs"]
mod heads;
#[path = "hostile/modes.rs"]
mod modes;
#[path = "hostile/stalls.rs"]
mod stalls;
