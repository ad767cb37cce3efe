//! Why a request is refused before anything else looks at it.

use std::error::Error;

use http::StatusCode;

/// Why. Its `Display` is for the body of the answer and for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// RFC 9112 §2.2: a line ends with CR LF.
    #[error("a line ends with LF alone")]
    BareLf,
    /// RFC 9112 §2.2.
    #[error("a CR is not followed by LF")]
    BareCr,
    /// RFC 9112 §3.
    #[error("the request line is not method, target and version")]
    RequestLine,
    /// RFC 9110 §9.1.
    #[error("the method is not a token")]
    Method,
    /// RFC 9112 §3.2.
    #[error("the request target is not valid")]
    Target,
    /// RFC 9112 §2.3.
    #[error("the version is not HTTP/1.1")]
    Version,
    /// HTTP/1.0. Source: Envoy, `accept_http_10` off.
    #[error("HTTP/1.0 is not accepted")]
    LowVersion,
    /// RFC 9112 §5.2.
    #[error("a header field is folded over several lines")]
    Fold,
    /// RFC 9112 §5.1.
    #[error("white space stands before the colon of a header field")]
    SpaceBeforeColon,
    /// RFC 9110 §5.1.
    #[error("the name of a header field is not a token")]
    FieldName,
    /// RFC 9110 §5.5.
    #[error("the value of a header field has a control character")]
    FieldValue,
    /// RFC 9112 §3.2.
    #[error("there is no host")]
    MissingHost,
    /// RFC 9112 §3.2.
    #[error("there is more than one host")]
    SeveralHosts,
    /// RFC 9110 §7.2.
    #[error("the host is not a host with an optional port")]
    Host,
    /// RFC 9113 §8.3.1.
    #[error("host and :authority differ")]
    HostMismatch,
    /// RFC 9112 §6.3.
    #[error("there is more than one content-length")]
    SeveralLengths,
    /// RFC 9110 §8.6.
    #[error("content-length is not a number")]
    Length,
    /// RFC 9112 §6.1.
    #[error("content-length and transfer-encoding are both there")]
    LengthAndCoding,
    /// RFC 9112 §6.3.
    #[error("transfer-encoding does not end with chunked, or has it twice")]
    Coding,
    /// RFC 9112 §6.1.
    #[error("only the transfer coding chunked is known")]
    UnknownCoding,
    /// RFC 9110 §9.3.6.
    #[error("a CONNECT request has a body")]
    ConnectBody,
    /// RFC 9112 §7.1.
    #[error("a chunk is not well-formed")]
    Chunk,
    /// RFC 9110 §6.5.1.
    #[error("the trailers have a field that does not belong there")]
    Trailer,
    /// RFC 6585 §5.
    #[error("the header fields are too large")]
    TooLarge,
    /// RFC 6585 §5.
    #[error("there are too many header fields")]
    TooMany,
    /// RFC 9110 §15.5.9.
    #[error("the head of the request took too long")]
    HeadTimeout,
    /// The configuration has changed since the connection came.
    #[error("this waypoint does not stand before what the connection was made to any more")]
    Unserved,
}

impl Refusal {
    /// What is answered.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge | Self::TooMany => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::LowVersion => StatusCode::UPGRADE_REQUIRED,
            Self::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
            Self::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Unserved => StatusCode::SERVICE_UNAVAILABLE,
            Self::BareLf
            | Self::BareCr
            | Self::RequestLine
            | Self::Method
            | Self::Target
            | Self::Version
            | Self::Fold
            | Self::SpaceBeforeColon
            | Self::FieldName
            | Self::FieldValue
            | Self::MissingHost
            | Self::SeveralHosts
            | Self::Host
            | Self::HostMismatch
            | Self::SeveralLengths
            | Self::Length
            | Self::LengthAndCoding
            | Self::Coding
            | Self::ConnectBody
            | Self::Chunk
            | Self::Trailer => StatusCode::BAD_REQUEST,
        }
    }

    /// What the access log calls it. Source: Envoy's response code details, where it has one.
    #[must_use]
    pub fn details(self) -> &'static str {
        match self {
            Self::TooLarge => "http1.headers_too_large",
            Self::TooMany => "http1.too_many_headers",
            Self::LowVersion => "low_version",
            Self::HeadTimeout => "request_header_timeout",
            Self::Unserved => "target_not_served",
            Self::MissingHost => "missing_host_header",
            Self::Host | Self::SeveralHosts | Self::HostMismatch => "invalid_host_header",
            Self::Target => "http1.invalid_url",
            Self::FieldName | Self::FieldValue => "http1.invalid_characters",
            Self::LengthAndCoding => "http1.content_length_and_chunked_not_allowed",
            Self::SeveralLengths | Self::Length => "http1.invalid_content_length",
            Self::Coding | Self::UnknownCoding => "http1.invalid_transfer_encoding",
            Self::ConnectBody => "http1.body_disallowed",
            Self::BareLf
            | Self::BareCr
            | Self::RequestLine
            | Self::Method
            | Self::Version
            | Self::Fold
            | Self::SpaceBeforeColon
            | Self::Chunk
            | Self::Trailer => "http1.codec_error",
        }
    }

    /// Whether the client broke the protocol (flag DPE), rather than asked for what we do not do.
    #[must_use]
    pub fn is_protocol_error(self) -> bool {
        !matches!(self, Self::LowVersion | Self::HeadTimeout | Self::Unserved)
    }

    /// The refusal behind an error of a request's body: what came after a head that was well-formed.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(*found);
            }
            // An I/O error's own cause is what it wraps, and its source is the cause's source.
            if let Some(inner) = error
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::get_ref)
                && let Some(found) = inner.downcast_ref::<Self>()
            {
                return Some(*found);
            }
            next = error.source();
        }
        None
    }
}
