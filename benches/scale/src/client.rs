//! A ztunnel's side of workload xDS, as ztunnel starts it: on one thread with a runtime of its own.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use control::xds::{Demand, Node, Role, Settings, XdsState, XdsStatus};
use control::{Publisher, View};
use grpc::{Endpoint, Roots};
use mesh::snapshot::Snapshot;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::controller::Controller;
use crate::shape::{Shape, Size};

/// How long everything may take to arrive.
const DEADLINE_READY: Duration = Duration::from_secs(600);
/// How often it is looked at what has arrived.
const PAUSE: Duration = Duration::from_millis(1);
/// The number of the node that the clients say they run on.
const NODE: usize = 0;

/// A client. Its thread ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Client {
    /// What it knows.
    pub(crate) view: View,
    /// Asks for names.
    pub(crate) demand: Demand,
    status: XdsStatus,
    begun: Instant,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How the first answers came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// From the first connect until the large response, with all workloads and services, was there as a whole.
    pub(crate) received: Duration,
    /// Until everything was applied and acknowledged.
    pub(crate) ready: Duration,
}

/// Responses of all types.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    /// How many.
    pub(crate) messages: u64,
    /// Their bytes, without framing.
    pub(crate) bytes: u64,
}

impl Traffic {
    /// What came since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            messages: self.messages - before.messages,
            bytes: self.bytes - before.bytes,
        }
    }
}

/// A runtime of one thread, which is the caller's.
///
/// # Errors
///
/// When the kernel does not give what it needs.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// Where the controller is, for the ztunnel of a node.
///
/// # Errors
///
/// When no token is made.
pub(crate) fn endpoint(controller: &Controller) -> Result<Endpoint> {
    Ok(Endpoint {
        address: format!("https://localhost:{}", controller.xds.port()).parse()?,
        roots: Roots::File(controller.roots()),
        alternative_name: None,
        token: Some(controller.token(&Shape::node(NODE))?),
        cluster: "Kubernetes".to_owned(),
        headers: Vec::new(),
    })
}

/// As whom the clients come.
pub(crate) fn node() -> Node {
    Node {
        role: Role::NodeProxy,
        pod: "ztunnel-scale".to_owned(),
        namespace: "istio-system".to_owned(),
        instance_ip: "127.0.0.1".to_owned(),
        node_name: Shape::node(NODE),
        ..Node::default()
    }
}

impl Client {
    /// Starts one; `on_demand` subscribes nothing but what is asked for.
    ///
    /// # Errors
    ///
    /// When its thread does not start.
    pub(crate) fn start(endpoint: &Endpoint, on_demand: bool) -> Result<Self> {
        let publisher = Arc::new(Publisher::new());
        let (view, status) = (publisher.view(), XdsStatus::new(Role::NodeProxy));
        let demand = Demand::new(on_demand);
        let settings = Settings {
            endpoint: endpoint.clone(),
            node: node(),
        };
        let (stop, stopped) = oneshot::channel();
        let running = control::xds::run(settings, publisher, status.clone(), demand.clone());
        let runtime = runtime()?;
        let begun = Instant::now();
        let thread = thread::Builder::new()
            .name("xds".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = running => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            view,
            demand,
            status,
            begun,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Waits until the first answers of each type are applied.
    ///
    /// # Errors
    ///
    /// When they do not come, or something of them was refused.
    pub(crate) fn wait_ready(&self) -> Result<Arrival> {
        let mut received = None;
        while !self.status.is_ready() {
            let addresses = self.state().types.into_iter().next().unwrap_or_default();
            if received.is_none() && addresses.messages > 0 {
                received = Some(self.begun.elapsed());
            }
            if self.begun.elapsed() > DEADLINE_READY {
                bail!(
                    "the client is not ready after {DEADLINE_READY:?}: {:?}",
                    self.state()
                );
            }
            thread::sleep(PAUSE);
        }
        let ready = self.begun.elapsed();
        self.check_refusals()?;
        Ok(Arrival {
            received: received.unwrap_or(ready),
            ready,
        })
    }

    /// Nothing was refused, and the stream never ended.
    ///
    /// # Errors
    ///
    /// Says what was, or why it ended.
    pub(crate) fn check_refusals(&self) -> Result<()> {
        let state = self.state();
        for of in &state.types {
            ensure!(
                of.nacks == 0,
                "{} responses of {} were refused: {:?}",
                of.nacks,
                of.type_url,
                of.refusals.first()
            );
        }
        ensure!(state.connected, "the stream ended: {:?}", state.last_error);
        Ok(())
    }

    /// Whether it knows exactly what there is.
    ///
    /// # Errors
    ///
    /// Says what it knows and what there is.
    pub(crate) fn check_counts(&self, size: Size) -> Result<()> {
        self.check_refusals()?;
        let known = counts(&self.view.load());
        ensure!(known == size, "the client has {known:?}, expected {size:?}");
        Ok(())
    }

    /// What has come so far.
    pub(crate) fn traffic(&self) -> Traffic {
        let types = self.state().types;
        Traffic {
            messages: types.iter().map(|of| of.messages).sum(),
            bytes: types.iter().map(|of| of.message_bytes).sum(),
        }
    }

    fn state(&self) -> XdsState {
        self.status.state(Instant::now())
    }

    /// Ends it and waits for its thread.
    ///
    /// # Errors
    ///
    /// When it panicked.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.stop.take();
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(anyhow::anyhow!("it panicked")).context("the client's thread"),
            Some(Ok(())) | None => Ok(()),
        }
    }
}

fn counts(snapshot: &Snapshot) -> Size {
    Size {
        workloads: snapshot.iter_workloads().len(),
        services: snapshot.iter_services().len(),
        policies: snapshot.policies().len(),
    }
}
