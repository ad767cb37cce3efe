//! What an object is, before it is read.

use super::{Content, document, good, ignored, items, object, refused};
use crate::objects::{Kind, Meta, ObjectKey, OwnerReference};

#[test]
fn metadata_is_read_whole() {
    let text = r#"
apiVersion: v1
kind: Pod
metadata:
  name: web-1
  generateName: web-
  namespace: shop
  uid: 0b5ce1c5-5f0d-4f0e-9f4c-2f6d4c6f9d7e
  labels: {app: web, app.kubernetes.io/name: web, empty: ""}
  annotations:
    istio.io/dry-run: "true"
    ambient.istio.io/redirection: enabled
    kubectl.kubernetes.io/last-applied-configuration: |
      {"kind": "Pod"}
  creationTimestamp: "2026-01-31T12:00:00Z"
  deletionTimestamp: "2026-01-31T13:00:00+01:00"
  ownerReferences:
    - {apiVersion: v1, kind: Other, name: other, uid: x}
    - {apiVersion: apps/v1, kind: ReplicaSet, name: web-5d4, uid: y, controller: true, blockOwnerDeletion: true}
    - {apiVersion: v1, kind: Another, name: another, uid: z, controller: false}
spec: {}
"#;
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = Meta {
        name: "web-1".into(),
        namespace: "shop".into(),
        uid: "0b5ce1c5-5f0d-4f0e-9f4c-2f6d4c6f9d7e".to_owned(),
        labels: [
            label("app", "web"),
            label("app.kubernetes.io/name", "web"),
            label("empty", ""),
        ]
        .into(),
        annotations: [
            label("istio.io/dry-run", "true"),
            label("ambient.istio.io/redirection", "enabled"),
        ]
        .into(),
        created: 1_769_860_800,
        terminating: true,
        owner: Some(OwnerReference {
            kind: "ReplicaSet".to_owned(),
            name: "web-5d4".to_owned(),
        }),
    };
    assert_eq!(*good(text).meta(), expected);
}

#[test]
fn what_a_manifest_leaves_out_has_its_default() {
    let pod = good("apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: null}\nspec: {}\n");
    let expected = Meta {
        name: "a".into(),
        namespace: "default".into(),
        ..Meta::default()
    };
    assert_eq!(*pod.meta(), expected);
    let node = good("apiVersion: v1\nkind: Node\nmetadata: {name: n.example}\n");
    assert_eq!(node.key(), ObjectKey::new(Kind::Node, "", "n.example"));
}

#[test]
fn a_cluster_scoped_object_has_no_namespace() {
    let (namespace, warnings) =
        object("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  namespace: x\n");
    assert_eq!(namespace.key(), ObjectKey::new(Kind::Namespace, "", "shop"));
    assert_eq!(
        warnings,
        [
            "m.yaml:5:14: Namespace shop: metadata.namespace: an object of this kind has no namespace, ignored"
        ]
    );
}

#[test]
fn metadata_is_validated_as_kubernetes_does() {
    let long = "a".repeat(64);
    let expected_value = "expected at most 63 letters, digits, hyphens, dots and underscores that begin and end with a letter or digit";
    let expected_key = "expected a name of letters, digits, hyphens, dots and underscores, with or without a prefix such as example.com/";
    let subdomain = "expected at most 253 lower-case letters, digits, hyphens and dots, the latter two only inside";
    let label =
        "expected at most 63 lower-case letters, digits and hyphens, the latter only inside";
    for (metadata, error) in [
        (
            "{name: A}".to_owned(),
            format!("4:10: Pod: metadata.name: found \"A\", {subdomain}"),
        ),
        (
            "{}".to_owned(),
            "4:3: Pod: metadata.name: missing, expected the object's name".to_owned(),
        ),
        (
            "{name: a, namespace: a.b}".to_owned(),
            format!("4:24: Pod a.b/a: metadata.namespace: found \"a.b\", {label}"),
        ),
        (
            "{name: a, labels: {a b: x}}".to_owned(),
            format!("4:22: Pod default/a: metadata.labels[\"a b\"]: found \"a b\", {expected_key}"),
        ),
        (
            format!("{{name: a, labels: {{x: {long}}}}}"),
            format!("4:25: Pod default/a: metadata.labels.x: found \"{long}\", {expected_value}"),
        ),
        (
            "{name: a, labels: {x: -y}}".to_owned(),
            format!("4:25: Pod default/a: metadata.labels.x: found \"-y\", {expected_value}"),
        ),
        (
            "{name: a, labels: [x]}".to_owned(),
            "4:21: Pod default/a: metadata.labels: found a list of 1, expected a mapping of label names to values"
                .to_owned(),
        ),
        (
            "{name: a, annotations: {x: [y]}}".to_owned(),
            "4:30: Pod default/a: metadata.annotations.x: found a list of 1, expected a text".to_owned(),
        ),
        (
            "{name: a, creationTimestamp: yesterday}".to_owned(),
            "4:32: Pod default/a: metadata.creationTimestamp: found \"yesterday\", expected a time such as 2026-01-31T12:00:00Z"
                .to_owned(),
        ),
        (
            "{name: a, ownerReferences: [{name: x}]}".to_owned(),
            "4:31: Pod default/a: metadata.ownerReferences[0].kind: missing, expected the owner's kind"
                .to_owned(),
        ),
        (
            "{name: a, name: b}".to_owned(),
            "4:13: Pod default/a: metadata.name: found \"name\", which line 4 has already, expected each key once"
                .to_owned(),
        ),
        (
            "[a]".to_owned(),
            "4:3: Pod: metadata: found a list of 1, expected a mapping with name".to_owned(),
        ),
    ] {
        let text = format!("apiVersion: v1\nkind: Pod\nmetadata:\n  {metadata}\nspec: {{}}\n");
        assert_eq!(refused(&text), format!("m.yaml:{error}"), "{metadata}");
    }
    assert_eq!(
        refused("apiVersion: v1\nkind: Pod\nspec: {}\n"),
        "m.yaml:1:1: Pod: metadata: missing, expected a mapping with name"
    );
    assert_eq!(
        refused("apiVersion: v1\nkind: Service\nmetadata: {name: a.b}\nspec: {}\n"),
        format!("m.yaml:3:18: Service a.b: metadata.name: found \"a.b\", {label}")
    );
}

#[test]
fn a_refused_object_is_known_by_its_key_where_that_can_be_told() {
    let key = |text| items(text).pop().unwrap().key;
    assert_eq!(
        key("apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: 1}\n"),
        Some(ObjectKey::new(Kind::Pod, "default", "a"))
    );
    assert_eq!(
        key("apiVersion: v1\nkind: Node\nmetadata: {name: a, namespace: x, uid: []}\n"),
        Some(ObjectKey::new(Kind::Node, "", "a"))
    );
    assert_eq!(
        key("apiVersion: v1\nkind: Pod\nmetadata: {name: A}\n"),
        None
    );
    assert_eq!(
        key("apiVersion: v1\nkind: Pod\nmetadata: {name: [a]}\n"),
        None
    );
    assert_eq!(
        key("apiVersion: v9\nkind: Pod\nmetadata: {name: a}\n"),
        Some(ObjectKey::new(Kind::Pod, "default", "a"))
    );
}

#[test]
fn what_is_no_kubernetes_object_is_refused() {
    let document = "a Kubernetes object with apiVersion, kind and metadata";
    for (text, error) in [
        (
            "- a\n",
            format!("1:1: top level: found a list of 1, expected {document}"),
        ),
        ("x", format!("1:1: top level: found \"x\", expected {document}")),
        (
            "kind: Pod\n",
            "1:1: apiVersion: missing, expected the version of the object's API, such as v1".to_owned(),
        ),
        (
            "apiVersion: v1\n",
            "1:1: kind: missing, expected the object's kind, such as Pod".to_owned(),
        ),
        (
            "apiVersion: v1\nkind: [Pod]\n",
            "2:7: kind: found a list of 1, expected a text".to_owned(),
        ),
        (
            "apiVersion: v2\nkind: Pod\nmetadata: {name: a, namespace: n}\n",
            "1:13: Pod n/a: apiVersion: found \"v2\", expected v1".to_owned(),
        ),
        (
            "apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\nmetadata: {name: a}\n",
            "1:13: EndpointSlice default/a: apiVersion: found \"discovery.k8s.io/v1beta1\", expected discovery.k8s.io/v1"
                .to_owned(),
        ),
    ] {
        assert_eq!(refused(text), format!("m.yaml:{error}"));
    }
}

#[test]
fn malformed_yaml_is_one_finding_without_an_object() {
    let part = yaml::parts("a: 1\n---\nb: [\n").nth(1).unwrap();
    let finding = document("m.yaml", &part).unwrap_err();
    assert!(finding.refused && finding.object.is_none());
    assert!(
        finding.text.starts_with("m.yaml:3:") && finding.text.contains("malformed YAML"),
        "{}",
        finding.text
    );
}

#[test]
fn documents_in_which_nothing_is_said_are_nothing() {
    assert!(items("---\n# x\n---\nnull\n---\n~\n").is_empty());
}

#[test]
fn a_list_holds_objects_of_any_kind() {
    let text = "
apiVersion: v1
kind: List
metadata: {resourceVersion: ''}
items:
  - {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {}}
  - {apiVersion: v1, kind: Secret, metadata: {name: b}}
  - {apiVersion: v1, kind: Pod, metadata: {name: c}, spec: {hostNetwork: 1}}
  - {apiVersion: v1, kind: Namespace, metadata: {name: d}}
";
    let items = items(text);
    let keys: Vec<_> = items
        .iter()
        .map(|item| {
            (
                item.key.as_ref().map(ToString::to_string),
                item.position.line,
            )
        })
        .collect();
    assert_eq!(
        keys,
        [
            (Some("Pod default/a".to_owned()), 6),
            (None, 7),
            (Some("Pod default/c".to_owned()), 8),
            (Some("Namespace d".to_owned()), 9)
        ]
    );
    match &items[2].content {
        Content::Refused(finding) => assert_eq!(
            finding.text,
            "m.yaml:8:74: Pod default/c: items[2].spec.hostNetwork: found \"1\", expected true or false"
        ),
        content @ (Content::Good(_) | Content::Ignored) => panic!("{content:?}"),
    }
    assert_eq!(
        refused("apiVersion: v1\nkind: List\nitems: x\n"),
        "m.yaml:3:8: List: items: found \"x\", expected a list of Kubernetes objects"
    );
}

#[test]
fn other_kinds_are_told_of_or_not() {
    let of = |version: &str, kind: &str| {
        ignored(&format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x, namespace: n}}\nspec: {{a: 1, a: 2}}\n"
        ))
    };
    for (version, kind) in [
        ("apps/v1", "Deployment"),
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ] {
        assert_eq!(of(version, kind), Vec::<String>::new(), "{kind}");
    }
    assert_eq!(
        of("networking.istio.io/v1", "Sidecar"),
        ["m.yaml:1:1: Sidecar n/x: not enforced by this controller yet"]
    );
    assert_eq!(
        of("v1", "Endpoints"),
        ["m.yaml:1:1: Endpoints n/x: not read, expected an EndpointSlice in its place"]
    );
    assert_eq!(
        of("example.com/v1", "Pod"),
        ["m.yaml:1:1: Pod n/x: no kind of example.com/v1 that is known, ignored"]
    );
}

#[test]
fn unknown_fields_are_warned_of_by_their_path() {
    let (_, warnings) = object(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, lables: {}}\nspecc: {}\nspec:\n  hostNetwrk: true\n  containers:\n  - {name: c, imagge: x, ports: [{containerPort: 80, nme: x}]}\n",
    );
    assert_eq!(
        warnings,
        [
            "m.yaml:3:21: Pod default/a: metadata.lables: unknown field, ignored (did you mean labels?)",
            "m.yaml:4:1: Pod default/a: specc: unknown field, ignored (did you mean spec?)",
            "m.yaml:6:3: Pod default/a: spec.hostNetwrk: unknown field, ignored (did you mean hostNetwork?)",
            "m.yaml:8:15: Pod default/a: spec.containers[0].imagge: unknown field, ignored (did you mean image?)",
            "m.yaml:8:54: Pod default/a: spec.containers[0].ports[0].nme: unknown field, ignored (did you mean name?)",
        ]
    );
}

#[test]
fn a_key_that_comes_twice_is_refused_where_nobody_looks() {
    assert_eq!(
        refused(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  volumes:\n  - {name: a, name: b}\n"
        ),
        "m.yaml:6:15: Pod default/a: spec.volumes[0].name: found \"name\", which line 6 has already, expected each key once"
    );
}

#[test]
fn only_the_config_map_of_the_mesh_is_its_configuration() {
    let of = |metadata: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {metadata}\ndata: {{mesh: 'trustDomain: evil'}}\n"
        )
    };
    for metadata in [
        "{name: istio, namespace: ''}",
        "{name: istio, namespace: null}",
        "{name: istio}",
        "{name: istio, namespace: shop}",
    ] {
        assert_eq!(ignored(&of(metadata)), Vec::<String>::new(), "{metadata}");
    }
    for metadata in ["{name: [istio]}", "{name: istio, namespace: A}"] {
        refused(&of(metadata));
    }
}
