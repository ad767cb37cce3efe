//! Load by unmodified wrk and h2load, for as long as something changes.
//!
//! In: a service's port, a path. Out: how many requests were answered with 2xx, and how many were not.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::Process;
use nix::sys::signal::Signal;

use super::{Ground, HTTP};

/// How long a load may take to end once it was told to.
const END: Duration = Duration::from_secs(30);
/// Longer than any scenario.
const LONG: &str = "300s";

/// wrk, which sends requests of HTTP/1.1 until it is told to end, each when the one before it was answered.
#[derive(Debug)]
pub struct Wrk {
    process: Process,
}

/// What became of all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// All that were answered.
    pub answered: u64,
    /// Those that were not, or not with 2xx or 3xx.
    pub failed: u64,
}

impl Ground {
    /// Starts wrk in `client` with so many connections to port [`HTTP`] of `web`.
    ///
    /// # Errors
    ///
    /// When it is not installed.
    pub fn wrk(&self, path: &str, connections: usize) -> Result<Wrk> {
        self.wrk_to("web", path, connections)
    }

    /// The same, to another service.
    ///
    /// # Errors
    ///
    /// When it is not installed.
    pub fn wrk_to(&self, service: &str, path: &str, connections: usize) -> Result<Wrk> {
        let url = format!("http://{}:{HTTP}{path}", self.vip(service)?);
        let connections = connections.to_string();
        let line = ["wrk", "-t", "1", "-c", &connections, "-d", LONG];
        let rest = ["--timeout", "20s", "-H", "Host: web.shop.svc.cluster.local"];
        let line = line.iter().chain(&rest).copied();
        let process = self.pod("client").spawn(line.chain([url.as_str()]))?;
        Ok(Wrk { process })
    }

    /// h2load in `client`, to its end: so many requests to port `port` of `web` on so many connections, each with at most
    /// `streams` at once. `more` are further arguments.
    ///
    /// # Errors
    ///
    /// When it is not installed, or does not end in a minute and a half.
    pub fn h2load(
        &self,
        port: u16,
        path: &str,
        [requests, connections, streams]: [usize; 3],
        more: &[&str],
    ) -> Result<Sum> {
        let pod = self.pod("client");
        let line = self.h2load_line(port, path, [requests, connections, streams], more)?;
        let output = pod
            .command(line)
            .timeout(Duration::from_secs(90))
            .output()?;
        h2load_sum(&output.ok()?)
    }

    /// The same, started.
    ///
    /// # Errors
    ///
    /// When it is not installed.
    pub fn spawn_h2load(
        &self,
        port: u16,
        path: &str,
        [requests, connections, streams]: [usize; 3],
        more: &[&str],
    ) -> Result<H2load> {
        let line = self.h2load_line(port, path, [requests, connections, streams], more)?;
        let process = self.pod("client").spawn(line)?;
        Ok(H2load { process })
    }

    fn h2load_line(
        &self,
        port: u16,
        path: &str,
        [requests, connections, streams]: [usize; 3],
        more: &[&str],
    ) -> Result<Vec<String>> {
        let url = format!("http://{}:{port}{path}", self.vip("web")?);
        let mut line = vec!["h2load".to_owned(), "-t".to_owned(), "1".to_owned()];
        for (flag, number) in [("-n", requests), ("-c", connections), ("-m", streams)] {
            line.extend([flag.to_owned(), number.to_string()]);
        }
        line.extend(more.iter().map(|&it| it.to_owned()));
        line.push(url);
        Ok(line)
    }
}

impl Wrk {
    /// Ends it.
    ///
    /// # Errors
    ///
    /// When it has ended before, does not end, or says what nobody understands.
    pub fn end(self) -> Result<Sum> {
        let log = || self.process.log();
        ensure!(self.process.is_running(), "wrk has ended: {}", log());
        self.process.signal(Signal::SIGINT)?;
        self.process.wait(END)?;
        wrk_sum(&log())
    }
}

/// h2load, under way.
#[derive(Debug)]
pub struct H2load {
    process: Process,
}

impl H2load {
    /// Whether it still sends.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// When it takes longer than `patience`, or says what nobody understands.
    pub fn wait(self, patience: Duration) -> Result<Sum> {
        self.process.wait(patience)?;
        h2load_sum(&self.process.log())
    }
}

/// `1234 requests in 2.00s`, and lines of errors where there are some.
pub(super) fn wrk_sum(text: &str) -> Result<Sum> {
    let what = || text.to_owned();
    let answered = text.lines().find_map(|line| {
        let (number, _) = line.trim().split_once(" requests in ")?;
        number.parse().ok()
    });
    let after = |label: &str| {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(label));
        line.map(|line| {
            line.split([' ', ','])
                .filter_map(|word| word.parse::<u64>().ok())
                .sum::<u64>()
        })
    };
    let failed = after("Non-2xx or 3xx responses:").unwrap_or(0);
    Ok(Sum {
        answered: answered.with_context(what)?,
        failed: failed + after("Socket errors:").unwrap_or(0),
    })
}

/// `status codes: 100 2xx, 0 3xx, ...`, and `requests: 100 total, ..., 0 failed, 0 errored, 0 timeout`.
pub(super) fn h2load_sum(text: &str) -> Result<Sum> {
    let number = |line: &str, word: &str| -> Result<u64> {
        let line = text.lines().find_map(|it| it.strip_prefix(line));
        let line = line.with_context(|| text.to_owned())?;
        let part = line.split(',').find_map(|part| part.strip_suffix(word));
        let part = part.with_context(|| format!("{word} of {line}"))?;
        Ok(part.trim().parse()?)
    };
    let total = number("requests:", " total")?;
    let well = number("status codes:", " 2xx")?;
    Ok(Sum {
        answered: number("requests:", " done")?,
        failed: total.saturating_sub(well),
    })
}
