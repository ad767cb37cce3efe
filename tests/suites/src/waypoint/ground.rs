//! The ground of the waypoint's suites, built and changed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::programs::{Envoy, EnvoyService, envoy_waypoint};
use lab::{GATEWAY_NAME, Lab, Pod, PodSpec, ServiceSpec, Start, Waypoint, Ztunnel, eventually};
use serde_json::json;

use super::{Access, Curl};
use crate::echo::Echo;
use crate::plane;
use crate::policy::{Mark, PATIENCE};

/// The port of `web` that is declared HTTP.
pub const HTTP: u16 = 80;
/// Its port without a declared protocol.
pub const ANY: u16 = 81;
/// Its port that is declared HTTP/2.
pub const H2: u16 = 82;
/// Its port that is declared gRPC.
pub const GRPC: u16 = 83;
/// Its port that is declared TCP.
pub const TCP: u16 = 84;
/// Where backends listen.
const TARGET: u16 = 8080;
/// How long a change may take until every proxy has it.
const SYNC: Duration = Duration::from_secs(30);

/// A ground to be built.
#[derive(Clone, Debug)]
pub struct Builder {
    name: String,
    pods: Vec<PodSpec>,
    services: Vec<ServiceSpec>,
    echoes: Vec<String>,
    waypoints: usize,
    traffic: &'static str,
    config: Vec<String>,
    manifests: Vec<(String, String)>,
    waypoint: Start,
    ztunnel: Start,
    logs: bool,
}

/// One of several scenarios that share a ground, one after the other.
pub type Scenario = fn(&Ground) -> Result<()>;

/// A lab with ztunnels, backends, and a waypoint before them.
#[derive(Debug)]
pub struct Ground {
    /// Node 1's and node 2's.
    pub ztunnels: [Ztunnel; 2],
    /// `waypoint`, `waypoint-2`, ...
    pub waypoints: Vec<Waypoint>,
    /// By pod.
    pub echoes: BTreeMap<String, Echo>,
    /// The pods.
    pub lab: Lab,
}

/// A service of `shop` that has the waypoint, without ports and backends.
pub fn service(name: &str) -> ServiceSpec {
    ServiceSpec::new(name)
        .namespace("shop")
        .label("istio.io/use-waypoint", "waypoint")
}

/// A pod of `shop` with `app: web` and a version.
pub fn backend(name: &str, node: usize, version: &str) -> PodSpec {
    PodSpec::new(name)
        .node(node)
        .namespace("shop")
        .label("app", "web")
        .label("version", version)
}

impl Builder {
    /// Adds a pod.
    #[must_use]
    pub fn pod(mut self, pod: PodSpec) -> Self {
        self.pods.push(pod);
        self
    }

    /// Adds a pod that runs an [`Echo`] on 8080.
    #[must_use]
    pub fn echo(mut self, pod: PodSpec) -> Self {
        self.echoes.push(pod.name.clone());
        self.pods.push(pod);
        self
    }

    /// Adds a service; see [`service`].
    #[must_use]
    pub fn service(mut self, service: ServiceSpec) -> Self {
        self.services.push(service);
        self
    }

    /// So many waypoints; one unless set. 0: none is started, the pod `waypoint` is there.
    #[must_use]
    pub fn waypoints(mut self, count: usize) -> Self {
        self.waypoints = count;
        self
    }

    /// The Gateway's `istio.io/waypoint-for`: `service` unless set.
    #[must_use]
    pub fn waypoint_for(mut self, traffic: &'static str) -> Self {
        self.traffic = traffic;
        self
    }

    /// Adds lines to the MeshConfig.
    #[must_use]
    pub fn mesh_config(mut self, lines: impl Into<String>) -> Self {
        self.config.push(lines.into());
        self
    }

    /// Leaves `accessLogFile` out of the MeshConfig.
    #[must_use]
    pub fn without_access_log(mut self) -> Self {
        self.logs = false;
        self
    }

    /// Adds a file of manifests that is there from the start.
    #[must_use]
    pub fn manifest(mut self, name: impl Into<String>, yaml: impl Into<String>) -> Self {
        self.manifests.push((name.into(), yaml.into()));
        self
    }

    /// How waypoints are started.
    #[must_use]
    pub fn start_waypoint(mut self, start: Start) -> Self {
        self.waypoint = start;
        self
    }

    /// How ztunnels are started.
    #[must_use]
    pub fn start_ztunnels(mut self, start: Start) -> Self {
        self.ztunnel = start;
        self
    }

    /// Builds it; `None` where labs are not possible, which has been said then. All proxies are ready and know everything.
    ///
    /// # Errors
    ///
    /// When something does not start.
    pub fn build(self) -> Result<Option<Ground>> {
        if !lab::possible() {
            return Ok(None);
        }
        let mut builder = Lab::builder(&self.name)
            .pod(PodSpec::new("client").namespace("shop"))
            .pod(PodSpec::new("guest").namespace("town"))
            .outside();
        for number in 1..=self.waypoints.max(1) {
            builder = builder.pod(
                PodSpec::new(numbered(number))
                    .node(number % 2)
                    .namespace("shop")
                    .service_account("waypoint")
                    .label(GATEWAY_NAME, "waypoint")
                    .not_enrolled(),
            );
        }
        for pod in self.pods.iter().cloned() {
            builder = builder.pod(pod);
        }
        for service in self.services.iter().cloned() {
            builder = builder.service(service);
        }
        let lab = builder.build()?;
        lab.change(|mesh| {
            mesh.manifest("gateway", gateway(self.traffic));
            if self.logs {
                mesh.mesh_config("accessLogFile: /dev/stdout");
            }
            for lines in &self.config {
                mesh.mesh_config(lines);
            }
            for (name, yaml) in &self.manifests {
                mesh.manifest(name, yaml);
            }
        })?;
        let echoes = self
            .echoes
            .iter()
            .map(|name| Ok((name.clone(), Echo::start(&lab.pod(name), &[TARGET])?)))
            .collect::<Result<_>>()?;
        let ztunnels = [
            lab.spawn_ztunnel(0, &self.ztunnel)?,
            lab.spawn_ztunnel(1, &self.ztunnel)?,
        ];
        let waypoints = (1..=self.waypoints)
            .map(|number| lab.spawn_waypoint(&numbered(number), &self.waypoint))
            .collect::<Result<Vec<_>>>()?;
        for proxy in ztunnels.iter().chain(&waypoints) {
            proxy.wait_ready()?;
        }
        let ground = Ground {
            ztunnels,
            waypoints,
            echoes,
            lab,
        };
        ground.wait_synced()?;
        Ok(Some(ground))
    }
}

impl Ground {
    /// Begins a ground with the backends, clients and services of the module's picture.
    pub fn builder(name: impl Into<String>) -> Builder {
        let web = |name: &str, backends: &[&str]| {
            let spec = service(name)
                .named_port("http-web", HTTP, TARGET)
                .named_port("any", ANY, TARGET)
                .named_port("http2-web", H2, TARGET)
                .named_port("grpc-echo", GRPC, TARGET)
                .named_port("tcp-web", TCP, TARGET);
            backends.iter().fold(spec, |spec, pod| spec.backend(*pod))
        };
        Self::bare(name)
            .echo(backend("v1a", 0, "v1"))
            .echo(backend("v1b", 1, "v1"))
            .echo(backend("v2a", 0, "v2"))
            .echo(backend("v2b", 1, "v2"))
            .service(web("web", &["v1a", "v1b", "v2a", "v2b"]))
            .service(web("web-v1", &["v1a", "v1b"]))
            .service(web("web-v2", &["v2a", "v2b"]))
    }

    /// Begins a ground with clients and a waypoint, without backends and services.
    pub fn bare(name: impl Into<String>) -> Builder {
        Builder {
            name: name.into(),
            pods: Vec::new(),
            services: Vec::new(),
            echoes: Vec::new(),
            waypoints: 1,
            traffic: "service",
            config: Vec::new(),
            manifests: Vec::new(),
            waypoint: Start::default(),
            ztunnel: Start::default(),
            logs: true,
        }
    }

    /// A pod.
    pub fn pod(&self, name: &str) -> Arc<Pod> {
        self.lab.pod(name)
    }

    /// The server in a pod.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[expect(clippy::panic, reason = "a wrong name is a mistake in the test itself")]
    pub fn echo(&self, pod: &str) -> &Echo {
        let echo = self.echoes.get(pod);
        echo.unwrap_or_else(|| panic!("no server in {pod}"))
    }

    /// The requests that have reached all servers whose pod's name begins with `prefix`.
    pub fn requests(&self, prefix: &str) -> u64 {
        let of = self
            .echoes
            .iter()
            .filter(|(pod, _)| pod.starts_with(prefix));
        of.map(|(_, echo)| echo.requests()).sum()
    }

    /// Makes all servers forget what they saw, and heals them.
    pub fn calm(&self) {
        for echo in self.echoes.values() {
            echo.heal();
            echo.forget();
        }
    }

    /// The first waypoint.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[expect(
        clippy::panic,
        reason = "a ground without a waypoint was asked for by the test itself"
    )]
    pub fn waypoint(&self) -> &Waypoint {
        let first = self.waypoints.first();
        first.unwrap_or_else(|| panic!("no waypoint was started"))
    }

    /// The IPv4 address of a service (`name` in `shop`, or `namespace/name`).
    ///
    /// # Errors
    ///
    /// When there is no such service.
    pub fn vip(&self, service: &str) -> Result<Ipv4Addr> {
        let (namespace, name) = service.split_once('/').unwrap_or(("shop", service));
        let vips = self.lab.mesh().vip(namespace, name);
        let vips = vips.with_context(|| format!("no service {namespace}/{name}"))?;
        Ok(vips.ip4)
    }

    /// A GET of `http://web.shop.svc.cluster.local/PATH` from `client`; see [`Curl`] for what else it can be.
    pub fn get(&self, path: &str) -> Curl<'_> {
        Curl::new(self, path)
    }

    /// Puts a file of manifests in and waits until every proxy has what comes of it.
    ///
    /// # Errors
    ///
    /// When the controller finds something wrong in it, or it takes too long.
    pub fn apply(&self, name: &str, yaml: &str) -> Result<()> {
        plane::write(&self.lab, name, yaml)?;
        self.wait_synced()?;
        let findings = plane::findings(&*self.lab.controller()?, &[&format!("{name}.yaml:")])?;
        ensure!(findings.is_empty(), "{findings:#?}");
        Ok(())
    }

    /// The same, whatever the controller finds wrong.
    ///
    /// # Errors
    ///
    /// When it takes too long.
    pub fn try_apply(&self, name: &str, yaml: &str) -> Result<()> {
        plane::write(&self.lab, name, yaml)?;
        self.wait_synced()
    }

    /// Takes files of manifests out and waits until every proxy knows.
    ///
    /// # Errors
    ///
    /// When it takes too long.
    pub fn withdraw(&self, names: &[&str]) -> Result<()> {
        self.lab
            .change(|mesh| names.iter().for_each(|name| mesh.remove_manifest(name)))?;
        self.wait_synced()
    }

    /// Waits until every proxy that runs has acknowledged all that was published.
    ///
    /// # Errors
    ///
    /// When that takes too long.
    pub fn wait_synced(&self) -> Result<()> {
        let proxies = self.ztunnels.iter().chain(&self.waypoints);
        let running = proxies.filter(|proxy| proxy.is_running()).count();
        self.lab.wait_synced(running, SYNC)
    }

    /// Waits for the line of the waypoints' access logs that contains `text`, and takes it apart.
    ///
    /// # Errors
    ///
    /// When none comes, there is more than one, or it is not as Istio's text format.
    pub fn access(&self, text: &str) -> Result<Access> {
        let lines = self.access_lines(text, 1)?;
        ensure!(lines.len() == 1, "{text:?} is in {lines:#?}");
        let line = lines.into_iter().next();
        line.context("counted above")
    }

    /// Waits for `count` lines or more of the access logs that contain `text`.
    ///
    /// # Errors
    ///
    /// When there are fewer after a while, or one is not as it must be.
    pub fn access_lines(&self, text: &str, count: usize) -> Result<Vec<Access>> {
        let what = format!("{count} lines of the access log with {text:?}");
        let lines = eventually(&what, PATIENCE, || {
            let lines: Vec<String> = self
                .waypoints
                .iter()
                .flat_map(|waypoint| waypoint.log_lines(&[text]))
                .filter(|line| line.starts_with('['))
                .collect();
            let tails = || {
                self.waypoints
                    .iter()
                    .map(Waypoint::log_tail)
                    .collect::<Vec<_>>()
            };
            ensure!(
                lines.len() >= count,
                "{lines:#?}; logs end with {:#?}",
                tails()
            );
            Ok(lines)
        })?;
        lines.iter().map(|line| Access::parse(line)).collect()
    }

    /// A moment in the first waypoint's log.
    pub fn mark(&self) -> Mark {
        Mark::now(self.waypoint())
    }

    /// Kills the first waypoint and starts Envoy in its pod, with the same identity, before these services.
    ///
    /// # Errors
    ///
    /// When Envoy has not been fetched or does not start.
    pub fn swap_for_envoy(&self, services: &[EnvoyService]) -> Result<Envoy> {
        if let Some(waypoint) = self.waypoints.first() {
            waypoint.kill()?;
        }
        envoy_waypoint(&self.pod("waypoint"), self.lab.ca(), services)
    }

    /// A port of a service as Envoy is told of it: every path to the given pods.
    ///
    /// # Errors
    ///
    /// When there is no such service.
    pub fn for_envoy(
        &self,
        service: &str,
        port: u16,
        target: u16,
        pods: &[&str],
    ) -> Result<EnvoyService> {
        Ok(EnvoyService {
            name: format!("{service}-{port}"),
            vip: self.vip(service)?,
            port,
            http2: false,
            endpoints: pods
                .iter()
                .map(|pod| SocketAddrV4::new(self.pod(pod).ip4(), target))
                .collect(),
            matches: vec![json!({"prefix": "/"})],
        })
    }
}

fn numbered(number: usize) -> String {
    match number {
        1 => "waypoint".to_owned(),
        number => format!("waypoint-{number}"),
    }
}

fn gateway(traffic: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: waypoint\n  namespace: shop\n  \
         labels: {{istio.io/waypoint-for: {traffic}}}\nspec:\n  gatewayClassName: ambit-waypoint\n  \
         listeners: [{{name: mesh, port: 15008, protocol: HBONE}}]\n"
    )
}
