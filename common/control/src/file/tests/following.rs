//! The task that follows a real file: every way in which a file is replaced, and every way in which that goes wrong.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mesh::{PolicyKey, Snapshot, Uid};
use tokio::time::Instant;

use super::{
    super::{Defaults, FileState, FileStatus, Source, run},
    policy, workload,
};
use crate::publish::{Publisher, View};

/// Longer than the slow poll, so that a failure says that nothing noticed the change at all.
const DEADLINE: Duration = Duration::from_secs(30);

/// A directory of this test's own, removed at its end.
pub(super) struct Directory {
    pub(super) path: PathBuf,
}

impl Directory {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("ambit-control-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self { path }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.path));
    }
}

/// A file that is followed.
struct Followed {
    publisher: Arc<Publisher>,
    view: View,
    status: FileStatus,
    task: tokio::task::JoinHandle<()>,
}

impl Followed {
    fn new(path: &Path) -> Self {
        Self::of(Source::Path(path.to_owned()))
    }

    fn of(source: Source) -> Self {
        let publisher = Arc::new(Publisher::new());
        let status = FileStatus::new();
        let task = tokio::spawn(run(
            source,
            Defaults::default(),
            Arc::clone(&publisher),
            status.clone(),
        ));
        Self {
            view: publisher.view(),
            publisher,
            status,
            task,
        }
    }

    /// Waits until the snapshot shows exactly these workloads.
    async fn shows(&self, uids: &[&str]) -> Arc<Snapshot> {
        let holds = |snapshot: &Snapshot| {
            let all = uids
                .iter()
                .all(|uid| snapshot.workload(&Uid::from(*uid)).is_some());
            (snapshot.version > 0 && all && snapshot.iter_workloads().count() == uids.len())
                .then_some(())
        };
        if let Err(error) = self
            .view
            .wait_until(holds, (Instant::now() + DEADLINE).into_std())
            .await
        {
            panic!(
                "{error}: {uids:?} never came: {:?} {:?}",
                self.view.load(),
                self.status.state()
            );
        }
        self.view.load()
    }

    /// Waits until the status is as `condition` says.
    async fn status(&self, condition: impl Fn(&FileState) -> bool) -> FileState {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let state = self.status.state();
            if condition(&state) {
                return state;
            }
            assert!(
                Instant::now() < deadline,
                "the status never came: {state:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn workloads(names: &[(&str, &str)]) -> String {
    let mut text = String::from("workloads:\n");
    for (name, ip) in names {
        text.push_str(&workload(name, ip));
    }
    text
}

fn a() -> String {
    workloads(&[("a", "10.0.0.1")])
}

fn b() -> String {
    workloads(&[("b", "10.0.0.2")])
}

/// Puts `text` in the place of `path` as an editor does.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}

fn follow<F: Future<Output = ()>>(test: impl FnOnce(Directory) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test(Directory::new()));
}

#[test]
fn a_file_is_read_again_when_it_is_replaced_or_written_in_place() {
    follow(|directory| async move {
        let path = directory.path.join("mesh.yaml");
        fs::write(&path, a()).unwrap();
        let followed = Followed::new(&path);
        assert_eq!(followed.shows(&["a"]).await.version, 1);
        replace(&path, &b());
        assert_eq!(followed.shows(&["b"]).await.version, 2);
        fs::write(&path, a()).unwrap();
        followed.shows(&["a"]).await;
        let state = followed.status(|state| state.accepted >= 3).await;
        assert_eq!(
            (state.workloads, state.refused, state.last_error),
            (1, 0, None)
        );
        assert_eq!(state.source, path.display().to_string());
        assert_eq!(state.snapshot_version, followed.view.version());
    });
}

#[test]
fn a_bad_file_keeps_the_old_configuration_and_says_why() {
    follow(|directory| async move {
        let path = directory.path.join("mesh.yaml");
        fs::write(&path, a()).unwrap();
        let followed = Followed::new(&path);
        let before = followed.shows(&["a"]).await;
        // The good half of a bad file is not taken either.
        replace(&path, &workloads(&[("b", "10.0.0.2"), ("c", "10.0.0.300")]));
        let state = followed.status(|state| state.last_error.is_some()).await;
        let refused = state.last_error.unwrap();
        assert_eq!(
            (refused.line, refused.field.as_deref()),
            (Some(11), Some("workloads[1].workloadIps[0]"))
        );
        assert!(
            refused.error.contains("mesh.yaml:11:") && refused.error.contains("10.0.0.300"),
            "{}",
            refused.error
        );
        assert_eq!((state.accepted, state.refused, state.workloads), (1, 1, 1));
        assert!(
            Arc::ptr_eq(&before, &followed.view.load()),
            "something was published"
        );
        // Back to what it was: nothing to send, but nothing wrong any more.
        replace(&path, &a());
        let state = followed.status(|state| state.last_error.is_none()).await;
        assert_eq!((state.accepted, state.snapshot_version), (2, 1));
        assert!(
            Arc::ptr_eq(&before, &followed.view.load()),
            "nothing changed, yet something was published"
        );
        replace(&path, &b());
        followed.shows(&["b"]).await;
    });
}

#[test]
fn a_symlinked_directory_is_followed_when_kubernetes_swaps_it() {
    follow(|directory| async move {
        let root = &directory.path;
        for (version, text) in [("v1", a()), ("v2", b())] {
            fs::create_dir(root.join(version)).unwrap();
            fs::write(root.join(version).join("mesh.yaml"), text).unwrap();
        }
        symlink("v1", root.join("..data")).unwrap();
        symlink("..data/mesh.yaml", root.join("mesh.yaml")).unwrap();
        let followed = Followed::new(&root.join("mesh.yaml"));
        followed.shows(&["a"]).await;
        symlink("v2", root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        fs::remove_dir_all(root.join("v1")).unwrap();
        followed.shows(&["b"]).await;
    });
}

#[test]
fn a_deleted_file_keeps_the_old_configuration_until_it_is_back() {
    follow(|directory| async move {
        let path = directory.path.join("mesh.yaml");
        fs::write(&path, a()).unwrap();
        let followed = Followed::new(&path);
        let before = followed.shows(&["a"]).await;
        fs::remove_file(&path).unwrap();
        let state = followed.status(|state| state.last_error.is_some()).await;
        let error = state.last_error.unwrap().error;
        assert!(
            error.contains("cannot be read") && error.contains("No such file"),
            "{error}"
        );
        assert!(Arc::ptr_eq(&before, &followed.view.load()));
        fs::write(&path, a()).unwrap();
        followed.status(|state| state.last_error.is_none()).await;
        assert!(Arc::ptr_eq(&before, &followed.view.load()));
        replace(&path, &b());
        followed.shows(&["b"]).await;
    });
}

#[test]
fn a_file_that_is_missing_at_first_is_reported_and_read_when_it_comes() {
    follow(|directory| async move {
        let path = directory.path.join("mesh.yaml");
        let followed = Followed::new(&path);
        let state = followed.status(|state| state.last_error.is_some()).await;
        assert_eq!((state.accepted, state.refused), (0, 1));
        assert_eq!(
            followed.view.version(),
            0,
            "a file that is not there is not an empty mesh"
        );
        fs::write(&path, a()).unwrap();
        followed.shows(&["a"]).await;
    });
}

#[test]
fn a_directory_that_is_replaced_is_watched_again() {
    follow(|directory| async move {
        let inner = directory.path.join("inner");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("mesh.yaml");
        fs::write(&path, a()).unwrap();
        let followed = Followed::new(&path);
        followed.shows(&["a"]).await;
        fs::remove_dir_all(&inner).unwrap();
        fs::create_dir(&inner).unwrap();
        fs::write(&path, b()).unwrap();
        followed.shows(&["b"]).await;
        replace(&path, &a());
        followed.shows(&["a"]).await;
    });
}

#[test]
fn an_emptied_file_does_not_empty_the_mesh() {
    follow(|directory| async move {
        let path = directory.path.join("mesh.yaml");
        let text = format!("{}policies:\n{}", a(), policy("deny", "Deny", "[[]]"));
        fs::write(&path, &text).unwrap();
        let followed = Followed::new(&path);
        followed.shows(&["a"]).await;
        fs::write(&path, "").unwrap();
        followed.status(|state| state.last_error.is_some()).await;
        let snapshot = followed.view.load();
        assert!(
            snapshot
                .policies()
                .get(&PolicyKey::new("default", "deny"))
                .is_some()
        );
        replace(&path, "workloads: []\n");
        followed.shows(&[]).await;
        assert_eq!(followed.view.load().iter_policies().count(), 0);
    });
}

#[test]
fn text_is_published_once_even_when_it_is_empty_of_objects() {
    follow(|_| async move {
        let mut followed = Followed::of(Source::Text("policies: []\n".to_owned()));
        tokio::time::timeout(DEADLINE, &mut followed.task)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(followed.view.version(), 1);
        let state = followed.status.state();
        assert_eq!((state.source.as_str(), state.accepted), ("LOCAL_XDS", 1));

        let mut followed = Followed::of(Source::Text("polices: []\n".to_owned()));
        tokio::time::timeout(DEADLINE, &mut followed.task)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(followed.view.version(), 0);
        assert_eq!(
            followed.status.state().last_error.unwrap().field.as_deref(),
            Some("polices")
        );
    });
}

#[test]
fn other_sources_of_the_same_publisher_are_left_alone() {
    follow(|directory| async move {
        let path = directory.path.join("mesh.yaml");
        fs::write(&path, a()).unwrap();
        let followed = Followed::new(&path);
        followed.shows(&["a"]).await;
        let other = mesh::Workload {
            uid: "other".into(),
            ..mesh::Workload::default()
        };
        followed.publisher.publish(mesh::Delta {
            upserts: vec![mesh::Resource::Workload(Arc::new(other))],
            removals: Vec::new(),
        });
        replace(&path, &b());
        followed.shows(&["b", "other"]).await;
    });
}

#[test]
fn many_changes_in_a_row_end_with_the_last_one() {
    follow(|directory| async move {
        let path = directory.path.join("mesh.yaml");
        fs::write(&path, a()).unwrap();
        let followed = Followed::new(&path);
        followed.shows(&["a"]).await;
        for number in 0..200 {
            replace(&path, &workloads(&[(&format!("w{number}"), "10.0.0.1")]));
        }
        followed.shows(&["w199"]).await;
        assert!(
            followed.view.version() < 100,
            "each of them was read: {}",
            followed.view.version()
        );
    });
}
