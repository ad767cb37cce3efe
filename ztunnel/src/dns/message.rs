//! DNS messages: bytes to a question, and answers to bytes. The format itself is `hickory-proto`'s.

use hickory_proto::{
    op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode},
    rr::Record,
    serialize::binary::{BinDecodable as _, BinDecoder},
};

use super::MAX_UDP_BYTES;

/// Source: RFC 1035 section 4.1.1.
const HEADER_BYTES: usize = 12;
/// What every client takes over UDP. Source: RFC 1035 section 4.2.1.
const MIN_UDP_BYTES: usize = 512;
/// An AAAA record with a compressed name: the longest of those that are left out where an answer is too long.
const ADDRESS_RECORD_BYTES: usize = 28;

/// A query with exactly one question.
#[derive(Clone, Debug)]
pub(super) struct Request {
    metadata: Metadata,
    question: Query,
    edns: Option<Edns>,
}

/// What comes instead of a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing: it is no query, or nobody can tell whose.
    Silent,
    /// These bytes.
    Reply(Vec<u8>),
}

/// Reads a query.
///
/// # Errors
/// The refusal to send, if any. A message that claims to be an answer gets none, so that two servers can never be
/// made to talk to each other.
pub(super) fn parse(bytes: &[u8]) -> Result<Request, Refusal> {
    let [id_high, id_low, flags, _, rest @ ..] = bytes else {
        return Err(Refusal::Silent);
    };
    if flags & 0x80 != 0 {
        return Err(Refusal::Silent);
    }
    let refuse = |code| {
        let id = u16::from_be_bytes([*id_high, *id_low]);
        let reply = Message::error_msg(id, OpCode::from_u8(flags >> 3 & 0xf), code).to_vec();
        reply.map_or(Refusal::Silent, Refusal::Reply)
    };
    // Before anything is allocated by counts that a peer made up. Source: RFC 9619: one question, no more.
    if !matches!(rest, [0, 1, _, _, _, _, _, _, ..]) {
        return Err(refuse(ResponseCode::FormErr));
    }
    if flags & 0x78 != 0 {
        return Err(refuse(ResponseCode::NotImp));
    }
    let Ok(mut message) = Message::from_vec(bytes) else {
        return Err(refuse(ResponseCode::FormErr));
    };
    let Some(question) = message.queries.pop() else {
        return Err(refuse(ResponseCode::FormErr));
    };
    let request = Request {
        metadata: message.metadata,
        question,
        edns: message.edns,
    };
    if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        // Source: RFC 6891 section 6.1.3.
        let reply = request.reply(ResponseCode::BADVERS).to_vec();
        return Err(reply.map_or(Refusal::Silent, Refusal::Reply));
    }
    Ok(request)
}

impl Request {
    pub(super) fn question(&self) -> &Query {
        &self.question
    }

    /// The longest answer that the client takes over UDP.
    pub(super) fn max_udp_bytes(&self) -> usize {
        let offered = self
            .edns
            .as_ref()
            .map_or(0, |edns| usize::from(edns.max_payload()));
        offered.clamp(MIN_UDP_BYTES, MAX_UDP_BYTES)
    }

    /// The authoritative answer, at most `max_bytes` long: records that do not fit are left out, and it says so.
    pub(super) fn answer(&self, records: Vec<Record>, max_bytes: usize) -> Option<Vec<u8>> {
        let mut message = self.reply(ResponseCode::NoError);
        message.metadata.authoritative = true;
        message.answers = records;
        loop {
            let bytes = message.to_vec().ok()?;
            let excess = bytes.len().saturating_sub(max_bytes);
            if excess == 0 {
                return Some(bytes);
            }
            message.metadata.truncation = true;
            // At least one, and never more than must go; the loop does the rest.
            let surplus = (excess / ADDRESS_RECORD_BYTES).max(1);
            let keep = message.answers.len().checked_sub(surplus)?;
            message.answers.truncate(keep);
        }
    }

    /// The answer when nobody could answer.
    pub(super) fn server_failure(&self) -> Option<Vec<u8>> {
        self.reply(ResponseCode::ServFail).to_vec().ok()
    }

    /// The answer that sends the client to TCP.
    pub(super) fn truncated(&self) -> Option<Vec<u8>> {
        let mut message = self.reply(ResponseCode::NoError);
        message.metadata.truncation = true;
        message.to_vec().ok()
    }

    fn reply(&self, code: ResponseCode) -> Message {
        let mut message = Message::new(
            self.metadata.id,
            MessageType::Response,
            self.metadata.op_code,
        );
        message.metadata = Metadata::response_from_request(&self.metadata);
        message.metadata.recursion_available = true;
        message.metadata.response_code = code;
        message.add_query(self.question.clone());
        if let Some(asked) = &self.edns {
            // Source: RFC 6891 section 6.1.1 (an answer has OPT if the query had), RFC 3225 section 3 (DO is copied).
            let mut edns = Edns::new();
            edns.set_max_payload(u16::try_from(MAX_UDP_BYTES).unwrap_or(u16::MAX));
            edns.set_version(0);
            edns.set_dnssec_ok(asked.flags().dnssec_ok);
            message.set_edns(edns);
        }
        message
    }

    /// What an upstream's message is to this request, which was sent with `id`: `None` where it is not an answer
    /// to it. Source: RFC 5452 section 9.1 (id and question must match; the socket sees to the addresses).
    pub(super) fn verdict(&self, bytes: &[u8], id: u16) -> Option<Verdict> {
        if bytes.len() < HEADER_BYTES {
            return None;
        }
        let mut decoder = BinDecoder::new(bytes);
        let header = Header::read(&mut decoder).ok()?;
        let metadata = header.metadata;
        if metadata.id != id
            || metadata.message_type != MessageType::Response
            || header.counts.queries != 1
        {
            return None;
        }
        let question = Query::read(&mut decoder).ok()?;
        let same = question.name == self.question.name
            && question.query_type == self.question.query_type
            && question.query_class == self.question.query_class;
        if !same {
            return None;
        }
        let failed = metadata.response_code == ResponseCode::ServFail
            || metadata.response_code == ResponseCode::Refused;
        Some(if failed {
            Verdict::Failed
        } else {
            Verdict::Answered
        })
    }

    /// The id that the client knows the request by.
    pub(super) fn id(&self) -> u16 {
        self.metadata.id
    }
}

/// What an upstream's answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It answers, perhaps that there is no such name.
    Answered,
    /// This server could not or would not; another one may.
    Failed,
}

/// Puts another id into a message that is long enough to have one.
pub(super) fn set_id(bytes: &mut [u8], id: u16) {
    if let Some(place) = bytes.first_chunk_mut::<2>() {
        *place = id.to_be_bytes();
    }
}

/// An id that nobody can guess.
pub(super) fn fresh_id() -> u16 {
    // A new query of hickory's has an id of its secure generator.
    Message::query().metadata.id
}

#[cfg(test)]
mod tests;
