//! Where objects come from: a folder of manifests, kept in step with what is in it.
//!
//! In: `*.yaml` and `*.yml` below one directory. Out: a [`Batch`] of what differs from the last one, and what was
//! wrong as [`Finding`](crate::status::Finding)s.
//! Never: delivers a part of an object, or takes back what was good because a file cannot be read.
//!
//! An object is left out while its manifest is bad; its last good version stays for as long as something of its
//! kind, namespace and name still stands in the folder. Where there is none, as after a start, something stands in for a policy
//! that is attached to something, and closes that. Where a file's objects cannot even be told apart (it is no
//! YAML, it cannot be opened), all that it delivered stays. What is not there any more is deleted.
//!
//! Names that begin with a dot are not read. So Kubernetes' volumes are read once, although every file of them is
//! reached over two paths (`DIR/a.yaml -> ..data/a.yaml`, `DIR/..data -> ..2026_01_31`).
//!
//! Reading order: [`Folder`] (what the objects are), `walk` (which files there are), `text` (the bytes of one),
//! `judged` (what one says), `unread` (what stands in for what it says badly), `claims` (who speaks for an object), [`run`] (the task), `watch`.

use crate::objects::Update;

mod claims;
mod folder;
mod follow;
mod judged;
mod text;
mod unread;
mod walk;
mod watch;

pub use folder::{Folder, Scan};
pub use follow::run;

/// What changed, at once. **Shape**: deletes before puts, both in the order of their keys; each object at most once.
pub type Batch = Vec<Update>;

#[cfg(test)]
mod tests;
