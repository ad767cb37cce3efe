//! The load: h2load in the client's pod for all three protocols, and its log of every request.
//!
//! In: an exchange, a service. Out: how many requests ended within a window, how long they took, how many failed, exact,
//! from the log. Never: more than [`MAX_SAMPLES`] lines.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::{Pod, Process, until};

use super::backend;
use super::exchange::{Exchange, Protocol};

/// Bytes of a gRPC request.
pub(crate) const REQUEST: usize = 100;

/// More lines than a minute can bring.
const MAX_SAMPLES: usize = 1 << 23;

/// How long h2load may take until its first answer, and to end after its time.
const DEADLINE: Duration = Duration::from_secs(20);

/// What every gRPC client says.
const GRPC: [&str; 4] = ["-H", "content-type: application/grpc", "-H", "te: trailers"];

/// A running h2load.
#[derive(Debug)]
pub(crate) struct Load {
    process: Process,
    log: PathBuf,
}

/// What the log says of a window.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Requests that were answered with 200 within it, in microseconds each.
    pub(crate) micros: Vec<u32>,
    /// Requests that were answered otherwise or not at all, ever.
    pub(crate) failed: u64,
    /// Requests that were answered, ever.
    pub(crate) answered: u64,
}

impl Load {
    /// Starts it, and returns when the first answer is there.
    ///
    /// # Errors
    ///
    /// When it is not installed, ends, or nothing is answered.
    pub(crate) fn start(
        client: &Pod,
        exchange: &Exchange,
        url: &str,
        time: Duration,
    ) -> Result<Self> {
        let folder = client.folder();
        let log = folder.join("h2load.requests");
        fs::write(&log, "")?;
        let (connections, streams) = exchange.shape();
        let mut line: Vec<OsString> = vec!["h2load".into()];
        line.extend(["-t", "1", "-w", "24", "-W", "24"].map(OsString::from));
        for (flag, value) in [
            ("-c", connections.to_string()),
            ("-m", streams.to_string()),
            ("-D", format!("{}ms", time.as_millis())),
            ("--log-file", log.display().to_string()),
        ] {
            line.extend([flag.into(), value.into()]);
        }
        match exchange.protocol {
            Protocol::Http1 => line.push("--h1".into()),
            Protocol::Http2 => {}
            Protocol::Grpc => {
                line.extend(["-d".into(), request(folder)?.into()]);
                line.extend(GRPC.map(OsString::from));
            }
        }
        line.push(url.into());
        let process = client.spawn(line)?;
        let begun = || fs::metadata(&log).is_ok_and(|file| file.len() > 0);
        until("the first answer", DEADLINE, || {
            begun() || !process.is_running()
        })
        .with_context(|| process.log_tail())?;
        ensure!(process.is_running(), "h2load ended: {}", process.log_tail());
        Ok(Self { process, log })
    }

    /// The CPU time that it has used.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        self.process.cpu_time()
    }

    /// Waits for its end, and reads what it says of a window: microseconds since 1970.
    ///
    /// # Errors
    ///
    /// When it does not end, fails, or its log is not what it should be.
    pub(crate) fn finish(self, from: u64, to: u64) -> Result<Told> {
        let status = self.process.wait(DEADLINE)?;
        let text = self.process.log();
        ensure!(status.success(), "h2load: {status}: {text}");
        let lines = BufReader::new(File::open(&self.log)?).lines();
        let mut told = Told::default();
        for line in lines.take(MAX_SAMPLES) {
            told.line(&line?, from, to)?;
        }
        told.failed = told.failed.max(summary(&text)?);
        Ok(told)
    }
}

impl Told {
    /// A line: the start in microseconds since 1970, the status, how long it took. Source: h2load(1), `--log-file`.
    fn line(&mut self, line: &str, from: u64, to: u64) -> Result<()> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [start, status, took, ..] = fields[..] else {
            bail!("h2load's log has a line {line:?}");
        };
        let (start, took): (u64, u64) = (start.parse()?, took.parse()?);
        self.answered += u64::from(status != "-1");
        if status != "200" {
            self.failed += 1;
        } else if (from..to).contains(&(start + took)) {
            self.micros.push(u32::try_from(took).unwrap_or(u32::MAX));
        }
        Ok(())
    }
}

/// The number before ` failed` in h2load's line of requests.
fn summary(text: &str) -> Result<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("requests: "))
        .with_context(|| format!("h2load tells no requests: {text}"))?;
    let failed = line
        .split(", ")
        .find_map(|part| part.strip_suffix(" failed"))
        .with_context(|| format!("h2load tells no failures: {line}"))?;
    Ok(failed.parse()?)
}

/// The body of one answer, by curl.
///
/// # Errors
///
/// When there is none, or its status is not 200.
pub(crate) fn ask(client: &Pod, protocol: Protocol, url: &str) -> Result<Vec<u8>> {
    let output = client.exec(curl(client.folder(), protocol, &["-f", url])?)?;
    output.ok()?;
    Ok(output.stdout)
}

/// The status of one answer to a plain GET, by curl: a gRPC request would be told of an error in a 200.
///
/// # Errors
///
/// When there is none.
pub(crate) fn status(client: &Pod, protocol: Protocol, url: &str) -> Result<String> {
    let plain = match protocol {
        Protocol::Http1 => Protocol::Http1,
        Protocol::Http2 | Protocol::Grpc => Protocol::Http2,
    };
    let more = ["-o", "/dev/null", "-w", "%{http_code}", url];
    client.exec(curl(client.folder(), plain, &more)?)?.ok()
}

fn curl(folder: &Path, protocol: Protocol, more: &[&str]) -> Result<Vec<OsString>> {
    let mut line: Vec<OsString> = ["curl", "-sS", "-m", "5"].map(OsString::from).to_vec();
    if protocol.is_http2() {
        line.push("--http2-prior-knowledge".into());
    }
    if protocol == Protocol::Grpc {
        line.extend(GRPC.map(OsString::from));
        let mut data = OsString::from("@");
        data.push(request(folder)?);
        line.extend(["--data-binary".into(), data]);
    }
    line.extend(more.iter().map(OsString::from));
    Ok(line)
}

/// The file with a gRPC request.
fn request(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("grpc.request");
    fs::write(&path, backend::message(REQUEST))?;
    Ok(path)
}

#[cfg(test)]
mod tests;
