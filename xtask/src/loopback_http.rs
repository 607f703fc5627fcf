//! GET over plain HTTP from a program on this machine: all that is asked of the controller's admin
//! server and of the emulator, and not worth an HTTP client that every task would wait for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(5);

/// The body of the answer to `GET path`.
///
/// # Errors
/// When there is no answer, or its status is not 200.
pub fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)
        .with_context(|| format!("no answer from {address}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    // HTTP/1.0: the body comes in one piece, and the end of the connection is its end.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    body(&String::from_utf8_lossy(&answer)).with_context(|| format!("http://{address}{path}"))
}

fn body(answer: &str) -> Result<String> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("not an HTTP answer")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("{status}: {}", body.trim());
    }
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_200_has_a_body() {
        assert_eq!(body("HTTP/1.0 200 OK\r\na: b\r\n\r\nok\n").unwrap(), "ok\n");
        let error = body("HTTP/1.1 503 Service Unavailable\r\n\r\nno token yet\n").unwrap_err();
        assert!(error.to_string().contains("no token yet"), "{error}");
        assert!(body("").is_err());
    }
}
