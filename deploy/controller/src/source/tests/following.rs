//! The task that follows a folder, with real watches.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{
    super::{Batch, Folder, run},
    Directory, apply, node_of, pod, words,
};
use crate::{
    objects::{Object, ObjectKey},
    status::Status,
};

/// Far more than any of it takes; nothing waits for so long unless it fails.
const DEADLINE: Duration = Duration::from_secs(30);

struct Task {
    directory: Directory,
    updates: mpsc::Receiver<Batch>,
    status: Arc<Status>,
    known: BTreeMap<ObjectKey, Object>,
    task: JoinHandle<()>,
}

impl Task {
    fn start(directory: Directory) -> Self {
        let (sender, updates) = mpsc::channel(1);
        let status = Arc::new(Status::default());
        let folder = Folder::new(&directory.path);
        Self {
            task: tokio::spawn(run(folder, sender, Arc::clone(&status))),
            directory,
            updates,
            status,
            known: BTreeMap::new(),
        }
    }

    async fn batch(&mut self) -> Vec<String> {
        let batch = timeout(DEADLINE, self.updates.recv()).await;
        let batch = batch.expect("in time").expect("a batch");
        let words = words(&batch);
        apply(&mut self.known, batch);
        words
    }

    /// Takes batches until the pod `a` is on `node`.
    async fn until(&mut self, node: Option<&str>) {
        while node_of(&self.known, "a") != node {
            self.batch().await;
        }
    }

    /// Waits for a finding that contains `text`.
    async fn found(&self, text: &str) {
        let seen = async {
            while !self.status.json().to_string().contains(text) {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, seen).await.expect("a finding");
    }
}

#[tokio::test]
async fn the_first_batch_comes_at_once_and_changes_follow() {
    let mut task = Task::start(Directory::new());
    assert_eq!(task.batch().await, Vec::<String>::new());
    task.directory.write("x.yaml", &pod("a", "n1"));
    task.until(Some("n1")).await;
    task.directory.replace("x.yaml", &pod("a", "n2"));
    task.until(Some("n2")).await;
    task.directory.write("x.yaml", &pod("a", "n3"));
    task.until(Some("n3")).await;
    task.directory.remove("x.yaml");
    task.until(None).await;
}

#[tokio::test]
async fn new_directories_are_followed_too() {
    let mut task = Task::start(Directory::new());
    task.batch().await;
    task.directory.write("d/e/x.yaml", &pod("a", "n1"));
    task.until(Some("n1")).await;
    task.directory.replace("d/e/x.yaml", &pod("a", "n2"));
    task.until(Some("n2")).await;
    // In the place of the old one, which may pass its inode number on.
    fs::remove_dir_all(task.directory.at("d")).unwrap();
    task.directory.write("d/e/x.yaml", &pod("a", "n3"));
    task.until(Some("n3")).await;
    task.directory.replace("d/e/x.yaml", &pod("a", "n4"));
    task.until(Some("n4")).await;
    fs::rename(task.directory.at("d"), task.directory.at("f")).unwrap();
    task.directory.replace("f/e/x.yaml", &pod("a", "n5"));
    task.until(Some("n5")).await;
}

#[tokio::test]
async fn the_swap_of_a_volume_is_one_batch() {
    let directory = Directory::new();
    let version = |version: &str, node: &str| {
        directory.write(&format!("{version}/x.yaml"), &pod("a", node));
        directory.write(&format!("{version}/y.yaml"), &pod("b", node));
        directory.link(version, "..data_tmp");
        fs::rename(directory.at("..data_tmp"), directory.at("..data")).unwrap();
    };
    version("..1", "n1");
    directory.link("..data/x.yaml", "x.yaml");
    directory.link("..data/y.yaml", "y.yaml");
    version("..2", "n2");
    let mut task = Task::start(directory);
    assert_eq!(task.batch().await, ["+Pod default/a", "+Pod default/b"]);
    task.directory.link("..1", "..data_tmp");
    let data = task.directory.at("..data");
    fs::rename(task.directory.at("..data_tmp"), data).unwrap();
    assert_eq!(task.batch().await, ["+Pod default/a", "+Pod default/b"]);
    assert_eq!(node_of(&task.known, "a"), Some("n1"));
}

#[tokio::test]
async fn a_folder_that_goes_and_comes_back_is_followed_again() {
    let directory = Directory::new();
    directory.write("x.yaml", &pod("a", "n1"));
    let mut task = Task::start(directory);
    task.until(Some("n1")).await;
    let aside = task.directory.path.with_extension("aside");
    fs::rename(&task.directory.path, &aside).unwrap();
    task.found("cannot be read, expected a directory").await;
    fs::write(aside.join("x.yaml"), pod("a", "n2")).unwrap();
    fs::rename(&aside, &task.directory.path).unwrap();
    task.until(Some("n2")).await;
    task.directory.replace("x.yaml", &pod("a", "n3"));
    task.until(Some("n3")).await;
}

#[tokio::test]
async fn a_folder_that_is_not_there_yet_is_waited_for() {
    let directory = Directory::new();
    fs::remove_dir(&directory.path).unwrap();
    let mut task = Task::start(directory);
    task.found("cannot be read, expected a directory").await;
    assert!(task.updates.try_recv().is_err());
    task.directory.write("x.yaml", &pod("a", "n1"));
    task.until(Some("n1")).await;
}

#[tokio::test]
async fn findings_come_and_go() {
    let mut task = Task::start(Directory::new());
    task.batch().await;
    task.directory.write("x.yaml", "kind: [\n");
    task.found("malformed YAML").await;
    task.directory.replace("x.yaml", &pod("a", "n1"));
    task.until(Some("n1")).await;
    assert!(!task.status.json().to_string().contains("malformed"));
}

#[tokio::test]
async fn while_the_receiver_is_busy_changes_come_together() {
    let mut task = Task::start(Directory::new());
    task.batch().await;
    // One batch fits the channel, one waits to be sent; what comes after is read when there is room.
    for round in 0..200 {
        task.directory
            .replace("x.yaml", &pod("a", &format!("n{round}")));
        task.directory
            .replace(&format!("y{round}.yaml"), &pod(&format!("b{round}"), "n"));
    }
    let mut batches = 0;
    while node_of(&task.known, "a") != Some("n199") || task.known.len() < 201 {
        task.batch().await;
        batches += 1;
    }
    assert!(batches < 200, "{batches} batches");
}

#[tokio::test]
async fn the_task_ends_with_its_receiver() {
    let mut task = Task::start(Directory::new());
    task.batch().await;
    drop(task.updates);
    timeout(DEADLINE, &mut task.task).await.unwrap().unwrap();
}
