//! What is sent, one request after another, never faster than the pace. Nothing else of the probe can send anything, and
//! nothing here but [`Wire::cancel`] sends anything but a GET.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{
    permit::MayCancel,
    plan::{Read, Subject, TokenChoice},
};
use opcancel::google::{
    answer::CallError,
    catalogue::Target,
    client::{
        CallOptions, ClientConfig, InvalidQuotaProject, Observation, OperationsClient, Resource,
        UserProject,
    },
    identity::OperatorIdentity,
    request_reason::RequestReason,
    token::{Token, TokenSource},
};

/// A token that nobody issued, in the form of Google's.
const MADE_UP: &str = "ya29.opcancel-probe-made-this-up";

/// Whose tokens the calls have.
#[derive(Debug)]
pub struct Identities {
    /// As the controller would have it.
    pub usual: OperatorIdentity,
    /// The same with the service's own scope.
    pub narrow: OperatorIdentity,
}

/// The way out.
#[derive(Debug)]
pub struct Wire {
    client: OperationsClient,
    /// Speaks HTTP/1.1, where a missing length can be seen.
    http1: OperationsClient,
    identities: Identities,
    quota_project: Option<String>,
    run: String,
    pace: Duration,
    free_from: Instant,
    sent: u32,
}

impl Wire {
    /// Opens nothing yet. `run` names this run in the audit log.
    ///
    /// # Errors
    /// If the quota project is none.
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
            free_from: Instant::now(),
            sent: 0,
        })
    }

    /// The name of this run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// How many requests were sent, or tried to be.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// Google's name for who asks, as far as known.
    pub fn principal(&self) -> Option<String> {
        self.identities.usual.principal()
    }

    /// Who pays, where a read does not say otherwise (`x-goog-user-project`).
    pub fn quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }

    /// Whether a token of this kind can be had: of a person's credentials none is narrower than the usual one.
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
        let asked = match &read.subject {
            Subject::Operation(name) => Resource::Operation(name),
            Subject::List(path) | Subject::Path(path) => Resource::Path(path),
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
        self.wait_for_the_turn().await;
        self.client.observe_get(&read.target, asked, asking).await
    }

    /// The one place from which a cancel leaves.
    ///
    /// # Errors
    /// If there is no token or no answer.
    pub async fn cancel(
        &mut self,
        row: &str,
        leave: &MayCancel,
        target: &Target,
        length: bool,
    ) -> Result<Observation, CallError> {
        let token = self.identities.usual.token().await?;
        let reason = self.reason(row);
        let asking = CallOptions {
            reason: &reason,
            token: Some(&token),
            user_project: UserProject::Default,
            content_length: length,
        };
        self.wait_for_the_turn().await;
        let client = if length { &self.client } else { &self.http1 };
        client.observe_cancel(target, leave.name(), asking).await
    }

    /// The next request leaves no sooner than this.
    pub fn rest_until(&mut self, at: Instant) {
        self.free_from = self.free_from.max(at);
    }

    async fn wait_for_the_turn(&mut self) {
        sleep_until(self.free_from).await;
        self.free_from = Instant::now() + self.pace;
        self.sent += 1;
    }

    fn reason(&self, row: &str) -> RequestReason {
        RequestReason::new("", "opcancel-probe", row, &self.run)
    }
}
