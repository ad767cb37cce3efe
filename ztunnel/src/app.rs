//! Starts and stops everything; the only file that knows every component.
//!
//! Threads: this one runs the control runtime (configuration, certificates, the agent, the operators'
//! endpoints), so that none of it delays a byte; the workers carry connections; one more writes the log.
//!
//! Tasks, all on the control runtime and all ended by dropping it: the source of configuration, the certificate store,
//! the revocation lists and what they cut, the agent's conversation, the retry of failed pods, the re-examination of open connections, three HTTP servers.

use std::{io, sync::Arc, time::Duration};

use anyhow::Context as _;
use control::{
    file::{self, Defaults, FileStatus, Source},
    metrics,
    publish::Publisher,
    xds,
};
use identity::{CertificateAuthority, CrlFile, FileCa, RemoteCa, Store};
use net::{Workers, drain::Phase};
use telemetry::{
    Build, Logging, Telemetry,
    admin::{self, Console, Readiness},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, SetOnce},
};

use crate::{
    capture::{
        pods::{Names, Pods},
        redirection::Redirection,
        zds,
    },
    config::{self, Authority, Config, LogFormat, SameNode, Warning},
    dns,
    dump::Dump,
    neighbour::Neighbours,
    proxy::Proxy,
    revocation,
    source::ConfigSource,
};

/// How often the end of a drain is looked for.
const PAUSE_DRAIN: Duration = Duration::from_millis(20);
/// How long the log may take for its last lines.
const TIMEOUT_LOG: Duration = Duration::from_secs(1);

/// Runs until a signal or `/quitquitquit` ends it.
///
/// # Errors
/// When something that it cannot do without cannot be had; the error says what.
pub fn run(config: Config, warnings: &[Warning]) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(config, warnings))
}

async fn serve(config: Config, warnings: &[Warning]) -> anyhow::Result<()> {
    let logging = start_logging(&config.telemetry)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let open_files = net::limits::raise_open_files()?;
    let build = Build {
        component: "ztunnel",
        tag: env!("CARGO_PKG_VERSION"),
    };
    let telemetry = Telemetry::new(build, logging.clone(), net::clock::now());
    let readiness = Readiness::default();
    let (configured, agent_heard) = (
        readiness.condition("configuration"),
        readiness.condition("agent snapshot"),
    );

    // Certificates.
    let crl = config
        .identity
        .crl
        .clone()
        .map(|path| CrlFile::open(path, identity::Clock::default()));
    let store = Store::new(
        authority(&config.identity)?,
        identity::Config {
            ttl: config.identity.ttl,
            crl: crl.clone(),
            ..identity::Config::default()
        },
    );
    tokio::spawn(Arc::clone(&store).run());

    // Configuration.
    let publisher = Arc::new(Publisher::new());
    let (source, demand) = follow_configuration(&config, &publisher);

    // The data path.
    let proxy = Arc::new(Proxy {
        view: publisher.view(),
        configured: SetOnce::new(),
        demand,
        store,
        crl: crl.clone(),
        telemetry: telemetry.clone(),
        workers: Workers::start(config.workers)?,
        hbone: Arc::new(hbone_settings(&config.hbone)),
        sockets: config.proxy.clone(),
        node: config.node.clone(),
        neighbours: match config.proxy.same_node {
            SameNode::Join => Some(Neighbours::new(&telemetry)),
            SameNode::Hbone => None,
        },
        policy: config.policy,
    });
    let names = Names {
        listen: config.dns.listen,
        is_listen_set: config.dns.is_listen_set,
        zone: Arc::new(dns::Zone {
            domain: config.dns.domain.clone(),
            preferred_namespace: config.dns.preferred_namespace.clone(),
            ipv6: config.dns.ipv6,
        }),
        resolv_conf: Arc::new(dns::ResolvConf::new("/etc/resolv.conf")),
        telemetry: telemetry.clone(),
    };

    // What operators see. Bound before anything is captured, so that a second ztunnel does not steal the first one's pods.
    let endpoints = &config.telemetry;
    let admin = admin::bind("admin", endpoints.admin, "ADMIN_ADDR").await?;
    let metrics = admin::bind("metrics", endpoints.metrics, "STATS_ADDR").await?;
    let ready = admin::bind("readiness", endpoints.readiness, "READINESS_ADDR").await?;

    // Capture.
    let sockets = &config.proxy.socket;
    let redirection = Redirection::open(&config.capture, sockets, &telemetry)
        .await
        .context("CAPTURE=ebpf is not possible here")?;
    let pods = Pods::new(Arc::clone(&proxy), redirection, names);
    let quit = Arc::new(Notify::new());
    let dump = Dump {
        proxy: Arc::clone(&proxy),
        pods: Arc::clone(&pods),
        source: source.clone(),
        config: format!("{config:#?}"),
    };
    let on_quit = Arc::clone(&quit);
    let console = Console::new(
        logging.clone(),
        move || dump.json(),
        move || on_quit.notify_one(),
    );
    tokio::spawn(admin::serve_admin(admin, console));
    tokio::spawn(admin::serve_metrics(metrics, telemetry.clone()));
    tokio::spawn(admin::serve_readiness(ready, readiness));

    tokio::spawn(Arc::clone(&pods).recheck());
    tokio::spawn(Arc::clone(&pods).retry());
    if let Some(crl) = crl {
        telemetry.register(|registry| metrics::crl(registry, Arc::clone(&crl)));
        tokio::spawn(Arc::clone(&crl).run());
        tokio::spawn(revocation::enforce(
            crl,
            Arc::clone(&proxy),
            Arc::clone(&pods),
        ));
    }
    if let ConfigSource::Xds(status) = &source {
        telemetry.register(|registry| metrics::xds(registry, status.clone()));
    }
    let waiting = Arc::clone(&proxy);
    tokio::spawn(async move {
        source.ready(waiting.view.clone()).await;
        // It is set here only.
        drop(waiting.configured.set(()));
        configured.meet();
    });
    tokio::spawn(zds::follow(
        config.capture.socket.clone(),
        Arc::clone(&pods),
        agent_heard,
    ));
    tracing::info!(version = build.tag, node = %config.node.name, workers = config.workers.get(), open_files, "ztunnel started");

    wait_for_end(&quit).await?;
    drain(&pods, config.drain.deadline).await;
    tracing::info!("ztunnel ended");
    logging.flush(TIMEOUT_LOG);
    // Publishing ends here, and not before: views must not close while connections drain.
    drop(publisher);
    Ok(())
}

/// Who signs.
fn authority(config: &config::Identity) -> anyhow::Result<Arc<dyn CertificateAuthority>> {
    Ok(match &config.authority {
        Authority::Files { certificate, key } => {
            Arc::new(FileCa::load(certificate, key, net::clock::wall())?)
        }
        Authority::Remote(endpoint) => Arc::new(RemoteCa::new(endpoint.clone())),
    })
}

/// Starts the source of configuration; also says how to ask it for what it has not told.
fn follow_configuration(
    config: &Config,
    publisher: &Arc<Publisher>,
) -> (ConfigSource, xds::Demand) {
    let publisher = Arc::clone(publisher);
    let source = match &config.control.source {
        config::Source::File(path) => Source::Path(path.clone()),
        config::Source::Inline(text) => Source::Text(text.clone()),
        config::Source::Xds(remote) => {
            let (status, demand) = (
                xds::XdsStatus::new(xds::Role::NodeProxy),
                xds::Demand::new(remote.on_demand),
            );
            let settings = xds::Settings {
                endpoint: remote.endpoint.clone(),
                node: xds::Node {
                    role: xds::Role::NodeProxy,
                    pod: remote.pod.clone(),
                    namespace: remote.namespace.clone(),
                    instance_ip: remote.ip.clone(),
                    node_name: config.node.name.to_string(),
                    metadata: remote.metadata.clone(),
                },
            };
            tokio::spawn(xds::run(
                settings,
                publisher,
                status.clone(),
                demand.clone(),
            ));
            return (ConfigSource::Xds(status), demand);
        }
    };
    let defaults = Defaults {
        trust_domain: config.identity.trust_domain.clone(),
        cluster: config.node.cluster.clone(),
    };
    let status = FileStatus::new();
    tokio::spawn(file::run(source, defaults, publisher, status.clone()));
    (ConfigSource::File(status), xds::Demand::new(false))
}

fn start_logging(config: &config::Telemetry) -> anyhow::Result<Logging> {
    let format = match config.format {
        LogFormat::Text => telemetry::Format::Text,
        LogFormat::Json => telemetry::Format::Json,
    };
    let directives = config.filter.parse().context("RUST_LOG")?;
    let logging = Logging::start(format, directives, Box::new(io::stdout()), net::clock::wall)?;
    logging.install()?;
    Ok(logging)
}

fn hbone_settings(config: &config::Hbone) -> hbone::Settings {
    hbone::Settings {
        stream_window: config.window_stream_bytes,
        connection_window: config.window_connection_bytes,
        frame_size: config.max_frame_bytes,
        max_streams: config.max_streams_per_connection.get(),
        timeout_idle: config.timeout_unused,
        ..hbone::Settings::default()
    }
}

async fn wait_for_end(quit: &Notify) -> io::Result<()> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::select! {
        _ = terminate.recv() => tracing::info!("draining on SIGTERM"),
        _ = interrupt.recv() => tracing::info!("draining on SIGINT"),
        () = quit.notified() => tracing::info!("draining on request"),
    }
    Ok(())
}

/// Lets open connections finish until the deadline, then cuts what is left. The rules stay: nothing passes
/// unseen while no ztunnel runs.
async fn drain(pods: &Pods, deadline: Duration) {
    let end = net::clock::now() + deadline;
    let pods = pods.list();
    for pod in &pods {
        pod.drain();
    }
    let open = || {
        pods.iter()
            .map(|pod| pod.connections.count())
            .sum::<usize>()
    };
    while open() > 0 && net::clock::now() < end {
        tokio::time::sleep(PAUSE_DRAIN).await;
    }
    let cut = open();
    for pod in &pods {
        pod.cut();
    }
    if cut > 0 {
        tracing::warn!(
            connections = cut,
            "connection failed to drain within the timeout"
        );
        // Their tasks report how they ended.
        let end = net::clock::now() + PAUSE_DRAIN * 10;
        while net::clock::now() < end {
            tokio::time::sleep(PAUSE_DRAIN).await;
        }
    }
    debug_assert!(pods.iter().all(|pod| pod.draining().phase() == Phase::Cut));
}
