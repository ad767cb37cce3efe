//! The hooks of the cgroup and the maps that they read.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use aya::{
    EbpfLoader,
    maps::{
        HashMap, Map, MapData, MapError,
        lpm_trie::{Key, LpmTrie},
    },
    programs::{CgroupAttachMode, CgroupSockAddr, ProgramError, links::FdLink},
};
use ebpf_abi::{
    PodConfig,
    hooks::RangeKey,
    names::{DIRECT, EXEMPT, HOOK_MAPS, HOOKS, NETNS},
};

use crate::{
    Error, objects, pins,
    plan::{Direct, Plan},
};

/// What the object is called in errors.
const OBJECT: &str = "hooks";

/// Attached hooks, and what they know.
#[derive(Debug)]
pub(crate) struct Hooks {
    netns: HashMap<MapData, u64, PodConfig>,
    exempt: Exempt,
    direct: LpmTrie<MapData, RangeKey, u32>,
}

/// The cgroups of proxies, of one generation.
#[derive(Debug)]
pub(crate) struct Exempt(HashMap<MapData, u64, u32>);

impl Hooks {
    /// Opens the hooks that are pinned in `folder`; makes and attaches those that are not there.
    pub(crate) fn open(folder: &Path, cgroup: &File) -> Result<Self, Error> {
        let missing: Vec<_> = HOOKS
            .into_iter()
            .filter(|name| !folder.join(name).exists())
            .collect();
        if !missing.is_empty() {
            pins::create(folder)?;
            attach(folder, cgroup, &missing)?;
        }
        let netns = pinned(folder, NETNS)?;
        let direct = pinned(folder, DIRECT)?;
        Ok(Self {
            netns: HashMap::try_from(Map::HashMap(netns)).map_err(map("cannot use", NETNS))?,
            exempt: Exempt::open(folder)?,
            direct: LpmTrie::try_from(Map::LpmTrie(direct)).map_err(map("cannot use", DIRECT))?,
        })
    }

    /// Lets the hooks see a pod, or a pod that has changed: ranges first, so that nothing excluded is captured, and
    /// the pod last.
    pub(crate) fn enrol(&mut self, plan: &Plan) -> Result<(), Error> {
        for Direct { bits, key, value } in &plan.direct {
            self.direct
                .insert(&Key::new(*bits, *key), value, 0)
                .map_err(map("cannot write to", DIRECT))?;
        }
        self.netns
            .insert(plan.cookie, plan.hooks, 0)
            .map_err(map("cannot write to", NETNS))?;
        self.forget_ranges(plan.cookie, &plan.direct)
    }

    /// Makes the hooks blind to a pod. Twice is once.
    pub(crate) fn remove(&mut self, cookie: u64) -> Result<(), Error> {
        let removed = match self.netns.remove(&cookie) {
            Err(error) if is_missing(&error) => Ok(()),
            removed => removed.map_err(map("cannot remove from", NETNS)),
        };
        removed.and(self.forget_ranges(cookie, &[]))
    }

    fn forget_ranges(&mut self, cookie: u64, kept: &[Direct]) -> Result<(), Error> {
        let of_pod = |key: &Key<RangeKey>| {
            let it = key.data();
            it.cookie == RangeKey::new(cookie, it.address).cookie
        };
        let is_kept = |key: &Key<RangeKey>| {
            kept.iter()
                .any(|it| it.bits == key.prefix_len() && it.key == key.data())
        };
        let stale: Vec<_> = self
            .direct
            .keys()
            .flatten()
            .filter(|key| of_pod(key) && !is_kept(key))
            .collect();
        for key in stale {
            self.direct
                .remove(&key)
                .map_err(map("cannot remove from", DIRECT))?;
        }
        Ok(())
    }

    /// The pods that the hooks see.
    pub(crate) fn pods(&self) -> Vec<u64> {
        self.netns.keys().flatten().collect()
    }

    /// The proxies.
    pub(crate) fn exempt(&mut self) -> &mut Exempt {
        &mut self.exempt
    }
}

impl Exempt {
    /// Opens those of a generation, whichever build made it: this map never changes its shape.
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
        match self.0.remove(&cgroup) {
            Err(error) if is_missing(&error) => Ok(()),
            removed => removed.map_err(map("cannot remove from", EXEMPT)),
        }
    }
}

fn attach(folder: &Path, cgroup: &File, missing: &[&'static str]) -> Result<(), Error> {
    let paths = HOOK_MAPS.map(|name| (name, folder.join(name)));
    let mut loader = EbpfLoader::new();
    // What the kernel is made of is read by nobody here, and takes the longest.
    loader.btf(None);
    for (name, path) in &paths {
        loader.map_pin_path(name, path.as_path());
    }
    let mut object = loader
        .load(objects::HOOKS)
        .map_err(|source| Error::Object {
            object: OBJECT,
            source,
        })?;
    for name in missing {
        let program: &mut CgroupSockAddr = object
            .program_mut(name)
            .ok_or(Error::Missing {
                object: OBJECT,
                name,
            })?
            .try_into()
            .map_err(program("cannot use", name))?;
        program.load().map_err(self::program("cannot load", name))?;
        // Links of a cgroup are always several; the kernel refuses a flag that says so.
        let link = program
            .attach(cgroup, CgroupAttachMode::Single)
            .and_then(|id| program.take_link(id))
            .map_err(self::program("cannot attach", name))?;
        let path = folder.join(name);
        let link =
            FdLink::try_from(link).map_err(|error| Error::pin("cannot make", &path, &error))?;
        link.pin(&path)
            .map_err(|error| Error::pin("cannot make", &path, &error))?;
    }
    Ok(())
}

fn pinned(folder: &Path, name: &'static str) -> Result<MapData, Error> {
    let path: PathBuf = folder.join(name);
    MapData::from_pin(&path).map_err(|error| Error::pin("cannot open", path, &error))
}

fn map(step: &'static str, name: &'static str) -> impl Fn(MapError) -> Error {
    move |source| Error::Map {
        step,
        map: name,
        source,
    }
}

fn program(step: &'static str, name: &'static str) -> impl Fn(ProgramError) -> Error {
    move |source| Error::Program {
        step,
        program: name,
        source,
    }
}

/// Whether there was nothing under a key.
fn is_missing(error: &MapError) -> bool {
    if let MapError::SyscallError(error) = error {
        return error.io_error.kind() == std::io::ErrorKind::NotFound;
    }
    matches!(error, MapError::KeyNotFound)
}
