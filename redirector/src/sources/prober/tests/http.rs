//! HTTP probes of real servers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header::HOST},
    response::Redirect,
    routing::get,
};
use hyper_util::rt::TokioIo;
use redirector_core::{
    input::ProbeFailure,
    service::{BackendRef, Probe, ProbeKind},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    FAST,
    loopback::{DEADLINE, PORT, accepting, at, eventually, failed, probed, sockets},
    servers::Server,
};

const WELL: (u16, u16) = (200, 399);
const NO_ANSWER: &str = "closed the connection without an answer";
const LONG_HEAD: &str = "the head of its answer is longer than 4096 bytes";

fn http(path: &str, status: (u16, u16)) -> Probe {
    Probe { kind: ProbeKind::Http { path: path.into(), host: None, status }, ..FAST }
}

async fn serving(backend: BackendRef, router: Router) -> Server {
    Server::start(backend, move |stream| {
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        async move {
            let serve = hyper::server::conn::http1::Builder::new();
            // Ends with the prober's reset.
            _ = serve.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_is_asked_for_with_the_host_that_was_declared() {
    let backend = at(11, 1);
    let echo = |request: Request| async move {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        match (request.uri().to_string().as_str(), host) {
            ("/healthz?full=1", Some("shop.example")) => StatusCode::from_u16(218),
            ("/address", Some("127.77.11.1:18080")) => StatusCode::from_u16(219),
            _ => Ok(StatusCode::NOT_FOUND),
        }
        .expect("a status")
    };
    let _server = serving(backend, Router::new().fallback(echo)).await;
    let kind = ProbeKind::Http {
        path: "/healthz?full=1".into(),
        host: Some("shop.example".into()),
        status: (218, 218),
    };
    assert_eq!(probed(backend, Probe { kind, ..FAST }).await, Ok(()));
    assert_eq!(probed(backend, http("/address", (219, 219))).await, Ok(()));
    let why = "answered 404 Not Found";
    assert_eq!(probed(backend, http("/healthz", WELL)).await, failed(why));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_decides() {
    let backend = at(12, 1);
    let status = |path: Request| async move {
        let number = path.uri().path().trim_start_matches('/').parse().expect("a number");
        StatusCode::from_u16(number).expect("a status")
    };
    let _server = serving(backend, Router::new().fallback(status)).await;
    for (answer, healthy, expected) in [
        ("/200", WELL, Ok(())),
        ("/399", WELL, Ok(())),
        ("/400", WELL, failed("answered 400 Bad Request")),
        ("/503", WELL, failed("answered 503 Service Unavailable")),
        ("/503", (500, 599), Ok(())),
        ("/200", (500, 599), failed("answered 200 OK")),
        ("/204", (204, 204), Ok(())),
        ("/200", (204, 204), failed("answered 200 OK")),
    ] {
        assert_eq!(probed(backend, http(answer, healthy)).await, expected, "{answer} {healthy:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let backend = at(13, 1);
    let followed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&followed);
    let elsewhere = move || async move {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let router = Router::new()
        .route("/", get(|| async { Redirect::temporary("/elsewhere") }))
        .fallback(elsewhere);
    let server = serving(backend, router).await;
    let why = "answered 307 Temporary Redirect";
    assert_eq!(probed(backend, http("/", (200, 299))).await, failed(why));
    assert_eq!(probed(backend, http("/", WELL)).await, Ok(()));
    assert_eq!(followed.load(Ordering::Relaxed), 0);
    assert!(server.connections() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_port_is_asked_than_the_one_that_serves() {
    let backend = at(14, 1);
    let mut elsewhere = backend;
    elsewhere.port = PORT + 1;
    let _server = serving(elsewhere, Router::new().route("/", get(|| async { "well" }))).await;
    let probe = Probe { port: Some(PORT + 1), ..http("/", WELL) };
    assert_eq!(probed(backend, probe).await, Ok(()));
    assert_eq!(probed(backend, http("/", WELL)).await, failed("connection refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wicked_answers_are_judged_and_not_waited_for() {
    let head = "HTTP/1.1 200 OK\r\n";
    let many = "X-Header: nothing\r\n".repeat(300);
    for (host, (what, answer, expected)) in [
        ("no body", format!("{head}Content-Length: 0\r\n\r\n"), Ok(())),
        ("a body up to the close", format!("{head}\r\nwell"), Ok(())),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n".to_owned(), Ok(())),
        (
            "a body that breaks off",
            format!("{head}Content-Length: 9\r\n\r\nwel"),
            failed("its answer breaks off"),
        ),
        (
            "chunks that break off",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\nwe"),
            failed("its answer breaks off"),
        ),
        (
            "chunks that are none",
            format!("{head}Transfer-Encoding: chunked\r\n\r\nwell\r\n"),
            failed("its answer breaks off"),
        ),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-".to_owned(), failed(NO_ANSWER)),
        ("many headers", format!("{head}{many}\r\n"), failed(LONG_HEAD)),
        ("a long body", format!("{head}\r\n{}", "x".repeat(1_000_000)), Ok(())),
        (
            "another protocol",
            "SSH-2.0-OpenSSH_9.9\r\n".to_owned(),
            failed("answered, but not in HTTP/1.1: invalid HTTP version parsed"),
        ),
        (
            "a TLS alert",
            "\u{15}\u{3}\u{1}\0\u{2}\u{2}F".to_owned(),
            failed("answered, but not in HTTP/1.1: invalid HTTP version parsed"),
        ),
        (
            "status 999999",
            "HTTP/1.1 999999 OK\r\n\r\n".to_owned(),
            failed("answered, but not in HTTP/1.1: invalid HTTP status-code parsed"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let backend = at(15, u8::try_from(host + 1).expect("few"));
        let _server = Server::saying(backend, answer, false).await;
        assert_eq!(probed(backend, http("/", WELL)).await, expected, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_a_little_is_taken_of_an_endless_answer() {
    let head = "HTTP/1.1 200 OK\r\n";
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4_096));
    for (host, (what, answer, expected)) in [
        ("a body", format!("{head}\r\n{}", "x".repeat(60_000)), Ok(())),
        ("chunks", format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(9)), Ok(())),
        ("a header", format!("{head}X-Header: {}", "x".repeat(60_000)), failed(LONG_HEAD)),
        ("a status line", format!("HTTP/1.1 200 {}", "x".repeat(60_000)), failed(LONG_HEAD)),
        ("interim answers", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100), failed(LONG_HEAD)),
    ]
    .into_iter()
    .enumerate()
    {
        let backend = at(16, u8::try_from(host + 1).expect("few"));
        let (_server, mut sent) = Server::saying(backend, answer, true).await;
        let begin = Instant::now();
        let slow = Probe { timeout_ms: 10_000, ..http("/", WELL) };
        assert_eq!(probed(backend, slow).await, expected, "{what}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{what}: {:?}", begin.elapsed());
        let sent = tokio::time::timeout(DEADLINE, sent.recv()).await.expect("the prober leaves");
        // What fits into the buffers of two sockets, not the 100 MB that loopback takes in that
        // time.
        let sent = sent.expect("a number");
        assert!(sent < 16 << 20, "{what}: {sent} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_anywhere_is_a_timeout_of_the_whole_probe() {
    let drip = |first: &'static str, then: &'static str| {
        move |mut stream: tokio::net::TcpStream| async move {
            // A line is enough: an answer before the question is another fault.
            _ = stream.read(&mut [0; 1_024]).await;
            // Until the prober leaves.
            _ = stream.write_all(first.as_bytes()).await;
            while !then.is_empty() && stream.write_all(then.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            std::future::pending::<()>().await;
        }
    };
    for (host, (what, first, then)) in [
        ("nothing at all", "", ""),
        ("half a status line", "HTTP/1.1 2", ""),
        ("no body", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", ""),
        ("a body by drops", "HTTP/1.1 200 OK\r\n\r\n", "x"),
        ("a head by drops", "HTTP/1.1 200 OK\r\nX-Header: ", "x"),
    ]
    .into_iter()
    .enumerate()
    {
        let backend = at(17, u8::try_from(host + 1).expect("few"));
        let _server = Server::start(backend, drip(first, then)).await;
        let begin = Instant::now();
        let probe = Probe { timeout_ms: 200, ..http("/", WELL) };
        assert_eq!(probed(backend, probe).await, Err(ProbeFailure::TimedOut), "{what}");
        let took = begin.elapsed();
        assert!(took >= Duration::from_millis(200) && took < DEADLINE / 4, "{what}: {took:?}");
    }
    eventually(|| sockets(17).is_empty(), "no socket is left").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_or_never_accepts_is_not_well() {
    let closing = at(18, 1);
    let _server = Server::start(closing, |stream| async move { drop(stream) }).await;
    let outcome = probed(closing, http("/", WELL)).await;
    assert!([failed(NO_ANSWER), failed("connection reset")].contains(&outcome), "{outcome:?}");

    // It speaks first, as SSH and SMTP servers do. What comes before the question was even sent is
    // told apart from what follows it.
    let talkative = at(18, 4);
    let _server = Server::start(talkative, |mut stream| async move {
        _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let outcome = probed(talkative, http("/", WELL)).await;
    let Err(ProbeFailure::Failed(why)) = &outcome else { panic!("{outcome:?}") };
    assert!(why.starts_with("answered, but not in HTTP/1.1: "), "{why}");

    // A hung process: the kernel accepts, the process does not read.
    let hung = at(18, 2);
    let _listener = accepting(hung);
    let probe = Probe { timeout_ms: 150, ..http("/", WELL) };
    assert_eq!(probed(hung, probe).await, Err(ProbeFailure::TimedOut));
    assert_eq!(probed(at(18, 3), http("/", WELL)).await, failed("connection refused"));
}
