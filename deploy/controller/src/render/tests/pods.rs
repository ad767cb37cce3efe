//! Pods.

use std::sync::Arc;

use super::{
    golden::check,
    sample::{container_port, ip, labels, namespace, node, pod, port, selector, service},
};
use crate::objects::{
    AuthorizationPolicy, Meta, MutualTls, Object, OwnerReference, PeerAuthentication, Phase, Pod,
    TargetPort,
};

const AMBIENT: (&str, &str) = ("istio.io/dataplane-mode", "ambient");

fn object(pod: Pod) -> Object {
    Object::Pod(Arc::new(pod))
}

#[test]
fn pod_of_a_deployment_has_everything_that_its_surroundings_give() {
    let mut web = pod(
        "shop",
        "web-5d4f8c7b9-x2x7k",
        "10.0.1.7",
        [
            ("app", "web"),
            ("pod-template-hash", "5d4f8c7b9"),
            ("version", "v2"),
        ],
    );
    web.meta.owner = Some(OwnerReference {
        kind: "ReplicaSet".to_owned(),
        name: "web-5d4f8c7b9".to_owned(),
    });
    web.service_account = "web".into();
    web.ips.push(ip("fd00::7"));
    web.ports = vec![container_port("http", 8080)];
    let mut front = service("shop", "web", "10.96.0.12");
    front.ports = vec![
        port("http", 80, TargetPort::Name("http".to_owned())),
        port("metrics", 9090, TargetPort::Name("metrics".to_owned())),
        port("admin", 8081, TargetPort::Same),
    ];
    let policy = AuthorizationPolicy {
        meta: super::sample::meta("shop", "web-callers"),
        selector: selector([("app", "web")]),
        ..AuthorizationPolicy::default()
    };
    let strict = PeerAuthentication {
        meta: super::sample::meta("istio-system", "default"),
        mode: Some(MutualTls::Strict),
        ..PeerAuthentication::default()
    };
    check(
        "pod",
        vec![
            namespace("shop", [AMBIENT]),
            namespace("istio-system", [("topology.istio.io/network", "network-1")]),
            node(
                "node-1",
                [
                    ("topology.kubernetes.io/region", "r1"),
                    ("topology.kubernetes.io/zone", "z1"),
                    ("topology.istio.io/subzone", "s1"),
                ],
            ),
            object(web),
            Object::Service(Arc::new(front)),
            Object::AuthorizationPolicy(Arc::new(policy)),
            Object::PeerAuthentication(Arc::new(strict)),
        ],
    );
}

#[test]
fn pods_that_ztunnel_does_not_capture() {
    let opted_out = pod(
        "shop",
        "opted-out",
        "10.0.1.1",
        [("istio.io/dataplane-mode", "none")],
    );
    let mut sidecar = pod(
        "shop",
        "sidecar",
        "10.0.1.2",
        [("security.istio.io/tlsMode", "istio")],
    );
    let annotations = labels([("sidecar.istio.io/status", "{}")]);
    sidecar.meta.annotations = annotations;
    let mut host = pod("shop", "host", "192.168.0.1", []);
    host.host_network = true;
    let mut other_host = pod("shop", "other-host", "192.168.0.1", []);
    other_host.host_network = true;
    let native = pod(
        "shop",
        "native",
        "10.0.1.3",
        [("networking.istio.io/tunnel", "http")],
    );
    let system = pod("kube-system", "dns", "10.0.1.4", [AMBIENT]);
    let mut redirected = pod("other", "redirected", "10.0.1.5", []);
    redirected.meta.annotations = labels([("ambient.istio.io/redirection", "enabled")]);
    let chosen = pod("other", "chosen", "10.0.1.6", [AMBIENT]);
    let pods = [
        opted_out, sidecar, host, other_host, native, system, redirected, chosen,
    ];
    let mut objects = vec![namespace("shop", [AMBIENT]), namespace("other", [])];
    objects.extend(pods.map(object));
    check("capture", objects);
}

#[test]
fn pods_that_do_not_run_or_are_about_to_go() {
    let of_phase = |name, address, phase| Pod {
        phase,
        ..pod("shop", name, address, [])
    };
    let mut unaddressed = pod("shop", "unaddressed", "10.0.1.1", []);
    unaddressed.ips.clear();
    let mut unready = pod("shop", "unready", "10.0.1.2", []);
    unready.ready = false;
    let mut terminating = pod("shop", "terminating", "10.0.1.3", []);
    terminating.meta.terminating = true;
    let objects = [
        of_phase("pending", "10.0.1.4", Phase::Pending),
        of_phase("succeeded", "10.0.1.5", Phase::Succeeded),
        of_phase("failed", "10.0.1.6", Phase::Failed),
        of_phase("unknown", "10.0.1.7", Phase::Unknown),
        unaddressed,
        unready,
        terminating,
    ];
    check("phases", objects.map(object).into());
}

#[test]
fn address_belongs_to_the_pod_that_runs_and_is_newest() {
    let claim = |name, created, phase| Pod {
        meta: Meta {
            created,
            ..pod("shop", name, "10.0.1.1", []).meta
        },
        phase,
        ..pod("shop", name, "10.0.1.1", [])
    };
    let mut dual = claim("dual", 1, Phase::Running);
    dual.ips.push(ip("fd00::1"));
    check(
        "address-claims",
        vec![
            object(claim("pending", 9, Phase::Pending)),
            object(claim("old", 1, Phase::Running)),
            object(claim("new", 2, Phase::Running)),
            object(dual),
        ],
    );
}

#[test]
fn names_under_which_a_pod_is_shown() {
    let owned = |name, owner: Option<(&str, &str)>, pairs: &[(&str, &str)], address| {
        let mut pod = pod("shop", name, address, []);
        let pairs = pairs.iter();
        pod.meta.labels = pairs
            .map(|(it, value)| ((*it).to_owned(), (*value).to_owned()))
            .collect();
        pod.meta.owner = owner.map(|(kind, name)| OwnerReference {
            kind: kind.to_owned(),
            name: name.to_owned(),
        });
        object(pod)
    };
    let hash = ("pod-template-hash", "5d4f8c7b9");
    let names = [
        ("app", "last"),
        ("app.kubernetes.io/name", "second"),
        ("service.istio.io/canonical-name", "first"),
        ("version", "last"),
        ("app.kubernetes.io/version", "second"),
        ("service.istio.io/canonical-revision", "first"),
    ];
    let replica_set = ("ReplicaSet", "web-5d4f8c7b9");
    check(
        "names",
        vec![
            owned("bare", None, &[], "10.0.0.1"),
            owned("deployment", Some(replica_set), &[hash], "10.0.0.2"),
            owned("replica-set", Some(replica_set), &[], "10.0.0.3"),
            owned(
                "scheduled",
                Some(("Job", "backup-29383920")),
                &[],
                "10.0.0.4",
            ),
            owned("job", Some(("Job", "migrate-1")), &[], "10.0.0.5"),
            owned("stateful", Some(("StatefulSet", "db")), &[], "10.0.0.6"),
            owned("all-labels", Some(replica_set), &names, "10.0.0.7"),
            owned(
                "two-labels",
                Some(replica_set),
                &[names[0], names[1], names[3], names[4]],
                "10.0.0.8",
            ),
            owned(
                "named",
                Some(replica_set),
                &[hash, ("service.istio.io/workload-name", "told")],
                "10.0.0.9",
            ),
        ],
    );
}
