//! `authorized_user` files: a person's own rights (AIP-4113). For development; `gcloud auth application-default login`
//! writes them.

use futures::future::BoxFuture;

use super::{
    credential::{Credential, FetchFailed},
    credential_fields::{Fields, TokenRequest},
    guarded_http::{GuardedHttp, form_value},
    secret::Secret,
    service_account::OAUTH_SERVER,
    token_answer::{FetchedToken, read_oauth},
};
use crate::google::identity::token::TokenError;

/// A person's refresh token.
#[derive(Debug)]
pub(super) struct AuthorizedUser {
    file: String,
    server: GuardedHttp,
    client_id: String,
    client_secret: Secret,
    refresh_token: Secret,
}

impl AuthorizedUser {
    /// Reads the fields of the file.
    ///
    /// # Errors
    /// If it can never work.
    pub fn new(fields: &Fields<'_>, request: TokenRequest<'_>) -> Result<Self, TokenError> {
        Ok(Self {
            file: fields.file().to_owned(),
            client_id: fields.required("client_id")?,
            client_secret: fields.secret("client_secret")?,
            refresh_token: fields.secret("refresh_token")?,
            server: fields.token_server("token_uri", Some(OAUTH_SERVER), request)?,
        })
    }

    /// Asks for no scopes: left out, they are all that the person granted (RFC 6749, section 6), and others are refused.
    async fn refresh(&self) -> Result<FetchedToken, String> {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.text()),
            ("refresh_token", self.refresh_token.text()),
        ];
        let named = |why: String| format!("refresh at {}: {why}", self.server.host());
        let answer = self.server.post_form(&form, None).await.map_err(named)?;
        let secrets = [self.client_secret.text(), self.refresh_token.text()];
        let encoded = secrets.map(form_value);
        let [plain_secret, plain_token] = secrets;
        let [secret, token] = encoded.each_ref().map(String::as_str);
        read_oauth(&answer, &[plain_secret, plain_token, secret, token]).map_err(named)
    }
}

impl Credential for AuthorizedUser {
    fn fetch(&self) -> BoxFuture<'_, Result<FetchedToken, FetchFailed>> {
        Box::pin(async { Ok(self.refresh().await?) })
    }

    /// The file does not say whose it is.
    fn principal(&self) -> Option<String> {
        None
    }

    fn source(&self) -> String {
        format!("the authorized_user file {}", self.file)
    }

    fn takes_scopes(&self) -> bool {
        false
    }
}
