//! What the controller was given, and who asked it: read from its own pages and metrics.

use anyhow::{Context as _, Result, ensure};
use lab::Controller;

use crate::stage::PROXIES;

/// What there is to tell of it.
#[derive(Debug)]
pub(crate) struct Control {
    /// For example `8 workloads, 3 services and 2 policies`.
    pub(crate) resources: String,
    /// The proxies that are connected.
    pub(crate) proxies: Vec<String>,
    /// How many certificates it has signed.
    pub(crate) certificates: u64,
}

/// Asks it.
pub(crate) fn account(controller: &Controller) -> Result<Control> {
    let mesh = controller.page("/debug/ambientz")?;
    let count = |list: &str| -> Result<usize> {
        let list = mesh[list].as_array();
        Ok(list.context("/debug/ambientz lacks a list")?.len())
    };
    let resources = format!(
        "{} workloads, {} services and {} policies",
        count("workloads")?,
        count("services")?,
        count("policies")?
    );
    let synced = controller.page("/debug/syncz")?;
    let proxies = synced.as_array().context("/debug/syncz is no list")?;
    let proxies: Vec<String> = proxies
        .iter()
        .filter_map(|proxy| Some(proxy["proxy"].as_str()?.to_owned()))
        .collect();
    ensure!(
        proxies.len() == PROXIES,
        "{PROXIES} proxies were started, and these are connected: {proxies:?}"
    );
    let signed = controller.metric("citadel_server_success_cert_issuance_count_total", &[])?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small count"
    )]
    let certificates = signed as u64;
    ensure!(certificates > 0, "no certificate was signed");
    Ok(Control {
        resources,
        proxies,
        certificates,
    })
}
