//! One waypoint: started anew for each block, proved, read.
//!
//! In: a pod, the addresses of its services. Out: CPU time and memory of its process alone.
//! Never: measured before it has routed by its table and written its access log.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::programs::{Envoy, EnvoyService, envoy_waypoint};
use lab::{Lab, Pod, Start, Waypoint, eventually};

use super::exchange::{Depth, Exchange, PORT, Protocol, Routes, Table};
use super::{ENVOY, backend, load, routes};
use crate::memory;
use crate::record::Held;
use crate::tunables;

/// How long a first request may take to get through.
const DEADLINE: Duration = Duration::from_secs(20);

/// What a line of the load has and no other: h2load's name.
const LOAD: &[u8] = b"h2load";

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
    places: Vec<Place>,
    server: Ipv4Addr,
    life: Option<Life>,
}

/// Where one of its tables is met.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The table.
    pub(crate) table: Table,
    /// The address of the service that has it.
    pub(crate) vip: Ipv4Addr,
}

impl Side {
    /// It does not run yet; `server` is the pod behind its services.
    pub(crate) fn new(kind: Kind, pod: Arc<Pod>, places: Vec<Place>, server: Ipv4Addr) -> Self {
        Self {
            kind,
            pod,
            places,
            server,
            life: None,
        }
    }

    /// What an exchange asks for.
    ///
    /// # Errors
    ///
    /// When no service has its table.
    pub(crate) fn url(&self, exchange: &Exchange) -> Result<String> {
        let place = self.places.iter().find(|it| it.table == exchange.table());
        let place = place.context("no service with that table")?;
        Ok(exchange.url(place.vip))
    }

    /// Ends its life, if it has one, and begins the next; returns when every kind of request gets through.
    ///
    /// # Errors
    ///
    /// When it does not start, route or log.
    pub(crate) fn renew(&mut self, lab: &Lab, client: &Pod, tables: &[Table]) -> Result<()> {
        self.end()?;
        let places: Vec<Place> = self
            .places
            .iter()
            .filter(|it| tables.contains(&it.table))
            .copied()
            .collect();
        let life = match &self.kind {
            Kind::Envoy(_) => {
                let services: Vec<EnvoyService> = places
                    .iter()
                    .map(|place| place.of_envoy(self.server))
                    .collect();
                Life::Envoy(envoy_waypoint(&self.pod, lab.ca(), &services)?)
            }
            Kind::Ours(_, workers, _) => {
                let start = Start::default()
                    .env("WAYPOINT_WORKER_THREADS", workers.to_string())
                    .env(tunables::NAME, tunables::current());
                Life::Ours(lab.start_waypoint(self.pod.name(), &start)?)
            }
        };
        self.life = Some(life);
        self.prove(client, &places)
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
        for path in self.logs()? {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// Lines of its access log since it was asked last. They go: there are some hundred bytes per request.
    ///
    /// # Errors
    ///
    /// When the log cannot be read or emptied.
    pub(crate) fn take_lines(&self) -> Result<u64> {
        let mut lines = 0;
        for path in self.logs()? {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            for line in BufReader::new(&file).split(b'\n') {
                let line = line?;
                let of_load = line.windows(LOAD.len()).any(|part| part == LOAD);
                lines += u64::from(of_load);
            }
            // It is written by appending, so that the next line is the first.
            file.set_len(0)?;
        }
        Ok(lines)
    }

    fn logs(&self) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(self.pod.folder())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                paths.push(path);
            }
        }
        Ok(paths)
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

    /// Each table lets through what it should; what no route matches is refused by the waypoint and not by the server;
    /// the route in the middle of a long table is there; the access log is written.
    fn prove(&self, client: &Pod, places: &[Place]) -> Result<()> {
        for &Place { table, vip } in places {
            let exchange = Exchange {
                protocol: table.protocol,
                answer_kib: 1,
                routes: table.routes,
                depth: Depth::Single,
            };
            eventually(&format!("an answer: {exchange}"), DEADLINE, || {
                answered(client, &exchange, vip)
            })?;
            let status = |path: &str| {
                let url = format!("http://{vip}{path}");
                load::status(client, table.protocol, &url)
            };
            let expected = match table.routes {
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
        eventually("a line in the access log", DEADLINE, || {
            let log = self.log();
            ensure!(log.contains("curl/"), "the access log has no line");
            Ok(())
        })
    }
}

impl Place {
    /// The same for Envoy.
    fn of_envoy(&self, server: Ipv4Addr) -> EnvoyService {
        let Table { protocol, routes } = self.table;
        EnvoyService {
            name: self.table.name(),
            vip: self.vip,
            port: PORT,
            http2: protocol.is_http2(),
            endpoints: vec![SocketAddrV4::new(server, backend::port(protocol))],
            matches: routes::envoy(&routes::table(routes)),
        }
    }
}

fn answered(client: &Pod, exchange: &Exchange, vip: Ipv4Addr) -> Result<()> {
    let body = load::ask(client, exchange.protocol, &exchange.url(vip))?;
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
