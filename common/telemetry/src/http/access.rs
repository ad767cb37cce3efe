//! The access log of layer 7: one line per request or TCP session, exactly as Envoy writes it.
//!
//! In: what is wanted, once per configuration; then finished records. Out: whole lines, through the queue of all logs.
//! Never: costs anything while it is off, waits for who reads it, lets a peer begin a line.
//!
//! **Source:** Istio's MeshConfig `accessLogFile`, `accessLogEncoding`, `accessLogFormat` and
//! `envoyFileAccessLog{logFormat, omitEmptyValues}`.

use super::{Captures, Record};
use crate::{
    format::{Format, InvalidFormat, Needs, render::Absent},
    logging::{
        Logging,
        line::{Quotes, escape},
    },
};

/// Istio's default line.
pub const DEFAULT_TEXT: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" ",
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ",
    "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" ",
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% ",
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ",
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n",
);

/// Istio's default fields of JSON, in order.
pub const DEFAULT_FIELDS: &[(&str, &str)] = &[
    ("start_time", "%START_TIME%"),
    ("route_name", "%ROUTE_NAME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    (
        "connection_termination_details",
        "%CONNECTION_TERMINATION_DETAILS%",
    ),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    (
        "upstream_service_time",
        "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    ),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    (
        "upstream_transport_failure_reason",
        "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    ),
];

/// How many fields a JSON line may have: four times Istio's own.
pub const MAX_FIELDS: usize = 100;

/// Why no access log can be made of what is wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAccessLog {
    /// The text format.
    #[error("the text format of the access log")]
    Text(#[source] InvalidFormat),
    /// A field of the JSON format.
    #[error("field {name:?} of the JSON access log")]
    Field {
        /// Its name.
        name: String,
        /// Why.
        source: InvalidFormat,
    },
    /// Two fields of one name.
    #[error("field {name:?} of the JSON access log stands there twice")]
    Twice {
        /// Its name.
        name: String,
    },
    /// Too many fields.
    #[error("the JSON access log has {count} fields: expected at most {MAX_FIELDS}")]
    TooMany {
        /// How many.
        count: usize,
    },
}

/// The access log that one configuration asks for. Built once; shared by all who write.
#[derive(Clone, Debug)]
pub struct AccessLog {
    lines: Lines,
    absent: Absent,
    needs: Needs,
    captures: Captures,
}

#[derive(Clone, Debug)]
enum Lines {
    Off,
    Text(Format),
    Json(Vec<Field>),
}

/// A field of a JSON line.
#[derive(Clone, Debug)]
struct Field {
    /// `"name":`, escaped.
    key: Box<str>,
    value: Format,
}

impl AccessLog {
    /// No access log (`accessLogFile` is empty).
    #[must_use]
    pub fn off() -> Self {
        Self::new(Lines::Off, Absent::Dash, Needs::default())
    }

    /// Lines of text; `None` for Istio's default. A line's end is added where the format has none.
    ///
    /// # Errors
    /// When the format cannot be read.
    pub fn text(format: Option<&str>, omit_empty: bool) -> Result<Self, InvalidAccessLog> {
        let format = format.unwrap_or(DEFAULT_TEXT);
        let format = if format.ends_with('\n') {
            Format::parse(format)
        } else {
            Format::parse(&format!("{format}\n"))
        };
        let format = format.map_err(InvalidAccessLog::Text)?;
        let needs = format.needs();
        Ok(Self::new(Lines::Text(format), absent(omit_empty), needs))
    }

    /// Lines of JSON, with names and formats in the order given; none for Istio's default fields.
    ///
    /// # Errors
    /// When a format cannot be read, a name stands there twice, or there are too many.
    pub fn json<'a>(
        fields: impl IntoIterator<Item = (&'a str, &'a str)>,
        omit_empty: bool,
    ) -> Result<Self, InvalidAccessLog> {
        let mut fields: Vec<(&str, &str)> = fields.into_iter().collect();
        if fields.is_empty() {
            fields.extend_from_slice(DEFAULT_FIELDS);
        }
        if fields.len() > MAX_FIELDS {
            return Err(InvalidAccessLog::TooMany {
                count: fields.len(),
            });
        }
        let mut needs = Needs::default();
        let mut read: Vec<Field> = Vec::with_capacity(fields.len());
        for (name, format) in fields {
            let value = Format::parse(format).map_err(|source| InvalidAccessLog::Field {
                name: name.to_owned(),
                source,
            })?;
            let mut key = String::from('"');
            escape(&mut key, Quotes::Escaped, name);
            key.push_str("\":");
            if read.iter().any(|field| *field.key == *key) {
                return Err(InvalidAccessLog::Twice {
                    name: name.to_owned(),
                });
            }
            needs = needs.and(&value.needs());
            read.push(Field {
                key: key.into(),
                value,
            });
        }
        Ok(Self::new(Lines::Json(read), absent(omit_empty), needs))
    }

    fn new(lines: Lines, absent: Absent, needs: Needs) -> Self {
        let captures = Captures::from(&needs);
        Self {
            lines,
            absent,
            needs,
            captures,
        }
    }

    /// Whether lines are written.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        match self.lines {
            Lines::Off => false,
            Lines::Text(_) | Lines::Json(_) => true,
        }
    }

    /// Which headers its lines show, to be joined with what else is needed of them.
    #[must_use]
    pub const fn needs(&self) -> &Needs {
        &self.needs
    }

    /// What to keep of the headers of a request and its response: the request's after all edits, once it has an id;
    /// the response's likewise. Nothing while it is off.
    #[must_use]
    pub const fn captures(&self) -> &Captures {
        &self.captures
    }

    /// Writes the line of what has ended, or loses it (counted) if the sink is too slow. No allocation.
    ///
    /// The levels of the process's log do not matter here: the configuration alone says whether there is a line.
    pub fn write(&self, logging: &Logging, record: &Record<'_>) {
        if self.is_on() {
            logging.raw(|out| self.line(record, out));
        }
    }

    /// Appends the line, with its end.
    pub(crate) fn line(&self, record: &Record<'_>, out: &mut String) {
        match &self.lines {
            Lines::Off => {}
            Lines::Text(format) => format.write_text(record, out, self.absent),
            Lines::Json(fields) => {
                let mut before = '{';
                for field in fields {
                    if self.absent == Absent::Nothing && field.value.is_absent(record) {
                        continue;
                    }
                    out.push(before);
                    before = ',';
                    out.push_str(&field.key);
                    field.value.write_json(record, out, self.absent);
                }
                out.push_str(if before == '{' { "{}\n" } else { "}\n" });
            }
        }
    }
}

const fn absent(omit_empty: bool) -> Absent {
    if omit_empty {
        Absent::Nothing
    } else {
        Absent::Dash
    }
}

#[cfg(test)]
mod tests;
