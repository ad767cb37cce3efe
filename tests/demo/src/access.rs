//! Who may do what with the catalog, and how often: two pods ask for the same page, and one of them asks too often.
//!
//! In: the stage, the waypoint. Out: an [`Access`]: what curl printed, and what the waypoint's access log says of it.
//! Never: takes a refusal for right that names another policy than the one that is meant.

use anyhow::{Result, ensure};
use lab::Waypoint;

use crate::{line::Line, stage::Stage};

/// How many searches the limit in `deploy/examples/demo/access.yaml` lets pass in an hour.
const LIMIT: usize = 5;
/// How many are sent.
const SEARCHES: usize = 8;
/// What the log says of the refusal. Source: Envoy's RBAC filter, as Istio names policies.
const REFUSED: &str = "rbac_access_denied_matched_policy[ns[default]-policy[only-report]-rule[0]]";

/// All of it.
#[derive(Debug)]
pub(crate) struct Access {
    /// The same page, for who may have it and for who may not.
    pub(crate) asked: [Asked; 2],
    pub(crate) searches: Searches,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) pod: String,
    pub(crate) line: String,
    pub(crate) said: String,
    pub(crate) decided: Line,
}

/// Requests that are counted.
#[derive(Debug)]
pub(crate) struct Searches {
    pub(crate) sent: usize,
    pub(crate) answered: usize,
    pub(crate) refused: usize,
    /// The log's line of one that was refused.
    pub(crate) last: Line,
}

/// Runs it.
pub(crate) fn watch(stage: &Stage, waypoint: &Waypoint) -> Result<Access> {
    let allowed = ask(stage, waypoint, "report", "200", "via_upstream")?;
    let denied = ask(stage, waypoint, "shop", "403", REFUSED)?;
    ensure!(
        denied.said == "RBAC: access denied",
        "the refusal said {:?}",
        denied.said
    );
    Ok(Access {
        asked: [allowed, denied],
        searches: search(stage, waypoint)?,
    })
}

/// Asks for the page that only `report` may see.
fn ask(stage: &Stage, waypoint: &Waypoint, pod: &str, status: &str, why: &str) -> Result<Asked> {
    let url = format!("http://{}/whoami?{pod}", stage.lab.vip("catalog").ip4);
    let curl = ["curl", "-sS", "-m", "10", url.as_str()];
    let said = stage.lab.pod(pod).exec(curl)?.ok()?.trim().to_owned();
    let decided = Line::wait_one(waypoint, &format!("/whoami?{pod} "))?;
    ensure!(
        decided.status == status && decided.details == why,
        "expected {status} and {why} for {pod}: {}",
        decided.text
    );
    Ok(Asked {
        pod: pod.to_owned(),
        line: url,
        said,
        decided,
    })
}

/// More searches than the limit lets pass.
fn search(stage: &Stage, waypoint: &Waypoint) -> Result<Searches> {
    let ip = stage.lab.vip("catalog").ip4;
    let url = format!("http://{ip}/?search=lamp&n=[1-{SEARCHES}]");
    let curl = ["curl", "-sS", "-m", "10", url.as_str()];
    stage.lab.pod("shop").exec(curl)?.ok()?;
    let lines = Line::wait(waypoint, "/?search=lamp&", SEARCHES)?;
    let of = |status: &str| lines.iter().filter(|it| it.status == status).count();
    let (answered, refused) = (of("200"), of("429"));
    ensure!(
        (answered, refused) == (LIMIT, SEARCHES - LIMIT),
        "{answered} searches were answered and {refused} refused, of {SEARCHES} with a limit of {LIMIT}"
    );
    let is_limited = |it: &Line| it.status == "429" && it.flags == "RL";
    let last = lines.into_iter().rfind(is_limited);
    let last = last.ok_or_else(|| anyhow::anyhow!("no line of the log has 429 and the flag RL"))?;
    Ok(Searches {
        sent: SEARCHES,
        answered,
        refused,
        last,
    })
}
