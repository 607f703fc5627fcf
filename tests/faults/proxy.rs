//! Stands between the controller and the API server, Google and the metadata server. It passes on each request, and does what the
//! faults of the case say at their points.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, future::pending};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{
    cluster_access::ClusterAccess,
    faults::Fault::{self, *},
    points::{Kind, Point, Server, classify, is_next_page, is_watch},
    process::Processes,
    record::Record,
    server::{self, Body, Connection},
};

/// The name of the object of a case, and of its operation.
pub const OBJECT: &str = "op";

/// The name of the object that shows at the end that the controller works.
pub const WITNESS: &str = "witness";

/// How late a slow answer is: later than a first poll, earlier than every time limit.
const SLOW: Duration = Duration::from_secs(3);

/// Where the servers are.
pub struct Upstream {
    /// URL of the API server.
    pub kubernetes: String,
    /// URL of the Operations API.
    pub google: String,
    /// URL of the metadata server.
    pub metadata: String,
    /// The client for all of them.
    pub client: Client,
}

/// What the proxies of a case decide by.
pub struct Shared {
    upstream: Upstream,
    access: ClusterAccess,
    processes: Arc<Processes>,
    record: Arc<Record>,
    faults: Mutex<Vec<(Point, Fault)>>,
}

impl Shared {
    /// All requests are passed on, but for these faults.
    pub fn new(
        upstream: Upstream,
        access: ClusterAccess,
        processes: Arc<Processes>,
        record: Arc<Record>,
        faults: Vec<(Point, Fault)>,
    ) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            access,
            processes,
            record,
            faults: Mutex::new(faults),
        })
    }

    /// The faults that have not happened yet.
    pub fn faults_left(&self) -> Vec<(Point, Fault)> {
        self.faults.lock().unwrap().clone()
    }
}

/// The proxy of one process. It ends with this value.
pub struct Proxy {
    /// URL in place of the API server's.
    pub kubernetes: String,
    /// URL in place of Google's.
    pub google: String,
    /// HOST:PORT in place of the metadata server's.
    pub metadata: String,
    shared: watch::Sender<Option<Arc<Shared>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Proxy {
    /// Listens for the process of this index. Requests wait until [`Self::begin`].
    pub async fn listen(process: usize) -> Self {
        let begun = watch::Sender::new(None::<Arc<Shared>>);
        let mut tasks = Vec::new();
        let mut addresses = Vec::new();
        for server in [Server::Kubernetes, Server::Google, Server::Metadata] {
            let begun = begun.clone();
            let handle = move |connection, request| {
                let mut begun = begun.subscribe();
                async move {
                    let shared = begun.wait_for(Option::is_some).await.unwrap().clone();
                    let from = From { process, server };
                    shared.unwrap().handle(from, connection, request).await
                }
            };
            let (address, task) = server::serve(server != Server::Metadata, handle).await;
            addresses.push(address);
            tasks.push(task);
        }
        Self {
            kubernetes: format!("https://127.0.0.1:{}", addresses[0].port()),
            google: format!("https://localhost:{}", addresses[1].port()),
            metadata: addresses[2].to_string(),
            shared: begun,
            tasks,
        }
    }

    /// Answers requests from now on.
    pub fn begin(&self, shared: Arc<Shared>) {
        self.shared.send_replace(Some(shared));
    }
}

/// Where a request comes from, and which server it is for.
#[derive(Clone, Copy)]
struct From {
    process: usize,
    server: Server,
}

/// An answer whose body is complete.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let content_type = header::HeaderValue::from_static(content_type);
        Self {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]),
            body: body.into(),
        }
    }

    fn response(self) -> Response<Body> {
        let mut response = Response::new(Full::new(self.body).boxed_unsync());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

impl Shared {
    async fn handle(
        self: Arc<Self>,
        from: From,
        connection: Arc<Connection>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
        else {
            return pending().await;
        };
        let server = from.server;
        let about = classify(server, &parts.method, &parts.uri);
        let (kind, mut name) = about.map_or((None, None), |(kind, name)| (Some(kind), name));
        if kind == Some(Kind::EventCreate) {
            name = Some(event_subject(&body));
        }
        let works = from.process <= self.processes.active();
        if !works && matches!(kind, Some(Kind::Cancel | Kind::StatusWrite)) {
            let what = format!(
                "the process that stands by sent {} {}",
                parts.method, parts.uri
            );
            self.record.broken(what);
        }
        let is_of_case = works && name.as_ref().is_none_or(|name| name == OBJECT);
        let is_point = is_of_case && !is_next_page(&parts.uri);
        let point = kind
            .filter(|_| is_point)
            .map(|kind| self.record.arrived(kind));
        let fault = point.and_then(|point| self.take(point));
        self.say_what_came(from, &parts, point, fault);
        let asked = Asked {
            from,
            kind,
            name,
            point,
            parts,
            body,
        };
        let Some(fault) = fault else {
            return self.pass_on(asked, &connection).await;
        };
        match fault {
            KilledBefore => {
                self.kill();
                pending().await
            }
            KilledAfter => {
                let _answer = self.pass_on(asked, &connection).await;
                self.kill();
                pending().await
            }
            AnswerDropped => {
                let _answer = self.pass_on(asked, &connection).await;
                connection.cut();
                pending().await
            }
            HalfOpen => {
                let _answer = self.pass_on(asked, &connection).await;
                connection.go_silent();
                pending().await
            }
            Slow => {
                let answer = self.pass_on(asked, &connection).await;
                tokio::time::sleep(SLOW).await;
                answer
            }
            Hang => pending().await,
            Conflict if kind == Some(Kind::StatusWrite) => {
                self.access.touch_object().await;
                self.pass_on(asked, &connection).await
            }
            Conflict => self.refusal(server, 409).response(),
            Gone => self.refusal(server, 410).response(),
            TooManyRequests => {
                let mut answer = self.refusal(server, 429);
                let second = header::HeaderValue::from_static("1");
                answer.headers.insert(header::RETRY_AFTER, second);
                answer.response()
            }
            InternalError => self.refusal(server, 500).response(),
            Unavailable => self.refusal(server, 503).response(),
            GatewayTimeout => {
                let _answer = self.pass_on(asked, &connection).await;
                self.refusal(server, 504).response()
            }
            Garbage => Answer::new(200, "text/html", "<html>\n").response(),
            WatchDropped | EventTwice | EventsSwapped => {
                panic!("{fault} does not fit {kind:?}")
            }
        }
    }

    /// Kills the process, with which this request ends, and starts the next one.
    fn kill(&self) {
        let processes = self.processes.clone();
        tokio::spawn(async move { processes.kill().await });
    }

    fn say_what_came(
        &self,
        from: From,
        parts: &http::request::Parts,
        point: Option<Point>,
        fault: Option<Fault>,
    ) {
        let what = point.map_or_else(
            || format!("{} {}", parts.method, parts.uri.path()),
            |point| point.to_string(),
        );
        let noted = fault.map_or_else(String::new, |fault| format!(": {fault}"));
        self.record.say(&format!("{}  {what}{noted}", from.process));
    }

    /// The fault of this point, if there is one; it happens once.
    fn take(&self, point: Point) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let index = faults.iter().position(|(at, _)| *at == point)?;
        Some(faults.remove(index).1)
    }

    /// An error as this server would give it.
    fn refusal(&self, server: Server, code: u16) -> Answer {
        let message = "as the test wants it";
        let body = match server {
            Server::Kubernetes => {
                let reason = match code {
                    404 => "NotFound",
                    409 => "AlreadyExists",
                    410 => "Expired",
                    429 => "TooManyRequests",
                    500 => "InternalError",
                    503 => "ServiceUnavailable",
                    _ => "Timeout",
                };
                json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "reason": reason, "message": message, "code": code,
                })
            }
            Server::Google => {
                let status = match code {
                    404 => "NOT_FOUND",
                    409 => "ABORTED",
                    429 => "RESOURCE_EXHAUSTED",
                    500 => "INTERNAL",
                    503 => "UNAVAILABLE",
                    _ => "DEADLINE_EXCEEDED",
                };
                json!({"error": {"code": code, "message": message, "status": status}})
            }
            Server::Metadata => return Answer::new(code, "text/plain", message),
        };
        Answer::new(code, "application/json", body.to_string())
    }

    /// Passes a request on. Its effect and its record are complete even if the controller is gone by then.
    async fn pass_on(
        self: &Arc<Self>,
        asked: Asked,
        connection: &Arc<Connection>,
    ) -> Response<Body> {
        let (shared, connection) = (self.clone(), connection.clone());
        let passed = tokio::spawn(async move { shared.ask(asked, connection).await });
        match passed.await.unwrap() {
            Ok(response) => response,
            Err(error) => {
                self.record.say(&format!("no answer: {error}"));
                pending().await
            }
        }
    }

    async fn ask(
        self: Arc<Self>,
        asked: Asked,
        connection: Arc<Connection>,
    ) -> Result<Response<Body>, reqwest::Error> {
        let answer = self.send(&asked).await?;
        let status = answer.status();
        let mut headers = answer.headers().clone();
        for hop in [header::TRANSFER_ENCODING, header::CONNECTION] {
            headers.remove(hop);
        }
        if is_watch(&asked.parts.uri) && status.is_success() {
            let events = asked.kind.and_then(Kind::events);
            let (sender, body) = mpsc::channel::<Bytes>(1);
            let process = asked.from.process;
            tokio::spawn(self.pump(process, events, answer, sender, connection));
            let body = futures::stream::unfold(body, |mut body| async move {
                let bytes = body.recv().await?;
                Some((bytes, body))
            });
            let body = StreamBody::new(body.map(|bytes| Ok(Frame::data(bytes))));
            let mut response = Response::new(body.boxed_unsync());
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            return Ok(response);
        }
        let body = answer.bytes().await?;
        self.note(&asked, status, &body);
        let answer = Answer {
            status,
            headers,
            body,
        };
        Ok(answer.response())
    }

    async fn send(&self, asked: &Asked) -> Result<reqwest::Response, reqwest::Error> {
        let base = match asked.from.server {
            Server::Kubernetes => &self.upstream.kubernetes,
            Server::Google => &self.upstream.google,
            Server::Metadata => &self.upstream.metadata,
        };
        let path = asked.parts.uri.path_and_query().unwrap();
        let mut headers = asked.parts.headers.clone();
        for hop in [header::HOST, header::CONNECTION, header::ACCEPT_ENCODING] {
            headers.remove(hop);
        }
        let request = self
            .upstream
            .client
            .request(asked.parts.method.clone(), format!("{base}{path}"))
            .headers(headers);
        request.body(asked.body.clone()).send().await
    }

    /// Notes the server's answer.
    fn note(&self, asked: &Asked, status: StatusCode, body: &[u8]) {
        let said = |what: String| {
            self.record.say(&format!("    {}{what}", status.as_u16()));
        };
        if !status.is_success() {
            said(format!(
                " {}",
                String::from_utf8_lossy(body).replace('\n', " ")
            ));
            return;
        }
        let json = || serde_json::from_slice::<Value>(body).unwrap_or_default();
        let object = match asked.kind {
            Some(Kind::StatusWrite | Kind::ObjectRead) => Some(json()),
            Some(Kind::ObjectList) => {
                let mut list = json();
                let items = list["items"].as_array_mut().map(std::mem::take);
                let mut items = items.unwrap_or_default().into_iter();
                items.find(|item| item["metadata"]["name"] == OBJECT)
            }
            _ => None,
        };
        said(object.as_ref().map_or_else(String::new, |object| {
            let status = &object["status"];
            format!(
                " attempts {} outcome {}",
                status["cancelAttempts"], status["outcome"]
            )
        }));
        if asked.kind == Some(Kind::ObjectList) {
            self.record.listed(asked.from.process);
        }
        if asked.writes_the_lease() {
            self.record.lease_written();
        }
        if let Some(point) = asked.point {
            self.record.answered(point, object.as_ref());
        }
        let has_outcome = object.is_some_and(|object| object["status"]["outcome"].is_string());
        if has_outcome && asked.name.as_deref() == Some(WITNESS) {
            self.record.witness_finished();
        }
    }

    /// Passes the events of a watch on, each as a whole.
    async fn pump(
        self: Arc<Self>,
        process: usize,
        kind: Option<Kind>,
        mut answer: reqwest::Response,
        sender: mpsc::Sender<Bytes>,
        connection: Arc<Connection>,
    ) {
        let mut lines = Lines::default();
        let mut held = None::<Bytes>;
        loop {
            let chunk = tokio::select! {
                chunk = answer.chunk() => chunk,
                () = sender.closed() => return,
            };
            let Ok(Some(chunk)) = chunk else {
                return;
            };
            for line in lines.add(&chunk) {
                let works = process <= self.processes.active();
                let object = kind.and_then(|kind| self.subject(kind, &line));
                let (Some(kind), Some(object), true) = (kind, object, works) else {
                    let _gone = sender.send(line).await;
                    continue;
                };
                let point = self.record.arrived(kind);
                self.record.answered(point, Some(&object));
                let fault = self.take(point);
                let noted = fault.map_or_else(String::new, |fault| format!(": {fault}"));
                self.record.say(&format!("{process}  {point}{noted}"));
                let mut events = vec![line.clone()];
                match fault {
                    None => {}
                    Some(KilledBefore) => return self.kill(),
                    Some(WatchDropped) => return connection.cut(),
                    Some(HalfOpen) => {
                        connection.go_silent();
                        return pending().await;
                    }
                    Some(Hang) => {
                        sender.closed().await;
                        return;
                    }
                    Some(Gone) => {
                        let status = self.refusal(Server::Kubernetes, 410);
                        let status: Value = serde_json::from_slice(&status.body).unwrap();
                        let event = json!({"type": "ERROR", "object": status});
                        let _gone = sender.send(format!("{event}\n").into()).await;
                        return;
                    }
                    Some(Garbage) => events = vec![Bytes::from_static(b"<html>\n")],
                    Some(Slow) => tokio::time::sleep(SLOW).await,
                    Some(EventTwice) => events.push(line),
                    Some(EventsSwapped) => {
                        events.clear();
                        held = Some(line);
                        match kind {
                            Kind::GrantEvent => self.access.touch_grant().await,
                            _ => self.access.touch_object().await,
                        }
                    }
                    Some(other) => panic!("{other} does not fit {kind:?}"),
                }
                if !events.is_empty() {
                    events.extend(held.take());
                }
                for event in events {
                    let _gone = sender.send(event).await;
                }
            }
        }
    }

    /// The object of the case, or its grant, if the event is about it.
    fn subject(&self, kind: Kind, line: &[u8]) -> Option<Value> {
        let mut event: Value = serde_json::from_slice(line).ok()?;
        let name = match kind {
            Kind::GrantEvent => self.access.namespace(),
            _ => OBJECT,
        };
        let is_about = event["type"] != "BOOKMARK" && event["object"]["metadata"]["name"] == name;
        is_about.then(|| event["object"].take())
    }
}

/// A request of the controller.
struct Asked {
    from: From,
    /// `None` if it has no points, such as one about the Lease.
    kind: Option<Kind>,
    /// The object or operation that it is about.
    name: Option<String>,
    /// `None` if it is about another object than that of the case, or comes from a process that stands by.
    point: Option<Point>,
    parts: http::request::Parts,
    body: Bytes,
}

impl Asked {
    fn writes_the_lease(&self) -> bool {
        self.parts.method != Method::GET && self.parts.uri.path().contains("/leases")
    }
}

/// Cuts chunks into lines.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn add(&mut self, chunk: &[u8]) -> Vec<Bytes> {
        self.0.extend_from_slice(chunk);
        let mut lines = Vec::new();
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            lines.push(self.0.drain(..=end).collect());
        }
        lines
    }
}

/// The name of the object that a Kubernetes Event is about.
fn event_subject(body: &[u8]) -> String {
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    let name = event.pointer("/regarding/name").and_then(Value::as_str);
    name.unwrap_or_default().to_owned()
}
