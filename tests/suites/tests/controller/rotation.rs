//! One root after another, while connections are open and new ones come all the time.

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, PodSpec, Start, eventually};
use std::time::Duration;
use suites::plane::{Calls, Stream, serial, timed, wait_renewed};
use suites::policy::Echo;

/// A stage lasts as long as the longest leaf and as much again: the deadline leaves room.
const STAGE: Duration = Duration::from_secs(60);

#[test]
#[expect(clippy::print_stderr, reason = "counts are told to people")]
fn a_root_is_replaced_and_no_connection_is_lost() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("rotate")
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("server").node(1))
        .own_root()
        .build()?;
    let _server = Echo::start(&lab.pod("server"), &[8080, 9090])?;
    let more = ["--max-cert-ttl", "6s"].map(std::ffi::OsString::from);
    let controller = lab.start_controller(&more)?;
    let [near, far] = lab.start_ztunnels(&Start::default().env("SECRET_TTL", "6s"))?;
    lab.scenario(|| {
        let read = || std::fs::read_to_string(controller.root()).context("root-cert.pem");
        let stage = |expected: &str| {
            eventually(&format!("stage {expected}"), STAGE, || {
                let page = controller.page("/debug/caz")?;
                ensure!(
                    page["rotation"] == expected && page["mode"] == "self-signed",
                    "{page:#}"
                );
                Ok(())
            })
        };
        let (client, server) = (lab.pod("client"), lab.pod("server"));
        let to = |port| std::net::SocketAddr::new(server.ip4().into(), port);
        let (bytes, flow) = (
            Stream::start(&client, to(9090))?,
            Calls::start(&client, to(8080))?,
        );
        let goes_on = |what: &str| -> Result<()> {
            // Under certificates that were issued in this stage.
            timed("certificates of this stage", || {
                for (ztunnel, pod) in [(&near, &client), (&far, &server)] {
                    wait_renewed(ztunnel, &pod.identity(), &serial(ztunnel, &pod.identity())?)?;
                }
                Ok(())
            })?;
            flow.goes_on()
                .and_then(|()| bytes.goes_on())
                .context(what.to_owned())
        };
        let old = read()?;
        stage("steady")?;
        controller.order(&["rotate-root"])?;
        timed("the next root is told", || stage("announced"))?;
        ensure!(read()?.contains(old.trim()) && read()?.matches("BEGIN CERTIFICATE").count() == 2);
        goes_on("announced")?;
        timed("the next root signs", || stage("switched"))?;
        ensure!(read()?.contains(old.trim()) && read()?.matches("BEGIN CERTIFICATE").count() == 2);
        goes_on("switched")?;
        timed("the old root is gone", || stage("steady"))?;
        let new = read()?;
        ensure!(!new.contains(old.trim()) && new.matches("BEGIN CERTIFICATE").count() == 1);
        goes_on("steady")?;
        let (calls, bytes) = (flow.finish()?, bytes.finish()?);
        eprintln!("{calls} calls, and {bytes} bytes there and back on one connection");
        // The controller's own certificate is of the new root as well: who begins now believes nothing else.
        timed("a ztunnel that begins with the new root", || {
            near.restart()?;
            near.wait_ready()?;
            let flow = Calls::start(&client, to(8080))?;
            flow.finish().map(drop)
        })?;
        for ztunnel in [&near, &far] {
            let bad = ztunnel.log_lines(&["access", "tls error"]);
            ensure!(bad.is_empty(), "{bad:#?}");
        }
        Ok(())
    })
}
