//! A proxy that leads Google's own host names to the emulator, so that its clients need no changed endpoints: they connect
//! (CONNECT, RFC 9110 section 9.3.6), and speak TLS through it. Nothing that they ask for leaves this machine.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// A running proxy; it ends with this value.
pub struct Tunnel {
    address: SocketAddr,
    strangers: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Tunnel {
    /// Starts it. The hosts, with where each leads.
    pub async fn start(hosts: BTreeMap<String, SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let strangers = Arc::new(Mutex::new(Vec::new()));
        let (hosts, refused) = (Arc::new(hosts), strangers.clone());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(carry(stream, hosts.clone(), refused.clone()));
            }
        });
        Self {
            address,
            strangers,
            task: task.abort_handle(),
        }
    }

    /// For `HTTPS_PROXY`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The hosts that were asked for and lead nowhere.
    pub fn strangers(&self) -> Vec<String> {
        self.strangers.lock().unwrap().clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(
    mut client: TcpStream,
    hosts: Arc<BTreeMap<String, SocketAddr>>,
    strangers: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head);
    let wanted = head
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split_once(' '))
        .map_or(head.trim(), |(wanted, _)| wanted);
    let known = wanted.strip_suffix(":443").and_then(|host| hosts.get(host));
    let Some(address) = known else {
        strangers.lock().unwrap().push(wanted.to_owned());
        let _ = client
            .write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
            .await;
        return;
    };
    let Ok(mut server) = TcpStream::connect(address).await else {
        return;
    };
    if client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.is_ok() {
        // Either end may go at any time.
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
