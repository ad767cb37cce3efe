//! The pins of one build at one attach point, of whichever build.
//!
//! What is touched here is the same in every build: names of folders, and the keys and sizes of the maps of pods and
//! of proxies. So one build can take single pods out of what another has left.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use aya::maps::{HashMap, Map, MapData};
use ebpf_abi::{
    PodConfig,
    names::{EXEMPT, NETNS, STEER},
};

use crate::{
    Cookie, Error,
    kernel::{map, pinned, removed},
    pins,
};

/// The pods that hooks see, whichever build made them.
pub(crate) type Table = HashMap<MapData, u64, [u8; PodConfig::BYTES]>;

/// Those of a map that was found.
pub(crate) fn table(data: MapData) -> Result<Table, Error> {
    HashMap::try_from(Map::HashMap(data)).map_err(map("cannot use", NETNS))
}

/// One.
#[derive(Clone, Debug)]
pub(crate) struct Generation(PathBuf);

impl Generation {
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// Where its hooks are.
    pub(crate) fn hooks(&self) -> PathBuf {
        self.0.join("hooks")
    }

    /// Where one of its pods is.
    pub(crate) fn pod(&self, cookie: Cookie) -> PathBuf {
        self.0.join("pods").join(cookie.to_string())
    }

    /// Whether what comes to a pod is steered: the link is pinned last.
    pub(crate) fn steers(&self, cookie: Cookie) -> bool {
        self.pod(cookie).join(STEER).exists()
    }

    /// Whether both directions of a pod are captured.
    pub(crate) fn captured(&self, cookie: Cookie) -> bool {
        self.steers(cookie) && self.sees(cookie)
    }

    /// Whether there is anything of a pod.
    pub(crate) fn knows(&self, cookie: Cookie) -> bool {
        self.pod(cookie).exists() || self.sees(cookie)
    }

    fn sees(&self, cookie: Cookie) -> bool {
        // One that was not finished has no maps.
        self.table()
            .is_ok_and(|table| table.get(&cookie.get(), 0).is_ok())
    }

    /// Its pods, captured or half made.
    pub(crate) fn pods(&self) -> Result<BTreeSet<Cookie>, Error> {
        let name = |path: PathBuf| u64::from_str_radix(path.file_name()?.to_str()?, 16).ok();
        let mut cookies: BTreeSet<u64> = pins::list(&self.0.join("pods"))?
            .into_iter()
            .filter_map(name)
            .collect();
        if let Ok(table) = self.table() {
            cookies.extend(table.keys().flatten());
        }
        Ok(cookies.into_iter().map(Cookie::known).collect())
    }

    /// Lets a pod go: what it sends first, as ever.
    pub(crate) fn remove_pod(&self, cookie: Cookie) -> Result<(), Error> {
        let hidden = match self.table() {
            Ok(mut table) => removed(table.remove(&cookie.get()), NETNS),
            // It was not finished, or is of a build before there was a common shape: its hooks go with all of it.
            Err(_) => Ok(()),
        };
        let unsteered = pins::remove(&self.pod(cookie));
        hidden.and(unsteered)
    }

    /// Removes all of it.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        pins::remove(&self.0)
    }

    fn table(&self) -> Result<Table, Error> {
        table(pinned(&self.hooks(), NETNS)?)
    }
}

/// The cgroups of proxies.
#[derive(Debug)]
pub(crate) struct Exempt(HashMap<MapData, u64, u32>);

impl Exempt {
    /// Opens those of a generation.
    pub(crate) fn open(hooks: &Path) -> Result<Self, Error> {
        let data = pinned(hooks, EXEMPT)?;
        Ok(Self(
            HashMap::try_from(Map::HashMap(data)).map_err(map("cannot use", EXEMPT))?,
        ))
    }

    pub(crate) fn list(&self) -> Vec<u64> {
        self.0.keys().flatten().collect()
    }

    pub(crate) fn add(&mut self, cgroup: u64) -> Result<(), Error> {
        self.0
            .insert(cgroup, 1, 0)
            .map_err(map("cannot write to", EXEMPT))
    }

    pub(crate) fn remove(&mut self, cgroup: u64) -> Result<(), Error> {
        removed(self.0.remove(&cgroup), EXEMPT)
    }
}
