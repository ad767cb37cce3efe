//! The commands of format strings that are known, and what each takes.
//!
//! A command of Envoy that is not here is one whose answer a waypoint does not have, such as
//! `%DYNAMIC_METADATA(..)%`: a format that names it is refused, rather than logging nothing for ever.

use http::{HeaderName, header::HOST};

use super::{
    Needs, add,
    parse::{InvalidFormat, Written},
    time::TimeFormat,
};

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `REQ(X?Y):Z`, also written `REQUEST_HEADER`.
    Request(Lookup<RequestField>),
    /// `RESP(X?Y):Z`, also written `RESPONSE_HEADER`.
    Response(Lookup<ResponseField>),
    /// `TRAILER(X?Y):Z`, also written `RESPONSE_TRAILER`.
    Trailer(Lookup<HeaderName>),
    /// `START_TIME`, `START_TIME(format)`.
    StartTime(TimeFormat),
    /// `PROTOCOL`.
    Protocol,
    /// `METHOD`, which is short for `REQ(:METHOD)`.
    Method,
    /// `PATH(query:which):Z`.
    Path(PathPart),
    /// `QUERY_PARAM(name):Z`.
    Query(Box<str>, Option<usize>),
    /// `RESPONSE_CODE`.
    ResponseCode,
    /// `RESPONSE_CODE_DETAILS`.
    Details(Spaces),
    /// `RESPONSE_FLAGS`.
    Flags,
    /// `RESPONSE_FLAGS_LONG`.
    FlagsLong,
    /// `CONNECTION_TERMINATION_DETAILS`.
    TerminationDetails,
    /// `UPSTREAM_TRANSPORT_FAILURE_REASON`.
    TransportFailure,
    /// `BYTES_RECEIVED`.
    BytesReceived,
    /// `BYTES_SENT`.
    BytesSent,
    /// `DURATION` and its kin.
    Duration(Span),
    /// `UPSTREAM_HOST`.
    UpstreamHost,
    /// `UPSTREAM_CLUSTER`, `UPSTREAM_CLUSTER_RAW`.
    Cluster,
    /// An address of a socket.
    Address(Socket, AddressPart),
    /// `REQUESTED_SERVER_NAME`.
    ServerName,
    /// `ROUTE_NAME`.
    Route,
    /// `DOWNSTREAM_PEER_URI_SAN`.
    DownstreamIdentity,
    /// `UPSTREAM_PEER_URI_SAN`.
    UpstreamIdentity,
    /// `HOSTNAME`.
    Hostname,
    /// `UPSTREAM_REQUEST_ATTEMPT_COUNT`.
    Attempts,
    /// `GRPC_STATUS(form)`, `GRPC_STATUS_NUMBER`.
    GrpcStatus(StatusForm),
}

/// `X?Y` with a length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookup<N> {
    pub(crate) first: N,
    /// Asked if the first is not there.
    pub(crate) other: Option<N>,
    /// What is longer is cut. Units: bytes.
    pub(crate) length: Option<usize>,
}

/// What `REQ` can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestField {
    Method,
    Path,
    Authority,
    Scheme,
    /// `x-envoy-original-path`: the path before it was rewritten.
    OriginalPath,
    Header(HeaderName),
}

/// What `RESP` can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ResponseField {
    Status,
    /// `x-envoy-upstream-service-time`.
    ServiceTime,
    Header(HeaderName),
}

/// Which path, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathPart {
    pub(crate) which: WhichPath,
    pub(crate) query: bool,
    pub(crate) length: Option<usize>,
}

/// Which of the two paths of a request that was rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhichPath {
    Original,
    Rewritten,
    OriginalOrPath,
}

/// What becomes of white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spaces {
    Underscores,
    Kept,
}

/// Between which moments of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// Its beginning to its end.
    Whole,
    /// Its beginning to the last byte from the client.
    Received,
    /// Its beginning to the last byte to the endpoint.
    Sent,
    /// Its beginning to the first byte of the response.
    Answered,
    /// The first byte of the response to its end.
    Answering,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    UpstreamLocal,
    UpstreamRemote,
    DownstreamLocal,
    DownstreamRemote,
    DownstreamDirectRemote,
}

/// How much of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressPart {
    Whole,
    Ip,
    Port,
}

/// How a gRPC status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusForm {
    Camel,
    Snake,
    Number,
}

impl Command {
    /// Makes sense of a command that was found.
    pub(super) fn read(written: &Written<'_>) -> Result<Self, InvalidFormat> {
        let command = match written.name {
            "REQ" | "REQUEST_HEADER" => Self::Request(lookup(written, request_field)?),
            "RESP" | "RESPONSE_HEADER" => Self::Response(lookup(written, response_field)?),
            "TRAILER" | "RESPONSE_TRAILER" => Self::Trailer(lookup(written, header)?),
            "START_TIME" => Self::StartTime(start_time(written)?),
            "PATH" => Self::Path(path(written)?),
            "QUERY_PARAM" => match written.argument {
                Some(name) if !name.is_empty() => Self::Query(name.into(), length(written)?),
                Some(_) | None => return Err(written.argument("the name of a query parameter")),
            },
            "RESPONSE_CODE_DETAILS" => Self::Details(match written.argument {
                None | Some("") => Spaces::Underscores,
                Some("ALLOW_WHITESPACES") => Spaces::Kept,
                Some(_) => return Err(written.argument("none, or ALLOW_WHITESPACES")),
            }),
            "GRPC_STATUS" => Self::GrpcStatus(match written.argument {
                None | Some("" | "CAMEL_STRING") => StatusForm::Camel,
                Some("SNAKE_STRING") => StatusForm::Snake,
                Some("NUMBER") => StatusForm::Number,
                Some(_) => {
                    return Err(written.argument("CAMEL_STRING, SNAKE_STRING or NUMBER"));
                }
            }),
            name => {
                let command = plain(name)
                    .or_else(|| address(name))
                    .ok_or_else(|| written.unknown())?;
                if written.argument.is_some() {
                    return Err(written.argument("none"));
                }
                command
            }
        };
        let cuts = match &command {
            Self::Request(_)
            | Self::Response(_)
            | Self::Trailer(_)
            | Self::Path(_)
            | Self::Query(..) => true,
            Self::StartTime(_)
            | Self::Protocol
            | Self::Method
            | Self::ResponseCode
            | Self::Details(_)
            | Self::Flags
            | Self::FlagsLong
            | Self::TerminationDetails
            | Self::TransportFailure
            | Self::BytesReceived
            | Self::BytesSent
            | Self::Duration(_)
            | Self::UpstreamHost
            | Self::Cluster
            | Self::Address(..)
            | Self::ServerName
            | Self::Route
            | Self::DownstreamIdentity
            | Self::UpstreamIdentity
            | Self::Hostname
            | Self::Attempts
            | Self::GrpcStatus(_) => false,
        };
        if cuts || written.length.is_none() {
            Ok(command)
        } else {
            Err(written.length("none"))
        }
    }

    /// Adds the headers that it reads.
    pub(super) fn needs(&self, needs: &mut Needs) {
        match self {
            Self::Request(lookup) => {
                for field in lookup.fields() {
                    match field {
                        RequestField::Header(name) => add(&mut needs.request, name),
                        RequestField::Method
                        | RequestField::Path
                        | RequestField::Authority
                        | RequestField::Scheme
                        | RequestField::OriginalPath => {}
                    }
                }
            }
            Self::Response(lookup) => {
                for field in lookup.fields() {
                    match field {
                        ResponseField::Header(name) => add(&mut needs.response, name),
                        ResponseField::Status | ResponseField::ServiceTime => {}
                    }
                }
            }
            Self::Trailer(lookup) => {
                for name in lookup.fields() {
                    add(&mut needs.trailers, name);
                }
            }
            Self::StartTime(_)
            | Self::Protocol
            | Self::Method
            | Self::Path(_)
            | Self::Query(..)
            | Self::ResponseCode
            | Self::Details(_)
            | Self::Flags
            | Self::FlagsLong
            | Self::TerminationDetails
            | Self::TransportFailure
            | Self::BytesReceived
            | Self::BytesSent
            | Self::Duration(_)
            | Self::UpstreamHost
            | Self::Cluster
            | Self::Address(..)
            | Self::ServerName
            | Self::Route
            | Self::DownstreamIdentity
            | Self::UpstreamIdentity
            | Self::Hostname
            | Self::Attempts
            | Self::GrpcStatus(_) => {}
        }
    }
}

impl<N> Lookup<N> {
    /// What is asked for, in order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &N> {
        std::iter::once(&self.first).chain(&self.other)
    }
}

/// The commands that take nothing.
fn plain(name: &str) -> Option<Command> {
    Some(match name {
        "PROTOCOL" => Command::Protocol,
        "METHOD" => Command::Method,
        "RESPONSE_CODE" => Command::ResponseCode,
        "RESPONSE_FLAGS" => Command::Flags,
        "RESPONSE_FLAGS_LONG" => Command::FlagsLong,
        "CONNECTION_TERMINATION_DETAILS" => Command::TerminationDetails,
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => Command::TransportFailure,
        "BYTES_RECEIVED" => Command::BytesReceived,
        "BYTES_SENT" => Command::BytesSent,
        "DURATION" => Command::Duration(Span::Whole),
        "REQUEST_DURATION" => Command::Duration(Span::Received),
        "REQUEST_TX_DURATION" => Command::Duration(Span::Sent),
        "RESPONSE_DURATION" => Command::Duration(Span::Answered),
        "RESPONSE_TX_DURATION" => Command::Duration(Span::Answering),
        "UPSTREAM_HOST" => Command::UpstreamHost,
        "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => Command::Cluster,
        "REQUESTED_SERVER_NAME" => Command::ServerName,
        "ROUTE_NAME" => Command::Route,
        "DOWNSTREAM_PEER_URI_SAN" => Command::DownstreamIdentity,
        "UPSTREAM_PEER_URI_SAN" => Command::UpstreamIdentity,
        "HOSTNAME" => Command::Hostname,
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Command::Attempts,
        "GRPC_STATUS_NUMBER" => Command::GrpcStatus(StatusForm::Number),
        _ => return None,
    })
}

fn address(name: &str) -> Option<Command> {
    let (socket, part) = if let Some(socket) = name.strip_suffix("_ADDRESS") {
        (socket, AddressPart::Whole)
    } else if let Some(socket) = name.strip_suffix("_ADDRESS_WITHOUT_PORT") {
        (socket, AddressPart::Ip)
    } else {
        (name.strip_suffix("_PORT")?, AddressPart::Port)
    };
    let socket = match socket {
        "UPSTREAM_LOCAL" => Socket::UpstreamLocal,
        "UPSTREAM_REMOTE" => Socket::UpstreamRemote,
        "DOWNSTREAM_LOCAL" => Socket::DownstreamLocal,
        "DOWNSTREAM_REMOTE" => Socket::DownstreamRemote,
        "DOWNSTREAM_DIRECT_REMOTE" => Socket::DownstreamDirectRemote,
        _ => return None,
    };
    Some(Command::Address(socket, part))
}

fn length(written: &Written<'_>) -> Result<Option<usize>, InvalidFormat> {
    written
        .length
        .map(|digits| {
            digits
                .parse()
                .map_err(|_| written.length("a number of bytes"))
        })
        .transpose()
}

fn lookup<N>(
    written: &Written<'_>,
    read: fn(&str) -> Option<N>,
) -> Result<Lookup<N>, InvalidFormat> {
    const EXPECTED: &str = "the name of a header, or two as in X?Y";
    let of = |name: &str| read(name).ok_or_else(|| written.argument(EXPECTED));
    let argument = written.argument.unwrap_or_default();
    let (first, other) = match argument.split_once('?') {
        // `X?` asks for X only, as in Envoy.
        Some((first, "")) => (of(first)?, None),
        Some((first, other)) => (of(first)?, Some(of(other)?)),
        None => (of(argument)?, None),
    };
    Ok(Lookup {
        first,
        other,
        length: length(written)?,
    })
}

fn header(name: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(name.as_bytes()).ok()
}

fn request_field(name: &str) -> Option<RequestField> {
    Some(match name.to_ascii_lowercase().as_str() {
        ":method" => RequestField::Method,
        ":path" => RequestField::Path,
        ":authority" => RequestField::Authority,
        ":scheme" => RequestField::Scheme,
        "x-envoy-original-path" => RequestField::OriginalPath,
        other => match header(other)? {
            HOST => RequestField::Authority,
            name => RequestField::Header(name),
        },
    })
}

fn response_field(name: &str) -> Option<ResponseField> {
    Some(match name.to_ascii_lowercase().as_str() {
        ":status" => ResponseField::Status,
        "x-envoy-upstream-service-time" => ResponseField::ServiceTime,
        other => ResponseField::Header(header(other)?),
    })
}

fn start_time(written: &Written<'_>) -> Result<TimeFormat, InvalidFormat> {
    match written.argument {
        None | Some("") => Ok(TimeFormat::Milliseconds),
        Some(text) => TimeFormat::read(text).ok_or_else(|| {
            written.argument("strftime specifiers such as %Y-%m-%dT%H:%M:%S, %s, %f or %3f")
        }),
    }
}

fn path(written: &Written<'_>) -> Result<PathPart, InvalidFormat> {
    let mut part = PathPart {
        which: WhichPath::OriginalOrPath,
        query: true,
        length: length(written)?,
    };
    let argument = written.argument.unwrap_or_default();
    let (query, which) = argument.split_once(':').unwrap_or((argument, ""));
    let expected = || written.argument("WQ or NQ, and ORIG, PATH or ORIG_OR_PATH, as in NQ:ORIG");
    match query {
        "" | "WQ" => {}
        "NQ" => part.query = false,
        _ => return Err(expected()),
    }
    match which {
        "" | "ORIG_OR_PATH" => {}
        "ORIG" => part.which = WhichPath::Original,
        "PATH" => part.which = WhichPath::Rewritten,
        _ => return Err(expected()),
    }
    Ok(part)
}
