//! The stage: who is there, on which node, and who may talk to the database.
//!
//! ```text
//!     node1                                    node2
//!   shop      curl, mariadb, iperf3          report   redis-cli, iperf3
//!   intruder  mariadb, denied                web      nginx
//!   cache     redis                          db       mariadb: only shop may
//!   meter1    iperf3                         meter2   iperf3
//! ```

use std::{sync::Arc, thread};

use anyhow::{Context as _, Result};
use lab::{
    Capture, Controller, Lab, PodSpec, ServiceSpec, Start, Ztunnel,
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

/// What a person writes for them.
const POLICY: &str = include_str!("../../../deploy/examples/demo/policy.yaml");

/// A pod with the label that people give theirs.
fn pod(name: &str, node: usize) -> PodSpec {
    PodSpec::new(name).node(node).label("app", name)
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
    _redis: Process,
    _mariadb: MariaDb,
    _meters: [Process; 2],
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
            .service(ServiceSpec::new("web").port(80, WEB).backend("web"))
            .service(
                ServiceSpec::new("cache")
                    .port(CACHE, CACHE)
                    .backend("cache"),
            )
            .service(ServiceSpec::new("db").port(DB, DB).backend("db"))
            .capture(Capture::Iptables)
            .build()?;
        lab.change(|mesh| mesh.manifest("policy", POLICY))?;
        Ok(Self { lab })
    }

    /// Starts the servers, all at once: mariadb takes its time.
    pub(crate) fn start_servers(&self) -> Result<Servers> {
        let pod = |name: &str| self.lab.pod(name);
        thread::scope(|scope| {
            let mariadb = scope.spawn(|| programs::mariadb(&pod("db"), DB));
            Ok(Servers {
                nginx: programs::nginx(&pod("web"), WEB)?,
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

    /// Starts both ztunnels; when this returns every pod is captured.
    pub(crate) fn start_ztunnels(&self) -> Result<[Ztunnel; 2]> {
        let ztunnels = self.lab.start_ztunnels(&Start::default())?;
        self.lab.wait_synced(ztunnels.len(), lab::SECONDS_5)?;
        Ok(ztunnels)
    }
}
