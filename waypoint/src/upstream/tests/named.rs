//! The name of the client on the CONNECT to an endpoint, through real tunnels: who is named, and that no stream is used for another.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    sync::Arc,
};

use bytes::Bytes;
use hbone::server::Incoming;
use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use identity::{Config, Credential, FileCa};
use mesh::{
    Resource, Service, SpiffeId, Workload,
    backend::{ProxyVersion, TrafficPolicy},
    service::{AppProtocol, PortMap},
    settings::WaypointSettings,
    workload::Tunnel,
};
use net::drain::Drain;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::kit::{Mesh, client, get, id, policy, service, service_key, soon, text, until};
use crate::{io::DuplexIo, upstream::Client};

/// What the application of a pod speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum App {
    Http1,
    Http2,
    /// Says the name, then what it hears.
    Bytes,
    /// The same, after an upgrade.
    Upgrade,
}

/// A pod with its ztunnel. To each request it answers with the name under which its stream came.
struct Pod {
    ip: IpAddr,
    /// The names of all streams, `-` for none.
    names: Arc<Mutex<Vec<String>>>,
    _drain: Drain,
}

impl Pod {
    async fn start(credential: Credential, app: App) -> Self {
        let listener = listener().await;
        let ip = listener.local_addr().unwrap().ip();
        let names = Arc::new(Mutex::new(Vec::new()));
        let (credential, drain) = (Arc::new(credential), Drain::default());
        let (all, draining) = (Arc::clone(&names), drain.listen());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (all, credential) = (Arc::clone(&all), Arc::clone(&credential));
                let draining = draining.clone();
                tokio::spawn(async move {
                    let settings = hbone::Settings::default();
                    let (config, not_after) = (credential.server_config(), credential.not_after());
                    let accepted =
                        hbone::server::handshake(socket, config, not_after, &settings).await;
                    let served = accepted.unwrap().serve(&settings, &draining, |incoming| {
                        let name = name(&incoming);
                        all.lock().push(name.clone());
                        tokio::spawn(serve(incoming, name, app));
                    });
                    drop(served.await);
                });
            }
        });
        Self {
            ip,
            names,
            _drain: drain,
        }
    }

    fn workload(&self) -> Resource {
        let ports = PortMap([(80, NonZeroU16::new(8080))].into());
        Resource::Workload(Arc::new(Workload {
            uid: "Kubernetes//Pod/shop/cart-1".into(),
            namespace: "shop".into(),
            service_account: "cart".into(),
            ips: vec![self.ip],
            tunnel: Tunnel::Hbone,
            services: [(service_key(), ports)].into(),
            ..Workload::default()
        }))
    }

    fn streams(&self) -> usize {
        self.names.lock().len()
    }
}

/// On the port of tunnels, of an address of the loopback interface that nobody else has.
async fn listener() -> TcpListener {
    for _ in 0..100 {
        let ip = [
            127,
            fastrand::u8(1..255),
            fastrand::u8(..),
            fastrand::u8(1..255),
        ];
        if let Ok(listener) = TcpListener::bind(SocketAddr::from((ip, 15008))).await {
            return listener;
        }
    }
    panic!("no address is free");
}

fn name(incoming: &Incoming) -> String {
    let values = incoming.head.headers.get_all("x-ambit-client-principal");
    let mut values = values.iter().map(|value| value.to_str().unwrap());
    let name = values.next().unwrap_or("-").to_owned();
    assert_eq!(values.next(), None);
    name
}

async fn serve(incoming: Incoming, name: String, app: App) {
    let mut io = DuplexIo::new(incoming.accept(None).unwrap());
    let says = name.clone();
    let service = service_fn(move |_| {
        let answer = Response::new(Full::new(Bytes::from(name.clone())));
        async { Ok::<_, Infallible>(answer) }
    });
    match app {
        App::Http1 => {
            let builder = hyper::server::conn::http1::Builder::new();
            drop(builder.serve_connection(TokioIo::new(io), service).await);
        }
        App::Http2 => {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            drop(builder.serve_connection(TokioIo::new(io), service).await);
        }
        App::Bytes | App::Upgrade => {
            if app == App::Upgrade {
                let mut head = [0; 1024];
                assert!(io.read(&mut head).await.unwrap() > 0);
                let switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
                io.write_all(switch).await.unwrap();
            }
            io.write_all(says.as_bytes()).await.unwrap();
            io.flush().await.unwrap();
            let (mut read, mut write) = tokio::io::split(io);
            drop(tokio::io::copy(&mut read, &mut write).await);
            drop(write.shutdown().await);
        }
    }
}

fn ca() -> FileCa {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    FileCa::from_pem(&certificate.pem(), &key.serialize_pem(), net::clock::wall()).unwrap()
}

fn settings(tell_client: bool) -> Resource {
    Resource::WaypointSettings(Arc::new(WaypointSettings {
        tell_client,
        ..WaypointSettings::new("shop".into(), "waypoint".into())
    }))
}

/// A mesh with one pod, whose waypoint names its clients, or does not.
async fn mesh(app: App, tell_client: bool) -> (Mesh, Pod) {
    let ca = Arc::new(ca());
    let credential = Credential::issue(&*ca, &id("cart"), &Config::default()).await;
    let pod = Pod::start(credential.unwrap(), app).await;
    let mesh = Mesh::of(1, ca);
    let protocol = match app {
        App::Http1 | App::Upgrade => AppProtocol::Http11,
        App::Http2 => AppProtocol::Http2,
        App::Bytes => AppProtocol::Tcp,
    };
    mesh.publish([
        settings(tell_client),
        Resource::Service(Arc::new(Service {
            protocols: vec![(80, protocol)],
            ..service()
        })),
        policy(TrafficPolicy::default()),
        pod.workload(),
    ]);
    (mesh, pod)
}

fn text_of(identity: &SpiffeId) -> String {
    identity.to_string()
}

#[tokio::test]
async fn the_client_is_named_where_the_gateway_says_so_and_nowhere_else() {
    for app in [App::Http1, App::Http2] {
        let web = id("web");
        let (silent, pod) = mesh(app, false).await;
        assert_eq!(silent.get_for(client(&web, "10.0.0.5:1")).await, "-");
        assert_eq!(
            silent.get_for(client(&id("admin"), "10.0.0.6:1")).await,
            "-"
        );
        assert_eq!(pod.streams(), 1, "they share it");

        let (telling, pod) = mesh(app, true).await;
        let named = telling.get_for(client(&web, "10.0.0.5:1")).await;
        assert_eq!(named, "spiffe://cluster.local/ns/shop/sa/web");
        // The waypoint itself is nobody's client.
        assert_eq!(telling.get("/").await.unwrap(), "-");
        assert_eq!(pod.streams(), 2);
    }
}

#[tokio::test]
async fn no_stream_speaks_for_another_client() {
    for app in [App::Http1, App::Http2] {
        let (mesh, pod) = mesh(app, true).await;
        let accounts: Vec<SpiffeId> = (0..7).map(|n| id(&format!("account-{n}"))).collect();
        for round in 0..3 {
            let before = pod.streams();
            let asks = (0..210_usize).map(|n| {
                let (mesh, identity) = (&mesh, &accounts[n % 7]);
                // The port of a client does not matter here: it is not told.
                let source = format!("10.0.0.{}:{}", n % 3, 1_000 + n);
                async move {
                    let answer = mesh.get_for(client(identity, &source)).await;
                    assert_eq!(answer, text_of(identity));
                }
            });
            futures_util::future::join_all(asks).await;
            let made = pod.streams() - before;
            if round > 0 || app == App::Http2 {
                let expected = if round > 0 { 0 } else { 21 };
                assert_eq!(made, expected, "{app:?}: one of each identity and address");
            }
        }
        let mut names = pod.names.lock().clone();
        names.sort();
        names.dedup();
        let mut wanted: Vec<String> = accounts.iter().map(text_of).collect();
        wanted.sort();
        assert_eq!(names, wanted);
    }
}

#[tokio::test]
async fn streams_of_before_are_not_used_when_names_begin_or_end() {
    for app in [App::Http1, App::Http2] {
        let (mesh, _pod) = mesh(app, false).await;
        mesh.run();
        let web = id("web");
        for tell in [true, false, true] {
            mesh.get_for(client(&web, "10.0.0.5:0")).await;
            mesh.publish([settings(tell)]);
            let cluster = mesh.cluster();
            until("the settings", || cluster.telling().name == tell).await;
            let expected = if tell { text_of(&web) } else { "-".to_owned() };
            assert_eq!(mesh.get_for(client(&web, "10.0.0.5:0")).await, expected);
        }
    }
}

#[tokio::test]
async fn a_connection_of_bytes_names_its_client_and_a_header_goes_before_the_bytes() {
    let (mesh, pod) = mesh(App::Bytes, true).await;
    let web = id("web");
    let from = client(&web, "10.0.0.5:1");
    assert_eq!(said(&mesh, from).await, format!("{}hello", text_of(&web)));
    assert_eq!(pod.streams(), 1);

    mesh.publish([policy(TrafficPolicy {
        proxy_protocol: Some(ProxyVersion::V1),
        ..TrafficPolicy::default()
    })]);
    mesh.run();
    until("the policy", || mesh.cluster().telling().proxy.is_some()).await;
    // It hears the header as the first of all bytes.
    let heard = said(&mesh, from).await;
    let expected = format!(
        "{}PROXY TCP4 10.0.0.5 10.96.0.1 1 80\r\nhello",
        text_of(&web)
    );
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn an_upgraded_connection_names_its_client() {
    let (mesh, pod) = mesh(App::Upgrade, true).await;
    let mut open = Vec::new();
    for account in ["web", "admin", "web"] {
        let mut request = get("/");
        let headers = request.headers_mut();
        headers.insert("connection", "upgrade".parse().unwrap());
        headers.insert("upgrade", "websocket".parse().unwrap());
        let identity = id(account);
        let asked = mesh
            .send_for(client(&identity, "10.0.0.5:1"), request)
            .await;
        let mut sent = asked.unwrap();
        let upgraded = soon("the upgrade", hyper::upgrade::on(&mut sent.response)).await;
        let mut io = TokioIo::new(upgraded.unwrap());
        let expected = text_of(&identity);
        let mut heard = vec![0; expected.len()];
        soon("the name", io.read_exact(&mut heard)).await.unwrap();
        assert_eq!(String::from_utf8(heard).unwrap(), expected);
        open.push((sent, io));
    }
    assert_eq!(pod.streams(), 3);
}

#[tokio::test]
async fn one_name_is_told_however_many_are_in_the_request() {
    let (mesh, pod) = mesh(App::Http1, true).await;
    let web = id("web");
    let mut request = get("/");
    for value in ["spiffe://cluster.local/ns/shop/sa/admin", ""] {
        let headers = request.headers_mut();
        headers.append("x-ambit-client-principal", value.parse().unwrap());
    }
    let sent = mesh.send_for(client(&web, "10.0.0.5:1"), request).await;
    assert_eq!(text(sent.unwrap()).await, text_of(&web));
    assert_eq!(*pod.names.lock(), [text_of(&web)]);
}

/// Connects for a client, says hello and reads to the end.
async fn said(mesh: &Mesh, from: Client<'_>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap());
    let (near, accepted) = tokio::join!(near, listener.accept());
    let (mut near, (accepted, _)) = (near.unwrap(), accepted.unwrap());
    let relayed = async {
        let by = mesh.worker.on_behalf(from);
        let mut upstream = mesh.cluster().connect(by, mesh.pick()).await.unwrap();
        let mut downstream = net::relay::TcpEnd::new(accepted);
        net::relay::relay(&mut downstream, &mut upstream, &Nothing)
            .await
            .unwrap();
    };
    let talk = async {
        near.write_all(b"hello").await.unwrap();
        near.shutdown().await.unwrap();
        let mut said = String::new();
        near.read_to_string(&mut said).await.unwrap();
        said
    };
    let ((), said) = soon("the bytes", async { tokio::join!(relayed, talk) }).await;
    said
}

struct Nothing;

impl net::relay::Meter for Nothing {
    fn upward(&self, _bytes: u64) {}

    fn downward(&self, _bytes: u64) {}
}
