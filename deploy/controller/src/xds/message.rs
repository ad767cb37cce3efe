//! A response as it is written: one gRPC message, made piece by piece while the client takes it.
//!
//! In: a plan. Out: the bytes of a `DeltaDiscoveryResponse` behind gRPC's five-byte head, in pieces.
//! Never: the whole response in memory. Resources are copied from where all clients share them.
//!
//! A first answer is one message however large it is: Istio's ztunnel calls itself ready after the first message
//! of each type, and a part of the policies or of the workloads would be worse than none.

use std::{borrow::Cow, sync::Arc};

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::encoding::{encode_varint, encoded_len_varint};

use super::plan::{Items, Plan};

/// What is written at a time: large enough to fill HTTP/2 frames, small enough to have one per client.
const PIECE: usize = 64 * 1024;
/// The largest message. Istio's ztunnel takes up to 200 MiB; what is more than this is sent in several.
pub(super) const MAX_MESSAGE: usize = 128 * 1024 * 1024;

/// Keys of fields with a length. Source: `DeltaDiscoveryResponse` of `discovery.proto`.
const RESOURCES: u8 = 2 << 3 | 2;
const TYPE_URL: u8 = 4 << 3 | 2;
const NONCE: u8 = 5 << 3 | 2;
const REMOVED: u8 = 6 << 3 | 2;
/// Key of a number. Source: `followed_by` of the same.
const FOLLOWED_BY: u64 = 50_001 << 3;
/// The same of `Resource`.
const ALIASES: u8 = 4 << 3 | 2;

/// One response.
#[derive(Debug)]
pub(super) struct Message {
    type_url: Cow<'static, str>,
    nonce: String,
    removed: Vec<Arc<str>>,
    items: Items,
    /// The next resource, and the one to stop before.
    position: usize,
    end: usize,
    /// The next name of `removed`.
    gone: usize,
    resources: usize,
    length: usize,
    /// How many responses of its group come after it.
    followed_by: u64,
    begun: bool,
}

fn field_len(content: usize) -> usize {
    1 + encoded_len_varint(content as u64) + content
}

fn put_field(buffer: &mut BytesMut, key: u8, content: &[u8]) {
    put_head(buffer, key, content.len());
    buffer.put_slice(content);
}

fn put_head(buffer: &mut BytesMut, key: u8, length: usize) {
    buffer.put_u8(key);
    encode_varint(length as u64, buffer);
}

/// The length of a `Resource` with the aliases that it has for this client.
fn item_len(body: &Bytes, aliases: &[Arc<str>]) -> usize {
    let more: usize = aliases.iter().map(|alias| field_len(alias.len())).sum();
    body.len() + more
}

impl Message {
    /// The response that tells of `plan` from `position` on, as far as `limit` bytes reach, but at least one resource.
    pub(super) fn new(
        type_url: impl Into<Cow<'static, str>>,
        nonce: String,
        plan: Plan,
        position: usize,
        limit: usize,
    ) -> Self {
        let type_url = type_url.into();
        let Plan { items, removed } = plan;
        let mut length = field_len(type_url.len()) + field_len(nonce.len());
        length += removed
            .iter()
            .map(|name| field_len(name.len()))
            .sum::<usize>();
        let mut end = position;
        while let Some((encoded, aliases)) = items.get(end) {
            let more = field_len(item_len(encoded.body(), aliases));
            if end > position && length + more > limit {
                break;
            }
            length += more;
            end += 1;
        }
        Self {
            type_url,
            nonce,
            removed,
            items,
            position,
            end,
            gone: 0,
            resources: end - position,
            length,
            followed_by: 0,
            begun: false,
        }
    }

    /// The same with `responses` of its group coming after it. **Shape**: said once, before the first piece.
    pub(super) fn followed_by(mut self, responses: usize) -> Self {
        self.followed_by = responses as u64;
        if responses > 0 {
            self.length += encoded_len_varint(FOLLOWED_BY) + encoded_len_varint(self.followed_by);
        }
        self
    }

    /// What the acknowledgement will name.
    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    pub(super) fn type_url(&self) -> &str {
        &self.type_url
    }

    /// How many resources it carries.
    pub(super) fn resources(&self) -> usize {
        self.resources
    }

    /// How many names it removes.
    pub(super) fn removals(&self) -> usize {
        self.removed.len()
    }

    /// How many bytes it has, without gRPC's head.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The position of the first resource that did not fit, if one did not.
    pub(super) fn rest(&self) -> Option<(Items, usize)> {
        (self.end < self.items.len()).then(|| (self.items.clone(), self.end))
    }

    /// The next piece; `None` at the end.
    pub(super) fn piece(&mut self) -> Option<Bytes> {
        let mut buffer = BytesMut::new();
        if !self.begun {
            self.begun = true;
            buffer.reserve(PIECE.min(self.length + 5));
            buffer.put_u8(0);
            // At most `MAX_MESSAGE`, one resource and the names that one request may hold.
            buffer.put_u32(u32::try_from(self.length).unwrap_or(u32::MAX));
            put_field(&mut buffer, TYPE_URL, self.type_url.as_bytes());
            put_field(&mut buffer, NONCE, self.nonce.as_bytes());
            if self.followed_by > 0 {
                encode_varint(FOLLOWED_BY, &mut buffer);
                encode_varint(self.followed_by, &mut buffer);
            }
        }
        while buffer.len() < PIECE
            && let Some(name) = self.removed.get(self.gone)
        {
            put_field(&mut buffer, REMOVED, name.as_bytes());
            self.gone += 1;
        }
        while buffer.len() < PIECE
            && self.position < self.end
            && let Some((encoded, aliases)) = self.items.get(self.position)
        {
            let body = encoded.body();
            put_head(&mut buffer, RESOURCES, item_len(body, aliases));
            buffer.put_slice(body);
            for alias in aliases {
                put_field(&mut buffer, ALIASES, alias.as_bytes());
            }
            self.position += 1;
        }
        (!buffer.is_empty()).then(|| buffer.freeze())
    }
}

#[cfg(test)]
mod tests;
