//! A TCP proxy that resets, refuses and silences connections.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of connections and of their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// They pass.
    Open,
    /// All connections are reset, new ones too.
    Closed,
    /// Connections stay open, and nothing passes.
    Silent,
}

/// A listener on loopback whose connections lead to another address. Dropping it ends them.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    way: watch::Sender<Way>,
    /// How many times some connections were reset, and the number that chose them last.
    resets: watch::Sender<(u64, u64)>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens now.
    pub(super) async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (way, resets) = (watch::Sender::new(Way::Open), watch::Sender::new((0, 0)));
        let address = listener.local_addr()?;
        let task = tokio::spawn(serve(listener, target, way.clone(), resets.clone()));
        Ok(Self {
            address,
            way,
            resets,
            task,
        })
    }

    /// Changes the way from now on.
    pub(super) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Resets about half of the connections, or all of them if the number is divisible by four.
    pub(super) fn reset_some(&self, pick: u64) {
        self.resets.send_modify(|(count, last)| {
            *count += 1;
            *last = pick;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    target: SocketAddr,
    way: watch::Sender<Way>,
    resets: watch::Sender<(u64, u64)>,
) {
    let mut connections = tokio::task::JoinSet::new();
    for number in 0_u64.. {
        let Ok((client, _)) = listener.accept().await else {
            // No descriptors for a moment.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        connections.spawn(connection(
            number,
            client,
            target,
            way.subscribe(),
            resets.subscribe(),
        ));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(
    number: u64,
    mut client: TcpStream,
    target: SocketAddr,
    mut way: watch::Receiver<Way>,
    mut resets: watch::Receiver<(u64, u64)>,
) {
    let is_known = way.wait_for(|way| *way != Way::Silent).await;
    if is_known.is_ok_and(|way| *way == Way::Closed) {
        return reset(&client);
    }
    let Ok(mut server) = TcpStream::connect(target).await else {
        return reset(&client);
    };
    // As the programs on both sides have it: each write leaves at once.
    let _delay = (client.set_nodelay(true), server.set_nodelay(true));
    let passed = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let pass = async {
            tokio::join!(
                pump(from_client, to_server, way.clone()),
                pump(from_server, to_client, way.clone())
            )
        };
        let closed = async {
            let mut way = way.clone();
            let _gone = way.wait_for(|way| *way == Way::Closed).await;
        };
        tokio::select! {
            _ = pass => true,
            () = closed => false,
            () = chosen(number, &mut resets) => false,
        }
    };
    if !passed {
        reset(&client);
        reset(&server);
    }
}

/// Returns when a reset concerns the connection of this number.
async fn chosen(number: u64, resets: &mut watch::Receiver<(u64, u64)>) {
    while resets.changed().await.is_ok() {
        let (_, pick) = *resets.borrow_and_update();
        if pick.is_multiple_of(4) || (number ^ (pick >> 2)).is_multiple_of(2) {
            return;
        }
    }
    std::future::pending().await
}

/// Passes bytes on until one side ends.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut way: watch::Receiver<Way>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if way.wait_for(|way| *way != Way::Silent).await.is_err() {
            return;
        }
        let bytes = buffer.get(..read).unwrap_or_default();
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
    // The other side learns of the end; if it is gone, it knows.
    let _gone = to.shutdown().await;
}

/// Lets the system send a reset when the socket is dropped.
fn reset(socket: &TcpStream) {
    // If this fails the connection is closed, which is as good.
    let _closed = socket.set_zero_linger();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proxy to a server that sends back what it gets.
    async fn proxy() -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = socket.split();
                    let _ended = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        Proxy::start(address).await.unwrap()
    }

    async fn connect(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(proxy.address).await.unwrap()
    }

    async fn echo(socket: &mut TcpStream) -> std::io::Result<u8> {
        socket.write_all(b"x").await?;
        socket.read_u8().await
    }

    #[tokio::test]
    async fn bytes_pass() {
        let proxy = proxy().await;
        assert_eq!(echo(&mut connect(&proxy).await).await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn closed_resets_old_and_new_connections_until_it_opens() {
        let proxy = proxy().await;
        let mut old = connect(&proxy).await;
        echo(&mut old).await.unwrap();
        proxy.set(Way::Closed);
        assert!(old.read_u8().await.is_err());
        assert!(echo(&mut connect(&proxy).await).await.is_err());
        proxy.set(Way::Open);
        assert_eq!(echo(&mut connect(&proxy).await).await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn silent_holds_bytes_and_new_connections_until_it_opens() {
        let proxy = proxy().await;
        let mut old = connect(&proxy).await;
        echo(&mut old).await.unwrap();
        proxy.set(Way::Silent);
        let mut new = connect(&proxy).await;
        for socket in [&mut old, &mut new] {
            socket.write_all(b"y").await.unwrap();
            let early = tokio::time::timeout(Duration::from_millis(50), socket.read_u8()).await;
            assert!(early.is_err());
        }
        proxy.set(Way::Open);
        assert_eq!(old.read_u8().await.unwrap(), b'y');
        assert_eq!(new.read_u8().await.unwrap(), b'y');
    }

    #[tokio::test]
    async fn a_reset_concerns_some_or_all() {
        let proxy = proxy().await;
        let (mut first, mut second) = (connect(&proxy).await, connect(&proxy).await);
        echo(&mut first).await.unwrap();
        echo(&mut second).await.unwrap();
        // The second connection has the number 1.
        proxy.reset_some(1 << 2 | 1);
        assert!(second.read_u8().await.is_err());
        assert_eq!(echo(&mut first).await.unwrap(), b'x');
        proxy.reset_some(4);
        assert!(first.read_u8().await.is_err());
    }
}
