//! `exportTo`: whose proxies know of an object.

use std::collections::BTreeSet;

/// `exportTo` of VirtualService and DestinationRule. Empty is as the mesh has it by default: everybody.
pub type ExportTo = BTreeSet<Export>;

/// One of `exportTo`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Export {
    /// `*`: every namespace.
    All,
    /// `.`: its own.
    Own,
    /// `~`: nobody's.
    Nobody,
    /// A namespace by name.
    Namespace(String),
}
