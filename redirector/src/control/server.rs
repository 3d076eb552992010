//! Answers on the control socket: passes each request to the agent's task, and its answer back.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{
    Extension, Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use redirector_core::{
    explain::NotInstalled,
    input::{Drained, Verb},
    text::NoSubject,
};
use serde::Deserialize;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
};

use super::{
    Ask, Asker,
    asker::Caller,
    clear,
    snapshot::{Snapshot, meant, silenced},
    socket::listen_beside,
};
use crate::serve::{Bounds, serve};

/// A few operators and their scripts. What they ask may be long: a list of who is supposed dead.
const BOUNDS: Bounds = Bounds {
    connections: 32,
    head: Duration::from_secs(5),
    whole: Duration::from_secs(60),
    buffer: 1 << 20,
};

/// The socket, listening.
#[derive(Debug)]
pub struct Server(UnixListener);

/// What `/explain` may be asked.
#[derive(Debug, Deserialize)]
struct Question {
    /// The service; without, every one.
    service: Option<String>,
    /// Subjects, separated by commas.
    #[serde(default)]
    dead: String,
    /// Clusters as subjects, separated by commas; of `/simulate` alone, which agents do not have that
    /// do not know it.
    #[serde(default)]
    silent: String,
}

impl Server {
    /// Listens at `path`, for the owner only. The caller holds the agent's lock: no process listens
    /// on a socket that is there already.
    ///
    /// # Errors
    ///
    /// The socket cannot be made.
    pub fn listen(path: &Path) -> Result<Self> {
        let owner_only =
            |path: &Path| Ok(fs::set_permissions(path, Permissions::from_mode(0o600))?);
        clear(path)
            .map_err(Into::into)
            .and_then(|()| listen_beside(path, owner_only))
            .with_context(|| format!("cannot listen on {}", path.display()))
            .map(Self)
    }

    /// Answers until the task is dropped.
    pub async fn serve(self, asks: mpsc::Sender<Ask>) {
        let router = Router::new()
            .route("/orders", post(order).get(orders))
            .route("/orders/check", post(check))
            .route("/explain", get(explain))
            .route("/simulate", get(explain))
            .route("/not-installed", get(not_installed))
            .with_state(asks);
        let answering = move |stream: &UnixStream| match Caller::of(stream) {
            Ok(caller) => router.clone().layer(Extension(caller)),
            Err(why) => {
                let why = format!("the agent cannot take an order: {why}");
                Router::new().fallback(async || (StatusCode::SERVICE_UNAVAILABLE, why))
            }
        };
        // All are one user: who may open the socket may steer traffic anyway.
        serve(self.0, BOUNDS, |_| (), answering).await;
    }
}

/// How an order's answer is wanted.
#[derive(Debug, Deserialize)]
struct Wish {
    /// Whether to say what each order came to; else the answer is that of agents before this one.
    #[serde(default)]
    effects: bool,
}

/// What is answered, or the status and the reason why it is not.
type Answer<T> = Result<T, (StatusCode, String)>;

async fn order(
    State(asks): State<mpsc::Sender<Ask>>,
    Extension(caller): Extension<Caller>,
    Query(Wish { effects }): Query<Wish>,
    Json(order): Json<Verb>,
) -> Answer<Response> {
    let asked = order.clone();
    let carried_out = ask(&asks, |answer| Ask::Order(order, Asker::new(answer, caller))).await?;
    let carried_out = carried_out.map_err(impossible)?;
    if effects {
        return Ok(Json(carried_out).into_response());
    }
    let in_force: Vec<Verb> = carried_out.into_iter().map(|it| it.order).collect();
    if in_force == [asked] {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // Spelt out: one for each port.
    Ok(Json(in_force).into_response())
}

async fn check(
    State(asks): State<mpsc::Sender<Ask>>,
    Json(orders): Json<Vec<Verb>>,
) -> Answer<StatusCode> {
    let checked = ask(&asks, |answer| Ask::Check(orders, answer)).await?;
    checked.map(|()| StatusCode::NO_CONTENT).map_err(impossible)
}

fn impossible(why: String) -> (StatusCode, String) {
    (StatusCode::UNPROCESSABLE_ENTITY, why)
}

async fn orders(State(asks): State<mpsc::Sender<Ask>>) -> Answer<Json<Vec<Verb>>> {
    ask(&asks, Ask::Orders).await.map(Json)
}

async fn not_installed(State(asks): State<mpsc::Sender<Ask>>) -> Answer<Json<Vec<NotInstalled>>> {
    ask(&asks, Ask::NotInstalled).await.map(Json)
}

/// What is asked is put together in turns with the agent's news, and thought about on another thread.
async fn explain(
    State(asks): State<mpsc::Sender<Ask>>,
    Query(Question { service, dead, silent }): Query<Question>,
) -> Answer<Response> {
    /// One question at a time: each holds copies of all that it is about.
    static TURN: Semaphore = Semaphore::const_new(1);
    let turn = TURN.acquire().await.map_err(|_| stopping())?;
    let subjects = |texts: &str| {
        let subjects = texts.split(',').filter(|text| !text.is_empty()).map(str::parse);
        let subjects: Result<Vec<Drained>, NoSubject> = subjects.collect();
        subjects
            .map_err(|error| (StatusCode::BAD_REQUEST, format!("{:#}", anyhow::Error::from(error))))
    };
    let (dead, silent) = (subjects(&dead)?, subjects(&silent)?);
    let is_supposed = !dead.is_empty() || !silent.is_empty();
    let unknown = |why| (StatusCode::NOT_FOUND, why);
    let wanted = ask(&asks, |answer| Ask::Named(service, answer)).await?.map_err(unknown)?;
    let mut left = wanted.clone();
    if is_supposed {
        // A backend that one service lists at a dead node is dead for all of them.
        left = ask(&asks, |answer| Ask::Named(None, answer)).await?.map_err(unknown)?;
    }
    let mut snapshots = Vec::new();
    while !left.is_empty() {
        let (snapshot, rest) = ask(&asks, |answer| Ask::Snapshot(left, answer)).await?;
        snapshots.push(snapshot);
        left = rest;
    }
    let think = move || {
        let _turn = turn;
        if is_supposed {
            let (dead, silent) = (meant(&snapshots, &dead)?, silenced(&snapshots, &silent)?);
            let wanted = BTreeSet::from_iter(wanted);
            snapshots.retain_mut(|snapshot| {
                snapshot.services.retain(|name| wanted.contains(name));
                !snapshot.services.is_empty()
            });
            let supposed = snapshots.into_iter();
            let supposed = supposed.map(|it| it.with_silent(&silent).with_dead(&dead));
            snapshots = supposed.collect();
        }
        let explained: Vec<_> = snapshots.iter().flat_map(Snapshot::explain).collect();
        Ok(Json(explained).into_response())
    };
    let broken = |error: tokio::task::JoinError| {
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the agent could not put the answer together, its log says why: {error}"),
        )
    };
    tokio::task::spawn_blocking(think).await.map_err(broken)?.map_err(unknown)
}

async fn ask<T>(
    asks: &mpsc::Sender<Ask>,
    question: impl FnOnce(oneshot::Sender<T>) -> Ask,
) -> Answer<T> {
    let (sender, answer) = oneshot::channel();
    asks.send(question(sender)).await.map_err(|_| stopping())?;
    answer.await.map_err(|_| stopping())
}

fn stopping() -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping".to_owned())
}
