//! The CNI agent of one node: hands pods to ztunnel over ZDS.
//!
//! In: pods to serve and to forget; ztunnel's connections on a `SOCK_SEQPACKET` socket.
//! Out: on each new connection the whole snapshot, every pod with its namespace, each answer awaited
//! for 5 s; later single additions (to the newest connection) and removals (to all).
//! Never: the pods' rules (those are written before a pod is given to the agent).
//!
//! One thread accepts; it ends when the agent is dropped. A hostile test takes the other end itself:
//! [`Agent::set_mode`] with [`Mode::Manual`], then [`Agent::connection`].

mod connection;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use parking_lot::{Condvar, Mutex};
use socket2::{Domain, SockAddr, Socket, Type};
use wire::zds::{PodInfo, Request};

pub use self::connection::Connection;

/// How long ztunnel may take for its hello and for each answer. Source: the ZDS agent's read and
/// write deadline.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// How many connections are kept; the oldest leaves. One ztunnel has one, a restart two.
const MAX_CONNECTIONS: usize = 8;

/// The longest path of a socket. Source: unix(7), `sun_path` with its closing zero.
const MAX_PATH: usize = 107;

/// What became of a pod that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handover {
    /// ztunnel serves it.
    Served,
    /// ztunnel answered with this error and goes on trying by itself.
    Failed(String),
    /// No ztunnel is connected; the next one gets the pod with its snapshot.
    Pending,
}

/// Who talks on a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The agent: hello, snapshot, changes.
    Automatic,
    /// The test: the agent only accepts.
    Manual,
}

/// The agent of one node.
#[derive(Debug)]
pub struct Agent {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    listener: Socket,
    /// Held during a conversation: snapshot and changes never interleave.
    talk: Mutex<()>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    pods: BTreeMap<String, Handed>,
    connections: Vec<Arc<Connection>>,
    accepted: u64,
    snapshots: u64,
    failures: Vec<String>,
    stopping: bool,
}

/// A pod in the agent's hands.
#[derive(Clone, Debug)]
struct Handed {
    info: PodInfo,
    netns: Arc<File>,
}

impl Agent {
    /// Listens on `path`.
    ///
    /// # Errors
    ///
    /// When the path is too long for a socket or cannot be bound.
    pub fn listen(path: PathBuf) -> Result<Self> {
        if path.as_os_str().len() > MAX_PATH {
            bail!(
                "{}: longer than {MAX_PATH} bytes, too long for a socket; set TMPDIR to a shorter path",
                path.display()
            );
        }
        let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        listener
            .bind(&SockAddr::unix(&path)?)
            .with_context(|| format!("bind {}", path.display()))?;
        listener.listen(16)?;
        let state = State {
            mode: Mode::Automatic,
            pods: BTreeMap::new(),
            connections: Vec::new(),
            accepted: 0,
            snapshots: 0,
            failures: Vec::new(),
            stopping: false,
        };
        let shared = Arc::new(Shared {
            path,
            listener,
            talk: Mutex::new(()),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let worker = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("lab-agent".to_owned())
            .spawn(move || worker.accept())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The socket: ztunnel's `INPOD_UDS`.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Decides who talks on connections that come from now on.
    pub fn set_mode(&self, mode: Mode) {
        self.shared.state.lock().mode = mode;
    }

    /// Takes a pod into the agent's hands and hands it to the newest connection.
    ///
    /// # Errors
    ///
    /// When ztunnel is connected but does not answer in [`DEADLINE`], or not with a ZDS answer.
    pub fn add(&self, uid: &str, info: PodInfo, netns: Arc<File>) -> Result<Handover> {
        let _talk = self.shared.talk.lock();
        let handed = Handed { info, netns };
        let newest = {
            let mut state = self.shared.state.lock();
            state.pods.insert(uid.to_owned(), handed.clone());
            state.newest()
        };
        let Some(connection) = newest else {
            return Ok(Handover::Pending);
        };
        match hand_over(&connection, uid, &handed) {
            Err(_) if connection.is_closed() => Ok(Handover::Pending),
            answer => answer.with_context(|| format!("hand over pod {uid}")),
        }
    }

    /// Forgets a pod and tells every connection. Without one, the next snapshot lacks the pod.
    ///
    /// # Errors
    ///
    /// When a connected ztunnel does not answer in [`DEADLINE`].
    pub fn remove(&self, uid: &str) -> Result<()> {
        let _talk = self.shared.talk.lock();
        let connections = {
            let mut state = self.shared.state.lock();
            state.pods.remove(uid);
            state.live()
        };
        for connection in connections {
            let request = Request::Del {
                uid: uid.to_owned(),
            };
            match connection.request(&request, &[]) {
                Err(_) if connection.is_closed() => {}
                answer => {
                    answer.with_context(|| format!("take back pod {uid}"))?;
                }
            }
        }
        Ok(())
    }

    /// How many snapshots have been sent and answered in full.
    pub fn snapshots(&self) -> u64 {
        self.shared.state.lock().snapshots
    }

    /// Waits until `count` snapshots have been answered in full since the agent began.
    ///
    /// # Errors
    ///
    /// When it takes longer; the text holds what failed.
    pub fn wait_snapshots(&self, count: u64, deadline: Duration) -> Result<()> {
        let end = Instant::now() + deadline;
        let mut state = self.shared.state.lock();
        while state.snapshots < count {
            if self.shared.changed.wait_until(&mut state, end).timed_out() {
                bail!(
                    "{}: {} of {count} snapshots answered within {deadline:?}, {} connections accepted; failures: {:?}",
                    self.shared.path.display(),
                    state.snapshots,
                    state.accepted,
                    state.failures
                );
            }
        }
        Ok(())
    }

    /// What went wrong in automatic conversations so far: refused pods, missing answers, bad packets.
    pub fn failures(&self) -> Vec<String> {
        self.shared.state.lock().failures.clone()
    }

    /// Whether a ztunnel is connected now.
    pub fn is_connected(&self) -> bool {
        self.shared.state.lock().newest().is_some()
    }

    /// The newest live connection, for tests that talk themselves.
    ///
    /// # Errors
    ///
    /// When there is none in time.
    pub fn connection(&self, deadline: Duration) -> Result<Arc<Connection>> {
        let end = Instant::now() + deadline;
        let mut state = self.shared.state.lock();
        loop {
            if let Some(connection) = state.newest() {
                return Ok(connection);
            }
            if self.shared.changed.wait_until(&mut state, end).timed_out() {
                bail!(
                    "{}: no connection within {deadline:?}",
                    self.shared.path.display()
                );
            }
        }
    }

    /// Closes every connection, as an agent that restarts does; ztunnel is to come back.
    pub fn disconnect(&self) {
        for connection in self.shared.state.lock().connections.drain(..) {
            connection.close();
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shared.state.lock().stopping = true;
        self.disconnect();
        // Wakes accept(2).
        let _ = self.shared.listener.shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

impl State {
    fn live(&mut self) -> Vec<Arc<Connection>> {
        self.connections
            .retain(|connection| !connection.is_closed());
        self.connections.clone()
    }

    fn newest(&mut self) -> Option<Arc<Connection>> {
        self.live().pop()
    }
}

impl Shared {
    fn accept(&self) {
        while let Ok((socket, _)) = self.listener.accept() {
            let mode = {
                let mut state = self.state.lock();
                if state.stopping {
                    return;
                }
                state.accepted += 1;
                state.mode
            };
            let result = Connection::new(socket)
                .map(Arc::new)
                .and_then(|connection| match mode {
                    Mode::Automatic => self.greet(&connection),
                    Mode::Manual => {
                        self.keep(connection);
                        Ok(())
                    }
                });
            if let Err(error) = result {
                self.fail(format!("{error:#}"));
            }
            self.changed.notify_all();
        }
    }

    /// Hello and snapshot; the connection is kept if both went well.
    fn greet(&self, connection: &Arc<Connection>) -> Result<()> {
        connection.receive_hello()?;
        let _talk = self.talk.lock();
        let pods = self.state.lock().pods.clone();
        for (uid, handed) in &pods {
            match hand_over(connection, uid, handed)
                .with_context(|| format!("hand over pod {uid}"))?
            {
                Handover::Failed(error) => self.fail(format!("pod {uid}: {error}")),
                Handover::Served | Handover::Pending => {}
            }
        }
        connection
            .request(&Request::SnapshotSent, &[])
            .context("end the snapshot")?;
        self.keep(Arc::clone(connection));
        self.state.lock().snapshots += 1;
        Ok(())
    }

    fn keep(&self, connection: Arc<Connection>) {
        let mut state = self.state.lock();
        if state.connections.len() == MAX_CONNECTIONS {
            state.connections.remove(0);
        }
        state.connections.push(connection);
    }

    fn fail(&self, failure: String) {
        self.state.lock().failures.push(failure);
    }
}

fn hand_over(connection: &Connection, uid: &str, handed: &Handed) -> Result<Handover> {
    let request = Request::Add {
        uid: uid.to_owned(),
        pod: handed.info.clone(),
    };
    let ack = connection.request(&request, &[handed.netns.as_fd()])?;
    Ok(ack.error.map_or(Handover::Served, Handover::Failed))
}
