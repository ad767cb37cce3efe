//! `v1` Namespace, Node, ServiceAccount and Pod.

use std::{net::IpAddr, sync::Arc};

use yaml::{
    Cursor, Error,
    scalar::{host, port, word},
};

use super::{field, name};
use crate::objects::{ContainerPort, Meta, Namespace, Node, Phase, Pod, ServiceAccount};

const TOP_FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

const ACCOUNT_FIELDS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "automountServiceAccountToken",
    "imagePullSecrets",
    "secrets",
];

const SPEC_FIELDS: &[&str] = &[
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "ephemeralContainers",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "hostname",
    "hostnameOverride",
    "imagePullSecrets",
    "initContainers",
    "nodeName",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "resourceClaims",
    "resources",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
    "workloadRef",
];

const CONTAINER_FIELDS: &[&str] = &[
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "restartPolicy",
    "restartPolicyRules",
    "securityContext",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
];

const PORT_FIELDS: &[&str] = &["containerPort", "hostIP", "hostPort", "name", "protocol"];

const STATUS_FIELDS: &[&str] = &[
    "allocatedResources",
    "conditions",
    "containerStatuses",
    "ephemeralContainerStatuses",
    "extendedResourceClaimStatus",
    "hostIP",
    "hostIPs",
    "initContainerStatuses",
    "message",
    "nominatedNodeName",
    "observedGeneration",
    "phase",
    "podIP",
    "podIPs",
    "qosClass",
    "reason",
    "resize",
    "resourceClaimStatuses",
    "resources",
    "startTime",
];

const CONDITION_FIELDS: &[&str] = &[
    "lastProbeTime",
    "lastTransitionTime",
    "message",
    "observedGeneration",
    "reason",
    "status",
    "type",
];

pub(super) fn namespace(at: &Cursor<'_>, meta: Meta) -> Result<Namespace, Error> {
    at.object("a Namespace", TOP_FIELDS)?;
    Ok(Namespace { meta })
}

pub(super) fn node(at: &Cursor<'_>, meta: Meta) -> Result<Node, Error> {
    at.object("a Node", TOP_FIELDS)?;
    Ok(Node { meta })
}

pub(super) fn service_account(at: &Cursor<'_>, meta: Meta) -> Result<ServiceAccount, Error> {
    at.object("a ServiceAccount", ACCOUNT_FIELDS)?;
    Ok(ServiceAccount { meta })
}

pub(super) fn pod(at: &Cursor<'_>, meta: Meta) -> Result<Pod, Error> {
    let object = at.object("a Pod", TOP_FIELDS)?;
    let mut pod = Pod {
        meta,
        ..Pod::default()
    };
    object.required("spec", "a mapping with nodeName and containers", |at| {
        spec(at, &mut pod)
    })?;
    object.nullable("status", |at| status(at, &mut pod))?;
    Ok(pod)
}

fn spec(at: &Cursor<'_>, pod: &mut Pod) -> Result<(), Error> {
    let object = at.object("a mapping with nodeName and containers", SPEC_FIELDS)?;
    let name_of = |name| field::text(&object, name, |at| name::subdomain(at).map(Arc::from));
    pod.node = name_of("nodeName")?.unwrap_or_default();
    // The second is the first's name of old; where both are there, the API has made them equal.
    if let Some(account) = name_of("serviceAccountName")?.or(name_of("serviceAccount")?) {
        pod.service_account = account;
    }
    pod.host_network = field::switch(&object, "hostNetwork")?;
    for (list, init) in [("containers", false), ("initContainers", true)] {
        field::list(&object, list, "a list of containers", |at| {
            container(at, init, &mut pod.ports)
        })?;
    }
    Ok(())
}

fn container(at: &Cursor<'_>, init: bool, ports: &mut Vec<ContainerPort>) -> Result<(), Error> {
    let object = at.object("a container", CONTAINER_FIELDS)?;
    let restarts = field::text(&object, "restartPolicy", |at| {
        Ok(at.text("a restart policy")? == "Always")
    })?
    .unwrap_or_default();
    let own = field::list(&object, "ports", "a list of ports", container_port)?;
    // An init container is gone before the pod serves, unless it is a sidecar.
    if !init || restarts {
        ports.extend(own);
    }
    Ok(())
}

fn container_port(at: &Cursor<'_>) -> Result<ContainerPort, Error> {
    let object = at.object("a port with containerPort", PORT_FIELDS)?;
    Ok(ContainerPort {
        name: field::text(&object, "name", |at| name::port_name(at).map(str::to_owned))?
            .unwrap_or_default(),
        port: object
            .required("containerPort", "a port from 1 to 65535", port)?
            .get(),
        tcp: field::text(&object, "protocol", is_tcp)?.unwrap_or(true),
    })
}

/// Whether a port's `protocol` is TCP; the others have no part in a mesh.
pub(super) fn is_tcp(at: &Cursor<'_>) -> Result<bool, Error> {
    word(at, &[("TCP", true), ("UDP", false), ("SCTP", false)])
}

fn status(at: &Cursor<'_>, pod: &mut Pod) -> Result<(), Error> {
    let object = at.object("a mapping with podIPs, phase and conditions", STATUS_FIELDS)?;
    let first = field::text(&object, "podIP", host)?;
    pod.ips = field::list(&object, "podIPs", "a list of addresses, each {ip}", pod_ip)?;
    match (first, pod.ips.first()) {
        (Some(first), None) => pod.ips.push(first),
        (Some(first), Some(listed)) if first != *listed => {
            return field::refuse(&object, "podIP", "the first of podIPs");
        }
        (Some(_) | None, _) => {}
    }
    if let Some(phase) = field::text(&object, "phase", phase)? {
        pod.phase = phase;
    }
    field::list(&object, "conditions", "a list of conditions", |at| {
        if let Some(ready) = ready(at)? {
            pod.ready = ready;
        }
        Ok(())
    })?;
    Ok(())
}

fn pod_ip(at: &Cursor<'_>) -> Result<IpAddr, Error> {
    at.object("an address: {ip}", &["ip"])?
        .required("ip", "an IP address", host)
}

fn phase(at: &Cursor<'_>) -> Result<Phase, Error> {
    word(
        at,
        &[
            ("Pending", Phase::Pending),
            ("Running", Phase::Running),
            ("Succeeded", Phase::Succeeded),
            ("Failed", Phase::Failed),
            ("Unknown", Phase::Unknown),
        ],
    )
}

/// What the condition says, where it is the one that tells readiness.
fn ready(at: &Cursor<'_>) -> Result<Option<bool>, Error> {
    let object = at.object("a condition with type and status", CONDITION_FIELDS)?;
    let kind = object.required("type", "the condition's name", |at| {
        Ok(at.text("a condition's name")? == "Ready")
    })?;
    let holds = object.required("status", "True or False or Unknown", |at| {
        // An unquoted True is a boolean of YAML, and was meant as it is written.
        word(at, &[("True", true), ("False", false), ("Unknown", false)])
    })?;
    Ok(kind.then_some(holds))
}
