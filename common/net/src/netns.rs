//! A pod's network namespace, held open by a file descriptor.
//!
//! A socket belongs to the namespace of the thread that makes it, for as long as it lives. So a proxy that
//! serves many pods enters a namespace only to call `socket()`, and never across an await.

use std::{
    cell::OnceCell,
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use nix::{
    sched::{CloneFlags, setns},
    sys::stat::fstat,
};

thread_local! {
    /// The namespace that this thread was in before it first entered another. Empty until it could be opened: a
    /// shortage of descriptors passes.
    static HOME: OnceCell<OwnedFd> = const { OnceCell::new() };
}

/// One network namespace. It lives for as long as this value does.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
    inode: u64,
}

impl Netns {
    /// Takes a descriptor of a namespace, for example one that a CNI agent sent.
    ///
    /// # Errors
    /// When the descriptor is not one of a network namespace.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        // Entering is the only complete proof: fstat cannot tell a network namespace from any other.
        let inode = fstat(&fd)?.st_ino;
        let netns = Self { fd, inode };
        netns.run(|| ())?;
        Ok(netns)
    }

    /// Opens a namespace by a path such as `/run/netns/NAME` or `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// When the path cannot be opened or is not a network namespace.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::from_fd(File::open(path)?.into())
    }

    /// The namespace that the calling thread is in.
    ///
    /// # Errors
    /// When `/proc` is not mounted.
    pub fn current() -> io::Result<Self> {
        Self::open("/proc/thread-self/ns/net")
    }

    /// The number that identifies the namespace for as long as it exists.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Runs `work` with the calling thread inside the namespace, and leaves it again. Costs two system calls.
    ///
    /// A child process that `work` starts stays inside.
    ///
    /// # Errors
    /// When the namespace cannot be entered; `work` has not run then.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        HOME.with(|home| {
            let home = match home.get() {
                Some(home) => home,
                None => {
                    let opened = File::open("/proc/thread-self/ns/net")?;
                    home.get_or_init(|| opened.into())
                }
            };
            setns(self.fd.as_fd(), CloneFlags::CLONE_NEWNET)?;
            let _back = Back(home);
            Ok(work())
        })
    }
}

/// Brings the thread home, also when `work` unwinds.
struct Back<'a>(&'a OwnedFd);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        if setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET).is_err() {
            // A worker that is lost in one pod's namespace would open another pod's sockets there.
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests;
