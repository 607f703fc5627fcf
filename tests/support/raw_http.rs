//! A server that answers exactly the bytes that a test says, and keeps what it was asked. HTTP libraries are too well
//! bred for the faults that clients must survive.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What comes after a request.
pub enum Reply {
    /// These bytes; then the connection waits for a further request.
    Keep(String),
    /// These bytes, and the connection is closed.
    Close(String),
    /// These bytes, which need not be UTF-8, and the connection is closed.
    Bytes(Vec<u8>),
    /// After so long these bytes, and the connection is closed.
    Late(Duration, String),
    /// These bytes, and then nothing until the client goes away.
    Hang(String),
    /// These bytes, and then zeros for as long as the client reads.
    Flood(String),
    /// These bytes, and then a zero every 20 ms for as long as the client reads.
    Drip(String),
    /// These bytes, and then the connection leads to this server.
    Tunnel(String, SocketAddr),
}

/// An answer with a body of JSON or anything else.
pub fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A listening server; it ends with this value.
pub struct RawHttp {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    /// How many connections the client left while they were in `Hang`.
    pub abandoned: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl RawHttp {
    /// Starts it; `reply` gets a request and how many there were before.
    pub async fn start<F>(reply: F) -> Self
    where
        F: Fn(&str, usize) -> Reply + Send + Sync + 'static,
    {
        Self::start_on("127.0.0.1:0", reply).await
    }

    /// The same on this address.
    pub async fn start_on<F>(address: &str, reply: F) -> Self
    where
        F: Fn(&str, usize) -> Reply + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (left, abandoned) = watch::channel(0);
        let (kept, reply, left) = (requests.clone(), Arc::new(reply), Arc::new(left));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, kept.clone(), reply.clone(), left.clone()));
            }
        });
        Self {
            address,
            requests,
            abandoned,
            task,
        }
    }

    /// Base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests until now: the heads, in lower case but for the request line, and the bodies as they are.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for RawHttp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<F>(
    mut stream: TcpStream,
    requests: Arc<Mutex<Vec<String>>>,
    reply: Arc<F>,
    left: Arc<watch::Sender<usize>>,
) where
    F: Fn(&str, usize) -> Reply,
{
    while let Some(head) = read_head(&mut stream).await {
        let before = {
            let mut requests = requests.lock().unwrap();
            requests.push(head.clone());
            requests.len() - 1
        };
        if !respond(&mut stream, reply(&head, before), &left).await {
            return;
        }
    }
}

/// Sends a reply. Returns whether the connection waits for a further request.
pub async fn respond(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    reply: Reply,
    left: &watch::Sender<usize>,
) -> bool {
    match reply {
        Reply::Keep(bytes) => return stream.write_all(bytes.as_bytes()).await.is_ok(),
        Reply::Close(bytes) => {
            let _ = stream.write_all(bytes.as_bytes()).await;
        }
        Reply::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
        }
        Reply::Late(after, bytes) => {
            tokio::time::sleep(after).await;
            let _ = stream.write_all(bytes.as_bytes()).await;
        }
        Reply::Hang(bytes) => {
            let _ = stream.write_all(bytes.as_bytes()).await;
            while stream.read(&mut [0; 64]).await.is_ok_and(|n| n > 0) {}
            left.send_modify(|left| *left += 1);
        }
        Reply::Drip(bytes) => {
            let _ = stream.write_all(bytes.as_bytes()).await;
            while stream.write_all(b"0").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Reply::Flood(bytes) => {
            let _ = stream.write_all(bytes.as_bytes()).await;
            while stream.write_all(&[b'0'; 4096]).await.is_ok() {}
        }
        Reply::Tunnel(bytes, to) => {
            let far = TcpStream::connect(to).await;
            if let Ok(mut far) = far
                && stream.write_all(bytes.as_bytes()).await.is_ok()
            {
                // Either end may go at any time.
                let _ = copy_bidirectional(stream, &mut far).await;
            }
        }
    }
    false
}

/// The request line as it is, the header lines in lower case, and the body; none when the client has gone.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let (line, headers) = head.split_once("\r\n")?;
    let headers = headers.to_lowercase().replace("\r\n", "\n");
    let length = headers
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(format!(
        "{line}\n{headers}{}",
        String::from_utf8(body).ok()?
    ))
}
