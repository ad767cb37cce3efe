//! What good WorkloadEntries and ServiceEntries come to.

use std::sync::Arc;

use super::{good, object, refused};
use crate::objects::{
    Address, AppProtocol, Endpoint, EntryPort, Location, Object, Resolution, Selector,
    ServiceEntry, WorkloadEntry,
};

fn service_entry(spec: &str) -> ServiceEntry {
    let Object::ServiceEntry(entry) = good(&manifest(spec)) else {
        panic!("another kind")
    };
    Arc::unwrap_or_clone(entry)
}

fn manifest(spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: a}}\nspec:\n  {spec}\n"
    )
}

fn label(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn a_workload_entry_is_read_whole() {
    let text = "
apiVersion: networking.istio.io/v1beta1
kind: WorkloadEntry
metadata: {name: vm, namespace: vms, labels: {app: meta, tier: db}}
spec:
  address: 192.0.2.7
  ports: {http: 8080}
  labels: {app: vm}
  network: vms
  locality: eu/eu-1/rack-1
  weight: 3
  serviceAccount: vm
status: {conditions: []}
";
    let Object::WorkloadEntry(read) = good(text) else {
        panic!()
    };
    let expected = WorkloadEntry {
        meta: read.meta.clone(),
        endpoint: Endpoint {
            address: Some(Address::Ip("192.0.2.7".parse().unwrap())),
            ports: [("http".to_owned(), 8080)].into(),
            labels: [label("app", "vm"), label("tier", "db")].into(),
            network: "vms".to_owned(),
            locality: "eu/eu-1/rack-1".to_owned(),
            weight: Some(3),
            service_account: "vm".into(),
        },
    };
    assert_eq!(*read, expected);
}

#[test]
fn a_workload_entry_may_be_a_name_or_lie_behind_a_network() {
    let endpoint = |spec: &str| {
        let head = "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: a}";
        let Object::WorkloadEntry(entry) = good(&format!("{head}\nspec: {spec}\n")) else {
            panic!("another kind")
        };
        entry.endpoint.clone()
    };
    assert_eq!(
        endpoint("{address: VM.example.com}").address,
        Some(Address::Host("vm.example.com".to_owned()))
    );
    assert_eq!(endpoint("{network: far}").address, None);
}

#[test]
fn a_service_entry_is_read_whole() {
    let text = "
apiVersion: networking.istio.io/v1alpha3
kind: ServiceEntry
metadata: {name: db, namespace: shop}
spec:
  hosts: [DB.example.com, other.example.com]
  addresses: [240.240.0.1, 10.1.2.3/8]
  ports:
  - {number: 3306, name: mysql, protocol: MYSQL, targetPort: 3307}
  - {number: 80, name: http, protocol: http}
  - {number: 81, name: quiet}
  - {number: 53, name: dns, protocol: UDP}
  location: MESH_INTERNAL
  resolution: STATIC
  exportTo: ['*']
  subjectAltNames: [spiffe://cluster.local/ns/shop/sa/db]
  endpoints:
  - {address: 192.0.2.1, ports: {mysql: 3308}, labels: {version: v1}}
  - {address: 'fd00::1', locality: eu, weight: 0}
status:
  addresses: [{host: db.example.com, value: 240.240.0.5}, {value: '2001:2::5'}]
";
    let Object::ServiceEntry(read) = good(text) else {
        panic!()
    };
    let port = |number, name: &str, target, protocol| EntryPort {
        number,
        name: name.to_owned(),
        target,
        protocol,
    };
    let expected = ServiceEntry {
        meta: read.meta.clone(),
        hosts: vec!["db.example.com".to_owned(), "other.example.com".to_owned()],
        addresses: vec![
            "240.240.0.1/32".parse().unwrap(),
            "10.0.0.0/8".parse().unwrap(),
        ],
        allocated: vec![
            ("db.example.com".to_owned(), "240.240.0.5".parse().unwrap()),
            (String::new(), "2001:2::5".parse().unwrap()),
        ],
        ports: vec![
            port(3306, "mysql", Some(3307), AppProtocol::Tcp),
            port(80, "http", None, AppProtocol::Http11),
            port(81, "quiet", None, AppProtocol::Unknown),
        ],
        location: Location::Internal,
        resolution: Resolution::Static,
        endpoints: vec![
            Endpoint {
                address: Some(Address::Ip("192.0.2.1".parse().unwrap())),
                ports: [("mysql".to_owned(), 3308)].into(),
                labels: [label("version", "v1")].into(),
                ..Endpoint::default()
            },
            Endpoint {
                address: Some(Address::Ip("fd00::1".parse().unwrap())),
                locality: "eu".to_owned(),
                weight: Some(0),
                ..Endpoint::default()
            },
        ],
        selector: None,
        subject_alt_names: vec!["spiffe://cluster.local/ns/shop/sa/db".to_owned()],
    };
    assert_eq!(*read, expected);
}

#[test]
fn a_service_entry_may_select_workloads_or_be_any_of_many_hosts() {
    let read =
        service_entry("{hosts: [a.b], resolution: STATIC, workloadSelector: {labels: {app: x}}}");
    assert_eq!(read.selector, Some(Selector([label("app", "x")].into())));
    let read = service_entry("{hosts: ['*.example.com'], resolution: NONE}");
    assert_eq!(read.hosts, ["*.example.com"]);
    let read = service_entry("{hosts: ['*.example.com'], resolution: DYNAMIC_DNS}");
    assert_eq!(read.resolution, Resolution::DynamicDns);
    let read = service_entry(
        "{hosts: ['*.example.com'], resolution: DNS, endpoints: [{address: proxy.example.com}]}",
    );
    assert_eq!(read.endpoints.len(), 1);
    let read = service_entry("{hosts: [short]}");
    assert_eq!(
        (read.resolution, read.location),
        (Resolution::None, Location::External)
    );
}

#[test]
fn a_static_entry_that_leads_nowhere_is_warned_of() {
    let (_, warnings) = object(&manifest("{hosts: [a.b], resolution: STATIC}"));
    assert_eq!(
        warnings,
        [
            "m.yaml:5:3: ServiceEntry default/a: spec: the resolution STATIC without endpoints and workloadSelector leads nowhere"
        ]
    );
}

#[test]
fn a_service_entry_is_validated_as_istio_does() {
    let hostname = "expected a hostname such as db.example.com or *.example.com";
    for (spec, error) in [
        (
            "{hosts: []}",
            "hosts: found a list of 0, expected a list of at least one hostname",
        ),
        (
            "{resolution: DNS}",
            "spec.hosts: missing, expected a list of at least one hostname",
        ),
        (
            "{hosts: ['*']}",
            &format!("hosts[0]: found \"*\", {hostname}"),
        ),
        (
            "{hosts: ['a.*.b']}",
            &format!("hosts[0]: found \"a.*.b\", {hostname}"),
        ),
        (
            "{hosts: [10.0.0.1]}",
            &format!("hosts[0]: found \"10.0.0.1\", {hostname}"),
        ),
        (
            "{hosts: [a.b], addresses: [10.0.0.0/33]}",
            "spec.addresses[0]: found \"10.0.0.0/33\", expected an IP address or range, such as 10.0.0.1, 10.0.0.0/8 or fd00::/64",
        ),
        (
            "{hosts: [a.b], addresses: [10.0.0.0/8], resolution: DNS}",
            "spec.addresses: found a list of 1, expected single addresses, except with the resolutions NONE and STATIC",
        ),
        (
            "{hosts: [a.b], resolution: Dns}",
            "spec.resolution: found \"Dns\", expected NONE or STATIC or DNS or DNS_ROUND_ROBIN or DYNAMIC_DNS",
        ),
        (
            "{hosts: [a.b], location: INTERNAL}",
            "spec.location: found \"INTERNAL\", expected MESH_EXTERNAL or MESH_INTERNAL",
        ),
        (
            "{hosts: [a.b], endpoints: [{address: 10.0.0.1}]}",
            "spec.endpoints: found a list of 1, expected none with the resolution NONE",
        ),
        (
            "{hosts: [a.b], resolution: STATIC, endpoints: [{address: x.y}]}",
            "spec.endpoints: found a list of 1, expected addresses that are IP addresses, with the resolution STATIC",
        ),
        (
            "{hosts: [a.b], resolution: STATIC, endpoints: [{address: 'unix:///x'}]}",
            "spec.endpoints[0].address: found \"unix:///x\", expected an IP address or a hostname; a mesh does not reach into a unix socket",
        ),
        (
            "{hosts: [a.b], resolution: STATIC, endpoints: [{address: 0.0.0.0}]}",
            "spec.endpoints[0].address: found \"0.0.0.0\", expected the address of one host, or a hostname",
        ),
        (
            "{hosts: [a.b], resolution: STATIC, endpoints: [{address: '::ffff:10.0.0.1'}]}",
            "spec.endpoints[0].address: found \"::ffff:10.0.0.1\", expected the address of one host, or a hostname",
        ),
        (
            "{hosts: [a.b], resolution: STATIC, endpoints: [{}]}",
            "spec.endpoints[0].address: missing, expected an IP address or a hostname, where there is no network",
        ),
        (
            "{hosts: [a.b], resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {x: 1}}]}",
            "spec.endpoints[0].ports.x: found \"x\", expected the name of one of the entry's ports",
        ),
        (
            "{hosts: [a.b], resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {x: 0}}]}",
            "spec.endpoints[0].ports.x: found \"0\", expected a port from 1 to 65535",
        ),
        (
            "{hosts: [a.b], resolution: STATIC, endpoints: [{address: 10.0.0.1, locality: a//b}]}",
            "spec.endpoints[0].locality: found \"a//b\", expected a locality such as region/zone/subzone",
        ),
        (
            "{hosts: [a.b], resolution: STATIC, endpoints: [{address: 10.0.0.1, weight: -1}]}",
            "spec.endpoints[0].weight: found \"-1\", expected a whole number from 0 to 4294967295",
        ),
        (
            "{hosts: [a.b], resolution: STATIC, endpoints: [{address: 10.0.0.1}], workloadSelector: {labels: {a: b}}}",
            "spec.workloadSelector: found a mapping of 1, expected either this or endpoints",
        ),
        (
            "{hosts: ['*.b'], resolution: DNS}",
            "hosts: found a list of 1, expected hostnames without * where DNS is to resolve them",
        ),
        (
            "{hosts: [a.b], resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.b}, {address: c.d}]}",
            "spec.endpoints: found a list of 2, expected at most one with the resolution DNS_ROUND_ROBIN",
        ),
        (
            "{hosts: ['*.b'], resolution: DYNAMIC_DNS, endpoints: [{address: a.b}]}",
            "spec.endpoints: found a list of 1, expected none with the resolution DYNAMIC_DNS",
        ),
        (
            "{hosts: [a.b], ports: [{number: 0, name: a}]}",
            "spec.ports[0].number: found \"0\", expected a port from 1 to 65535",
        ),
        (
            "{hosts: [a.b], ports: [{number: 1}]}",
            "spec.ports[0].name: missing, expected the port's name",
        ),
        (
            "{hosts: [a.b], ports: [{number: 1, name: a}, {number: 1, name: b}]}",
            "spec.ports[1]: found \"1\", which line 5 has already, expected each number of a port once",
        ),
        (
            "{hosts: [a.b], ports: [{number: 1, name: a}, {number: 2, name: a}]}",
            "spec.ports[1]: found \"a\", which line 5 has already, expected each name of a port once",
        ),
        (
            "{hosts: [a.b], ports: [{number: 1, name: a, protocol: SMTP}]}",
            "spec.ports[0].protocol: found \"SMTP\", expected HTTP or HTTPS or HTTP2 or GRPC or GRPC-WEB or TLS or TCP or MONGO or REDIS or MYSQL or UDP",
        ),
    ] {
        let found = refused(&manifest(spec));
        assert!(found.starts_with("m.yaml:5:"), "{found}");
        assert!(found.contains(": ServiceEntry default/a: spec"), "{found}");
        assert!(found.ends_with(error), "{spec}:\n{found}\n{error}");
    }
}

#[test]
fn the_dot_of_the_root_is_no_part_of_a_hostname() {
    let text = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [DB.example.com.]\n  resolution: DNS\n  endpoints: [{address: one.example.com.}]\n";
    let Object::ServiceEntry(entry) = good(text) else {
        panic!("another kind");
    };
    assert_eq!(entry.hosts, ["db.example.com"]);
    let address = Some(Address::Host("one.example.com".to_owned()));
    assert_eq!(entry.endpoints[0].address, address);
    refused(&text.replace("com.]", "com..]"));
}
