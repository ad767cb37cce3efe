//! The same under the other two modes of capture. Under eBPF no port captures: there is nothing at 15001 and 15006.

use anyhow::Result;
use lab::Capture;

use super::{doors, floods, frames, heads, stalls};

#[test]
fn garbage_on_the_tunnel_port_is_refused_with_a_reason_under_iptables_capture() -> Result<()> {
    doors::tunnel_port(Capture::Iptables)
}

#[test]
fn garbage_on_the_tunnel_port_is_refused_with_a_reason_under_ebpf_capture() -> Result<()> {
    doors::tunnel_port(Capture::Ebpf)
}

#[test]
fn garbage_on_the_capture_ports_is_refused_with_a_reason_under_iptables_capture() -> Result<()> {
    doors::capture_ports(Capture::Iptables)
}

#[test]
fn handshakes_that_never_end_hold_nobody_up_and_are_ended_under_iptables_capture() -> Result<()> {
    doors::unended(Capture::Iptables)
}

#[test]
fn handshakes_that_never_end_hold_nobody_up_and_are_ended_under_ebpf_capture() -> Result<()> {
    doors::unended(Capture::Ebpf)
}

#[test]
fn floods_that_ask_for_work_are_cut_off_under_iptables_capture() -> Result<()> {
    floods::work(Capture::Iptables)
}

#[test]
fn floods_that_ask_for_work_are_cut_off_under_ebpf_capture() -> Result<()> {
    floods::work(Capture::Ebpf)
}

#[test]
fn floods_that_ask_for_answers_are_answered_or_slowed_down_under_iptables_capture() -> Result<()> {
    floods::answers(Capture::Iptables)
}

#[test]
fn floods_that_ask_for_answers_are_answered_or_slowed_down_under_ebpf_capture() -> Result<()> {
    floods::answers(Capture::Ebpf)
}

#[test]
fn many_tunnels_of_one_peer_cost_little_and_leave_nothing_under_iptables_capture() -> Result<()> {
    floods::tunnels(Capture::Iptables)
}

#[test]
fn many_tunnels_of_one_peer_cost_little_and_leave_nothing_under_ebpf_capture() -> Result<()> {
    floods::tunnels(Capture::Ebpf)
}

#[test]
fn broken_frames_end_their_tunnel_and_nothing_else_under_iptables_capture() -> Result<()> {
    frames::of_the_tunnel(Capture::Iptables)
}

#[test]
fn broken_frames_end_their_tunnel_and_nothing_else_under_ebpf_capture() -> Result<()> {
    frames::of_the_tunnel(Capture::Ebpf)
}

#[test]
fn what_only_a_stream_does_wrong_leaves_the_tunnel_under_iptables_capture() -> Result<()> {
    frames::of_a_stream(Capture::Iptables)
}

#[test]
fn what_only_a_stream_does_wrong_leaves_the_tunnel_under_ebpf_capture() -> Result<()> {
    frames::of_a_stream(Capture::Ebpf)
}

#[test]
fn malformed_heads_are_answered_one_by_one_under_iptables_capture() -> Result<()> {
    heads::malformed(Capture::Iptables)
}

#[test]
fn malformed_heads_are_answered_one_by_one_under_ebpf_capture() -> Result<()> {
    heads::malformed(Capture::Ebpf)
}

#[test]
fn those_whom_policy_denies_and_pods_that_have_left_get_their_status_under_iptables_capture()
-> Result<()> {
    heads::denied(Capture::Iptables)
}

#[test]
fn those_whom_policy_denies_and_pods_that_have_left_get_their_status_under_ebpf_capture()
-> Result<()> {
    heads::denied(Capture::Ebpf)
}

#[test]
fn streams_that_nobody_reads_stall_no_other_stream_of_their_tunnel_under_iptables_capture()
-> Result<()> {
    stalls::unread(Capture::Iptables)
}

#[test]
fn streams_that_nobody_reads_stall_no_other_stream_of_their_tunnel_under_ebpf_capture() -> Result<()>
{
    stalls::unread(Capture::Ebpf)
}

#[test]
fn an_application_that_writes_in_crumbs_to_one_that_does_not_read_keeps_its_tunnel_under_iptables_capture()
-> Result<()> {
    stalls::crumbs_out(Capture::Iptables)
}

#[test]
fn an_application_that_writes_in_crumbs_to_one_that_does_not_read_keeps_its_tunnel_under_ebpf_capture()
-> Result<()> {
    stalls::crumbs_out(Capture::Ebpf)
}

#[test]
fn a_peer_that_sends_crumbs_to_an_application_that_does_not_read_keeps_its_tunnel_under_iptables_capture()
-> Result<()> {
    stalls::crumbs_in(Capture::Iptables)
}

#[test]
fn a_peer_that_sends_crumbs_to_an_application_that_does_not_read_keeps_its_tunnel_under_ebpf_capture()
-> Result<()> {
    stalls::crumbs_in(Capture::Ebpf)
}

#[test]
fn resets_pass_through_and_reach_nobody_else_under_iptables_capture() -> Result<()> {
    stalls::resets(Capture::Iptables)
}

#[test]
fn resets_pass_through_and_reach_nobody_else_under_ebpf_capture() -> Result<()> {
    stalls::resets(Capture::Ebpf)
}
