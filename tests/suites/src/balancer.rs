//! Load balancers of the suites: haproxy in a pod, who comes to it, and servers that tell what PROXY header they got.
//!
//! In: a pod, what stands on which port. Out: unmodified programs that run, and what they said.
//! Never: asserts; the suites do. A program that outlives its handle.
//!
//! ```no_run
//! # use suites::balancer::{Balancer, Front, Visit};
//! # fn f(ground: &suites::waypoint::Ground) -> anyhow::Result<()> {
//! let edge = ground.pod("edge");
//! let web = (ground.vip("web")?, 80);
//! let balancer = Balancer::start(&edge, &[Front::tcp(8001, web).v1(), Front::tcp(8002, web).v2()])?;
//! let visit = Visit::new(ground.lab.outside(), (edge.ip4(), 8001)).send("/admin")?;
//! assert_eq!(visit.status, 403);
//! # drop(balancer);
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: this file, [`visit`] (curl from anywhere to any address), [`handmade`] (headers byte by byte), [`printer`] (python that
//! prints the header it got), `told` (nginx with `proxy_protocol`).

pub mod handmade;
pub mod printer;
pub mod told;
pub mod visit;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::programs::haproxy;
use lab::{Machine, Process};

pub use self::printer::Printer;
pub use self::told::told;
pub use self::visit::{Seen, Visit};

/// How long haproxy may take to end once it was told to.
const END: Duration = Duration::from_secs(20);

/// What all of them have. Timeouts are longer than any scenario's quiet.
const HEAD: &str = "global\n  log stdout format raw local0\n  maxconn 2000\n  nbthread 1\n\
                    defaults\n  log global\n  option dontlognull\n  retries 0\n  timeout connect 20s\n  timeout client 90s\n  timeout server 90s\n";

/// What a balancer writes before the bytes of each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sends {
    Nothing,
    V1,
    V2,
}

/// A port of a balancer, and where it leads.
#[derive(Clone, Debug)]
pub struct Front {
    port: u16,
    to: SocketAddr,
    http: bool,
    sends: Sends,
    accepts: bool,
    lines: Vec<String>,
    server: String,
}

impl Front {
    /// Passes bytes on, whatever they are.
    pub fn tcp(port: u16, to: impl Into<SocketAddr>) -> Self {
        Self {
            port,
            to: to.into(),
            http: false,
            sends: Sends::Nothing,
            accepts: false,
            lines: Vec::new(),
            server: String::new(),
        }
    }

    /// Reads HTTP/1.1, and sends it on on connections of its own.
    pub fn http(port: u16, to: impl Into<SocketAddr>) -> Self {
        Self {
            http: true,
            ..Self::tcp(port, to)
        }
    }

    /// Begins each connection with a PROXY header of version 1.
    #[must_use]
    pub fn v1(mut self) -> Self {
        self.sends = Sends::V1;
        self
    }

    /// The same of version 2.
    #[must_use]
    pub fn v2(mut self) -> Self {
        self.sends = Sends::V2;
        self
    }

    /// Listens on loopback only, and takes nobody without a PROXY header.
    #[must_use]
    pub fn accepts_headers_on_loopback(mut self) -> Self {
        self.accepts = true;
        self
    }

    /// Adds a line to the frontend, as haproxy writes it: `option forwardfor`.
    #[must_use]
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Adds words to the server's line, as haproxy writes them: `check inter 500`.
    #[must_use]
    pub fn server(mut self, words: &str) -> Self {
        words.clone_into(&mut self.server);
        self
    }

    fn write(&self, text: &mut String) {
        let Self { port, to, .. } = self;
        let mode = if self.http { "http" } else { "tcp" };
        let bind = match (self.accepts, to.is_ipv6()) {
            (true, _) => format!("127.0.0.1:{port} accept-proxy"),
            (false, false) => format!("0.0.0.0:{port}"),
            (false, true) => format!(":::{port} v6only"),
        };
        let sends = match self.sends {
            Sends::Nothing => "",
            Sends::V1 => "send-proxy",
            Sends::V2 => "send-proxy-v2",
        };
        let server = &self.server;
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "listen l{port}\n  mode {mode}\n  bind {bind}\n  server s {to} {sends} {server}\n"
        );
        for line in &self.lines {
            let _ = writeln!(text, "  {line}");
        }
    }
}

/// A running haproxy. Dereferences to its [`Process`]; dropping it kills it.
#[derive(Debug)]
pub struct Balancer {
    process: Process,
}

impl Balancer {
    /// Starts it with these ports.
    ///
    /// # Errors
    ///
    /// When there are none, haproxy is not installed, refuses the configuration or does not listen in time.
    pub fn start(pod: &Machine, fronts: &[Front]) -> Result<Self> {
        let mut config = HEAD.to_owned();
        for front in fronts {
            front.write(&mut config);
        }
        let first = fronts.first().context("a balancer without ports")?;
        let process = haproxy(pod, &config, first.port)?;
        Ok(Self { process })
    }

    /// Asks it to end and waits.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn stop(self) -> Result<()> {
        self.process.terminate(END).map(drop)
    }
}

impl Deref for Balancer {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.process
    }
}
