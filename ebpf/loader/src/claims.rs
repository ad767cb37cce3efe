//! Which of several proxies with the same pins may change them: the one that came last, and lives.
//!
//! In: the folder of the pins. Out: a claim, and turns.
//! Never: stands in a successor's way because a predecessor was killed: locks go with their process.
//!
//! A lock is on a folder (flock(2)), because a bpffs has no files of ours.

use std::{
    fs::{self, File},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use net::clock;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use crate::{Error, pins};

/// The folder of claims, beside the generations.
const CLAIMS: &str = "claims";
/// The longest wait for a turn: others take milliseconds, with thousands of pods at their start some seconds.
const DEADLINE: Duration = Duration::from_secs(10);
/// Between two looks whether it is our turn.
const PAUSE: Duration = Duration::from_millis(5);

/// A folder that nobody else holds.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "held until it is dropped")] Flock<File>);

impl Held {
    /// Takes hold of a folder; none if somebody else has it.
    pub(crate) fn take(folder: &Path) -> Result<Option<Self>, Error> {
        let failed = |error: io::Error| Error::pin("cannot lock", folder, error);
        let file = File::open(folder).map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Ok(Some(Self(held))),
            Err((_file, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_file, error)) => Err(failed(error.into())),
        }
    }
}

/// One proxy changes pins at a time. **Blocks** while another does.
pub(crate) fn turn(root: &Path) -> Result<Held, Error> {
    let until = clock::now() + DEADLINE;
    loop {
        if let Some(held) = Held::take(root)? {
            return Ok(held);
        }
        if clock::now() >= until {
            return Err(Error::Busy(root.to_owned()));
        }
        thread::sleep(PAUSE);
    }
}

/// That this process changes the pins from now on, and nobody who came before.
#[derive(Debug)]
pub(crate) struct Claim {
    folder: PathBuf,
    number: u64,
    path: PathBuf,
    _held: Held,
}

impl Claim {
    /// Comes after all others. To be called in our turn.
    pub(crate) fn make(root: &Path) -> Result<Self, Error> {
        let folder = root.join(CLAIMS);
        pins::create(&folder)?;
        for (_number, path) in list(&folder)? {
            if Held::take(&path)?.is_some() {
                // Of one that was killed.
                pins::remove(&path)?;
            }
        }
        let last = list(&folder)?.into_iter().map(|(number, _)| number).max();
        let number = last.map_or(1, |last| last.saturating_add(1));
        let path = folder.join(number.to_string());
        pins::create(&path)?;
        let held = Held::take(&path)?.ok_or_else(|| Error::Busy(path.clone()))?;
        Ok(Self {
            folder,
            number,
            path,
            _held: held,
        })
    }

    /// Its number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether one that came later lives.
    pub(crate) fn is_superseded(&self) -> Result<bool, Error> {
        living(&self.folder, |number| number > self.number)
    }

    /// Whether the one with this number lives.
    pub(crate) fn lives(&self, number: u64) -> Result<bool, Error> {
        Ok(number == self.number || living(&self.folder, |it| it == number)?)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // The next one clears away what cannot be removed now.
        drop(fs::remove_dir(&self.path));
        drop(fs::remove_dir(&self.folder));
    }
}

/// Whether any proxy lives that these pins are of.
pub(crate) fn any_living(root: &Path) -> Result<bool, Error> {
    living(&root.join(CLAIMS), |_any| true)
}

fn living(folder: &Path, counts: impl Fn(u64) -> bool) -> Result<bool, Error> {
    for (number, path) in list(folder)? {
        if !counts(number) {
            continue;
        }
        match Held::take(&path) {
            Ok(Some(_dead)) => {}
            Ok(None) => return Ok(true),
            // It has gone meanwhile.
            Err(_) if !path.exists() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let claim = |path: PathBuf| Some((path.file_name()?.to_str()?.parse().ok()?, path));
    Ok(pins::list(folder)?.into_iter().filter_map(claim).collect())
}

/// A name that nobody else has: process ids repeat, every container begins with 1.
pub(crate) fn unique(prefix: &str) -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{prefix}{}-{random:016x}", std::process::id())
}
