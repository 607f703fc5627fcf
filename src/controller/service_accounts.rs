//! Tenants' own Google identities: `spec.serviceAccountName`.
//!
//! ```text
//!  ServiceAccount (uid, annotation) -> TokenRequest -> Security Token Service -> IAM Credentials, if annotated
//!      API server                      API server      Google                    Google
//! ```
//!
//! Guarantees: the caller has checked the grants; a failed step never leads to another identity; a token is used only for the
//! ServiceAccount with the same uid and annotation as when it was fetched; concurrent callers share each request; every wait is
//! bounded; one namespace has at most a few requests in flight, and a budget of tokens per minute.

pub mod account;
mod fetch_turns;
pub mod tenant_tokens;
mod token_request;
