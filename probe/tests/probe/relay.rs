//! Stands between the probe and the emulator and answers a request otherwise where a test says so.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A relay; it ends with this value.
pub struct Relay {
    pub url: String,
    task: JoinHandle<()>,
}

impl Relay {
    /// Passes on to this server; `instead` gets a request's number from 0 and its head, and says what to answer instead.
    pub async fn start<F>(upstream: &str, instead: F) -> Self
    where
        F: Fn(usize, &str) -> Option<String> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let (instead, count) = (Arc::new(instead), Arc::new(AtomicUsize::new(0)));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (instead, count) = (instead.clone(), count.clone());
                let upstream = upstream.clone();
                tokio::spawn(async move {
                    // A client that has gone needs no answer.
                    let _ = serve(stream, &upstream, &*instead, &count).await;
                });
            }
        });
        Self { url, task }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request a connection: none of the probe's has a body.
async fn serve<F>(
    mut stream: TcpStream,
    upstream: &str,
    instead: &F,
    count: &AtomicUsize,
) -> std::io::Result<()>
where
    F: Fn(usize, &str) -> Option<String>,
{
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let number = count.fetch_add(1, Ordering::SeqCst);
    if let Some(answer) = instead(number, &head) {
        return stream.write_all(answer.as_bytes()).await;
    }
    let (line, headers) = head.split_once("\r\n").unwrap_or_default();
    let request = format!("{line}\r\nconnection: close\r\n{headers}");
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    stream.write_all(&answer).await
}

/// A JSON error.
pub fn refusal(http: u16, status: &str, message: &str) -> String {
    let body = serde_json::json!({"error": {"code": http, "status": status, "message": message}});
    answer(http, "application/json", &body.to_string())
}

/// An answer after which the connection is closed.
pub fn answer(http: u16, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {http} Told\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
