//! A policy that changes while something is under way: what it now denies is cut, everything else goes on.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use anyhow::{Result, ensure};
use lab::until;
use suites::policy::PATIENCE;
use suites::traffic::dial;
use suites::waypoint::{Ground, TCP, authorization_policy};

fn policy(rule: &str) -> String {
    let spec = format!(
        "targetRefs: [{{kind: Service, group: '', name: web}}]\naction: DENY\nrules:\n- {rule}\n"
    );
    authorization_policy("policy", &spec)
}

/// A download that takes minutes; ends with its owner.
struct Download(Child);

impl Drop for Download {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Download {
    fn start(ground: &Ground, kind: &str, http2: bool) -> Result<Self> {
        let client = ground.pod("client");
        let url = format!(
            "http://{}/stream?chunks=3000&every_ms=100",
            ground.vip("web")?
        );
        let kind = format!("x-kind: {kind}");
        let mut command = Command::new("curl");
        command
            .args(["-sSN", "-o", "/dev/null", "-H", &kind, &url])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if http2 {
            command.arg("--http2-prior-knowledge");
        }
        Ok(Self(client.run(|| command.spawn())??))
    }

    fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

#[test]
fn requests_and_connections_that_a_new_policy_denies_are_cut() -> Result<()> {
    let Some(ground) = Ground::builder("flips").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        // What a policy looks at is kept; a header that none looked at when a request came would be missing later.
        let of_nobody = "{from: [{source: {namespaces: [nowhere]}}], when: [{key: 'request.headers[x-kind]', values: [VALUE]}]}";
        ground.apply("policy", &policy(&of_nobody.replace("VALUE", "cut")))?;
        let mut kept = [
            Download::start(&ground, "kept", false)?,
            Download::start(&ground, "kept", true)?,
        ];
        let mut cut = [
            Download::start(&ground, "cut", false)?,
            Download::start(&ground, "cut", true)?,
        ];
        let mut tcp = dial(&ground.pod("client"), (ground.vip("web")?, TCP).into())?;
        tcp.write_all(b"GET /open HTTP/1.1\r\nhost: x\r\n\r\n")?;
        let mut buffer = [0; 4096];
        ensure!(tcp.read(&mut buffer)? > 0);
        until("four downloads", PATIENCE, || ground.requests("v") == 5)?;

        // A change that concerns nothing of it.
        ground.apply(
            "policy",
            &policy(&of_nobody.replace("VALUE", "kept")),
        )?;
        ensure!(kept.iter_mut().chain(&mut cut).all(Download::runs));

        ground.apply(
            "policy",
            &policy("when: [{key: 'request.headers[x-kind]', values: [cut]}]"),
        )?;
        until("two downloads end", PATIENCE, || {
            !cut.iter_mut().any(Download::runs)
        })?;
        ensure!(
            kept.iter_mut().all(Download::runs),
            "a download that is allowed was cut"
        );

        // On a TCP port that rule denies without the header.
        let ended = match tcp.read(&mut buffer) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        ensure!(ended, "an open connection went on");
        Ok(())
    })
}
