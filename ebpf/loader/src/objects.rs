//! The built programs. `make ebpf` builds them, scripts/ebpf says how.

use std::hash::Hasher as _;

use aya::include_bytes_aligned;
use twox_hash::XxHash64;

/// The hooks of the cgroup.
pub(crate) const HOOKS: &[u8] = include_bytes_aligned!("../../objects/hooks.o");
/// The steering program of a pod.
pub(crate) const STEER: &[u8] = include_bytes_aligned!("../../objects/steer.o");

/// A number that changes with the programs: pins of another build are not ours to write into.
pub(crate) fn build() -> u64 {
    let mut hash = XxHash64::with_seed(0);
    hash.write(HOOKS);
    hash.write(STEER);
    hash.finish()
}
