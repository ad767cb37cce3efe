//! Two nodes of network namespaces with pods, real programs and a CNI agent: the ground that every
//! whole-path test stands on.
//!
//! In: pods, services, policies, who captures. Out: machines in which unmodified programs run, ztunnels
//! on the nodes, and hooks for everything that may go wrong.
//! Never: an interface, route, rule or setting of the host's own namespace; a process that outlives
//! its lab; a name that two runs share.
//!
//! # A suite
//!
//! ```no_run
//! use lab::{Capture, Lab, PodSpec, ServiceSpec, Start, programs};
//!
//! # fn main() -> anyhow::Result<()> {
//! if !lab::possible() {
//!     return Ok(()); // prints `skipped: why`
//! }
//! let lab = Lab::builder("demo")
//!     .pod(PodSpec::new("client"))
//!     .pod(PodSpec::new("web").node(1).namespace("default"))
//!     .service(ServiceSpec::new("web").port(80, 8080).backend("web"))
//!     .capture(Capture::Agent)
//!     .build()?;
//! let (client, web) = (lab.pod("client"), lab.pod("web"));
//! let nginx = programs::nginx(&web, 8080)?; // answers when this returns, ends with `nginx`
//! let [near, far] = lab.start_ztunnels(&Start::default())?; // both ready
//!
//! // Unmodified programs in pods; `ok` is the output, or an error with everything it said.
//! let text = client.exec(["curl", "-sS", &format!("http://{}:8080/", web.ip4())])?.ok()?;
//! assert_eq!(text, "hello from web\n");
//! client.exec(["curl", "-sS", &format!("http://[{}]/", lab.vip("web").ip6)])?.ok()?;
//! assert!(nginx.access_log().starts_with(&client.ip4().to_string()));
//!
//! // Rust inside a pod: sockets stay in its namespace, wherever they are used later.
//! let stream = client.run(|| std::net::TcpStream::connect((web.ip4(), 8080)))??;
//!
//! // What happened.
//! far.wait_log(&["access", "connection complete", "inbound"], lab::SECONDS_5)?;
//! assert!(near.metric("istio_tcp_connections_opened_total", &[("reporter", "source")])? >= 1.0);
//! # drop(stream);
//! # Ok(())
//! # }
//! ```
//!
//! # Changing things while traffic flows
//!
//! ```no_run
//! # use lab::{Lab, PodSpec};
//! # fn f(lab: &Lab) -> anyhow::Result<()> {
//! lab.add_pod(PodSpec::new("late").node(1))?; // published, captured, handed over, answered
//! lab.unenrol("late")?;
//! lab.enrol("late")?;
//! lab.remove_pod("late")?;
//! lab.change(|mesh| {
//!     mesh.policy(serde_json::json!({
//!         "name": "deny-all", "namespace": "default", "scope": "Namespace", "action": "Allow", "rules": [],
//!     }));
//! })?;
//! lab.publish_text("workloads: [")?; // a bad file
//! # Ok(())
//! # }
//! ```
//!
//! # Hostility
//!
//! ```no_run
//! # use lab::{agent::Mode, Ca, Lab, Leaf, Start};
//! # use std::os::fd::AsFd as _;
//! # fn f(lab: &Lab) -> anyhow::Result<()> {
//! // Play the agent by hand: nothing is sent unless the test sends it.
//! lab.node(0).agent().set_mode(Mode::Manual);
//! let ztunnel = lab.spawn_ztunnel(0, &Start::default())?;
//! let connection = lab.node(0).agent().connection(lab::SECONDS_5)?;
//! connection.receive_hello()?;
//! connection.send_raw(b"garbage", &[lab.pod("client").netns().as_fd()])?;
//!
//! // Certificates of this authority and of another.
//! let leaf = lab.ca().issue(&Leaf::new("spiffe://other.domain/ns/default/sa/client"))?;
//! let stranger = Ca::create(lab.folder(), "stranger")?;
//! # drop((ztunnel, leaf, stranger));
//! # Ok(())
//! # }
//! ```
//!
//! # What there is
//!
//! [`Lab`] (built by [`Builder`]) has two [`Node`]s with an [`agent::Agent`] each, [`Pod`]s, perhaps an
//! outside host; all of them are [`Machine`]s with `exec`, `spawn`, `command`, `run`, `thread`, `http`.
//! [`programs`] starts nginx, redis, mariadb, iperf3 and tcpdump. [`Ztunnel`] is a node's proxy, [`Waypoint`] a namespace's,
//! [`Mesh`] its configuration, [`Ca`] its authority. [`eventually()`] and [`until`] wait with a deadline.
//!
//! Reading order: [`topology`], `run`, `namespace`, `cgroup`, [`process`], `machine`, `pod`, `lab`; then
//! `rules` and [`agent`]; then the rest. `README.md` tells how to use the command.
//!
//! Threads: one per agent, one for signals; both are described in their modules.

pub mod agent;
mod bpffs;
mod ca;
mod cgroup;
pub mod command;
pub mod controller;
mod eventually;
pub mod http;
mod lab;
mod machine;
pub mod manifests;
mod mesh;
mod namespace;
pub mod pcap;
mod pod;
pub mod process;
pub mod programs;
mod proxy;
mod rules;
mod run;
mod signals;
pub mod topology;

use std::time::Duration;

pub use crate::ca::{Ca, Issued, Leaf, Usage};
pub use crate::controller::Controller;
pub use crate::eventually::{eventually, until};
pub use crate::lab::{Builder, Config, GATEWAY_NAME, Lab, Start};
pub use crate::machine::Machine;
pub use crate::mesh::{CLUSTER, Mesh, ServiceSpec, TRUST_DOMAIN};
pub use crate::pod::{Node, Pod, PodSpec};
pub use crate::process::{Command, Memory, Output, Process};
pub use crate::proxy::{Program, Proxy, READY, Waypoint, Ztunnel};
pub use crate::rules::{Capture, DnsCapture};
pub use crate::topology::Addresses;

/// A usual deadline of a test: long for a local machine under load, short for a person.
pub const SECONDS_5: Duration = Duration::from_secs(5);

/// Whether labs can be built here; if not, prints `skipped: why`, and the test is to return.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
pub fn possible() -> bool {
    match namespace::obstacle() {
        None => true,
        Some(obstacle) => {
            eprintln!("skipped: {obstacle}");
            false
        }
    }
}
