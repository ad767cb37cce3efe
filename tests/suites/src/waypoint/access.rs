//! A line of the waypoint's access log in Istio's text format, taken apart as strictly as a collector would.

use anyhow::{Context as _, Result, bail, ensure};

/// One line. `-` stays `-`. Source: wire.md B.10, Istio's `EnvoyTextLogFormat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `2026-01-31T12:34:56.123Z`.
    pub start: String,
    /// Method, path and protocol between quotes: `GET /path HTTP/1.1`.
    pub request: String,
    /// `%RESPONSE_CODE%`.
    pub status: u16,
    /// `%RESPONSE_FLAGS%`.
    pub flags: String,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: String,
    /// `%CONNECTION_TERMINATION_DETAILS%`.
    pub termination: String,
    /// `%UPSTREAM_TRANSPORT_FAILURE_REASON%`.
    pub transport_failure: String,
    /// `%BYTES_RECEIVED%`.
    pub received: u64,
    /// `%BYTES_SENT%`.
    pub sent: u64,
    /// `%DURATION%`, milliseconds.
    pub duration: String,
    /// `%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%`.
    pub upstream_time: String,
    /// `%REQ(X-FORWARDED-FOR)%`.
    pub forwarded_for: String,
    /// `%REQ(USER-AGENT)%`.
    pub user_agent: String,
    /// `%REQ(X-REQUEST-ID)%`.
    pub request_id: String,
    /// `%REQ(:AUTHORITY)%`.
    pub authority: String,
    /// `%UPSTREAM_HOST%`.
    pub upstream_host: String,
    /// `%UPSTREAM_CLUSTER_RAW%`.
    pub cluster: String,
    /// `%UPSTREAM_LOCAL_ADDRESS%`.
    pub upstream_local: String,
    /// `%DOWNSTREAM_LOCAL_ADDRESS%`.
    pub local: String,
    /// `%DOWNSTREAM_REMOTE_ADDRESS%`.
    pub remote: String,
    /// `%REQUESTED_SERVER_NAME%`.
    pub server_name: String,
    /// `%ROUTE_NAME%`.
    pub route: String,
}

impl Access {
    /// Takes a line apart.
    ///
    /// # Errors
    ///
    /// When a field is missing, too many, or not between quotes where it must be.
    pub fn parse(line: &str) -> Result<Self> {
        let mut fields = Fields { rest: line };
        let parsed = Self::fields(&mut fields).with_context(|| line.to_owned())?;
        ensure!(
            fields.rest.is_empty(),
            "{:?} follows in {line}",
            fields.rest
        );
        Ok(parsed)
    }

    fn fields(fields: &mut Fields<'_>) -> Result<Self> {
        let start = fields.bare()?;
        let start = start
            .strip_prefix('[')
            .and_then(|it| it.strip_suffix(']'))
            .context("a time in brackets")?;
        Ok(Self {
            start: start.to_owned(),
            request: fields.quoted()?,
            status: fields.bare()?.parse().context("a status")?,
            flags: fields.bare()?,
            details: fields.bare()?,
            termination: fields.bare()?,
            transport_failure: fields.quoted()?,
            received: fields.bare()?.parse().context("bytes received")?,
            sent: fields.bare()?.parse().context("bytes sent")?,
            duration: fields.bare()?,
            upstream_time: fields.bare()?,
            forwarded_for: fields.quoted()?,
            user_agent: fields.quoted()?,
            request_id: fields.quoted()?,
            authority: fields.quoted()?,
            upstream_host: fields.quoted()?,
            cluster: fields.bare()?,
            upstream_local: fields.bare()?,
            local: fields.bare()?,
            remote: fields.bare()?,
            server_name: fields.bare()?,
            route: fields.bare()?,
        })
    }
}

struct Fields<'l> {
    rest: &'l str,
}

impl Fields<'_> {
    /// Up to the next space.
    fn bare(&mut self) -> Result<String> {
        let (field, rest) = self.rest.split_once(' ').unwrap_or((self.rest, ""));
        ensure!(!field.is_empty(), "an empty field before {rest:?}");
        ensure!(!field.starts_with('"'), "{field:?} is between quotes");
        self.rest = rest;
        Ok(field.to_owned())
    }

    /// Between quotes.
    fn quoted(&mut self) -> Result<String> {
        let rest = self.rest.strip_prefix('"');
        let rest = rest.with_context(|| format!("no quote before {:?}", self.rest))?;
        let Some((field, rest)) = rest.split_once('"') else {
            bail!("no quote after {rest:?}");
        };
        self.rest = rest.strip_prefix(' ').unwrap_or(rest);
        Ok(field.to_owned())
    }
}
