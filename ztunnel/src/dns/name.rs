//! What a name may stand for. Pure text: lower case, without the dot at the end.

use std::collections::HashSet;

use hickory_proto::rr::Name;

/// One reading of a requested name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The hostname to look for.
    pub(super) host: String,
    /// If a search suffix was taken off: how many labels of the requested name were left.
    pub(super) stripped: Option<usize>,
}

/// The name as a hostname; `None` where it cannot be the name of anything in the mesh.
pub(super) fn hostname(name: &Name) -> Option<String> {
    let mut host = String::with_capacity(name.len());
    for label in name.iter() {
        let label = std::str::from_utf8(label).ok()?;
        // A dot inside of a label would look like two labels.
        if label.contains('.') {
            return None;
        }
        if !host.is_empty() {
            host.push('.');
        }
        host.push_str(label);
    }
    host.make_ascii_lowercase();
    (!host.is_empty()).then_some(host)
}

/// All readings of `host` by a client in `namespace`, the best first and none twice: as it is; as the short form of
/// a Kubernetes service; and both again without each search suffix that a resolver may have appended.
pub(super) fn candidates(host: &str, namespace: &str, domain: &str) -> Vec<Candidate> {
    let mut seen = HashSet::new();
    let mut candidates = Vec::new();
    let mut add = |host: String, stripped: Option<usize>| {
        if seen.insert(host.clone()) {
            candidates.push(Candidate { host, stripped });
        }
    };
    add(host.to_owned(), None);
    if let Some(full) = expand(host, namespace, domain) {
        add(full, None);
    }
    for suffix in [
        format!(".{namespace}.svc.{domain}"),
        format!(".svc.{domain}"),
        format!(".{domain}"),
    ] {
        let Some(short) = host.strip_suffix(&suffix).filter(|short| !short.is_empty()) else {
            continue;
        };
        let labels = Some(short.split('.').count());
        add(short.to_owned(), labels);
        if let Some(full) = expand(short, namespace, domain) {
            add(full, labels);
        }
    }
    candidates
}

/// The full name of a Kubernetes service, from `<service>`, `<service>.<namespace>` or `<service>.<namespace>.svc`.
fn expand(host: &str, namespace: &str, domain: &str) -> Option<String> {
    let labels = host.split('.').count();
    match labels {
        1 => Some(format!("{host}.{namespace}.svc.{domain}")),
        2 => Some(format!("{host}.svc.{domain}")),
        3 if host.ends_with(".svc") => Some(format!("{host}.{domain}")),
        _ => None,
    }
}

/// The host itself, then the wildcards that cover it, the most specific first: `a.b.c`, `*.b.c`, `*.c`.
pub(super) fn wildcards(host: &str) -> impl Iterator<Item = String> + '_ {
    let suffixes = host
        .match_indices('.')
        .map(move |(dot, _)| format!("*{}", &host[dot..]));
    std::iter::once(host.to_owned()).chain(suffixes)
}

#[cfg(test)]
mod tests;
