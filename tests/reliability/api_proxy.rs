//! A proxy between the controller and the API server, which breaks watches as a test says.
//!
//! It speaks plain HTTP on loopback, so that it reads what passes; the API server sees the controller's own token.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response};
use bytes::Bytes;
use futures::stream;
use reqwest::Certificate;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch, time::timeout};
use xtask::control_plane::ControlPlane;

use crate::support::{
    cluster::{cluster, runtime},
    world::{PATIENCE, World},
};

/// What passes, and what does not.
#[derive(Clone, Debug, Default)]
struct Rules {
    /// Lines of watches with this text are dropped.
    dropped: Option<String>,
    /// Requests whose URI has this text wait.
    held: Option<String>,
    /// Watches up to this number pass no more bytes, but stay open.
    stalled: usize,
    /// Watches up to this number are reset.
    reset: usize,
}

/// What a proxy saw.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// The watches that began.
    watches: usize,
    /// Requests that wait.
    held: usize,
    /// Lines that were dropped.
    dropped: usize,
    /// The HTTP codes of answers, and those in `ERROR` events of watches.
    codes: Vec<u16>,
}

/// See the module. It ends with the runtime.
pub struct ApiProxy {
    url: String,
    rules: watch::Sender<Rules>,
    seen: watch::Receiver<Seen>,
    folder: TempDir,
}

struct Forwarder {
    client: reqwest::Client,
    server: String,
    rules: watch::Receiver<Rules>,
    seen: watch::Sender<Seen>,
}

impl ApiProxy {
    /// Starts one.
    pub fn start(control_plane: &ControlPlane) -> Self {
        runtime().block_on(async {
            opcancel::google::tls::install_provider();
            let authorities = std::fs::read(control_plane.ca_file()).unwrap();
            let client = reqwest::Client::builder()
                .tls_certs_only(Certificate::from_pem_bundle(&authorities).unwrap())
                .http1_only()
                .no_proxy()
                .build();
            let (rules, received) = watch::channel(Rules::default());
            let (sender, seen) = watch::channel(Seen::default());
            let forwarder = Arc::new(Forwarder {
                client: client.unwrap(),
                server: control_plane.server_url().to_owned(),
                rules: received,
                seen: sender,
            });
            let router = Router::new().fallback(move |request| {
                let forwarder = forwarder.clone();
                async move { Ok::<_, Infallible>(forwarder.forward(request).await) }
            });
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(axum::serve(listener, router).into_future());
            Self {
                url,
                rules,
                seen,
                folder: tempfile::tempdir().unwrap(),
            }
        })
    }

    /// Starts one before the shared API server, and runs a world's controller through it, as the user of a kubeconfig.
    pub fn of_world(world: &mut World, kubeconfig: &Path) -> Self {
        let proxy = Self::start(cluster().control_plane);
        world.use_kubeconfig(&proxy.kubeconfig(kubeconfig, cluster().control_plane));
        proxy
    }

    /// Copies a kubeconfig of this control plane, with this proxy as its server.
    pub fn kubeconfig(&self, of: &Path, control_plane: &ControlPlane) -> PathBuf {
        let path = self.folder.path().join("kubeconfig");
        let (text, server) = (
            std::fs::read_to_string(of).unwrap(),
            control_plane.server_url(),
        );
        assert!(text.contains(server), "{text}");
        std::fs::write(&path, text.replace(server, &self.url)).unwrap();
        path
    }

    /// Drops the events of watches that have this text.
    pub fn drop_events_with(&self, text: &str) {
        self.rules
            .send_modify(|rules| rules.dropped = Some(text.to_owned()));
    }

    /// Holds requests whose URI has this text back, until [`Self::release`].
    pub fn hold(&self, text: &str) {
        self.rules
            .send_modify(|rules| rules.held = Some(text.to_owned()));
    }

    /// Lets requests that wait go on.
    pub fn release(&self) {
        self.rules.send_modify(|rules| rules.held = None);
    }

    /// From now on the watches that began pass nothing more, as when a middlebox forgets a connection.
    pub fn stall_watches(&self) {
        let begun = self.seen.borrow().watches;
        self.rules.send_modify(|rules| rules.stalled = begun);
    }

    /// Breaks the connections of the watches that began.
    pub fn reset_watches(&self) {
        let begun = self.seen.borrow().watches;
        self.rules.send_modify(|rules| rules.reset = begun);
    }

    /// How many watches began.
    pub fn watches(&self) -> usize {
        self.seen.borrow().watches
    }

    /// Waits until so many watches have begun.
    pub fn wait_for_watches(&self, count: usize, limit: Duration) {
        self.wait(limit, |seen| seen.watches >= count);
    }

    /// Waits until a request is held.
    pub fn wait_for_held(&self) {
        self.wait(PATIENCE, |seen| seen.held > 0);
    }

    /// Waits until an event was dropped.
    pub fn wait_for_dropped(&self) {
        self.wait(PATIENCE, |seen| seen.dropped > 0);
    }

    /// Waits until an answer with this code has passed.
    pub fn wait_for_code(&self, code: u16) {
        self.wait(PATIENCE, |seen| seen.codes.contains(&code));
    }

    fn wait(&self, limit: Duration, met: impl Fn(&Seen) -> bool) {
        let mut seen = self.seen.clone();
        let waited = async { seen.wait_for(|seen| met(seen)).await.map(drop) };
        let waited = runtime().block_on(async { timeout(limit, waited).await });
        assert!(waited.is_ok(), "{:?}", self.seen.borrow());
    }
}

impl Forwarder {
    async fn forward(self: Arc<Self>, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        self.wait_while_held(path).await;
        let is_watch = path.contains("watch=true") || path.contains("watch=1");
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let mut headers = head.headers;
        headers.remove(http::header::HOST);
        let url = format!("{}{path}", self.server);
        let sent = self.client.request(head.method, url).headers(headers);
        let Ok(answer) = sent.body(body).send().await else {
            return broken();
        };
        self.note_code(answer.status().as_u16());
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            if name != http::header::TRANSFER_ENCODING && name != http::header::CONTENT_LENGTH {
                response = response.header(name, value);
            }
        }
        let body = if is_watch && answer.status().is_success() {
            self.watch(answer)
        } else {
            match answer.bytes().await {
                Ok(bytes) => Body::from(bytes),
                Err(_) => return broken(),
            }
        };
        response.body(body).unwrap()
    }

    async fn wait_while_held(&self, path: &str) {
        let holds = |rules: &Rules| {
            let held = rules.held.as_ref();
            held.is_some_and(|text| path.contains(text.as_str()))
        };
        if holds(&self.rules.borrow()) {
            self.seen.send_modify(|seen| seen.held += 1);
        }
        until(&self.rules, |rules| !holds(rules)).await;
    }

    fn note_code(&self, code: u16) {
        self.seen.send_modify(|seen| seen.codes.push(code));
    }

    fn watch(self: Arc<Self>, answer: reqwest::Response) -> Body {
        let mut number = 0;
        self.seen.send_modify(|seen| {
            seen.watches += 1;
            number = seen.watches;
        });
        let watch = ProxiedWatch {
            number,
            rules: self.rules.clone(),
            forwarder: self,
            answer,
            unread: Vec::new(),
        };
        Body::from_stream(stream::unfold(watch, |mut watch| async {
            Some((watch.next_line().await?, watch))
        }))
    }
}

/// No answer: the connection breaks in the middle of it.
fn broken() -> Response {
    let lost = stream::once(async { Err::<Bytes, _>(std::io::Error::other("broken")) });
    Response::new(Body::from_stream(lost))
}

/// Waits until the rules are so.
async fn until(rules: &watch::Receiver<Rules>, met: impl Fn(&Rules) -> bool + Send) {
    let mut rules = rules.clone();
    let _ = rules.wait_for(|rules| met(rules)).await;
}

struct ProxiedWatch {
    number: usize,
    forwarder: Arc<Forwarder>,
    rules: watch::Receiver<Rules>,
    answer: reqwest::Response,
    unread: Vec<u8>,
}

impl ProxiedWatch {
    /// The next line that passes. `None` is the end of the watch, an error breaks it.
    async fn next_line(&mut self) -> Option<Result<Bytes, std::io::Error>> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                if self.passes(&line) {
                    return Some(Ok(line.into()));
                }
                continue;
            }
            let number = self.number;
            let is_reset = until(&self.rules, move |rules| number <= rules.reset);
            let is_stalled = until(&self.rules, move |rules| number <= rules.stalled);
            tokio::select! {
                biased;
                () = is_reset => return Some(Err(std::io::Error::other("reset"))),
                () = is_stalled => std::future::pending().await,
                chunk = self.answer.chunk() => match chunk {
                    Ok(Some(chunk)) => self.unread.extend_from_slice(&chunk),
                    Ok(None) => return None,
                    Err(error) => return Some(Err(std::io::Error::other(error))),
                },
            }
        }
    }

    fn passes(&self, line: &[u8]) -> bool {
        let text = String::from_utf8_lossy(line);
        if text.contains("\"type\":\"ERROR\"") && text.contains("\"code\":410") {
            self.forwarder.note_code(410);
        }
        let dropped = self.rules.borrow().dropped.clone();
        let is_dropped = dropped.is_some_and(|dropped| text.contains(&dropped));
        if is_dropped {
            self.forwarder.seen.send_modify(|seen| seen.dropped += 1);
        }
        !is_dropped
    }
}
