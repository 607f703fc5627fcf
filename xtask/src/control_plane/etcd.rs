//! Requests to etcd on its socket: its health, and its JSON API.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::daemons;

/// How long an answer may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(10);

/// Asks etcd whether it serves. Its socket is there before it has opened its data, and stays when it fails to: where the disk
/// is full, for example.
pub(super) fn is_healthy(folder: &Path) -> io::Result<bool> {
    let answer = exchange(folder, "GET /health HTTP/1.0\r\n\r\n")?;
    Ok(answer.starts_with("HTTP/1.0 200 "))
}

/// As [`super::ControlPlane::ask_etcd`].
pub(super) fn ask(folder: &Path, path: &str, body: &Value) -> Result<Value> {
    let answer = exchange(folder, &post(path, body)).context("etcd does not answer")?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("etcd's answer is cut short")?;
    if !head.starts_with("HTTP/1.0 200 ") {
        bail!("{path}: {answer}");
    }
    serde_json::from_str(body).with_context(|| format!("{path}: {body}"))
}

/// A request to etcd's JSON API. With HTTP/1.0 the answer comes without chunks.
pub(super) fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A connection to etcd's socket.
pub(super) fn connect(folder: &Path) -> io::Result<UnixStream> {
    let folder = File::open(folder)?;
    // A socket's path may have 108 bytes, and the folder's own may be longer.
    let path = format!(
        "/proc/self/fd/{}/{}",
        folder.as_raw_fd(),
        daemons::ETCD_SOCKET
    );
    UnixStream::connect(path)
}

fn exchange(folder: &Path, request: &str) -> io::Result<String> {
    let mut socket = connect(folder)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}
