//! The services that give out tokens in exchange for proofs of identity, behind one address: STS, IAM Credentials and the
//! OAuth server. Neither proofs nor tokens appear in the record or in a log.

use std::sync::Arc;

use crate::{record::Record, scenario::credentials::Credentials, tokens::Tokens};

/// The token services of one emulator.
#[derive(Debug)]
pub struct CredentialServices {
    /// Whom they believe.
    pub credentials: Credentials,
    /// The number of the project that clusters' own pools belong to.
    pub project_number: String,
    /// `http` or `https`: how they are reached, for the audience of assertions.
    pub scheme: &'static str,
    /// Where they register the tokens that they issue.
    pub tokens: Arc<Tokens>,
    /// Where requests are recorded.
    pub record: Arc<Record>,
}
