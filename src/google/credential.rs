//! One credential of google-cloud-auth, which keeps and refreshes its token, kept from doing harm.
//!
//! The library waits without limit, goes on for ever after an error or not at all, panics in its background task at an
//! absurd lifetime, and puts servers' bodies into its errors. So each credential lives in a runtime of its own that dies
//! with it, and only texts of ours leave.

use google_cloud_auth::credentials::{AccessTokenCredentials, mds};
use std::error::Error;
use tokio::runtime::Runtime;

use super::{
    catalogue::all_scopes,
    clean::{clean, cut},
    network_error,
};

/// Longest piece of a server's error that a message quotes, in bytes.
const MAX_QUOTE: usize = 300;

/// One credential of the library, and the runtime of its background task. Dropping it ends both at once, a request
/// that hangs included.
#[derive(Debug)]
pub(super) struct Credential {
    inner: AccessTokenCredentials,
    runtime: Option<Runtime>,
}

impl Credential {
    /// Asks nobody yet for a token, but the library's background task soon will.
    ///
    /// # Errors
    /// With the reason in words.
    pub async fn new(metadata_server: &str) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("google-token")
            .enable_all()
            .build()
            .map_err(|error| format!("no thread for it ({error})"))?;
        let builder = mds::Builder::default()
            .with_endpoint(metadata_server)
            .with_scopes(all_scopes());
        // Built inside the runtime, so that its background task lives there.
        let built = runtime
            .spawn(async move { builder.build_access_token_credentials() })
            .await;
        match built {
            Ok(Ok(inner)) => Ok(Self {
                inner,
                runtime: Some(runtime),
            }),
            _ => {
                runtime.shutdown_background();
                Err("the credential cannot be made".to_owned())
            }
        }
    }

    /// The token, from memory or fetched; waits without limit.
    ///
    /// # Errors
    /// With the reason in words; this credential may then be dead for good.
    pub async fn token(&self) -> Result<String, String> {
        let Some(runtime) = &self.runtime else {
            return Err("its runtime has ended".to_owned());
        };
        let inner = self.inner.clone();
        match runtime
            .spawn(async move { inner.access_token().await })
            .await
        {
            Ok(Ok(token)) => Ok(token.token),
            Ok(Err(error)) => Err(describe(&error)),
            // The library waits for its background task, which panics at a lifetime beyond all clocks.
            Err(_) => Err("its answer makes no sense".to_owned()),
        }
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What the library's error says, without what may be secret: an undecodable answer is quoted by its parser and may be a
/// token.
fn describe(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    for cause in network_error::causes(error) {
        if let Some(http) = cause.downcast_ref::<reqwest::Error>() {
            return if http.is_decode() {
                "its answer is not the JSON of a token".to_owned()
            } else {
                network_error::describe(http, &[])
            };
        }
        innermost = cause;
    }
    cut(&clean(&innermost.to_string(), &[]), MAX_QUOTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_lose_what_looks_like_a_token() {
        let error = std::io::Error::other("HTTP 403 with \"ya29.abc\" and token=eyJhb.c in it\n");
        assert_eq!(
            describe(&error),
            "HTTP 403 with \"[token removed]\" and token=[token removed] in it"
        );
    }
}
