//! The text of the configuration file.

use serde_json::json;

use super::{Mesh, ServiceSpec};

fn mesh() -> Mesh {
    let mut mesh = Mesh::default();
    mesh.insert_workload("web", json!({"name": "web", "services": {}}));
    mesh
}

#[test]
fn ports_are_written_as_numbers_and_names_as_text() {
    let mut mesh = mesh();
    mesh.service(&ServiceSpec::new("web").port(80, 8080).backend("web"));
    let text = mesh.to_yaml();
    assert!(text.contains("80: 8080"), "{text}");
    assert!(
        text.contains("\"default/web.default.svc.cluster.local\": {"),
        "{text}"
    );
    assert!(!text.contains("\"80\""), "{text}");
}

#[test]
fn a_text_with_quotes_and_newlines_is_escaped() {
    let mut mesh = mesh();
    mesh.workload("web").expect("it is there")["name"] = json!("a \"b\"\n# c");
    assert!(
        mesh.to_yaml().contains(r##""a \"b\"\n# c""##),
        "{}",
        mesh.to_yaml()
    );
}

#[test]
fn services_get_addresses_of_their_own_and_tell_them() {
    let mut mesh = mesh();
    let one = mesh.service(&ServiceSpec::new("one"));
    let two = mesh.service(&ServiceSpec::new("two").namespace("shop"));
    assert_ne!(one, two);
    assert_eq!(mesh.vip("default", "one"), Some(one));
    assert_eq!(mesh.vip("shop", "two"), Some(two));
    assert_eq!(mesh.vip("default", "two"), None);
}

#[test]
fn the_last_policy_of_a_name_stays() {
    let mut mesh = mesh();
    mesh.policy(json!({"name": "p", "namespace": "default", "action": "Allow"}));
    mesh.policy(json!({"name": "p", "namespace": "other", "action": "Allow"}));
    mesh.policy(json!({"name": "p", "namespace": "default", "action": "Deny"}));
    let text = mesh.to_yaml();
    assert_eq!(
        (text.matches("Deny").count(), text.matches("Allow").count()),
        (1, 1),
        "{text}"
    );
    mesh.remove_policy("default", "p");
    assert!(!mesh.to_yaml().contains("Deny"));
}

#[test]
fn the_proxys_own_reader_takes_the_file() {
    let mut mesh = mesh();
    let workload = json!({
        "uid": "Kubernetes//Pod/default/web", "name": "web", "namespace": "default", "serviceAccount": "web",
        "trustDomain": "cluster.local", "workloadIps": ["10.10.2.10", "fd00:10:2::a"], "protocol": "HBONE",
        "node": "node2", "workloadType": "deployment", "clusterId": "Kubernetes", "services": {},
    });
    mesh.insert_workload("web", workload);
    mesh.service(
        &ServiceSpec::new("web")
            .port(80, 8080)
            .port(443, 8443)
            .backend("web"),
    );
    mesh.policy(json!({
        "name": "p", "namespace": "default", "scope": "Namespace", "action": "Allow",
        "rules": [[[{"principals": [{"exact": "cluster.local/ns/default/sa/client"}]}]]],
    }));
    let read = control::file::parse(&mesh.to_yaml(), "mesh.yaml").expect("a file");
    assert_eq!(
        (
            read.workloads.len(),
            read.services.len(),
            read.policies.len()
        ),
        (1, 1, 1)
    );
    assert!(read.warnings.is_empty(), "{:?}", read.warnings);
}
