//! A pod's network namespace, held open by a file descriptor.
//!
//! A socket belongs to the namespace of the thread that makes it, for as long as it lives. So a proxy that
//! serves many pods enters a namespace only to call `socket()`, and never across an await.

use std::{
    cell::OnceCell,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::OnceLock,
};

use nix::{
    libc,
    sched::{CloneFlags, setns},
    sys::{socket::getsockopt, stat::fstat},
};
use socket2::{Domain, Socket, Type};

/// `SO_NETNS_COOKIE`, since Linux 5.14.
const SO_NETNS_COOKIE: libc::c_int = 71;

/// The option of a socket that tells the cookie of its namespace.
#[derive(Clone, Copy, Debug)]
struct NetnsCookie;
nix::getsockopt_impl!(
    NetnsCookie,
    libc::SOL_SOCKET,
    SO_NETNS_COOKIE,
    u64,
    nix::sys::socket::sockopt::GetStruct<u64>
);

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
    /// Told once: whoever asks again may have no descriptor left.
    cookie: OnceLock<u64>,
}

impl Netns {
    /// Takes a descriptor of a namespace, for example one that a CNI agent sent.
    ///
    /// # Errors
    /// When the descriptor is not one of a network namespace.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        // Entering is the only complete proof: fstat cannot tell a network namespace from any other.
        let inode = fstat(&fd)?.st_ino;
        let netns = Self {
            fd,
            inode,
            cookie: OnceLock::new(),
        };
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

    /// The number that programs in the kernel know the namespace by. Unlike [`Netns::inode`] it is never used again.
    /// The first call makes a socket; later ones answer what it was told.
    ///
    /// # Errors
    /// When the namespace cannot be entered, no socket can be made, or the kernel is older than 5.14.
    pub fn cookie(&self) -> io::Result<u64> {
        if let Some(cookie) = self.cookie.get() {
            return Ok(*cookie);
        }
        let socket = self.run(|| Socket::new(Domain::IPV4, Type::DGRAM, None))??;
        let cookie = getsockopt(&socket, NetnsCookie)?;
        Ok(*self.cookie.get_or_init(|| cookie))
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

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
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
