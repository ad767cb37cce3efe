//! The service behind the real listener, asked by the client that ztunnel has.

use std::{sync::Arc, time::Duration};

use grpc::{Endpoint, Roots};
use identity::{CaError, CertificateAuthority as _, Issued, RemoteCa, SigningRequest};
use mesh::SpiffeId;
use prometheus_client::registry::Registry;
use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject as _};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

use crate::{
    ca::{
        Authority, Options, Service,
        testkit::{Folder, csr, id},
    },
    metrics::Metrics,
    output::{Output, Resident},
    publish::Publisher,
    serve,
    token::{self, Authenticator, TrustedNodes},
    xds,
};

struct Controller {
    folder: Folder,
    publisher: Publisher,
    address: std::net::SocketAddr,
    stop: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Controller {
    async fn start() -> Self {
        let (folder, now) = (Folder::absent(), net::clock::wall());
        let publisher = Publisher::new();
        let authority = Authority::load_or_create(folder.path(), Options::default(), now).unwrap();
        let authenticator = Authenticator::load(folder.path(), token::Options::default(), now);
        let authenticator = Arc::new(authenticator.unwrap());
        let trusted = Arc::new(TrustedNodes::default());
        let metrics = Metrics::new(&mut Registry::default());
        let ca = Service::new(
            Arc::clone(&authority),
            Arc::clone(&authenticator),
            Arc::clone(&trusted),
            publisher.view(),
            metrics.clone(),
        );
        let xds = xds::Service::new(
            publisher.view(),
            authenticator,
            trusted,
            metrics,
            Arc::default(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(Notify::new());
        let serving = authority.serving();
        let task = tokio::spawn(serve::serve(listener, serving, xds, ca, Arc::clone(&stop)));
        Self {
            folder,
            publisher,
            address,
            stop,
            task,
        }
    }

    /// On node one run pods of `default/client`.
    fn publish(&self) {
        let resident = Resident {
            node: "one".into(),
            namespace: "default".into(),
            service_account: "client".into(),
        };
        self.publisher.apply(Output {
            residents: vec![(resident, 2)],
            ..Output::default()
        });
    }

    /// A ztunnel's client with a new token for a node.
    fn client(&self, node: &str) -> RemoteCa {
        let now = net::clock::wall();
        let token = token::create(
            self.folder.path(),
            "istio-system",
            "ztunnel",
            Some(node),
            None,
            now,
        );
        let file = format!("token-{node}");
        self.folder.write(&file, &token.unwrap());
        RemoteCa::new(Endpoint {
            address: format!("https://{}", self.address).parse().unwrap(),
            roots: Roots::File(self.folder.file("root-cert.pem")),
            alternative_name: None,
            token: Some(self.folder.file(&file)),
            cluster: "Kubernetes".to_owned(),
            headers: Vec::new(),
        })
    }

    async fn stop(self) {
        self.stop.notify_one();
        self.task.await.unwrap();
    }
}

async fn ask(client: &RemoteCa, id: &SpiffeId) -> Result<Issued, CaError> {
    let pem = csr(&[&id.to_string()]);
    let request = SigningRequest {
        id: id.clone(),
        csr: CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap(),
        ttl: Duration::from_secs(3600),
        now: net::clock::wall(),
    };
    client.issue(request).await
}

/// Asks until the answer is as wanted: the controller knows a new token after a tenth of a second.
async fn ask_until(
    client: &RemoteCa,
    id: &SpiffeId,
    wanted: impl Fn(&Result<Issued, CaError>) -> bool,
) -> Result<Issued, CaError> {
    let deadline = net::clock::now() + Duration::from_secs(10);
    loop {
        let answer = ask(client, id).await;
        if wanted(&answer) {
            return answer;
        }
        assert!(net::clock::now() < deadline, "{answer:?}");
        tokio::task::yield_now().await;
    }
}

fn says(words: &'static str) -> impl Fn(&Result<Issued, CaError>) -> bool {
    move |answer| {
        let refused = answer.as_ref().err().map(ToString::to_string);
        refused.is_some_and(|text| text.contains(words))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ztunnel_is_answered_over_the_wire_as_it_should_be() {
    let controller = Controller::start().await;
    let (one, two) = (controller.client("one"), controller.client("two"));
    let client = id("client");
    let none = ask_until(&one, &client, says("no configuration")).await;
    none.unwrap_err();
    controller.publish();
    let issued = ask_until(&one, &client, Result::is_ok).await.unwrap();
    assert_eq!((issued.chain.len(), issued.roots.len()), (1, 1));
    let peer = identity::peer_identity(&issued.chain).unwrap();
    assert_eq!(peer.id, client);
    let elsewhere = ask_until(&two, &client, says(super::NOT_IMPERSONATED)).await;
    elsewhere.unwrap_err();
    let absent = ask(&one, &id("absent")).await;
    assert!(says(super::NOT_IMPERSONATED)(&absent), "{absent:?}");
    controller.folder.write("token-one", "ambit_stolen");
    let unknown = ask(&one, &client).await;
    assert!(says(super::NOT_AUTHENTICATED)(&unknown), "{unknown:?}");
    drop((one, two));
    controller.stop().await;
}
