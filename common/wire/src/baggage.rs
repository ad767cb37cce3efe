//! Baggage: how one side of a tunnel tells the other which workload it is.
//!
//! In: every `baggage` header of a request or a response.
//! Out: a [`Baggage`], or the one header value for it.
//! Never: a refusal (what cannot be read is absent), trust (a peer writes what it likes: this is for
//! metrics and logs, never for policy).

mod percent;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::header;

/// The header's name. Source: W3C Baggage §3.
pub const NAME: HeaderName = HeaderName::from_static("baggage");

/// The most bytes of all `baggage` headers together that are read or written; the members beyond are
/// ignored. Source: W3C Baggage, limits.
pub const MAX_BYTES: usize = 8192;

/// The most members that are read; those beyond are ignored. Source: W3C Baggage, limits of
/// its first drafts (the 64 of later ones is the least that must be passed on, not the most).
pub const MAX_MEMBERS: usize = 180;

/// What kind of object a workload is named after. Source: `Workload.workload_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkloadKind {
    /// `k8s.deployment.name`.
    Deployment,
    /// `k8s.pod.name`.
    Pod,
    /// `k8s.job.name`.
    Job,
    /// `k8s.cronjob.name`.
    CronJob,
}

/// The object a workload is named after.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WorkloadName {
    /// The object's kind.
    pub kind: WorkloadKind,
    /// The object's name, not empty.
    pub name: String,
}

/// What a peer says about itself. An empty text is an absent one; no text holds a control character.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Baggage {
    /// `k8s.cluster.name`.
    pub cluster: String,
    /// `k8s.namespace.name`.
    pub namespace: String,
    /// `k8s.<kind>.name`.
    pub workload: Option<WorkloadName>,
    /// `service.name`: the canonical service.
    pub service: String,
    /// `service.version`: the canonical revision.
    pub version: String,
    /// `cloud.region`.
    pub region: String,
    /// `cloud.availability_zone`.
    pub zone: String,
}

impl WorkloadKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Deployment, Self::Pod, Self::Job, Self::CronJob];

    fn key(self) -> &'static str {
        match self {
            Self::Deployment => "k8s.deployment.name",
            Self::Pod => "k8s.pod.name",
            Self::Job => "k8s.job.name",
            Self::CronJob => "k8s.cronjob.name",
        }
    }
}

impl Baggage {
    /// Reads the baggage of a message; empty if it has none that can be read.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::parse(headers.get_all(NAME).iter().map(HeaderValue::as_bytes))
    }

    /// Reads the values of all `baggage` headers, in order.
    ///
    /// **Shape**: each value is a list, the lists are one list. Unknown keys, properties (`;…`) and
    /// members that are not `key=value` in ASCII are skipped. The last non-empty value of a key counts.
    #[must_use]
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut baggage = Self::default();
        let mut bytes_left = MAX_BYTES;
        let mut members_left = MAX_MEMBERS;
        for value in values {
            for member in value.split(|b| *b == b',') {
                // The comma counts, so that empty members cannot go on without end.
                let cost = member.len() + 1;
                if members_left == 0 || cost > bytes_left + 1 {
                    return baggage;
                }
                bytes_left = bytes_left.saturating_sub(cost);
                members_left -= 1;
                if let Some((key, value)) = parse_member(member) {
                    baggage.set(key, value);
                }
            }
        }
        baggage
    }

    /// The header value that says all of this, or `None` if there is nothing to say. Made once per
    /// workload and then cloned, which copies nothing.
    ///
    /// **Shape**: the order of the fields; absent texts and what does not fit [`MAX_BYTES`] omitted.
    #[must_use]
    pub fn header_value(&self) -> Option<HeaderValue> {
        let text = self.text();
        (!text.is_empty()).then(|| header::value(text))
    }

    /// The members, in a buffer that only grows if something has to be encoded.
    fn text(&self) -> String {
        let members = self.members();
        let capacity = members
            .iter()
            .map(|(key, value)| key.len() + value.len() + 2)
            .sum::<usize>();
        let mut text = String::with_capacity(capacity.min(MAX_BYTES));
        for (key, value) in members {
            if !usable(value) {
                continue;
            }
            let before = text.len();
            if before > 0 {
                text.push(',');
            }
            text.push_str(key);
            text.push('=');
            percent::encode(value, &mut text);
            if text.len() > MAX_BYTES {
                text.truncate(before);
            }
        }
        text
    }

    fn members(&self) -> [(&'static str, &str); 7] {
        let (kind, name) = match &self.workload {
            Some(workload) => (workload.kind, workload.name.as_str()),
            None => (WorkloadKind::Deployment, ""),
        };
        [
            ("k8s.cluster.name", &self.cluster),
            ("k8s.namespace.name", &self.namespace),
            (kind.key(), name),
            ("service.name", &self.service),
            ("service.version", &self.version),
            ("cloud.region", &self.region),
            ("cloud.availability_zone", &self.zone),
        ]
    }

    fn set(&mut self, key: &str, value: Cow<'_, str>) {
        let field = match key {
            "k8s.cluster.name" => &mut self.cluster,
            "k8s.namespace.name" => &mut self.namespace,
            "service.name" => &mut self.service,
            "service.version" => &mut self.version,
            "cloud.region" => &mut self.region,
            "cloud.availability_zone" => &mut self.zone,
            other => {
                if let Some(kind) = WorkloadKind::ALL
                    .into_iter()
                    .find(|kind| kind.key() == other)
                {
                    self.workload = Some(WorkloadName {
                        kind,
                        name: value.into_owned(),
                    });
                }
                return;
            }
        };
        *field = value.into_owned();
    }
}

/// One `key = value ; properties`, the value decoded. `None` if it cannot be read or says nothing.
fn parse_member(member: &[u8]) -> Option<(&str, Cow<'_, str>)> {
    let member = std::str::from_utf8(member)
        .ok()
        .filter(|text| text.is_ascii())?;
    let pair = member
        .split_once(';')
        .map_or(member, |(pair, _properties)| pair);
    let (key, value) = pair.split_once('=')?;
    let value = percent::decode(header::trim(value));
    usable(&value).then(|| (header::trim(key), value))
}

/// Whether a text says something that can stand in a log line and a metric label.
fn usable(value: &str) -> bool {
    !value.is_empty() && !value.contains(char::is_control)
}

#[cfg(test)]
mod tests;
