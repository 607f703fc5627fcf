//! A server in front of the API server. It passes each request on, except for those that a test answers.

use std::{io, net::SocketAddr, sync::Arc};

use opcancel::google::tls;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};
use xtask::control_plane::ControlPlane;

use crate::raw_http::{Reply, respond};

/// See the module. It ends with this value.
pub struct ApiFront {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for ApiFront {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The API server.
struct ApiServer {
    address: String,
    tls: TlsConnector,
}

impl ApiServer {
    fn of(control_plane: &ControlPlane) -> Self {
        tls::install_provider();
        let authorities = std::fs::read(control_plane.ca_file()).unwrap();
        let mut roots = RootCertStore::empty();
        for authority in tls::read_ca_file(&authorities).unwrap() {
            roots.add(authority).unwrap();
        }
        let config = ClientConfig::builder().with_root_certificates(roots);
        let url = control_plane.server_url();
        Self {
            address: url.trim_start_matches("https://").to_owned(),
            tls: TlsConnector::from(Arc::new(config.with_no_client_auth())),
        }
    }

    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let (host, _) = self.address.rsplit_once(':').unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let stream = TcpStream::connect(&self.address).await?;
        self.tls.connect(name, stream).await
    }
}

impl ApiFront {
    /// Starts it. `answer` gets the head of a request.
    pub async fn start(
        control_plane: &ControlPlane,
        answer: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let (api_server, answer) = (Arc::new(ApiServer::of(control_plane)), Arc::new(answer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (api_server, answer) = (api_server.clone(), answer.clone());
                connections.spawn(async move {
                    // Either end may go at any time.
                    let _ = serve(stream, &api_server, answer.as_ref()).await;
                });
            }
        });
        Self { address, task }
    }

    /// The base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(
    near: TcpStream,
    api_server: &ApiServer,
    answer: impl Fn(&str) -> Option<Reply>,
) -> io::Result<()> {
    let (mut near, mut far) = (BufReader::new(near), api_server.connect().await?);
    loop {
        let head = next_head(&mut near, &mut far).await?;
        let text = String::from_utf8_lossy(&head);
        let mut body = vec![0; content_length(&text)];
        near.read_exact(&mut body).await?;
        match answer(&text) {
            None => {
                far.write_all(&head).await?;
                far.write_all(&body).await?;
                far.flush().await?;
            }
            Some(reply) => {
                if !respond(&mut near, reply, &watch::Sender::new(0)).await {
                    return Ok(());
                }
            }
        }
    }
}

/// Passes answers on until the next request, and returns its head. The client sends a request when it has the whole answer to the one
/// before.
async fn next_head(
    near: &mut BufReader<TcpStream>,
    far: &mut TlsStream<TcpStream>,
) -> io::Result<Vec<u8>> {
    let (mut head, mut answer) = (Vec::new(), vec![0; 16 * 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        tokio::select! {
            byte = near.read_u8() => head.push(byte?),
            read = far.read(&mut answer) => match read? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => near.write_all(&answer[..read]).await?,
            },
        }
    }
    Ok(head)
}

fn content_length(head: &str) -> usize {
    let lines = head.lines();
    let fields = lines.filter_map(|line| line.split_once(": "));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = lengths.next().map(|(_, length)| length.parse().unwrap());
    length.unwrap_or_default()
}
