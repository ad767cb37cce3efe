//! Where keys come from: services of the mesh, hosts past it, discovery, TLS under a root of the operator's own.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use lab::{Ca, Issued, Leaf, Pod, PodSpec, Process, Start, eventually};
use serde_json::json;
use suites::asked::{Answerer, Issuer, Kind};
use suites::policy::PATIENCE;
use suites::traffic::nameserver::Nameserver;
use suites::waypoint::{Ground, authorization_policy, manifest};

use super::{ISSUER, NOT_FETCHED, OTHER, at, authentication, bearer, passes, refuses, with_host};

/// A name that only the suite's own server of names knows.
const NAME: &str = "keys.far.example";

fn far() -> PodSpec {
    PodSpec::new("far").node(0).namespace("town").not_enrolled()
}

#[test]
fn keys_come_from_the_mesh_past_it_and_from_where_issuers_say() -> Result<()> {
    let builder = with_host(with_host(Ground::builder("hosts"), "keys"), "idp");
    let Some(ground) = builder.pod(far()).build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let folder = ground.lab.folder();
        let far = ground.pod("far");
        let names = Nameserver::start(ground.lab.outside())?;
        names.set(NAME, far.addresses());
        let resolver = format!("nameserver {}\n", ground.lab.outside_addresses().ip4);
        ground.pod("waypoint").set_resolver(&resolver)?;
        let issuers = [
            ISSUER.to_owned(),
            OTHER.to_owned(),
            "http://idp.shop.svc.cluster.local/realm".to_owned(),
            format!("http://{}:8081/tenant/", far.ip4()),
            "https://by.name.example".to_owned(),
        ];
        let signers: Vec<Issuer> = issuers
            .iter()
            .enumerate()
            .map(|(number, issuer)| Issuer::new(folder, issuer, &format!("key-{number}"), Kind::Ec))
            .collect::<Result<_>>()?;
        let serve = |number: usize, pod: &str, port: u16| -> Result<Answerer> {
            let signer = signers.get(number).context("a signer")?;
            let keys = Issuer::set(&[signer])?;
            Answerer::start(&ground.pod(pod), port, Issuer::host(signer.issuer(), &keys))
        };
        let hosts = [
            serve(0, "keys", 8080)?,
            serve(1, "far", 8080)?,
            serve(2, "idp", 8080)?,
            serve(3, "far", 8081)?,
            serve(4, "far", 8082)?,
        ];
        // Hosts in the mesh take nothing but the mesh, and this one nobody but the waypoint.
        let strict = "mtls: {mode: STRICT}";
        ground.apply("strict", &manifest("security.istio.io/v1", "PeerAuthentication", "strict", strict))?;
        let only = "selector: {matchLabels: {app: keys}}\nrules:\n- from: [{source: {principals: [cluster.local/ns/shop/sa/waypoint]}}]\n";
        ground.apply("keys", &authorization_policy("keys", only))?;
        let direct = ground.get("/keys").to("keys", 80).run(&[])?;
        ensure!(!direct.status.success(), "{direct:?}");
        ground.apply(
            "tokens",
            &authentication(&[
                at(ISSUER, "http://keys.shop.svc.cluster.local/keys", ""),
                at(OTHER, &format!("http://{}:8080/keys", far.ip4()), ""),
                format!("issuer: '{}'", issuers[2]),
                format!("issuer: '{}'", issuers[3]),
                at(&issuers[4], &format!("http://{NAME}:8082/keys"), ""),
            ]),
        )?;
        for host in &hosts {
            ensure!(host.asked().is_empty(), "nobody has shown a token yet");
        }
        for signer in &signers {
            let token = signer.sign(&signer.token("alice"))?;
            let request = bearer(&ground, "/?mine=secret", &token).header("cookie: mine=secret");
            for _ in 0..10 {
                passes(&request).with_context(|| signer.issuer().to_owned())?;
            }
        }
        let document = "/.well-known/openid-configuration";
        let (of_mesh, of_far) = (format!("/realm{document}"), format!("/tenant{document}"));
        let expected: [&[&str]; 5] = [&["/keys"], &["/keys"], &[&of_mesh, "/keys"], &[&of_far, "/keys"], &["/keys"]];
        let waypoint = ground.pod("waypoint").addresses().both();
        for (host, expected) in hosts.iter().zip(expected) {
            let asked = host.asked();
            let paths: Vec<&str> = asked.iter().map(|it| it.request.uri().path()).collect();
            ensure!(paths == expected, "{paths:?}, expected {expected:?}");
            for question in &asked {
                ensure!(waypoint.contains(&question.client.ip().to_canonical()), "{question:?}");
                let text = format!("{:?}", question.request);
                ensure!(!text.contains("secret") && question.header("authorization").is_empty(), "{text}");
            }
        }
        Ok(())
    })
}

/// nginx with TLS on a port for each certificate.
fn nginx(pod: &Pod, www: &Path, certificates: &[(u16, &Issued)]) -> Result<Process> {
    let place = www.display();
    let mut servers = String::new();
    for (port, issued) in certificates {
        let (chain, key) = issued.write(www, &port.to_string())?;
        servers.push_str(&format!(
            "server {{ listen 0.0.0.0:{port} ssl; ssl_certificate {}; ssl_certificate_key {}; root {place}; \
             location = /moved {{ return 301 /keys; }} }}\n",
            chain.display(),
            key.display()
        ));
    }
    let config = format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {place}/pid;\nerror_log stderr warn;\nevents {{ }}\nhttp {{\n\
         access_log {place}/access.log;\ndefault_type application/json;\nclient_body_temp_path {place}/body; proxy_temp_path {place}/proxy;\n\
         fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;\n\
         server {{ listen 0.0.0.0:8080; return 301 https://$host:8443$request_uri; }}\n{servers}}}\n"
    );
    let path = www.join("nginx.conf");
    fs::write(&path, config)?;
    let (place, path) = (place.to_string(), path.display().to_string());
    let process = pod.spawn(["nginx", "-p", &place, "-e", "stderr", "-c", &path])?;
    for (port, _) in certificates {
        pod.wait_listens(*port, PATIENCE)?;
    }
    Ok(process)
}

fn certificates(folder: &Path, ip: Ipv4Addr) -> Result<(Ca, [(u16, Issued); 4])> {
    let (ours, foreign) = (
        Ca::create(folder, "keys-ca")?,
        Ca::create(folder, "foreign-ca")?,
    );
    let leaf = |name: &str| Leaf::new("spiffe://unused").without_uris().dns(name);
    let here = || leaf(&ip.to_string()).dns(NAME);
    let (hour, now) = (Duration::from_secs(3600), SystemTime::now());
    let issued = [
        (8443, ours.issue(&here())?),
        (8444, foreign.issue(&here())?),
        (8445, ours.issue(&leaf("other.far.example"))?),
        (8446, ours.issue(&here().valid(now - 2 * hour, now - hour))?),
    ];
    Ok((ours, issued))
}

#[test]
fn a_host_with_a_root_of_the_operators_own_is_believed_and_no_other() -> Result<()> {
    let builder = Ground::builder("root").pod(far()).waypoints(0);
    let Some(mut ground) = builder.build()? else {
        return Ok(());
    };
    let far = ground.pod("far");
    let www = far.folder().join("www");
    fs::create_dir_all(www.join("tenant/.well-known"))?;
    let (ca, issued) = certificates(&www, far.ip4())?;
    let root = Start::default().env("JWKS_ROOT_CA", ca.cert_path().display().to_string());
    ground
        .waypoints
        .push(ground.lab.start_waypoint("waypoint", &root)?);
    let signer = Issuer::new(&www, ISSUER, "one", Kind::Rsa)?;
    fs::write(www.join("keys"), Issuer::set(&[&signer])?.to_string())?;
    let base = format!("https://{}:8443", far.ip4());
    for (name, keys) in [("tenant", "https"), ("down", "http")] {
        let folder = www.join(format!("{name}/.well-known"));
        fs::create_dir_all(&folder)?;
        let uri = format!("{keys}://{}:8443/keys", far.ip4());
        let document = json!({"issuer": format!("{base}/{name}"), "jwks_uri": uri});
        fs::write(folder.join("openid-configuration"), document.to_string())?;
    }
    let ports: Vec<(u16, &Issued)> = issued
        .iter()
        .map(|(port, issued)| (*port, issued))
        .collect();
    let _nginx = nginx(&far, &www, &ports)?;

    // An issuer, its rule, and what the log says of its host; nothing: it is believed.
    let uri = |port: u16, path: &str| format!("https://{}:{port}{path}", far.ip4());
    let cases = [
        (
            "https://ours.example".to_owned(),
            Some(uri(8443, "/keys")),
            "",
        ),
        (format!("{base}/tenant"), None, ""),
        (
            "https://foreign.example".to_owned(),
            Some(uri(8444, "/keys")),
            "UnknownIssuer",
        ),
        (
            "https://name.example".to_owned(),
            Some(uri(8445, "/keys")),
            "certificate is only valid for",
        ),
        (
            "https://expired.example".to_owned(),
            Some(uri(8446, "/keys")),
            "xpired",
        ),
        (
            "https://plain.example".to_owned(),
            Some(uri(8080, "/keys")),
            "TLS with",
        ),
        (
            "https://moved.example".to_owned(),
            Some(uri(8443, "/moved")),
            "status is 301",
        ),
        (
            "https://gone.example".to_owned(),
            Some(uri(8443, "/gone")),
            "status is 404",
        ),
        (format!("{base}/down"), None, "expected https"),
    ];
    ground.lab.scenario(|| {
        ground.wait_synced()?;
        let rules: Vec<String> = cases
            .iter()
            .map(|(issuer, uri, _)| match uri {
                Some(uri) => at(issuer, uri, ""),
                None => format!("issuer: '{issuer}'"),
            })
            .collect();
        ground.apply("tokens", &authentication(&rules))?;
        for (issuer, _, reason) in &cases {
            let mark = ground.mark();
            let token = signer.sign(&signer.token("alice").claim("iss", issuer.as_str()))?;
            let request = bearer(&ground, "/", &token);
            if reason.is_empty() {
                passes(&request).with_context(|| issuer.clone())?;
                continue;
            }
            refuses(&request, 401, NOT_FETCHED).with_context(|| issuer.clone())?;
            eventually(issuer, PATIENCE, || {
                let lines = mark.lines(ground.waypoint(), &["cannot be fetched", reason]);
                ensure!(
                    !lines.is_empty(),
                    "{:?}",
                    mark.lines(ground.waypoint(), &["fetched"])
                );
                Ok(())
            })?;
        }
        Ok(())
    })?;

    // Without the setting the system's roots decide.
    let before = ground.waypoints.remove(0);
    before.terminate(PATIENCE)?;
    ground
        .waypoints
        .push(ground.lab.start_waypoint("waypoint", &Start::default())?);
    ground.lab.scenario(|| {
        ground.wait_synced()?;
        let token = signer.sign(&signer.token("alice").claim("iss", "https://ours.example"))?;
        refuses(&bearer(&ground, "/", &token), 401, NOT_FETCHED)?;
        passes(&ground.get("/"))?;
        Ok(())
    })
}
