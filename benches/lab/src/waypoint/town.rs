//! The lab of the waypoints: one client, one server, both nodes' ztunnels, and a pod per waypoint.
//!
//! In: nothing. Out: the sides that can be measured, and why the others cannot. Each side has a Gateway, a pod that
//! carries its name, and a service of its own per table before the same server.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use lab::programs::envoy_program;
use lab::{GATEWAY_NAME, Lab, Pod, PodSpec, Process, ServiceSpec, Start, Ztunnel};
use serde_json::{Value, json};

use super::exchange::{PORT, Table};
use super::side::{Kind, Place, Side};
use super::{ENVOY, OURS, TWO, backend, routes};
use crate::tunables;

/// As in the labs of ztunnels.
const SYSCTLS: [(&str, &str); 2] = [
    ("net.ipv4.tcp_tw_reuse", "1"),
    ("net.ipv4.ip_local_port_range", "16384 65535"),
];

/// The lab, with everything in it but the waypoints' lives. Fields are dropped in this order: the lab last.
#[derive(Debug)]
pub(crate) struct Town {
    /// The waypoints, in the order of the table.
    pub(crate) sides: Vec<Side>,
    /// nginx.
    pub(crate) server: Process,
    /// Of the client's node and of the server's.
    pub(crate) ztunnels: [Ztunnel; 2],
    /// The pod that asks.
    pub(crate) client: Arc<Pod>,
    /// The lab.
    pub(crate) lab: Lab,
}

impl Town {
    /// Builds it; no waypoint runs yet.
    ///
    /// # Errors
    ///
    /// When the lab, the controller, a ztunnel or nginx does not come up.
    pub(crate) fn build() -> Result<(Self, Vec<String>)> {
        let (kinds, skipped) = kinds();
        let mut builder = Lab::builder("bench_waypoint")
            .pod(PodSpec::new("client"))
            .pod(PodSpec::new("server").node(1));
        for kind in &kinds {
            let name = kind.name();
            // Its processes speak HBONE themselves: no ztunnel takes what they send.
            let pod = PodSpec::new(pod_name(name))
                .node(1)
                .service_account(name)
                .label(GATEWAY_NAME, name)
                .not_enrolled();
            builder = builder.pod(pod);
            for table in Table::all() {
                builder = builder.service(service(name, table));
            }
        }
        let lab = builder.build()?;
        let (client, server) = (lab.pod("client"), lab.pod("server"));
        for pod in [&client, &server] {
            pod.sysctl(&SYSCTLS)?;
        }
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        lab.change(|mesh| {
            mesh.mesh_config("accessLogFile: /dev/stdout\n");
            mesh.manifest("gateways", several(names.iter().copied().map(gateway)));
        })?;
        let server_ip = server.ip4();
        let server = backend::start(&server).context("the server")?;
        let start = Start::default().env(tunables::NAME, tunables::current());
        let ztunnels = lab.start_ztunnels(&start)?;
        let sides = kinds.into_iter().map(|kind| {
            let at = |table: Table| Place {
                table,
                vip: lab.vip(&service(kind.name(), table).name).ip4,
            };
            let places = Table::all().into_iter().map(at).collect();
            let pod = lab.pod(&pod_name(kind.name()));
            Side::new(kind, pod, places, server_ip)
        });
        let town = Self {
            sides: sides.collect(),
            server,
            ztunnels,
            client,
            lab,
        };
        Ok((town, skipped))
    }

    /// Gives each waypoint of ours these tables, and no other. Envoy gets its own when it starts.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub(crate) fn publish(&self, tables: &[Table]) -> Result<()> {
        let ours = self
            .sides
            .iter()
            .map(|side| side.kind.name())
            .filter(|name| *name != ENVOY);
        let objects = ours.flat_map(|name| {
            tables.iter().map(move |table| {
                let routes = routes::table(table.routes);
                routes::virtual_service(&service(name, *table).name, &routes)
            })
        });
        let text = several(objects);
        self.lab.change(|mesh| mesh.manifest("routes", text))
    }
}

/// Who can be measured here; and a line for each who cannot.
fn kinds() -> (Vec<Kind>, Vec<String>) {
    let (mut kinds, mut skipped) = (Vec::new(), Vec::new());
    match envoy_program() {
        Ok(path) => kinds.push(Kind::Envoy(path)),
        Err(error) => skipped.push(format!("skipped: {ENVOY}: {error:#}")),
    }
    match lab::Program::Waypoint.binary() {
        Ok(path) => {
            kinds.push(Kind::Ours(OURS, 1, path.clone()));
            kinds.push(Kind::Ours(TWO, 2, path));
        }
        Err(error) => skipped.push(format!("skipped: {OURS}: {error:#}")),
    }
    (kinds, skipped)
}

fn pod_name(side: &str) -> String {
    format!("waypoint-{side}")
}

fn service(side: &str, table: Table) -> ServiceSpec {
    let protocol = table.protocol;
    ServiceSpec::new(format!("{side}-{}", table.name()))
        .label("istio.io/use-waypoint", side)
        .backend("server")
        .named_port(protocol.port_name(), PORT, backend::port(protocol))
}

fn gateway(side: &str) -> Value {
    // Istio's class is what Istio's waypoint, which is an Envoy, would have.
    let class = if side == ENVOY {
        "istio-waypoint"
    } else {
        "ambit-waypoint"
    };
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": side, "namespace": "default"},
        "spec": {
            "gatewayClassName": class,
            "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}],
        },
    })
}

/// A file with several objects.
fn several(objects: impl IntoIterator<Item = Value>) -> String {
    let objects = objects.into_iter();
    objects.map(|object| format!("---\n{object}\n")).collect()
}
