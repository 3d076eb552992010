//! How an agent that may not load has a loader do it that stands by: by connecting to its socket.
//!
//! Nothing is read from who connects, and only those who may use the pins can.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::socket::listen_beside;
use crate::datapath::Access;

/// What a loader answers when it has loaded; anything else is why it could not.
const LOADED: &str = "loaded";
/// Loading takes well under a second, and waits 2 s at most for the lock.
const LONGEST_LOAD: Duration = Duration::from_secs(30);

/// The loader's end of the socket.
#[derive(Debug)]
pub struct Loader(UnixListener);

impl Loader {
    /// Listens at `path`, for those who may use the pins.
    ///
    /// # Errors
    ///
    /// The socket cannot be made.
    pub fn listen(path: &Path, access: Access) -> Result<Self> {
        listen_beside(path, |path| access.grant(path))
            .with_context(|| format!("cannot listen on {}", path.display()))
            .map(Self)
    }

    /// Waits until an agent asks, loads, and says how that went.
    ///
    /// # Errors
    ///
    /// What `load` says.
    pub async fn serve_one(self, load: impl FnOnce() -> Result<()>) -> Result<()> {
        let (mut asker, _) = self.0.accept().await.context("cannot be asked to load")?;
        let loaded = load();
        let answer = loaded.as_ref().map_or_else(|why| format!("{why:#}"), |()| LOADED.to_owned());
        // An agent that has ended meanwhile will find what was loaded.
        let _ = asker.write_all(answer.as_bytes()).await;
        loaded
    }
}

/// Has a loader load that stands by at `path`.
///
/// # Errors
///
/// There is none, or it could not load; the text says why.
pub async fn ask_loader(path: &Path) -> Result<()> {
    let shown = path.display();
    let mut loader = UnixStream::connect(path).await.with_context(|| {
        format!("no loader stands by at {shown} (`redirector load --stand-by`)")
    })?;
    let mut answer = String::new();
    timeout(LONGEST_LOAD, loader.read_to_string(&mut answer))
        .await
        .with_context(|| format!("the loader at {shown} does not answer"))?
        .with_context(|| format!("the loader at {shown} breaks off"))?;
    match answer.as_str() {
        LOADED => Ok(()),
        "" => bail!("the loader at {shown} ended without an answer"),
        why => bail!("the loader that was asked could not: {why}"),
    }
}
