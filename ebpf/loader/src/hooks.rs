//! The hooks of the cgroup and the maps that they read.

use std::{
    collections::HashMap as Memory,
    fs::File,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{
        HashMap, Map, MapData,
        lpm_trie::{Key, LpmTrie},
    },
    programs::{
        CgroupAttachMode, CgroupSockAddr, CgroupSockopt, Program, ProgramError, links::FdLink,
    },
};
use ebpf_abi::{
    PodConfig,
    hooks::RangeKey,
    names::{CONNECT_HOOKS, DIRECT, DNS_HOOKS, HOOK_MAPS, NETNS, SETSOCKOPT},
};

use crate::{
    Cookie, Error,
    generation::Exempt,
    kernel::{map, pinned, program, removed},
    objects, pins,
    plan::{Direct, Plan},
    syscall,
};

/// What the object is called in errors.
const OBJECT: &str = "hooks";

/// Attached hooks, and what they know.
#[derive(Debug)]
pub(crate) struct Hooks {
    folder: PathBuf,
    cgroup: File,
    netns: HashMap<MapData, u64, PodConfig>,
    exempt: Exempt,
    direct: LpmTrie<MapData, RangeKey, u32>,
    /// What is written in `direct`, by pods: the kernel can list only all of it.
    ranges: Memory<[u32; 2], Vec<(u32, RangeKey)>>,
}

impl Hooks {
    /// Opens the hooks that are pinned in `folder`; makes and attaches those that are not there.
    pub(crate) fn open(folder: PathBuf, cgroup: File) -> Result<Self, Error> {
        // The one that keeps connections on their way comes first.
        let [connect4, connect6] = CONNECT_HOOKS;
        attach(&folder, &cgroup, &[SETSOCKOPT, connect4, connect6])?;
        let netns = pinned(&folder, NETNS)?;
        let direct = pinned(&folder, DIRECT)?;
        let mut hooks = Self {
            netns: HashMap::try_from(Map::HashMap(netns)).map_err(map("cannot use", NETNS))?,
            exempt: Exempt::open(&folder)?,
            direct: LpmTrie::try_from(Map::LpmTrie(direct)).map_err(map("cannot use", DIRECT))?,
            ranges: Memory::new(),
            folder,
            cgroup,
        };
        for key in hooks.direct.keys().flatten() {
            let range = key.data();
            let of_pod = hooks.ranges.entry(range.cookie).or_default();
            of_pod.push((key.prefix_len(), range));
        }
        Ok(hooks)
    }

    /// Lets the hooks see a pod, or a pod that has changed: ranges first, so that nothing excluded is captured, and
    /// the pod last.
    pub(crate) fn enrol(&mut self, plan: &Plan) -> Result<(), Error> {
        if plan.hooks.flags & PodConfig::DNS != 0 {
            attach(&self.folder, &self.cgroup, &DNS_HOOKS)?;
        }
        let written = self.ranges.entry(words(plan.cookie)).or_default();
        for Direct { bits, key, value } in &plan.direct {
            // Before it is there: what is written is known in any case.
            if !written.contains(&(*bits, *key)) {
                written.push((*bits, *key));
            }
            self.direct
                .insert(&Key::new(*bits, *key), value, 0)
                .map_err(map("cannot write to", DIRECT))?;
        }
        self.netns
            .insert(plan.cookie.get(), plan.hooks, 0)
            .map_err(map("cannot write to", NETNS))?;
        self.forget_ranges(plan.cookie, &plan.direct)
    }

    /// Makes the hooks blind to a pod. Twice is once.
    pub(crate) fn remove(&mut self, cookie: Cookie) -> Result<(), Error> {
        let hidden = removed(self.netns.remove(&cookie.get()), NETNS);
        hidden.and(self.forget_ranges(cookie, &[]))
    }

    fn forget_ranges(&mut self, cookie: Cookie, kept: &[Direct]) -> Result<(), Error> {
        let Some(written) = self.ranges.get_mut(&words(cookie)) else {
            return Ok(());
        };
        let is_kept = |bits, key| kept.iter().any(|it| it.bits == bits && it.key == key);
        let mut first = Ok(());
        written.retain(|(bits, key)| {
            if is_kept(*bits, *key) {
                return true;
            }
            let gone = removed(self.direct.remove(&Key::new(*bits, *key)), DIRECT);
            let failed = gone.is_err();
            if first.is_ok() {
                first = gone;
            }
            failed
        });
        if written.is_empty() {
            self.ranges.remove(&words(cookie));
        }
        first
    }

    /// The proxies.
    pub(crate) fn exempt(&mut self) -> &mut Exempt {
        &mut self.exempt
    }
}

/// A pod as the keys of the trie begin with it.
fn words(cookie: Cookie) -> [u32; 2] {
    RangeKey::new(cookie.get(), ebpf_abi::Address::UNSPECIFIED).cookie
}

/// Attaches those of `wanted` that are not pinned.
fn attach(folder: &Path, cgroup: &File, wanted: &[&'static str]) -> Result<(), Error> {
    let missing = |name: &&&'static str| !folder.join(name).exists();
    let missing: Vec<_> = wanted.iter().filter(missing).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    pins::create(folder)?;
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
        let path = folder.join(name);
        if name == SETSOCKOPT {
            link_setsockopt(&mut object, cgroup, name, &path)?;
        } else {
            link(&mut object, cgroup, name, &path)?;
        }
    }
    Ok(())
}

/// Loads a hook that sees addresses, attaches and pins it. Links of a cgroup are always several; the kernel refuses a
/// flag that says so.
fn link(object: &mut Ebpf, cgroup: &File, name: &'static str, path: &Path) -> Result<(), Error> {
    let hook: &mut CgroupSockAddr = find(object, name)?;
    hook.load().map_err(program("cannot load", name))?;
    let link = hook
        .attach(cgroup, CgroupAttachMode::Single)
        .and_then(|id| hook.take_link(id))
        .map_err(program("cannot attach", name))?;
    let link = FdLink::try_from(link).map_err(|error| Error::pin("cannot make", path, error))?;
    link.pin(path)
        .map_err(|error| Error::pin("cannot make", path, error))?;
    Ok(())
}

/// The same for the one that sees options.
fn link_setsockopt(
    object: &mut Ebpf,
    cgroup: &File,
    name: &'static str,
    path: &Path,
) -> Result<(), Error> {
    let hook: &mut CgroupSockopt = find(object, name)?;
    hook.load().map_err(program("cannot load", name))?;
    let loaded = hook.fd().map_err(program("cannot use", name))?;
    let link = syscall::link_setsockopt(loaded.as_fd(), cgroup.as_fd()).map_err(|source| {
        Error::Attach {
            program: name,
            source,
        }
    })?;
    syscall::pin(link.as_fd(), path).map_err(|error| Error::pin("cannot make", path, error))
}

fn find<'a, T>(object: &'a mut Ebpf, name: &'static str) -> Result<&'a mut T, Error>
where
    &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let found = object.program_mut(name).ok_or(Error::Missing {
        object: OBJECT,
        name,
    })?;
    found.try_into().map_err(program("cannot use", name))
}
