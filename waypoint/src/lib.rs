//! The waypoint: one namespace's layer-7 proxy.
//!
//! ```text
//! ztunnel ══HBONE══▶ accept ─▶ detect ─┬─▶ http1 guard ─▶ serve ─▶ request ─▶ filter ─▶ upstream ══HBONE══▶ ztunnel
//!                                      └─▶ tcp ───────────────────────────────────────▶ upstream ──plain──▶ others
//! ```
//! In: HBONE tunnels from ztunnels. Out: requests and connections to the services and workloads that it serves.
//! Never: reads Kubernetes objects; lets a request through before the configuration that may forbid it is whole.
//!
//! Reading order: [`app`] (what there is), [`accept`] and [`session`] (who wants what), [`detect`], [`http1`], [`serve`] (the
//! servers of HTTP), [`request`] (**the order of stages**), [`filter`], [`upstream`], [`tcp`]; [`proxy`] is what all share.

#![forbid(unsafe_code)]

pub mod accept;
pub mod access;
pub mod app;
pub mod body;
pub mod config;
pub mod detect;
pub mod drain;
pub mod dump;
pub mod filter;
pub mod http1;
pub mod io;
pub mod proxy;
mod rarely;
pub mod request;
pub mod serve;
pub mod session;
pub mod tcp;
pub mod upstream;
