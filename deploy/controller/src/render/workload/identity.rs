//! The names under which metrics and logs show a workload.

use wire::proto::workload::WorkloadType;

use crate::objects::{Labels, Pod};

const CANONICAL_NAME: [&str; 3] = [
    "service.istio.io/canonical-name",
    "app.kubernetes.io/name",
    "app",
];
const CANONICAL_REVISION: [&str; 3] = [
    "service.istio.io/canonical-revision",
    "app.kubernetes.io/version",
    "version",
];
const WORKLOAD_NAME: &str = "service.istio.io/workload-name";
const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// The digits that a CronJob appends to its Jobs: minutes since 1970, which have had eight of them since 1989.
const MIN_SCHEDULE_DIGITS: usize = 8;

/// Canonical name and revision. **Shape**: for each label in the order of precedence, the sets of labels in theirs.
pub(crate) fn canonical<'a>(
    labels: impl IntoIterator<Item = &'a Labels> + Clone,
    workload: &str,
) -> (String, String) {
    let first = |names: [&str; 3]| {
        names.iter().find_map(|name| {
            let mut sets = labels.clone().into_iter();
            sets.find_map(|labels| labels.get(*name).filter(|value| !value.is_empty()))
        })
    };
    (
        first(CANONICAL_NAME).map_or_else(|| workload.to_owned(), String::clone),
        first(CANONICAL_REVISION).map_or_else(|| "latest".to_owned(), String::clone),
    )
}

/// What a pod belongs to: the name and kind of what a person wrote, as far as the pod tells.
///
/// A ReplicaSet stands for its Deployment, a Job that looks scheduled for its CronJob. What has no kind of its own on
/// the wire (StatefulSet, DaemonSet...) counts as a Deployment.
pub(crate) fn owner(pod: &Pod) -> (String, WorkloadType) {
    let (name, kind) = match &pod.meta.owner {
        None => (&*pod.meta.name, WorkloadType::Pod),
        Some(owner) => match owner.kind.as_str() {
            "ReplicaSet" => (deployment(pod, &owner.name), WorkloadType::Deployment),
            "Job" => match scheduled(&owner.name) {
                Some(name) => (name, WorkloadType::Cronjob),
                None => (owner.name.as_str(), WorkloadType::Job),
            },
            _other => (owner.name.as_str(), WorkloadType::Deployment),
        },
    };
    let name = pod.meta.label(WORKLOAD_NAME).unwrap_or(name);
    (name.to_owned(), kind)
}

/// A Deployment's ReplicaSet is `<deployment>-<pod-template-hash>`.
fn deployment<'a>(pod: &Pod, replica_set: &'a str) -> &'a str {
    pod.meta
        .label(POD_TEMPLATE_HASH)
        .and_then(|hash| replica_set.strip_suffix(hash)?.strip_suffix('-'))
        .filter(|name| !name.is_empty())
        .unwrap_or(replica_set)
}

fn scheduled(job: &str) -> Option<&str> {
    let (name, digits) = job.rsplit_once('-')?;
    let counts =
        digits.len() >= MIN_SCHEDULE_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    (counts && !name.is_empty()).then_some(name)
}
