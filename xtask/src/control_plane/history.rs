//! Every version of an object that was stored, in order, read from etcd.
//!
//! An audit log has no line for a write that was stored while the API server was killed or its client cut off, and a watch of the API
//! server misses versions when that server restarts. etcd's own watch misses nothing, because etcd runs on.

use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ControlPlane, etcd};

/// How long etcd may take to report what is stored by now.
const LIMIT: Duration = Duration::from_secs(30);

/// A change of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The revision of etcd, which is the `resourceVersion` of the stored version.
    pub revision: u64,
    /// The key, which ends with the object's namespace and name.
    pub key: String,
    /// The stored version; `None` if the object was deleted.
    pub object: Option<Value>,
}

/// A watch of etcd; dropping it ends it.
#[derive(Debug)]
pub struct History {
    prefix: String,
    socket: UnixStream,
    changes: Receiver<Result<Change, String>>,
}

impl ControlPlane {
    /// All versions of the custom resources of an API group that are stored from now on.
    ///
    /// # Errors
    /// When etcd does not answer.
    pub fn history(&self, group: &str) -> Result<History> {
        let prefix = format!("/registry/{group}/");
        let mut socket = etcd::connect(self.folder()).context("etcd does not answer")?;
        watch(&mut socket, &prefix).context("etcd does not answer")?;
        let reader = BufReader::new(socket.try_clone()?);
        let (sender, changes) = channel();
        std::thread::spawn(move || {
            // The receiver is gone: nobody reads on.
            let _ended = read(reader, |change| sender.send(change).is_ok());
        });
        Ok(History {
            prefix,
            socket,
            changes,
        })
    }
}

impl History {
    /// All changes since the last call that were stored before this one.
    ///
    /// # Errors
    /// When etcd ends, or does not answer for half a minute.
    pub fn read(&self, control_plane: &ControlPlane) -> Result<Vec<Change>> {
        let mark = self.mark(control_plane)?;
        let until = Instant::now() + LIMIT;
        let mut found = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.changes.recv_timeout(left) {
                Ok(Ok(change)) if change.revision >= mark => return Ok(found),
                Ok(Ok(change)) => found.push(change),
                Ok(Err(why)) => bail!("etcd's watch: {why}"),
                Err(RecvTimeoutError::Timeout) => bail!("etcd's watch is behind by {LIMIT:?}"),
                Err(RecvTimeoutError::Disconnected) => bail!("etcd's watch has ended"),
            }
        }
    }

    /// Writes a key that the API server does not read, and returns its revision: what the watch reports before was stored before.
    fn mark(&self, control_plane: &ControlPlane) -> Result<u64> {
        let key = STANDARD.encode(format!("{}~mark", self.prefix));
        let answer = control_plane.ask_etcd("/v3/kv/put", &json!({"key": key, "value": ""}))?;
        let revision = answer.pointer("/header/revision").and_then(Value::as_str);
        let revision = revision.context("etcd's answer has no revision")?;
        Ok(revision.parse()?)
    }
}

impl Drop for History {
    fn drop(&mut self) {
        // The thread that reads ends; if etcd is gone, it has.
        let _gone = self.socket.shutdown(Shutdown::Both);
    }
}

/// Asks for the watch, and waits until etcd has created it.
fn watch(socket: &mut UnixStream, prefix: &str) -> io::Result<()> {
    // The end of all keys that begin with the prefix: `0` follows `/`.
    let end = format!("{}0", prefix.trim_end_matches('/'));
    let body = json!({"create_request": {"key": STANDARD.encode(prefix), "range_end": STANDARD.encode(end)}});
    socket.write_all(etcd::post("/v3/watch", &body).as_bytes())?;
    socket.set_read_timeout(Some(LIMIT))?;
    // Byte by byte, so that nothing after the first line of the body is taken. The first event says that the watch is created.
    let mut reader = BufReader::with_capacity(1, &*socket);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        if line.contains("\"created\":true") {
            return socket.set_read_timeout(None);
        }
        line.clear();
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Passes each change on until `tell` returns false or the watch ends.
fn read(
    reader: impl BufRead,
    mut tell: impl FnMut(Result<Change, String>) -> bool,
) -> io::Result<()> {
    for line in reader.lines() {
        match changes(&line?) {
            Ok(changes) => {
                if !changes.into_iter().all(|change| tell(Ok(change))) {
                    return Ok(());
                }
            }
            Err(error) => {
                tell(Err(format!("{error:#}")));
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The changes in one line of the watch.
fn changes(line: &str) -> Result<Vec<Change>> {
    let message: Message = serde_json::from_str(line).with_context(|| line.to_owned())?;
    let Some(result) = message.result else {
        bail!("{line}");
    };
    if result.canceled {
        bail!("etcd ended the watch: {line}");
    }
    result.events.into_iter().map(Event::into_change).collect()
}

#[derive(Deserialize)]
struct Message {
    result: Option<WatchResult>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct WatchResult {
    canceled: bool,
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    kv: KeyValue,
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    mod_revision: String,
    #[serde(default)]
    value: String,
}

impl Event {
    fn into_change(self) -> Result<Change> {
        let text =
            |base64: &str| Ok::<_, anyhow::Error>(String::from_utf8(STANDARD.decode(base64)?)?);
        let value = text(&self.kv.value)?;
        // The mark has no value.
        let is_object = self.kind != "DELETE" && !value.is_empty();
        Ok(Change {
            revision: self.kv.mod_revision.parse()?,
            key: text(&self.kv.key)?,
            object: is_object
                .then(|| serde_json::from_str(&value))
                .transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_deletions_are_read() {
        let key = STANDARD.encode("/registry/g/things/n/a");
        let value = STANDARD.encode(r#"{"kind":"Thing"}"#);
        let line = json!({"result": {"header": {"revision": "9"}, "events": [
            {"kv": {"key": key, "mod_revision": "7", "value": value}},
            {"type": "DELETE", "kv": {"key": key, "mod_revision": "8"}},
        ]}});
        let read = changes(&line.to_string()).unwrap();
        assert_eq!(read[0].revision, 7);
        assert_eq!(read[0].object, Some(json!({"kind": "Thing"})));
        assert_eq!((read[1].revision, &read[1].object), (8, &None));
        assert_eq!(read[1].key, "/registry/g/things/n/a");
    }

    #[test]
    fn a_watch_that_etcd_ends_is_an_error() {
        let ended = r#"{"result":{"header":{},"canceled":true,"compact_revision":"5"}}"#;
        assert!(changes(ended).is_err());
        assert!(changes(r#"{"error":{"message":"no"}}"#).is_err());
    }
}
