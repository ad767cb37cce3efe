//! The lab of the waypoints: one client, one server, both nodes' ztunnels, and a pod per waypoint.
//!
//! In: nothing. Out: the sides that can be measured, and why the others cannot. Each side has a Gateway, a pod that
//! carries its name, and two services of its own (one route, a thousand) before the same server.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use lab::programs::{EnvoyService, envoy_program};
use lab::{GATEWAY_NAME, Lab, Pod, PodSpec, Process, ServiceSpec, Start, Ztunnel};
use serde_json::{Value, json};

use super::exchange::{Protocol, Routes};
use super::side::{Kind, Side};
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
            for routes in Routes::ALL {
                builder = builder.service(service(name, routes));
            }
        }
        let lab = builder.build()?;
        lab.start_controller(&["--trusted-node-accounts".into(), "istio-system/ztunnel,default/ambit,default/ambit2".into()])?;
        let (client, server) = (lab.pod("client"), lab.pod("server"));
        for pod in [&client, &server] {
            pod.sysctl(&SYSCTLS)?;
        }
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        lab.change(|mesh| {
            // Before the lab's own file, so that this one is what the mesh's settings are.
            mesh.manifest("access-log", mesh_config().to_string());
            mesh.manifest("gateways", several(names.iter().copied().map(gateway)));
            mesh.manifest("routes", several(tables(&names)));
        })?;
        let server_ip = server.ip4();
        let server = backend::start(&server).context("the server")?;
        let start = Start::default().env(tunables::NAME, tunables::current());
        let ztunnels = lab.start_ztunnels(&start)?;
        let sides = kinds.into_iter().map(|kind| {
            let vips = Routes::ALL.map(|routes| lab.vip(&service(kind.name(), routes).name).ip4);
            let pod = lab.pod(&pod_name(kind.name()));
            let services = services(vips, server_ip);
            Side::new(kind, pod, vips, services)
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

fn service(side: &str, routes: Routes) -> ServiceSpec {
    let name = format!("{side}-{}", routes.name());
    let mut service = ServiceSpec::new(name)
        .label("istio.io/use-waypoint", side)
        .backend("server");
    for protocol in Protocol::ALL {
        let target = backend::port(protocol);
        service = service.named_port(protocol.port_name(), protocol.port(), target);
    }
    service
}

/// The mesh's settings with the access log on. Source: MeshConfig `accessLogFile`.
fn mesh_config() -> Value {
    let text = format!(
        "trustDomain: {}\naccessLogFile: /dev/stdout\n",
        lab::TRUST_DOMAIN
    );
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": text},
    })
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

/// The VirtualServices; Envoy has its tables by its own file.
fn tables(sides: &[&str]) -> Vec<Value> {
    let ours = sides.iter().filter(|side| **side != ENVOY);
    ours.flat_map(|side| {
        Routes::ALL.map(|routes| {
            let table = routes::table(routes);
            routes::virtual_service(&service(side, routes).name, &table)
        })
    })
    .collect()
}

/// The same services and tables for Envoy.
fn services(vips: [Ipv4Addr; 2], server: Ipv4Addr) -> Vec<EnvoyService> {
    let mut services = Vec::new();
    for (vip, routes) in vips.into_iter().zip(Routes::ALL) {
        for protocol in Protocol::ALL {
            services.push(EnvoyService {
                name: format!("{}-{}", routes.name(), protocol.port_name()),
                vip,
                port: protocol.port(),
                http2: protocol.is_http2(),
                endpoints: vec![SocketAddrV4::new(server, backend::port(protocol))],
                matches: routes::envoy(&routes::table(routes)),
            });
        }
    }
    services
}

/// A file with several objects.
fn several(objects: impl IntoIterator<Item = Value>) -> String {
    let objects = objects.into_iter();
    objects.map(|object| format!("---\n{object}\n")).collect()
}
