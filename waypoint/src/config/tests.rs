//! Tests of the environment: what is read, and what stops the start.

use super::*;

const REQUIRED: [(&str, &str); 4] = [
    ("GATEWAY", "waypoint"),
    ("NAMESPACE", "shop"),
    ("POD_NAME", "waypoint-1"),
    ("INSTANCE_IP", "10.0.0.9"),
];

fn read_with(more: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Config::from_env(REQUIRED.iter().chain(more).map(owned))
}

#[test]
fn four_variables_are_enough() {
    let config = read_with(&[]).unwrap();
    assert_eq!(config.gateway.as_str(), "waypoint");
    assert_eq!(config.service_account.as_str(), "waypoint");
    assert_eq!(config.trust_domain.as_str(), "cluster.local");
    assert_eq!(config.workers.get(), 2);
    assert_eq!(config.xds.address.to_string(), "https://localhost:15012/");
    assert_eq!(config.admin.to_string(), "127.0.0.1:15000");
    assert_eq!(config.drain, Duration::from_secs(5));
}

#[test]
fn every_fault_is_named_at_once() {
    let error = Config::from_env(
        [
            ("INSTANCE_IP", "ten"),
            ("WAYPOINT_WORKER_THREADS", "0"),
            ("LOG_FORMAT", "xml"),
            ("XDS_ADDRESS", "ftp://x"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter(),
    )
    .unwrap_err();
    let said = error.to_string();
    for part in [
        "GATEWAY is not set, expected the name of the Gateway",
        "NAMESPACE is not set",
        "POD_NAME is not set",
        "INSTANCE_IP=\"ten\", expected an IP address",
        "WAYPOINT_WORKER_THREADS=\"0\", expected a number from 1 to 1024",
        "LOG_FORMAT=\"xml\", expected text, plain or json",
        "XDS_ADDRESS=\"ftp://x\"",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn in_kubernetes_the_default_servers_are_istiods() {
    let config = read_with(&[("KUBERNETES_SERVICE_HOST", "10.0.0.1")]).unwrap();
    assert_eq!(config.ca.address.host(), Some("istiod.istio-system.svc"));
}

#[test]
fn a_port_and_a_scheme_may_be_left_out() {
    let config = read_with(&[("XDS_ADDRESS", "control"), ("CA_ADDRESS", "http://ca:80")]).unwrap();
    assert_eq!(config.xds.address.to_string(), "https://control:15012/");
    assert_eq!(config.ca.address.to_string(), "http://ca:80/");
}

#[test]
fn a_share_of_the_cpus_is_at_least_one_worker() {
    assert_eq!(
        read_with(&[("WAYPOINT_WORKER_THREADS", "1%")])
            .unwrap()
            .workers
            .get(),
        1
    );
}

#[test]
fn the_readme_has_the_table_of_variables() {
    let readme = include_str!("../../README.md");
    let row = |(name, default, meaning): &(&str, Option<&str>, &str)| {
        let default = default.filter(|it| !it.is_empty());
        let default = default.map_or_else(String::new, |it| format!("`{it}`"));
        format!("| `{name}` | {default} | {meaning} |")
    };
    let expected: Vec<String> = VARIABLES.iter().map(row).collect();
    let (_, table) = readme
        .split_once("| variable | default | meaning |\n|---|---|---|\n")
        .unwrap();
    let found: Vec<&str> = table
        .lines()
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn roots_for_hosts_of_keys_are_a_file_or_a_text_or_the_systems() {
    let roots = |value: &str| read_with(&[("JWKS_ROOT_CA", value)]).unwrap().jwks_roots;
    assert_eq!(roots(""), Roots::System);
    assert_eq!(roots("/etc/ca.pem"), Roots::File("/etc/ca.pem".into()));
    let text = "-----BEGIN CERTIFICATE-----";
    assert_eq!(roots(text), Roots::Pem(text.to_owned()));
}
