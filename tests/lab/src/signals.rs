//! Ctrl-C, SIGTERM and SIGHUP clean up every lab of this process before it ends.
//!
//! In: the runs that register here; the three signals.
//! Out: every registered run removed, then the process exits with 128 + the signal's number.
//! Never: work inside the signal handler, which only writes one byte to a pipe. One thread reads
//! that pipe; it lives as long as the process.
#![expect(
    unsafe_code,
    reason = "installing a signal handler has no safe face in nix or std"
)]

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;

use anyhow::{Context as _, Result};
use nix::fcntl::OFlag;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use parking_lot::Mutex;

use crate::run::Run;

/// The pipe's writing end, set once before the handler is installed.
static WAKE: OnceLock<OwnedFd> = OnceLock::new();
/// Whether the handlers stand.
static INSTALLED: Mutex<bool> = Mutex::new(false);
/// Set by the first signal: nothing new may be started.
static CLOSING: AtomicBool = AtomicBool::new(false);
/// The labs of this process that still exist.
static RUNS: Mutex<Vec<Weak<Run>>> = Mutex::new(Vec::new());

/// Whether a signal has come and the process is about to end.
pub(crate) fn closing() -> bool {
    CLOSING.load(Ordering::Acquire)
}

/// Has `run` removed when the process is told to end.
///
/// # Errors
///
/// When the handlers cannot be installed.
pub(crate) fn register(run: &Arc<Run>) -> Result<()> {
    let mut installed = INSTALLED.lock();
    if !*installed {
        install().context("install signal handlers")?;
        *installed = true;
    }
    let mut runs = RUNS.lock();
    runs.retain(|run| run.strong_count() > 0);
    runs.push(Arc::downgrade(run));
    Ok(())
}

fn install() -> Result<()> {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let _ = WAKE.set(writer);
    thread::Builder::new()
        .name("lab-signals".to_owned())
        .spawn(move || watch(File::from(reader)))?;
    let action = SigAction::new(
        SigHandler::Handler(on_signal),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: `on_signal` is async-signal-safe: it loads an atomic and calls write(2).
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

extern "C" fn on_signal(number: nix::libc::c_int) {
    if let Some(wake) = WAKE.get() {
        // A full pipe means that the thread has been woken already.
        let _ = nix::unistd::write(wake, &[u8::try_from(number).unwrap_or(0)]);
    }
}

#[expect(
    clippy::exit,
    reason = "the signal asked for exactly that, once everything is cleaned up"
)]
fn watch(mut reader: File) {
    let mut number = [0];
    if reader.read_exact(&mut number).is_err() {
        return;
    }
    CLOSING.store(true, Ordering::Release);
    let runs: Vec<_> = RUNS.lock().iter().filter_map(Weak::upgrade).collect();
    for run in runs {
        // Nobody is left to tell; `lab clean` finds what stayed.
        let _ = run.remove();
    }
    std::process::exit(128 + i32::from(number[0]));
}
