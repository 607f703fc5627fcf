//! A headless Chromium, driven by plain WebDriver calls (W3C WebDriver) over loopback.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing
)]

use std::process::Stdio;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::support::PATIENCE;

/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window; gone when dropped.
pub struct Browser {
    _driver: Child,
    _profile: TempDir,
    client: Client,
    session: String,
}

impl Browser {
    /// Starts one, with JavaScript or without.
    pub async fn start(scripts: bool) -> Self {
        let programs = tokio::task::spawn_blocking(xtask::browser::get)
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("{error:#}"));
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new(&programs.driver)
            .args(["--port=0", "--allowed-ips=127.0.0.1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = tokio::time::timeout(PATIENCE, lines.next_line())
                .await
                .expect("chromedriver tells its port")
                .unwrap()
                .unwrap();
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // Read on, or it stops when the pipe is full.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-proxy-server".to_owned(),
            "--disable-background-networking".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        // Chromium's sandbox does not work for root.
        if std::fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
        {
            arguments.push("--no-sandbox".to_owned());
        }
        let mut options = json!({"binary": programs.chromium, "args": arguments});
        if !scripts {
            options["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
        }
        let client = super::support::client();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "timeouts": {"script": 20_000, "pageLoad": 20_000, "implicit": 20_000},
        }}});
        let url = format!("http://127.0.0.1:{port}/session");
        let begun = call(&client, Method::POST, &url, wanted).await;
        let id = begun["sessionId"].as_str().expect("a session");
        Self {
            _driver: driver,
            _profile: profile,
            session: format!("{url}/{id}"),
            client,
        }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        call(
            &self.client,
            Method::POST,
            &format!("{}/{path}", self.session),
            body,
        )
        .await
    }

    /// Opens an address and waits until the page is loaded.
    pub async fn open(&self, url: &str) {
        self.post("url", json!({"url": url})).await;
    }

    /// What a script returns.
    pub async fn run(&self, script: &str) -> Value {
        self.post("execute/sync", json!({"script": script, "args": []}))
            .await
    }

    /// What a script hands to the function that is its argument.
    pub async fn run_async(&self, script: &str) -> Value {
        self.post("execute/async", json!({"script": script, "args": []}))
            .await
    }

    /// Waits until a JavaScript expression is true, looking at every change of the page.
    pub async fn until(&self, condition: &str) {
        let script = format!(
            "const done = arguments[0]; const look = () => {{ if ({condition}) {{ watch.disconnect(); done(true); }} }}; \
             const watch = new MutationObserver(look); \
             watch.observe(document, {{subtree: true, childList: true, characterData: true, attributes: true}}); look();"
        );
        self.run_async(&script).await;
    }

    /// Waits until the page shows this text.
    pub async fn until_shown(&self, text: &str) {
        self.until(&format!(
            "document.body.innerText.includes({})",
            json!(text)
        ))
        .await;
    }

    /// Waits until the page that a click leads to shows this text. [`Browser::until`] may still look at the one that it leaves.
    pub async fn arrive(&self, text: &str) {
        self.find(&format!("//*[contains(., '{text}')]")).await;
    }

    /// Waits for what the XPath finds.
    pub async fn find(&self, xpath: &str) -> String {
        let found = self
            .post("element", json!({"using": "xpath", "value": xpath}))
            .await;
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    /// Clicks on what the XPath finds; finds it again if the page was exchanged in between.
    pub async fn click(&self, xpath: &str) {
        loop {
            let element = self.find(xpath).await;
            let url = format!("{}/element/{element}/click", self.session);
            let clicked = answer(&self.client, Method::POST, &url, json!({})).await;
            match clicked["error"].as_str() {
                None => return,
                Some("stale element reference") => {}
                Some(_) => panic!("{xpath}: {clicked}"),
            }
        }
    }

    /// Types into what the XPath finds.
    pub async fn type_in(&self, xpath: &str, text: &str) {
        let element = self.find(xpath).await;
        self.post(&format!("element/{element}/value"), json!({"text": text}))
            .await;
    }

    /// Presses the mouse's button of this number on what the XPath finds (0: left, 2: right) and holds it.
    pub async fn press(&self, xpath: &str, button: u8) {
        let element = self.find(xpath).await;
        self.act(json!([{"type": "pointer", "id": "mouse", "actions": [
            {"type": "pointerMove", "origin": {ELEMENT: element}, "x": 0, "y": 0},
            {"type": "pointerDown", "button": button},
        ]}]))
        .await;
    }

    /// Presses a key down, or lets it go.
    pub async fn key(&self, key: &str, down: bool) {
        let kind = if down { "keyDown" } else { "keyUp" };
        self.act(json!([{"type": "key", "id": "keys", "actions": [{"type": kind, "value": key}]}]))
            .await;
    }

    async fn act(&self, actions: Value) {
        self.post("actions", json!({"actions": actions})).await;
    }

    /// The text of what the XPath finds.
    pub async fn text(&self, xpath: &str) -> String {
        let element = self.find(xpath).await;
        let url = format!("{}/element/{element}/text", self.session);
        let text = call(&self.client, Method::GET, &url, Value::Null).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Sets the window's size, in CSS pixels, and the colours that the page is asked for.
    pub async fn look(&self, width: u32, height: u32, colours: &str) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        for (cmd, params) in [
            ("Emulation.setDeviceMetricsOverride", metrics),
            (
                "Emulation.setEmulatedMedia",
                json!({"features": [{"name": "prefers-color-scheme", "value": colours}]}),
            ),
        ] {
            self.post("goog/cdp/execute", json!({"cmd": cmd, "params": params}))
                .await;
        }
    }

    /// A picture of the window, PNG in base64.
    pub async fn picture(&self) -> String {
        let url = format!("{}/screenshot", self.session);
        let picture = call(&self.client, Method::GET, &url, Value::Null).await;
        picture.as_str().unwrap_or_default().to_owned()
    }

    /// Ends it.
    pub async fn end(self) {
        call(&self.client, Method::DELETE, &self.session, Value::Null).await;
    }
}

async fn call(client: &Client, method: Method, url: &str, body: Value) -> Value {
    let value = answer(client, method, url, body.clone()).await;
    assert!(value["error"].is_null(), "{url} {body}: {value}");
    value
}

/// The value of the answer, or the error in its place.
async fn answer(client: &Client, method: Method, url: &str, body: Value) -> Value {
    let mut request = client.request(method, url);
    if !body.is_null() {
        request = request.json(&body);
    }
    let mut answer: Value = request.send().await.unwrap().json().await.unwrap();
    answer["value"].take()
}
