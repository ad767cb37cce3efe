//! The steering program of one pod and its maps.

use std::{borrow::BorrowMut, net::TcpListener, path::Path};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, SockMap},
    programs::{SkLookup, links::FdLink},
};
use ebpf_abi::{
    Address, SteerConfig,
    names::{LISTENERS, OWN, POD, STEER, STEER_MAPS},
    steer::Listener,
};
use net::Netns;

use crate::{
    Error,
    kernel::{map, pinned, program, removed},
    objects, pins,
    plan::Plan,
};

/// What the object is called in errors.
const OBJECT: &str = "steer";

/// The maps of a pod whose arrivals are steered.
pub(crate) struct Steer {
    pod: Array<MapData, SteerConfig>,
    own: HashMap<MapData, Address, u32>,
    listeners: SockMap<MapData>,
}

impl Steer {
    /// Opens a pod's pins.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        Ok(Self {
            pod: Array::try_from(Map::Array(pinned(folder, POD)?))
                .map_err(map("cannot use", POD))?,
            own: HashMap::try_from(Map::HashMap(pinned(folder, OWN)?))
                .map_err(map("cannot use", OWN))?,
            listeners: SockMap::try_from(Map::SockMap(pinned(folder, LISTENERS)?))
                .map_err(map("cannot use", LISTENERS))?,
        })
    }

    /// Tells the program something else. Whoever serves the pod goes on serving it.
    pub(crate) fn change(&mut self, plan: &Plan) -> Result<(), Error> {
        set_own(&mut self.own, &plan.own)?;
        self.pod
            .set(0, plan.steer, 0)
            .map_err(map("cannot write to", POD))?;
        let stale: Vec<_> = self.own.keys().flatten().collect();
        stale
            .iter()
            .filter(|it| !plan.own.contains(it))
            .map(|it| removed(self.own.remove(it), OWN))
            .fold(Ok(()), Result::and)
    }

    /// Gives the program other listeners. What the predecessor's hold already stays theirs.
    pub(crate) fn serve(&mut self, listeners: &[(Listener, TcpListener)]) -> Result<(), Error> {
        set_listeners(&mut self.listeners, listeners)
    }
}

/// Loads a program for a pod, tells it everything, and attaches it last. Removes its pins if it cannot.
pub(crate) fn attach(
    folder: &Path,
    netns: &Netns,
    plan: &Plan,
    listeners: &[(Listener, TcpListener)],
) -> Result<(), Error> {
    // Half made, by one that was killed.
    pins::remove(folder)?;
    let made = load(plan, listeners).and_then(|object| pin(object, folder, netns));
    if made.is_err() {
        // The failure that is reported is the one that started this.
        drop(pins::remove(folder));
    }
    made
}

fn load(plan: &Plan, listeners: &[(Listener, TcpListener)]) -> Result<Ebpf, Error> {
    let mut object = EbpfLoader::new()
        .btf(None)
        .load(objects::STEER)
        .map_err(|source| Error::Object {
            object: OBJECT,
            source,
        })?;
    let pod = object.map_mut(POD).ok_or(missing(POD))?;
    let mut pod = Array::<_, SteerConfig>::try_from(pod).map_err(map("cannot use", POD))?;
    pod.set(0, plan.steer, 0)
        .map_err(map("cannot write to", POD))?;
    let own = object.map_mut(OWN).ok_or(missing(OWN))?;
    let mut own = HashMap::try_from(own).map_err(map("cannot use", OWN))?;
    set_own(&mut own, &plan.own)?;
    let sockets = object.map_mut(LISTENERS).ok_or(missing(LISTENERS))?;
    let mut sockets = SockMap::try_from(sockets).map_err(map("cannot use", LISTENERS))?;
    set_listeners(&mut sockets, listeners)?;
    Ok(object)
}

fn pin(mut object: Ebpf, folder: &Path, netns: &Netns) -> Result<(), Error> {
    pins::create(folder)?;
    for name in STEER_MAPS {
        let path = folder.join(name);
        object
            .map(name)
            .ok_or(missing(name))?
            .pin(&path)
            .map_err(|error| Error::pin("cannot make", path, error))?;
    }
    let steer: &mut SkLookup = object
        .program_mut(STEER)
        .ok_or(missing(STEER))?
        .try_into()
        .map_err(program("cannot use", STEER))?;
    steer.load().map_err(program("cannot load", STEER))?;
    let link = steer
        .attach(netns)
        .and_then(|id| steer.take_link(id))
        .map_err(program("cannot attach", STEER))?;
    let path = folder.join(STEER);
    FdLink::from(link)
        .pin(&path)
        .map_err(|error| Error::pin("cannot make", path, error))?;
    Ok(())
}

fn set_own<T: BorrowMut<MapData>>(
    map: &mut HashMap<T, Address, u32>,
    own: &[Address],
) -> Result<(), Error> {
    own.iter().try_for_each(|address| {
        map.insert(address, 1, 0)
            .map_err(self::map("cannot write to", OWN))
    })
}

fn set_listeners<T: BorrowMut<MapData>>(
    map: &mut SockMap<T>,
    listeners: &[(Listener, TcpListener)],
) -> Result<(), Error> {
    listeners.iter().try_for_each(|(place, listener)| {
        map.set(*place as u32, listener, 0)
            .map_err(self::map("cannot write to", LISTENERS))
    })
}

fn missing(name: &'static str) -> Error {
    Error::Missing {
        object: OBJECT,
        name,
    }
}
