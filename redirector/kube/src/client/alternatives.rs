//! Other addresses of the API server: the endpoints of `default/kubernetes`, remembered in a file.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Instant,
};

use tracing::warn;

use super::lock;

/// More addresses are not tried: each may cost a connect deadline.
const MAX_ADDRESSES: usize = 16;

/// The addresses, and which of them answered last.
#[derive(Debug)]
pub(super) struct Alternatives {
    file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    addresses: Vec<SocketAddr>,
    preferred: Option<(SocketAddr, Instant)>,
}

impl Alternatives {
    /// The addresses of the file, if there is one.
    pub(super) fn remembered(file: Option<PathBuf>) -> Self {
        if let Some(path) = &file {
            // The draft of a process that was killed. If it cannot be removed, writing says so.
            let _ = fs::remove_file(draft(path));
        }
        let text = file.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let lines = text.as_deref().unwrap_or_default().lines();
        let addresses =
            lines.filter_map(|line| line.trim().parse().ok()).take(MAX_ADDRESSES).collect();
        Self { file, state: Mutex::new(State { addresses, preferred: None }) }
    }

    /// Takes the place of all earlier ones; an empty list forgets nothing.
    pub(super) fn set(&self, mut addresses: Vec<SocketAddr>) {
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        let mut state = lock(&self.state);
        if addresses.is_empty() || state.addresses == addresses {
            return;
        }
        state.addresses.clone_from(&addresses);
        drop(state);
        let Some(path) = &self.file else { return };
        let lines: String = addresses.iter().map(|address| format!("{address}\n")).collect();
        if let Err(why) = write(path, &lines) {
            warn!(path = %path.display(), %why, "cannot remember the API server's addresses");
        }
    }

    /// The address to begin with, and all alternatives.
    pub(super) fn get(&self, now: Instant) -> (Option<SocketAddr>, Vec<SocketAddr>) {
        let state = lock(&self.state);
        let preferred = state.preferred.filter(|(_, until)| now < *until);
        (preferred.map(|(address, _)| address), state.addresses.clone())
    }

    /// `address` answered: if it is an alternative, it is the one to begin with until then.
    pub(super) fn answered(&self, address: SocketAddr, until: Instant) {
        let mut state = lock(&self.state);
        let is_renewed = state.preferred.is_some_and(|(preferred, _)| preferred == address);
        if state.addresses.contains(&address) && !is_renewed {
            state.preferred = Some((address, until));
        }
    }

    /// No address is the one to begin with: it did not answer, or its time is over.
    pub(super) fn forget_preferred(&self) {
        lock(&self.state).preferred = None;
    }
}

/// Where a new file is until it is whole.
fn draft(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// Replaces the file as a whole; never through a symbolic link, by which who may write the directory
/// would have another file written.
fn write(path: &Path, lines: &str) -> io::Result<()> {
    let draft = draft(path);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(lines.as_bytes())?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbolic_link_in_the_place_of_the_draft_is_not_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, victim) = (directory.path().join("servers"), directory.path().join("victim"));
        fs::write(&victim, "theirs").expect("written");
        std::os::unix::fs::symlink(&victim, file.with_extension("new")).expect("a link");
        let address: SocketAddr = "192.0.2.1:6443".parse().expect("an address");
        Alternatives::remembered(Some(file.clone())).set(vec![address]);
        assert_eq!(fs::read_to_string(&victim).expect("it is there"), "theirs");
        assert_eq!(fs::read_to_string(&file).expect("written"), "192.0.2.1:6443\n");
    }

    #[test]
    fn addresses_outlive_the_process_and_an_empty_list() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = Some(directory.path().join("servers"));
        let addresses: Vec<SocketAddr> =
            ["10.0.0.2:6443", "[fd00::1]:6443"].map(|text| text.parse().expect(text)).to_vec();
        let alternatives = Alternatives::remembered(file.clone());
        alternatives.set(addresses.clone());
        alternatives.set(Vec::new());
        let again = Alternatives::remembered(file);
        assert_eq!(again.get(Instant::now()), (None, addresses));
    }
}
