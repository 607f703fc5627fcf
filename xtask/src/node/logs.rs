//! What the API server asks a node when somebody runs `kubectl logs`: a container's log, over TLS.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// How often a followed log is looked at.
const TICK: Duration = Duration::from_millis(200);

/// How many lines of a log an error quotes.
const QUOTED_LINES: usize = 12;

/// Which processes containers have had, oldest first, by namespace, Pod and container.
type Processes = BTreeMap<(String, String, String), Vec<String>>;

/// The containers whose logs are served.
#[derive(Clone, Debug)]
pub(super) struct Containers {
    folder: PathBuf,
    processes: Arc<Mutex<Processes>>,
    /// The process that ended by itself last.
    crashed: Arc<Mutex<Option<String>>>,
}

impl Containers {
    /// A container's process was started.
    pub(super) fn started(&self, namespace: &str, pod: &str, container: &str, process: &str) {
        let key = (namespace.to_owned(), pod.to_owned(), container.to_owned());
        let mut processes = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        processes.entry(key).or_default().push(process.to_owned());
    }

    /// A container's process ended by itself.
    pub(super) fn crashed(&self, process: &str) {
        *self.crashed.lock().unwrap_or_else(PoisonError::into_inner) = Some(process.to_owned());
    }

    /// Fails, with the end of its log, if a process has ended by itself.
    pub(super) fn check(&self) -> Result<()> {
        let crashed = self.crashed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(process) = crashed.as_deref() else {
            return Ok(());
        };
        let log =
            fs::read_to_string(self.folder.join(format!("{process}.log"))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines
            .get(lines.len().saturating_sub(QUOTED_LINES)..)
            .unwrap_or_default();
        bail!(
            "{process} ended; the last lines of its log:\n{}",
            last.join("\n")
        )
    }

    /// The log of a container's last process, or of the one before, and the file that tells its end.
    fn files(&self, key: &(String, String, String), previous: bool) -> Option<(PathBuf, PathBuf)> {
        let processes = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let process = processes
            .get(key)?
            .iter()
            .rev()
            .nth(usize::from(previous))?;
        let file = |end: &str| self.folder.join(format!("{process}.{end}"));
        Some((file("log"), file("exit")))
    }
}

/// A running server of logs; dropping it ends it.
#[derive(Debug)]
pub(super) struct LogServer {
    port: u16,
    containers: Containers,
    /// `None` once it ends.
    runtime: Option<Runtime>,
}

impl LogServer {
    /// Starts it on a free port of 127.0.0.1, for the processes of a control plane's folder.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let containers = Containers {
            folder: folder.to_owned(),
            processes: Arc::default(),
            crashed: Arc::default(),
        };
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let port = listener.local_addr()?.port();
        let listener = TlsListener {
            listener,
            acceptor: acceptor()?,
        };
        let router = Router::new()
            .route("/containerLogs/{namespace}/{pod}/{container}", get(log))
            .with_state(containers.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            port,
            containers,
            runtime: Some(runtime),
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn containers(&self) -> Containers {
        self.containers.clone()
    }
}

impl Drop for LogServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Clients that follow a log are disconnected.
            runtime.shutdown_background();
        }
    }
}

/// As the API server passes on what kubectl asks for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    #[serde(default)]
    follow: bool,
    #[serde(default)]
    previous: bool,
    tail_lines: Option<usize>,
}

async fn log(
    State(containers): State<Containers>,
    UrlPath(key): UrlPath<(String, String, String)>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let Some((log, exit)) = containers.files(&key, wanted.previous) else {
        return (StatusCode::NOT_FOUND, "no such container has run here\n").into_response();
    };
    let Ok(text) = fs::read_to_string(&log) else {
        return (StatusCode::NOT_FOUND, "it has no log\n").into_response();
    };
    let position = text.len() as u64;
    let first = match wanted.tail_lines {
        None => text,
        Some(lines) => {
            let skipped = text.lines().count().saturating_sub(lines);
            text.lines()
                .skip(skipped)
                .map(|line| format!("{line}\n"))
                .collect()
        }
    };
    if !wanted.follow {
        return first.into_response();
    }
    let state = Following {
        log,
        exit,
        position,
        first: Some(first),
    };
    Body::from_stream(futures::stream::unfold(state, Following::next)).into_response()
}

/// A log that is read as it grows, until its process has ended.
struct Following {
    log: PathBuf,
    exit: PathBuf,
    position: u64,
    first: Option<String>,
}

impl Following {
    async fn next(mut self) -> Option<(io::Result<Vec<u8>>, Self)> {
        if let Some(first) = self.first.take() {
            return Some((Ok(first.into_bytes()), self));
        }
        loop {
            // Asked first: what was written before the end is read then.
            let ended = self.exit.exists();
            match self.read_on() {
                Ok(more) if more.is_empty() && ended => return None,
                Ok(more) if more.is_empty() => tokio::time::sleep(TICK).await,
                read => return Some((read, self)),
            }
        }
    }

    fn read_on(&mut self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(self.position))?;
        let mut more = Vec::new();
        self.position += file.read_to_end(&mut more)? as u64;
        Ok(more)
    }
}

/// Connections of the API server, which verifies no node's certificate.
struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
            // A client without TLS gets no answer.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// TLS with a certificate of its own.
fn acceptor() -> Result<TlsAcceptor> {
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der())
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("the node's key")?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
