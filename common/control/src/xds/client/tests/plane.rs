//! A control plane in this process, which the test plays.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::Stream;
use grpc::service::discovery::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};
use tower_service::Service as _;
use wire::proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

/// Fails where a condition does not come true.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("within 20 s")
}

/// The control plane; dropped, it is down.
pub(super) struct Plane {
    address: SocketAddr,
    talks: mpsc::Receiver<Talk>,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    talks: mpsc::Sender<Talk>,
    refusal: Mutex<Option<Status>>,
    limit: Mutex<usize>,
    door: Arc<Semaphore>,
    connections: Mutex<Vec<JoinHandle<()>>>,
}

/// One stream. Dropped, the server has ended it.
pub(super) struct Talk {
    pub(super) metadata: MetadataMap,
    first: Option<DeltaDiscoveryRequest>,
    requests: Streaming<DeltaDiscoveryRequest>,
    responses: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
}

impl Plane {
    pub(super) fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub(super) fn start_at(address: SocketAddr) -> Self {
        let bind = || {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(16)
        };
        let listener: TcpListener = bind().unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, talks) = mpsc::channel(16);
        let shared = Arc::new(Shared {
            talks: sender,
            refusal: Mutex::new(None),
            limit: Mutex::new(4 << 20),
            door: Arc::new(Semaphore::new(1)),
            connections: Mutex::new(Vec::new()),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            talks,
            shared,
            accepting,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next stream.
    pub(super) async fn accept(&mut self) -> Talk {
        within(self.talks.recv()).await.unwrap()
    }

    /// New streams are kept waiting for an answer until this is dropped.
    pub(super) async fn shut(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.shared.door).acquire_owned().await.unwrap()
    }

    /// Streams are refused from now on.
    pub(super) fn refuse(&self, status: Status) {
        *self.shared.refusal.lock().unwrap() = Some(status);
        self.cut();
    }

    /// Streams are taken again.
    pub(super) fn admit(&mut self) {
        *self.shared.refusal.lock().unwrap() = None;
        while self.talks.try_recv().is_ok() {}
    }

    /// The largest request from now on.
    pub(super) fn limit(&self, bytes: usize) {
        *self.shared.limit.lock().unwrap() = bytes;
    }

    /// Breaks all connections.
    pub(super) fn cut(&self) {
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Talk {
    pub(super) async fn request(&mut self) -> DeltaDiscoveryRequest {
        match self.first.take() {
            Some(first) => first,
            None => within(self.requests.message()).await.unwrap().unwrap(),
        }
    }

    /// What is wrong with the next request.
    pub(super) async fn failure(&mut self) -> Status {
        within(self.requests.message()).await.unwrap_err()
    }

    pub(super) async fn send(&self, response: DeltaDiscoveryResponse) {
        within(self.responses.send(Ok(response))).await.unwrap();
    }

    /// Ends the stream with an error.
    pub(super) async fn fail(self, status: Status) {
        within(self.responses.send(Err(status))).await.unwrap();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = AggregatedDiscoveryServiceServer::new(Ads(Arc::clone(&shared)))
            .max_decoding_message_size(*shared.limit.lock().unwrap());
        let answer = service_fn(move |request: http::Request<Incoming>| {
            let mut service = service.clone();
            async move { Ok::<_, Infallible>(service.call(request).await.unwrap()) }
        });
        let connection = tokio::spawn(async move {
            let builder = http2::Builder::new(TokioExecutor::new());
            drop(builder.serve_connection(TokioIo::new(stream), answer).await);
        });
        shared.connections.lock().unwrap().push(connection);
    }
}

struct Ads(Arc<Shared>);

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type DeltaAggregatedResourcesStream =
        Pin<Box<dyn Stream<Item = Result<DeltaDiscoveryResponse, Status>> + Send>>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        if let Some(status) = &*self.0.refusal.lock().unwrap() {
            return Err(status.clone());
        }
        let metadata = request.metadata().clone();
        let mut requests = request.into_inner();
        // As servers may: nothing is answered, not even headers, before something was asked.
        let first = requests.message().await?;
        drop(self.0.door.acquire().await);
        let (responses, mut receiver) = mpsc::channel(16);
        let talk = Talk {
            metadata,
            first,
            requests,
            responses,
        };
        self.0
            .talks
            .send(talk)
            .await
            .map_err(|_| Status::internal("the test is over"))?;
        let stream = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
        Ok(Response::new(Box::pin(stream)))
    }
}
