//! Where this ztunnel's configuration comes from, and how that is going.

use std::time::Instant;

use control::{
    file::FileStatus,
    publish::View,
    xds::{XdsState, XdsStatus},
};

/// The one source of a process.
#[derive(Clone, Debug)]
pub enum ConfigSource {
    /// The local file.
    File(FileStatus),
    /// A control plane.
    Xds(XdsStatus),
}

impl ConfigSource {
    /// Waits until the first configuration is in force.
    pub async fn ready(&self, mut view: View) {
        match self {
            Self::File(_) => {
                // It fails only when the process ends.
                while view.version() == 0 && view.changed().await.is_ok() {}
            }
            Self::Xds(status) => status.ready().await,
        }
    }

    /// What became of the file, if there is one.
    #[must_use]
    pub fn file_state(&self) -> Option<impl serde::Serialize + use<>> {
        match self {
            Self::File(status) => Some(status.state()),
            Self::Xds(_) => None,
        }
    }

    /// How the conversation with the control plane goes, if there is one.
    #[must_use]
    pub fn xds_state(&self, now: Instant) -> Option<XdsState> {
        match self {
            Self::File(_) => None,
            Self::Xds(status) => Some(status.state(now)),
        }
    }
}
