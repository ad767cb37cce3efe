//! What all programs and maps have in common: their pins, and what is said when the kernel refuses.

use std::path::Path;

use aya::{
    maps::{MapData, MapError},
    programs::ProgramError,
};

use crate::Error;

/// Opens a map by its pin.
pub(crate) fn pinned(folder: &Path, name: &'static str) -> Result<MapData, Error> {
    let path = folder.join(name);
    MapData::from_pin(&path).map_err(|error| Error::pin("cannot open", path, error))
}

pub(crate) fn map(step: &'static str, name: &'static str) -> impl Fn(MapError) -> Error {
    move |source| Error::Map {
        step,
        map: name,
        source,
    }
}

pub(crate) fn program(step: &'static str, name: &'static str) -> impl Fn(ProgramError) -> Error {
    move |source| Error::Program {
        step,
        program: name,
        source,
    }
}

/// Removing twice is once: that there was nothing under a key is no failure.
pub(crate) fn removed(result: Result<(), MapError>, name: &'static str) -> Result<(), Error> {
    match result {
        Err(error) if is_missing(&error) => Ok(()),
        removed => removed.map_err(map("cannot remove from", name)),
    }
}

fn is_missing(error: &MapError) -> bool {
    if let MapError::SyscallError(error) = error {
        return error.io_error.kind() == std::io::ErrorKind::NotFound;
    }
    matches!(error, MapError::KeyNotFound)
}
