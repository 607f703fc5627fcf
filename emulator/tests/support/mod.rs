//! A client for the emulator that speaks plainly: any header, any body, no retries, no redirects.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing
)]

use std::time::Duration;

use operations_emulator::{Config, Emulator, Scenario, Script};
use reqwest::{Certificate, Client, ClientBuilder, Response, redirect};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The operation that most tests speak of.
pub const NAME: &str = "projects/p/locations/europe-west1/operations/o";

/// Long enough for anything on loopback; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An emulator and a client with a token of its metadata server.
pub struct Setup {
    pub emulator: Emulator,
    pub client: Client,
    pub token: String,
}

/// Starts an emulator with this one operation.
pub async fn start(script: Script) -> Setup {
    start_scenario(Scenario::default().with_operation(NAME, script)).await
}

/// Starts an emulator with this scenario and fetches a token.
pub async fn start_scenario(scenario: Scenario) -> Setup {
    let emulator = Emulator::start(scenario)
        .await
        .expect("the emulator starts");
    let client = client();
    let token = fetch_token(&client, &emulator).await;
    Setup {
        emulator,
        client,
        token,
    }
}

/// A client without proxies and redirects.
pub fn client() -> Client {
    // Another test of the same process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .build()
        .expect("a client")
}

/// A token of the emulator's metadata server.
pub async fn fetch_token(client: &Client, emulator: &Emulator) -> String {
    let answer = metadata(client, emulator, "instance/service-accounts/default/token").await;
    let json: Value = answer.json().await.expect("JSON");
    json["access_token"].as_str().expect("a token").to_owned()
}

/// Asks the metadata server as credentials libraries do.
pub async fn metadata(client: &Client, emulator: &Emulator, path: &str) -> Response {
    let url = format!(
        "http://{}/computeMetadata/v1/{path}",
        emulator.metadata_address()
    );
    client
        .get(url)
        .header("Metadata-Flavor", "Google")
        .send()
        .await
        .expect("an answer")
}

impl Setup {
    /// GETs the operation and returns HTTP status and JSON.
    pub async fn get(&self) -> (u16, Value) {
        self.get_name(NAME).await
    }

    pub async fn get_name(&self, name: &str) -> (u16, Value) {
        json(self.try_get(name).await.expect("an answer")).await
    }

    pub async fn try_get(&self, name: &str) -> reqwest::Result<Response> {
        self.client
            .get(format!("{}/v2/{name}", self.emulator.url()))
            .bearer_auth(&self.token)
            .send()
            .await
    }

    /// Cancels the operation and returns HTTP status and JSON.
    pub async fn cancel(&self) -> (u16, Value) {
        json(self.try_cancel().await.expect("an answer")).await
    }

    pub async fn try_cancel(&self) -> reqwest::Result<Response> {
        let url = format!("{}/v2/{NAME}:cancel", self.emulator.url());
        self.client
            .post(url)
            .bearer_auth(&self.token)
            .header("content-length", "0")
            .send()
            .await
    }
}

/// Status and JSON of an answer.
pub async fn json(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

/// `error.status` of Google's JSON.
pub fn rpc_status(json: &Value) -> &str {
    json["error"]["status"].as_str().unwrap_or_default()
}

/// Sends these bytes to `http://host:port` and returns all that comes until the peer closes.
pub async fn raw(url: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))
        .await
        .expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    // A reset after the answer is the same to the caller as a close.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the peer closes in time");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A client that trusts this authority, without proxies and redirects.
pub fn tls_client(authority: &str) -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .tls_certs_only([Certificate::from_pem(authority.as_bytes()).unwrap()])
}

/// Starts an emulator that speaks TLS, with a client that trusts it.
pub async fn start_tls(scenario: Scenario) -> Setup {
    let plain = client();
    let config = Config {
        tls: true,
        ..Config::from(scenario)
    };
    let emulator = Emulator::start(config).await.unwrap();
    let token = fetch_token(&plain, &emulator).await;
    let client = tls_client(emulator.authority_pem().unwrap())
        .build()
        .unwrap();
    Setup {
        emulator,
        client,
        token,
    }
}
