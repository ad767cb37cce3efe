//! ConfigMaps in, settings out.

mod authorizers;
mod waypoints;

use super::*;
use crate::{
    objects::{LabelSelector, Object as Any},
    read::authorization::tests::read,
};

/// `lines` are those of the key `mesh`, whose text begins in line 6.
fn config_of(lines: &str) -> (Result<MeshConfig, String>, Vec<String>) {
    let mut text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n\
                    data:\n  mesh: |-\n"
            .to_owned();
    for line in lines.lines() {
        text.push_str("    ");
        text.push_str(line);
        text.push('\n');
    }
    let (read, warnings) = read(&text);
    let read = read.map(|it| {
        let Any::MeshConfig(it) = it else {
            panic!("{it:?}")
        };
        (*it).clone()
    });
    (read, warnings)
}

fn good(lines: &str) -> MeshConfig {
    let (read, warnings) = config_of(lines);
    assert_eq!(warnings, [""; 0]);
    MeshConfig {
        meta: Meta::default(),
        ..read.expect("a MeshConfig")
    }
}

#[track_caller]
fn refused(lines: &str, expected: &str) {
    let error = config_of(lines).0.expect_err("it is refused");
    assert!(
        error.starts_with("f.yaml:6:5: ConfigMap istio-system/istio: data.mesh: "),
        "{error}"
    );
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_has_an_effect_is_read_and_the_rest_is_passed_over() {
    let config = good(
        "connectTimeout: 10s\n\
         defaultConfig: {discoveryAddress: istiod.istio-system.svc:15012}\n\
         enablePrometheusMerge: true\n\
         extensionProviders: [{name: x}]\n\
         something: new\n\
         trustDomain: td\n\
         trustDomainAliases: [old-td, cluster.local]\n\
         rootNamespace: mesh-root\n",
    );
    assert_eq!(
        config,
        MeshConfig {
            trust_domain: "td".to_owned(),
            trust_domain_aliases: vec!["old-td".to_owned(), "cluster.local".to_owned()],
            root_namespace: "mesh-root".to_owned(),
            ..MeshConfig::default()
        }
    );
}

#[test]
fn without_settings_all_is_as_by_default() {
    assert_eq!(good(""), MeshConfig::default());
    assert_eq!(good("{}"), MeshConfig::default());
    assert_eq!(good("trustDomain: null"), MeshConfig::default());
    let (read, _) = read(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n\
         data: {meshNetworks: 'networks: {}'}",
    );
    let Ok(Any::MeshConfig(config)) = read else {
        panic!("{read:?}");
    };
    assert_eq!(config.trust_domain, "cluster.local");
}

#[test]
fn visibility_of_entries_is_read() {
    let config = good(
        "serviceEntryVisibility:\n\
         \x20 defaultVisibility: NAMESPACE\n\
         \x20 policies:\n\
         \x20 - visibility: PUBLIC\n\
         \x20   matchingRules: [{namespaceSelector: {matchLabels: {team: a}}}]\n\
         \x20 - visibility: NONE\n\
         \x20   matchingRules: [{namespaceSelector: {matchLabels: {team: b}}}, {}]\n",
    );
    assert_eq!(config.entry_visibility.default, Visibility::Namespace);
    let team = |team: &str| [("team".to_owned(), team.to_owned())].into();
    assert_eq!(
        config.entry_visibility.policies[0].namespaces,
        [Some(LabelSelector {
            labels: team("a"),
            expressions: vec![],
        })]
    );
    assert_eq!(config.entry_visibility.of(&team("a")), Visibility::Public);
    // A rule without a selector never matches.
    assert_eq!(
        config.entry_visibility.of(&team("b")),
        Visibility::Namespace
    );
    assert_eq!(
        MeshConfig::default().entry_visibility.of(&team("a")),
        Visibility::Public
    );
    refused(
        "serviceEntryVisibility: {defaultVisibility: PRIVATE}",
        "serviceEntryVisibility.defaultVisibility: found \"PRIVATE\"",
    );
}

#[test]
fn errors_name_the_line_of_the_field_and_the_path_within() {
    refused(
        "trustDomain: TD",
        "data.mesh: trustDomain: found \"TD\", expected a trust domain",
    );
    refused("trustDomain: ''", "trustDomain: found \"\"");
    refused(
        "trustDomainAliases: [a, b/c]",
        "trustDomainAliases[1]: found \"b/c\"",
    );
    refused("rootNamespace: a.b", "rootNamespace: found \"a.b\"");
    refused(
        "- a",
        "top level: found a list of 1, expected a MeshConfig: a mapping",
    );
    refused("a: [", "expected MeshConfig as YAML");
    refused(
        "trustDomain: a\ntrustDomain: b",
        "trustDomain: found \"trustDomain\", which line 1 has already",
    );
}

#[test]
fn a_misspelt_setting_is_warned_of() {
    let (read, warnings) = config_of("trust_domain: td");
    assert_eq!(read.expect("a MeshConfig").trust_domain, "cluster.local");
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("(did you mean trustDomain?)"),
        "{warnings:?}"
    );
}
