//! What the loader tells the hooks, and what they remember.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::SkStorage,
    macros::{btf_map, map},
    maps::{HashMap, LpmTrie},
};
use ebpf_abi::{
    Address, PodConfig,
    hooks::RangeKey,
    names::{MAX_DIRECT, MAX_EXEMPT, MAX_PODS},
};

/// Enrolled pods, by the cookie of their network namespace.
#[map]
pub static NETNS: HashMap<u64, PodConfig> = HashMap::with_max_entries(MAX_PODS, BPF_F_NO_PREALLOC);

/// Cgroups of proxies.
#[map]
pub static EXEMPT: HashMap<u64, u32> = HashMap::with_max_entries(MAX_EXEMPT, 0);

/// What is reached directly.
#[map]
pub static DIRECT: LpmTrie<RangeKey, u32> = LpmTrie::with_max_entries(MAX_DIRECT, 0);

/// The DNS server that a socket believes to speak with.
#[btf_map]
pub static ASKED: SkStorage<Asked> = SkStorage::new();

/// An address and a port, as an application gave them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Asked {
    pub address: Address,
    /// In network order, in the low half, as in the kernel's struct.
    pub port: u32,
    /// The proxy's port that it was sent to instead, in the same shape. A proxy that follows has another one, and what
    /// its predecessor answers still comes from here.
    pub sent_to: u32,
}
