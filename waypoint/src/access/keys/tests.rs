//! Keys, from hosts on loopback.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use grpc::Roots;
use jwt::{KeySet, Refusal};

use super::{
    Asker, FORGET, Issuer, Keys, MAX_ISSUERS, Reach, Source,
    attempts::{AGED, MAX_AGE, PAUSE, REFRESH},
    testkit::{Answer, Host, Signer, set, until},
};

const SECOND: Duration = Duration::from_secs(1);
/// Of a host that answers.
const PATIENCE: Duration = Duration::from_secs(20);
/// Of one that does not.
const SHORT: Duration = Duration::from_millis(50);

fn at(now: Instant) -> Asker<'static> {
    Asker {
        proxy: None,
        timeout: PATIENCE,
        now,
    }
}

fn issuer(uri: &str) -> Arc<Issuer> {
    let keys = Keys::new(Roots::System, Reach::Own);
    let source = Source::Uri(uri.to_owned());
    keys.issuer(&source, net::clock::now()).unwrap()
}

fn keys_of(signers: &[&str]) -> Answer {
    let signers: Vec<Signer> = signers.iter().map(|id| Signer::new(id)).collect();
    Answer::ok(set(&signers.iter().collect::<Vec<_>>()))
}

async fn refused(answer: Answer) -> Refusal {
    let host = Host::start(answer).await;
    let issuer = issuer(&host.uri("/"));
    issuer.keys(at(net::clock::now())).await.unwrap_err()
}

#[tokio::test]
async fn all_that_ask_at_once_share_one_fetch_and_its_keys() {
    let host = Host::start(keys_of(&["a", "b"])).await;
    let held = host.hold();
    let issuer = issuer(&host.uri("/keys?x=1"));
    let now = net::clock::now();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let issuer = Arc::clone(&issuer);
        asking.spawn(async move { issuer.keys(at(now)).await.unwrap() });
    }
    host.reach(1).await;
    held.add_permits(1);
    let all: Vec<Arc<KeySet>> = asking.join_all().await;
    assert!(all.iter().all(|keys| Arc::ptr_eq(keys, &all[0])));
    assert_eq!(all[0].len(), 2);
    assert_eq!(host.asked(), 1);
    assert_eq!(host.paths(), ["/keys?x=1"]);
    // Until they are a third of an hour old.
    issuer.keys(at(now + REFRESH - SECOND)).await.unwrap();
    assert_eq!(host.asked(), 1);
}

#[tokio::test]
async fn keys_that_get_old_are_used_while_new_ones_are_fetched() {
    let host = Host::start(keys_of(&["old"])).await;
    let issuer = issuer(&host.uri("/"));
    let now = net::clock::now();
    let old = issuer.keys(at(now)).await.unwrap();
    let held = host.hold();
    host.says(keys_of(&["new", "newer"]));
    let later = now + REFRESH + SECOND;
    for _ in 0..3 {
        let meanwhile = issuer.keys(at(later)).await.unwrap();
        assert!(Arc::ptr_eq(&old, &meanwhile));
    }
    host.reach(2).await;
    held.add_permits(1);
    until(|| issuer.newest().unwrap().len() == 2).await;
    assert_eq!(host.asked(), 2);
}

#[tokio::test]
async fn keys_that_nobody_asked_for_in_a_while_are_fetched_before_they_are_used() {
    let host = Host::start(keys_of(&["old"])).await;
    let issuer = issuer(&host.uri("/"));
    let now = net::clock::now();
    issuer.keys(at(now)).await.unwrap();
    host.says(keys_of(&["new", "newer"]));
    let keys = issuer.keys(at(now + AGED + SECOND)).await.unwrap();
    assert_eq!(keys.len(), 2);
}

#[tokio::test]
async fn good_keys_outlive_their_host_for_a_day_and_no_longer() {
    let host = Host::start(keys_of(&["old"])).await;
    let issuer = issuer(&host.uri("/"));
    let now = net::clock::now();
    let old = issuer.keys(at(now)).await.unwrap();
    for answer in [
        Answer::status(503),
        Answer::ok("<html>"),
        Answer::ok(r#"{"keys":[]}"#),
    ] {
        host.says(answer);
        let asked = host.asked();
        let kept = issuer.keys(at(now + AGED + PAUSE)).await.unwrap();
        assert!(Arc::ptr_eq(&old, &kept));
        // The first waits for the answer, later ones know that the host fails.
        host.reach((asked + 1).min(2)).await;
    }
    let kept = issuer.keys(at(now + MAX_AGE - SECOND)).await.unwrap();
    assert!(Arc::ptr_eq(&old, &kept));
    host.says(Answer::status(500));
    let refused = issuer.keys(at(now + MAX_AGE + SECOND)).await;
    assert_eq!(refused.unwrap_err(), Refusal::Fetch);
}

#[tokio::test]
async fn a_host_that_is_down_is_asked_seldom_and_found_when_it_is_back() {
    let host = Host::start(Answer::status(500)).await;
    let issuer = issuer(&host.uri("/"));
    let now = net::clock::now();
    for _ in 0..20 {
        let refused = issuer.keys(at(now)).await.unwrap_err();
        assert_eq!(refused.to_string(), "Jwks remote fetch is failed");
    }
    assert_eq!(host.asked(), 1);
    host.says(keys_of(&["a"]));
    // Longer than the longest first wait.
    issuer.keys(at(now + 3 * SECOND)).await.unwrap();
    assert_eq!(host.asked(), 2);
}

#[tokio::test]
async fn nobody_waits_longer_than_its_policy_says() {
    let host = Host::start(keys_of(&["a"])).await;
    let _held = host.hold();
    let issuer = issuer(&host.uri("/"));
    let now = net::clock::now();
    let asker = Asker {
        timeout: SHORT,
        ..at(now)
    };
    assert_eq!(issuer.keys(asker).await.unwrap_err(), Refusal::Fetch);
    // Somebody who swallows everything.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = self::issuer(&format!("https://{}/", listener.local_addr().unwrap()));
    assert_eq!(silent.keys(asker).await.unwrap_err(), Refusal::Fetch);
}

#[tokio::test]
async fn an_answer_that_is_no_key_set_is_said_so() {
    let long = "x".repeat(jwt::MAX_SET_BYTES + 1);
    let cases = [
        (Answer::status(404), Refusal::Fetch),
        (Answer::status(204), Refusal::Fetch),
        (Answer::ok(long), Refusal::Fetch),
        (Answer::ok("<html>"), Refusal::KeysJson),
        (Answer::ok("{}"), Refusal::KeysMissing),
        (Answer::ok(r#"{"keys":1}"#), Refusal::KeysNoList),
        (
            Answer::ok(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#),
            Refusal::NoValidKeys,
        ),
    ];
    for (answer, refusal) in cases {
        assert_eq!(refused(answer).await, refusal);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Host::start(keys_of(&["a"])).await;
    let redirect = Answer {
        location: Some(other.uri("/")),
        ..Answer::status(302)
    };
    assert_eq!(refused(redirect).await, Refusal::Fetch);
    assert_eq!(other.asked(), 0);
}

#[tokio::test]
async fn addresses_that_are_none_and_hosts_that_are_nowhere_are_refused() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = format!("http://{nobody}/");
    let addresses = [
        "file:///etc/passwd",
        "/keys",
        "http://",
        "ftp://host/keys",
        "http://user@127.0.0.1/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/",
        // Where clouds tell a machine its secrets.
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::169.254.169.254]/",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
        "http://0.0.0.0:15000/",
        // As the system's resolver reads it.
        "http://2852039166/",
        &nobody,
    ];
    for address in addresses {
        let refused = issuer(address).keys(at(net::clock::now())).await;
        assert_eq!(refused.unwrap_err(), Refusal::Fetch, "{address}");
    }
}

#[tokio::test]
async fn the_waypoint_itself_is_not_asked_for_keys_under_any_name() {
    let host = Host::start(keys_of(&["a"])).await;
    let port = host.address.port();
    let (secure, root) = Host::start_tls(keys_of(&["a"]), &rustls::version::TLS13).await;
    for address in [
        host.uri("/"),
        format!("http://localhost:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://[::ffff:7f00:1]:{port}/"),
        format!("https://localhost:{}/", secure.address.port()),
    ] {
        let keys = Keys::new(Roots::Pem(root.clone()), Reach::Others);
        let issuer = keys.issuer(&Source::Uri(address.clone()), net::clock::now());
        let refused = issuer.unwrap().keys(at(net::clock::now())).await;
        assert_eq!(refused.unwrap_err(), Refusal::Fetch, "{address}");
    }
    assert_eq!((host.asked(), secure.asked()), (0, 0));
}

#[tokio::test]
async fn a_document_does_not_lead_where_an_address_in_a_policy_could_not() {
    let host = Host::start(keys_of(&["a"])).await;
    let document = Host::start(Answer::status(500)).await;
    let name = document.uri("/realm");
    // What the document names is looked at like what a policy names; 0.0.0.0 is this host, too.
    let uri = format!("http://0.0.0.0:{}/", host.address.port());
    document.says(Answer::ok(format!(
        r#"{{"issuer":"{name}","jwks_uri":"{uri}"}}"#
    )));
    let keys = Keys::new(Roots::System, Reach::Own);
    let issuer = keys.issuer(&Source::Discovery(name), net::clock::now());
    let refused = issuer.unwrap().keys(at(net::clock::now())).await;
    assert_eq!(refused.unwrap_err(), Refusal::Fetch);
    assert_eq!((document.asked(), host.asked()), (1, 0));
}

#[tokio::test]
async fn a_new_key_is_found_at_once_and_made_up_names_do_not_ask_again() {
    let host = Host::start(keys_of(&["old"])).await;
    let issuer = issuer(&host.uri("/"));
    let now = net::clock::now();
    let old = issuer.keys(at(now)).await.unwrap();
    host.says(keys_of(&["old", "new"]));
    // Within the pause: whoever makes up names asks for nothing.
    for _ in 0..20 {
        assert!(issuer.newer(&old, at(now)).await.is_none());
    }
    assert_eq!(host.asked(), 1);
    let later = now + PAUSE + SECOND;
    let new = issuer.newer(&old, at(later)).await.unwrap();
    assert_eq!(new.len(), 2);
    // Who still holds the old ones gets them without a question.
    let same = issuer.newer(&old, at(later)).await.unwrap();
    assert!(Arc::ptr_eq(&new, &same));
    assert!(issuer.newer(&new, at(later)).await.is_none());
    assert_eq!(host.asked(), 2);
}

#[tokio::test]
async fn a_fetch_outlives_the_request_that_asked_for_it() {
    let host = Host::start(keys_of(&["a"])).await;
    let held = host.hold();
    let issuer = issuer(&host.uri("/"));
    let now = net::clock::now();
    let asking = tokio::spawn({
        let issuer = Arc::clone(&issuer);
        async move { issuer.keys(at(now)).await }
    });
    host.reach(1).await;
    asking.abort();
    held.add_permits(1);
    until(|| issuer.newest().is_some()).await;
    assert_eq!(host.asked(), 1);
}

#[tokio::test]
async fn a_fetch_that_ends_with_its_worker_leaves_its_place() {
    let host = Host::start(keys_of(&["a"])).await;
    let held = host.hold();
    let issuer = issuer(&host.uri("/"));
    let now = net::clock::now();
    let workers = net::Workers::start(std::num::NonZeroUsize::MIN).unwrap();
    let begun = Arc::clone(&issuer);
    drop(
        workers
            .nth(0)
            .spawn(async move { begun.keys(at(now)).await }),
    );
    host.reach(1).await;
    drop(workers);
    held.add_permits(2);
    // The thread ends when it comes to it: until then its fetch is still the one that runs.
    let asking = async {
        loop {
            match issuer.keys(at(now)).await {
                Ok(keys) => return keys,
                Err(refusal) => assert_eq!(refusal, Refusal::Fetch),
            }
        }
    };
    let keys = tokio::time::timeout(PATIENCE, asking).await.unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(host.asked(), 2);
}

#[tokio::test]
async fn an_issuer_that_only_says_who_it_is_is_asked_for_its_keys() {
    let host = Host::start(keys_of(&["a"])).await;
    let document = Host::start(Answer::status(500)).await;
    let name = document.uri("/realm");
    let says = |issuer: &str| {
        Answer::ok(format!(
            r#"{{"issuer":"{issuer}","jwks_uri":"{}"}}"#,
            host.uri("/k")
        ))
    };
    let ask = |name: &str| {
        let keys = Keys::new(Roots::System, Reach::Own);
        let source = Source::Discovery(name.to_owned());
        let issuer = keys.issuer(&source, net::clock::now()).unwrap();
        async move { issuer.keys(at(net::clock::now())).await }
    };
    document.says(says(&name));
    assert_eq!(ask(&name).await.unwrap().len(), 1);
    assert_eq!(
        document.paths(),
        ["/realm/.well-known/openid-configuration"]
    );
    assert_eq!(host.paths(), ["/k"]);
    // One slash, whether or not the issuer ends in one.
    let slashed = format!("{name}/");
    document.says(says(&slashed));
    ask(&slashed).await.unwrap();
    assert_eq!(
        document.paths()[1],
        "/realm/.well-known/openid-configuration"
    );
    // A document of somebody else.
    document.says(says("https://other.example"));
    assert_eq!(ask(&name).await.unwrap_err(), Refusal::Fetch);
    assert_eq!(host.asked(), 2);
}

#[tokio::test]
async fn a_host_with_tls_must_be_believed() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let (host, root) = Host::start_tls(keys_of(&["a"]), version).await;
        let port = host.address.port();
        let ask = |roots: Roots, name: &str| {
            let source = Source::Uri(format!("https://{name}:{port}/keys"));
            let issuer = Keys::new(roots, Reach::Own)
                .issuer(&source, net::clock::now())
                .unwrap();
            async move { issuer.keys(at(net::clock::now())).await }
        };
        let believed = ask(Roots::Pem(root.clone()), "localhost").await;
        assert_eq!(believed.unwrap().len(), 1);
        assert_eq!(host.asked(), 1);
        // The system does not know it; it has another name; another root.
        let (_, other) = Host::start_tls(keys_of(&["b"]), version).await;
        for (roots, name) in [
            (Roots::System, "localhost"),
            (Roots::Pem(root.clone()), "127.0.0.1"),
            (Roots::Pem(other), "localhost"),
        ] {
            assert_eq!(ask(roots, name).await.unwrap_err(), Refusal::Fetch);
        }
        assert_eq!(host.asked(), 1);
    }
}

#[test]
fn an_issuer_is_shared_while_somebody_names_it_and_forgotten_afterwards() {
    let keys = Keys::new(Roots::System, Reach::Own);
    let now = net::clock::now();
    let source = |number: usize| Source::Uri(format!("http://host/{number}"));
    let held = keys.issuer(&source(0), now).unwrap();
    assert!(Arc::ptr_eq(&held, &keys.issuer(&source(0), now).unwrap()));
    let other = Source::Discovery("http://host/0".to_owned());
    assert!(!Arc::ptr_eq(&held, &keys.issuer(&other, now).unwrap()));
    for number in 2..MAX_ISSUERS {
        assert!(keys.issuer(&source(number), now).is_some());
    }
    assert!(keys.issuer(&source(MAX_ISSUERS), now).is_none());
    // An hour later nobody but the first is held.
    assert!(keys.issuer(&source(MAX_ISSUERS), now + FORGET).is_some());
    assert_eq!(keys.issuers.lock().len(), 2);
    assert!(Arc::ptr_eq(&held, &keys.issuer(&source(0), now).unwrap()));
}
