//! Which host an object is about, and for whose waypoint it is in force (RT-02, WPT-10).

use std::net::IpAddr;

use super::facts::ServiceFacts;
use crate::{
    objects::{Export, ExportTo, Meta, VirtualService},
    render::mesh::Mesh,
};

/// The hostname that `host` stands for in an object of `namespace`: a short name is that of a Service beside it.
#[must_use]
pub fn resolve(host: &str, namespace: &str, mesh: &Mesh<'_>) -> String {
    let is_short =
        !host.is_empty() && !host.contains(['.', '*']) && host.parse::<IpAddr>().is_err();
    if is_short {
        mesh.hostname(namespace, host)
    } else {
        host.to_owned()
    }
}

/// Whether all of `hostname`, which may be a wildcard itself, is covered by `pattern`: a name, `*.` and a name, or `*`.
#[must_use]
pub fn covers(pattern: &str, hostname: &str) -> bool {
    match pattern.strip_prefix('*') {
        None => pattern == hostname,
        Some("") => true,
        Some(suffix) => {
            pattern == hostname
                || hostname.len() > suffix.len() && hostname.ends_with(suffix) && hostname != suffix
        }
    }
}

/// How a pattern and a service's hostname meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// All requests to the service are meant.
    Whole,
    /// Those whose authority the pattern covers: the service is a wildcard, and the pattern says more.
    Part,
}

/// How a pattern and a service's hostname meet; `None` where they do not.
#[must_use]
pub fn overlap(pattern: &str, hostname: &str) -> Option<Overlap> {
    if covers(pattern, hostname) {
        Some(Overlap::Whole)
    } else if hostname.starts_with('*') && covers(hostname, pattern) {
        Some(Overlap::Part)
    } else {
        None
    }
}

/// How much a pattern says: a name says most, then the longest wildcard. For comparing only.
pub(super) fn specificity(pattern: &str) -> (bool, usize) {
    (!pattern.starts_with('*'), pattern.len())
}

/// Whether an object of `own` is known to `viewer`.
pub(super) fn is_exported(to: &ExportTo, own: &str, viewer: &str) -> bool {
    to.is_empty()
        || to.iter().any(|it| match it {
            Export::All => true,
            Export::Own => own == viewer,
            Export::Nobody => false,
            Export::Namespace(namespace) => namespace == viewer,
        })
}

/// Whether objects of a namespace may say something of a service: it is that of the service or of its waypoint.
pub(super) fn has_say(namespace: &str, service: &ServiceFacts<'_>) -> bool {
    namespace == service.namespace || service.waypoint == Some(namespace)
}

/// Which of two objects comes first: the older; of equal age, by `<namespace>/<name>`. Source: Gateway API conflict rules.
pub(super) fn by_age(meta: &Meta) -> (i64, String) {
    (meta.created, format!("{}/{}", meta.namespace, meta.name))
}

/// A VirtualService that is in force for a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    /// It.
    pub(super) object: &'a VirtualService,
    /// Where it is for a part of the service only: its host.
    pub(super) authority: Option<&'a str>,
}

/// The VirtualServices that are in force, in the order of their rules.
pub(super) fn in_order<'a>(
    objects: &[&'a VirtualService],
    service: &ServiceFacts<'_>,
    mesh: &Mesh<'_>,
) -> Vec<Claim<'a>> {
    let mut whole = Vec::new();
    let mut parts = Vec::new();
    for object in objects {
        let namespace = &object.meta.namespace;
        let in_force = object.is_for_mesh()
            && has_say(namespace, service)
            && is_exported(&object.export_to, namespace, service.viewer());
        if !in_force {
            continue;
        }
        let mut most = None;
        for host in &object.hosts {
            let pattern = resolve(host, namespace, mesh);
            match overlap(&pattern, &service.hostname) {
                Some(Overlap::Whole) => most = most.max(Some(specificity(&pattern))),
                // A short name is never below a wildcard, so that the host is as it is written.
                Some(Overlap::Part) => parts.push((specificity(&pattern), *object, host.as_str())),
                None => {}
            }
        }
        if let Some(most) = most {
            whole.push((most, *object));
        }
    }
    let winning = whole.iter().map(|(specificity, _)| *specificity).max();
    whole.retain(|(specificity, _)| Some(*specificity) == winning);
    whole.sort_by_cached_key(|(_, object)| by_age(&object.meta));
    parts.sort_by_cached_key(|(specificity, object, host)| {
        (
            std::cmp::Reverse(*specificity),
            by_age(&object.meta),
            host.to_owned(),
        )
    });
    let parts = parts.into_iter().map(|(_, object, host)| Claim {
        object,
        authority: Some(host),
    });
    let whole = whole.into_iter().map(|(_, object)| Claim {
        object,
        authority: None,
    });
    parts.chain(whole).collect()
}
