//! What manifests say of a mesh, and what they cannot.

use serde_json::json;

use super::*;
use crate::mesh::ServiceSpec;

fn workload(name: &str) -> Value {
    json!({
        "uid": format!("Kubernetes//Pod/default/{name}"), "name": name, "namespace": "default",
        "serviceAccount": name, "trustDomain": "cluster.local", "workloadIps": ["10.0.0.1"],
        "protocol": "HBONE", "node": "node1", "canonicalName": name, "canonicalRevision": "latest",
        "workloadName": name, "workloadType": "deployment", "clusterId": "Kubernetes", "services": {},
    })
}

fn mesh() -> Mesh {
    let mut mesh = Mesh::default();
    mesh.insert_workload("web", workload("web"));
    mesh.service(&ServiceSpec::new("web").port(80, 8080).backend("web"));
    mesh
}

fn of_kind(objects: &[Value], kind: &str) -> Vec<Value> {
    let all = objects.iter().filter(|object| object["kind"] == kind);
    all.cloned().collect()
}

fn rendered(rules: Value) -> Result<Value> {
    policy::policy(&json!({
        "name": "p", "namespace": "prod", "scope": "Namespace", "action": "Allow", "rules": rules,
    }))
}

#[test]
fn service_selects_its_pods_where_all_serve_it_alike() {
    let objects = objects(&mesh(), 1).unwrap();
    let service = &of_kind(&objects, "Service")[0];
    let pod = &of_kind(&objects, "Pod")[0];
    let selector = service["spec"]["selector"].as_object().unwrap();
    for (label, value) in selector {
        assert_eq!(&pod["metadata"]["labels"][label], value);
    }
    assert_eq!(selector.len(), 1);
    assert_eq!(service["spec"]["ports"][0]["targetPort"], 8080);
    assert!(of_kind(&objects, "EndpointSlice").is_empty());
}

#[test]
fn service_lists_its_pods_where_one_serves_it_otherwise() {
    let mut mesh = mesh();
    mesh.workload("web").unwrap()["services"]["default/web.default.svc.cluster.local"] =
        json!({"80": 9090});
    let objects = objects(&mesh, 1).unwrap();
    assert!(of_kind(&objects, "Service")[0]["spec"]["selector"].is_null());
    let slices = of_kind(&objects, "EndpointSlice");
    assert_eq!(slices.len(), 1);
    assert_eq!(
        slices[0]["ports"],
        json!([{"name": "tcp-80", "port": 9090}])
    );
}

#[test]
fn policy_is_said_with_the_fields_that_istio_has() {
    let made = rendered(json!([[
        [{"principals": [{"exact": "td/ns/a/sa/b"}], "destinationPorts": [80]}],
        [{"notNamespaces": [{"prefix": "x"}]}],
    ]]));
    assert_eq!(
        made.unwrap()["spec"]["rules"],
        json!([{
            "from": [{"source": {"principals": ["td/ns/a/sa/b"]}}],
            "to": [{"operation": {"ports": ["80"]}}],
            "when": [{"key": "source.namespace", "notValues": ["x*"]}],
        }])
    );
}

#[test]
fn empty_policies_stay_what_they_were() {
    assert_eq!(
        rendered(json!([])).unwrap()["spec"],
        json!({"action": "ALLOW"})
    );
    assert_eq!(rendered(json!([[]])).unwrap()["spec"]["rules"], json!([{}]));
    assert_eq!(
        rendered(json!([[[]]])).unwrap()["spec"]["rules"],
        json!([{}])
    );
}

#[test]
fn what_no_manifest_can_say_is_refused_by_name() {
    let error = rendered(json!([[[{}]]])).unwrap_err();
    assert_eq!(error.to_string(), "a match without conditions");
    let mut mesh = mesh();
    mesh.workload("web").unwrap()["capacity"] = json!(3);
    assert_eq!(
        format!("{:#}", objects(&mesh, 1).unwrap_err()),
        "workload web: capacity: 3 cannot be said in a manifest"
    );
}

#[test]
fn folder_is_replaced_in_one_step() {
    let folder = std::env::temp_dir().join(format!("lab-manifests-{}", std::process::id()));
    let files = |names: &[&str]| -> BTreeMap<String, String> {
        let all = names.iter();
        all.map(|name| ((*name).to_owned(), format!("of {names:?}")))
            .collect()
    };
    for names in [&["mesh", "policy"][..], &["mesh", "other"], &["mesh"]] {
        replace(&files(names), &folder).unwrap();
        for name in names {
            let text = fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap();
            assert_eq!(text, format!("of {names:?}"));
        }
        // `..data`, the one generation, and the files.
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2 + names.len());
    }
    fs::remove_dir_all(&folder).unwrap();
}
