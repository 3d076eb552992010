//! gRPC probes of real servers.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::{Body, Bytes, Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use redirector_core::{
    input::ProbeFailure,
    service::{BackendRef, Probe, ProbeKind},
};
use tonic_health::{ServingStatus, server::health_reporter};

use super::{
    FAST,
    loopback::{DEADLINE, Probes, accepting, at, eventually, failed, probed, sockets},
    servers::Server,
};

fn grpc(service: &str) -> Probe {
    Probe { kind: ProbeKind::Grpc { service: service.into() }, ..FAST }
}

/// A server that answers every call in this way.
async fn answering<B>(
    backend: BackendRef,
    answer: impl Fn(Request<Incoming>) -> Response<B> + Clone + Send + 'static,
) -> Server
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    Server::start(backend, move |stream| {
        let answer = answer.clone();
        let service = service_fn(move |request| {
            let answer = answer(request);
            async move { Ok::<_, Infallible>(answer) }
        });
        async move {
            let serve = http2::Builder::new(TokioExecutor::new());
            // Ends with the prober's reset.
            _ = serve.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await
}

fn trailers_only(fields: &[(&'static str, &'static str)]) -> Response<Full<Bytes>> {
    let mut response = Response::builder().header("content-type", "application/grpc");
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(Full::default()).expect("a response")
}

/// A message of this kind, and `grpc-status: 0`.
fn message(
    prefix: [u8; 5],
    bytes: &'static [u8],
) -> Response<impl Body<Data = Bytes, Error = Infallible>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a value"));
    let body = [&prefix, bytes].concat();
    let body = Full::from(body).with_trailers(async move { Some(Ok(trailers)) });
    Response::builder().header("content-type", "application/grpc").body(body).expect("a response")
}

/// A body without end.
struct Zeroes;

impl Body for Zeroes {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 16_384])))))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_service_of_a_real_server_decides() {
    let backend = at(31, 1);
    let (reporter, health) = health_reporter();
    let _server = Server::start(backend, move |stream| {
        let service = TowerToHyperService::new(health.clone());
        async move {
            let serve = http2::Builder::new(TokioExecutor::new());
            _ = serve.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await;
    reporter.set_service_status("shop.Checkout", ServingStatus::Serving).await;
    assert_eq!(probed(backend, grpc("")).await, Ok(()));
    assert_eq!(probed(backend, grpc("shop.Checkout")).await, Ok(()));
    let why = "does not know the service \"shop.Cart\"";
    assert_eq!(probed(backend, grpc("shop.Cart")).await, failed(why));

    let mut probes = Probes::start([(backend, grpc("shop.Checkout"))], 8);
    probes.until(backend, Ok(())).await;
    reporter.set_service_status("shop.Checkout", ServingStatus::NotServing).await;
    probes.until(backend, failed("says NOT_SERVING")).await;
    reporter.set_service_status("shop.Checkout", ServingStatus::Unknown).await;
    probes.until(backend, failed("says UNKNOWN")).await;
    reporter.set_service_status("shop.Checkout", ServingStatus::Serving).await;
    probes.until(backend, Ok(())).await;
    drop(probes);
    eventually(|| sockets(31).is_empty(), "no socket is left").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_question_is_that_of_the_protocol() {
    let backend = at(32, 1);
    let well = |request: Request<Incoming>| {
        let is_right = request.method() == "POST"
            && request.uri().path() == "/grpc.health.v1.Health/Check"
            && request.uri().authority().is_some_and(|name| name == "127.77.32.1:18080")
            && request.headers().get("te").is_some_and(|te| te == "trailers")
            && request.headers().get("content-type").is_some_and(|is| is == "application/grpc");
        assert!(is_right, "{request:?}");
        // HealthCheckResponse {status: SERVING}
        message([0, 0, 0, 0, 2], b"\x08\x01")
    };
    let _server = answering(backend, well).await;
    assert_eq!(probed(backend, grpc("")).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_in_trailers_alone_are_read() {
    for (host, (fields, expected)) in [
        (vec![("grpc-status", "12")], "has no health service (grpc.health.v1.Health)"),
        (vec![("grpc-status", "5")], "does not know the service \"a\""),
        (
            vec![("grpc-status", "14"), ("grpc-message", "over%0Aload%1B[31m")],
            "answered Unavailable: over\\nload\\u{1b}[31m",
        ),
        (vec![("grpc-status", "0")], "answered Internal: Missing response message."),
        (vec![("grpc-status", "what")], "answered Unknown: "),
        (vec![("grpc-status", "16"), ("grpc-message", "who?")], "answered Unauthenticated: who?"),
    ]
    .into_iter()
    .enumerate()
    {
        let backend = at(33, u8::try_from(host + 1).expect("few"));
        let _server = answering(backend, move |_| trailers_only(&fields)).await;
        assert_eq!(probed(backend, grpc("a")).await, failed(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wicked_messages_are_refused() {
    for (host, (what, prefix, bytes)) in [
        ("no status: UNKNOWN", [0, 0, 0, 0, 0], &b""[..]),
        ("a status that is none", [0, 0, 0, 0, 2], b"\x08\x63"),
        ("no protobuf", [0, 0, 0, 0, 2], b"\xff\xff"),
        ("an announced 2 GiB", [0, 0x7f, 0xff, 0xff, 0xff], b"\x08\x01"),
        ("compression", [1, 0, 0, 0, 2], b"\x08\x01"),
        ("a flag that is none", [9, 0, 0, 0, 2], b"\x08\x01"),
        ("half a message", [0, 0, 0, 0, 9], b"\x08\x01"),
    ]
    .into_iter()
    .enumerate()
    {
        let backend = at(34, u8::try_from(host + 1).expect("few"));
        let _server = answering(backend, move |_| message(prefix, bytes)).await;
        let outcome = probed(backend, grpc("a")).await;
        let Err(ProbeFailure::Failed(why)) = &outcome else { panic!("{what}: {outcome:?}") };
        assert!(!why.is_empty() && why.len() < 200, "{what}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_answer_is_cut_off() {
    let backend = at(35, 1);
    let endless = |_| {
        Response::builder().header("content-type", "application/grpc").body(Zeroes).expect("one")
    };
    let _server = answering(backend, endless).await;
    let begin = Instant::now();
    let outcome = probed(backend, Probe { timeout_ms: 10_000, ..grpc("") }).await;
    assert!(matches!(outcome, Err(ProbeFailure::Failed(_))), "{outcome:?}");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    eventually(|| sockets(35).is_empty(), "no socket is left").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http2_is_not_well() {
    for (host, (what, answer)) in [
        ("HTTP/1.1", &b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..]),
        ("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x46"),
        (
            "settings, then nothing of sense",
            b"\0\0\0\x04\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        ),
        ("an announced frame of 16 MiB", b"\0\0\0\x04\0\0\0\0\0\xff\xff\xff\0\0\0\0\0\x01"),
    ]
    .into_iter()
    .enumerate()
    {
        for is_endless in [false, true] {
            let backend =
                at(36, u8::try_from(2 * host + 1 + usize::from(is_endless)).expect("few"));
            let _server = Server::saying(backend, answer, is_endless).await;
            let outcome = probed(backend, grpc("")).await;
            let Err(ProbeFailure::Failed(why)) = &outcome else { panic!("{what}: {outcome:?}") };
            let is_told =
                why.starts_with("does not answer in gRPC: ") || &**why == "connection reset";
            assert!(is_told && why.len() < 200, "{what}: {why}");
        }
    }
    let web = at(36, 100);
    let _server = answering(web, |_| {
        Response::builder().status(404).body(Full::from("what?")).expect("a response")
    })
    .await;
    let outcome = probed(web, grpc("")).await;
    assert!(matches!(outcome, Err(ProbeFailure::Failed(_))), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_a_timeout_and_leaves_nothing_behind() {
    let hung = at(37, 1);
    let _listener = accepting(hung);
    let settings = at(37, 2);
    let _server = Server::start(settings, |mut stream| async move {
        use tokio::io::AsyncWriteExt as _;
        _ = stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await;
        std::future::pending::<()>().await;
    })
    .await;
    let busy = at(37, 3);
    let _never = Server::start(busy, |stream| async move {
        let service = service_fn(|_: Request<Incoming>| {
            std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
        });
        let serve = http2::Builder::new(TokioExecutor::new());
        _ = serve.serve_connection(TokioIo::new(stream), service).await;
    })
    .await;
    for backend in [hung, settings, busy] {
        let probe = Probe { timeout_ms: 200, ..grpc("") };
        let begin = Instant::now();
        assert_eq!(probed(backend, probe).await, Err(ProbeFailure::TimedOut), "{backend}");
        assert!(begin.elapsed() < DEADLINE / 4, "{:?}", begin.elapsed());
    }
    eventually(|| sockets(37).is_empty(), "no socket is left").await;
}
