//! Reads the API server's audit log, so that tests can count who asked for what.
//!
//! The log has every request but the control plane's own and most of discovery, and the bodies of
//! writes to `opcancel.github.io` (`audit-policy.yaml`). The API server writes the line before
//! its answer ends: a client that has the answer finds the line.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// One request that the API server has answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// Who asked, such as `system:serviceaccount:opcancel-system:opcancel-controller`.
    pub user: String,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// The API group, empty for the core group.
    pub group: String,
    /// The resource in the plural, such as `operationcancellations`; empty for other URLs.
    pub resource: String,
    /// The subresource, such as `status`; empty for the resource itself.
    pub subresource: String,
    /// The object's namespace, empty for cluster-wide requests.
    pub namespace: String,
    /// The object's name; empty for lists, and for creates that let the server choose it.
    pub name: String,
    /// Path and query.
    pub uri: String,
    /// The HTTP status of the answer, 0 if the client went away before it.
    pub code: u16,
    /// When the API server received the request.
    pub received: Timestamp,
    /// When its answer was complete.
    pub completed: Timestamp,
    /// The body of a write to `opcancel.github.io`.
    pub body: Option<Value>,
    /// The answer to a write to `opcancel.github.io`.
    pub answer: Option<Value>,
}

impl Request {
    /// Whether it asked for a change (whatever the answer was).
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(
            self.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        )
    }

    /// Whether it was about this object of the resource (its subresources included).
    #[must_use]
    pub fn is_about(&self, resource: &str, namespace: &str, name: &str) -> bool {
        self.resource == resource && self.namespace == namespace && self.name == name
    }

    /// Whether this ServiceAccount asked.
    #[must_use]
    pub fn is_from(&self, namespace: &str, service_account: &str) -> bool {
        self.user == format!("system:serviceaccount:{namespace}:{service_account}")
    }
}

/// All requests that were answered so far, in the order of the log: that of their answers.
///
/// # Errors
/// When the log cannot be read or a complete line of it is not an audit event.
pub fn requests(log: &Path) -> Result<Vec<Request>> {
    Tail::new(log).read()
}

/// Reads a log that grows. It follows the API server to a new file when the old one is full.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    reader: Option<BufReader<File>>,
    /// The beginning of a line whose end was not written yet.
    begun: String,
}

impl Tail {
    /// Reads from the beginning of the log.
    #[must_use]
    pub fn new(log: &Path) -> Self {
        Self {
            path: log.to_owned(),
            reader: None,
            begun: String::new(),
        }
    }

    /// Reads from this position, in bytes, which is the beginning of a line.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn after(log: &Path, position: u64) -> Result<Self> {
        let mut tail = Self::new(log);
        let mut reader = tail.open()?;
        reader.seek(SeekFrom::Start(position))?;
        tail.reader = Some(reader);
        Ok(tail)
    }

    fn open(&self) -> Result<BufReader<File>> {
        let file = File::open(&self.path);
        let file = file.with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(BufReader::new(file))
    }

    /// The requests that were answered since the last call, in the order of the log.
    ///
    /// # Errors
    /// As [`requests`].
    pub fn read(&mut self) -> Result<Vec<Request>> {
        let mut requests = Vec::new();
        loop {
            if self.reader.is_none() {
                self.reader = Some(self.open()?);
            }
            let replaced = self.is_replaced();
            self.read_file(&mut requests)?;
            if !replaced {
                return Ok(requests);
            }
            self.reader = None;
        }
    }

    /// Reads to the end of the file that is open.
    fn read_file(&mut self, requests: &mut Vec<Request>) -> Result<()> {
        let Some(reader) = &mut self.reader else {
            return Ok(());
        };
        loop {
            reader.read_line(&mut self.begun)?;
            // The last line may be in the middle of being written.
            if !self.begun.ends_with('\n') {
                return Ok(());
            }
            let event = event(&self.begun).with_context(|| {
                let path = self.path.display();
                format!("{path} has a line that is not an audit event")
            })?;
            self.begun.clear();
            if event.stage == "ResponseComplete" {
                requests.push(event.into());
            }
        }
    }

    /// Whether the path leads to another file by now: the API server moves a full one away, and begins a new one.
    fn is_replaced(&self) -> bool {
        let open = self
            .reader
            .as_ref()
            .map(|reader| reader.get_ref().metadata());
        let (Some(Ok(open)), Ok(named)) = (open, fs::metadata(&self.path)) else {
            return false;
        };
        open.ino() != named.ino()
    }
}

/// The event in a line. An API server that was killed may have left the beginning of another one before it.
fn event(line: &str) -> Result<Event> {
    let read = serde_json::from_str(line);
    match line.rfind("{\"kind\":\"Event\"") {
        Some(start) if read.is_err() && start > 0 => {
            Ok(serde_json::from_str(line.get(start..).unwrap_or_default())?)
        }
        _ => Ok(read?),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
    request_object: Option<Value>,
    response_object: Option<Value>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

impl From<Event> for Request {
    fn from(event: Event) -> Self {
        Self {
            verb: event.verb,
            user: event.user.username,
            user_agent: event.user_agent,
            group: event.object_ref.api_group,
            resource: event.object_ref.resource,
            subresource: event.object_ref.subresource,
            namespace: event.object_ref.namespace,
            name: event.object_ref.name,
            uri: event.request_uri,
            code: event.response_status.code,
            received: event.request_received_timestamp,
            completed: event.stage_timestamp,
            body: event.request_object,
            answer: event.response_object,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/a/secrets/s?x=1","verb":"get","user":{"username":"system:serviceaccount:n:sa","groups":["g"]},"sourceIPs":["127.0.0.1"],"userAgent":"t/1","objectRef":{"resource":"secrets","namespace":"a","name":"s","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":404},"requestReceivedTimestamp":"2026-01-02T03:04:05.000006Z","stageTimestamp":"2026-01-02T03:04:05.001006Z"}"#;

    #[test]
    fn a_line_that_is_not_complete_yet_is_left_for_later() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.log");
        std::fs::write(&log, format!("{LINE}\n{}", &LINE[..100])).unwrap();
        let requests = requests(&log).unwrap();
        assert_eq!(requests.len(), 1);
        assert!(requests[0].is_about("secrets", "a", "s") && requests[0].is_from("n", "sa"));
        assert_eq!((requests[0].code, requests[0].is_write()), (404, false));
        assert_eq!(
            requests[0]
                .completed
                .duration_since(requests[0].received)
                .as_millis(),
            1
        );
    }

    #[test]
    fn a_line_that_a_killed_server_began_is_not_one() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.log");
        std::fs::write(&log, format!("{}{LINE}\n", &LINE[..100])).unwrap();
        assert_eq!(requests(&log).unwrap().len(), 1);
        std::fs::write(&log, "nonsense\n").unwrap();
        assert!(requests(&log).is_err());
    }

    #[test]
    fn a_log_is_read_from_a_position() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.log");
        std::fs::write(&log, format!("{LINE}\n{LINE}\n")).unwrap();
        let second = u64::try_from(LINE.len() + 1).unwrap();
        let mut tail = Tail::after(&log, second).unwrap();
        assert_eq!(tail.read().unwrap().len(), 1);
    }

    #[test]
    fn other_stages_are_not_counted_twice() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.log");
        let started = LINE.replace("ResponseComplete", "ResponseStarted");
        std::fs::write(&log, format!("{started}\n{LINE}\n")).unwrap();
        assert_eq!(requests(&log).unwrap().len(), 1);
    }

    #[test]
    fn a_log_that_grows_and_is_replaced_is_read_once() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.log");
        let (begin, end) = LINE.split_at(100);
        let mut file = File::create(&log).unwrap();
        write!(file, "{LINE}\n{begin}").unwrap();
        let mut tail = Tail::new(&log);
        assert_eq!(tail.read().unwrap().len(), 1);
        writeln!(file, "{end}").unwrap();
        assert_eq!(tail.read().unwrap().len(), 1);
        writeln!(file, "{LINE}").unwrap();
        fs::rename(&log, folder.path().join("audit-1.log")).unwrap();
        fs::write(&log, format!("{LINE}\n")).unwrap();
        assert_eq!(tail.read().unwrap().len(), 2);
        assert!(tail.read().unwrap().is_empty());
    }
}
