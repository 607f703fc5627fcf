//! Relays TCP connections to a server on this machine: an address of its own, whose connections a test silences or closes. It ends with
//! its runtime, and must be kept until then.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What happens to connections.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    /// The port of the server, once it runs.
    server: Option<u16>,
    /// Connections up to this number pass nothing more, and stay open.
    silenced: usize,
    /// Connections up to this number are closed.
    closed: usize,
    /// Whether new connections pass nothing.
    is_silent: bool,
}

/// See the module.
pub struct Relay {
    port: u16,
    rules: watch::Sender<Rules>,
    accepted: watch::Receiver<usize>,
}

impl Relay {
    /// Listens. Connections wait for [`Relay::lead_to`].
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (rules, rule) = watch::channel(Rules::default());
        let (counter, accepted) = watch::channel(0);
        tokio::spawn(accept(listener, rule, counter));
        Self {
            port,
            rules,
            accepted,
        }
    }

    /// The port that it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Passes bytes on to the server of this URL.
    pub fn lead_to(&self, url: &str) {
        let (_, port) = url.rsplit_once(':').unwrap();
        let port = port.parse().unwrap();
        self.rules.send_modify(|rules| rules.server = Some(port));
    }

    /// Passes nothing more on the connections that there are. They stay open, as when a middlebox forgets them.
    pub fn silence_open_connections(&self) {
        let accepted = *self.accepted.borrow();
        self.rules.send_modify(|rules| rules.silenced = accepted);
    }

    /// Closes the connections that there are.
    pub fn close_open_connections(&self) {
        let accepted = *self.accepted.borrow();
        self.rules.send_modify(|rules| rules.closed = accepted);
    }

    /// Whether new connections are accepted, and pass nothing.
    pub fn silence_new_connections(&self, silent: bool) {
        self.rules.send_modify(|rules| rules.is_silent = silent);
    }
}

async fn accept(
    listener: TcpListener,
    rules: watch::Receiver<Rules>,
    counter: watch::Sender<usize>,
) {
    while let Ok((near, _)) = listener.accept().await {
        counter.send_modify(|count| *count += 1);
        let number = *counter.borrow();
        tokio::spawn(relay(near, number, rules.clone()));
    }
}

async fn relay(mut near: TcpStream, number: usize, mut rules: watch::Receiver<Rules>) {
    if rules.borrow().is_silent {
        // Until the other end gives up.
        let _ = tokio::io::copy(&mut near, &mut tokio::io::sink()).await;
        return;
    }
    let port = match rules.wait_for(|rules| rules.server.is_some()).await {
        Ok(rules) => rules.server.unwrap(),
        Err(_) => return,
    };
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let mut closing = rules.clone();
    let is_silenced = async { drop(rules.wait_for(|rules| number <= rules.silenced).await) };
    let is_closed = async { drop(closing.wait_for(|rules| number <= rules.closed).await) };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        () = is_silenced => std::future::pending().await,
        () = is_closed => {}
    }
}
