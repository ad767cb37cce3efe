//! Who is refused by a handshake, who is not, and who is when the lists change.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::CertificateDer;

use super::{CrlFile, Serial};
use crate::{
    PeerRefusal, Store, peer_identity,
    testkit::{
        Identity, Outcome, START, ScriptedCa, TestCa, TestClock, at, ca_params, handshake, id,
        sans, uri,
    },
    x509,
};

mod file;
mod revocation_list;

const CLIENT: &str = "spiffe://cluster.local/ns/default/sa/client";
const SERVER: &str = "spiffe://cluster.local/ns/default/sa/server";
const OTHER: &str = "spiffe://cluster.local/ns/default/sa/other";

/// A directory that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ambit-crl-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn serial(der: &CertificateDer<'_>) -> Vec<u8> {
    x509::parse(der).unwrap().raw_serial().to_vec()
}

/// A list as an authority makes it; `fault` changes it before it is signed.
fn list_with(
    ca: &TestCa,
    revoked: &[Vec<u8>],
    fault: impl FnOnce(&mut CertificateRevocationListParams),
) -> rcgen::CertificateRevocationList {
    let date = |seconds| x509::asn1(at(seconds)).unwrap().to_datetime();
    let mut params = CertificateRevocationListParams {
        this_update: date(START - 3600),
        next_update: date(START + 3600),
        crl_number: SerialNumber::from(7u64),
        issuing_distribution_point: None,
        revoked_certs: revoked
            .iter()
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from_slice(serial),
                revocation_time: date(START - 3600),
                reason_code: None,
                invalidity_date: None,
            })
            .collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    fault(&mut params);
    params.signed_by(&ca.issuer).unwrap()
}

fn list(ca: &TestCa, revoked: &[&CertificateDer<'_>]) -> String {
    let revoked: Vec<_> = revoked.iter().map(|der| serial(der)).collect();
    list_with(ca, &revoked, |_| {}).pem().unwrap()
}

fn open(folder: &Folder, pem: &str) -> Arc<CrlFile> {
    let file = CrlFile::open(folder.write("ca-crl.pem", pem), TestClock::new().clock());
    assert_eq!(file.stats().failures, 0);
    file
}

/// Our server with these CRLs meets a client that shows `client`.
fn met_by_server(root: &TestCa, crl: &Arc<CrlFile>, client: &Identity) -> Outcome {
    let clock = TestClock::new().clock();
    let trust = root.trust_with(Some(Arc::clone(crl)));
    let server = root.credential_within(id("server"), &clock, trust);
    handshake(client.client(root, SERVER, &clock), server.server_config())
}

/// Our client with these CRLs meets a server that shows `server`.
fn met_by_client(root: &TestCa, crl: &Arc<CrlFile>, server: &Identity) -> Outcome {
    let clock = TestClock::new().clock();
    let trust = root.trust_with(Some(Arc::clone(crl)));
    let client = root.credential_within(id("client"), &clock, trust);
    handshake(
        client.client_config(&sans(&["server"])),
        server.server(root, &clock),
    )
}

fn refusal(error: Option<&rustls::Error>) -> PeerRefusal {
    PeerRefusal::from_tls(error.expect("the handshake must fail")).unwrap()
}

#[test]
fn a_revoked_leaf_is_refused_by_both_sides_and_nobody_else_is() {
    let (root, folder) = (TestCa::new("root"), Folder::new());
    let (client, server) = (
        root.leaf(vec![uri(CLIENT)], |_| {}),
        root.leaf(vec![uri(SERVER)], |_| {}),
    );
    let crl = open(
        &folder,
        &list(&root, &[&client.chain()[0], &server.chain()[0]]),
    );
    let expected = |identity: &Identity| PeerRefusal::Revoked {
        serial: Serial::new(&serial(&identity.chain()[0]))
            .unwrap()
            .to_string(),
        issuer: "O=Ambit, CN=root".into(),
    };
    let said = refusal(met_by_server(&root, &crl, &client).server_error.as_ref());
    assert_eq!(said, expected(&client));
    let said = refusal(met_by_client(&root, &crl, &server).client_error.as_ref());
    assert_eq!(said, expected(&server));
    assert!(
        said.to_string()
            .ends_with("of \"O=Ambit, CN=root\" is revoked by a CRL"),
        "{said}"
    );

    let again = root.leaf(vec![uri(CLIENT)], |_| {});
    assert!(
        met_by_server(&root, &crl, &again).succeeded(),
        "the name is not what is revoked"
    );
    let stats = crl.stats();
    assert_eq!((stats.refused, stats.lists, stats.entries), (2, 1, 2));
}

#[test]
fn a_revoked_intermediate_takes_all_that_it_issued_with_it() {
    let (root, folder) = (TestCa::new("root"), Folder::new());
    let (good, bad) = (
        root.intermediate(ca_params("good")),
        root.intermediate(ca_params("bad")),
    );
    let crl = open(&folder, &list(&root, &[&bad.root()]));
    let of = |ca: &TestCa, name| ca.leaf(vec![uri(name)], |_| {}).followed_by(&[ca.root()]);
    for refused in [
        refusal(
            met_by_server(&root, &crl, &of(&bad, CLIENT))
                .server_error
                .as_ref(),
        ),
        refusal(
            met_by_client(&root, &crl, &of(&bad, SERVER))
                .client_error
                .as_ref(),
        ),
    ] {
        assert!(
            matches!(&refused, PeerRefusal::Revoked { issuer, .. } if issuer.contains("root")),
            "{refused:?}"
        );
    }
    assert!(met_by_server(&root, &crl, &of(&good, CLIENT)).succeeded());
}

#[test]
fn an_intermediate_revokes_its_own_leaves() {
    let (root, folder) = (TestCa::new("root"), Folder::new());
    let middle = root.intermediate(ca_params("middle"));
    let leaf = |name| {
        middle
            .leaf(vec![uri(name)], |_| {})
            .followed_by(&[middle.root()])
    };
    let (revoked, other) = (leaf(CLIENT), leaf(CLIENT));
    let crl = open(
        &folder,
        &(list(&root, &[]) + &list(&middle, &[&revoked.chain()[0]])),
    );
    assert_eq!(crl.stats().lists, 2);
    assert!(matches!(
        refusal(met_by_server(&root, &crl, &revoked).server_error.as_ref()),
        PeerRefusal::Revoked { issuer, .. } if issuer.contains("middle")
    ));
    assert!(met_by_server(&root, &crl, &other).succeeded());
}

#[test]
fn a_list_that_no_authority_of_the_chain_has_signed_is_ignored() {
    let (root, folder) = (TestCa::new("root"), Folder::new());
    let impostor = TestCa::new("root");
    let client = root.leaf(vec![uri(CLIENT)], |_| {});
    let forged = list(&impostor, &[&client.chain()[0]]);
    let crl = open(&folder, &forged);
    assert!(met_by_server(&root, &crl, &client).succeeded());

    // Behind it, the true one counts.
    let crl = open(&folder, &(forged + &list(&root, &[&client.chain()[0]])));
    assert!(matches!(
        refusal(met_by_server(&root, &crl, &client).server_error.as_ref()),
        PeerRefusal::Revoked { .. }
    ));
}

#[test]
fn a_list_with_a_byte_changed_is_ignored() {
    let (root, folder) = (TestCa::new("root"), Folder::new());
    let client = root.leaf(vec![uri(CLIENT)], |_| {});
    let made = list_with(&root, &[serial(&client.chain()[0])], |_| {});
    let mut der = made.der().to_vec();
    *der.last_mut().unwrap() ^= 1;
    let crl = open(&folder, &crate::pem::encode("X509 CRL", &der));
    assert_eq!(crl.stats().entries, 1);
    assert!(met_by_server(&root, &crl, &client).succeeded());
}

#[test]
fn roots_that_share_a_name_may_each_have_a_list() {
    let (old, new, folder) = (TestCa::new("root"), TestCa::new("root"), Folder::new());
    let (of_old, of_new) = (
        old.leaf(vec![uri(CLIENT)], |_| {}),
        new.leaf(vec![uri(CLIENT)], |_| {}),
    );
    let unrevoked = new.leaf(vec![uri(CLIENT)], |_| {});
    let crl = open(
        &folder,
        &(list(&old, &[&of_old.chain()[0]]) + &list(&new, &[&of_new.chain()[0]])),
    );
    let clock = TestClock::new().clock();
    let trust = old.trust_with(Some(crl));
    let both = crate::trust::Roots::new(&[old.root(), new.root()]).unwrap();
    trust.replace(&Arc::new(both));
    let server = old.credential_within(id("server"), &clock, trust);
    let meet =
        |client: &Identity| handshake(client.client(&old, SERVER, &clock), server.server_config());
    for revoked in [&of_old, &of_new] {
        assert!(matches!(
            refusal(meet(revoked).server_error.as_ref()),
            PeerRefusal::Revoked { .. }
        ));
    }
    assert_eq!(meet(&unrevoked).server_error, None);
}

#[test]
fn an_overdue_list_still_counts() {
    let (root, folder) = (TestCa::new("root"), Folder::new());
    let client = root.leaf(vec![uri(CLIENT)], |_| {});
    let made = list_with(&root, &[serial(&client.chain()[0])], |params| {
        params.next_update = x509::asn1(at(START - 1)).unwrap().to_datetime();
    });
    let crl = open(&folder, &made.pem().unwrap());
    assert_eq!(crl.stats().overdue, 1);
    assert!(matches!(
        refusal(met_by_server(&root, &crl, &client).server_error.as_ref()),
        PeerRefusal::Revoked { .. }
    ));
}

#[test]
fn open_connections_are_looked_at_again_with_what_the_handshake_left() {
    let (root, folder) = (TestCa::new("root"), Folder::new());
    let middle = root.intermediate(ca_params("middle"));
    let client = middle
        .leaf(vec![uri(CLIENT)], |_| {})
        .followed_by(&[middle.root()]);
    let other = middle
        .leaf(vec![uri(OTHER)], |_| {})
        .followed_by(&[middle.root()]);
    let crl = open(&folder, &list(&root, &[]));
    let mut changes = crl.subscribe();

    let outcome = met_by_server(&root, &crl, &client);
    assert!(outcome.succeeded());
    let peer = peer_identity(outcome.server.peer_certificates().unwrap()).unwrap();
    let stranger = peer_identity(other.chain()).unwrap();

    // A store that believes the root, as the proxy has it.
    let config = crate::Config {
        clock: TestClock::new().clock(),
        crl: Some(Arc::clone(&crl)),
        ..crate::Config::default()
    };
    let store = Store::new(ScriptedCa::new(&root), config);
    let task = Arc::clone(&store).run();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let running = runtime.spawn(task);
    let fetched = runtime.block_on(store.fetch(&id("server"))).unwrap();
    running.abort();
    assert_eq!(store.revocation(&peer), None);

    for revoked in [
        // The leaf by its intermediate, whose key only the connection knows.
        list(&middle, &[&client.chain()[0]]),
        // The intermediate by the root.
        list(&root, &[&middle.root()]),
    ] {
        assert!(!changes.has_changed().unwrap());
        folder.write("ca-crl.pem", &revoked);
        assert!(crl.reload().unwrap());
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        assert!(matches!(
            store.revocation(&peer),
            Some(PeerRefusal::Revoked { .. })
        ));
    }
    assert!(
        store.revocation(&stranger).is_some(),
        "its intermediate is gone too"
    );
    assert!(!crl.reload().unwrap(), "the same again is no change");
    assert!(!changes.has_changed().unwrap());
    drop(fetched);
}

#[test]
fn a_peer_that_hides_an_unreadable_certificate_in_its_chain_is_refused_once_lists_are_in_use() {
    let (root, folder) = (TestCa::new("root"), Folder::new());
    let junk = root
        .leaf(vec![uri(CLIENT)], |_| {})
        .followed_by(&[CertificateDer::from(vec![0x30, 0x00])]);
    let unused = open(&folder, &list(&root, &[]));
    assert!(met_by_server(&root, &unused, &junk).succeeded());
    let other = TestCa::with(ca_params("root"), KeyPair::generate().unwrap());
    let in_use = open(&folder, &list(&root, &[&other.root()]));
    assert!(matches!(
        refusal(met_by_server(&root, &in_use, &junk).server_error.as_ref()),
        PeerRefusal::Malformed { .. }
    ));
}
