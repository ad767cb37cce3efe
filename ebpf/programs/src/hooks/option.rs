//! An application changes an option of a socket. Nearly always one that counts for nothing: that is known at once.

use aya_ebpf::{
    bindings::{bpf_sock, bpf_sockopt},
    helpers::generated::{bpf_get_netns_cookie, bpf_set_retval, bpf_setsockopt},
    macros::cgroup_sockopt,
    programs::SockoptContext,
};
use ebpf_abi::options::{SOL_SOCKET, Verdict, Way, judge};

use crate::{
    capture::{GO_ON, REFUSE, is_proxy},
    maps::NETNS,
};

/// The longest value that every kernel gives to hooks whole. One that is longer must be told to go on without them.
const MAX_BYTES: i32 = 4096;
/// `IFNAMSIZ`, without the end of the text. Units: bytes.
const NAME_BYTES: usize = 15;

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
    verdict == Verdict::Done && (takes_away(raw, way) || bind(raw, way, socket))
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

/// Gives the socket its interface here, and leaves the kernel nothing to do: between this hook and its own work another thread could
/// connect the socket, which would then take the interface after it was captured. The kernel holds the socket's lock meanwhile.
#[inline(always)]
fn bind(raw: *mut bpf_sockopt, way: Way, socket: *mut bpf_sock) -> bool {
    // SAFETY: fields of the context.
    let (value, end, length, name) = unsafe {
        (
            (*raw).__bindgen_anon_2.optval.cast::<u8>(),
            (*raw).__bindgen_anon_3.optval_end.cast::<u8>(),
            (*raw).optlen,
            (*raw).optname,
        )
    };
    // As the kernel has it: longer names are cut, a number has four bytes.
    let bytes = match way {
        Way::DeviceByName => NAME_BYTES,
        Way::DeviceByNumber => 4,
        Way::Mark => return false,
    };
    let mut device = [0_u8; NAME_BYTES + 1];
    for index in 0..bytes {
        // SAFETY: each byte is read only where it is seen to be inside of the value.
        unsafe {
            if index as i32 >= length || value.add(index + 1) > end {
                break;
            }
            device[index] = *value.add(index);
        }
    }
    // SAFETY: the socket is there, the value is on the stack, and the length says how much of it counts.
    let result = unsafe {
        bpf_setsockopt(
            socket.cast(),
            SOL_SOCKET,
            name,
            device.as_mut_ptr().cast(),
            bytes as i32,
        )
    };
    if result != 0 {
        // SAFETY: the helper takes a number of an error. Where it does not exist the loader has not loaded us.
        unsafe { bpf_set_retval(result as i32) };
        return false;
    }
    // Nothing is left to do. SAFETY: a field that hooks of this kind may write.
    unsafe { (*raw).optlen = -1 };
    true
}
