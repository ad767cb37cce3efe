//! Lists of every make, and bytes that are none.

use std::{fs, path::Path, process::Command};

use rcgen::{CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope, SerialNumber};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject as _};

use super::{CLIENT, Folder, list_with};
use crate::{
    crl::{Authority, BadList, Chain, Crl, RevocationList, Serial},
    testkit::{TestCa, uri},
    x509,
};

#[test]
fn lists_of_other_kinds_are_refused() {
    let root = TestCa::new("root");
    let made = list_with(&root, &[vec![5]], |_| {});
    assert!(RevocationList::parse(made.der()).is_ok());
    let scoped = list_with(&root, &[vec![5]], |params| {
        params.issuing_distribution_point = Some(CrlIssuingDistributionPoint {
            distribution_point: CrlDistributionPoint {
                uris: vec!["http://crl.example/ca.crl".to_owned()],
            },
            scope: Some(CrlScope::UserCertsOnly),
        });
    });
    let scoped = RevocationList::parse(scoped.der()).unwrap();
    assert!(
        scoped.holds(&Serial::new(&[5]).unwrap()),
        "a part of the issuer's list revokes"
    );
    for garbage in [
        &b""[..],
        b"\x30\x00",
        b"\x30\x80",
        b"\x30\x84\xff\xff\xff\xff",
    ] {
        assert!(matches!(
            RevocationList::parse(garbage),
            Err(BadList::Profile(_))
        ));
    }
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let root = TestCa::new("root");
    let serials: Vec<Vec<u8>> = (1..20u8).map(|n| vec![n; usize::from(n)]).collect();
    let good = list_with(&root, &serials, |_| {}).der().to_vec();
    let mut random = fastrand::Rng::with_seed(7);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..bytes.len());
            bytes[at] = random.u8(..);
        }
        bytes.truncate(random.usize(0..=bytes.len()).max(bytes.len() / 2));
        accepted += usize::from(RevocationList::parse(&bytes).is_ok());
        // The reader of elements is not behind webpki here.
        let mut rest = bytes.as_slice();
        while let Some((_, after)) = crate::der::next(rest) {
            rest = after;
        }
    }
    assert!(
        accepted > 0,
        "some changes only touch a signature or a date"
    );
}

#[test]
fn numbers_are_compared_without_their_leading_zeros() {
    let number = |raw: &[u8]| Serial::new(raw).unwrap();
    assert_eq!(number(&[0, 0x80]), number(&[0x80]));
    assert_ne!(number(&[1, 0]), number(&[1]));
    assert_ne!(number(&[1, 0]), number(&[0, 1]));
    assert_eq!(number(&[0x0a, 0xff]).to_string(), "0aff");
    assert_eq!(number(&[]).to_string(), "00");
    assert_eq!(number(&[0; 40]), number(&[]));
    assert!(Serial::new(&[1; 20]).is_some());
    assert_eq!(Serial::new(&[1; 21]), None);
}

#[test]
fn a_long_list_is_searched_and_not_read() {
    let root = TestCa::new("root");
    let serials: Vec<Vec<u8>> = (0..20_000u32).map(|n| n.to_be_bytes().to_vec()).collect();
    let made = list_with(&root, &serials, |_| {});
    let crl = Crl::new(vec![RevocationList::parse(made.der()).unwrap()]);
    let authority = Authority::new(&x509::parse(&root.root()).unwrap());
    let chain = |number: u32| {
        let leaf = root.leaf(vec![uri(CLIENT)], |params| {
            params.serial_number = Some(SerialNumber::from_slice(&number.to_be_bytes()));
        });
        Chain::read(&leaf.chain()[0], &[]).unwrap()
    };
    for (number, revoked) in [
        (1, true),
        (19_999, true),
        (20_000, false),
        (u32::MAX, false),
    ] {
        let found = crl.find(&chain(number), std::slice::from_ref(&authority));
        assert_eq!(found.is_some(), revoked, "{number}");
    }
}

/// What only another implementation can say.
#[test]
#[expect(clippy::print_stderr, reason = "a skipped check must be seen")]
fn lists_that_openssl_makes_are_read_and_their_signatures_checked() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: no openssl on this machine");
        return;
    }
    let kinds: [&[&str]; 4] = [
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["-algorithm", "ED25519"],
    ];
    for (kind, digest) in kinds
        .into_iter()
        .zip(["sha256", "sha256", "sha384", "default"])
    {
        let folder = Folder::new();
        let crl = openssl_crl(&folder.0, kind, digest);
        let list = RevocationList::parse(&crl).unwrap_or_else(|e| panic!("{kind:?}: {e}"));
        assert_eq!(list.issuer_name(), "O=cluster.local");
        assert_eq!(list.len(), 2);
        assert!(list.holds(&Serial::new(&[0xf0, 0x01]).unwrap()));
        assert!(list.holds(&Serial::new(&[0x05]).unwrap()));
        assert!(!list.holds(&Serial::new(&[0x06]).unwrap()));

        let root = CertificateDer::from_pem_file(folder.path("root.pem")).unwrap();
        let root = Authority::new(&x509::parse(&root).unwrap());
        let stranger = Authority::new(&x509::parse(&TestCa::new("cluster.local").root()).unwrap());
        assert!(!list.is_signed_by_any([&stranger]), "{kind:?}");
        assert!(list.is_signed_by_any([&stranger, &root]), "{kind:?}");
    }
}

fn openssl_crl(
    folder: &Path,
    kind: &[&str],
    digest: &str,
) -> CertificateRevocationListDer<'static> {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(folder)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "openssl {arguments:?}: {text}");
    };
    openssl(&[&["genpkey", "-out", "key.pem"], kind].concat());
    openssl(&[
        "req",
        "-x509",
        "-new",
        "-key",
        "key.pem",
        "-out",
        "root.pem",
        "-days",
        "30",
        "-subj",
        "/O=cluster.local",
    ]);
    fs::write(
        folder.join("index.txt"),
        "R\t360101000000Z\t260101000000Z\tF001\tunknown\t/O=a\n\
         R\t360101000000Z\t260101000000Z,keyCompromise\t05\tunknown\t/O=b\n\
         V\t360101000000Z\t\t06\tunknown\t/O=c\n",
    )
    .unwrap();
    fs::write(folder.join("crlnumber"), "01\n").unwrap();
    fs::write(
        folder.join("ca.cnf"),
        format!(
            "[ca]\ndefault_ca = mesh\n[mesh]\ndatabase = index.txt\ncrlnumber = crlnumber\n\
             default_md = {digest}\ndefault_crl_days = 30\ncrl_extensions = crl\n\
             [crl]\nauthorityKeyIdentifier = keyid:always\n"
        ),
    )
    .unwrap();
    openssl(&[
        "ca", "-gencrl", "-config", "ca.cnf", "-keyfile", "key.pem", "-cert", "root.pem", "-out",
        "crl.pem",
    ]);
    CertificateRevocationListDer::from_pem_file(folder.join("crl.pem")).unwrap()
}
