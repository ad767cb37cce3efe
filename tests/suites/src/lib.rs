//! The whole-path suites: one test binary per subject in `tests/`, all standing on the `lab`.

pub mod asked;
pub mod balancer;
pub mod echo;
pub mod hostile;
mod listeners;
pub mod plane;
pub mod policy;
pub mod traffic;
pub mod waypoint;
