//! Who gets which certificate, and every way to get another's.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use grpc::service::ca::istio_certificate_service_server::IstioCertificateService as _;
use identity::Clock;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use prost_types::{Struct, Value, value::Kind};
use tonic::{Code, Request, Status};
use wire::proto::ca::IstioCertificateRequest;
use x509_parser::extensions::GeneralName;

use super::{NOT_AUTHENTICATED, NOT_IMPERSONATED, Residents, Service};
use crate::{
    ca::{
        Options, signed,
        testkit::{DAY, Folder, START, at, certificates, csr, csr_with, open, uri},
    },
    metrics::Metrics,
    token::{self, Authenticator, TrustedNodes},
};

mod ztunnel;

const CLIENT: &str = "spiffe://cluster.local/ns/default/sa/client";
const ZTUNNEL: &str = "spiffe://cluster.local/ns/istio-system/sa/ztunnel";

/// The mesh of a test: a trust domain, and who runs where.
#[derive(Default)]
struct Mesh {
    trust_domain: Mutex<Option<Arc<str>>>,
    running: Mutex<Vec<(&'static str, &'static str, &'static str)>>,
}

impl Residents for Arc<Mesh> {
    fn trust_domain(&self) -> Option<Arc<str>> {
        self.trust_domain.lock().clone()
    }

    fn runs(&self, node: &str, namespace: &str, service_account: &str) -> bool {
        self.running
            .lock()
            .contains(&(node, namespace, service_account))
    }
}

struct Setup {
    folder: Folder,
    mesh: Arc<Mesh>,
    service: Service,
}

/// On node one run `default/client` and on node two `default/server`.
fn setup() -> Setup {
    let folder = Folder::absent();
    let mesh = Arc::new(Mesh::default());
    *mesh.trust_domain.lock() = Some("cluster.local".into());
    *mesh.running.lock() = vec![("one", "default", "client"), ("two", "default", "server")];
    let authority = open(&folder, Options::default(), START);
    let now = net::clock::wall();
    let authenticator = Authenticator::load(folder.path(), token::Options::default(), now).unwrap();
    let mut service = Service::new(
        authority,
        Arc::new(authenticator),
        Arc::new(TrustedNodes::default()),
        Arc::clone(&mesh),
        Metrics::new(&mut Registry::default()),
    );
    service.clock = Clock::new(|| at(START));
    Setup {
        folder,
        mesh,
        service,
    }
}

impl Setup {
    /// A token that the service knows already.
    fn token(&self, namespace: &str, account: &str, node: Option<&str>) -> String {
        let now = net::clock::wall();
        let token = token::create(self.folder.path(), namespace, account, node, None, now).unwrap();
        let deadline = net::clock::now() + Duration::from_secs(10);
        let headers = {
            let mut headers = http::HeaderMap::new();
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
            headers
        };
        while self.service.authenticator.authenticate(&headers).is_err() {
            assert!(net::clock::now() < deadline, "the token is not known");
            std::thread::yield_now();
        }
        token
    }

    fn ztunnel(&self, node: &str) -> String {
        self.token("istio-system", "ztunnel", Some(node))
    }

    fn ask(
        &self,
        token: &str,
        impersonated: Option<&str>,
        csr: &str,
    ) -> Result<Vec<String>, Status> {
        let value = |text: &str| Kind::StringValue(text.to_owned());
        self.ask_with(token, impersonated.map(value), csr, 0)
    }

    fn ask_with(
        &self,
        token: &str,
        impersonated: Option<Kind>,
        csr: &str,
        validity_duration: i64,
    ) -> Result<Vec<String>, Status> {
        let metadata = impersonated.map(|kind| Struct {
            fields: BTreeMap::from([(
                "ImpersonatedIdentity".to_owned(),
                Value { kind: Some(kind) },
            )]),
        });
        let mut request = Request::new(IstioCertificateRequest {
            csr: csr.to_owned(),
            validity_duration,
            metadata,
        });
        if !token.is_empty() {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        self.service
            .create_certificate(request)
            .now_or_never()
            .unwrap()
            .map(|answer| answer.into_inner().cert_chain)
    }
}

/// Whom the answer's leaf names.
fn name(answer: Result<Vec<String>, Status>) -> String {
    let answer = answer.unwrap();
    assert_eq!(answer.len(), 2);
    let leaf = certificates(&answer[0]).remove(0);
    let parsed = signed::certificate(&leaf).unwrap();
    let san = parsed.subject_alternative_name().unwrap().unwrap();
    let [GeneralName::URI(uri)] = san.value.general_names[..] else {
        panic!("{:?}", san.value.general_names);
    };
    assert!(!parsed.is_ca());
    uri.to_owned()
}

fn refused(answer: Result<Vec<String>, Status>) -> (Code, String) {
    let status = answer.unwrap_err();
    (status.code(), status.message().to_owned())
}

fn not_impersonated() -> (Code, String) {
    (Code::Unauthenticated, NOT_IMPERSONATED.to_owned())
}

fn not_authenticated() -> (Code, String) {
    (Code::Unauthenticated, NOT_AUTHENTICATED.to_owned())
}

#[test]
fn a_ztunnel_gets_certificates_for_pods_of_its_node() {
    let setup = setup();
    let token = setup.ztunnel("one");
    assert_eq!(
        name(setup.ask(&token, Some(CLIENT), &csr(&[CLIENT]))),
        CLIENT
    );
    assert_eq!(name(setup.ask(&token, Some(CLIENT), &csr(&[]))), CLIENT);
}

#[test]
fn who_asks_for_nobody_gets_the_identity_of_the_token() {
    let setup = setup();
    let waypoint = setup.token("default", "waypoint", None);
    let own = "spiffe://cluster.local/ns/default/sa/waypoint";
    assert_eq!(name(setup.ask(&waypoint, None, &csr(&[own]))), own);
    assert_eq!(name(setup.ask(&waypoint, Some(""), &csr(&[]))), own);
    let ztunnel = setup.ztunnel("one");
    assert_eq!(name(setup.ask(&ztunnel, None, &csr(&[ZTUNNEL]))), ZTUNNEL);
}

#[test]
fn nobody_but_a_trusted_node_speaks_for_others() {
    let setup = setup();
    for (namespace, account) in [
        ("default", "client"),
        ("default", "ztunnel"),
        ("istio-system", "istiod"),
    ] {
        let token = setup.token(namespace, account, Some("one"));
        let answer = setup.ask(&token, Some(CLIENT), &csr(&[CLIENT]));
        assert_eq!(refused(answer), not_impersonated(), "{namespace}/{account}");
    }
}

#[test]
fn a_ztunnel_without_a_node_in_its_token_speaks_for_nobody() {
    let setup = setup();
    let token = setup.token("istio-system", "ztunnel", None);
    assert_eq!(
        refused(setup.ask(&token, Some(CLIENT), &csr(&[CLIENT]))),
        not_impersonated()
    );
    assert_eq!(
        refused(setup.ask(&token, Some(ZTUNNEL), &csr(&[ZTUNNEL]))),
        not_impersonated()
    );
}

#[test]
fn a_ztunnel_gets_nothing_for_pods_of_other_nodes_or_of_none() {
    let setup = setup();
    let two = setup.ztunnel("two");
    let server = CLIENT.replace("client", "server");
    assert_eq!(
        name(setup.ask(&two, Some(&server), &csr(&[&server]))),
        server
    );
    for identity in [
        CLIENT.to_owned(),
        CLIENT.replace("default", "other"),
        CLIENT.replace("client", "absent"),
        ZTUNNEL.to_owned(),
    ] {
        let answer = setup.ask(&two, Some(&identity), &csr(&[&identity]));
        assert_eq!(refused(answer), not_impersonated(), "{identity}");
    }
    // The pod moves, and the certificate is the other node's to ask for.
    let one = setup.ztunnel("one");
    *setup.mesh.running.lock() = vec![("two", "default", "client")];
    assert_eq!(
        refused(setup.ask(&one, Some(CLIENT), &csr(&[CLIENT]))),
        not_impersonated()
    );
    assert_eq!(name(setup.ask(&two, Some(CLIENT), &csr(&[CLIENT]))), CLIENT);
}

#[test]
fn identities_of_other_meshes_and_of_no_form_are_refused_alike() {
    let setup = setup();
    let token = setup.ztunnel("one");
    let long = format!("{CLIENT}{}", "a".repeat(3000));
    for identity in [
        "spiffe://elsewhere/ns/default/sa/client",
        "spiffe://cluster.local/ns/default/sa/client/",
        "spiffe://cluster.local/ns/default/sa/../client",
        "spiffe://CLUSTER.LOCAL/ns/default/sa/client",
        "spiffe://cluster.local/ns/default",
        "cluster.local/ns/default/sa/client",
        " spiffe://cluster.local/ns/default/sa/client",
        "line\nbreak\u{1b}[31m",
        &long,
    ] {
        let answer = setup.ask(&token, Some(identity), &csr(&[CLIENT]));
        assert_eq!(refused(answer), not_impersonated(), "{identity:?}");
    }
    for kind in [
        Kind::NumberValue(1.0),
        Kind::NullValue(0),
        Kind::BoolValue(true),
        Kind::StructValue(Struct::default()),
    ] {
        let answer = setup.ask_with(&token, Some(kind.clone()), &csr(&[CLIENT]), 0);
        assert_eq!(refused(answer), not_impersonated(), "{kind:?}");
    }
}

#[test]
fn without_a_token_that_is_known_nothing_else_is_looked_at() {
    let setup = setup();
    let good = setup.ztunnel("one");
    let other = setup.token("default", "client", None);
    for token in [
        "",
        "ambit_",
        "x",
        &good[..good.len() - 1],
        &format!("{good}A"),
        &good.to_lowercase(),
    ] {
        let answer = setup.ask(token, Some(CLIENT), "not even a request");
        assert_eq!(refused(answer), not_authenticated(), "{token}");
    }
    let both = format!("{good}, Bearer {other}");
    assert_eq!(
        refused(setup.ask(&both, Some(CLIENT), &csr(&[CLIENT]))),
        not_authenticated()
    );
    let failures = setup.service.metrics.authentication_failures.get();
    let (asked, issued) = (
        setup.service.metrics.csr.get(),
        setup.service.metrics.issued.get(),
    );
    assert_eq!((asked, issued, failures), (7, 0, 7));
}

#[test]
fn a_request_for_another_name_is_refused_by_whomever_it_is_presented() {
    let setup = setup();
    let (one, two) = (setup.ztunnel("one"), setup.ztunnel("two"));
    let captured = csr(&[CLIENT]);
    name(setup.ask(&one, Some(CLIENT), &captured));
    name(setup.ask(&one, Some(CLIENT), &captured));
    // Somebody else presents it: for himself, for a pod that he may ask for, for the pod that it names.
    let server = CLIENT.replace("client", "server");
    let pod = setup.token("default", "server", None);
    for (token, identity, expected) in [
        (&pod, None, Code::InvalidArgument),
        (&two, Some(&*server), Code::InvalidArgument),
        (&two, None, Code::InvalidArgument),
        (&two, Some(CLIENT), Code::Unauthenticated),
        (&pod, Some(CLIENT), Code::Unauthenticated),
    ] {
        let (code, message) = refused(setup.ask(token, identity, &captured));
        assert_eq!(code, expected, "{identity:?}: {message}");
    }
}

#[test]
fn a_bad_request_is_an_invalid_argument() {
    let setup = setup();
    let token = setup.ztunnel("one");
    let key = rcgen::KeyPair::generate().unwrap();
    let dns = rcgen::SanType::DnsName("localhost".try_into().unwrap());
    let with_dns = csr_with(vec![uri(CLIENT), dns], &key);
    let broken = csr(&[CLIENT]).replacen("MI", "MA", 1);
    let large = "x".repeat(1 << 20);
    for bad in [
        "",
        "x",
        &with_dns,
        &broken,
        &large,
        &csr(&[ZTUNNEL]),
        &csr(&[CLIENT, ZTUNNEL]),
    ] {
        let (code, message) = refused(setup.ask(&token, Some(CLIENT), bad));
        assert_eq!(code, Code::InvalidArgument, "{message}");
    }
}

#[test]
fn nothing_is_signed_before_the_mesh_is_known() {
    let setup = setup();
    let token = setup.ztunnel("one");
    *setup.mesh.trust_domain.lock() = None;
    assert_eq!(
        refused(setup.ask(&token, Some(CLIENT), &csr(&[CLIENT]))).0,
        Code::Unavailable
    );
    assert_eq!(
        refused(setup.ask(&token, None, &csr(&[]))).0,
        Code::Unavailable
    );
    assert_eq!(refused(setup.ask("", None, &csr(&[]))), not_authenticated());
}

#[test]
fn the_trust_domain_is_the_meshs() {
    let setup = setup();
    let token = setup.ztunnel("one");
    *setup.mesh.trust_domain.lock() = Some("elsewhere".into());
    let foreign = CLIENT.replace("cluster.local", "elsewhere");
    assert_eq!(
        name(setup.ask(&token, Some(&foreign), &csr(&[&foreign]))),
        foreign
    );
    assert_eq!(
        refused(setup.ask(&token, Some(CLIENT), &csr(&[CLIENT]))),
        not_impersonated()
    );
}

#[test]
fn a_validity_of_nonsense_is_the_usual_one() {
    let setup = setup();
    let token = setup.ztunnel("one");
    let end = |validity| {
        let answer = setup.ask_with(&token, None, &csr(&[]), validity).unwrap();
        let leaf = certificates(&answer[0]).remove(0);
        let parsed = signed::certificate(&leaf).unwrap();
        let end = identity::wall(parsed.validity().not_after);
        end.duration_since(at(START)).unwrap().as_secs()
    };
    assert_eq!(end(3600), 3600);
    for odd in [0, -1, i64::MIN, i64::MAX, 90 * 86_400] {
        assert_eq!(end(odd), DAY, "{odd}");
    }
}
