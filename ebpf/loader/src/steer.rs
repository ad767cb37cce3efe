//! The steering program of one pod and its maps.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, Map, MapData, MapError, SockMap},
    programs::{SkLookup, links::FdLink},
};
use ebpf_abi::{
    SteerConfig,
    names::{LISTENERS, POD, STEER},
    steer::Listener,
};
use net::Netns;

use crate::{Error, objects, pins};

/// What the object is called in errors.
const OBJECT: &str = "steer";

/// The maps of a pod that is captured.
pub(crate) struct Steer {
    pod: Array<MapData, SteerConfig>,
    listeners: SockMap<MapData>,
}

impl Steer {
    /// Opens a pod's pins.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let pod = pinned(folder, POD)?;
        let listeners = pinned(folder, LISTENERS)?;
        Ok(Self {
            pod: Array::try_from(Map::Array(pod)).map_err(map("cannot use", POD))?,
            listeners: SockMap::try_from(Map::SockMap(listeners))
                .map_err(map("cannot use", LISTENERS))?,
        })
    }

    /// What the program is told of the pod.
    pub(crate) fn config(&self) -> Result<SteerConfig, Error> {
        self.pod.get(&0, 0).map_err(map("cannot read", POD))
    }

    /// Tells it something else, and gives it other listeners. What the predecessor's listeners hold already stays
    /// theirs.
    pub(crate) fn change(
        &mut self,
        config: SteerConfig,
        listeners: &[(Listener, TcpListener)],
    ) -> Result<(), Error> {
        self.pod
            .set(0, config, 0)
            .map_err(map("cannot write to", POD))?;
        set_listeners(&mut self.listeners, listeners)
    }
}

/// Loads a program for a pod, tells it everything, and attaches it last. Removes its pins if it cannot.
pub(crate) fn attach(
    folder: &Path,
    netns: &Netns,
    config: SteerConfig,
    listeners: &[(Listener, TcpListener)],
) -> Result<(), Error> {
    // Half made, by one that was killed.
    pins::remove(folder)?;
    let made = load(config, listeners).and_then(|object| pin(object, folder, netns));
    if made.is_err() {
        // The failure that is reported is the one that started this.
        drop(pins::remove(folder));
    }
    made
}

fn load(config: SteerConfig, listeners: &[(Listener, TcpListener)]) -> Result<Ebpf, Error> {
    let mut object = EbpfLoader::new()
        .btf(None)
        .load(objects::STEER)
        .map_err(|source| Error::Object {
            object: OBJECT,
            source,
        })?;
    let pod = object.map_mut(POD).ok_or(missing(POD))?;
    let mut pod = Array::<_, SteerConfig>::try_from(pod).map_err(map("cannot use", POD))?;
    pod.set(0, config, 0).map_err(map("cannot write to", POD))?;
    let sockets = object.map_mut(LISTENERS).ok_or(missing(LISTENERS))?;
    let mut sockets = SockMap::try_from(sockets).map_err(map("cannot use", LISTENERS))?;
    set_listeners(&mut sockets, listeners)?;
    Ok(object)
}

fn pin(mut object: Ebpf, folder: &Path, netns: &Netns) -> Result<(), Error> {
    pins::create(folder)?;
    for name in [POD, LISTENERS] {
        let path = folder.join(name);
        object
            .map(name)
            .ok_or(missing(name))?
            .pin(&path)
            .map_err(|error| Error::pin("cannot make", path, &error))?;
    }
    let program: &mut SkLookup = object
        .program_mut(STEER)
        .ok_or(missing(STEER))?
        .try_into()
        .map_err(program("cannot use"))?;
    program.load().map_err(self::program("cannot load"))?;
    let link = program
        .attach(netns)
        .and_then(|id| program.take_link(id))
        .map_err(self::program("cannot attach"))?;
    let path = folder.join(STEER);
    FdLink::from(link)
        .pin(&path)
        .map_err(|error| Error::pin("cannot make", path, &error))?;
    Ok(())
}

fn set_listeners<T: std::borrow::BorrowMut<MapData>>(
    map: &mut SockMap<T>,
    listeners: &[(Listener, TcpListener)],
) -> Result<(), Error> {
    for (place, listener) in listeners {
        map.set(*place as u32, listener, 0)
            .map_err(self::map("cannot write to", LISTENERS))?;
    }
    Ok(())
}

fn pinned(folder: &Path, name: &'static str) -> Result<MapData, Error> {
    let path: PathBuf = folder.join(name);
    MapData::from_pin(&path).map_err(|error| Error::pin("cannot open", path, &error))
}

fn missing(name: &'static str) -> Error {
    Error::Missing {
        object: OBJECT,
        name,
    }
}

fn map(step: &'static str, name: &'static str) -> impl Fn(MapError) -> Error {
    move |source| Error::Map {
        step,
        map: name,
        source,
    }
}

fn program(step: &'static str) -> impl Fn(aya::programs::ProgramError) -> Error {
    move |source| Error::Program {
        step,
        program: STEER,
        source,
    }
}
