//! Why a step of capture failed.

use std::{io, net::SocketAddr, path::PathBuf};

use aya::{EbpfError, maps::MapError, programs::ProgramError};

/// A step that failed, and with what.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no tree of cgroups (version 2).
    #[error("no cgroup2 is mounted; CGROUP_PATH names one that is not at its usual place")]
    NoCgroup,
    /// What is mounted is a container's part of the tree.
    #[error(
        "the cgroup2 at {0} is only a part of the tree, which pods are not in: mount the host's and name it in CGROUP_PATH"
    )]
    PartOfCgroup(PathBuf),
    /// The attach point cannot be used.
    #[error("cannot open the cgroup {path}: {source}")]
    Cgroup {
        /// What was to be opened.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Mounts cannot be read.
    #[error("cannot read the mounts: {0}")]
    Mounts(io::Error),
    /// No bpffs, and one that is mounted here would end with this container, and capture with it.
    #[error("PIN_PATH {0} is not on a bpffs: mount the host's there")]
    NoBpffs(PathBuf),
    /// No bpffs, and none can be mounted.
    #[error("cannot mount a bpffs at {path} for PIN_PATH: {source}")]
    Bpffs {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A pin cannot be made, opened or removed.
    #[error("{step} the pin {path}: {cause}", cause = root(&**cause))]
    Pin {
        /// What was tried.
        step: &'static str,
        /// The pin.
        path: PathBuf,
        /// Why not.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Others change the pins, and do not end.
    #[error("another proxy holds {0}")]
    Busy(PathBuf),
    /// A successor has opened the same pins, and lives: this process changes nothing any more.
    #[error("another proxy has taken over what is pinned in {0}")]
    Superseded(PathBuf),
    /// Hooks of ours see the pod that are pinned elsewhere.
    #[error(
        "the pod is captured by hooks (link {link}, program {program}) that are not pinned in {pins}: name the PIN_PATH that they are pinned in, or remove them"
    )]
    Orphan {
        /// The link, by its number.
        link: u32,
        /// Its program, by its number.
        program: u32,
        /// Where nobody has pinned it.
        pins: PathBuf,
    },
    /// A hook cannot be attached.
    #[error("cannot attach the program {program}: {source}")]
    Attach {
        /// Its name.
        program: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// An object is refused.
    #[error("cannot load the object {object}: {source}")]
    Object {
        /// Its name.
        object: &'static str,
        /// Why not.
        #[source]
        source: EbpfError,
    },
    /// A program is missing from its object, or refused.
    #[error("{step} the program {program}: {source}")]
    Program {
        /// What was tried.
        step: &'static str,
        /// Its name.
        program: &'static str,
        /// Why not.
        #[source]
        source: ProgramError,
    },
    /// An object lacks what it must have: it is of another build.
    #[error("the object {object} has no {name}")]
    Missing {
        /// The object.
        object: &'static str,
        /// A map or a program.
        name: &'static str,
    },
    /// A map refuses.
    #[error("{step} the map {map}: {source}")]
    Map {
        /// What was tried.
        step: &'static str,
        /// Its name.
        map: &'static str,
        /// Why not.
        #[source]
        source: MapError,
    },
    /// The pod's namespace cannot be entered or looked at.
    #[error("cannot {step} in the pod's network namespace: {source}")]
    Netns {
        /// What was tried.
        step: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A listener in the pod.
    #[error("cannot listen on {address} in the pod: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The pod's routing.
    #[error("cannot {step} of the pod: {source}")]
    Route {
        /// What was tried.
        step: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A setting of the pod's namespace.
    #[error("cannot {step} {name} of the pod: {source}")]
    Setting {
        /// What was tried.
        step: &'static str,
        /// Its name.
        name: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The pod's routing table is somebody else's.
    #[error(
        "the pod has {routes} routes of others in table {table}, which is for captured sockets"
    )]
    Table {
        /// The table.
        table: u32,
        /// How many.
        routes: usize,
    },
    /// A pod asks for more than its programs hold.
    #[error("{found} {what}, expected at most {max}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// A pod's range of ports is none.
    #[error("ports {first} to {last}, expected the lower one first")]
    PortRange {
        /// The first.
        first: u16,
        /// The last.
        last: u16,
    },
    /// The proxy's own mark would be captured.
    #[error("mark {0:#x} is both PACKET_MARK and the mark of captured sockets")]
    Mark(u32),
}

impl Error {
    pub(crate) fn pin(
        step: &'static str,
        path: impl Into<PathBuf>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Pin {
            step,
            path: path.into(),
            cause: cause.into(),
        }
    }
}

/// What went wrong stands at the end of the chain.
fn root<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}
