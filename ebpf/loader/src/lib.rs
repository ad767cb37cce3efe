//! Capture of pods in the kernel: loads the programs, attaches them, tells them about pods, and takes all of it over
//! from a predecessor.
//!
//! In: pods as network namespaces, with [`PodSettings`]. Out: listeners that get what a pod sends and what comes in plain.
//! Never: serves a connection, knows who a pod is, waits asynchronously; leaves a pod half captured where a step fails.
//!
//! Reading order: [`capture`] (the face of it), [`plan`] (what is told to the programs), [`hooks`] and [`steer`] (the
//! programs), [`routes`] (the pod's routing), [`listeners`]; [`home`] (who is exempt), [`probe`] (whether it works
//! here); then [`pins`], [`mounts`], [`netlink`].
//!
//! ```no_run
//! use ebpf_loader::{Capture, Home, PodSettings, Settings, probe};
//! # fn f(pod: &net::Netns, options: &net::socket::Options) -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::default();
//! let home = Home::enter(settings.cgroup.as_deref())?; // from here on this process is never captured
//! probe::dry_run(&settings, &home, options)?; // or the reason for another capture mode
//! let capture = Capture::open(&settings, Some(&home))?; // nothing is captured yet, or still what was before
//! let enrolled = capture.enrol(pod, &PodSettings::default(), options)?;
//! for (place, listener) in enrolled.listeners {
//!     // `local_addr` of an accepted socket is where it was going; see `is_steered`.
//! }
//! capture.remove(pod)?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod capture;
mod error;
pub mod home;
mod hooks;
pub mod listeners;
pub mod mounts;
mod netlink;
mod objects;
mod pins;
pub mod plan;
pub mod probe;
pub mod routes;
mod steer;

pub use capture::{Capture, Enrolled, Settings};
pub use ebpf_abi::steer::Listener;
pub use error::Error;
pub use home::{Home, HomeError};
pub use listeners::is_steered;
pub use plan::PodSettings;
pub use probe::Unsupported;
