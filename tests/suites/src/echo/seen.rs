//! What reached the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::request::Parts;
use http::{HeaderMap, Version};
use serde_json::{Map, Value, json};

/// Requests that are remembered: more than a suite looks at, little memory.
pub(super) const MAX_SEEN: usize = 10_000;

/// A request that reached the server.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path with query.
    pub path: String,
    /// Its `:authority`, or its header `host`.
    pub authority: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: &'static str,
    /// Names in lower case with values, in order; values that are no text are lossy.
    pub headers: Vec<(String, String)>,
    /// Who has connected.
    pub client: SocketAddr,
    body: Arc<AtomicU64>,
}

impl Seen {
    pub(super) fn new(parts: &Parts, client: SocketAddr) -> Self {
        let headers = texts(&parts.headers);
        let host = || {
            headers
                .iter()
                .find(|(name, _)| name == "host")
                .map(|(_, value)| value.clone())
        };
        let authority = parts.uri.authority().map(ToString::to_string);
        let path = parts.uri.path_and_query();
        Self {
            method: parts.method.to_string(),
            path: path.map_or_else(|| parts.uri.to_string(), ToString::to_string),
            authority: authority.or_else(host).unwrap_or_default(),
            version: version(parts.version),
            headers,
            client,
            body: Arc::default(),
        }
    }

    /// All values of a header, joined by `,`; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    /// How much of its body has been read.
    pub fn body_bytes(&self) -> u64 {
        self.body.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.body.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What is told to the client.
    pub(super) fn json(&self, pod: &str, trailers: Option<&HeaderMap>) -> Value {
        json!({
            "pod": pod,
            "method": self.method,
            "path": self.path,
            "authority": self.authority,
            "version": self.version,
            "client": self.client.to_string(),
            "headers": lists(&self.headers),
            "body_bytes": self.body_bytes(),
            "trailers": lists(&trailers.map(texts).unwrap_or_default()),
        })
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "another",
    }
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}

/// A list of values per name.
fn lists(headers: &[(String, String)]) -> Value {
    let mut lists = Map::new();
    for (name, value) in headers {
        let list = lists.entry(name.clone()).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(json!(value));
        }
    }
    Value::Object(lists)
}
