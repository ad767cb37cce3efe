//! The same under the other two modes of capture. Under eBPF there is no port that could be taken: `tests/capture/squatters.rs`.

use anyhow::Result;
use lab::Capture;

use super::{agents, answers, early, packets, taken};

#[test]
fn packets_that_break_the_protocol_end_the_conversation_and_nothing_else_under_iptables_capture()
-> Result<()> {
    packets(Capture::Iptables)
}

#[test]
fn packets_that_break_the_protocol_end_the_conversation_and_nothing_else_under_ebpf_capture()
-> Result<()> {
    packets(Capture::Ebpf)
}

#[test]
fn what_fails_is_answered_in_its_turn_and_by_name_under_iptables_capture() -> Result<()> {
    answers(Capture::Iptables)
}

#[test]
fn what_fails_is_answered_in_its_turn_and_by_name_under_ebpf_capture() -> Result<()> {
    answers(Capture::Ebpf)
}

#[test]
fn a_pod_whose_port_is_taken_is_named_and_served_when_the_port_is_free_under_iptables_capture()
-> Result<()> {
    taken(Capture::Iptables)
}

#[test]
fn agents_that_leave_in_the_middle_or_are_replaced_take_no_pod_along_under_iptables_capture()
-> Result<()> {
    agents(Capture::Iptables)
}

#[test]
fn agents_that_leave_in_the_middle_or_are_replaced_take_no_pod_along_under_ebpf_capture()
-> Result<()> {
    agents(Capture::Ebpf)
}

#[test]
fn a_ztunnel_that_starts_before_its_agent_waits_for_it_under_iptables_capture() -> Result<()> {
    early(Capture::Iptables)
}

#[test]
fn a_ztunnel_that_starts_before_its_agent_waits_for_it_under_ebpf_capture() -> Result<()> {
    early(Capture::Ebpf)
}
