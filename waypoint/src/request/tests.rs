//! Whole requests, through real sockets, to servers of the tests' own.

mod answers;
mod bodies;
mod kit;
mod log;
mod mirrors;
mod retries;
mod rules;
mod times;
mod upgrades;
