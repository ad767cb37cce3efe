//! Programs that others wrote at the other end of an HBONE tunnel: curl as a client, Envoy as client and as server.
//! They are fetched by `scripts/peer-curl` and `scripts/peer-envoy`; where they are not, it says so and is skipped.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::process::Process;
use lab::programs::{Nginx, nginx};
use lab::{Ca, Issued, Lab, Leaf, Machine, PodSpec, Start, Ztunnel, eventually, until};
use serde_json::{Value, json};
use suites::hostile::DEADLINE;

/// Where nginx listens in every pod that has one.
const PORT: u16 = 8080;
/// Where Envoy takes what is to go through its own tunnel.
const ENVOY: u16 = 9999;
/// The largest file of nginx.
const BULK_BYTES: usize = 64 << 20;

/// A program that a script of `scripts/` fetches, or `None` and a line that says why.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn peer(name: &str) -> Option<PathBuf> {
    if !lab::possible() {
        return None;
    }
    let place = format!("../../target/peers/{name}/{name}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    let found = path.canonicalize().ok();
    if found.is_none() {
        eprintln!(
            "skipped: {name} of another release is not there (scripts/peer-{name} fetches it)"
        );
    }
    // The wrapper finds its libraries by its own place, so the path must not be one through a link.
    found
}

/// `client` and `web` in the mesh, `peer` outside of it with nginx of its own, and ztunnels on both nodes.
struct Ground {
    lab: Lab,
    near: Ztunnel,
    far: Ztunnel,
    web: Nginx,
    _peer: Nginx,
}

fn ground(name: &str) -> Result<Ground> {
    let lab = Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("web").node(1))
        .pod(PodSpec::new("other").node(1))
        .pod(PodSpec::new("peer").not_enrolled())
        .policy(json!({
            "name": "keep-out", "namespace": "default", "scope": "Namespace", "action": "Deny",
            "rules": [[[{"principals": [{"exact": "cluster.local/ns/default/sa/denied"}]}]]],
        }))
        .build()?;
    let web = nginx(&lab.pod("web"), PORT)?;
    let peer = nginx(&lab.pod("peer"), PORT)?;
    let [near, far] = lab.start_ztunnels(&Start::default())?;
    Ok(Ground {
        lab,
        near,
        far,
        web,
        _peer: peer,
    })
}

/// Runs curl in `peer` through the tunnel of `web`, with more arguments.
fn through(ground: &Ground, curl: &Path, more: &[OsString]) -> Result<lab::Output> {
    let mut line: Vec<OsString> = vec![curl.into()];
    let fixed = [
        "-sS",
        "-m",
        "15",
        "--proxytunnel",
        "--proxy-http2",
        "--proxy-insecure",
    ];
    line.extend(fixed.map(OsString::from));
    line.extend_from_slice(more);
    ground.lab.pod("peer").exec(line)
}

/// `--proxy` with this certificate.
fn as_(ground: &Ground, issued: Option<&Issued>, v6: bool) -> Result<Vec<OsString>> {
    let web = ground.lab.pod("web");
    let ip = if v6 {
        format!("[{}]", web.ip6())
    } else {
        web.ip4().to_string()
    };
    let mut arguments = vec!["--proxy".into(), format!("https://{ip}:15008").into()];
    if let Some(issued) = issued {
        let (chain, key) = issued.write(ground.lab.pod("peer").folder(), "curl")?;
        arguments.extend([
            "--proxy-cert".into(),
            chain.into(),
            "--proxy-key".into(),
            key.into(),
        ]);
    }
    Ok(arguments)
}

#[test]
fn curl_gets_through_with_a_certificate_and_is_refused_without() -> Result<()> {
    let Some(curl) = peer("curl") else {
        return Ok(());
    };
    let ground = ground("curl")?;
    ground.lab.scenario(|| {
        let (web, peer) = (ground.lab.pod("web"), ground.lab.pod("peer"));
        let issue = |uri: &str| ground.lab.ca().issue(&Leaf::new(uri));
        let valid = issue(&peer.identity())?;
        let url = |ip: String, path: &str| OsString::from(format!("http://{ip}:{PORT}{path}"));
        let get = |issued: Option<&Issued>, v6: bool, target: OsString| -> Result<lab::Output> {
            let mut arguments = as_(&ground, issued, v6)?;
            arguments.push(target);
            through(&ground, &curl, &arguments)
        };
        let (ip4, ip6) = (web.ip4().to_string(), format!("[{}]", web.ip6()));

        // It gets through, as who it is and from where it is.
        ensure!(
            get(Some(&valid), false, url(ip4.clone(), "/whoami"))?.ok()?
                == format!("{}\n", peer.ip4())
        );
        ensure!(get(Some(&valid), true, url(ip6, "/whoami"))?.ok()? == format!("{}\n", peer.ip6()));
        let identity = format!("src.identity=\"{}\"", peer.identity());
        ground.far.wait_log(
            &["access", "connection complete", "inbound", &identity],
            DEADLINE,
        )?;
        let bulk = get(Some(&valid), false, url(ip4.clone(), "/bytes/64m"))?;
        ensure!(
            bulk.status.success() && bulk.stdout.len() == BULK_BYTES,
            "{} bytes",
            bulk.stdout.len()
        );
        ensure!(bulk.stdout.iter().all(|byte| *byte == 0), "a wrong byte");

        // And nobody else does.
        let requests = ground.web.access_log();
        let stranger =
            Ca::create(ground.lab.folder(), "stranger")?.issue(&Leaf::new(peer.identity()))?;
        let other_domain = issue("spiffe://other.domain/ns/default/sa/peer")?;
        let shown = [
            ("no certificate", None, "peer showed no certificate"),
            ("another trust domain", Some(&other_domain), "other.domain"),
            (
                "another authority",
                Some(&stranger),
                "peer certificate was issued by",
            ),
        ];
        for (what, issued, line) in shown {
            let refused = get(issued, false, url(ip4.clone(), "/"))?;
            ensure!(
                !refused.status.success() && refused.stdout.is_empty(),
                "{what}: {refused:?}"
            );
            ensure!(refused.errors().contains("alert"), "{what}: {refused:?}");
            ground
                .far
                .wait_log(
                    &["warn", "access", "connection failed", "tls error", line],
                    DEADLINE,
                )
                .context(what)?;
        }
        let denied = issue("spiffe://cluster.local/ns/default/sa/denied")?;
        let other = ground.lab.pod("other").ip4().to_string();
        let asked = [
            ("denied by policy", &denied, ip4, "401"),
            ("another pod's address", &valid, other, "400"),
        ];
        for (what, issued, ip, status) in asked {
            let mut arguments = as_(&ground, Some(issued), false)?;
            // curl keeps the status of an HTTP/2 proxy to itself, unless it is asked what it saw.
            let tell = ["-v", "--trace-config", "all", "-o", "/dev/null"];
            arguments.extend(tell.map(OsString::from));
            arguments.push(url(ip, "/"));
            let refused = through(&ground, &curl, &arguments)?;
            ensure!(!refused.status.success(), "{what}: {}", refused.errors());
            let seen = format!("status: HTTP/2 {status}");
            ensure!(
                refused.errors().contains(&seen),
                "{what}: {}",
                refused.errors()
            );
        }
        ensure!(
            ground.web.access_log() == requests,
            "something of it reached nginx"
        );
        Ok(())
    })
}

/// TLS of Envoy, on either side.
fn tls(kind: &str, folder: &Path, validation: &Value) -> Value {
    let file = |name: &str| json!({"filename": folder.join(name)});
    let mut config = json!({
        "@type": format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}"),
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [{"certificate_chain": file("envoy-cert.pem"), "private_key": file("envoy-key.pem")}],
            "validation_context": {
                "trusted_ca": file("roots.pem"),
                "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": validation}],
            },
        },
    });
    if kind == "DownstreamTlsContext" {
        config["require_client_certificate"] = json!(true);
    }
    json!({"name": "tls", "typed_config": config})
}

fn address(ip: &str, port: u16) -> Value {
    json!({"socket_address": {"address": ip, "port_value": port}})
}

fn cluster(name: &str, ip: &str, port: u16) -> Value {
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "10s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": address(ip, port)}},
        ]}]},
    })
}

/// Envoy as it is in front of and behind a waypoint: it ends HBONE on 15008, and begins it from [`ENVOY`].
fn envoy_config(folder: &Path, web: &Machine, ip: &str) -> Value {
    let filters = "type.googleapis.com/envoy.extensions.filters";
    let line = "%RESPONSE_CODE% %DOWNSTREAM_PEER_URI_SAN% %REQ(:AUTHORITY)% [%REQ(BAGGAGE)%] [%REQ(FORWARDED)%]\n";
    let mut hbone = cluster("hbone", ip, 15008);
    let identity = json!({"exact": format!("spiffe://cluster.local/ns/default/sa/{}", web.name())});
    hbone["transport_socket"] = tls("UpstreamTlsContext", folder, &identity);
    hbone["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {
                "connection_keepalive": {"interval": "1s", "timeout": "5s"},
            }},
        },
    });
    let connect = json!([{"upgrade_type": "CONNECT", "connect_config": {}}]);
    json!({
        "static_resources": {
            "clusters": [hbone, cluster("app", "127.0.0.1", PORT)],
            "listeners": [
                {
                    "name": "outbound", "address": address("127.0.0.1", ENVOY),
                    "filter_chains": [{"filters": [{"name": "tcp", "typed_config": {
                        "@type": format!("{filters}.network.tcp_proxy.v3.TcpProxy"),
                        "stat_prefix": "outbound", "cluster": "hbone",
                        "tunneling_config": {"hostname": format!("{ip}:{PORT}")},
                    }}]}],
                },
                {
                    "name": "inbound", "address": address("0.0.0.0", 15008),
                    "filter_chains": [{
                        "transport_socket": tls("DownstreamTlsContext", folder, &json!({"prefix": "spiffe://cluster.local/"})),
                        "filters": [{"name": "http", "typed_config": {
                            "@type": format!("{filters}.network.http_connection_manager.v3.HttpConnectionManager"),
                            "stat_prefix": "inbound", "codec_type": "HTTP2",
                            "http2_protocol_options": {"allow_connect": true, "max_concurrent_streams": 100},
                            "upgrade_configs": [{"upgrade_type": "CONNECT"}],
                            "access_log": [{"name": "stdout", "typed_config": {
                                "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
                                "log_format": {"text_format_source": {"inline_string": line}},
                            }}],
                            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{
                                "match": {"connect_matcher": {}},
                                "route": {"cluster": "app", "upgrade_configs": connect, "timeout": "0s"},
                            }]}]},
                            "http_filters": [{"name": "router", "typed_config": {
                                "@type": format!("{filters}.http.router.v3.Router"),
                            }}],
                        }}],
                    }],
                },
            ],
        },
    })
}

/// Starts Envoy in `peer`, with the certificate of `peer`.
fn envoy(ground: &Ground, program: &Path) -> Result<Process> {
    let peer = ground.lab.pod("peer");
    let issued = ground.lab.ca().issue(&Leaf::new(peer.identity()))?;
    issued.write(peer.folder(), "envoy")?;
    std::fs::write(peer.folder().join("roots.pem"), ground.lab.ca().root_pem())?;
    let web = ground.lab.pod("web");
    let config = envoy_config(peer.folder(), &web, &web.ip4().to_string());
    let path = peer.folder().join("envoy.json");
    std::fs::write(&path, config.to_string())?;
    let line: Vec<OsString> = vec![
        program.into(),
        "-c".into(),
        path.into(),
        "--concurrency".into(),
        "1".into(),
        "--use-dynamic-base-id".into(),
        "-l".into(),
        "warning".into(),
    ];
    let process = peer.spawn(line)?;
    let ready = || peer.listens(15008) && peer.listens(ENVOY) || !process.is_running();
    until("Envoy listens", Duration::from_secs(30), ready).with_context(|| process.log_tail())?;
    ensure!(process.is_running(), "Envoy ended: {}", process.log_tail());
    Ok(process)
}

/// One file, some small answers at once, and a large body upwards, to whatever is at `url`.
fn works(from: &Machine, url: &str, greeting: &str) -> Result<()> {
    let curl = |more: &[&str]| -> Result<String> {
        let line = ["curl", "-sS", "-m", "15"].iter().chain(more).copied();
        from.exec(line)?.ok()
    };
    let whole = format!("{url}/bytes/64m");
    ensure!(curl(&[&format!("{url}/")])? == greeting);
    let size = curl(&["-o", "/dev/null", "-w", "%{size_download}", &whole])?;
    ensure!(size == BULK_BYTES.to_string(), "{size} bytes");
    let many = curl(&["-Z", "--parallel-max", "40", &format!("{url}/?[1-120]")])?;
    ensure!(
        many == greeting.repeat(120),
        "{} of 120 answers",
        many.lines().count()
    );
    let body = from.folder().join("body");
    std::fs::File::create(&body)?.set_len(8 << 20)?;
    let data = format!("@{}", body.display());
    let posted = curl(&[
        "-o",
        "/dev/null",
        "-w",
        "%{size_upload}",
        "--data-binary",
        &data,
        &format!("{url}/"),
    ])?;
    ensure!(posted == (8 << 20).to_string(), "{posted} bytes upwards");
    Ok(())
}

#[test]
fn envoy_opens_tunnels_to_us() -> Result<()> {
    let Some(program) = peer("envoy") else {
        return Ok(());
    };
    let ground = ground("envoyup")?;
    ground.lab.scenario(|| {
        let envoy = envoy(&ground, &program)?;
        let peer = ground.lab.pod("peer");
        works(
            &peer,
            &format!("http://127.0.0.1:{ENVOY}"),
            "hello from web\n",
        )
        .with_context(|| envoy.log_tail())?;
        let identity = format!("src.identity=\"{}\"", peer.identity());
        ground
            .far
            .wait_log(&["connection complete", "inbound", &identity], DEADLINE)?;
        ensure!(ground.web.access_log().starts_with(&peer.ip4().to_string()));

        // Told to go, it goes and comes back to the next one.
        let status = ground.far.terminate(DEADLINE)?;
        ensure!(status.code() == Some(0), "{status}");
        ground.far.restart()?;
        ground.far.wait_ready()?;
        let url = format!("http://127.0.0.1:{ENVOY}/");
        eventually("through Envoy again", DEADLINE, || {
            peer.exec(["curl", "-sS", "-m", "5", &url])?.ok()
        })?;
        Ok(())
    })
}

#[test]
fn we_open_tunnels_to_envoy() -> Result<()> {
    let Some(program) = peer("envoy") else {
        return Ok(());
    };
    let ground = ground("envoydown")?;
    ground.lab.scenario(|| {
        let envoy = envoy(&ground, &program)?;
        let (client, peer) = (ground.lab.pod("client"), ground.lab.pod("peer"));
        ground.lab.change(|mesh| {
            mesh.workload("peer")
                .map(|peer| peer["protocol"] = json!("HBONE"))
        })??;
        let url = format!("http://{}:{PORT}", peer.ip4());
        eventually("a line of Envoy's", DEADLINE, || {
            client.exec(["curl", "-sS", "-m", "5", &url])?.ok()?;
            let log = envoy.log();
            ensure!(log.contains("200 "), "{log}");
            Ok(())
        })?;
        works(&client, &url, "hello from peer\n").with_context(|| envoy.log_tail())?;
        let head = format!(
            "200 {} {}:{PORT} [k8s.cluster.name=",
            client.identity(),
            peer.ip4()
        );
        let forwarded = format!("[for=\"{}:", client.ip4());
        let log = envoy.log();
        ensure!(
            log.lines()
                .any(|line| line.starts_with(&head) && line.contains(&forwarded)),
            "{log}"
        );
        let ours = format!("dst.identity=\"{}\"", peer.identity());
        ground.near.wait_log(
            &["connection complete", "outbound", ":15008", &ours],
            DEADLINE,
        )?;
        // Gone, it is gone for those who call; back, it is back.
        drop(envoy);
        let gone = client.exec(["curl", "-sS", "-m", "5", &url])?;
        ensure!(!gone.status.success(), "{gone:?}");
        Ok(())
    })
}
