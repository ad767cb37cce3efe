//! The same under the other two modes of capture.

use anyhow::Result;
use lab::Capture;

use super::{clients, expiry, renewal, servers};

#[test]
fn clients_without_a_certificate_of_the_mesh_are_refused_with_a_reason_under_iptables_capture()
-> Result<()> {
    clients(Capture::Iptables)
}

#[test]
fn clients_without_a_certificate_of_the_mesh_are_refused_with_a_reason_under_ebpf_capture()
-> Result<()> {
    clients(Capture::Ebpf)
}

#[test]
fn servers_that_are_not_who_was_called_never_see_a_byte_under_iptables_capture() -> Result<()> {
    servers(Capture::Iptables)
}

#[test]
fn servers_that_are_not_who_was_called_never_see_a_byte_under_ebpf_capture() -> Result<()> {
    servers(Capture::Ebpf)
}

#[test]
fn new_connections_use_a_new_certificate_and_old_ones_stay_under_iptables_capture() -> Result<()> {
    renewal(Capture::Iptables)
}

#[test]
fn new_connections_use_a_new_certificate_and_old_ones_stay_under_ebpf_capture() -> Result<()> {
    renewal(Capture::Ebpf)
}

#[test]
fn nothing_new_begins_on_a_tunnel_whose_certificate_has_ended_under_iptables_capture() -> Result<()>
{
    expiry(Capture::Iptables)
}

#[test]
fn nothing_new_begins_on_a_tunnel_whose_certificate_has_ended_under_ebpf_capture() -> Result<()> {
    expiry(Capture::Ebpf)
}
