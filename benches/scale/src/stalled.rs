//! A client that subscribes everything and then reads nothing.
//!
//! Its connection lives and answers pings; only the stream's messages stay where they are, so the controller runs
//! into the stream's window in the middle of the large response.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::StreamExt as _;
use futures_util::stream;
use grpc::Endpoint;
use grpc::service::discovery::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use tokio::sync::oneshot;
use tokio::time::timeout;
use wire::proto::discovery::DeltaDiscoveryRequest;
use wire::proto::{ADDRESS_TYPE, AUTHORIZATION_TYPE};

use crate::client::runtime;

/// How long it may take to be connected, and at the end to read what was kept for it.
const DEADLINE: Duration = Duration::from_secs(60);
/// The largest response.
const MAX_RESPONSE_BYTES: usize = 200 << 20;

/// The client.
#[derive(Debug)]
pub(crate) struct Stalled {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<usize>>,
}

impl Stalled {
    /// Connects and subscribes.
    ///
    /// # Errors
    ///
    /// When the controller does not take it.
    pub(crate) fn start(endpoint: Endpoint) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (connected, connection) = mpsc::channel();
        let runtime = runtime()?;
        let thread = thread::Builder::new()
            .name("stalled".to_owned())
            .spawn(move || runtime.block_on(run(endpoint, connected, stopped)))?;
        if connection.recv_timeout(DEADLINE).is_err() {
            drop(stop);
            let why = thread.join().ok().and_then(Result::err);
            return Err(why.unwrap_or_else(|| anyhow::anyhow!("no answer")))
                .context("the client that stalls");
        }
        Ok(Self { stop, thread })
    }

    /// Reads at last, which shows that something was kept for it: how many resources the large response had.
    ///
    /// # Errors
    ///
    /// When nothing was.
    pub(crate) fn finish(self) -> Result<usize> {
        let Self { stop, thread } = self;
        drop(stop);
        match thread.join() {
            Ok(read) => read.context("the client that stalls"),
            Err(_) => bail!("the client that stalls panicked"),
        }
    }
}

async fn run(
    endpoint: Endpoint,
    connected: mpsc::Sender<()>,
    stopped: oneshot::Receiver<()>,
) -> Result<usize> {
    let channel = endpoint.connect().await?;
    let mut client = AggregatedDiscoveryServiceClient::new(channel)
        .max_decoding_message_size(MAX_RESPONSE_BYTES);
    let first = [AUTHORIZATION_TYPE, ADDRESS_TYPE].map(|url| DeltaDiscoveryRequest {
        type_url: url.to_owned(),
        ..DeltaDiscoveryRequest::default()
    });
    let requests = stream::iter(first).chain(stream::pending());
    let call = client.delta_aggregated_resources(requests);
    let mut responses = call.await?.into_inner();
    connected.send(())?;
    // An error is the end of the sender, which is the sign.
    let _ = stopped.await;
    loop {
        let response = timeout(DEADLINE, responses.message()).await??;
        let response = response.context("the stream ended")?;
        if response.type_url == ADDRESS_TYPE {
            return Ok(response.resources.len());
        }
    }
}
