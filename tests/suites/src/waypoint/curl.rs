//! A request by an unmodified curl in a pod, and what came back.
//!
//! In: a path, a service's port, headers. Out: status, headers, body; or counts by pod.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::Output;
use serde_json::Value;

use super::{Ground, HTTP};
use crate::policy::PATIENCE;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A request to be sent. GET from `client` to port [`HTTP`] of `web`, HTTP/1.1, unless told otherwise.
#[derive(Clone, Debug)]
pub struct Curl<'g> {
    ground: &'g Ground,
    from: String,
    service: String,
    port: u16,
    authority: Option<String>,
    path: String,
    arguments: Vec<OsString>,
    stdin: Option<Vec<u8>>,
    http2: bool,
}

/// What came back.
#[derive(Clone)]
pub struct Answer {
    /// The status of the last head.
    pub status: u16,
    /// `HTTP/1.1` or `HTTP/2`.
    pub version: String,
    /// Statuses of the heads before it: 100, 103.
    pub before: Vec<u16>,
    /// Names in lower case with values, in order; trailers after them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// How many requests of many were answered by whom: by pod where the status is 200, else by status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<String, usize>);

impl<'g> Curl<'g> {
    pub(super) fn new(ground: &'g Ground, path: &str) -> Self {
        Self {
            ground,
            from: "client".to_owned(),
            service: "web".to_owned(),
            port: HTTP,
            authority: None,
            path: path.to_owned(),
            arguments: Vec::new(),
            stdin: None,
            http2: false,
        }
    }

    /// To this service (`name` in `shop`, or `namespace/name`) and port.
    #[must_use]
    pub fn to(mut self, service: &str, port: u16) -> Self {
        service.clone_into(&mut self.service);
        self.port = port;
        self
    }

    /// From this pod.
    #[must_use]
    pub fn from(mut self, pod: &str) -> Self {
        pod.clone_into(&mut self.from);
        self
    }

    /// With this authority in the place of the service's host name and port.
    #[must_use]
    pub fn authority(mut self, authority: &str) -> Self {
        self.authority = Some(authority.to_owned());
        self
    }

    /// With this method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        if method == "HEAD" {
            return self.arg("--head");
        }
        self.arg("-X").arg(method)
    }

    /// With a header, as `name: value`; `name;` sends it empty.
    #[must_use]
    pub fn header(self, header: &str) -> Self {
        self.arg("-H").arg(header)
    }

    /// With a body; POST unless [`Curl::method`] says otherwise.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(body.into());
        self.arg("--data-binary").arg("@-")
    }

    /// HTTP/2 with prior knowledge.
    #[must_use]
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self.arg("--http2-prior-knowledge")
    }

    /// One more argument of curl.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Runs curl; its failure is no error here.
    ///
    /// # Errors
    ///
    /// When it cannot be started or does not end.
    pub fn run(&self, more: &[&str]) -> Result<Output> {
        let (vip, host) = self.place()?;
        let authority = self.authority.clone().unwrap_or(host);
        let mut line: Vec<OsString> = ["curl", "-sS", "-m", "60", "--path-as-is", "--noproxy", "*"]
            .map(OsString::from)
            .to_vec();
        line.push("--connect-to".into());
        line.push(format!("::{vip}:{}", self.port).into());
        line.extend(self.arguments.iter().cloned());
        line.extend(more.iter().map(OsString::from));
        line.push(format!("http://{authority}{}", self.path).into());
        let pod = self.ground.pod(&self.from);
        let mut command = pod.command(line).timeout(Duration::from_secs(90));
        if let Some(stdin) = &self.stdin {
            command = command.stdin(stdin.clone());
        }
        command.output()
    }

    /// Sends it.
    ///
    /// # Errors
    ///
    /// When there is no answer, or only a part of one.
    pub fn send(&self) -> Result<Answer> {
        let pod = self.ground.pod(&self.from);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let head = pod.folder().join(format!("curl-{number}.head"));
        let body = pod.folder().join(format!("curl-{number}.body"));
        let (head_text, body_text) = (head.display().to_string(), body.display().to_string());
        let output = self.run(&["-g", "-D", &head_text, "-o", &body_text])?;
        output.ok()?;
        let text = fs::read(&head)?;
        // With `--head` curl writes the head to both.
        let bytes = match self.arguments.iter().any(|it| it == "--head") {
            true => Vec::new(),
            false => fs::read(&body).unwrap_or_default(),
        };
        let answer = Answer::parse(&String::from_utf8_lossy(&text), bytes);
        fs::remove_file(head)?;
        // There is none where the body is empty.
        let _ = fs::remove_file(body);
        answer
    }

    /// Sends it until `holds`, for example while a change makes its way.
    ///
    /// # Errors
    ///
    /// When it never does.
    pub fn until(&self, what: &str, holds: impl Fn(&Answer) -> bool) -> Result<Answer> {
        lab::eventually(what, PATIENCE, || {
            let answer = self.send()?;
            ensure!(holds(&answer), "{answer:?}");
            Ok(answer)
        })
    }

    /// Sends it so many times on one connection (`-H 'connection: close'` makes it one each; so does HTTP/2), and counts who
    /// answered. The query gets a number: `?i=7`.
    ///
    /// # Errors
    ///
    /// When one has no answer.
    pub fn count(&self, times: usize) -> Result<Counts> {
        let mut all = self.clone();
        let mark = if self.path.contains('?') { '&' } else { '?' };
        if self.http2 {
            // Debian's curl breaks a connection of prior knowledge that it uses twice.
            let mut counts = Counts::default();
            for number in 1..=times {
                all.path = format!("{}{mark}i={number}", self.path);
                let answer = all.send()?;
                counts.add(&answer.status.to_string(), &answer.pod());
            }
            return Ok(counts);
        }
        all.path = format!("{}{mark}i=[1-{times}]", self.path);
        let format = "%{http_code} %header{x-pod}\n";
        let text = all.run(&["-o", "/dev/null", "-w", format])?.ok()?;
        let mut counts = Counts::default();
        for line in text.lines() {
            let (status, pod) = line.split_once(' ').with_context(|| line.to_owned())?;
            counts.add(status, pod);
        }
        ensure!(counts.all() == times, "{times} were sent: {counts:?}");
        Ok(counts)
    }

    /// The address, and the authority where none was given.
    fn place(&self) -> Result<(String, String)> {
        let vip = self.ground.vip(&self.service)?.to_string();
        let (namespace, name) = self
            .service
            .split_once('/')
            .unwrap_or(("shop", &self.service));
        let mut host = format!("{name}.{namespace}.svc.cluster.local");
        if self.port != 80 {
            host.push_str(&format!(":{}", self.port));
        }
        Ok((vip, host))
    }
}

impl Counts {
    fn add(&mut self, status: &str, pod: &str) {
        let key = if status == "200" { pod } else { status };
        *self.0.entry(key.to_owned()).or_default() += 1;
    }

    /// How many were sent.
    pub fn all(&self) -> usize {
        self.0.values().sum()
    }

    /// How many were answered by pods whose name begins with `prefix`, or with that status.
    pub fn of(&self, prefix: &str) -> usize {
        let of = self.0.iter().filter(|(key, _)| key.starts_with(prefix));
        of.map(|(_, count)| count).sum()
    }

    /// How many pods or statuses there are.
    pub fn kinds(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.text().chars().take(1000).collect();
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("version", &self.version)
            .field("before", &self.before)
            .field("headers", &self.headers)
            .field("bytes", &self.body.len())
            .field("text", &text)
            .finish()
    }
}

impl Answer {
    fn parse(heads: &str, body: Vec<u8>) -> Result<Self> {
        let mut answer = Self {
            status: 0,
            version: String::new(),
            before: Vec::new(),
            headers: Vec::new(),
            body,
        };
        for line in heads.lines().filter(|line| !line.is_empty()) {
            if line.starts_with("HTTP/") {
                if answer.status != 0 {
                    answer.before.push(answer.status);
                }
                let mut words = line.split(' ');
                words
                    .next()
                    .unwrap_or_default()
                    .clone_into(&mut answer.version);
                let status = words.next().and_then(|it| it.parse().ok());
                answer.status = status.with_context(|| line.to_owned())?;
                answer.headers.clear();
            } else if let Some((name, value)) = line.split_once(':') {
                let header = (name.to_ascii_lowercase(), value.trim().to_owned());
                answer.headers.push(header);
            }
        }
        ensure!(answer.status != 0, "no status in {heads:?}");
        Ok(answer)
    }

    /// All values of a header as one list with `, ` between them (RFC 9110 5.3); `name` in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| listed(&values))
    }

    /// The pod that answered; empty if it was the waypoint itself.
    pub fn pod(&self) -> String {
        self.header("x-pod").unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON: what an [`Echo`](crate::echo::Echo) saw. `Null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header that the backend saw, all values joined by `, `.
    pub fn saw(&self, name: &str) -> Option<String> {
        let json = self.json();
        let values: Vec<&str> = json["headers"][name]
            .as_array()?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        Some(listed(&values))
    }

    /// A text that the backend told of: `path`, `authority`, `method`, `version`, `client`.
    pub fn told(&self, key: &str) -> String {
        self.json()[key].as_str().unwrap_or_default().to_owned()
    }
}

/// Several values, or one that is a list, alike.
fn listed(values: &[&str]) -> String {
    let parts = values.iter().flat_map(|value| value.split(','));
    parts.map(str::trim).collect::<Vec<_>>().join(", ")
}
