//! Where the ztunnels of a lab have their configuration and certificates from.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Lab;
use crate::controller::{self, Controller};
use crate::eventually::eventually;

/// Where configuration and certificates come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Config {
    /// A controller reads manifests, and ztunnels ask it by xDS and as a CA.
    #[default]
    Manifests,
    /// Each ztunnel reads the local file and signs with the lab's CA: for what manifests cannot say.
    File,
}

impl Lab {
    /// Where configuration comes from.
    pub fn config(&self) -> Config {
        self.config
    }

    /// The folder of manifests.
    pub fn manifests_path(&self) -> PathBuf {
        self.run.folder().join("manifests")
    }

    /// The controller; the first call starts it.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn controller(&self) -> Result<Arc<Controller>> {
        self.start_controller(&[])
    }

    /// The controller; the first call starts it, with these arguments more.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start_controller(&self, more: &[OsString]) -> Result<Arc<Controller>> {
        let mut running = self.controller.lock();
        if let Some(controller) = &*running {
            return Ok(Arc::clone(controller));
        }
        let folder = self.run.folder().join("controller");
        let cacerts = self.cacerts_path();
        if !self.own_root {
            controller::plug(&self.ca, &cacerts)?;
        }
        let controller = Arc::new(Controller::start(
            &self.control,
            &self.manifests_path(),
            &folder,
            (!self.own_root).then_some(cacerts.as_path()),
            more,
        )?);
        for node in &self.nodes {
            let token = controller.token("istio-system", "ztunnel", Some(node.name()))?;
            fs::write(self.token_path(node.name()), token).context("write the token of a node")?;
        }
        *running = Some(Arc::clone(&controller));
        Ok(controller)
    }

    /// Waits until the controller has read what was last published, and so many proxies have acknowledged all that came
    /// of it. Only with [`Config::Manifests`].
    ///
    /// # Errors
    ///
    /// When that takes longer than `deadline`.
    pub fn wait_synced(&self, proxies: usize, deadline: Duration) -> Result<()> {
        let controller = self.controller()?;
        let version = self.version.load(Ordering::Acquire).to_string();
        eventually("the proxies synced", deadline, || {
            let mesh = controller.page("/debug/mesh")?;
            ensure!(
                mesh["annotations"]["lab.istio.io/version"] == version,
                "{mesh:#}"
            );
            let page = controller.page("/debug/syncz")?;
            let synced = page.as_array().into_iter().flatten().filter(|proxy| {
                let types = proxy["resources"].as_object();
                let types = || types.into_iter().flatten().map(|(_, it)| &it["status"]);
                let has = |status: &str| types().filter(|it| *it == status).count();
                // What a proxy never asked for is not sent to it.
                let least = if proxy["proxy_type"] == "waypoint" {
                    5
                } else {
                    2
                };
                let synced = has("SYNCED");
                synced >= least && synced + has("NOT SENT") == types().count()
            });
            ensure!(synced.count() >= proxies, "{page:#}");
            Ok(())
        })
    }

    /// The folder of the authority that is plugged into the controller.
    pub fn cacerts_path(&self) -> PathBuf {
        self.run.folder().join("controller").join("cacerts")
    }

    /// The token of a node's ztunnel.
    pub fn token_path(&self, node: &str) -> PathBuf {
        self.run.folder().join(format!("token-{node}"))
    }
}
