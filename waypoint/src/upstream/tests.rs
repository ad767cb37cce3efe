//! The whole way from a backend's name to an answer, over sockets of the loopback interface, to servers of hyper and to
//! scripted ones.

mod ahead;
mod checks;
mod clients;
mod endpoints;
mod http1;
mod http2;
mod judge;
mod kit;
mod known;
mod limits;
mod named;
mod stream;
