//! Against an authority on a port of this machine: what it is asked, and what it may answer.

use std::{error::Error as _, sync::Arc, time::Duration};

use prost_types::value::Kind;
use tokio::time::timeout;
use tonic::{Code, Status};

use super::{BadAnswer, RemoteCa, answer::parse};
use crate::{
    AnswerError, CaError, CertificateAuthority as _, Config, Credential, Error, FileCa,
    SigningRequest, Store,
    key::KeyRequest,
    pem,
    testkit::{TestCa, TestClock, ca_params, handshake, id, sans, uri},
};

mod server;

use server::{Server, Turn};

/// How long a condition is waited for before a test fails.
const DEADLINE: Duration = Duration::from_secs(20);

fn config() -> Config {
    Config {
        clock: TestClock::new().clock(),
        ..Config::default()
    }
}

async fn issue(ca: &RemoteCa, name: &str) -> Result<Credential, Error> {
    timeout(DEADLINE, Credential::issue(ca, &id(name), &config()))
        .await
        .expect("an answer or an error must come")
}

/// What the authority's answer, changed by `change`, comes to.
async fn said(change: impl FnOnce(Vec<String>) -> Vec<String> + Send + 'static) -> Error {
    let server = Server::start(TestCa::new("root").file_ca()).await;
    server.then(Turn::Say(Box::new(change)));
    issue(&RemoteCa::new(server.endpoint()), "a")
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_pod_gets_its_certificate_and_its_peers_believe_it() {
    let root = TestCa::new("root");
    let server = Server::start(root.file_ca()).await;
    let ca = RemoteCa::new(server.endpoint());
    let client = issue(&ca, "client").await.unwrap();
    let peer = issue(&ca, "server").await.unwrap();
    let config = client.client_config(&sans(&["server"]));
    assert!(handshake(config, peer.server_config()).succeeded());
    assert_eq!(*client.roots(), [root.root()]);

    let seen = server.authority.seen.lock();
    let (token, request) = &seen[0];
    assert_eq!(*token, None);
    assert_eq!(request.validity_duration, 86_400);
    assert!(
        request
            .csr
            .starts_with("-----BEGIN CERTIFICATE REQUEST-----\n")
    );
    let metadata = request.metadata.clone().unwrap().fields;
    assert_eq!(metadata.len(), 1);
    assert_eq!(
        metadata["ImpersonatedIdentity"].kind,
        Some(Kind::StringValue(id("client").to_string()))
    );
}

#[tokio::test]
async fn who_asks_for_itself_names_nobody() {
    let server = Server::start(TestCa::new("root").file_ca()).await;
    *server.authority.caller.lock() = Some(id("waypoint"));
    let ca = RemoteCa::new(server.endpoint()).with_own(id("waypoint"));
    let own = issue(&ca, "waypoint").await.unwrap();
    assert_eq!(*own.id(), id("waypoint"));
    issue(&ca, "other").await.unwrap();
    let seen = server.authority.seen.lock();
    let named: Vec<bool> = seen
        .iter()
        .map(|(_, request)| request.metadata.is_some())
        .collect();
    assert_eq!(named, [false, true]);
}

#[tokio::test]
async fn requests_at_once_share_one_connection() {
    let server = Server::start(TestCa::new("root").file_ca()).await;
    let store = Store::new(Arc::new(RemoteCa::new(server.endpoint())), config());
    let task = tokio::spawn(Arc::clone(&store).run());
    let names: Vec<_> = (0..40).map(|n| id(&format!("pod{n}"))).collect();
    let fetched = futures_util::future::join_all(names.iter().map(|id| store.fetch(id)));
    for credential in timeout(DEADLINE, fetched).await.unwrap() {
        credential.unwrap();
    }
    assert_eq!(*server.accepted.borrow(), 1);
    task.abort();
}

#[tokio::test]
async fn intermediates_are_understood_however_they_are_packed() {
    let root = TestCa::new("root");
    let (upper, lower) = {
        let upper = root.intermediate(ca_params("upper"));
        let lower = upper.intermediate(ca_params("lower"));
        (upper, lower)
    };
    let bundle = lower.cert_pem() + &upper.cert_pem() + &root.cert_pem();
    let signer = || FileCa::from_pem(&bundle, &lower.key_pem(), TestClock::new().now()).unwrap();
    let packings: [fn(Vec<String>) -> Vec<String>; 4] = [
        |one_each| one_each,
        |texts| {
            vec![
                texts[0].clone(),
                texts[1..texts.len() - 1].concat(),
                texts[texts.len() - 1].clone(),
            ]
        },
        |texts| {
            vec![
                texts[..texts.len() - 1].concat(),
                texts[texts.len() - 1].clone(),
            ]
        },
        // With an empty text, and the root in the chain too.
        |texts| {
            let root = texts[texts.len() - 1].clone();
            [
                texts[..texts.len() - 1].to_vec(),
                vec![String::new(), root.clone(), root],
            ]
            .concat()
        },
    ];
    for (number, packing) in packings.into_iter().enumerate() {
        let server = Server::start(signer()).await;
        server.then(Turn::Say(Box::new(packing)));
        let credential = issue(&RemoteCa::new(server.endpoint()), "a").await.unwrap();
        let (count, roots) = (credential.chain().len(), credential.roots());
        assert_eq!(count, if number == 3 { 4 } else { 3 }, "packing {number}");
        assert_eq!(*roots, [root.root()]);
    }
}

#[tokio::test]
async fn a_bundle_of_several_roots_is_believed_whole() {
    let (root, other) = (TestCa::new("root"), TestCa::new("other"));
    let more = other.cert_pem();
    let server = Server::start(root.file_ca()).await;
    server.then(Turn::Say(Box::new(move |mut texts| {
        texts.last_mut().unwrap().push_str(&more);
        texts
    })));
    let credential = issue(&RemoteCa::new(server.endpoint()), "a").await.unwrap();
    assert_eq!(*credential.roots(), [root.root(), other.root()]);
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused() {
    let root = TestCa::new("root");
    let other = root.leaf(
        vec![uri("spiffe://cluster.local/ns/kube-system/sa/admin")],
        |_| {},
    );
    let other = pem::encode("CERTIFICATE", &other.chain()[0]);
    let server = Server::start(root.file_ca()).await;
    server.then(Turn::Say(Box::new(move |mut texts| {
        texts[0] = other;
        texts
    })));
    let error = issue(&RemoteCa::new(server.endpoint()), "a")
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Answer { source, .. }
            if matches!(&**source, AnswerError::Name { found, .. } if found.ends_with("/sa/admin"))),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_refusal_carries_the_words_of_the_authority() {
    let server = Server::start(TestCa::new("root").file_ca()).await;
    let ca = RemoteCa::new(server.endpoint());
    server.then(Turn::Refuse(Status::unauthenticated(
        "request impersonation authentication failure",
    )));
    let error = issue(&ca, "a").await.unwrap_err();
    assert_eq!(
        error.chain(),
        format!(
            "certificate authority signed nothing for {}: http://{}/ refused: \
             UNAUTHENTICATED: request impersonation authentication failure",
            id("a"),
            server.address
        )
    );
    assert!(issue(&ca, "a").await.is_ok());
    assert_eq!(
        *server.accepted.borrow(),
        1,
        "a refusal does not cost the connection"
    );
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() {
    let error = said(|mut texts| {
        texts.insert(1, "x".repeat(1 << 20));
        texts
    })
    .await;
    let text = error.chain();
    assert!(
        matches!(error, Error::Authority { .. }) && text.contains("OUT_OF_RANGE"),
        "{text}"
    );
}

#[tokio::test]
async fn an_answer_that_is_no_chain_is_refused() {
    let error = said(|_| vec!["one".into()]).await;
    assert!(
        matches!(&error, Error::Authority { source, .. } if matches!(
            &**source,
            CaError::Answer { source: BadAnswer::TooShort { count: 1 }, .. }
        )),
        "{error:?}"
    );
    assert!(
        error
            .chain()
            .ends_with("expected the leaf first and the roots last"),
        "{}",
        error.chain()
    );
}

#[test]
fn what_is_wrong_with_an_answer_is_named() {
    let one = TestCa::new("root").cert_pem();
    let check = |texts: &[&str]| {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        parse(&texts).map(|issued| (issued.chain.len(), issued.roots.len()))
    };
    assert_eq!(check(&[&one, &one]).unwrap(), (1, 1));
    assert_eq!(check(&[&one.repeat(8), &one.repeat(64)]).unwrap(), (8, 64));
    assert!(matches!(check(&[]), Err(BadAnswer::TooShort { count: 0 })));
    assert!(matches!(
        check(&["", &one, &one]),
        Err(BadAnswer::Empty { index: 0 })
    ));
    assert!(matches!(
        check(&[&one, "", " "]),
        Err(BadAnswer::Empty { index: 2 })
    ));
    let broken = one.replace('M', "?");
    assert!(matches!(
        check(&[&one, &broken, &one]),
        Err(BadAnswer::Pem { index: 1, .. })
    ));
    assert!(matches!(
        check(&[&one, &broken]),
        Err(BadAnswer::Pem { index: 1, .. })
    ));
    assert!(matches!(
        check(&[&one.repeat(9), &one]),
        Err(BadAnswer::ChainTooLong { max: 8 })
    ));
    assert!(matches!(
        check(&[&one, &one.repeat(65)]),
        Err(BadAnswer::TooManyRoots { max: 64 })
    ));
}

#[tokio::test]
async fn a_broken_connection_is_made_anew_for_the_next_request() {
    let server = Server::start(TestCa::new("root").file_ca()).await;
    let ca = RemoteCa::new(server.endpoint());
    issue(&ca, "a").await.unwrap();
    let server = server.restart().await;
    issue(&ca, "b")
        .await
        .expect("a connection that ended while idle costs no failure");
    assert_eq!(*server.accepted.borrow(), 1);
}

#[tokio::test]
async fn nobody_at_the_address_is_said_as_such() {
    let server = Server::start(TestCa::new("root").file_ca()).await;
    let ca = RemoteCa::new(server.endpoint());
    server.task.abort();
    drop(server.task.await);
    let error = issue(&ca, "a").await.unwrap_err();
    assert!(
        matches!(&error, Error::Authority { source, .. } if matches!(&**source, CaError::Unreachable { .. })),
        "{error:?}"
    );
    assert!(
        error.chain().contains("no TCP connection to 127.0.0.1"),
        "{}",
        error.chain()
    );
}

#[tokio::test]
async fn whoever_gives_up_waiting_leaves_no_connection_behind_that_says_nothing() {
    let server = Server::start(TestCa::new("root").file_ca()).await;
    let ca = Arc::new(RemoteCa::new(server.endpoint()));
    server.then(Turn::Hang);
    let waiting = {
        let ca = Arc::clone(&ca);
        tokio::spawn(async move { issue(&ca, "a").await.map(drop) })
    };
    timeout(DEADLINE, server.authority.asked.notified())
        .await
        .expect("it must be asked");
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    issue(&ca, "a").await.unwrap();
    assert_eq!(*server.accepted.borrow(), 2);
}

#[tokio::test]
async fn the_token_of_each_request_is_the_one_in_the_file() {
    let server = Server::start(TestCa::new("root").file_ca()).await;
    let path = std::env::temp_dir().join(format!("ambit-token-{}", std::process::id()));
    let mut endpoint = server.endpoint();
    endpoint.token = Some(path.clone());
    let ca = RemoteCa::new(endpoint);
    for token in ["first", "second"] {
        std::fs::write(&path, token).unwrap();
        issue(&ca, "a").await.unwrap();
    }
    std::fs::remove_file(&path).unwrap();
    let error = issue(&ca, "a").await.unwrap_err();
    assert!(
        error
            .chain()
            .contains(&format!("token file {} cannot be read", path.display())),
        "{}",
        error.chain()
    );
    let seen = server.authority.seen.lock();
    let tokens: Vec<_> = seen.iter().map(|(token, _)| token.as_deref()).collect();
    assert_eq!(tokens, [Some("Bearer first"), Some("Bearer second")]);
}

#[tokio::test]
async fn an_unavailable_authority_is_a_refusal_in_its_words_and_a_lost_one_is_not() {
    let server = Server::start(TestCa::new("root").file_ca()).await;
    let ca = RemoteCa::new(server.endpoint());
    server.then(Turn::Refuse(Status::new(Code::Unavailable, "starting")));
    let request = || {
        let key = KeyRequest::new(&id("a")).unwrap();
        SigningRequest {
            id: id("a"),
            csr: key.csr(),
            ttl: Duration::from_secs(60),
            now: TestClock::new().now(),
        }
    };
    let error = ca.issue(request()).await.unwrap_err();
    assert!(
        matches!(&error, CaError::Refused { reason, .. } if reason == "UNAVAILABLE: starting"),
        "{error:?}"
    );

    server.then(Turn::Hang);
    let waiting = ca.issue(request());
    let cut = async {
        server.authority.asked.notified().await;
        server.authority.asked.notified().await;
        server.task.abort();
        server.stop.send_replace(true);
    };
    let (answer, ()) = timeout(DEADLINE, futures_util::future::join(waiting, cut))
        .await
        .unwrap();
    let error = answer.unwrap_err();
    assert!(matches!(error, CaError::Unreachable { .. }), "{error:?}");
    assert!(error.source().is_some());
}
