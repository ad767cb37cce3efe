//! What the suites of the controller share: what it says of manifests and of its clients, what its clients have, and
//! clients that others wrote.
//!
//! In: labs, names, texts. Out: findings, conditions, counts, answers of other programs, and how long things took.
//! Never: asserts a time; the suites print it.
//!
//! Reading order: this file, then [`stream`] (a connection whose bytes are counted),
//! [`calls`] (new connections all the time), [`peers`] (the other programs).

pub mod calls;
pub mod peers;
pub mod stream;

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use lab::{Controller, Lab, Ztunnel, eventually};
use serde_json::Value;

pub use self::calls::Calls;
pub use self::peers::{Csr, Grpcurl, Seat};
pub use self::stream::Stream;
use crate::policy::PATIENCE;

/// Runs `work` and says how long it took.
///
/// # Errors
///
/// Those of `work`.
#[expect(
    clippy::print_stderr,
    reason = "a time is told to people and not asserted"
)]
pub fn timed<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let value = work().with_context(|| what.to_owned())?;
    eprintln!("{what}: {} ms", begun.elapsed().as_millis());
    Ok(value)
}

/// Puts a file of manifests into the folder, or replaces it.
///
/// # Errors
///
/// When it cannot be written.
pub fn write(lab: &Lab, name: &str, yaml: &str) -> Result<()> {
    lab.change(|mesh| mesh.manifest(name, yaml))
}

/// Removes such a file.
///
/// # Errors
///
/// When it cannot be removed.
pub fn remove(lab: &Lab, name: &str) -> Result<()> {
    lab.change(|mesh| mesh.remove_manifest(name))
}

/// The findings of `/debug/status` that hold all of `texts`, each with whether it is a refusal.
///
/// # Errors
///
/// When there is no answer.
pub fn findings(controller: &Controller, texts: &[&str]) -> Result<Vec<(bool, String)>> {
    let page = controller.page("/debug/status")?;
    let all = page["findings"].as_array().context("findings")?;
    Ok(all
        .iter()
        .map(|it| {
            let text = it["text"].as_str().unwrap_or_default().to_owned();
            (it["refused"] == true, text)
        })
        .filter(|(_, text)| texts.iter().all(|it| text.contains(it)))
        .collect())
}

/// Waits for exactly one finding with all of `texts`, and returns it.
///
/// # Errors
///
/// When there is none, or more.
pub fn wait_finding(controller: &Controller, texts: &[&str]) -> Result<(bool, String)> {
    eventually(&format!("a finding with {texts:?}"), PATIENCE, || {
        let found = findings(controller, texts)?;
        ensure!(
            found.len() == 1,
            "{found:?} of {:?}",
            findings(controller, &[])?
        );
        found.into_iter().next().context("counted above")
    })
}

/// Waits for a condition of an object (`Kind namespace/name`), and returns it.
///
/// # Errors
///
/// When there is none.
pub fn wait_condition(controller: &Controller, object: &str, kind: &str) -> Result<Value> {
    eventually(&format!("{kind} of {object}"), PATIENCE, || {
        let page = controller.page("/debug/status")?;
        let listed = page["conditions"][object].as_array().cloned();
        let found = listed
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == kind);
        found.with_context(|| format!("conditions are {:#}", page["conditions"]))
    })
}

/// The names of what a ztunnel has of one list of `/config_dump`: `workloads`, `services` or `policies`.
///
/// # Errors
///
/// When there is no answer.
pub fn names(ztunnel: &Ztunnel, list: &str) -> Result<Vec<String>> {
    let dump = ztunnel.config_dump()?;
    let mut names: Vec<String> = dump[list]
        .as_array()
        .with_context(|| list.to_owned())?
        .iter()
        .filter_map(|it| it["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

/// Waits until a ztunnel has a policy, or has it no more.
///
/// # Errors
///
/// When it stays otherwise.
pub fn wait_policy(ztunnel: &Ztunnel, name: &str, there: bool) -> Result<()> {
    eventually(&format!("policy {name} there: {there}"), PATIENCE, || {
        let names = names(ztunnel, "policies")?;
        ensure!(names.iter().any(|it| it == name) == there, "{names:?}");
        Ok(())
    })
}

/// The serial number of the certificate that a ztunnel has for an identity, in decimal.
///
/// # Errors
///
/// When it has none.
pub fn serial(ztunnel: &Ztunnel, identity: &str) -> Result<String> {
    let dump = ztunnel.config_dump()?;
    let all = dump["certificates"].as_array().context("certificates")?;
    let found = all
        .iter()
        .find(|it| it["identity"] == identity)
        .with_context(|| format!("no certificate of {identity} in {all:?}"))?;
    let serial = found["certChain"][0]["serialNumber"].as_str();
    Ok(serial.context("no chain")?.to_owned())
}

/// Waits until a ztunnel has another certificate for an identity than `before`.
///
/// # Errors
///
/// When it keeps it.
pub fn wait_renewed(ztunnel: &Ztunnel, identity: &str, before: &str) -> Result<()> {
    eventually(
        &format!("a new certificate of {identity}"),
        PATIENCE,
        || {
            ensure!(
                serial(ztunnel, identity)? != before,
                "it is still {before}; the log ends with\n{}",
                ztunnel.log_tail()
            );
            Ok(())
        },
    )
}

/// A node's client in `/debug/syncz`, by the node that its token names.
///
/// # Errors
///
/// When it is not connected.
pub fn client(controller: &Controller, node: &str) -> Result<Value> {
    let page = controller.page("/debug/syncz")?;
    let all = page.as_array().context("syncz")?;
    let found = all.iter().find(|it| it["node"] == node);
    found
        .cloned()
        .with_context(|| format!("no client of {node} in {page:#}"))
}

/// Waits until both nodes' clients have acknowledged all there is, and returns them.
///
/// # Errors
///
/// When one does not.
pub fn wait_synced(controller: &Controller) -> Result<[Value; 2]> {
    let synced = |node: &str| -> Result<Value> {
        eventually(&format!("{node} in sync"), PATIENCE, || {
            let client = client(controller, node)?;
            for of in [ADDRESS, AUTHORIZATION] {
                ensure!(
                    client["resources"][of]["status"] == "SYNCED",
                    "{of}: {client:#}"
                );
            }
            Ok(client)
        })
    };
    Ok([synced("node1")?, synced("node2")?])
}

/// Short names of types in `/debug/syncz`.
pub const ADDRESS: &str = "istio.workload.Address";
/// See [`ADDRESS`].
pub const AUTHORIZATION: &str = "istio.security.Authorization";
