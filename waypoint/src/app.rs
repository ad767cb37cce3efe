//! Starts and stops everything; the only file that knows every component.
//!
//! Threads: this one runs the control runtime (configuration, certificates, backends and their health, operators'
//! endpoints), so that none of it delays a byte; the workers carry tunnels and requests; one more writes the log.
//!
//! Tasks, all on the control runtime and all ended by dropping it: the stream to the controller, the certificate store, the
//! revocation lists and what they cut, the backends, what follows the mesh for open tunnels, three HTTP servers.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use control::{metrics, publish::Publisher, xds};
use identity::{CrlFile, PeerCertificate, RemoteCa, Store};
use mesh::{ServiceKey, SpiffeId};
use net::{
    Workers,
    drain::{Drain, Phase},
};
use telemetry::{
    Build, Logging, Telemetry,
    admin::{self, Console, Readiness},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, SetOnce},
};

use crate::{
    accept::Arrivals,
    access::{
        limit,
        shared::{Options, Shared},
    },
    config::Config,
    dump::Dump,
    proxy::{Own, Proxy},
    upstream::{Clusters, Worker},
};

/// Where tunnels arrive. Source: Istio.
const HBONE_PORT: u16 = 15008;
/// How often the end of a drain is looked for.
const PAUSE_DRAIN: Duration = Duration::from_millis(20);
/// How long the log may take for its last lines.
const TIMEOUT_LOG: Duration = Duration::from_secs(1);

/// Runs until a signal or `/quitquitquit` ends it.
///
/// # Errors
/// When something that it cannot do without cannot be had; the error says what.
pub fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let logging = start_logging(&config)?;
    let open_files = net::limits::raise_open_files()?;
    let build = Build {
        component: "proxy",
        tag: env!("CARGO_PKG_VERSION"),
    };
    let telemetry = Telemetry::new(build, logging.clone(), net::clock::now());
    let readiness = Readiness::default();
    let (configured, certified) = (
        readiness.condition("configuration"),
        readiness.condition("certificate"),
    );

    // Certificates.
    let crl = config
        .crl
        .clone()
        .map(|path| CrlFile::open(path, identity::Clock::default()));
    let own = own(&config);
    let store = Store::new(
        Arc::new(RemoteCa::new(config.ca.clone()).with_own(own.identity.clone())),
        identity::Config {
            crl: crl.clone(),
            ..identity::Config::default()
        },
    );
    tokio::spawn(Arc::clone(&store).run());

    // Configuration.
    let publisher = Arc::new(Publisher::new());
    let status = xds::XdsStatus::new(xds::Role::Waypoint);
    tokio::spawn(xds::run(
        follow(&config),
        Arc::clone(&publisher),
        status.clone(),
        xds::Demand::new(false),
    ));

    // The data path.
    let hbone = Arc::new(hbone::Settings::default());
    let workers = Workers::start(config.workers)?;
    let (drain, cut_upstream) = (Drain::default(), Drain::default());
    let clusters = Clusters::new(
        publisher.view(),
        Arc::clone(&store),
        own.clone(),
        Arc::clone(&hbone),
        telemetry.clone(),
        &workers,
        cut_upstream.listen(),
    );
    tokio::spawn(Arc::clone(&clusters).run());
    let proxy = Arc::new(Proxy {
        view: publisher.view(),
        configured: SetOnce::new(),
        store,
        crl: crl.clone(),
        telemetry: telemetry.clone(),
        workers: workers.clone(),
        hbone: Arc::clone(&hbone),
        own,
        clusters,
        access: Shared::new(Options {
            jwks_roots: config.jwks_roots.clone(),
            ..Options::default()
        }),
        draining: drain.listen(),
    });
    // Requests go on while the process drains, so what carries them to backends is cut last.
    let upstreams: Vec<_> = workers
        .iter()
        .map(|worker| Worker::new(worker.index(), Arc::clone(&hbone), cut_upstream.listen()))
        .collect();
    let arrivals = Arrivals::new(Arc::clone(&proxy), upstreams.clone());
    tokio::spawn(Arc::clone(&arrivals).follow());
    arrivals.listen(listen().context("port 15008, where tunnels arrive")?);

    // What operators see.
    let quit = Arc::new(Notify::new());
    let dump = Dump {
        proxy: Arc::clone(&proxy),
        xds: status.clone(),
        config: format!("{config:#?}"),
    };
    let on_quit = Arc::clone(&quit);
    let console = Console::new(
        logging.clone(),
        move || dump.json(),
        move || on_quit.notify_one(),
    );
    let admin = admin::bind("admin", config.admin, "ADMIN_ADDR").await?;
    let metrics = admin::bind("metrics", config.metrics, "STATS_ADDR").await?;
    let ready = admin::bind("readiness", config.readiness, "READINESS_ADDR").await?;
    tokio::spawn(admin::serve_admin(admin, console));
    tokio::spawn(admin::serve_metrics(metrics, telemetry.clone()));
    tokio::spawn(admin::serve_readiness(ready, readiness));
    telemetry.register(|registry| metrics::xds(registry, status.clone()));
    let limits = Arc::clone(&proxy.access.limits);
    telemetry.register(|registry| limit::metrics::register(registry, limits));
    if let Some(crl) = crl {
        telemetry.register(|registry| metrics::crl(registry, Arc::clone(&crl)));
        tokio::spawn(Arc::clone(&crl).run());
        tokio::spawn(let_go(crl, Arc::clone(&proxy), upstreams));
    }
    let waiting = Arc::clone(&proxy);
    tokio::spawn(async move {
        status.ready().await;
        // It is set here only.
        drop(waiting.configured.set(()));
        configured.meet();
    });
    let waiting = Arc::clone(&proxy);
    tokio::spawn(async move {
        // The store tries until there is one; whoever needs it meanwhile is told why there is none.
        while waiting.store.fetch(&waiting.own.identity).await.is_err() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        certified.meet();
    });
    tracing::info!(version = build.tag, gateway = %config.gateway, namespace = %config.namespace, workers = config.workers.get(), open_files, "waypoint started");

    wait_for_end(&quit).await?;
    leave(&drain, &arrivals, config.drain).await;
    cut_upstream.advance(Phase::Cut);
    tracing::info!("waypoint ended");
    logging.flush(TIMEOUT_LOG);
    // Publishing ends here, and not before: views must not close while requests drain.
    drop(publisher);
    Ok(())
}

/// Who this is.
fn own(config: &Config) -> Own {
    let hostname = format!(
        "{}.{}.svc.{}",
        config.gateway, config.namespace, config.domain
    );
    Own {
        gateway: config.gateway.clone(),
        namespace: config.namespace.clone(),
        service_account: config.service_account.clone(),
        pod_name: config.pod_name.clone(),
        instance_ip: config.instance_ip,
        network: config.network.clone(),
        cluster: config.cluster.clone(),
        identity: SpiffeId::new(
            config.trust_domain.clone(),
            config.namespace.clone(),
            config.service_account.clone(),
        ),
        service: ServiceKey::new(config.namespace.clone(), hostname),
    }
}

/// Whom configuration comes from.
fn follow(config: &Config) -> xds::Settings {
    xds::Settings {
        endpoint: config.xds.clone(),
        node: xds::Node {
            role: xds::Role::Waypoint,
            pod: config.pod_name.to_string(),
            namespace: config.namespace.to_string(),
            instance_ip: config.instance_ip.to_string(),
            node_name: config.node_name.clone(),
            metadata: std::collections::BTreeMap::new(),
        },
    }
}

/// The listener of tunnels, of both families where there are both.
fn listen() -> io::Result<std::net::TcpListener> {
    let both = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), HBONE_PORT);
    let listener = std::net::TcpListener::bind(both).or_else(|_no_ipv6| {
        std::net::TcpListener::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), HBONE_PORT))
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn start_logging(config: &Config) -> anyhow::Result<Logging> {
    let directives = config.log_filter.parse().context("RUST_LOG")?;
    let logging = Logging::start(
        config.log_format,
        directives,
        Box::new(io::stdout()),
        net::clock::wall,
    )?;
    logging.install()?;
    Ok(logging)
}

/// Lets go of tunnels to peers whose certificate is revoked; those that came from such peers end by themselves.
async fn let_go(crl: Arc<CrlFile>, proxy: Arc<Proxy>, workers: Vec<Arc<Worker>>) {
    let mut changes = crl.subscribe();
    while changes.changed().await.is_ok() {
        let is_believed = |peer: &PeerCertificate| proxy.store.revocation(peer).is_none();
        for worker in &workers {
            worker.tunnels().let_go(is_believed);
        }
        proxy.clusters.let_go(is_believed);
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

/// Lets open requests and connections finish until the deadline, then cuts what is left.
async fn leave(drain: &Drain, arrivals: &Arrivals, deadline: Duration) {
    let end = net::clock::now() + deadline;
    drain.advance(Phase::Draining);
    while arrivals.streams() > 0 && net::clock::now() < end {
        tokio::time::sleep(PAUSE_DRAIN).await;
    }
    let left = arrivals.streams();
    drain.advance(Phase::Cut);
    if left > 0 {
        tracing::warn!(
            connections = left,
            "connections did not end within the drain's time"
        );
        // Their tasks report how they ended.
        tokio::time::sleep(PAUSE_DRAIN * 10).await;
    }
}
