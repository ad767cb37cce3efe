//! What the kernel is asked for that no crate has a safe face for.
#![expect(
    unsafe_code,
    reason = "scheduling classes and a thread's CPU time have no safe face in nix as it is built here, or in std"
)]

use std::time::Duration;

/// The lowest priority above all ordinary threads.
const PRIORITY: libc::c_int = 1;

/// Has the kernel prefer this thread to all ordinary ones; whether it does so. It takes root or `CAP_SYS_NICE`.
pub(crate) fn prefer_this_thread() -> bool {
    let parameter = libc::sched_param {
        sched_priority: PRIORITY,
    };
    // SAFETY: the parameter lives over the call, which copies it; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) == 0 }
}

/// The CPU time that this thread has used.
pub(crate) fn thread_cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call writes one `timespec`, which lives over it.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), nanoseconds)
}
