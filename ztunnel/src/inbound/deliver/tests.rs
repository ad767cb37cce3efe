//! What an application at the end of an application tunnel reads first.

use mesh::SpiffeId;
use tokio::{io::AsyncReadExt as _, net::TcpListener};
use wire::proxy_protocol::{Read, read};

use super::*;

async fn announced(header: &ProxyHeader) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut upstream = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (mut application, _) = listener.accept().await.unwrap();
    announce(&mut upstream, header).await.unwrap();
    upstream.write_all(b"SELECT 1").await.unwrap();
    drop(upstream);
    let mut bytes = Vec::new();
    application.read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn an_application_reads_who_calls_what_before_the_first_byte() {
    let header = ProxyHeader {
        source: "10.0.1.5:40000".parse().unwrap(),
        destination: "10.96.0.99:80".parse().unwrap(),
        identity: Some(SpiffeId::new(
            "cluster.local".into(),
            "default".into(),
            "web".into(),
        )),
    };
    let bytes = announced(&header).await;
    let mut expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    let identity = b"spiffe://cluster.local/ns/default/sa/web";
    expected.extend([0, 12 + 3 + 40]);
    expected.extend([10, 0, 1, 5, 10, 96, 0, 99, 0x9C, 0x40, 0, 80]);
    expected.extend([0xD0, 0, 40]);
    expected.extend(identity);
    expected.extend(b"SELECT 1");
    assert_eq!(bytes, expected);
}

#[tokio::test]
async fn addresses_of_two_families_and_the_longest_identity_fit_a_header() {
    let name = "x".repeat(1000);
    let header = ProxyHeader {
        source: "10.0.1.5:40000".parse().unwrap(),
        destination: "[fd00::99]:80".parse().unwrap(),
        identity: Some(SpiffeId::new(
            "cluster.local".into(),
            name.as_str().into(),
            name.as_str().into(),
        )),
    };
    let bytes = announced(&header).await;
    let Read::Whole(said) = read(&bytes).unwrap() else {
        panic!("a header that is not whole");
    };
    let addresses = said.addresses.unwrap();
    assert_eq!(
        (addresses.source, addresses.destination),
        (header.source, header.destination)
    );
    assert_eq!(&bytes[said.length..], b"SELECT 1");
}

#[tokio::test]
async fn without_an_identity_there_is_none_in_the_header() {
    let header = ProxyHeader {
        source: "[2001:db8::5]:40000".parse().unwrap(),
        destination: "[fd00::99]:80".parse().unwrap(),
        identity: None,
    };
    let bytes = announced(&header).await;
    assert_eq!(bytes.len(), 16 + 36 + "SELECT 1".len());
}

#[test]
fn an_address_of_the_namespace_is_told_from_all_others() {
    for own in ["127.0.0.1", "::1"] {
        assert!(is_local(own.parse().unwrap()), "{own}");
    }
    for other in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
        assert!(!is_local(other.parse().unwrap()), "{other}");
    }
}
