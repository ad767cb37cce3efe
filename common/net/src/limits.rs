//! Limits that the operating system sets for the process, and those that its allocator sets itself.

use std::io;

use crate::chunk;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets the process open as many files as it may: a proxy needs two per connection, and the usual first limit of
/// 1,024 would be reached by 500 of them. Answers the limit that is in force.
///
/// # Errors
/// When the kernel refuses, which it may only do above the hard limit.
pub fn raise_open_files() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// What the allocator keeps unused at the end of a heap. Its own choice, 128 KiB, is passed with every turn of a busy tunnel, and to give
/// pages back and fault them in anew costs more than to keep them. Units: bytes.
const MAX_KEPT_BYTES: nix::libc::c_int = 1024 * 1024;

/// Has buffers of [`chunk::MAX_CHUNK_BYTES`] and more given back to the system as soon as they are free.
///
/// By itself glibc's allocator begins to keep buffers of a size once it has seen one of them freed, and one small thing behind hundreds
/// of free megabytes keeps all of them: what slow readers have cost at the worst moment would be the process's size for good. Source:
/// mallopt(3), `M_MMAP_THRESHOLD`, `M_TRIM_THRESHOLD`.
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    {
        let large =
            nix::libc::c_int::try_from(chunk::MAX_CHUNK_BYTES).unwrap_or(nix::libc::c_int::MAX);
        for (parameter, value) in [
            (nix::libc::M_MMAP_THRESHOLD, large),
            (nix::libc::M_TRIM_THRESHOLD, MAX_KEPT_BYTES),
        ] {
            #[expect(unsafe_code, reason = "the only way to tell the allocator")]
            // SAFETY: it takes two numbers, and takes its own lock.
            let done = unsafe { nix::libc::mallopt(parameter, value) };
            if done == 0 {
                tracing::debug!(parameter, value, "the allocator refuses a setting");
            }
        }
    }
}
