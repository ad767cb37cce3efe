//! What Kubernetes would refuse of Pods, Services and EndpointSlices, and how it is worded.

use super::refused;

fn check(head: &str, cases: &[(&str, &str)]) {
    for (body, error) in cases {
        assert_eq!(
            refused(&format!("{head}\n{body}\n")),
            format!("m.yaml:{error}"),
            "{body}"
        );
    }
}

#[test]
fn pods() {
    check(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}",
        &[
            (
                "",
                "1:1: Pod default/a: spec: missing, expected a mapping with nodeName and containers",
            ),
            (
                "spec: []",
                "4:7: Pod default/a: spec: found a list of 0, expected a mapping with nodeName and containers",
            ),
            (
                "spec: {hostNetwork: yes}",
                "4:21: Pod default/a: spec.hostNetwork: found \"yes\", expected true or false",
            ),
            (
                "spec: {nodeName: n_1}",
                "4:18: Pod default/a: spec.nodeName: found \"n_1\", expected at most 253 lower-case letters, digits, hyphens and dots, the latter two only inside",
            ),
            (
                "spec: {serviceAccountName: a/b}",
                "4:28: Pod default/a: spec.serviceAccountName: found \"a/b\", expected at most 253 lower-case letters, digits, hyphens and dots, the latter two only inside",
            ),
            (
                "spec: {containers: {}}",
                "4:20: Pod default/a: spec.containers: found a mapping of 0, expected a list of containers",
            ),
            (
                "spec: {containers: [{ports: [{name: x}]}]}",
                "4:30: Pod default/a: spec.containers[0].ports[0].containerPort: missing, expected a port from 1 to 65535",
            ),
            (
                "spec: {containers: [{ports: [{containerPort: 65536}]}]}",
                "4:46: Pod default/a: spec.containers[0].ports[0].containerPort: found \"65536\", expected a port from 1 to 65535",
            ),
            (
                "spec: {containers: [{ports: [{containerPort: 1, name: a-name-far-too-long}]}]}",
                "4:55: Pod default/a: spec.containers[0].ports[0].name: found \"a-name-far-too-long\", expected at most 15 lower-case letters, digits and hyphens, at least one of them a letter",
            ),
            (
                "spec: {containers: [{ports: [{containerPort: 1, protocol: tcp}]}]}",
                "4:59: Pod default/a: spec.containers[0].ports[0].protocol: found \"tcp\", expected TCP or UDP or SCTP",
            ),
            (
                "spec: {}\nstatus: {podIPs: [{ip: 10.0.0.300}]}",
                "5:24: Pod default/a: status.podIPs[0].ip: found \"10.0.0.300\", expected the IP address of one host, such as 10.0.0.1 or fd00::1",
            ),
            (
                "spec: {}\nstatus: {podIP: 0.0.0.0}",
                "5:17: Pod default/a: status.podIP: found \"0.0.0.0\", expected the IP address of one host, such as 10.0.0.1 or fd00::1",
            ),
            (
                "spec: {}\nstatus: {podIP: '::ffff:10.0.0.1'}",
                "5:17: Pod default/a: status.podIP: found \"::ffff:10.0.0.1\", expected the IP address of one host, such as 10.0.0.1 or fd00::1",
            ),
            (
                "spec: {}\nstatus: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.2}]}",
                "5:17: Pod default/a: status.podIP: found \"10.0.0.1\", expected the first of podIPs",
            ),
            (
                "spec: {}\nstatus: {phase: running}",
                "5:17: Pod default/a: status.phase: found \"running\", expected Pending or Running or Succeeded or Failed or Unknown",
            ),
            (
                "spec: {}\nstatus: {conditions: [{type: Ready, status: 1}]}",
                "5:45: Pod default/a: status.conditions[0].status: found \"1\", expected True or False or Unknown",
            ),
        ],
    );
}

#[test]
fn services() {
    check(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}",
        &[
            (
                "spec: {}",
                "4:7: Service default/a: spec.ports: missing, expected at least one port",
            ),
            (
                "spec: {type: clusterip, ports: [{port: 1}]}",
                "4:14: Service default/a: spec.type: found \"clusterip\", expected ClusterIP or NodePort or LoadBalancer or ExternalName",
            ),
            (
                "spec: {ports: [{port: 0}]}",
                "4:23: Service default/a: spec.ports[0].port: found \"0\", expected a port from 1 to 65535",
            ),
            (
                "spec: {ports: [{name: a}]}",
                "4:16: Service default/a: spec.ports[0].port: missing, expected a port from 1 to 65535",
            ),
            (
                "spec: {ports: [{port: 1}, {port: 2}]}",
                "4:16: Service default/a: spec.ports[0].name: missing, expected a name, where there are several ports",
            ),
            (
                "spec: {ports: [{port: 1, name: a}, {port: 2, name: a}]}",
                "4:36: Service default/a: spec.ports[1]: found \"a\", which line 4 has already, expected each name of a port once",
            ),
            (
                "spec: {ports: [{port: 1, name: a}, {port: 1, name: b}]}",
                "4:36: Service default/a: spec.ports[1]: found \"1/TCP\", which line 4 has already, expected each port once",
            ),
            (
                "spec: {ports: [{port: 1, name: A}]}",
                "4:32: Service default/a: spec.ports[0].name: found \"A\", expected at most 63 lower-case letters, digits and hyphens, the latter only inside",
            ),
            (
                "spec: {ports: [{port: 1, targetPort: a_b}]}",
                "4:38: Service default/a: spec.ports[0].targetPort: found \"a_b\", expected a port from 1 to 65535, or the name of a container's port",
            ),
            (
                "spec: {ports: [{port: 1, targetPort: 65536}]}",
                "4:38: Service default/a: spec.ports[0].targetPort: found \"65536\", expected a port from 1 to 65535, or the name of a container's port",
            ),
            (
                "spec: {clusterIP: none, ports: [{port: 1}]}",
                "4:19: Service default/a: spec.clusterIP: found \"none\", expected the IP address of one host, such as 10.0.0.1 or fd00::1",
            ),
            (
                "spec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.2], ports: [{port: 1}]}",
                "4:19: Service default/a: spec.clusterIP: found \"10.0.0.1\", expected the first of clusterIPs",
            ),
            (
                "spec: {clusterIPs: [10.0.0.1, 10.0.0.2], ports: [{port: 1}]}",
                "4:20: Service default/a: spec.clusterIPs: found a list of 2, expected None alone, or at most one address of each family",
            ),
            (
                "spec: {clusterIPs: [10.0.0.1, None], ports: [{port: 1}]}",
                "4:20: Service default/a: spec.clusterIPs: found a list of 2, expected None alone, or at most one address of each family",
            ),
            (
                "spec: {type: ExternalName}",
                "4:7: Service default/a: spec.externalName: missing, expected a hostname, for the type ExternalName",
            ),
            (
                "spec: {type: ExternalName, externalName: 10.0.0.1}",
                "4:42: Service default/a: spec.externalName: found \"10.0.0.1\", expected a hostname such as db.example.com",
            ),
            (
                "spec: {type: ExternalName, externalName: a.b, clusterIP: 10.0.0.1}",
                "4:58: Service default/a: spec.clusterIP: found \"10.0.0.1\", expected no address for the type ExternalName",
            ),
            (
                "spec: {selector: {a: [b]}, ports: [{port: 1}]}",
                "4:22: Service default/a: spec.selector.a: found a list of 1, expected at most 63 letters, digits, hyphens, dots and underscores that begin and end with a letter or digit",
            ),
            (
                "spec: {internalTrafficPolicy: local, ports: [{port: 1}]}",
                "4:31: Service default/a: spec.internalTrafficPolicy: found \"local\", expected Cluster or Local",
            ),
            (
                "spec: {trafficDistribution: Near, ports: [{port: 1}]}",
                "4:29: Service default/a: spec.trafficDistribution: found \"Near\", expected PreferClose or PreferSameZone or PreferSameNode",
            ),
            (
                "spec: {ipFamilies: [IPv4, IPv4], ports: [{port: 1}]}",
                "4:20: Service default/a: spec.ipFamilies: found a list of 2, expected IPv4 and IPv6 at most once each",
            ),
            (
                "spec: {ipFamilyPolicy: Dual, ports: [{port: 1}]}",
                "4:24: Service default/a: spec.ipFamilyPolicy: found \"Dual\", expected SingleStack or PreferDualStack or RequireDualStack",
            ),
            (
                "spec: {publishNotReadyAddresses: 1, ports: [{port: 1}]}",
                "4:34: Service default/a: spec.publishNotReadyAddresses: found \"1\", expected true or false",
            ),
            (
                "spec: {externalIPs: [x], ports: [{port: 1}]}",
                "4:22: Service default/a: spec.externalIPs[0]: found \"x\", expected the IP address of one host, such as 10.0.0.1 or fd00::1",
            ),
        ],
    );
}

#[test]
fn endpoint_slices() {
    check(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}",
        &[
            (
                "",
                "1:1: EndpointSlice default/a: addressType: missing, expected IPv4 or IPv6 or FQDN",
            ),
            (
                "addressType: ipv4",
                "4:14: EndpointSlice default/a: addressType: found \"ipv4\", expected IPv4 or IPv6 or FQDN",
            ),
            (
                "addressType: IPv4\nendpoints: [{}]",
                "5:13: EndpointSlice default/a: endpoints[0].addresses: missing, expected a list of 1 to 100 addresses",
            ),
            (
                "addressType: IPv4\nendpoints: [{addresses: []}]",
                "5:25: EndpointSlice default/a: endpoints[0].addresses: found a list of 0, expected a list of 1 to 100 addresses",
            ),
            (
                "addressType: IPv4\nendpoints: [{addresses: ['fd00::1']}]",
                "5:26: EndpointSlice default/a: endpoints[0].addresses[0]: found \"fd00::1\", expected an IPv4 address, as addressType says",
            ),
            (
                "addressType: IPv6\nendpoints: [{addresses: [10.0.0.1]}]",
                "5:26: EndpointSlice default/a: endpoints[0].addresses[0]: found \"10.0.0.1\", expected an IPv6 address, as addressType says",
            ),
            (
                "addressType: IPv4\nendpoints: [{addresses: [10.0.0.1], conditions: {ready: x}}]",
                "5:57: EndpointSlice default/a: endpoints[0].conditions.ready: found \"x\", expected true or false",
            ),
            (
                "addressType: IPv4\nendpoints: [{addresses: [10.0.0.1], targetRef: {kind: Pod}}]",
                "5:48: EndpointSlice default/a: endpoints[0].targetRef.name: missing, expected the pod's name",
            ),
            (
                "addressType: IPv4\nports: [{port: 70000}]",
                "5:16: EndpointSlice default/a: ports[0].port: found \"70000\", expected a port from 1 to 65535",
            ),
            (
                "addressType: IPv4\nports: [{port: 1, name: A}]",
                "5:25: EndpointSlice default/a: ports[0].name: found \"A\", expected the name of a service's port",
            ),
        ],
    );
}

#[test]
fn workload_entries() {
    check(
        "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: a}",
        &[
            (
                "",
                "1:1: WorkloadEntry default/a: spec: missing, expected a mapping with address",
            ),
            (
                "spec: {}",
                "4:7: WorkloadEntry default/a: spec.address: missing, expected an IP address or a hostname, where there is no network",
            ),
            (
                "spec: {address: a b}",
                "4:17: WorkloadEntry default/a: spec.address: found \"a b\", expected an IP address or a hostname",
            ),
            (
                "spec: {address: 10.0.0.1, network: a/b}",
                "4:36: WorkloadEntry default/a: spec.network: found \"a/b\", expected a network's name without spaces and slashes",
            ),
            (
                "spec: {address: 10.0.0.1, serviceAccount: ns/sa}",
                "4:43: WorkloadEntry default/a: spec.serviceAccount: found \"ns/sa\", expected at most 253 lower-case letters, digits, hyphens and dots, the latter two only inside",
            ),
            (
                "spec: {address: 10.0.0.1, ports: {A: 1}}",
                "4:35: WorkloadEntry default/a: spec.ports.A: found \"A\", expected the name of a service's port",
            ),
        ],
    );
}
