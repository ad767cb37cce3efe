//! Pods that call each other in every way in which one may be called, and the policies in force there.
//!
//! ```text
//! node1: client (default), other (other), legacy (no mesh)      node2: server, neighbour (prod), shop (shop)
//! ```
//! Each on node 2 echoes on 8080 and 9090. Service `server` in `prod` leads from 80 to 8080 of `server`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Result, ensure};
use lab::{Capture, Config, Lab, Pod, PodSpec, ServiceSpec, Start, Ztunnel, eventually};
use serde_json::Value;

use super::{Call, Echo, PATIENCE, Seen};

/// The ports on which the applications of node 2 echo.
pub const PORTS: [u16; 2] = [8080, 9090];

/// A lab with ztunnels and applications.
#[derive(Debug)]
pub struct Town {
    /// The application in `server`.
    pub server: Echo,
    /// The application in `neighbour`.
    pub neighbour: Echo,
    /// The application in `shop`.
    pub shop: Echo,
    /// Node 1's.
    pub near: Ztunnel,
    /// Node 2's.
    pub far: Ztunnel,
    /// The pods.
    pub lab: Lab,
}

impl Town {
    /// Builds it; `None` where labs are not possible, which has been said then.
    ///
    /// # Errors
    ///
    /// When something does not start.
    pub fn build(name: &str, near: &Start, far: &Start) -> Result<Option<Self>> {
        Self::captured(Capture::Agent, name, near, far)
    }

    /// The same with its pods captured in this way.
    ///
    /// # Errors
    ///
    /// When something does not start.
    pub fn captured(
        capture: Capture,
        name: &str,
        near: &Start,
        far: &Start,
    ) -> Result<Option<Self>> {
        Self::on(Config::default(), capture, name, near, far)
    }

    /// The same with its configuration from somewhere else.
    ///
    /// # Errors
    ///
    /// When something does not start.
    pub fn on(
        config: Config,
        capture: Capture,
        name: &str,
        near: &Start,
        far: &Start,
    ) -> Result<Option<Self>> {
        if !lab::possible() {
            return Ok(None);
        }
        let on_far = |name: &str, namespace: &str| PodSpec::new(name).node(1).namespace(namespace);
        let lab = Lab::builder(name)
            .pod(PodSpec::new("client"))
            .pod(PodSpec::new("other").namespace("other"))
            .pod(PodSpec::new("legacy").not_enrolled())
            .pod(on_far("server", "prod"))
            .pod(on_far("neighbour", "prod"))
            .pod(on_far("shop", "shop"))
            .service(
                ServiceSpec::new("server")
                    .namespace("prod")
                    .port(80, 8080)
                    .backend("server"),
            )
            .outside()
            .config(config)
            .capture(capture)
            .build()?;
        let echo = |name: &str| Echo::start(&lab.pod(name), &PORTS);
        let (server, neighbour, shop) = (echo("server")?, echo("neighbour")?, echo("shop")?);
        let (near, far) = (lab.spawn_ztunnel(0, near)?, lab.spawn_ztunnel(1, far)?);
        near.wait_ready()?;
        far.wait_ready()?;
        Ok(Some(Self {
            server,
            neighbour,
            shop,
            near,
            far,
            lab,
        }))
    }

    /// A pod.
    pub fn pod(&self, name: &str) -> Arc<Pod> {
        self.lab.pod(name)
    }

    /// IPv4 address and port of a pod.
    pub fn at(&self, name: &str, port: u16) -> SocketAddr {
        SocketAddr::new(self.pod(name).ip4().into(), port)
    }

    /// The service's IPv4 address.
    ///
    /// # Errors
    ///
    /// When the mesh has lost it.
    pub fn vip(&self) -> Result<IpAddr> {
        let vip = self.lab.mesh().vip("prod", "server");
        Ok(vip
            .ok_or_else(|| anyhow::anyhow!("no service server"))?
            .ip4
            .into())
    }

    /// Connects and pings: what the caller saw, and its address.
    ///
    /// # Errors
    ///
    /// When TCP is not accepted, or nothing happens.
    pub fn probe(&self, from: &str, to: SocketAddr) -> Result<(Seen, SocketAddr)> {
        let mut call = Call::open(&self.pod(from), to)?;
        Ok((call.ping()?, call.local()))
    }

    /// Replaces all policies, and waits until node 2 enforces them. A policy that differs from one that was in
    /// force before must have another name: names are what is waited for.
    ///
    /// # Errors
    ///
    /// When they are not in force in time.
    pub fn enforce(&self, policies: &[Value]) -> Result<()> {
        self.enforce_listed(policies, &[])
    }

    /// As [`Town::enforce`]; `server` lists `selected` (as `namespace/name`).
    ///
    /// # Errors
    ///
    /// When they are not in force in time.
    pub fn enforce_listed(&self, policies: &[Value], selected: &[&str]) -> Result<()> {
        let before = in_force(&self.far)?;
        self.lab.change(|mesh| -> Result<()> {
            for name in &before {
                let (namespace, name) = name.split_once('/').unwrap_or(("", name));
                mesh.remove_policy(namespace, name);
            }
            for policy in policies {
                mesh.policy(policy.clone());
            }
            mesh.workload("server")?["authorizationPolicies"] = selected.into();
            Ok(())
        })??;
        let mut expected: Vec<String> = policies.iter().map(named).collect();
        expected.sort();
        eventually("the policies in force", PATIENCE, || {
            let found = in_force(&self.far)?;
            ensure!(
                found == expected,
                "{found:?} are in force instead of {expected:?}; the log ends with\n{}",
                self.far.log_tail()
            );
            Ok(())
        })
    }

    /// Waits until the sum of node 2's series of a metric with a flag is `count`.
    ///
    /// # Errors
    ///
    /// When it is not in time.
    pub fn wait_flag(&self, name: &str, flag: &str, count: usize) -> Result<()> {
        self.wait_flag_of(&self.far, name, flag, count)
    }

    /// The same of one ztunnel. A scrape may be a second old, so it is waited for.
    ///
    /// # Errors
    ///
    /// When it is not in time.
    pub fn wait_flag_of(&self, of: &Ztunnel, name: &str, flag: &str, count: usize) -> Result<()> {
        eventually(&format!("{count} in {name} of {flag}"), PATIENCE, || {
            let found = of.metric(name, &[("response_flags", flag)])?;
            ensure!(format!("{found}") == format!("{count}"), "{found}");
            Ok(())
        })
    }
}

fn named(policy: &Value) -> String {
    let text = |key: &str| policy[key].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", text("namespace"), text("name"))
}

fn in_force(ztunnel: &Ztunnel) -> Result<Vec<String>> {
    let dump = ztunnel.config_dump()?;
    let mut names: Vec<String> = dump["policies"]
        .as_array()
        .into_iter()
        .flatten()
        .map(named)
        .collect();
    names.sort();
    Ok(names)
}
