//! The services that issue tokens in exchange for credentials, behind one address: STS, IAM Credentials and the OAuth server.
//! Neither credentials nor tokens appear in the record or in a log.

use std::sync::Arc;

use crate::{record::Record, scenario::credentials::Credentials, tokens::Tokens};

/// The token services of one emulator.
#[derive(Debug)]
pub struct CredentialServices {
    /// The credentials that they accept.
    pub credentials: Credentials,
    /// The number of the project of the clusters' workload identity pools.
    pub project_number: String,
    /// `http` or `https`: the scheme of their URL, for the audience of assertions.
    pub scheme: &'static str,
    /// Where they register the tokens that they issue.
    pub tokens: Arc<Tokens>,
    /// Where requests are recorded.
    pub record: Arc<Record>,
}
