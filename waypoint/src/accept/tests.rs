//! The whole way from a client's tunnel to an endpoint and back, over sockets of the loopback interface.

mod abuse;
mod endings;
mod http;
mod kit;
mod passed_on;
mod policies;
mod proxied;
mod streams;
