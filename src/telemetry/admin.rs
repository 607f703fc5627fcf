//! The admin server: `/livez`, `/readyz` and `/metrics`. It speaks plain HTTP, is read-only and holds no secrets.
//!
//! Guarantee: a client of the port can neither use much memory nor block the kubelet's probes. The head of a request has a maximum
//! size and time, a connection has a maximum lifetime, and if there are too many connections, the newest replaces the oldest.

use std::{
    collections::VecDeque,
    future::Future,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use super::{exposition::Format, health::Health, metrics::Metrics};

/// Pause after accept() failed: the process may have no file descriptors left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(500);

/// Connections that the kernel keeps until they are accepted, as in the standard library.
const BACKLOG: i32 = 128;

/// Limits on what clients can use.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Maximum number of connections.
    connections: usize,
    /// Maximum size of a request's head, in bytes.
    head: usize,
    /// Maximum time from the start of a connection, or from the answer before, to the end of a request's head.
    head_time: Duration,
    /// Maximum lifetime of a connection, including its answers.
    life: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    head: 16 * 1024,
    head_time: Duration::from_secs(5),
    life: Duration::from_secs(60),
};

#[derive(Clone, Debug)]
struct AppState {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

/// Listens on the address of `--admin-address`. `[::]` serves IPv6 and IPv4, and IPv4 alone where the node has no IPv6.
///
/// # Errors
/// If nothing can listen on the address. The message names the flag.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    bind_with(address, listen).map_err(|error| {
        format!("--admin-address: cannot listen on {address}: {error}; use another address, or off")
    })
}

fn bind_with<L>(
    address: SocketAddr,
    listen: impl Fn(SocketAddr) -> std::io::Result<L>,
) -> std::io::Result<L> {
    listen(address).or_else(|error| {
        let no_ipv6 = matches!(
            error.raw_os_error(),
            Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
        );
        if no_ipv6 && address.ip() == Ipv6Addr::UNSPECIFIED {
            listen((Ipv4Addr::UNSPECIFIED, address.port()).into())
        } else {
            Err(error)
        }
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // Some nodes have it true by default.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves until `stop` ends.
pub async fn serve(
    listener: TcpListener,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(AppState { health, metrics });
    tokio::select! {
        () = stop => {}
        () = accept(&listener, router, LIMITS) => {}
    }
}

/// Accepts connections for ever.
async fn accept(listener: &TcpListener, router: Router, limits: Limits) {
    // They end when this future is dropped.
    let mut connections = JoinSet::new();
    let mut by_age: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_AGAIN).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        by_age.retain(|connection| !connection.is_finished());
        // The oldest, not the newest: that may be the kubelet, whose request is answered before the next connection.
        while by_age.len() >= limits.connections {
            if let Some(oldest) = by_age.pop_front() {
                oldest.abort();
            }
        }
        by_age.push_back(connections.spawn(connection(stream, router.clone(), limits)));
        // The new connection runs before the next one is accepted.
        tokio::task::yield_now().await;
    }
}

/// Serves one connection to its end. Errors are the client's problem and are ignored.
async fn connection(stream: TcpStream, router: Router, limits: Limits) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.head)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let _ = timeout(limits.life, serving).await;
}

async fn livez(State(state): State<AppState>) -> Response {
    if state.health.is_alive() {
        "ok\n".into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the dispatcher has stopped\n",
        )
            .into_response()
    }
}

async fn readyz(State(state): State<AppState>) -> Response {
    match state.health.missing() {
        None => "ok\n".into_response(),
        Some(missing) => (StatusCode::SERVICE_UNAVAILABLE, missing).into_response(),
    }
}

async fn metrics_text(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(header::ACCEPT).iter();
    let accept: Vec<_> = accept.filter_map(|value| value.to_str().ok()).collect();
    let format = Format::wanted(&accept.join(","));
    match state.metrics.text(format) {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Long enough for anything that a test waits for.
    const PATIENCE: Duration = Duration::from_secs(30);

    async fn server(limits: Limits) -> SocketAddr {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { accept(&listener, router(), limits).await });
        address
    }

    fn router() -> Router {
        let big = "x".repeat(64 << 20);
        Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/big", get(|| async { big }))
    }

    #[tokio::test]
    async fn all_addresses_are_those_of_ipv4_too() {
        let listener = bind("[::]:0".parse().unwrap()).await.unwrap();
        let served = listener.local_addr().unwrap();
        tokio::spawn(async move { accept(&listener, router(), LIMITS).await });
        let mut addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, served.port()))];
        if served.is_ipv6() {
            addresses.push((Ipv6Addr::LOCALHOST, served.port()).into());
        }
        for address in addresses {
            assert!(TcpStream::connect(address).await.is_ok(), "{address}");
        }
    }

    #[test]
    fn a_node_without_ipv6_serves_ipv4() {
        let without_ipv6 = |address: SocketAddr| {
            if address.is_ipv6() {
                return Err(std::io::Error::from_raw_os_error(libc::EAFNOSUPPORT));
            }
            Ok(address)
        };
        let all = bind_with("[::]:8080".parse().unwrap(), without_ipv6);
        assert_eq!(all.unwrap().to_string(), "0.0.0.0:8080");
        // An address that the operator chose is not replaced.
        assert!(bind_with("[::1]:8080".parse().unwrap(), without_ipv6).is_err());
        let in_use = |_| Err::<(), _>(std::io::Error::from_raw_os_error(libc::EADDRINUSE));
        assert!(bind_with("[::]:8080".parse().unwrap(), in_use).is_err());
    }

    async fn sent(address: SocketAddr, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may close it before everything is written.
        let _ = stream.write_all(bytes).await;
        stream
    }

    /// Everything until the connection is closed.
    async fn rest(mut stream: TcpStream) -> String {
        let mut text = Vec::new();
        // A reset if the server left something unread.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut text))
            .await
            .unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    const GET: &[u8] = b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_head_that_does_not_end_is_not_kept() {
        let patient = Limits {
            head_time: PATIENCE * 2,
            life: PATIENCE * 2,
            ..LIMITS
        };
        let address = server(patient).await;
        let head = [b"GET /livez HTTP/1.1\r\nx: ".as_slice(), &[b'x'; 400_000]].concat();
        let answers = (0..100).map(async |_| rest(sent(address, &head).await).await);
        for answer in futures::future::join_all(answers).await {
            assert!(!answer.contains("200"), "{answer}");
        }
        assert!(rest(sent(address, GET).await).await.ends_with("ok\n"));
    }

    #[tokio::test]
    async fn a_head_that_takes_too_long_and_a_connection_that_is_idle_are_closed() {
        let hasty = Limits {
            head_time: Duration::from_millis(50),
            life: PATIENCE * 2,
            ..LIMITS
        };
        let address = server(hasty).await;
        let kept = b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n";
        for begun in [b"GET /livez HTTP/1.1\r\n".as_slice(), b"", kept] {
            let answer = rest(sent(address, begun).await).await;
            assert_eq!(answer.contains("200"), begun == kept, "{answer}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_is_not_kept() {
        let limits = Limits {
            life: Duration::from_millis(50),
            ..LIMITS
        };
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let _unread = sent(address, b"GET /big HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let (accepted, _) = listener.accept().await.unwrap();
        let served = connection(accepted, router(), limits);
        timeout(PATIENCE, served).await.unwrap();
    }

    #[tokio::test]
    async fn of_too_many_the_oldest_is_closed_for_the_newest() {
        let few = Limits {
            connections: 4,
            head_time: PATIENCE * 2,
            life: PATIENCE * 2,
            ..LIMITS
        };
        let address = server(few).await;
        let mut held = Vec::new();
        for _ in 0..few.connections {
            held.push(sent(address, b"GET").await);
        }
        for _ in 0..10 {
            assert!(rest(sent(address, GET).await).await.ends_with("ok\n"));
        }
        assert_eq!(rest(held.remove(0)).await, "");
        // The others are still served.
        for mut stream in held {
            stream.write_all(&GET[3..]).await.unwrap();
            assert!(rest(stream).await.ends_with("ok\n"));
        }
    }
}
