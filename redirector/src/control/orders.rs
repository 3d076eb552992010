//! The orders in force, kept in a file: a drain survives the agent.
//!
//! No order is lost without a word: an entry that this version does not know stays in the file for one
//! that does, and a file that cannot be read is moved aside before another one takes its place.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use redirector_core::input::Verb;
use serde_json::{Value, json};
use tracing::warn;

use super::{clear, kept};

/// Files moved aside that are kept, so that one which is damaged at each start does not fill the disk.
const ASIDE: u32 = 8;

/// A file with a JSON array of orders.
#[derive(Clone, Debug)]
pub struct Orders {
    path: PathBuf,
    /// Entries of the file that this version does not know.
    foreign: Vec<Value>,
    /// What is there has not been read, and must not be written over.
    is_unread: bool,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// What this version knows.
    pub orders: Vec<Verb>,
    /// What it does not know, and carries along.
    pub foreign: Vec<Value>,
}

impl Kept {
    /// All entries, as the file has them.
    #[must_use]
    pub fn entries(&self) -> Vec<Value> {
        entries(&self.orders, &self.foreign)
    }
}

impl Orders {
    /// That file, whether or not it exists.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), foreign: Vec::new(), is_unread: false }
    }

    /// What was in force last; nothing if there is no file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or holds no JSON array.
    pub fn read(&self) -> Result<Kept> {
        let shown = self.path.display();
        let mut options = OpenOptions::new();
        // A pipe, say, would be waited for.
        options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let mut file = match options.open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Kept::default()),
            result => result.with_context(|| format!("cannot read {shown}"))?,
        };
        let is_file = file.metadata().is_ok_and(|is| is.is_file());
        ensure!(is_file, "{shown} is no file");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(|| format!("cannot read {shown}"))?;
        let entries: Vec<Value> = serde_json::from_slice(&bytes)
            .with_context(|| format!("{shown} holds no orders; remove it and order again"))?;
        let mut kept = Kept::default();
        for entry in entries {
            match serde_json::from_value(entry.clone()) {
                Ok(order) => kept.orders.push(order),
                Err(_) => kept.foreign.push(entry),
            }
        }
        Ok(kept)
    }

    /// The same for the agent that will write the file from now on: what it cannot use is said, and
    /// kept.
    pub fn take_over(&mut self) -> Vec<Verb> {
        if let Err(error) = clear(&self.beside()) {
            warn!(%error, "what an agent that was killed has left beside its orders stays");
        }
        match self.read() {
            Ok(Kept { orders, foreign }) => {
                for order in &foreign {
                    warn!(%order, "an order that this version does not know is kept, and not in force");
                }
                self.foreign = foreign;
                orders
            }
            Err(error) => {
                self.is_unread = true;
                let aside = self.move_aside();
                let aside = aside.map_or_else(
                    |why| format!("nowhere: {why:#}"),
                    |aside| aside.display().to_string(),
                );
                warn!(
                    error = format!("{error:#}"),
                    %aside,
                    "starting without orders; what could not be read is moved aside"
                );
                Vec::new()
            }
        }
    }

    /// Keeps these, for their owner alone. An agent that dies meanwhile leaves the old or the new ones.
    ///
    /// # Errors
    ///
    /// It cannot be written; or what is there could be neither read nor moved aside.
    pub fn write(&mut self, orders: &[Verb]) -> Result<()> {
        if self.is_unread {
            self.move_aside()?;
        }
        let entries = entries(orders, &self.foreign);
        kept::replace_durably(&self.path, &self.beside(), &entries)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Removes the file, if there is one.
    ///
    /// # Errors
    ///
    /// It cannot be removed.
    pub fn remove(&self) -> Result<()> {
        clear(&self.path).with_context(|| format!("cannot remove {}", self.path.display()))
    }

    /// Where a new file is until it is whole.
    fn beside(&self) -> PathBuf {
        self.path.with_extension("new")
    }

    /// Gives the file another name, which it returns.
    fn move_aside(&mut self) -> Result<PathBuf> {
        let name = |number| self.path.with_extension(format!("damaged-{number}"));
        let is_free = |path: &PathBuf| path.symlink_metadata().is_err();
        let aside = (1..ASIDE).map(name).find(is_free).unwrap_or_else(|| name(ASIDE));
        match fs::rename(&self.path, &aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| {
                format!(
                    "{} can be neither read nor moved aside, and is not written over",
                    self.path.display()
                )
            }),
            _ => {
                self.is_unread = false;
                Ok(aside)
            }
        }
    }
}

fn entries(orders: &[Verb], foreign: &[Value]) -> Vec<Value> {
    orders.iter().map(|order| json!(order)).chain(foreign.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const DRAIN: &str = r#"{"drain": "node=n9"}"#;

    struct Fixture {
        directory: tempfile::TempDir,
        path: PathBuf,
    }

    impl Fixture {
        fn new(text: &str) -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("orders.json");
            fs::write(&path, text).expect("written");
            Self { directory, path }
        }

        fn names(&self) -> Vec<String> {
            let names = fs::read_dir(self.directory.path()).expect("a directory");
            let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("text");
            let mut names: Vec<_> = names.map(|entry| name(entry.expect("an entry"))).collect();
            names.sort();
            names
        }
    }

    fn drain() -> Verb {
        Verb::Drain("node=n9".parse().expect("a subject"))
    }

    #[test]
    fn what_was_written_is_read_and_nothing_is_nothing() {
        let fixture = Fixture::new("");
        fs::remove_file(&fixture.path).expect("removed");
        let mut orders = Orders::new(&fixture.path);
        assert_eq!(orders.read().expect("nothing"), Kept::default());
        orders.write(&[drain()]).expect("written");
        assert_eq!(orders.read().expect("one").orders, [drain()]);
        orders.write(&[]).expect("written");
        assert_eq!(orders.read().expect("none"), Kept::default());
        for _ in 0..2 {
            orders.remove().expect("removed, or not there");
            assert!(fixture.names().is_empty());
        }
    }

    /// A later version's orders survive this one's, whether whole orders or details of them.
    #[test]
    fn what_is_not_known_is_kept_and_the_rest_is_in_force() {
        let foreign =
            [r#"{"slowDown": {"zone": "a"}}"#, r#"{"drain": "rack=r1"}"#, r#""everything""#, "7"];
        let fixture = Fixture::new(&format!("[{}, {DRAIN}]", foreign.join(", ")));
        let mut orders = Orders::new(&fixture.path);
        assert_eq!(orders.take_over(), [drain()]);
        orders.write(&[drain(), drain()]).expect("written");
        let kept = Orders::new(&fixture.path).read().expect("orders");
        assert_eq!(kept.orders, [drain(), drain()]);
        let foreign: Vec<Value> =
            foreign.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
        assert_eq!(kept.foreign, foreign);
    }

    #[test]
    fn what_cannot_be_read_is_moved_aside_and_never_written_over() {
        for damaged in ["[{", "", "{}", "\u{0}\u{0}"] {
            let fixture = Fixture::new(damaged);
            let read = format!("{:#}", Orders::new(&fixture.path).read().expect_err("damaged"));
            assert!(read.contains("remove it and order again"), "{read}");
            for number in 1..=2 {
                let mut orders = Orders::new(&fixture.path);
                assert_eq!(orders.take_over(), []);
                orders.write(&[drain()]).expect("written");
                let aside = fixture.path.with_extension(format!("damaged-{number}"));
                assert_eq!(fs::read_to_string(aside).expect("it is kept"), damaged);
                fs::write(&fixture.path, damaged).expect("damaged again");
            }
        }
    }

    #[test]
    fn half_a_file_of_an_agent_that_was_killed_is_removed_by_the_next_one() {
        let fixture = Fixture::new(&format!("[{DRAIN}]"));
        fs::write(fixture.path.with_extension("new"), "[{").expect("written");
        assert_eq!(Orders::new(&fixture.path).read().expect("orders").orders, [drain()]);
        assert_eq!(
            fixture.names(),
            ["orders.json", "orders.new"],
            "who only reads changes nothing"
        );
        assert_eq!(Orders::new(&fixture.path).take_over(), [drain()]);
        assert_eq!(fixture.names(), ["orders.json"]);
    }

    #[test]
    fn what_can_be_neither_read_nor_moved_is_not_written_over() {
        let fixture = Fixture::new("");
        fs::remove_file(&fixture.path).expect("removed");
        // A directory can be moved; below a file nothing can be.
        let path = fixture.directory.path().join("file/orders.json");
        fs::write(fixture.directory.path().join("file"), "").expect("a file");
        let mut orders = Orders::new(&path);
        assert_eq!(orders.take_over(), []);
        let why = format!("{:#}", orders.write(&[drain()]).expect_err("no directory"));
        assert!(why.contains("neither read nor moved aside"), "{why}");
    }

    /// Who may write the directory cannot have the agent write elsewhere, or read elsewhere.
    #[test]
    fn no_symbolic_link_is_followed_and_only_the_owner_may_read() {
        let fixture = Fixture::new("[]");
        let victim = fixture.directory.path().join("victim");
        fs::write(&victim, format!("[{DRAIN}]")).expect("written");
        symlink(&victim, fixture.path.with_extension("new")).expect("a link");
        let mut orders = Orders::new(&fixture.path);
        orders.write(&[]).expect("written");
        assert_eq!(fs::read_to_string(&victim).expect("it is there"), format!("[{DRAIN}]"));
        let mode = fs::metadata(&fixture.path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        fs::remove_file(&fixture.path).expect("removed");
        symlink(&victim, &fixture.path).expect("a link");
        orders.read().expect_err("a symbolic link");
        assert_eq!(orders.take_over(), [], "what another file holds is no order");
        orders.write(&[]).expect("written");
        assert!(fixture.path.symlink_metadata().expect("it is there").is_file());
        assert_eq!(fs::read_to_string(&victim).expect("it is there"), format!("[{DRAIN}]"));
    }
}
