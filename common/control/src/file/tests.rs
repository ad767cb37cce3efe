//! Tests of the local file: its format, its mistakes, its changes and the task that follows it.

mod changes;
mod following;
mod format;
mod mistakes;
mod mutation;
mod policies;

/// A workload that lacks nothing, as lines of a `workloads` list; its namespace is `default`, its network nameless.
fn workload(name: &str, ip: &str) -> String {
    format!(
        "- uid: {name}\n  name: {name}\n  namespace: default\n  workloadIps: [\"{ip}\"]\n  protocol: HBONE\n  services: {{}}\n"
    )
}

/// A policy that lacks nothing, as lines of a `policies` list; its namespace is `default`.
fn policy(name: &str, action: &str, rules: &str) -> String {
    format!(
        "- name: {name}\n  namespace: default\n  scope: Namespace\n  action: {action}\n  rules: {rules}\n"
    )
}
