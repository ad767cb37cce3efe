//! A certificate of a joined pod that is taken back: what is open to it ends, and it is not joined again (ID-07).

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Config, Lab, PodSpec, Start, Ztunnel, eventually, until};
use suites::policy::{Call, Echo, Fields, Mark, PATIENCE, Seen, log};
use suites::traffic::certified;

use super::counted;

/// What a connection's line says that ended for it.
const REVOKED: &str = "connection closed: peer certificate revoked by CRL";

/// `client`, `other` and `server` on one node, and a list of revoked certificates.
struct Ground {
    lab: Lab,
    near: Ztunnel,
    list: PathBuf,
    server: Echo,
}

fn ground(name: &str, capture: Capture) -> Result<Option<Ground>> {
    if !lab::possible() {
        return Ok(None);
    }
    let lab = Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("other"))
        .pod(PodSpec::new("server"))
        .capture(capture)
        .config(Config::File)
        .build()?;
    let list = lab.folder().join("crl.pem");
    fs::write(&list, lab.ca().revoke(1, &[])?)?;
    let server = Echo::start(&lab.pod("server"), &[8080])?;
    let start = Start::default().env("CRL_PATH", list.display().to_string());
    let near = lab.start_ztunnel(0, &start)?;
    certified(&near)?;
    Ok(Some(Ground {
        lab,
        near,
        list,
        server,
    }))
}

impl Ground {
    fn open(&self, from: &str) -> Result<Call> {
        let server = self.lab.pod("server");
        Call::open(
            &self.lab.pod(from),
            SocketAddr::new(server.ip4().into(), 8080),
        )
    }

    fn answered(&self, from: &str) -> Result<Call> {
        let mut call = self.open(from)?;
        ensure!(call.ping()? == Seen::Answered, "{from} was refused");
        Ok(call)
    }

    /// The serial number of the certificate that a pod has now, as a list has it.
    fn serial(&self, pod: &str) -> Result<Vec<u8>> {
        let identity = self.lab.pod(pod).identity();
        let dump = self.near.config_dump()?;
        let mut certificates = dump["certificates"].as_array().into_iter().flatten();
        let one = certificates.find(|one| one["identity"] == *identity);
        let serial = one.and_then(|one| one["certChain"][0]["serialNumber"].as_str());
        let serial = serial.with_context(|| format!("no certificate of {identity}"))?;
        decimal(serial).with_context(|| serial.to_owned())
    }

    /// Takes the certificate of one end back.
    fn play(&self, revoked: &str) -> Result<()> {
        let (mut cut, mut stays) = (self.answered("client")?, self.answered("other")?);
        ensure!(counted(&self.near, "same_node")? == [2.0, 2.0]);
        let mark = Mark::now(&self.near);
        let revoked_list = self.lab.ca().revoke(2, &[self.serial(revoked)?])?;
        fs::write(&self.list, revoked_list)?;
        cut.wait_end(PATIENCE)?;
        // Both sides say why.
        let source = log::source(cut.local());
        let mut directions = Vec::new();
        for line in mark.wait(&self.near, &[REVOKED, &source], 2)? {
            directions.push(Fields::parse(&line)?.get("direction")?.to_owned());
        }
        directions.sort_unstable();
        ensure!(directions == ["inbound", "outbound"], "{directions:?}");
        // What comes now is not joined, and the tunnel that is tried in its place is refused.
        let reached = self.server.accepted();
        for _ in 0..3 {
            let mut refused = self.open("client")?;
            ensure!(
                refused.ping()? == Seen::Closed,
                "a new connection was let in"
            );
        }
        if revoked == "client" {
            // Somebody else's is not the one that was taken back.
            ensure!(stays.ping()? == Seen::Answered, "somebody else was cut");
            drop(self.answered("other")?);
        } else {
            stays.wait_end(PATIENCE)?;
            ensure!(self.open("other")?.ping()? == Seen::Closed);
        }
        let more = usize::from(revoked == "client");
        ensure!(
            self.server.accepted() == reached + more,
            "it reached the application"
        );
        // With a new certificate all is well again.
        self.near.restart()?;
        self.near.wait_ready()?;
        eventually("a new certificate", PATIENCE, || {
            self.answered("client").map(drop)
        })?;
        until("the pods joined again", PATIENCE, || {
            self.answered("client").is_ok()
                && counted(&self.near, "same_node").is_ok_and(|[client, _]| client > 0.5)
        })
    }
}

/// A number in decimal digits as bytes, the highest first.
fn decimal(digits: &str) -> Result<Vec<u8>> {
    // The lowest first, while it grows.
    let mut bytes: Vec<u8> = Vec::new();
    for digit in digits.chars() {
        let mut carry = digit.to_digit(10).context("a decimal digit")?;
        for byte in &mut bytes {
            carry += u32::from(*byte) * 10;
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        if carry > 0 {
            bytes.push(u8::try_from(carry)?);
        }
    }
    bytes.reverse();
    Ok(bytes)
}

/// One end after the other, each with a certificate of its own.
fn revoked(capture: Capture) -> Result<()> {
    for end in ["client", "server"] {
        let Some(ground) = ground(&format!("crl{end}"), capture)? else {
            return Ok(());
        };
        ground.lab.scenario(|| ground.play(end).context(end))?;
    }
    Ok(())
}

#[test]
fn joined_connection_is_cut_by_a_list_that_names_either_end_with_agent_capture() -> Result<()> {
    revoked(Capture::Agent)
}

#[test]
fn joined_connection_is_cut_by_a_list_that_names_either_end_with_iptables_capture() -> Result<()> {
    revoked(Capture::Iptables)
}

#[test]
fn joined_connection_is_cut_by_a_list_that_names_either_end_with_ebpf_capture() -> Result<()> {
    revoked(Capture::Ebpf)
}
