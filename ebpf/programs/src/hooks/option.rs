//! An application changes an option of a socket. Nearly always one that counts for nothing: that is known at once.

use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock, bpf_sockopt},
    helpers::generated::{bpf_get_netns_cookie, bpf_sk_storage_get},
    macros::cgroup_sockopt,
    programs::SockoptContext,
};
use ebpf_abi::options::{Verdict, Way, judge};

use crate::{
    capture::{GO_ON, REFUSE, is_proxy},
    maps::{DEVICES, NETNS},
};

/// The longest value that every kernel gives to hooks whole. One that is longer must be told to go on without them.
const MAX_BYTES: i32 = 4096;

#[cgroup_sockopt(setsockopt)]
pub fn setsockopt(ctx: SockoptContext) -> i32 {
    let raw = ctx.sockopt;
    // SAFETY: fields of the context, which the verifier has checked.
    let (level, name, length) = unsafe { ((*raw).level, (*raw).optname, (*raw).optlen) };
    if let Some(way) = Way::of(level, name)
        && !is_allowed(raw, way)
    {
        return REFUSE;
    }
    if length > MAX_BYTES {
        // The kernel reads the application's own value then. SAFETY: a field that hooks of this kind may write.
        unsafe { (*raw).optlen = 0 };
    }
    GO_ON
}

#[inline(always)]
fn is_allowed(raw: *mut bpf_sockopt, way: Way) -> bool {
    // SAFETY: as above; the socket is asked whether it is there before anything is read.
    let socket = unsafe { (*raw).__bindgen_anon_1.sk };
    if socket.is_null() {
        return true;
    }
    // SAFETY: fields of a socket that is there.
    let (protocol, state) = unsafe { ((*socket).protocol, (*socket).state) };
    let verdict = judge(way, protocol, state);
    if verdict == Verdict::Allowed {
        return true;
    }
    // SAFETY: the helper takes the context that the kernel gave.
    let netns = unsafe { bpf_get_netns_cookie(raw.cast()) };
    // SAFETY: only its presence counts.
    if unsafe { NETNS.get(netns) }.is_none() || is_proxy() {
        return true;
    }
    verdict == Verdict::Remembered && (takes_away(raw, way) || remember(socket))
}

/// Whether it takes an interface away. What the hook has not seen, or the kernel will read once more, may name one.
#[inline(always)]
fn takes_away(raw: *mut bpf_sockopt, way: Way) -> bool {
    // SAFETY: fields of the context.
    let (value, end, length) = unsafe {
        (
            (*raw).__bindgen_anon_2.optval.cast::<u8>(),
            (*raw).__bindgen_anon_3.optval_end.cast::<u8>(),
            (*raw).optlen,
        )
    };
    if length > MAX_BYTES {
        return false;
    }
    let bytes = match way {
        Way::DeviceByName => 1,
        Way::DeviceByNumber => 4,
        Way::Mark => return false,
    };
    if (value as usize) + bytes > end as usize {
        return false;
    }
    // SAFETY: inside of the value, as was just seen.
    unsafe {
        match way {
            Way::DeviceByNumber => value.cast::<u32>().read_unaligned() == 0,
            Way::DeviceByName | Way::Mark => *value == 0,
        }
    }
}

#[inline(always)]
fn remember(socket: *mut bpf_sock) -> bool {
    let mut one = 1_u32;
    // SAFETY: the map, a socket that is there, a value on the stack of the map's size.
    let stored = unsafe {
        bpf_sk_storage_get(
            (&raw const DEVICES).cast_mut().cast(),
            socket.cast(),
            (&raw mut one).cast(),
            u64::from(BPF_SK_STORAGE_GET_F_CREATE),
        )
    };
    !stored.is_null()
}
