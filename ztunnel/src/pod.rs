//! One pod that this ztunnel serves: its namespace and everything that ends with it.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hbone::Pool;
use identity::PeerCertificate;
use net::{
    Netns,
    drain::{Drain, Draining, Phase},
    socket::SpoofedPorts,
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wire::zds::PodInfo;

use crate::{
    connections::Connections,
    dns::Resolver,
    head::OwnBaggage,
    neighbour::{expected::Expected, path::Paths},
};

/// TLS handshakes of one pod at once. Each holds up to 64 KiB for whom nobody knows yet; those beyond wait, as long as
/// a handshake may take, with nothing but their socket.
const MAX_HANDSHAKES: usize = 1024;

/// One pod.
#[derive(Debug)]
pub struct Pod {
    /// `metadata.uid`, what the agent names it by.
    pub uid: String,
    /// Its number among all pods that this process has served: unlike names and addresses it is never another one's.
    pub serial: u64,
    /// Who it is.
    pub info: PodInfo,
    /// Where its sockets are made.
    pub netns: Arc<Netns>,
    /// The source ports of connections that show the application its client.
    pub ports: SpoofedPorts,
    /// Its workload's baggage, encoded.
    pub baggage: OwnBaggage,
    /// Places for TLS handshakes under way.
    pub handshakes: Semaphore,
    /// The addresses of workloads that have names in their place.
    pub resolver: Arc<Resolver>,
    /// What is open.
    pub connections: Connections,
    /// What captured connections come from that chose no address; none where they come as they would without capture.
    pub sources: Mutex<Vec<IpAddr>>,
    /// From it to pods of this node.
    pub paths: Arc<Paths>,
    /// The probes that are under way to it.
    pub expected: Expected,
    /// One pool per worker.
    pools: Box<[Arc<Pool>]>,
    drain: Drain,
}

impl Pod {
    /// A pod without connections.
    #[must_use]
    pub fn new(
        uid: String,
        info: PodInfo,
        netns: Arc<Netns>,
        ports: SpoofedPorts,
        resolver: Arc<Resolver>,
        workers: usize,
        settings: &Arc<hbone::Settings>,
    ) -> Self {
        let drain = Drain::default();
        let pools = (0..workers)
            .map(|_| Pool::new(Arc::clone(settings), drain.listen()))
            .collect();
        let connections = Connections::new(workers);
        Self {
            uid,
            serial: next_serial(),
            info,
            netns,
            ports,
            baggage: OwnBaggage::default(),
            handshakes: Semaphore::new(MAX_HANDSHAKES),
            resolver,
            connections,
            paths: Arc::default(),
            expected: Expected::default(),
            sources: Mutex::default(),
            pools,
            drain,
        }
    }

    /// The tunnels from this pod on one worker.
    #[must_use]
    pub fn pool(&self, worker: usize) -> &Arc<Pool> {
        &self.pools[worker % self.pools.len()]
    }

    /// Lets go of tunnels to peers that are not believed any more.
    pub fn let_go(&self, believed: impl Fn(&PeerCertificate) -> bool) {
        for pool in &self.pools {
            pool.let_go(&believed);
        }
    }

    /// The address that a connection which leaves as it came is to have: the application's own choice, else whatever the route says.
    #[must_use]
    pub fn source(&self, client: IpAddr) -> Option<IpAddr> {
        (!self.sources.lock().contains(&client)).then_some(client)
    }

    /// Tells when the pod is to end.
    #[must_use]
    pub fn draining(&self) -> Draining {
        self.drain.listen()
    }

    /// Takes no new connections; open ones may finish.
    pub fn drain(&self) {
        self.drain.advance(Phase::Draining);
    }

    /// Ends everything now.
    pub fn cut(&self) {
        // In this order: a connection is to end because it was cut, and not because its tunnel broke under it.
        self.connections.close();
        self.drain.advance(Phase::Cut);
    }
}

fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
