//! HTTP/1.1 as strictly as it can be read: what stands between a client's bytes and the HTTP engine.
//!
//! In: bytes of a connection. Out: the same bytes, as soon as it is certain what they mean. Never: changes, adds or leaves
//! out a byte of a message that is passed on; two readers of these bytes see the same requests.
//!
//! The engine (hyper) accepts what RFC 9112 §11.2 warns of: a length and a transfer coding together, line feeds alone, and more.
//! [`Guard`] frames the messages by itself and lets a head pass only once it is whole and has one meaning. Where it
//! has none, the engine is given a request of our own in its place, so that the refusal is answered after all answers before it and
//! reaches the access log: [`Gate::refusal`] says so to whoever serves it.
//!
//! Reading order: [`refusal`] (why not), `head` (one head), `chunked` (one body), `framer` (one message after the other), `guard` (the
//! adaptor), `gate` (what it and the service say to each other).

mod chunked;
mod framer;
mod gate;
mod guard;
mod head;
pub mod refusal;

pub use gate::Gate;
pub use guard::Guard;
pub use head::is_authority;
pub use refusal::Refusal;

/// What all heads of one request may have together, its request line included. Source: Envoy's
/// `max_request_headers_kb`, 60 by default. Units: bytes.
pub const MAX_HEAD_BYTES: usize = 60 * 1024;
/// Header fields of a request, and of its trailers. Source: Envoy's `max_headers_count`; also what the engine's parser takes.
pub const MAX_FIELDS: usize = 100;
