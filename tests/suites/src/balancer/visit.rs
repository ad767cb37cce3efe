//! A request by an unmodified curl from any machine to any address, and what came back.
//!
//! In: a machine, one of its addresses, a port of a balancer. Out: status, headers' JSON, or how it was refused.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::Machine;
use serde_json::Value;

/// Where requests say that they go, unless told otherwise.
const AUTHORITY: &str = "web.shop.svc.cluster.local";
/// What curl ends with when the peer has closed or reset: failed to connect (a reset may come that early), got nothing, failed to send, failed to
/// receive, HTTP/2's framing, its stream.
const CUT: [i32; 6] = [7, 52, 55, 56, 16, 92];

/// A visit to be made.
#[derive(Clone, Debug)]
pub struct Visit<'m> {
    from: &'m Machine,
    to: SocketAddr,
    arguments: Vec<OsString>,
}

/// What became of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The status; 0 where the connection was closed or reset before there was one.
    pub status: u16,
    /// The body.
    pub text: String,
}

impl Seen {
    /// The body as JSON: what an [`Echo`](crate::echo::Echo) saw. `Null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// A header that the backend saw, all values joined by `, `.
    pub fn saw(&self, name: &str) -> Option<String> {
        let json = self.json();
        let values = json["headers"][name].as_array()?;
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        Some(values.join(", "))
    }
}

impl<'m> Visit<'m> {
    /// From a machine to an address.
    pub fn new(from: &'m Machine, to: impl Into<SocketAddr>) -> Self {
        Self {
            from,
            to: to.into(),
            arguments: Vec::new(),
        }
    }

    /// From this one of the machine's addresses.
    #[must_use]
    pub fn as_address(self, address: impl Into<IpAddr>) -> Self {
        let address: IpAddr = address.into();
        self.arg("--interface").arg(format!("host!{address}"))
    }

    /// With a header.
    #[must_use]
    pub fn header(self, header: &str) -> Self {
        self.arg("-H").arg(header)
    }

    /// HTTP/2 with prior knowledge.
    #[must_use]
    pub fn http2(self) -> Self {
        self.arg("--http2-prior-knowledge")
    }

    /// One more argument of curl.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sends one request.
    ///
    /// # Errors
    ///
    /// When curl ends otherwise than with an answer, or with a connection that was closed.
    pub fn send(&self, path: &str) -> Result<Seen> {
        let mut seen = self.send_all(&[path])?;
        seen.pop().context("one request has one answer")
    }

    /// Sends these one after the other, on one connection as long as it holds, and answers as many as there are paths.
    ///
    /// # Errors
    ///
    /// As [`Visit::send`].
    pub fn send_all(&self, paths: &[&str]) -> Result<Vec<Seen>> {
        // No body has it.
        const END: &str = "\u{1}";
        let fixed = [
            "curl",
            "-sS",
            "-m",
            "60",
            "--path-as-is",
            "--noproxy",
            "*",
            "-w",
            "\u{1}%{http_code}\u{1}",
        ];
        let mut line: Vec<OsString> = fixed.map(OsString::from).to_vec();
        line.push("--connect-to".into());
        line.push(format!("::{}", self.to).into());
        line.extend(self.arguments.iter().cloned());
        line.extend(
            paths
                .iter()
                .map(|path| format!("http://{AUTHORITY}{path}").into()),
        );
        let command = self.from.command(line).timeout(Duration::from_secs(90));
        let output = command.output()?;
        let text = output.text();
        let mut parts = text.split(END);
        let mut all = Vec::new();
        while let (Some(body), Some(status)) = (parts.next(), parts.next()) {
            let status = status.parse().with_context(|| format!("{text:?}"))?;
            let text = body.to_owned();
            all.push(Seen { status, text });
        }
        let ended = output.code().unwrap_or(-1);
        ensure!(ended == 0 || CUT.contains(&ended), "{output:?}");
        ensure!(all.len() == paths.len(), "{output:?}");
        Ok(all)
    }
}
