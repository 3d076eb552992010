//! Other addresses of the API server: the endpoints of `default/kubernetes`, remembered in a file.

use std::{net::SocketAddr, path::PathBuf, sync::Mutex, time::Instant};

use tracing::warn;

/// More are not tried: each may cost a connect deadline.
const MOST: usize = 16;

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
    /// Those of the file, if there is one.
    pub(super) fn remembered(file: Option<PathBuf>) -> Self {
        let text = file.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        let lines = text.as_deref().unwrap_or_default().lines();
        let addresses = lines.filter_map(|line| line.trim().parse().ok()).take(MOST).collect();
        Self { file, state: Mutex::new(State { addresses, preferred: None }) }
    }

    /// Takes the place of all earlier ones; an empty list forgets nothing.
    pub(super) fn set(&self, mut addresses: Vec<SocketAddr>) {
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MOST);
        let mut state = self.lock();
        if addresses.is_empty() || state.addresses == addresses {
            return;
        }
        state.addresses.clone_from(&addresses);
        drop(state);
        let Some(path) = &self.file else { return };
        let lines: String = addresses.iter().map(|address| format!("{address}\n")).collect();
        let draft = path.with_extension("new");
        let written = std::fs::write(&draft, lines).and_then(|()| std::fs::rename(&draft, path));
        if let Err(why) = written {
            warn!(path = %path.display(), %why, "cannot remember the API server's addresses");
        }
    }

    /// All of them, and the one to begin with.
    pub(super) fn get(&self, now: Instant) -> (Option<SocketAddr>, Vec<SocketAddr>) {
        let state = self.lock();
        let preferred = state.preferred.filter(|(_, until)| now < *until);
        (preferred.map(|(address, _)| address), state.addresses.clone())
    }

    /// `address` answered: if it is an alternative, it is the one to begin with until then.
    pub(super) fn answered(&self, address: SocketAddr, until: Instant) {
        let mut state = self.lock();
        let is_renewed = state.preferred.is_some_and(|(preferred, _)| preferred == address);
        if state.addresses.contains(&address) && !is_renewed {
            state.preferred = Some((address, until));
        }
    }

    /// Nobody is to begin with: it did not answer, or its time is over.
    pub(super) fn forget_preferred(&self) {
        self.lock().preferred = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
