//! Credential files of every kind, against an emulator or a server of the test's own, and the identity that they make.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use opcancel::google::{
    identity::{IdentityConfig, OperatorIdentity},
    tls,
    token::{FetchObserver, FetchResult, TokenError, TokenSource},
};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;

pub const EMAIL: &str = "opcancel@acme.iam.gserviceaccount.com";
pub const PROVIDER: &str = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/clusters/providers/one";
pub const POOL: &str = "principalSet://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/clusters/*";
pub const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
pub const IAM: &str = "https://www.googleapis.com/auth/iam";

/// An `external_account` file for token services at `base`, with its subject token in a file.
pub fn external_account(base: &str, subject_token: &Path) -> Value {
    json!({
        "type": "external_account",
        "audience": PROVIDER,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{base}/v1/token"),
        "credential_source": {"file": subject_token},
    })
}

/// The same, that acts as [`EMAIL`].
pub fn impersonating(base: &str, subject_token: &Path) -> Value {
    let mut file = external_account(base, subject_token);
    file["service_account_impersonation_url"] = json!(impersonation_url(base));
    file
}

pub fn impersonation_url(base: &str) -> String {
    format!("{base}/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken")
}

/// A folder with a credential file and a subject token in it.
pub struct Files {
    folder: TempDir,
}

impl Files {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn credentials(&self) -> PathBuf {
        self.folder.path().join("credentials.json")
    }

    pub fn subject_token(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    pub fn write_subject_token(&self, token: &str) {
        std::fs::write(self.subject_token(), token).unwrap();
    }

    pub fn write_credentials(&self, credentials: &Value) {
        std::fs::write(self.credentials(), credentials.to_string()).unwrap();
    }
}

/// An identity, and how its fetches ended.
pub struct Observed {
    pub identity: OperatorIdentity,
    results: Arc<Mutex<Vec<FetchResult>>>,
}

impl Observed {
    /// The identity of a credential file, with pauses that suit a test.
    pub fn of_file(
        files: &Files,
        credentials: &Value,
        change: impl FnOnce(&mut IdentityConfig),
    ) -> Result<Self, TokenError> {
        files.write_credentials(credentials);
        Self::new(|config| {
            config.environment.credentials_file = Some(files.credentials());
            change(config);
        })
    }

    /// The identity of the credential file as it stands there.
    pub fn of_written_file(files: &Files) -> Result<Self, TokenError> {
        Self::new(|config| config.environment.credentials_file = Some(files.credentials()))
    }

    /// The identity that a metadata server gives out.
    pub fn of_metadata_server(
        address: SocketAddr,
        change: impl FnOnce(&mut IdentityConfig),
    ) -> Result<Self, TokenError> {
        Self::new(|config| {
            config.environment.metadata_host = Some(address.to_string());
            change(config);
        })
    }

    fn new(change: impl FnOnce(&mut IdentityConfig)) -> Result<Self, TokenError> {
        tls::install_provider();
        let mut config = IdentityConfig {
            min_pause: Duration::from_millis(1),
            max_pause: Duration::from_millis(2),
            ..IdentityConfig::default()
        };
        change(&mut config);
        let results = Arc::<Mutex<Vec<_>>>::default();
        let observed = results.clone();
        let observer = FetchObserver::new(move |result| observed.lock().unwrap().push(result));
        Ok(Self {
            identity: OperatorIdentity::new(config, observer)?,
            results,
        })
    }

    /// The token, or what is said in its place.
    pub async fn token(&self) -> Result<String, String> {
        match self.identity.token().await {
            Ok(token) => Ok(token.secret().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Asks until there is a token.
    pub async fn recovered(&self) -> String {
        let wait = async {
            loop {
                match self.token().await {
                    Ok(token) => return token,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .expect("it recovers")
    }

    /// How the fetches ended until now.
    pub fn results(&self) -> Vec<FetchResult> {
        self.results.lock().unwrap().clone()
    }
}
