//! Capture of pods in the kernel: loads the programs, attaches them, tells them about pods, and takes all of it over
//! from a predecessor.
//!
//! In: pods as network namespaces, with [`PodSettings`]. Out: listeners that get what a pod sends and what comes in plain.
//! Never: serves a connection, knows who a pod is, waits asynchronously; lets a pod that was captured go open because a step
//! fails.
//!
//! Reading order: [`capture`] (the face of it), [`plan`] (what is told to the programs), [`hooks`] and [`steer`] (the
//! programs), [`routes`] (the pod's routing), [`listeners`]; [`release`] (the way out); [`home`] (who is exempt),
//! [`probe`] (whether it works here); then [`pins`], [`generation`], [`claims`], [`orphans`], [`mounts`], [`netlink`].
//!
//! ```no_run
//! use ebpf_loader::{Capture, Cookie, Home, PodSettings, Serving, Settings, probe};
//! # fn f(pod: &net::Netns, options: &net::socket::Options) -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::default();
//! let home = Home::enter(settings.cgroup.as_deref())?; // from here on this process is never captured
//! probe::dry_run(&settings, &home, options)?; // or the reason for another capture mode
//! let capture = Capture::open(&settings, Some(&home))?; // nothing is captured yet, or still what was before
//! let (cookie, how) = (Cookie::of(pod)?, PodSettings::default());
//! capture.close(pod, cookie, &how)?; // captured, and served by nobody
//! let serving = Serving { port_dns: None, options, kept: &[] };
//! let enrolled = capture.enrol(pod, cookie, &how, &serving)?;
//! for (place, listener) in enrolled.listeners {
//!     // `local_addr` of an accepted socket is where it was going; see `is_steered`.
//! }
//! capture.remove(pod, cookie)?;
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

pub mod capture;
mod claims;
mod cookie;
mod error;
mod generation;
pub mod home;
mod hooks;
mod kernel;
pub mod listeners;
pub mod mounts;
mod netlink;
mod objects;
mod orphans;
mod pins;
pub mod plan;
pub mod probe;
pub mod release;
pub mod routes;
mod steer;
mod syscall;

pub use capture::{Capture, Enrolled, Serving, Settings};
pub use cookie::Cookie;
pub use ebpf_abi::steer::Listener;
pub use error::Error;
pub use home::{Home, HomeError};
pub use listeners::is_steered;
pub use plan::PodSettings;
pub use probe::Unsupported;
pub use release::{forget, uncapture};
