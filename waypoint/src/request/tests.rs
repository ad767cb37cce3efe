//! Whole requests, through real sockets, to servers of the tests' own.

mod answers;
mod asks;
mod bodies;
mod clients;
mod external;
mod flips;
mod kit;
mod limits;
mod log;
mod mirrors;
mod policies;
mod retries;
mod rules;
mod times;
mod tokens;
mod trace;
mod upgrades;
