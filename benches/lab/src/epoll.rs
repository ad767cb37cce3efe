//! epoll(7), level-triggered: the only waiting of the load generator, so that it stays lean.
//!
//! In: descriptors with a token. Out: tokens that are ready. Never: owns what it watches.
#![expect(
    unsafe_code,
    reason = "std has no readiness API, and nix's is behind a feature that ztunnel does not take"
)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

/// How many events one wait can bring; more come with the next.
const MAX_EVENTS: usize = 128;

/// What is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Bytes, a connection to accept, or the end.
    Read,
    /// Room to write, or the result of a connect.
    Write,
}

/// A set of watched descriptors.
#[derive(Debug)]
pub(crate) struct Epoll {
    descriptor: OwnedFd,
}

/// Room for the events of one wait.
pub(crate) struct Events {
    all: Vec<libc::epoll_event>,
}

impl Events {
    /// Empty.
    pub(crate) fn new() -> Self {
        Self {
            all: Vec::with_capacity(MAX_EVENTS),
        }
    }

    /// The tokens of the last wait.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = u64> {
        self.all.iter().map(|event| event.u64)
    }
}

impl Epoll {
    /// An empty set.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer.
        let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        check(descriptor)?;
        // SAFETY: the call returned this descriptor, and nobody else has it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { descriptor })
    }

    /// Watches a descriptor. It leaves the set when it is closed.
    ///
    /// # Errors
    ///
    /// When it cannot be watched.
    pub(crate) fn add(
        &self,
        watched: &impl AsRawFd,
        interest: Interest,
        token: u64,
    ) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, watched.as_raw_fd(), interest, token)
    }

    /// Changes what is awaited of a watched descriptor.
    ///
    /// # Errors
    ///
    /// When it is not watched.
    pub(crate) fn modify(
        &self,
        watched: &impl AsRawFd,
        interest: Interest,
        token: u64,
    ) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, watched.as_raw_fd(), interest, token)
    }

    fn control(
        &self,
        operation: libc::c_int,
        watched: RawFd,
        interest: Interest,
        token: u64,
    ) -> io::Result<()> {
        let flag = match interest {
            Interest::Read => libc::EPOLLIN,
            Interest::Write => libc::EPOLLOUT,
        };
        let mut event = libc::epoll_event {
            events: flag.cast_unsigned(),
            u64: token,
        };
        let own = self.descriptor.as_raw_fd();
        // SAFETY: `event` lives over the call, which copies it.
        check(unsafe { libc::epoll_ctl(own, operation, watched, &raw mut event) })
    }

    /// Waits until something is ready, at most for `timeout`; then there are no tokens.
    ///
    /// # Errors
    ///
    /// When the kernel refuses. An interruption is no error: there are no tokens.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Duration) -> io::Result<()> {
        events.all.clear();
        let room = libc::c_int::try_from(MAX_EVENTS).unwrap_or(1);
        let millis = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
        let own = self.descriptor.as_raw_fd();
        let start = events.all.as_mut_ptr();
        // SAFETY: the vector was made with room for `MAX_EVENTS` events and never shrinks.
        let count = unsafe { libc::epoll_wait(own, start, room, millis) };
        match check(count) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            checked => checked?,
        }
        let count = usize::try_from(count).unwrap_or(0);
        // SAFETY: the kernel has written the first `count` events.
        unsafe { events.all.set_len(count) };
        Ok(())
    }
}

fn check(returned: libc::c_int) -> io::Result<()> {
    if returned < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
