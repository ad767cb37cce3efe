//! What a command says of a record.

use std::net::{IpAddr, SocketAddr};

use http::Version;
use mesh::SpiffeId;

use super::{
    command::{
        AddressPart, Command, Lookup, PathPart, RequestField, ResponseField, Socket, Spaces,
        StatusForm, WhichPath,
    },
    time::Moment,
};
use crate::http::{Flags, Record};

/// A value, not yet written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    /// Nothing is known.
    Absent,
    /// Text.
    Text(&'a str),
    /// What a header holds.
    Bytes(&'a [u8]),
    /// Text whose white space becomes underscores.
    Spaceless(&'a str),
    /// A number.
    Number(u64),
    /// A number that JSON has as a string, because Envoy has it as a header.
    Quoted(u64),
    Socket(SocketAddr),
    Ip(IpAddr),
    Identity(&'a SpiffeId),
    Moment(Moment<'a>),
    /// `-` if there is none: it is never absent.
    Flags(Flags),
    FlagsLong(Flags),
}

impl<'a> Value<'a> {
    pub(crate) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Absent, Self::Text)
    }

    /// As `text`, for what Envoy takes to be absent when it is empty.
    fn name(text: Option<&'a str>) -> Self {
        Self::text(text.filter(|text| !text.is_empty()))
    }

    fn cut(self, length: Option<usize>) -> Self {
        let Some(length) = length else { return self };
        match self {
            Self::Text(text) => {
                let (kept, _) = text.split_at(text.floor_char_boundary(length));
                Self::Text(kept)
            }
            Self::Bytes(bytes) => {
                let (kept, _) = bytes.split_at(length.min(bytes.len()));
                Self::Bytes(kept)
            }
            Self::Absent
            | Self::Spaceless(_)
            | Self::Number(_)
            | Self::Quoted(_)
            | Self::Socket(_)
            | Self::Ip(_)
            | Self::Identity(_)
            | Self::Moment(_)
            | Self::Flags(_)
            | Self::FlagsLong(_) => self,
        }
    }
}

impl Command {
    /// What it says of `record`.
    pub(crate) fn value<'a>(&'a self, record: &'a Record<'a>) -> Value<'a> {
        match self {
            Self::Request(lookup) => first(lookup, |field| request(field, record)),
            Self::Response(lookup) => first(lookup, |field| response(field, record)),
            Self::Trailer(lookup) => first(lookup, |name| {
                let found = record.trailers.get(name);
                found.map_or(Value::Absent, |found| Value::Bytes(found.as_bytes()))
            }),
            Self::StartTime(format) => Value::Moment(format.at(record.times.wall)),
            Self::Protocol => record
                .version
                .map_or(Value::Absent, |version| Value::Text(protocol(version))),
            Self::Method => Value::text(record.method),
            Self::Path(part) => path(*part, record),
            Self::Query(name, length) => {
                let path = record.path.or(record.original_path);
                Value::text(path.and_then(|path| query(path, name))).cut(*length)
            }
            Self::ResponseCode => {
                Value::Number(record.status.map_or(0, |status| status.as_u16().into()))
            }
            Self::Details(Spaces::Underscores) => record
                .details
                .filter(|details| !details.is_empty())
                .map_or(Value::Absent, Value::Spaceless),
            Self::Details(Spaces::Kept) => Value::name(record.details),
            Self::Flags => Value::Flags(record.flags),
            Self::FlagsLong => Value::FlagsLong(record.flags),
            Self::TerminationDetails => Value::name(record.termination_details),
            Self::TransportFailure => record
                .transport_failure
                .filter(|reason| !reason.is_empty())
                .map_or(Value::Absent, Value::Spaceless),
            Self::BytesReceived => Value::Number(record.bytes_received),
            Self::BytesSent => Value::Number(record.bytes_sent),
            Self::Duration(span) => record
                .times
                .milliseconds(*span)
                .map_or(Value::Absent, Value::Number),
            Self::UpstreamHost => record.upstream_host.map_or(Value::Absent, Value::Socket),
            Self::Cluster => Value::name(record.cluster),
            Self::Address(socket, part) => address(*socket, *part, record),
            Self::ServerName => Value::name(record.server_name),
            Self::Route => Value::name(record.route),
            Self::DownstreamIdentity => record
                .parties
                .source_identity
                .map_or(Value::Absent, Value::Identity),
            Self::UpstreamIdentity => record
                .parties
                .destination_identity
                .map_or(Value::Absent, Value::Identity),
            Self::Hostname => Value::name(Some(record.hostname)),
            Self::Attempts => Value::Number(record.attempts.into()),
            Self::GrpcStatus(form) => record.grpc_status.map_or(Value::Absent, |status| {
                let name = match form {
                    StatusForm::Camel => status.camel(),
                    StatusForm::Snake => status.snake(),
                    StatusForm::Number => return Value::Number(status.number().into()),
                };
                // One that nobody has named.
                name.map_or(Value::Quoted(status.number().into()), Value::Text)
            }),
        }
    }
}

fn first<'a, N>(lookup: &'a Lookup<N>, value: impl Fn(&'a N) -> Value<'a>) -> Value<'a> {
    lookup
        .fields()
        .map(value)
        .find(|value| !value.is_absent())
        .unwrap_or(Value::Absent)
        .cut(lookup.length)
}

fn request<'a>(field: &'a RequestField, record: &'a Record<'a>) -> Value<'a> {
    match field {
        RequestField::Method => Value::text(record.method),
        RequestField::Path => Value::text(record.path),
        RequestField::Authority => Value::text(record.authority),
        RequestField::Scheme => Value::text(record.scheme),
        RequestField::OriginalPath => Value::text(record.original_path),
        RequestField::Header(name) => {
            let found = record.request.get(name);
            found.map_or(Value::Absent, |found| Value::Bytes(found.as_bytes()))
        }
    }
}

fn response<'a>(field: &'a ResponseField, record: &'a Record<'a>) -> Value<'a> {
    match field {
        ResponseField::Status => Value::text(record.status.as_ref().map(http::StatusCode::as_str)),
        ResponseField::ServiceTime => record.upstream_service_time.map_or(Value::Absent, |time| {
            Value::Quoted(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        }),
        ResponseField::Header(name) => {
            let found = record.response.get(name);
            found.map_or(Value::Absent, |found| Value::Bytes(found.as_bytes()))
        }
    }
}

fn path<'a>(part: PathPart, record: &'a Record<'a>) -> Value<'a> {
    let path = match part.which {
        WhichPath::Original => record.original_path,
        WhichPath::Rewritten => record.path,
        WhichPath::OriginalOrPath => record.original_path.or(record.path),
    };
    let path = path.map(|path| match path.split_once('?') {
        Some((before, _)) if !part.query => before,
        Some(_) | None => path,
    });
    Value::text(path).cut(part.length)
}

/// The first parameter of that name, as it is written in the path.
fn query<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = path.split_once('?')?;
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

fn address<'a>(socket: Socket, part: AddressPart, record: &Record<'a>) -> Value<'a> {
    let address = match socket {
        Socket::UpstreamLocal => record.upstream_local,
        Socket::UpstreamRemote => record.upstream_remote,
        Socket::DownstreamLocal => record.downstream_local,
        Socket::DownstreamRemote => record.downstream_remote,
        Socket::DownstreamDirectRemote => record.downstream_direct_remote,
    };
    address.map_or(Value::Absent, |address| match part {
        AddressPart::Whole => Value::Socket(address),
        AddressPart::Ip => Value::Ip(address.ip()),
        AddressPart::Port => Value::Number(address.port().into()),
    })
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 | Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        // The type is open; there is no other.
        _ => "HTTP/1.1",
    }
}
