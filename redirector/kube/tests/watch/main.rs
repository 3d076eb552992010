//! Whatever an API server does, a watch ends up knowing what is true, and asks for few lists.
//!
//! Each script is a table entry: what the server does with each connection and request in turn.
//! After the last step the server is honest and one more object appears: who has not heard of it
//! in time is blind. All times are a tenth of the real ones; all scripts run at once.

mod errors;
mod model;
mod requests;
mod scripts;
mod server;
mod state;
mod tls;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use redirector_kube::{
    client::{Client, Options, Timeouts},
    watch::{Limits, Selector, Stats, watch},
};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use self::{
    model::Model,
    scripts::Script,
    server::{Server, bind},
    state::ServerState,
};

/// All times of the agent are divided by this.
const DIVISOR: u32 = 10;

/// A script has to end within this time.
const DEADLINE: Duration = Duration::from_secs(28);

#[test]
fn no_watch_ends_blind() {
    errors::listen();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let began = Instant::now();
        // Before the clock of any script runs.
        let _ = &*tls::PKI;
        let scripts = scripts::all();
        let count = scripts.len();
        assert!(count >= 45, "{count} scripts");
        let mut running = JoinSet::new();
        for script in scripts {
            running.spawn(run(script));
        }
        let mut failures: Vec<String> = running.join_all().await.into_iter().flatten().collect();
        failures.extend(errors::heard());
        assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
        let lasted = began.elapsed();
        assert!(lasted < Duration::from_secs(30), "{count} scripts took {lasted:?}");
        print_count(count, lasted);
    });
}

#[expect(clippy::print_stderr, reason = "the count belongs to the result")]
fn print_count(count: usize, lasted: Duration) {
    eprintln!("{count} watch scripts in {lasted:.1?}");
}

/// A kubeconfig for a server without TLS, with the token of `account`.
fn kubeconfig(account: &Path, address: SocketAddr) -> PathBuf {
    let token = account.join("token");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: x, \
         contexts: [{{name: x, context: {{cluster: x, user: x}}}}], \
         clusters: [{{name: x, cluster: {{server: 'http://{address}'}}}}], \
         users: [{{name: x, user: {{tokenFile: '{}'}}}}]}}",
        token.display()
    );
    let path = account.join("kubeconfig");
    std::fs::write(&path, text).expect("a kubeconfig");
    path
}

/// Runs a script; returns what was wrong, if anything.
async fn run(script: Script) -> Option<String> {
    let name = script.name;
    let failed = |why: String| Some(format!("{name}: {why}"));
    let account = tempfile::tempdir().expect("a directory");
    let path = account.path();
    std::fs::write(path.join("ca.crt"), &tls::PKI.ca).expect("a CA file");
    std::fs::write(path.join("token"), "first").expect("a token");
    let is_late = script.is_late;
    let server = Server::new(ServerState::new(script.steps, path.to_owned()), script.is_tls);
    let (socket, address) = bind();
    let mut options = Options {
        account: path.to_owned(),
        timeouts: Timeouts::default().divided_by(DIVISOR),
        ..Options::default()
    };
    // Bound, so that no other socket has the address, but not listening: it refuses.
    let mut late = None;
    if script.is_elsewhere {
        // The first address is refused for ever; the server is an alternative.
        let (nobody, refused) = bind();
        late = Some(nobody);
        options.api_server = Some(format!("https://{refused}"));
        server.listen(socket);
    } else {
        if is_late {
            late = Some(socket);
        } else {
            server.listen(socket);
        }
        if script.is_tls {
            options.api_server = Some(format!("https://{address}"));
        } else {
            options.kubeconfig = Some(kubeconfig(path, address));
        }
    }
    let client = match Client::new(options).await {
        Ok(client) => client,
        Err(why) => return failed(format!("no client: {why}")),
    };
    if script.is_elsewhere {
        client.set_alternatives(vec![address]);
    }
    let stats = Arc::new(Stats::default());
    let limits = (script.limits)(Limits::default().divided_by(DIVISOR));
    let (sender, receiver) = mpsc::channel(4);
    let watching = tokio::spawn(watch(client, Selector::default(), limits, stats.clone(), sender));
    let model = Model::listen(receiver);
    let deadline = Instant::now() + DEADLINE;
    if is_late {
        // The server begins to listen after it has been refused twice.
        while stats.snapshot().errors.values().sum::<u64>() < 2 {
            if Instant::now() > deadline {
                return failed("the refused address was not dialled again".to_owned());
            }
            sleep(Duration::from_millis(5)).await;
        }
        server.listen(late.take().expect("the socket"));
    }
    while !server.state().steps.is_empty() {
        if Instant::now() > deadline {
            let ServerState { steps, disappointed, .. } = &*server.state();
            let (left, seen) = (steps.len(), stats.snapshot());
            return failed(format!("{left} steps were never reached; {disappointed:?}; {seen:?}"));
        }
        sleep(Duration::from_millis(5)).await;
    }
    server.change(|state| {
        state.put("final", "last");
    });
    let said = loop {
        let reference = server.state().reference.clone();
        let said = model.objects();
        if said == reference {
            break None;
        }
        if Instant::now() > deadline {
            break Some(format!("blind: it knows {said:?} instead of {reference:?}"));
        }
        sleep(Duration::from_millis(5)).await;
    };
    let snapshot = stats.snapshot();
    let (spoken, mut wrong) = {
        let heard = model.heard();
        (heard.said.clone(), heard.broken.clone())
    };
    drop(model);
    if let Some(why) = said {
        let disappointed = &server.state().disappointed;
        return failed(format!("{why}; {disappointed:?}; {snapshot:?}"));
    }
    // The receiver is gone: the watch has to end.
    watching.await.expect("the watch does not panic");
    wrong.extend(server.ended().await);
    let (lists, most) = (server.state().lists, 1 + script.gone + script.forced);
    if lists > most {
        wrong.push(format!("{lists} lists instead of at most {most}"));
    }
    for kind in script.errors {
        if !snapshot.errors.iter().any(|(seen, _)| seen == kind) {
            wrong.push(format!("no error of the kind {} was met", kind.name()));
        }
    }
    for never in script.never {
        if spoken.iter().any(|said| said == never) {
            wrong.push(format!("{never} was said"));
        }
    }
    for once in script.once {
        let times = spoken.iter().filter(|said| *said == once).count();
        if times != 1 {
            wrong.push(format!("{once} was said {times} times instead of once"));
        }
    }
    wrong.extend((script.check)(&snapshot));
    let wrong = (!wrong.is_empty()).then(|| wrong.join("; "))?;
    failed(format!("{wrong}; it was said {spoken:?}; {snapshot:?}"))
}
