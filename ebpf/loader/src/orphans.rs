//! Pods that hooks of ours see which are pinned in another place, where nobody takes them over.
//!
//! Such hooks go on marking what their pods send and know no exemption of this process: a second set beside them would cut
//! those pods off without a word. Proxies with other pods are no business of ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    thread,
    time::Duration,
};

use aya::{
    maps::{MapData, MapInfo},
    programs::{
        ProgramInfo,
        links::{FdLink, LinkType, PinnedLink},
        loaded_links, loaded_programs,
    },
};
use ebpf_abi::names::{CONNECT_HOOKS, NETNS};

use crate::{
    Cookie, Error,
    generation::{self, Table},
    pins,
};

/// The kernel ends a link some time after its pin is gone.
const TRIES: u32 = 40;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// What hooks there are beside those of our pins.
#[derive(Debug, Default)]
pub(crate) struct Orphans(BTreeMap<Cookie, Hook>);

/// A hook, by the numbers of its link and its program.
#[derive(Clone, Copy, Debug)]
struct Hook {
    link: u32,
    program: u32,
}

impl Orphans {
    /// Looks for them. What the kernel will not tell counts for nothing.
    pub(crate) fn find(root: &Path) -> Result<Self, Error> {
        let programs: BTreeMap<u32, Table> = loaded_programs()
            .flatten()
            .filter(|program| program.name_as_str() == Some(CONNECT_HOOKS[0]))
            .filter_map(|program| Some((program.id(), pods(&program)?)))
            .collect();
        let mut found = BTreeMap::new();
        if programs.is_empty() {
            return Ok(Self(found));
        }
        let pinned: BTreeSet<u32> = pins::generations(root)?
            .iter()
            .filter_map(|it| link(&it.hooks().join(CONNECT_HOOKS[0])))
            .collect();
        for link in loaded_links().flatten() {
            let of_cgroup = matches!(link.link_type(), Ok(LinkType::Cgroup));
            let program = link.program_id();
            let Some(table) = programs.get(&program) else {
                continue;
            };
            if of_cgroup && !pinned.contains(&link.id()) {
                let hook = Hook {
                    link: link.id(),
                    program,
                };
                let pods = table.keys().flatten().map(Cookie::known);
                found.extend(pods.map(|cookie| (cookie, hook)));
            }
        }
        Ok(Self(found))
    }

    /// Sees to it that a pod is not among them, or no longer.
    pub(crate) fn refuse(&mut self, root: &Path, cookie: Cookie) -> Result<(), Error> {
        for _ in 0..TRIES {
            if !self.0.contains_key(&cookie) {
                return Ok(());
            }
            thread::sleep(PAUSE);
            *self = Self::find(root)?;
        }
        self.0.get(&cookie).map_or(Ok(()), |hook| {
            Err(Error::Orphan {
                link: hook.link,
                program: hook.program,
                pins: root.to_owned(),
            })
        })
    }
}

fn link(pin: &Path) -> Option<u32> {
    let link: FdLink = PinnedLink::from_pin(pin).ok()?.into();
    Some(link.info().ok()?.id())
}

/// The pods that a program sees, if it is one of ours.
fn pods(program: &ProgramInfo) -> Option<Table> {
    let maps = program.map_ids().ok().flatten()?;
    let id = maps
        .into_iter()
        .find(|id| MapInfo::from_id(*id).is_ok_and(|map| map.name_as_str() == Some(NETNS)))?;
    generation::table(MapData::from_id(id).ok()?).ok()
}
