//! The two calls of bpf(2) that the library does not offer for hooks of setsockopt: to attach one by a link, and to pin
//! the link.
#![expect(
    unsafe_code,
    reason = "the kernel reads a struct of numbers and a path, whose memory outlives the calls"
)]

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use nix::libc;

const BPF_OBJ_PIN: libc::c_long = 6;
const BPF_LINK_CREATE: libc::c_long = 28;
/// `BPF_CGROUP_SETSOCKOPT`.
const SETSOCKOPT: u32 = 22;

/// As much of `union bpf_attr` as the two calls read. The kernel takes what is shorter than its own for zero.
#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    kind: u32,
    flags: u32,
}

#[repr(C)]
struct ObjPin {
    path: u64,
    object: u32,
    flags: u32,
}

/// Attaches a loaded hook of setsockopt to a cgroup, for as long as the link lives.
pub(crate) fn link_setsockopt(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
) -> io::Result<OwnedFd> {
    let attributes = LinkCreate {
        program: number(program.as_raw_fd()),
        target: number(cgroup.as_raw_fd()),
        kind: SETSOCKOPT,
        flags: 0,
    };
    let link = bpf(BPF_LINK_CREATE, &attributes)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(link) })
}

/// Gives a link a name in a bpffs, by which it lives on.
pub(crate) fn pin(link: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attributes = ObjPin {
        path: path.as_ptr() as u64,
        object: number(link.as_raw_fd()),
        flags: 0,
    };
    bpf(BPF_OBJ_PIN, &attributes).map(drop)
}

fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<RawFd> {
    // SAFETY: a struct of the size that is told, which the kernel reads; what it points to lives as long as the caller's.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(result).map_err(io::Error::other)
}

fn number(fd: RawFd) -> u32 {
    // A borrowed descriptor is never negative.
    fd.unsigned_abs()
}
