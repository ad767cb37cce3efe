//! The servers that ztunnel's own `resolv.conf` names.

use std::{
    fs::File,
    io::{self, Read as _},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// The port of DNS.
const PORT: u16 = 53;
/// Servers that are used; more are ignored. Source: resolv.conf(5), MAXNS.
const MAX_SERVERS: usize = 3;
/// How long what was read holds: a change is seen this late, and the file is read no more often.
const MAX_AGE: Duration = Duration::from_secs(5);
/// The most that is read of the file.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A `resolv.conf` that may change. Shared by all pods.
#[derive(Debug)]
pub struct ResolvConf {
    path: Option<PathBuf>,
    read: Mutex<Reading>,
}

#[derive(Debug)]
struct Reading {
    servers: Arc<[SocketAddr]>,
    at: Option<Instant>,
}

impl ResolvConf {
    /// Names the file, which is read on first use, and read again when it is older than five seconds.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: Some(path.into()),
            read: Mutex::new(Reading {
                servers: Arc::default(),
                at: None,
            }),
        }
    }

    /// Servers that never change.
    #[must_use]
    pub fn fixed(servers: Vec<SocketAddr>) -> Self {
        Self {
            path: None,
            read: Mutex::new(Reading {
                servers: servers.into(),
                at: None,
            }),
        }
    }

    /// The servers as of `now`, in the order of the file. While the file cannot be read, those that it last named.
    pub fn servers(&self, now: Instant) -> Arc<[SocketAddr]> {
        let mut reading = self.read.lock();
        let Some(path) = &self.path else {
            return Arc::clone(&reading.servers);
        };
        if reading
            .at
            .is_none_or(|at| now.saturating_duration_since(at) >= MAX_AGE)
        {
            reading.at = Some(now);
            match read(path) {
                Ok(text) => {
                    let servers = parse(&text);
                    if *servers != *reading.servers {
                        if servers.is_empty() {
                            tracing::warn!(path = %path.display(), "names no server that a pod can reach");
                        } else {
                            tracing::info!(path = %path.display(), ?servers, "forwarding DNS");
                        }
                        reading.servers = servers.into();
                    }
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "cannot be read, keeping the servers");
                }
            }
        }
        Arc::clone(&reading.servers)
    }
}

fn read(path: &PathBuf) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The `nameserver` lines. Loopback servers are left out: queries leave from the pod's namespace, where that
/// address is the pod's own. So are addresses with a zone, whose interface is one of ztunnel's namespace.
fn parse(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            words.next().filter(|word| *word == "nameserver")?;
            words.next()?.parse::<IpAddr>().ok()
        })
        .filter(|ip| !ip.is_loopback())
        .map(|ip| SocketAddr::new(ip, PORT))
        .take(MAX_SERVERS)
        .collect()
}

#[cfg(test)]
mod tests;
