//! The stage: who is there, on which node, and who may talk to the database.
//!
//! ```text
//!     node1                                    node2
//!   shop        curl, mariadb, iperf3        report      redis-cli, iperf3
//!   intruder    mariadb, denied              web         nginx
//!   cache       redis                        db          mariadb: only shop may
//!   meter1      iperf3                       meter2      iperf3
//!   catalog-v2  nginx                        catalog-v1a nginx
//!   catalog-v1b nginx, fails                 waypoint    before the service catalog
//! ```

use std::{sync::Arc, thread};

use anyhow::{Context as _, Result};
use lab::{
    Capture, Controller, GATEWAY_NAME, Lab, PodSpec, ServiceSpec, Start, Waypoint, Ztunnel,
    process::Process,
    programs::{self, MariaDb, Nginx},
};

/// The port of nginx; its service is on 80.
pub(crate) const WEB: u16 = 8080;
/// The port of redis and of its service.
pub(crate) const CACHE: u16 = 6379;
/// The port of mariadb and of its service.
pub(crate) const DB: u16 = 3306;
/// The port of iperf3.
pub(crate) const METER: u16 = 5201;

/// Two ztunnels and a waypoint.
pub(crate) const PROXIES: usize = 3;

/// What a person writes for them, by file.
const MANIFESTS: [(&str, &str); 4] = [
    (
        "policy",
        include_str!("../../../deploy/examples/demo/policy.yaml"),
    ),
    (
        "waypoint",
        include_str!("../../../deploy/examples/demo/waypoint.yaml"),
    ),
    (
        "canary",
        include_str!("../../../deploy/examples/demo/canary.yaml"),
    ),
    (
        "access",
        include_str!("../../../deploy/examples/demo/access.yaml"),
    ),
];
/// What is behind the waypoint.
const CATALOG: [&str; 3] = ["catalog-v1a", "catalog-v1b", "catalog-v2"];

/// A pod with the label that people give theirs.
fn pod(name: &str, node: usize) -> PodSpec {
    PodSpec::new(name).node(node).label("app", name)
}

/// A pod of the catalog.
fn catalog(name: &str, node: usize, version: &str) -> PodSpec {
    PodSpec::new(name)
        .node(node)
        .service_account("catalog")
        .label("app", "catalog")
        .label("version", version)
}

/// The pod of the waypoint. It speaks for itself: no ztunnel captures it.
fn waypoint() -> PodSpec {
    PodSpec::new("waypoint")
        .node(1)
        .label(GATEWAY_NAME, "waypoint")
        .not_enrolled()
}

/// The machines.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) lab: Lab,
}

/// The programs that are called.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) nginx: Nginx,
    /// In the order of [`CATALOG`].
    catalog: Vec<Nginx>,
    _redis: Process,
    _mariadb: MariaDb,
    _meters: [Process; 2],
}

impl Servers {
    /// The replica that fails.
    pub(crate) fn crash(&self) -> Result<()> {
        let nginx = self
            .catalog
            .get(1)
            .context("the catalog has a second pod")?;
        nginx.kill()?;
        Ok(())
    }
}

impl Stage {
    /// Builds the machines. No ztunnel, no rules yet: pods talk to each other as they are.
    pub(crate) fn build() -> Result<Self> {
        let lab = Lab::builder("demo")
            .pod(pod("shop", 0))
            .pod(pod("intruder", 0))
            .pod(pod("cache", 0))
            .pod(pod("meter1", 0))
            .pod(pod("report", 1))
            .pod(pod("web", 1))
            .pod(pod("db", 1))
            .pod(pod("meter2", 1))
            .pod(catalog(CATALOG[0], 1, "v1"))
            .pod(catalog(CATALOG[1], 0, "v1"))
            .pod(catalog(CATALOG[2], 0, "v2"))
            .pod(waypoint())
            .service(ServiceSpec::new("web").port(80, WEB).backend("web"))
            .service(
                ServiceSpec::new("cache")
                    .port(CACHE, CACHE)
                    .backend("cache"),
            )
            .service(ServiceSpec::new("db").port(DB, DB).backend("db"))
            .service(
                CATALOG.into_iter().fold(
                    ServiceSpec::new("catalog")
                        .named_port("http", 80, WEB)
                        .label("istio.io/use-waypoint", "waypoint"),
                    ServiceSpec::backend,
                ),
            )
            .capture(Capture::Iptables)
            .build()?;
        lab.change(|mesh| {
            mesh.mesh_config("accessLogFile: /dev/stdout");
            for (name, yaml) in MANIFESTS {
                mesh.manifest(name, yaml);
            }
        })?;
        Ok(Self { lab })
    }

    /// Starts the servers, all at once: mariadb takes its time.
    pub(crate) fn start_servers(&self) -> Result<Servers> {
        let pod = |name: &str| self.lab.pod(name);
        thread::scope(|scope| {
            let mariadb = scope.spawn(|| programs::mariadb(&pod("db"), DB));
            Ok(Servers {
                nginx: programs::nginx(&pod("web"), WEB)?,
                catalog: CATALOG
                    .iter()
                    .map(|name| programs::nginx(&pod(name), WEB))
                    .collect::<Result<_>>()?,
                _redis: programs::redis(&pod("cache"), CACHE)?,
                _meters: [
                    programs::iperf3_server(&pod("meter1"), METER)?,
                    programs::iperf3_server(&pod("meter2"), METER)?,
                ],
                _mariadb: mariadb.join().ok().context("starting mariadb panicked")??,
            })
        })
    }

    /// Starts the controller, which reads the manifests.
    pub(crate) fn start_controller(&self) -> Result<Arc<Controller>> {
        self.lab.controller()
    }

    /// Starts both ztunnels and the waypoint; when this returns every pod is captured.
    pub(crate) fn start_proxies(&self) -> Result<([Ztunnel; 2], Waypoint)> {
        let waypoint = self.lab.spawn_waypoint("waypoint", &Start::default())?;
        let ztunnels = self.lab.start_ztunnels(&Start::default())?;
        waypoint.wait_ready()?;
        self.lab.wait_synced(PROXIES, lab::SECONDS_5)?;
        Ok((ztunnels, waypoint))
    }
}
