//! `roots.json`: where a rotation stands, with certificates and keys, in one file that is replaced as one.
//!
//! In: a [`Stage`]. Out: the same after a restart, or what is wrong with the file. Never: takes a file that it
//! does not understand for none.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{
    root::{Root, RootError},
    rotation::Stage,
    state::{SECRET, StateDir, StateError},
};

/// The file's name.
pub(crate) const FILE: &str = "roots.json";

/// Two roots with their keys are 4 KiB.
const MAX_BYTES: u64 = 1 << 20;

/// The form of the file.
const VERSION: u32 = 1;

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) stage: Stage,
    /// The longest that a leaf lives that has been handed out since the last rotation began.
    pub(crate) longest_leaf: Duration,
}

/// Why the file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// It could not be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// It is no JSON of ours: cut off, or of another program.
    #[error(
        "roots.json in the state folder is damaged; bring it back from a copy, or remove it and root-cert.pem to begin a new mesh that no proxy of the old one believes"
    )]
    Damaged(#[source] serde_json::Error),
    /// It was written by a later version.
    #[error("roots.json in the state folder has version {found}, expected {VERSION}")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// A root in it cannot be used.
    #[error("roots.json in the state folder is damaged; bring it back from a copy")]
    Root(#[source] RootError),
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    longest_leaf_seconds: u64,
    stage: FileStage,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
enum FileStage {
    Steady {
        signing: Pair,
    },
    Announced {
        signing: Pair,
        next: Pair,
        since_unix_seconds: u64,
    },
    Switched {
        signing: Pair,
        previous: Pair,
        since_unix_seconds: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct Pair {
    certificate: String,
    key: String,
}

impl Kept {
    /// What the folder holds; `None` if it holds nothing yet.
    pub(crate) fn read(state: &StateDir) -> Result<Option<Self>, KeptError> {
        let Some(bytes) = state.read_secret(FILE, MAX_BYTES)? else {
            return Ok(None);
        };
        let file: File = serde_json::from_slice(&bytes).map_err(KeptError::Damaged)?;
        if file.version != VERSION {
            return Err(KeptError::Version {
                found: file.version,
            });
        }
        let root = |pair: &Pair| {
            Root::from_pem(&pair.certificate, &pair.key)
                .map(Arc::new)
                .map_err(KeptError::Root)
        };
        let since = |seconds| {
            UNIX_EPOCH
                .checked_add(Duration::from_secs(seconds))
                .unwrap_or(UNIX_EPOCH)
        };
        let stage = match &file.stage {
            FileStage::Steady { signing } => Stage::Steady {
                signing: root(signing)?,
            },
            FileStage::Announced {
                signing,
                next,
                since_unix_seconds,
            } => Stage::Announced {
                signing: root(signing)?,
                next: root(next)?,
                since: since(*since_unix_seconds),
            },
            FileStage::Switched {
                signing,
                previous,
                since_unix_seconds,
            } => Stage::Switched {
                signing: root(signing)?,
                previous: root(previous)?,
                since: since(*since_unix_seconds),
            },
        };
        Ok(Some(Self {
            stage,
            longest_leaf: Duration::from_secs(file.longest_leaf_seconds),
        }))
    }

    /// Replaces the file.
    pub(crate) fn write(&self, state: &StateDir) -> Result<(), KeptError> {
        let pair = |root: &Root| Pair {
            certificate: root.certificate_pem(),
            key: root.key_pem().to_owned(),
        };
        let seconds = |time: &SystemTime| {
            time.duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs()
        };
        let stage = match &self.stage {
            Stage::Steady { signing } => FileStage::Steady {
                signing: pair(signing),
            },
            Stage::Announced {
                signing,
                next,
                since,
            } => FileStage::Announced {
                signing: pair(signing),
                next: pair(next),
                since_unix_seconds: seconds(since),
            },
            Stage::Switched {
                signing,
                previous,
                since,
            } => FileStage::Switched {
                signing: pair(signing),
                previous: pair(previous),
                since_unix_seconds: seconds(since),
            },
        };
        let file = File {
            version: VERSION,
            longest_leaf_seconds: self.longest_leaf.as_secs(),
            stage,
        };
        let bytes = serde_json::to_vec_pretty(&file).map_err(KeptError::Damaged)?;
        state.write(FILE, SECRET, &bytes)?;
        Ok(())
    }
}
