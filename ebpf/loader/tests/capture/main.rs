//! Capture on the real kernel: pods in namespaces, unmodified clients and servers, a proxy that forwards.
//!
//! The hooks are attached to the lab's own cgroup and the pins are in a bpffs of the test's own, so that nothing else on
//! the machine is touched. Without root these say `skipped` and why.

mod device;
mod dns;
mod ground;
mod inbound;
mod life;
mod outbound;
mod removal;
mod succession;
mod trial;
