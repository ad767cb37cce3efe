//! The same under the other two modes of capture.

use anyhow::Result;
use lab::Capture;

use super::{access_log, endpoints, metrics};

#[test]
fn a_text_line_holds_all_that_is_known_in_its_order_under_iptables_capture() -> Result<()> {
    access_log::text(Capture::Iptables)
}

#[test]
fn a_text_line_holds_all_that_is_known_in_its_order_under_ebpf_capture() -> Result<()> {
    access_log::text(Capture::Ebpf)
}

#[test]
fn a_json_line_is_one_flat_object_under_iptables_capture() -> Result<()> {
    access_log::json(Capture::Iptables)
}

#[test]
fn a_json_line_is_one_flat_object_under_ebpf_capture() -> Result<()> {
    access_log::json(Capture::Ebpf)
}

#[test]
fn what_fails_before_anything_is_known_is_a_warning_with_addresses_and_error_under_iptables_capture()
-> Result<()> {
    access_log::failures(Capture::Iptables)
}

#[test]
fn what_fails_before_anything_is_known_is_a_warning_with_addresses_and_error_under_ebpf_capture()
-> Result<()> {
    access_log::failures(Capture::Ebpf)
}

#[test]
fn the_dump_shows_the_mesh_the_pods_their_connections_and_no_key_under_iptables_capture()
-> Result<()> {
    endpoints::dump(Capture::Iptables)
}

#[test]
fn the_dump_shows_the_mesh_the_pods_their_connections_and_no_key_under_ebpf_capture() -> Result<()>
{
    endpoints::dump(Capture::Ebpf)
}

#[test]
fn admin_is_reached_from_its_own_node_alone_under_iptables_capture() -> Result<()> {
    endpoints::reach(Capture::Iptables)
}

#[test]
fn admin_is_reached_from_its_own_node_alone_under_ebpf_capture() -> Result<()> {
    endpoints::reach(Capture::Ebpf)
}

#[test]
fn both_ends_of_a_tunnel_count_what_was_sent_while_it_is_sent_under_iptables_capture() -> Result<()>
{
    metrics::counters(Capture::Iptables)
}

#[test]
fn both_ends_of_a_tunnel_count_what_was_sent_while_it_is_sent_under_ebpf_capture() -> Result<()> {
    metrics::counters(Capture::Ebpf)
}

#[test]
fn what_sends_and_what_receives_are_not_mixed_up_under_iptables_capture() -> Result<()> {
    metrics::ways(Capture::Iptables)
}

#[test]
fn what_sends_and_what_receives_are_not_mixed_up_under_ebpf_capture() -> Result<()> {
    metrics::ways(Capture::Ebpf)
}

#[test]
fn who_is_outside_of_the_mesh_or_of_all_knowledge_is_labelled_so_under_iptables_capture()
-> Result<()> {
    metrics::strangers(Capture::Iptables)
}

#[test]
fn who_is_outside_of_the_mesh_or_of_all_knowledge_is_labelled_so_under_ebpf_capture() -> Result<()>
{
    metrics::strangers(Capture::Ebpf)
}

#[test]
fn locality_is_labelled_where_it_is_known_and_a_failure_carries_its_flag_under_iptables_capture()
-> Result<()> {
    metrics::locality(Capture::Iptables)
}

#[test]
fn locality_is_labelled_where_it_is_known_and_a_failure_carries_its_flag_under_ebpf_capture()
-> Result<()> {
    metrics::locality(Capture::Ebpf)
}
