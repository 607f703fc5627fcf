//! Google's Security Token Service: a proof of an identity elsewhere in exchange for an access token.
//!
//! Source: google/identity/sts/v1 (`POST /v1/token`), RFC 8693.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    guarded_http::{GuardedHttp, form_value},
    secret::Secret,
    token_answer::{FetchedToken, read_oauth},
};

/// One exchange, but for the subject token.
#[derive(Debug)]
pub(super) struct TokenExchange {
    /// `token_url`
    pub server: GuardedHttp,
    /// The full name of the provider that is to believe the subject token.
    pub audience: String,
    /// What kind of token it is.
    pub subject_token_type: String,
    /// Scopes of the access token, with spaces.
    pub scope: String,
    /// The project that a workforce identity, which has none, uses the quota of; only without `client`.
    pub workforce_project: Option<String>,
    /// OAuth client of a workforce pool's own application.
    pub client: Option<(String, Secret)>,
}

impl TokenExchange {
    /// Exchanges a subject token.
    ///
    /// # Errors
    /// With the server and the reason in words.
    pub async fn exchange(&self, subject_token: &Secret) -> Result<FetchedToken, String> {
        let options = self
            .workforce_project
            .as_ref()
            .filter(|_| self.client.is_none())
            .map(|project| serde_json::json!({"userProject": project}).to_string());
        let mut form = vec![
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("audience", &self.audience),
            ("scope", &self.scope),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("subject_token_type", &self.subject_token_type),
            ("subject_token", subject_token.text()),
        ];
        if let Some(options) = &options {
            form.push(("options", options));
        }
        let client = self
            .client
            .as_ref()
            .map(|(id, secret)| (id.as_str(), secret));
        let named = |why: String| format!("token exchange at {}: {why}", self.server.host());
        let answer = self.server.post_form(&form, client).await.map_err(named)?;
        let encoded = form_value(subject_token.text());
        let mut secrets = vec![subject_token.text(), &encoded];
        // As the header has them: a server may echo that, too.
        let basic =
            client.map(|(id, secret)| BASE64_STANDARD.encode(format!("{id}:{}", secret.text())));
        secrets.extend(client.map(|(_, secret)| secret.text()));
        secrets.extend(basic.as_deref());
        read_oauth(&answer, &secrets).map_err(named)
    }
}
