//! The same under the other two modes of capture.

use anyhow::Result;
use lab::Capture;

use super::{deadline, killed, leave, near, sigterm};

#[test]
fn open_connections_finish_after_sigterm_and_new_ones_are_refused_under_iptables_capture()
-> Result<()> {
    sigterm(Capture::Iptables)
}

#[test]
fn open_connections_finish_after_sigterm_and_new_ones_are_refused_under_ebpf_capture() -> Result<()>
{
    sigterm(Capture::Ebpf)
}

#[test]
fn a_client_side_that_drains_lets_its_connections_finish_under_iptables_capture() -> Result<()> {
    near(Capture::Iptables)
}

#[test]
fn a_client_side_that_drains_lets_its_connections_finish_under_ebpf_capture() -> Result<()> {
    near(Capture::Ebpf)
}

#[test]
fn what_has_not_finished_at_the_deadline_is_cut_with_a_reason_under_iptables_capture() -> Result<()>
{
    deadline(Capture::Iptables)
}

#[test]
fn what_has_not_finished_at_the_deadline_is_cut_with_a_reason_under_ebpf_capture() -> Result<()> {
    deadline(Capture::Ebpf)
}

#[test]
fn a_pod_that_leaves_is_cut_at_once_and_no_other_pod_is_under_iptables_capture() -> Result<()> {
    leave(Capture::Iptables)
}

#[test]
fn a_pod_that_leaves_is_cut_at_once_and_no_other_pod_is_under_ebpf_capture() -> Result<()> {
    leave(Capture::Ebpf)
}

#[test]
fn a_killed_ztunnel_leaves_nobody_waiting_and_nothing_in_the_clear_under_iptables_capture()
-> Result<()> {
    killed(Capture::Iptables)
}

#[test]
fn a_killed_ztunnel_leaves_nobody_waiting_and_nothing_in_the_clear_under_ebpf_capture() -> Result<()>
{
    killed(Capture::Ebpf)
}
