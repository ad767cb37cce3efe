//! Manifests in, what waypoints are told out: as files, and rule by rule.

mod edits;
mod golden;
mod inheritance;
mod order;
mod paper;
mod safety;
mod scope;
mod world;
