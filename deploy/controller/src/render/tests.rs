//! Objects in, resources out, as people would read both: one file of JSON for each scene.

pub(crate) mod sample;

mod endpoints;
mod golden;
mod pods;
mod services;
mod waypoints;
