//! Sends the requests, one after another, never faster than the pace. Nothing else in the probe can send anything, and only
//! [`PacedClient::cancel`] sends anything but a GET.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{
    consent::CancelConsent,
    step::{Read, Resource, TokenChoice},
};
use opcancel::google::{
    answer::CallError,
    catalogue::Target,
    client::{
        self, CallOptions, ClientConfig, InvalidQuotaProject, Observation, OperationsClient,
        UserProject,
    },
    identity::OperatorIdentity,
    request_reason::RequestReason,
    token::{Token, TokenSource},
};

/// An invented token that looks like one of Google's.
const MADE_UP: &str = "ya29.opcancel-probe-made-this-up";

/// The identities whose tokens are sent.
#[derive(Debug)]
pub struct Identities {
    /// The one that the controller would use.
    pub usual: OperatorIdentity,
    /// The same identity with the service's own scope.
    pub narrow: OperatorIdentity,
}

/// The client of a run.
#[derive(Debug)]
pub struct PacedClient {
    client: OperationsClient,
    /// Speaks HTTP/1.1, where the server can tell that a Content-Length is missing.
    http1: OperationsClient,
    identities: Identities,
    quota_project: Option<String>,
    run: String,
    pace: Duration,
    not_before: Instant,
    sent: u32,
}

impl PacedClient {
    /// Opens no connection yet. `run` identifies this run in the audit log.
    ///
    /// # Errors
    /// If the quota project is invalid.
    pub fn new(
        config: ClientConfig,
        identities: Identities,
        run: String,
        pace: Duration,
    ) -> Result<Self, InvalidQuotaProject> {
        let http1 = ClientConfig {
            http1_only: true,
            ..config.clone()
        };
        Ok(Self {
            quota_project: config.quota_project.clone(),
            client: OperationsClient::new(config)?,
            http1: OperationsClient::new(http1)?,
            identities,
            run,
            pace,
            not_before: Instant::now(),
            sent: 0,
        })
    }

    /// The name of this run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// How many requests were sent, including those that failed on the way.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// Google's name for the caller, if known.
    pub fn principal(&self) -> Option<String> {
        self.identities.usual.principal()
    }

    /// `x-goog-user-project`, unless a read names another project.
    pub fn quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }

    /// Whether a token of this kind is available: user credentials have no narrower one.
    pub fn has(&self, token: TokenChoice) -> bool {
        token != TokenChoice::Narrow || self.identities.narrow.takes_scopes()
    }

    /// Where the tokens come from.
    pub fn credentials(&self) -> String {
        self.identities.usual.source()
    }

    /// A GET for a row.
    ///
    /// # Errors
    /// If there is no token or no answer.
    pub async fn get(&mut self, row: &str, read: &Read) -> Result<Observation, CallError> {
        let token = match read.token {
            TokenChoice::Usual => Some(self.identities.usual.token().await?),
            TokenChoice::Narrow => Some(self.identities.narrow.token().await?),
            TokenChoice::MadeUp => Some(Token::new(MADE_UP)?),
            TokenChoice::Absent => None,
        };
        let asked = match &read.resource {
            Resource::Operation(name) => client::Resource::Operation(name),
            Resource::List(path) | Resource::UnknownPath(path) => client::Resource::Path(path),
        };
        let reason = self.reason(row);
        let asking = CallOptions {
            reason: &reason,
            token: token.as_ref(),
            user_project: read
                .payer
                .as_deref()
                .map_or(UserProject::Default, UserProject::Named),
            content_length: true,
        };
        self.wait_for_pace().await;
        self.client.observe_get(&read.target, asked, asking).await
    }

    /// The only function that sends a cancel.
    ///
    /// # Errors
    /// If there is no token or no answer.
    pub async fn cancel(
        &mut self,
        row: &str,
        consent: &CancelConsent,
        target: &Target,
        has_content_length: bool,
    ) -> Result<Observation, CallError> {
        let token = self.identities.usual.token().await?;
        let reason = self.reason(row);
        let asking = CallOptions {
            reason: &reason,
            token: Some(&token),
            user_project: UserProject::Default,
            content_length: has_content_length,
        };
        self.wait_for_pace().await;
        let client = if has_content_length {
            &self.client
        } else {
            &self.http1
        };
        client.observe_cancel(target, consent.name(), asking).await
    }

    /// Sends the next request no sooner than this.
    pub fn pause_until(&mut self, at: Instant) {
        self.not_before = self.not_before.max(at);
    }

    async fn wait_for_pace(&mut self) {
        sleep_until(self.not_before).await;
        self.not_before = Instant::now() + self.pace;
        self.sent += 1;
    }

    fn reason(&self, row: &str) -> RequestReason {
        RequestReason::new("", "opcancel-probe", row, &self.run)
    }
}
