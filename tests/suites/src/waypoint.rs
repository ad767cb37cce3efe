//! What the suites of the waypoint share: the ground with a Gateway, backends and clients; requests by curl; access logs.
//!
//! In: manifests as a person would write them. Out: what unmodified clients got, what the backends saw, what the waypoint
//! said of it.
//! Never: asserts; the suites do.
//!
//! ```no_run
//! use suites::waypoint::{Ground, destination_rule, virtual_service};
//! # fn main() -> anyhow::Result<()> {
//! let Some(ground) = Ground::builder("canary").build()? else {
//!     return Ok(()); // labs are not possible, and that has been said
//! };
//! ground.lab.scenario(|| {
//!     ground.apply("subsets", &destination_rule("web", r"
//!         subsets:
//!         - {name: v1, labels: {version: v1}}
//!         - {name: v2, labels: {version: v2}}
//!     "))?; // returns when every proxy has it; an object that is refused or warned of is an error
//!     ground.apply("web", &virtual_service("web", r"
//!         http:
//!         - match: [{headers: {x-canary: {exact: 'yes'}}}]
//!           route: [{destination: {host: web, subset: v2}}]
//!         - route: [{destination: {host: web, subset: v1}}]
//!     "))?;
//!     let answer = ground.get("/hello?who=me").header("x-canary: yes").send()?;
//!     assert!(answer.status == 200 && answer.pod().starts_with("v2"));
//!     let seen = &ground.echo("v2a").seen("who=me"); // what reached the backend, or `answer.json()`
//!     let counts = ground.get("/").count(100)?; // 100 requests on one connection, by pod or status
//!     assert_eq!(counts.of("v1"), 100); // of all pods whose name begins so
//!     let line = ground.access("who=me")?; // the waypoint's access log, taken apart
//!     assert_eq!(line.status, 200);
//!     # drop(seen);
//!     Ok(())
//! })
//! # }
//! ```
//!
//! ```text
//! node1: client, v1a, v2a (shop), guest (town)      node2: waypoint, v1b, v2b (shop)
//! ```
//!
//! Service `web` of `shop` stands for all four backends ([`Echo`](crate::echo::Echo)s with `app: web` and `version: v1|v2`), `web-v1` and `web-v2`
//! for two each. Their ports, all of which lead to 8080: [`HTTP`] is declared HTTP, [`ANY`] is not declared, [`H2`] is `http2-`,
//! [`GRPC`] is `grpc-`, [`TCP`] is `tcp-`. All have the label `istio.io/use-waypoint: waypoint`. Access logs are on.
//! [`Builder`] adds pods, services, waypoints (`waypoint-2`, ...), lines of the MeshConfig.
//!
//! Reading order: [`ground`], [`mod@manifest`], [`curl`] (a request and its answer), [`access`] (a line of the access log),
//! [`load`] (wrk and h2load), [`raw`] (bytes to and fro), [`peers`] (programs that others wrote), [`junit`] (h2spec's report).

pub mod access;
pub mod curl;
pub mod ground;
pub mod junit;
pub mod load;
pub mod manifest;
pub mod peers;
pub mod raw;

#[cfg(test)]
mod tests;

pub use self::access::Access;
pub use self::curl::{Answer, Counts, Curl};
pub use self::ground::{ANY, Builder, GRPC, Ground, H2, HTTP, Scenario, TCP, backend, service};
pub use self::manifest::{
    authorization_policy, destination_rule, grpc_route, http_route, manifest, reference_grant,
    request_authentication, tcp_route, tls_route, virtual_service,
};
