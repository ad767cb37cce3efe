//! One waypoint: started anew for each block, proved, read.
//!
//! In: a pod, the addresses of its services. Out: CPU time and memory of its process alone.
//! Never: measured before it has routed by its table and written its access log.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::programs::{Envoy, EnvoyService, envoy_waypoint};
use lab::{Lab, Pod, Start, Waypoint, eventually};

use super::exchange::{Depth, Exchange, Protocol, Routes};
use super::{ENVOY, backend, load, routes};
use crate::memory;
use crate::record::Held;
use crate::tunables;

/// How long a first request may take to get through.
const DEADLINE: Duration = Duration::from_secs(20);

/// What a waypoint is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Envoy with one worker; the program.
    Envoy(PathBuf),
    /// Ours: its name in the table, its workers, the program.
    Ours(&'static str, usize, PathBuf),
}

impl Kind {
    /// The name in the table.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Envoy(_) => ENVOY,
            Self::Ours(name, _, _) => name,
        }
    }

    /// What is started, for the reader.
    pub(crate) fn command(&self) -> String {
        let (path, workers) = match self {
            Self::Envoy(path) => (path, 1),
            Self::Ours(_, workers, path) => (path, *workers),
        };
        let plural = if workers == 1 { "" } else { "s" };
        format!("{}, {workers} worker{plural}", path.display())
    }
}

/// Its life.
#[derive(Debug)]
enum Life {
    Envoy(Envoy),
    Ours(Waypoint),
}

/// One waypoint of the town.
#[derive(Debug)]
pub(crate) struct Side {
    /// What it is.
    pub(crate) kind: Kind,
    pod: Arc<Pod>,
    /// The addresses of its services, in the order of [`Routes::ALL`].
    vips: [Ipv4Addr; 2],
    services: Vec<EnvoyService>,
    life: Option<Life>,
}

impl Side {
    /// It does not run yet.
    pub(crate) fn new(
        kind: Kind,
        pod: Arc<Pod>,
        vips: [Ipv4Addr; 2],
        services: Vec<EnvoyService>,
    ) -> Self {
        Self {
            kind,
            pod,
            vips,
            services,
            life: None,
        }
    }

    /// Where an exchange is asked for.
    pub(crate) fn vip(&self, routes: Routes) -> Ipv4Addr {
        let [one, many] = self.vips;
        match routes {
            Routes::One => one,
            Routes::Many => many,
        }
    }

    /// Ends its life, if it has one, and begins the next; returns when every kind of request gets through.
    ///
    /// # Errors
    ///
    /// When it does not start, route or log.
    pub(crate) fn renew(&mut self, lab: &Lab, client: &Pod) -> Result<()> {
        self.end()?;
        let life = match &self.kind {
            Kind::Envoy(_) => Life::Envoy(envoy_waypoint(&self.pod, lab.ca(), &self.services)?),
            Kind::Ours(_, workers, _) => {
                let name = self.kind.name();
                let token = lab.controller()?.token("default", name, Some("node2"))?;
                let path = lab.folder().join(format!("tmp-token-{name}"));
                fs::write(&path, token)?;
                let start = Start::default()
                    .env("AUTH_TOKEN", path.display().to_string())
                    .env("WAYPOINT_WORKER_THREADS", workers.to_string())
                    .env(tunables::NAME, tunables::current());
                Life::Ours(lab.start_waypoint(self.pod.name(), &start)?)
            }
        };
        self.life = Some(life);
        self.prove(client)
            .with_context(|| format!("its log ends with\n{}", self.log_tail()))
    }

    /// Ends its life. The access log of it goes, too: some hundred bytes per request.
    ///
    /// # Errors
    ///
    /// When the log cannot be removed.
    pub(crate) fn end(&mut self) -> Result<()> {
        if self.life.take().is_none() {
            return Ok(());
        }
        for entry in fs::read_dir(self.pod.folder())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// The CPU time of this life.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        match &self.life {
            Some(Life::Envoy(envoy)) => envoy.cpu_time(),
            Some(Life::Ours(waypoint)) => waypoint.cpu_time(),
            None => bail!("it does not run"),
        }
    }

    /// What it holds.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub(crate) fn held(&self) -> Result<Held> {
        match &self.life {
            Some(Life::Envoy(envoy)) => memory::held(envoy.id()),
            Some(Life::Ours(waypoint)) => memory::held(waypoint.id()),
            None => bail!("it does not run"),
        }
    }

    /// The end of its log, for an error.
    pub(crate) fn log_tail(&self) -> String {
        match &self.life {
            Some(Life::Envoy(envoy)) => envoy.log_tail(),
            Some(Life::Ours(waypoint)) => waypoint.log_tail(),
            None => String::new(),
        }
    }

    fn log(&self) -> String {
        match &self.life {
            Some(Life::Envoy(envoy)) => envoy.log(),
            Some(Life::Ours(waypoint)) => waypoint.log(),
            None => String::new(),
        }
    }

    /// Each protocol gets through to the server with both tables; what no route matches is refused by the waypoint and
    /// not by the server; the route in the middle of the long table is there; the access log is written.
    fn prove(&self, client: &Pod) -> Result<()> {
        for routes in Routes::ALL {
            for protocol in Protocol::ALL {
                let exchange = Exchange {
                    protocol,
                    answer_kib: 1,
                    routes,
                    depth: Depth::Single,
                };
                eventually(&format!("an answer: {exchange}"), DEADLINE, || {
                    self.answered(client, &exchange)
                })?;
                let base = format!("http://{}:{}", self.vip(routes), protocol.port());
                let status = |path: &str| load::status(client, protocol, &format!("{base}{path}"));
                let expected = match routes {
                    Routes::One => "404",
                    Routes::Many => "410",
                };
                // A table may come after the service that it is for.
                eventually(&format!("the table of {exchange}"), DEADLINE, || {
                    let (nowhere, middle) = (status("/nowhere")?, status(&routes::middle())?);
                    ensure!(
                        (nowhere.as_str(), middle.as_str()) == ("404", expected),
                        "no route: {nowhere}, expected 404; the middle route: {middle}, expected {expected}"
                    );
                    Ok(())
                })?;
            }
        }
        eventually("a line in the access log", DEADLINE, || {
            let log = self.log();
            ensure!(log.contains("/last/grpc/1k"), "the access log has no line");
            Ok(())
        })
    }

    fn answered(&self, client: &Pod, exchange: &Exchange) -> Result<()> {
        let url = exchange.url(self.vip(exchange.routes));
        let body = load::ask(client, exchange.protocol, &url)?;
        let expected = match exchange.protocol {
            Protocol::Http1 | Protocol::Http2 => vec![b'a'; exchange.answer()],
            Protocol::Grpc => backend::message(exchange.answer()),
        };
        ensure!(
            body == expected,
            "another answer of {} bytes, expected {}",
            body.len(),
            expected.len()
        );
        Ok(())
    }
}
