//! Starts and stops everything; the only file that knows every component.
//!
//! ```text
//! folder ──Updates──▶ compiler (index) ──Output──▶ publisher ──Snapshot──▶ xDS streams, CA
//! ```
//! Tasks: the source, the compiler (the only one that owns the index), the listener of xDS and the CA, the keepers of
//! the authority and of the tokens, the admin endpoint. They end with the process: what must outlive it is written
//! before it is told to anybody.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use telemetry::{Logging, admin::Console};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{Notify, mpsc},
    task::JoinSet,
};

use crate::{
    admin::{Admin, Page},
    ambientz, ca,
    cli::{Arguments, Command, LogFormat, Serve, Token},
    index::{self, Index},
    metrics::{EventLabel, Metrics},
    objects::{Kind, Object, Update},
    publish::{Publisher, View},
    serve, source,
    status::Status,
    token::{self, Authenticator, TrustedNodes},
    xds,
};

/// Batches that wait for the compiler: the source merges what comes meanwhile.
const MAX_BATCHES: usize = 2;
/// How long the log may take for its last lines.
const TIMEOUT_LOG: Duration = Duration::from_secs(1);
/// Threads: one compiles, the other answers; more are of use only with hundreds of proxies.
const WORKERS: usize = 2;

/// Does what the command line says.
///
/// # Errors
/// When something that it cannot do without cannot be had; the error says what.
pub fn run(arguments: Arguments) -> Result<()> {
    let Arguments {
        command,
        serve,
        state_dir,
    } = arguments;
    let now = net::clock::wall();
    match command {
        Some(Command::Token(Token {
            namespace,
            service_account,
            node,
            ttl,
        })) => {
            let token = token::create(
                &state_dir,
                &namespace,
                &service_account,
                node.as_deref(),
                ttl,
                now,
            )?;
            print(&token)
        }
        Some(Command::RotateRoot) => {
            ca::request_rotation(&state_dir)?;
            print(
                "asked for: the running controller begins within a minute, and its log says what it does",
            )
        }
        Some(Command::Revoke { serial }) => {
            ca::revoke(&state_dir, &serial)?;
            print("revoked: the next list that the running controller writes holds it")
        }
        None => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()?
            .block_on(self::serve(serve, &state_dir)),
    }
}

#[expect(clippy::print_stdout, reason = "it is what the command is for")]
fn print(line: &str) -> Result<()> {
    println!("{line}");
    Ok(())
}

async fn serve(options: Serve, state_dir: &std::path::Path) -> Result<()> {
    let logging = start_logging(&options)?;
    let source = options.source.clone().context("--source DIR is missing")?;
    let folder = source::Folder::new(&source);
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    register_build(&mut registry);

    // Who signs, and who is believed.
    let authority = ca::Authority::load_or_create(
        state_dir,
        ca::Options {
            cacerts: options.cacerts.clone(),
            max_ttl: options.max_cert_ttl,
            serving_names: options.tls_san.clone(),
            ..ca::Options::default()
        },
        net::clock::wall(),
    )?;
    let authenticator = Arc::new(Authenticator::load(
        state_dir,
        token::Options {
            issuer: issuer(&options),
        },
        net::clock::wall(),
    )?);
    let trusted: Arc<TrustedNodes> = Arc::new(
        options
            .trusted_node_accounts
            .parse()
            .context("CA_TRUSTED_NODE_ACCOUNTS")?,
    );

    // The path of a change.
    let status = Arc::new(Status::default());
    let publisher = Publisher::new();
    let view = publisher.view();
    let (updates, batches) = mpsc::channel(MAX_BATCHES);
    // None of these ends by itself: one that does has failed, and the process with it, so that somebody notices.
    let mut tasks = Tasks::default();
    tasks.spawn("source", source::run(folder, updates, Arc::clone(&status)));
    let index = Index::new(index::Options {
        cluster: options.cluster.clone(),
        domain: options.domain.clone(),
        network: options.network.clone(),
        dry_run: options.dry_run_policies,
        istio_waypoints: options.istio_waypoints,
    });
    tasks.spawn(
        "compiler",
        compile(
            index,
            batches,
            publisher,
            Arc::clone(&status),
            metrics.clone(),
        ),
    );

    // Whom it is told to.
    let clients = Arc::new(xds::Clients::default());
    let xds = xds::Service::new(
        view.clone(),
        Arc::clone(&authenticator),
        Arc::clone(&trusted),
        metrics.clone(),
        Arc::clone(&clients),
    );
    let ca = ca::Service::new(
        Arc::clone(&authority),
        Arc::clone(&authenticator),
        trusted,
        view.clone(),
        metrics,
    );
    let listener = TcpListener::bind(options.xds_listen)
        .await
        .with_context(|| format!("cannot listen on {} (--xds-listen)", options.xds_listen))?;
    let quit = Arc::new(Notify::new());
    let admin = telemetry::admin::bind("admin", options.admin_listen, "--admin-listen").await?;
    let pages = pages(&view, &status, &clients, &authority);
    let on_quit = Arc::clone(&quit);
    let console = Console::new(
        logging.clone(),
        || serde_json::Value::Null,
        move || on_quit.notify_one(),
    );
    let seen = view.clone();
    let ready = move || match seen.load().generation() {
        0 => Err("the manifests have not been read yet"),
        _ => Ok(()),
    };
    tasks.spawn(
        "admin endpoint",
        Admin::new(registry, console, ready, pages).serve(admin),
    );
    tasks.spawn("authority", Arc::clone(&authority).run());
    tasks.spawn("tokens", Arc::clone(&authenticator).run());
    let stop = Arc::new(Notify::new());
    let serving = tokio::spawn(serve::serve(
        listener,
        authority.serving(),
        xds,
        ca,
        Arc::clone(&stop),
    ));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        source = %source.display(),
        xds = %options.xds_listen,
        admin = %options.admin_listen,
        "controller started"
    );

    let ended = tokio::select! {
        ended = wait_for_end(&quit) => ended.map_err(anyhow::Error::from),
        task = tasks.ended() => Err(anyhow::anyhow!("the task \"{task}\" has ended, which it never should")),
    };
    if let Err(error) = &ended {
        tracing::error!(%error, "controller cannot go on");
    }
    stop.notify_one();
    let _ = serving.await;
    tracing::info!("controller ended");
    logging.flush(TIMEOUT_LOG);
    ended
}

/// Tasks that run as long as the process.
#[derive(Debug, Default)]
struct Tasks(JoinSet<&'static str>);

impl Tasks {
    fn spawn<T>(&mut self, name: &'static str, task: impl Future<Output = T> + Send + 'static) {
        // A task of its own, so that its name is known also if it panics.
        let task = async move {
            drop(task.await);
            name
        };
        let task = tokio::spawn(task);
        self.0.spawn(async move { task.await.unwrap_or(name) });
    }

    /// Waits until one has ended, and says which.
    async fn ended(&mut self) -> &'static str {
        match self.0.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(_)) | None => "unknown",
        }
    }
}

/// The one writer: owns the index, turns each batch into what is published.
async fn compile(
    mut index: Index,
    mut batches: mpsc::Receiver<Vec<Update>>,
    publisher: Publisher,
    status: Arc<Status>,
    metrics: Metrics,
) {
    while let Some(batch) = batches.recv().await {
        let mesh = batch.iter().rev().find_map(|update| match update {
            Update::Put(Object::MeshConfig(mesh)) => Some(Some(Arc::clone(mesh))),
            Update::Delete(key) if key.kind == Kind::ConfigMap => Some(None),
            Update::Put(_) | Update::Delete(_) => None,
        });
        let mut events: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for update in &batch {
            let event = match update {
                Update::Put(object) => (object.kind().name(), "put"),
                Update::Delete(key) => (key.kind.name(), "delete"),
            };
            *events.entry(event).or_default() += 1;
        }
        let started = net::clock::now();
        // A mesh's first batch takes a while, and the other worker goes on answering.
        let output = tokio::task::block_in_place(|| {
            let mut output = index.apply(batch);
            status.set(std::mem::take(&mut output.conditions));
            output
        });
        let (puts, removals) = (output.puts.len(), output.removals.len());
        let generation = tokio::task::block_in_place(|| publisher.apply(output));
        if let Some(mesh) = mesh {
            status.set_mesh(mesh.unwrap_or_default());
        }
        // Now: who sees an event counted finds what came of it published.
        for ((kind, event), count) in events {
            let label = EventLabel {
                r#type: kind,
                event,
            };
            metrics.events.get_or_create_owned(&label).inc_by(count);
        }
        tracing::info!(
            generation,
            puts,
            removals,
            took = ?net::clock::now().saturating_duration_since(started),
            "configuration published"
        );
    }
}

fn pages(
    view: &View,
    status: &Arc<Status>,
    clients: &Arc<xds::Clients>,
    authority: &Arc<ca::Authority>,
) -> Vec<(&'static str, &'static str, Page)> {
    let (mesh, status, clients) = (view.clone(), Arc::clone(status), Arc::clone(clients));
    let (synced, authority) = (view.clone(), Arc::clone(authority));
    let settings = Arc::clone(&status);
    vec![
        (
            "/debug/status",
            "what was refused, warned about, and what became of each object",
            Box::new(move || status.json()) as Page,
        ),
        (
            "/debug/syncz",
            "connected proxies, and what they have of what they were sent",
            Box::new(move || clients.json(&synced.load())),
        ),
        (
            "/debug/mesh",
            "the settings of the mesh that are in force",
            Box::new(move || settings.mesh_json()),
        ),
        (
            "/debug/ambientz",
            "workloads, services and policies as proxies are told of them",
            Box::new(move || ambientz::page(&mesh.load())),
        ),
        (
            "/debug/caz",
            "the roots, who signs, and until when",
            Box::new(move || authority.json()),
        ),
    ]
}

/// Who issues JWTs; the command line gives both parts or none.
fn issuer(options: &Serve) -> Option<token::IssuerOptions> {
    Some(token::IssuerOptions {
        issuer: options.token_issuer.clone()?,
        keys: options.token_jwks.clone()?,
        audience: options.token_audience.clone(),
    })
}

fn start_logging(options: &Serve) -> Result<Logging> {
    let format = match options.log_format {
        LogFormat::Text => telemetry::Format::Text,
        LogFormat::Json => telemetry::Format::Json,
    };
    let directives = options.log.parse().context("--log (RUST_LOG)")?;
    let logging = Logging::start(format, directives, Box::new(io::stdout()), net::clock::wall)?;
    logging.install()?;
    Ok(logging)
}

fn register_build(registry: &mut Registry) {
    let builds = prometheus_client::metrics::family::Family::<[(&str, &str); 2], Gauge>::default();
    builds
        .get_or_create_owned(&[("component", "pilot"), ("tag", env!("CARGO_PKG_VERSION"))])
        .set(1);
    registry.register("istio_build", "What is running", builds);
}

async fn wait_for_end(quit: &Notify) -> io::Result<()> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::select! {
        _ = terminate.recv() => tracing::info!("ending on SIGTERM"),
        _ = interrupt.recv() => tracing::info!("ending on SIGINT"),
        () = quit.notified() => tracing::info!("ending on request"),
    }
    Ok(())
}
