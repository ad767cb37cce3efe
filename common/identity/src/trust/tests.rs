//! Rotations of the root, with and without overlap, on nodes that renew at different times.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use tokio::{sync::Semaphore, task::JoinHandle, time::timeout};

use crate::{
    BoxFuture, CaError, CertificateAuthority, Config, Credential, Issued, SigningRequest, Store,
    testkit::{TestCa, TestClock, handshake, id, sans},
};

/// How long a condition is waited for before a test fails.
const DEADLINE: Duration = Duration::from_secs(10);

/// An authority whose signer and bundle can be changed.
#[derive(Debug)]
struct RotatingCa {
    /// Signers in turn, as replicas behind one address are asked in turn.
    replicas: Mutex<Vec<Replica>>,
    asked: AtomicUsize,
    /// Answers for the identity "early" take one permit each, after they were made.
    early: Semaphore,
}

#[derive(Clone)]
struct Replica {
    signer: Arc<TestCa>,
    bundle: Vec<CertificateDer<'static>>,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Replica")
    }
}

fn replica(signer: &Arc<TestCa>, bundle: &[&Arc<TestCa>]) -> Replica {
    Replica {
        signer: Arc::clone(signer),
        bundle: bundle.iter().map(|ca| ca.root()).collect(),
    }
}

impl RotatingCa {
    fn new(signer: &Arc<TestCa>, bundle: &[&Arc<TestCa>]) -> Arc<Self> {
        Arc::new(Self {
            replicas: Mutex::new(vec![replica(signer, bundle)]),
            asked: AtomicUsize::new(0),
            early: Semaphore::new(0),
        })
    }

    fn set(&self, signer: &Arc<TestCa>, bundle: &[&Arc<TestCa>]) {
        *self.replicas.lock() = vec![replica(signer, bundle)];
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl CertificateAuthority for RotatingCa {
    fn issue(&self, request: SigningRequest) -> BoxFuture<'_, Result<Issued, CaError>> {
        Box::pin(async move {
            let replica = {
                let replicas = self.replicas.lock();
                let turn = self.asked.fetch_add(1, Ordering::SeqCst);
                replicas[turn % replicas.len()].clone()
            };
            let is_early = request.id == id("early");
            let mut issued = replica.signer.file_ca().issue(request).await?;
            issued.roots = replica.bundle;
            if is_early {
                self.early.acquire().await.unwrap().forget();
            }
            Ok(issued)
        })
    }
}

/// One node of the mesh.
struct Node {
    store: Arc<Store>,
    task: JoinHandle<()>,
}

impl Node {
    fn new(ca: &Arc<RotatingCa>, time: &TestClock) -> Self {
        let config = Config {
            clock: time.clock(),
            ..Config::default()
        };
        let store = Store::new(Arc::<RotatingCa>::clone(ca), config);
        let task = tokio::spawn(Arc::clone(&store).run());
        Self { store, task }
    }

    async fn fetch(&self, name: &str) -> Arc<Credential> {
        timeout(DEADLINE, self.store.fetch(&id(name)))
            .await
            .expect("fetch must end")
            .unwrap()
    }

    /// A new certificate now, whatever is planned.
    async fn renew(&self, name: &str) -> Arc<Credential> {
        self.store.forget(&id(name));
        self.fetch(name).await
    }

    fn current(&self, name: &str) -> Arc<Credential> {
        self.store.current(&id(name)).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn authority(name: &str) -> Arc<TestCa> {
    Arc::new(TestCa::new(name))
}

fn meet(client: &Credential, server: &Credential) -> bool {
    let expected = [mesh::San::from(server.id())];
    handshake(client.client_config(&expected), server.server_config()).succeeded()
}

/// Both ways.
fn agree(a: &Credential, b: &Credential) -> bool {
    meet(a, b) && meet(b, a)
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

#[tokio::test]
async fn a_rotation_with_overlap_breaks_no_connection_whoever_renews_first() {
    let (old, new) = (authority("old"), authority("new"));
    let (ca, time) = (RotatingCa::new(&old, &[&old]), TestClock::new());
    let (left, right) = (Node::new(&ca, &time), Node::new(&ca, &time));
    let names = ["a", "b"];
    for name in names {
        left.fetch(name).await;
        right.fetch(name).await;
    }
    // First the new root is made known, then it signs, then the old one is dropped: each only after
    // everybody has renewed.
    for (signer, bundle) in [
        (&old, &[&old, &new][..]),
        (&new, &[&old, &new]),
        (&new, &[&new]),
    ] {
        ca.set(signer, bundle);
        for (node, name) in [(&left, "a"), (&right, "b"), (&right, "a"), (&left, "b")] {
            node.renew(name).await;
            for ours in names {
                for theirs in names {
                    assert!(
                        agree(&left.current(ours), &right.current(theirs)),
                        "after {name} was renewed: {ours} and {theirs}"
                    );
                }
            }
        }
    }
    assert_eq!(*left.current("a").roots(), [new.root()]);
}

#[tokio::test]
async fn a_root_that_one_identity_learns_is_believed_by_all_of_the_node() {
    let (old, new) = (authority("old"), authority("new"));
    let (ca, time) = (RotatingCa::new(&old, &[&old]), TestClock::new());
    let node = Node::new(&ca, &time);
    let (a, b) = (node.fetch("a").await, node.fetch("b").await);
    let both = super::Roots::new(&[old.root(), new.root()]).unwrap();
    let believes_both = super::Trust::new(None);
    believes_both.replace(&Arc::new(both));
    let stranger = new.credential_within(id("stranger"), &time.clock(), believes_both);
    let reaches = |server: &Credential| agree(&stranger, server);
    assert!(!reaches(&a) && !reaches(&b));

    ca.set(&old, &[&old, &new]);
    let renewed = node.renew("a").await;
    assert!(reaches(&renewed));
    assert!(Arc::ptr_eq(&b, &node.current("b")), "it was not renewed");
    assert!(reaches(&b), "but knows the new root");
    assert!(
        reaches(&a),
        "as does a credential that is no longer handed out"
    );
    assert_eq!(*b.roots(), [old.root(), new.root()]);
}

#[tokio::test]
async fn a_root_that_was_dropped_is_believed_by_no_credential() {
    let (old, new) = (authority("old"), authority("new"));
    let (ca, time) = (RotatingCa::new(&old, &[&old, &new]), TestClock::new());
    let node = Node::new(&ca, &time);
    let (a, b) = (node.fetch("a").await, node.fetch("b").await);
    let other = Node::new(&RotatingCa::new(&old, &[&old, &new]), &time);
    let peer = other.fetch("peer").await;
    assert!(agree(&peer, &a) && agree(&peer, &b));

    ca.set(&new, &[&new]);
    let renewed = node.renew("a").await;
    for ours in [&a, &b, &renewed] {
        assert!(
            !meet(&peer, ours),
            "a server believes what the authority said last"
        );
        assert!(!meet(ours, &peer), "and so does a client");
    }
}

#[tokio::test]
async fn before_the_first_answer_nobody_is_believed() {
    let ca = authority("root");
    let trust = super::Trust::new(None);
    let clock = TestClock::new().clock();
    let server = ca.credential_within(id("server"), &clock, trust);
    let client = ca.credential("client", &clock);
    let outcome = handshake(
        client.client_config(&sans(&["server"])),
        server.server_config(),
    );
    let error = outcome.server_error.expect("must be refused");
    let said = crate::PeerRefusal::from_tls(&error).unwrap();
    assert!(
        matches!(said, crate::PeerRefusal::UnknownIssuer { .. }),
        "{said:?}"
    );
}

#[tokio::test]
async fn without_overlap_what_the_new_bundle_does_not_cover_is_renewed_within_a_minute() {
    let (old, new) = (authority("old"), authority("new"));
    let (ca, time) = (RotatingCa::new(&old, &[&old]), TestClock::new());
    let node = Node::new(&ca, &time);
    node.store.retain(&id("b")).unwrap();
    let b = node.fetch("b").await;
    node.fetch("a").await;

    ca.set(&new, &[&new]);
    let a = node.renew("a").await;
    assert!(!agree(&a, &b), "no overlap, no connection");
    assert_eq!(ca.asked(), 3, "a certificate of a few seconds waits");

    time.advance(Duration::from_secs(60));
    node.store.retain(&id("wake")).unwrap();
    until("b is renewed", || {
        node.current("b").generation() > b.generation()
    })
    .await;
    assert!(agree(&a, &node.current("b")));
}

#[tokio::test]
async fn replicas_that_disagree_are_not_asked_in_a_circle() {
    let (old, new) = (authority("old"), authority("new"));
    let (ca, time) = (RotatingCa::new(&old, &[&old]), TestClock::new());
    *ca.replicas.lock() = vec![replica(&old, &[&old]), replica(&new, &[&new])];
    let node = Node::new(&ca, &time);
    for name in ["a", "b"] {
        node.store.retain(&id(name)).unwrap();
        node.fetch(name).await;
    }
    let minutes = 5;
    for minute in 1..=minutes {
        time.advance(Duration::from_secs(60));
        let name = format!("wake{minute}");
        node.fetch(&name).await;
        // Whatever the answers made due has been asked for by now, or waits for the next minute.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    // Each minute one new identity, and at most one renewal for each of those that exist.
    let most: usize = 2 + (1..=minutes).map(|minute| 2 + minute).sum::<usize>();
    assert!(
        ca.asked() <= most,
        "asked {} times, expected {most} at most",
        ca.asked()
    );
    assert!(
        ca.asked() > 2 + minutes,
        "those that are not covered are renewed"
    );
}

#[tokio::test]
async fn a_late_answer_to_an_earlier_request_does_not_bring_an_old_bundle_back() {
    let (old, new) = (authority("old"), authority("new"));
    let (ca, time) = (RotatingCa::new(&old, &[&old]), TestClock::new());
    let node = Node::new(&ca, &time);
    let keeper = node.fetch("keeper").await;

    // Two requests: the first gets the old bundle and takes long, the second gets the new one.
    let store = Arc::clone(&node.store);
    let early = tokio::spawn(async move { store.fetch(&id("early")).await.unwrap() });
    until("the first is asked", || ca.asked() == 2).await;
    ca.set(&old, &[&old, &new]);
    node.fetch("late").await;
    assert_eq!(*keeper.roots(), [old.root(), new.root()]);
    ca.early.add_permits(1);
    timeout(DEADLINE, early).await.unwrap().unwrap();
    assert_eq!(*keeper.roots(), [old.root(), new.root()]);
}

#[test]
fn roots_are_named_in_a_log_line_without_quotes() {
    let (first, second) = (TestCa::new("first"), TestCa::new("second"));
    let roots = crate::trust::Roots::new(&[first.root(), second.root()]).unwrap();
    assert_eq!(roots.to_string(), "O=Ambit, CN=first, O=Ambit, CN=second");
}
