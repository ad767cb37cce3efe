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

/// What the kernel is to do with a change.
enum Left {
    /// Make it.
    All,
    /// Nothing: it is made already.
    Nothing,
    /// Refuse it.
    No,
}

#[cgroup_sockopt(setsockopt)]
pub fn setsockopt(ctx: SockoptContext) -> i32 {
    let raw = ctx.sockopt;
    // SAFETY: fields of the context, which the verifier has checked.
    let (level, name, length) = unsafe { ((*raw).level, (*raw).optname, (*raw).optlen) };
    let left = match Way::of(level, name) {
        Some(way) => change(raw, way),
        None => Left::All,
    };
    // What the kernel is told by the length. SAFETY: a field that hooks of this kind may write.
    match left {
        Left::All if length <= MAX_BYTES => {}
        // It reads the application's own value then.
        Left::All => unsafe { (*raw).optlen = 0 },
        Left::Nothing => unsafe { (*raw).optlen = -1 },
        Left::No => return REFUSE,
    }
    GO_ON
}

#[inline(always)]
fn change(raw: *mut bpf_sockopt, way: Way) -> Left {
    // SAFETY: as above; the socket is asked whether it is there before anything is read.
    let socket = unsafe { (*raw).__bindgen_anon_1.sk };
    if socket.is_null() {
        return Left::All;
    }
    // SAFETY: fields of a socket that is there.
    let (protocol, state) = unsafe { ((*socket).protocol, (*socket).state) };
    let verdict = judge(way, protocol, state);
    if verdict == Verdict::Allowed {
        return Left::All;
    }
    // SAFETY: the helper takes the context that the kernel gave.
    let netns = unsafe { bpf_get_netns_cookie(raw.cast()) };
    // SAFETY: only its presence counts.
    if unsafe { NETNS.get(netns) }.is_none() || is_proxy() {
        return Left::All;
    }
    match verdict {
        Verdict::Done => bind(raw, way, socket),
        Verdict::Allowed | Verdict::Refused => Left::No,
    }
}

/// Gives the socket its interface here, or takes it away, and leaves the kernel nothing to do: between this hook and its own work another thread
/// could connect the socket, or change the value, and the socket would get an interface after it was captured. The kernel holds the socket's lock
/// meanwhile.
#[inline(always)]
fn bind(raw: *mut bpf_sockopt, way: Way, socket: *mut bpf_sock) -> Left {
    // SAFETY: fields of the context.
    let (value, end, length, name) = unsafe {
        (
            (*raw).__bindgen_anon_2.optval.cast::<u8>(),
            (*raw).__bindgen_anon_3.optval_end.cast::<u8>(),
            (*raw).optlen,
            (*raw).optname,
        )
    };
    // As the kernel has it: longer names are cut, and a number has four bytes.
    let bytes = match way {
        Way::DeviceByName => NAME_BYTES,
        // The kernel refuses it in its own words.
        Way::DeviceByNumber if length < 4 => return Left::All,
        Way::DeviceByNumber => 4,
        Way::Mark => return Left::No,
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
    if result == 0 {
        return Left::Nothing;
    }
    // SAFETY: the helper takes the number of an error.
    unsafe { bpf_set_retval(result as i32) };
    Left::No
}
