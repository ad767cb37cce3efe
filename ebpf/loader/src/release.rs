//! The way out: what is pinned is removed without being opened, by a proxy that captures in another way, or once there is
//! to be no proxy at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use net::Netns;

use crate::{Cookie, Error, capture::release, claims, mounts, pins, routes};

/// What [`uncapture`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uncaptured {
    /// Pods that were captured.
    pub pods: usize,
    /// Those among them whose routing was taken back. The others have no process any more that leads to them; their
    /// routing leads nothing anywhere.
    pub cleaned: usize,
}

/// Removes what is pinned in `pins`, of every build, except for the pods that are `kept`: for a proxy that captures in another
/// way after one that captured in this. The routing of pods stays in their namespaces; it leads nothing anywhere.
///
/// Returns how many pods are left. Until there are none, to be called again.
///
/// # Errors
/// The first removal that failed; the others are tried all the same.
pub fn forget(pins: &Path, kept: &[Cookie]) -> Result<usize, Error> {
    if !mounts::is_bpffs(pins) {
        return Ok(0);
    }
    let kept: BTreeSet<_> = kept.iter().copied().collect();
    let _turn = claims::turn(pins)?;
    let mut left = BTreeSet::new();
    let mut first = Ok(());
    for generation in pins::generations(pins)? {
        let kept: BTreeSet<_> = generation.pods()?.intersection(&kept).copied().collect();
        first = first.and(release(&generation, &kept));
        left.extend(kept);
    }
    first?;
    if left.is_empty() {
        pins::remove_all(pins)?;
        pins::remove_root(pins)?;
    }
    Ok(left.len())
}

/// Lets every pod go that is captured by what is pinned in `pins`, and takes their routing back where a process leads to
/// their namespace. Pods are then reached, and reach others, as if there were no mesh.
///
/// # Errors
/// [`Error::Busy`] while a proxy lives that these pins are of; else the first step that failed.
pub fn uncapture(pins: &Path) -> Result<Uncaptured, Error> {
    if !mounts::is_bpffs(pins) {
        return Ok(Uncaptured {
            pods: 0,
            cleaned: 0,
        });
    }
    let _turn = claims::turn(pins)?;
    if claims::any_living(pins)? {
        return Err(Error::Busy(pins.to_owned()));
    }
    let mut pods = BTreeMap::new();
    for generation in pins::generations(pins)? {
        for cookie in generation.pods()? {
            pods.insert(cookie, pins::kept(pins, cookie)?);
        }
    }
    // Nothing is marked any more before nothing leads marks anywhere.
    pins::remove_all(pins)?;
    let count = pods.len();
    let mut cleaned = 0;
    for netns in namespaces(pods.is_empty()) {
        let Some(kept) = Cookie::of(&netns).ok().and_then(|it| pods.remove(&it)) else {
            continue;
        };
        routes::remove(&netns, &kept)?;
        cleaned += 1;
    }
    pins::remove_root(pins)?;
    Ok(Uncaptured {
        pods: count,
        cleaned,
    })
}

/// The network namespaces of all processes that are seen here, each once.
fn namespaces(none: bool) -> Vec<Netns> {
    if none {
        return Vec::new();
    }
    let mut found = BTreeMap::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        // What is no process, or has ended, has none.
        if let Ok(netns) = Netns::open(process.path().join("ns/net")) {
            found.entry(netns.inode()).or_insert(netns);
        }
    }
    found.into_values().collect()
}
