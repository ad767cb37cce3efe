//! Metrics: the L4 series of connections, and the few metrics beside them.
//!
//! In: events, through handles that a connection resolves once. Out: the text that scrapers read.
//! Never: hashes labels while bytes flow, holds a lock while it encodes.
//!
//! Reading order: [`labels`] (names and order), [`series`] (the counters of one label set), [`store`] (which
//! connection counts where), [`exposition`] (the two text formats).

pub(crate) mod collector;
pub(crate) mod dns;
pub(crate) mod exposition;
pub(crate) mod facts;
pub(crate) mod labels;
pub(crate) mod series;
pub(crate) mod store;

pub use dns::Dns;
pub use exposition::Exposition;
