//! What good Pods, Services, EndpointSlices and their like come to.

use std::{net::IpAddr, sync::Arc};

use super::{good, object};
use crate::objects::{
    AppProtocol, ContainerPort, EndpointSlice, IpFamily, IpFamilyPolicy, Object, Phase, Pod,
    Selector, Service, ServicePort, ServiceType, SliceEndpoint, SlicePort, TargetPort,
    TrafficDistribution,
};

fn pod(rest: &str) -> Pod {
    let text = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\n{rest}");
    let Object::Pod(pod) = good(&text) else {
        panic!("another kind")
    };
    Arc::unwrap_or_clone(pod)
}

fn service(rest: &str) -> Service {
    let text = format!("apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\n{rest}");
    let Object::Service(service) = good(&text) else {
        panic!("another kind")
    };
    Arc::unwrap_or_clone(service)
}

fn ips(ips: &[&str]) -> Vec<IpAddr> {
    ips.iter().map(|ip| ip.parse().unwrap()).collect()
}

#[test]
fn a_pod_is_read_whole() {
    let read = pod("
spec:
  nodeName: node-1
  serviceAccountName: web
  serviceAccount: web
  hostNetwork: false
  initContainers:
  - {name: setup, ports: [{containerPort: 1}]}
  - {name: sidecar, restartPolicy: Always, ports: [{containerPort: 2, name: side}]}
  containers:
  - name: web
    ports:
    - {containerPort: 8080, name: http}
    - {containerPort: 53, protocol: UDP}
  - {name: other}
status:
  phase: Pending
  podIP: 10.0.0.1
  podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]
  conditions:
  - {type: Initialized, status: 'True'}
  - {type: Ready, status: False, reason: ContainersNotReady}
");
    let port = |name: &str, port, tcp| ContainerPort {
        name: name.to_owned(),
        port,
        tcp,
    };
    let expected = Pod {
        meta: read.meta.clone(),
        node: "node-1".into(),
        service_account: "web".into(),
        host_network: false,
        ports: vec![
            port("http", 8080, true),
            port("", 53, false),
            port("side", 2, true),
        ],
        ips: ips(&["10.0.0.1", "fd00::1"]),
        phase: Phase::Pending,
        ready: false,
    };
    assert_eq!(read, expected);
}

#[test]
fn a_pod_that_says_little_runs_and_is_ready() {
    let read = pod("spec: {}\n");
    assert_eq!(
        read,
        Pod {
            meta: read.meta.clone(),
            ..Pod::default()
        }
    );
    assert_eq!(&*read.service_account, "default");
    assert!(read.ready && read.phase == Phase::Running);
    let read =
        pod("spec: {serviceAccount: old, nodeName: ''}\nstatus: {podIP: 10.0.0.2, podIPs: null}\n");
    assert_eq!((&*read.service_account, &*read.node), ("old", ""));
    assert_eq!(read.ips, ips(&["10.0.0.2"]));
    assert_eq!(pod("spec: {}\nstatus: {podIP: ''}\n").ips, ips(&[]));
}

#[test]
fn a_service_is_read_whole() {
    let read = service(
        "
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, 'fd00::10']
  externalIPs: [192.0.2.1]
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: grpc-x, port: 81, targetPort: api}
  - {name: db, port: 82, appProtocol: mysql, protocol: TCP}
  - {name: same, port: 83, targetPort: 83}
  - {name: zero, port: 84, targetPort: 0}
  - {name: dns, port: 80, protocol: UDP}
  selector: {app: web}
  publishNotReadyAddresses: true
  internalTrafficPolicy: Local
  trafficDistribution: PreferSameNode
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 1}}
status:
  loadBalancer:
    ingress: [{ip: 198.51.100.1}, {hostname: lb.example.com}]
",
    );
    let port = |name: &str, port, target, protocol| ServicePort {
        name: name.to_owned(),
        port,
        target,
        protocol,
    };
    let named = TargetPort::Name("api".to_owned());
    let expected = Service {
        meta: read.meta.clone(),
        kind: ServiceType::LoadBalancer,
        cluster_ips: ips(&["10.96.0.10", "fd00::10"]),
        headless: false,
        external_ips: ips(&["192.0.2.1"]),
        external_name: String::new(),
        ports: vec![
            port("http", 80, TargetPort::Number(8080), AppProtocol::Http11),
            port("grpc-x", 81, named, AppProtocol::Grpc),
            port("db", 82, TargetPort::Same, AppProtocol::Tcp),
            port("same", 83, TargetPort::Same, AppProtocol::Unknown),
            port("zero", 84, TargetPort::Same, AppProtocol::Unknown),
        ],
        selector: Some(Selector([("app".to_owned(), "web".to_owned())].into())),
        publish_not_ready: true,
        internal_local: true,
        distribution: Some(TrafficDistribution::SameNode),
        families: vec![IpFamily::V4, IpFamily::V6],
        family_policy: Some(IpFamilyPolicy::RequireDual),
        load_balancer_ips: ips(&["198.51.100.1"]),
    };
    assert_eq!(read, expected);
}

#[test]
fn a_service_has_a_virtual_address_none_or_not_yet_one() {
    let read = service("spec: {clusterIP: None, selector: {a: b}}\n");
    assert!(read.headless && read.cluster_ips.is_empty());
    let read = service("spec: {clusterIP: None, clusterIPs: [None], ports: [{port: 80}]}\n");
    assert!(read.headless && read.cluster_ips.is_empty());
    let read = service("spec: {ports: [{port: 80}]}\n");
    assert!(!read.headless && read.cluster_ips.is_empty() && read.selector.is_none());
    let read = service(
        "spec: {clusterIP: '', clusterIPs: ['fd00::1'], ports: [{port: 80}], selector: {}}\n",
    );
    assert_eq!(read.cluster_ips, ips(&["fd00::1"]));
    assert_eq!(read.selector, None);
}

#[test]
fn an_external_name_needs_no_ports() {
    let read = service("spec: {type: ExternalName, externalName: DB.example.com}\n");
    assert_eq!(read.kind, ServiceType::ExternalName);
    assert_eq!(read.external_name, "db.example.com");
}

#[test]
fn the_annotation_says_what_the_field_does_not() {
    let text = |annotation: &str, spec: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations:\n    networking.istio.io/traffic-distribution: {annotation}\nspec: {{ports: [{{port: 80}}]{spec}}}\n"
        )
    };
    let distribution = |annotation, spec| match object(&text(annotation, spec)) {
        (Object::Service(service), warnings) => (service.distribution, warnings),
        other => panic!("{other:?}"),
    };
    let none = Vec::<String>::new();
    assert_eq!(
        distribution("preferclose", ""),
        (Some(TrafficDistribution::Close), none.clone())
    );
    assert_eq!(distribution("Any", ""), (None, none.clone()));
    assert_eq!(
        distribution("PreferSameNode", ", trafficDistribution: PreferSameZone"),
        (Some(TrafficDistribution::SameZone), none)
    );
    assert_eq!(
        distribution("PreferFar", ""),
        (
            None,
            vec![
                "m.yaml:6:47: Service default/a: metadata.annotations[\"networking.istio.io/traffic-distribution\"]: not known, expected PreferClose or PreferSameZone or PreferSameNode or Any; ignored"
                    .to_owned()
            ]
        )
    );
}

#[test]
fn an_endpoint_slice_is_read_whole() {
    let text = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports:
- {name: http, port: 8080, protocol: TCP}
- {name: '', port: 9090}
- {name: dns, port: 53, protocol: UDP}
endpoints:
- addresses: [10.0.0.1]
  conditions: {ready: true, serving: true, terminating: false}
  nodeName: node-1
  zone: z
  hints: {forZones: [{name: z}]}
  targetRef: {kind: Pod, name: web-1, namespace: other, uid: x}
- addresses: [10.0.0.2, 10.0.0.3]
  conditions: {ready: false, terminating: true}
  targetRef: {kind: Pod, name: web-2}
- addresses: [10.0.0.4]
  conditions: {ready: null}
  targetRef: {kind: Node, name: n}
";
    let Object::EndpointSlice(read) = good(text) else {
        panic!()
    };
    let endpoint =
        |addresses: &[&str], ready, terminating, pod: Option<(&str, &str)>, node: &str| {
            SliceEndpoint {
                addresses: ips(addresses),
                ready,
                terminating,
                pod: pod.map(|(namespace, name)| (namespace.into(), name.into())),
                node: node.into(),
            }
        };
    let port = |name: &str, port| SlicePort {
        name: name.to_owned(),
        port,
    };
    let expected = EndpointSlice {
        meta: read.meta.clone(),
        endpoints: vec![
            endpoint(
                &["10.0.0.1"],
                true,
                false,
                Some(("other", "web-1")),
                "node-1",
            ),
            endpoint(
                &["10.0.0.2", "10.0.0.3"],
                false,
                true,
                Some(("shop", "web-2")),
                "",
            ),
            endpoint(&["10.0.0.4"], true, false, None, ""),
        ],
        ports: vec![port("http", 8080), port("", 9090)],
    };
    assert_eq!(*read, expected);
}

#[test]
fn endpoints_that_are_names_are_warned_of() {
    let (read, warnings) = object(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\naddressType: FQDN\nendpoints: [{addresses: [db.example.com]}]\nports: [{name: p}]\n",
    );
    let Object::EndpointSlice(read) = read else {
        panic!()
    };
    assert!(read.endpoints.is_empty() && read.ports.is_empty());
    assert_eq!(
        warnings,
        [
            "m.yaml:4:14: EndpointSlice default/a: addressType: endpoints of this type have no addresses that a mesh could know, ignored",
            "m.yaml:6:9: EndpointSlice default/a: ports[0]: a port without a number leads nowhere, ignored"
        ]
    );
}

#[test]
fn namespaces_nodes_and_accounts_are_their_metadata() {
    for (text, name) in [
        (
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\nspec: {finalizers: [kubernetes]}\nstatus: {phase: Active}\n",
            "Namespace a",
        ),
        (
            "apiVersion: v1\nkind: Node\nmetadata: {name: a}\nspec: {podCIDR: 10.0.0.0/24}\nstatus: {x: [1]}\n",
            "Node a",
        ),
        (
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\nsecrets: [{name: x}]\n",
            "ServiceAccount default/a",
        ),
    ] {
        assert_eq!(good(text).key().to_string(), name);
    }
}
