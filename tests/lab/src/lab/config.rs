//! Where the ztunnels of a lab have their configuration and certificates from.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::Lab;
use crate::controller::{self, Controller};

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
        controller::plug(&self.ca, &folder.join("cacerts"))?;
        let controller = Arc::new(Controller::start(
            &self.control,
            &self.manifests_path(),
            &folder,
            more,
        )?);
        for node in &self.nodes {
            let token = controller.token("istio-system", "ztunnel", Some(node.name()))?;
            fs::write(self.token_path(node.name()), token).context("write the token of a node")?;
        }
        *running = Some(Arc::clone(&controller));
        Ok(controller)
    }

    /// The token of a node's ztunnel.
    pub fn token_path(&self, node: &str) -> PathBuf {
        self.run.folder().join(format!("token-{node}"))
    }
}
