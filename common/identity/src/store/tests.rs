//! Rotation, failure and sharing, at chosen times, with an authority that can be told to wait or fail.

use std::{sync::Arc, thread, time::Duration};

use tokio::{runtime, task::JoinHandle, time::timeout};

use super::{Config, Error, MAX_IDENTITIES, Phase, Store};
use crate::{
    Credential,
    testkit::{START, ScriptedCa, TestCa, TestClock, at, handshake, id, sans},
};

const DAY: Duration = Duration::from_secs(86_400);

/// How long a condition is waited for before a test fails.
const DEADLINE: Duration = Duration::from_secs(10);

struct World {
    ca: Arc<ScriptedCa>,
    time: TestClock,
    store: Arc<Store>,
    task: JoinHandle<()>,
}

fn store(ca: &Arc<ScriptedCa>, time: &TestClock) -> Arc<Store> {
    let authority: Arc<dyn crate::CertificateAuthority> = Arc::<ScriptedCa>::clone(ca);
    Store::new(
        authority,
        Config {
            clock: time.clock(),
            ..Config::default()
        },
    )
}

fn world(ca: Arc<ScriptedCa>) -> World {
    let time = TestClock::new();
    let store = store(&ca, &time);
    let task = tokio::spawn(Arc::clone(&store).run());
    World {
        ca,
        time,
        store,
        task,
    }
}

impl World {
    async fn fetch(&self, name: &str) -> Result<Arc<Credential>, Error> {
        timeout(DEADLINE, self.store.fetch(&id(name)))
            .await
            .expect("fetch must end")
    }

    /// Moves the clock and waits until what became due has been answered.
    async fn advance_and_settle(&self, name: &str, by: Duration) {
        let entry = Arc::clone(self.store.entries.load().get(&id(name)).unwrap());
        let mut progress = entry.progress.subscribe();
        let seen = progress.borrow_and_update().attempts;
        self.time.advance(by);
        self.store.wake.notify_one();
        timeout(
            DEADLINE,
            progress.wait_for(|p| p.attempts > seen || p.forgotten),
        )
        .await
        .unwrap()
        .unwrap();
    }

    fn state(&self, name: &str) -> String {
        let dump = self.store.dump();
        dump.iter()
            .find(|d| d.identity == id(name).to_string())
            .map_or("absent".into(), |d| d.state.clone())
    }
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
async fn the_first_fetch_issues_and_the_next_ones_share() {
    let world = world(ScriptedCa::new(&TestCa::new("root")));
    assert!(world.store.current(&id("a")).is_none());
    let first = world.fetch("a").await.unwrap();
    let second = world.fetch("a").await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&first, &world.store.current(&id("a")).unwrap()));
    assert_eq!(first.id(), &id("a"));
    assert_eq!(first.not_after(), at(START + 86_400));
    assert_eq!(world.ca.asked(), 1);
    assert_ne!(
        world.fetch("b").await.unwrap().generation(),
        first.generation()
    );
    assert_eq!(world.ca.asked(), 2);
}

#[tokio::test]
async fn concurrent_fetches_are_one_request() {
    let world = world(ScriptedCa::closed(&TestCa::new("root"), 0));
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let store = Arc::clone(&world.store);
            tokio::spawn(async move { store.fetch(&id("a")).await.unwrap().generation() })
        })
        .collect();
    until("the authority is asked", || world.ca.asked() == 1).await;
    assert_eq!(world.state("a"), "Initializing");
    world.ca.gate.add_permits(100);
    let mut generations = Vec::new();
    for task in waiting {
        generations.push(timeout(DEADLINE, task).await.unwrap().unwrap());
    }
    generations.dedup();
    assert_eq!((generations.len(), world.ca.asked()), (1, 1));
}

#[test]
fn fetch_works_from_other_threads_with_their_own_runtimes() {
    let ca = ScriptedCa::new(&TestCa::new("root"));
    let time = TestClock::new();
    let store = store(&ca, &time);
    let local = || {
        runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                local().block_on(async {
                    let name = format!("n{}", worker % 2);
                    timeout(DEADLINE, store.fetch(&id(&name)))
                        .await
                        .unwrap()
                        .unwrap()
                        .generation()
                })
            })
        })
        .collect();
    // The task starts after the callers do, on a runtime of its own.
    let control = local();
    let task = control.spawn(Arc::clone(&store).run());
    control.block_on(until("all workers are served", || {
        workers.iter().all(thread::JoinHandle::is_finished)
    }));
    let generations: Vec<u64> = workers
        .into_iter()
        .map(|worker| worker.join().unwrap())
        .collect();
    assert_eq!(generations[0], generations[2]);
    assert_eq!(generations[1], generations[3]);
    assert_eq!(ca.asked(), 2);
    task.abort();
}

#[tokio::test]
async fn after_half_of_its_life_a_credential_is_renewed_and_the_old_one_stays_usable() {
    let world = world(ScriptedCa::new(&TestCa::new("root")));
    let old = world.fetch("client").await.unwrap();
    let server = world.fetch("server").await.unwrap();
    let before = handshake(
        old.client_config(&sans(&["server"])),
        server.server_config(),
    );
    assert!(before.succeeded());

    world.time.advance(DAY / 2 - Duration::from_secs(1));
    assert!(
        Arc::ptr_eq(&old, &world.fetch("client").await.unwrap()),
        "not a second early"
    );
    world
        .advance_and_settle("client", Duration::from_secs(1))
        .await;
    let new = world.fetch("client").await.unwrap();
    assert!(new.generation() > old.generation());
    assert_eq!(new.not_after(), at(START + 86_400 + 43_200));

    let after = handshake(
        old.client_config(&sans(&["server"])),
        server.server_config(),
    );
    assert!(
        after.succeeded(),
        "who still holds the old one can use it until it ends"
    );
    assert!(
        handshake(
            new.client_config(&sans(&["server"])),
            server.server_config()
        )
        .succeeded()
    );
}

#[tokio::test]
async fn while_the_authority_is_down_the_old_credential_is_used_until_it_ends() {
    let world = world(ScriptedCa::new(&TestCa::new("root")));
    let old = world.fetch("a").await.unwrap();
    world.ca.set_down(true);
    world.advance_and_settle("a", DAY / 2).await;
    assert!(Arc::ptr_eq(&old, &world.fetch("a").await.unwrap()));
    assert_eq!(world.state("a"), "Available");

    world
        .advance_and_settle("a", DAY / 2 - Duration::from_secs(1))
        .await;
    assert!(
        Arc::ptr_eq(&old, &world.fetch("a").await.unwrap()),
        "one second is left"
    );

    world
        .advance_and_settle("a", Duration::from_secs(200))
        .await;
    assert!(world.store.current(&id("a")).is_none());
    let error = world.fetch("a").await.unwrap_err();
    assert!(matches!(error, Error::Authority { .. }), "{error:?}");
    let reason = "certificate authority signed nothing for spiffe://cluster.local/ns/default/sa/a: the test refused: told to";
    assert_eq!(error.chain(), reason);
    assert_eq!(world.state("a"), format!("Unavailable: {reason}"));

    world.ca.set_down(false);
    world
        .advance_and_settle("a", Duration::from_secs(200))
        .await;
    assert!(world.fetch("a").await.unwrap().generation() > old.generation());
    assert_eq!(world.state("a"), "Available");
}

#[tokio::test]
async fn a_caller_gets_the_error_at_once_and_the_authority_is_spared_while_backing_off() {
    let world = world(ScriptedCa::new(&TestCa::new("root")));
    world.ca.set_down(true);
    assert!(matches!(
        world.fetch("a").await,
        Err(Error::Authority { .. })
    ));
    for _ in 0..20 {
        assert!(matches!(
            world.fetch("a").await,
            Err(Error::Authority { .. })
        ));
    }
    assert_eq!(world.ca.asked(), 1);
    world.advance_and_settle("a", Duration::from_secs(2)).await;
    assert_eq!(
        world.ca.asked(),
        2,
        "the background tries again after a second or so"
    );
    world.time.advance(Duration::from_secs(1));
    assert!(matches!(
        world.fetch("a").await,
        Err(Error::Authority { .. })
    ));
    assert_eq!(world.ca.asked(), 2, "the second wait is longer");
    world.ca.set_down(false);
    world.advance_and_settle("a", Duration::from_secs(2)).await;
    assert!(world.fetch("a").await.is_ok());
}

#[tokio::test]
async fn a_forgotten_identity_is_neither_renewed_nor_shown() {
    let world = world(ScriptedCa::new(&TestCa::new("root")));
    let held = world.fetch("a").await.unwrap();
    world.store.forget(&id("a"));
    assert!(world.store.current(&id("a")).is_none());
    assert_eq!(world.store.dump(), []);
    assert!(
        held.is_valid_at(world.time.now()),
        "connections keep theirs"
    );
    assert_ne!(
        world.fetch("a").await.unwrap().generation(),
        held.generation(),
        "a new pod gets a new one"
    );
}

#[tokio::test]
async fn whoever_waits_for_a_forgotten_identity_is_told() {
    let world = world(ScriptedCa::closed(&TestCa::new("root"), 0));
    let store = Arc::clone(&world.store);
    let waiting = tokio::spawn(async move { store.fetch(&id("a")).await });
    until("the authority is asked", || world.ca.asked() == 1).await;
    world.store.forget(&id("a"));
    assert!(matches!(
        timeout(DEADLINE, waiting).await.unwrap().unwrap(),
        Err(Error::Forgotten { .. })
    ));
    world.ca.gate.add_permits(100);
    world.fetch("b").await.unwrap();
    assert!(
        world.store.current(&id("a")).is_none(),
        "the late answer is dropped"
    );
}

#[tokio::test]
async fn pods_of_one_service_account_hold_its_identity_together() {
    let world = world(ScriptedCa::new(&TestCa::new("root")));
    world.store.retain(&id("a")).unwrap();
    world.store.retain(&id("a")).unwrap();
    until("the certificate is there before anybody asks", || {
        world.store.current(&id("a")).is_some()
    })
    .await;
    world.store.release(&id("a"));
    assert_eq!(world.state("a"), "Available");
    world.store.release(&id("a"));
    assert_eq!(world.state("a"), "absent");
    world.store.release(&id("a"));
    assert_eq!(world.ca.asked(), 1);
}

#[tokio::test]
async fn what_a_pod_holds_is_renewed_unused_and_what_nobody_holds_is_dropped() {
    let world = world(ScriptedCa::new(&TestCa::new("root")));
    world.store.retain(&id("held")).unwrap();
    world.fetch("loose").await.unwrap();
    until("both are there", || {
        world.ca.asked() == 2 && world.store.current(&id("held")).is_some()
    })
    .await;
    // The fetch itself was a use: the first renewal happens, the second does not.
    world.advance_and_settle("loose", DAY / 2).await;
    until("both are renewed", || world.ca.asked() == 4).await;
    world.advance_and_settle("loose", DAY / 2).await;
    assert_eq!(world.state("loose"), "absent");
    until("the held one is renewed", || world.ca.asked() == 5).await;
    assert_eq!(world.state("held"), "Available");
}

#[tokio::test]
async fn a_connection_that_waits_is_served_before_pods_that_arrived() {
    let world = world(ScriptedCa::closed(&TestCa::new("root"), 0));
    for pod in 0..super::MAX_IN_FLIGHT + 5 {
        world.store.retain(&id(&format!("pod{pod}"))).unwrap();
    }
    until("the authority is as busy as it may be", || {
        world.ca.asked() == super::MAX_IN_FLIGHT
    })
    .await;
    let store = Arc::clone(&world.store);
    let waiting = tokio::spawn(async move { store.fetch(&id("urgent")).await });
    until("it is known", || world.state("urgent") == "Initializing").await;
    // One answer makes room for one request, and one more answer serves it or another.
    world.ca.gate.add_permits(1);
    until("one more is asked for", || {
        world.ca.asked() == super::MAX_IN_FLIGHT + 1
    })
    .await;
    world.ca.gate.add_permits(super::MAX_IN_FLIGHT);
    timeout(DEADLINE, waiting).await.unwrap().unwrap().unwrap();
    assert!(
        world.ca.asked() <= 2 * super::MAX_IN_FLIGHT + 1,
        "asked {}",
        world.ca.asked()
    );
}

#[tokio::test]
async fn a_node_holds_a_bounded_number_of_identities() {
    let ca = ScriptedCa::new(&TestCa::new("root"));
    let store = store(&ca, &TestClock::new());
    let mut entries = std::collections::HashMap::new();
    for i in 0..MAX_IDENTITIES {
        let id = id(&format!("n{i}"));
        entries.insert(id.clone(), Arc::new(super::Entry::new(id, at(START))));
    }
    store.entries.store(Arc::new(entries));
    assert!(matches!(
        store.fetch(&id("one-more")).await,
        Err(Error::TooManyIdentities { .. })
    ));
    assert!(matches!(
        store.retain(&id("one-more")),
        Err(Error::TooManyIdentities { .. })
    ));
    store.forget(&id("n0"));
    assert!(store.retain(&id("one-more")).is_ok());
}

#[tokio::test]
async fn when_the_task_is_stopped_callers_are_told_and_a_new_task_goes_on() {
    let world = world(ScriptedCa::closed(&TestCa::new("root"), 0));
    let store = Arc::clone(&world.store);
    let waiting = tokio::spawn(async move { store.fetch(&id("a")).await });
    until("the authority is asked", || world.ca.asked() == 1).await;
    world.task.abort();
    assert!(matches!(
        timeout(DEADLINE, waiting).await.unwrap().unwrap(),
        Err(Error::Stopped)
    ));
    assert!(matches!(world.fetch("a").await, Err(Error::Stopped)));

    let again = tokio::spawn(Arc::clone(&world.store).run());
    until("it runs", || *world.store.phase.borrow() == Phase::Running).await;
    world.ca.gate.add_permits(100);
    assert!(world.fetch("a").await.is_ok());
    timeout(DEADLINE, Arc::clone(&world.store).run())
        .await
        .expect("a second task ends itself");
    assert!(
        world.fetch("b").await.is_ok(),
        "and does not stop the first"
    );
    again.abort();
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_what_there_is() {
    let world = world(ScriptedCa::new(&TestCa::new("root")));
    let first = world.fetch("a").await.unwrap();
    world.time.set(START - 3600);
    assert!(Arc::ptr_eq(&first, &world.fetch("a").await.unwrap()));
}

#[tokio::test]
async fn the_dump_shows_what_config_dump_promises() {
    let world = world(ScriptedCa::new(&TestCa::new("root")));
    let credential = world.fetch("b").await.unwrap();
    world.ca.set_down(true);
    world.fetch("a").await.unwrap_err();
    let dump = serde_json::to_value(world.store.dump()).unwrap();

    assert_eq!(
        dump[0]["identity"],
        "spiffe://cluster.local/ns/default/sa/a"
    );
    assert!(
        dump[0]["state"]
            .as_str()
            .unwrap()
            .starts_with("Unavailable: "),
        "{dump}"
    );
    assert_eq!(dump[0]["certChain"], serde_json::json!([]));

    assert_eq!(
        dump[1]["identity"],
        "spiffe://cluster.local/ns/default/sa/b"
    );
    assert_eq!(dump[1]["state"], "Available");
    let leaf = &dump[1]["certChain"][0];
    assert_eq!(leaf["validFrom"], "2026-11-22T04:58:00Z");
    assert_eq!(leaf["expirationTime"], "2026-11-23T05:00:00Z");
    let parsed = crate::x509::parse(&credential.chain()[0]).unwrap();
    let serial = parsed
        .raw_serial()
        .iter()
        .fold(0u128, |number, byte| number << 8 | u128::from(*byte));
    assert_eq!(leaf["serialNumber"], serial.to_string());
    let pem = crate::pem::encode("CERTIFICATE", &credential.chain()[0]);
    assert_eq!(leaf["pem"], crate::pem::base64(pem.as_bytes()));
    assert_eq!(dump[1]["rootCerts"].as_array().unwrap().len(), 1);
}
