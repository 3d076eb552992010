//! What reaches the core when the file changes, in the ways in which files change.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redirector_core::Input;
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::super::watch;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_renamed_into_place_is_read() {
    let dir = Directory::new();
    dir.replace("config.yaml", &services(&["a"]));
    let mut watched = Watched::start(dir.path("config.yaml"));
    assert_eq!(watched.next().await, ["a"]);
    dir.replace("config.yaml", &services(&["a", "b"]));
    assert_eq!(watched.next().await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_rewritten_where_it_stands_is_read_when_it_is_closed() {
    let dir = Directory::new();
    dir.replace("config.yaml", &services(&["a"]));
    let mut watched = Watched::start(dir.path("config.yaml"));
    assert_eq!(watched.next().await, ["a"]);

    let whole = services(&["b", "c"]);
    let half = whole.find("- name: c").expect("the second service");
    let mut file = File::create(dir.path("config.yaml")).expect("truncated");
    file.write_all(&whole.as_bytes()[..half]).expect("written");
    watched.stays_silent(Duration::from_millis(300)).await;
    file.write_all(&whole.as_bytes()[half..]).expect("written");
    drop(file);
    assert_eq!(watched.next().await, ["b", "c"]);
    assert_eq!(watched.failures(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_that_swaps_its_data_link_is_read() {
    let dir = Directory::new();
    for (version, names) in [("..1", &["a"][..]), ("..2", &["a", "b"])] {
        fs::create_dir(dir.path(version)).expect("a directory");
        fs::write(dir.path(version).join("config.yaml"), services(names)).expect("written");
    }
    symlink("..1", dir.path("..data")).expect("a link");
    symlink("..data/config.yaml", dir.path("config.yaml")).expect("a link");
    let mut watched = Watched::start(dir.path("config.yaml"));
    assert_eq!(watched.next().await, ["a"]);

    symlink("..2", dir.path("..data_tmp")).expect("a link");
    fs::rename(dir.path("..data_tmp"), dir.path("..data")).expect("renamed");
    fs::remove_dir_all(dir.path("..1")).expect("removed");
    assert_eq!(watched.next().await, ["a", "b"]);
    assert_eq!(watched.failures(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_vanishes_changes_nothing_until_it_returns_different() {
    let dir = Directory::new();
    dir.replace("config.yaml", &services(&["a"]));
    let mut watched = Watched::start(dir.path("config.yaml"));
    assert_eq!(watched.next().await, ["a"]);
    fs::remove_file(dir.path("config.yaml")).expect("removed");
    watched.fails(1).await;
    dir.replace("config.yaml", &services(&["a"]));
    dir.replace("config.yaml", &services(&["b"]));
    assert_eq!(watched.next().await, ["b"]);
    assert_eq!(watched.failures(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_counted_and_the_next_good_one_is_read() {
    let dir = Directory::new();
    dir.replace("config.yaml", &services(&["a"]));
    let mut watched = Watched::start(dir.path("config.yaml"));
    assert_eq!(watched.next().await, ["a"]);
    let half_bad = services(&["b"]) + "- name: c\n  frontends: [nonsense]\n  backends: []\n";
    dir.replace("config.yaml", &half_bad);
    watched.fails(1).await;
    dir.replace("config.yaml", "");
    watched.fails(2).await;
    dir.replace("config.yaml", &services(&["d"]));
    assert_eq!(watched.next().await, ["d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_contents_are_not_sent_again() {
    let dir = Directory::new();
    dir.replace("config.yaml", &services(&["a"]));
    let mut watched = Watched::start(dir.path("config.yaml"));
    assert_eq!(watched.next().await, ["a"]);
    dir.replace("config.yaml", &services(&["a"]));
    watched.stays_silent(Duration::from_millis(300)).await;
    dir.replace("config.yaml", &services(&["b"]));
    assert_eq!(watched.next().await, ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_bad_or_absent_at_the_start_is_read_when_it_is_good() {
    let dir = Directory::new();
    let mut watched = Watched::start(dir.path("config.yaml"));
    watched.fails(1).await;
    dir.replace("config.yaml", "services: 7\n");
    watched.fails(2).await;
    dir.replace("config.yaml", &services(&["a"]));
    assert_eq!(watched.next().await, ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_gives_no_sign_is_found_by_the_poll() {
    let dir = Directory::new();
    let elsewhere = Directory::new();
    elsewhere.replace("real.yaml", &services(&["a"]));
    symlink(elsewhere.path("real.yaml"), dir.path("config.yaml")).expect("a link");
    let mut watched = Watched::start(dir.path("config.yaml"));
    assert_eq!(watched.next().await, ["a"]);
    elsewhere.replace("real.yaml", &services(&["b"]));
    assert_eq!(watched.next().await, ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_ends_with_its_receiver() {
    let dir = Directory::new();
    dir.replace("config.yaml", &services(&["a"]));
    let mut watched = Watched::start(dir.path("config.yaml"));
    assert_eq!(watched.next().await, ["a"]);
    let Watched { task, inbox, .. } = watched;
    drop(inbox);
    timeout(DEADLINE, task).await.expect("it ends").expect("without a panic");
}

/// Far above what any change takes, for machines that are busy.
const DEADLINE: Duration = Duration::from_secs(20);

struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes another file and renames it into place.
    fn replace(&self, name: &str, text: &str) {
        let new = self.path("new");
        fs::write(&new, text).expect("written");
        fs::rename(&new, self.path(name)).expect("renamed");
    }
}

fn services(names: &[&str]) -> String {
    let mut text = "services:\n".to_owned();
    for name in names {
        let last = name.as_bytes()[0];
        text.push_str(&format!(
            "- name: {name}\n  frontends: [\"10.0.0.{last}:80/tcp\"]\n  backends: []\n"
        ));
    }
    text
}

struct Watched {
    inbox: mpsc::Receiver<Input>,
    failures: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Watched {
    fn start(path: impl AsRef<Path>) -> Self {
        let (sender, inbox) = mpsc::channel(16);
        let failures = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(watch(
            path.as_ref().to_owned(),
            sender,
            Arc::clone(&failures),
            crate::sources::Left::default(),
        ));
        Self { inbox, failures, task }
    }

    /// Names of the services that are sent next.
    async fn next(&mut self) -> Vec<String> {
        let mut receive = async || timeout(DEADLINE, self.inbox.recv()).await.expect("in time");
        assert!(matches!(receive().await, Some(Input::Node(_))));
        let Some(Input::Replace(services)) = receive().await else { panic!("no services") };
        services.iter().map(|service| service.name.to_string()).collect()
    }

    async fn stays_silent(&mut self, time: Duration) {
        if let Ok(input) = timeout(time, self.inbox.recv()).await {
            panic!("sent {input:?}");
        }
    }

    fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Waits for that many failures; until then nothing may be sent.
    async fn fails(&mut self, times: u64) {
        let begin = Instant::now();
        while self.failures() < times {
            assert!(begin.elapsed() < DEADLINE, "{} failures", self.failures());
            self.stays_silent(Duration::from_millis(5)).await;
        }
        assert_eq!(self.failures(), times);
    }
}
