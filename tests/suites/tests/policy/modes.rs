//! The same under the other two modes of capture.

use anyhow::Result;
use lab::Capture;

use super::{attacks, changes, conditions, dry_run, scopes};

#[test]
fn what_a_client_says_of_itself_opens_nothing_under_iptables_capture() -> Result<()> {
    attacks::spoofed(Capture::Iptables)
}

#[test]
fn what_a_client_says_of_itself_opens_nothing_under_ebpf_capture() -> Result<()> {
    attacks::spoofed(Capture::Ebpf)
}

#[test]
fn a_request_for_any_other_address_than_the_pods_is_refused_under_iptables_capture() -> Result<()> {
    attacks::authorities(Capture::Iptables)
}

#[test]
fn a_request_for_any_other_address_than_the_pods_is_refused_under_ebpf_capture() -> Result<()> {
    attacks::authorities(Capture::Ebpf)
}

#[test]
fn another_way_to_write_an_address_is_the_same_address_under_iptables_capture() -> Result<()> {
    attacks::mapped(Capture::Iptables)
}

#[test]
fn another_way_to_write_an_address_is_the_same_address_under_ebpf_capture() -> Result<()> {
    attacks::mapped(Capture::Ebpf)
}

#[test]
fn a_pod_that_calls_its_own_service_is_judged_and_one_that_calls_itself_is_not_under_iptables_capture()
-> Result<()> {
    attacks::own_service(Capture::Iptables)
}

#[test]
fn a_pod_that_calls_its_own_service_is_judged_and_one_that_calls_itself_is_not_under_ebpf_capture()
-> Result<()> {
    attacks::own_service(Capture::Ebpf)
}

#[test]
fn open_connections_are_cut_by_a_policy_that_denies_them_and_others_are_not_touched_under_iptables_capture()
-> Result<()> {
    changes::live(Capture::Iptables)
}

#[test]
fn open_connections_are_cut_by_a_policy_that_denies_them_and_others_are_not_touched_under_ebpf_capture()
-> Result<()> {
    changes::live(Capture::Ebpf)
}

#[test]
fn a_cut_stops_bytes_that_flow_under_iptables_capture() -> Result<()> {
    changes::flow(Capture::Iptables)
}

#[test]
fn a_cut_stops_bytes_that_flow_under_ebpf_capture() -> Result<()> {
    changes::flow(Capture::Ebpf)
}

#[test]
fn connections_that_open_while_the_policy_turns_are_never_left_open_against_it_under_iptables_capture()
-> Result<()> {
    changes::race(Capture::Iptables)
}

#[test]
fn connections_that_open_while_the_policy_turns_are_never_left_open_against_it_under_ebpf_capture()
-> Result<()> {
    changes::race(Capture::Ebpf)
}

#[test]
fn every_condition_refuses_exactly_those_whom_it_names_and_says_so_everywhere_under_iptables_capture()
-> Result<()> {
    conditions::every_condition(Capture::Iptables)
}

#[test]
fn every_condition_refuses_exactly_those_whom_it_names_and_says_so_everywhere_under_ebpf_capture()
-> Result<()> {
    conditions::every_condition(Capture::Ebpf)
}

#[test]
fn a_denial_wins_over_a_permission_and_the_first_denial_is_named_under_iptables_capture()
-> Result<()> {
    conditions::order(Capture::Iptables)
}

#[test]
fn a_denial_wins_over_a_permission_and_the_first_denial_is_named_under_ebpf_capture() -> Result<()>
{
    conditions::order(Capture::Ebpf)
}

#[test]
fn dry_run_is_logged_and_never_enforced_under_iptables_capture() -> Result<()> {
    dry_run::logged(Capture::Iptables)
}

#[test]
fn dry_run_is_logged_and_never_enforced_under_ebpf_capture() -> Result<()> {
    dry_run::logged(Capture::Ebpf)
}

#[test]
fn a_policy_is_for_the_mesh_for_its_namespace_or_for_workloads_that_list_it_under_iptables_capture()
-> Result<()> {
    scopes::scopes(Capture::Iptables)
}

#[test]
fn a_policy_is_for_the_mesh_for_its_namespace_or_for_workloads_that_list_it_under_ebpf_capture()
-> Result<()> {
    scopes::scopes(Capture::Ebpf)
}

#[test]
fn all_three_scopes_are_asked_and_permissions_add_up_under_iptables_capture() -> Result<()> {
    scopes::additive(Capture::Iptables)
}

#[test]
fn all_three_scopes_are_asked_and_permissions_add_up_under_ebpf_capture() -> Result<()> {
    scopes::additive(Capture::Ebpf)
}

#[test]
fn strict_blocks_plain_text_and_lets_mutual_tls_pass_under_iptables_capture() -> Result<()> {
    scopes::strict(Capture::Iptables)
}

#[test]
fn strict_blocks_plain_text_and_lets_mutual_tls_pass_under_ebpf_capture() -> Result<()> {
    scopes::strict(Capture::Ebpf)
}
