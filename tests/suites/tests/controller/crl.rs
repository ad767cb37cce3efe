//! Certificates that are taken back while they are in use (ID-07).

use std::fs;

use anyhow::{Context as _, Result, ensure};
use lab::{Controller, Lab, PodSpec, Start, Ztunnel, eventually};
use suites::plane::timed;
use suites::policy::{Call, Echo, PATIENCE, Seen};

/// What a connection's line says that ended for it.
const REVOKED: &str = "connection closed: peer certificate revoked by CRL";

/// The serial number, in hexadecimal, of the certificate that the controller signed last for an identity.
fn signed(controller: &Controller, identity: &str) -> Result<String> {
    let identity = format!("identity={identity}");
    // The log is written by a thread of its own, a moment later.
    controller.wait_log(&["certificate signed", &identity], PATIENCE)?;
    let log = controller.log();
    let line = log
        .lines()
        .rfind(|line| line.contains("certificate signed") && line.contains(&identity))
        .with_context(|| format!("no {identity}:\n{}", controller.log_tail()))?;
    let (_, rest) = line.split_once("serial=").context("serial=")?;
    let serial: String = rest
        .trim_start_matches('"')
        .chars()
        .take_while(|c| c.is_ascii_hexdigit())
        .collect();
    Ok(serial)
}

/// `client` and `other` on the first node, `server` on the second.
struct Ground {
    lab: Lab,
    near: Ztunnel,
    far: Ztunnel,
    _server: Echo,
}

fn ground(name: &str, own_root: bool) -> Result<Ground> {
    let mut builder = Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("other"))
        .pod(PodSpec::new("server").node(1));
    if own_root {
        builder = builder.own_root();
    }
    let lab = builder.build()?;
    let server = Echo::start(&lab.pod("server"), &[8080])?;
    let list = lab.controller()?.state().join("ca-crl.pem");
    let start = Start::default().env("CRL_PATH", list.display().to_string());
    let [near, far] = lab.start_ztunnels(&start)?;
    Ok(Ground {
        lab,
        near,
        far,
        _server: server,
    })
}

impl Ground {
    fn open(&self, from: &str) -> Result<Call> {
        let to = (self.lab.pod("server").ip4(), 8080).into();
        let mut call = Call::open(&self.lab.pod(from), to)?;
        ensure!(call.ping()? == Seen::Answered, "{from} was refused");
        Ok(call)
    }

    /// Takes the client's certificate back by `revoke`, and looks at what becomes of everybody.
    fn play(&self, revoke: impl FnOnce(&str) -> Result<()>) -> Result<()> {
        let controller = self.lab.controller()?;
        let (mut cut, mut stays) = (self.open("client")?, self.open("other")?);
        let serial = signed(&controller, &self.lab.pod("client").identity())?;
        timed(
            "a certificate that is taken back, until its connection ends",
            || {
                revoke(&serial)?;
                cut.wait_end(PATIENCE)
            },
        )?;
        self.far
            .wait_log(&["access", "inbound", REVOKED], PATIENCE)?;
        ensure!(self.open("client").is_err(), "a new connection was let in");
        ensure!(stays.ping()? == Seen::Answered, "somebody else was cut");
        drop(self.open("other")?);
        let metric = |name: &str| self.far.metric(name, &[]);
        eventually("the metrics of the list", PATIENCE, || {
            ensure!(metric("istio_crl_lists")? >= 1.0);
            ensure!(metric("istio_crl_revoked_certificates")? >= 1.0);
            ensure!(metric("istio_crl_refused_handshakes_total")? >= 1.0);
            ensure!(metric("istio_crl_loaded_timestamp_seconds")? > 1e9);
            let loads = self
                .far
                .metric("istio_crl_reloads_total", &[("result", "success")])?;
            ensure!(loads >= 1.0, "{loads} loads");
            Ok(())
        })?;
        // With a new certificate all is well again: it was the certificate that was taken back, not the identity.
        self.near.restart()?;
        self.near.wait_ready()?;
        eventually("a new certificate", PATIENCE, || {
            self.open("client").map(drop)
        })
    }
}

#[test]
fn a_certificate_on_the_operators_list_ends_its_connections() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let ground = ground("crl", false)?;
    ground.lab.scenario(|| {
        let controller = ground.lab.controller()?;
        let plugged = ground.lab.cacerts_path().join("ca-crl.pem");
        let published = controller.state().join("ca-crl.pem");
        fs::write(&plugged, ground.lab.ca().revoke(1, &[])?)?;
        lab::until("an empty list is passed on", PATIENCE, || {
            published.exists()
        })?;
        drop(ground.open("client")?);
        // A list that somebody else has signed is not passed on.
        let before = fs::read(&published)?;
        let stranger = lab::Ca::create(ground.lab.folder(), "stranger")?;
        fs::write(&plugged, stranger.revoke(2, &[vec![1]])?)?;
        controller.wait_log(&["ca-crl.pem", "goes on with what it has"], PATIENCE)?;
        ensure!(fs::read(&published)? == before);

        ground.play(|serial| {
            let bytes: Result<Vec<u8>, _> = (0..serial.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(serial.get(at..at + 2).unwrap_or("?"), 16))
                .collect();
            Ok(fs::write(&plugged, ground.lab.ca().revoke(3, &[bytes?])?)?)
        })
    })
}

#[test]
fn a_certificate_that_the_controllers_own_root_revokes_ends_its_connections() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let ground = ground("revoke", true)?;
    ground.lab.scenario(|| {
        let controller = ground.lab.controller()?;
        ground.play(|serial| controller.order(&["revoke", serial]).map(drop))
    })
}
