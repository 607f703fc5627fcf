//! A call that failed, kept until the same call succeeds.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

use super::{backoff, time::Since};
use crate::{
    api::{Call, LastError, Reason},
    google::answer::{CallError, ErrorKind},
};

/// A failed call and since when it has failed in this way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Which call: Token if the call was never made.
    pub call: Call,
    /// What failed.
    pub error: CallError,
    /// When the first of an unbroken row of the same failure happened.
    pub since: Since,
}

/// How one call, GET or cancel, failed since its last success.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Failures {
    /// The last one.
    pub last: Option<Failure>,
    /// Passing errors in a row: what the next delay grows with. Each call counts its own.
    pub passing: u32,
    /// Denials in a row.
    pub denials: u32,
    /// The last answer was UNAUTHENTICATED: another token was tried at once after the first of them, and is not again.
    pub tried_another_token: bool,
    /// Since when it has been denied, whatever else failed in between: only a success ends it.
    pub denied_since: Option<Since>,
}

impl Failures {
    /// One more. Returns how long a denial asks to wait, nothing for any other failure.
    pub fn note(
        &mut self,
        call: Call,
        error: CallError,
        now: Since,
        jitter: f64,
    ) -> Option<Duration> {
        let kind = error.kind;
        let failure = Failure::next(self.last.as_ref(), call, error, now);
        if failure.is_denial() {
            self.denied_since.get_or_insert(now);
        } else if kind.tells_of_the_operation() {
            self.denied_since = None;
        }
        self.last = Some(failure);
        let unwanted = kind == ErrorKind::Unauthenticated;
        let another_token = unwanted && !self.tried_another_token;
        self.tried_another_token = unwanted;
        match kind {
            ErrorKind::PermissionDenied | ErrorKind::Unauthenticated => {
                self.denials = self.denials.saturating_add(1);
            }
            _ => {
                self.denials = 0;
                return None;
            }
        }
        Some(match kind {
            // Once more at once, with another token; only then is it paced.
            _ if another_token => Duration::ZERO,
            ErrorKind::Unauthenticated => {
                backoff::after_denial(self.denials.saturating_sub(1), jitter)
            }
            _ => backoff::after_denial(self.denials, jitter),
        })
    }
}

impl Failure {
    /// A failure of `call` now, the next of the row if the one before was the same.
    pub fn next(before: Option<&Self>, call: Call, error: CallError, now: Since) -> Self {
        let call = if error.kind == ErrorKind::Token {
            Call::Token
        } else {
            call
        };
        let mut next = Self {
            call,
            error,
            since: now,
        };
        if let Some(before) = before.filter(|before| before.same(&next)) {
            next.since = before.since;
        }
        next
    }

    /// Whether it is the same failure for whoever reads the status: the text may differ, what to do about it does not.
    pub fn same(&self, other: &Self) -> bool {
        self.call == other.call
            && self.error.kind == other.error.kind
            && self.error.reason == other.error.reason
    }

    /// The reason that the conditions name.
    pub fn reason(&self) -> Reason {
        match (self.error.kind, self.call) {
            (ErrorKind::NotFound, Call::Get) => Reason::OperationNotFound,
            (
                ErrorKind::NotFound | ErrorKind::FailedPrecondition | ErrorKind::InvalidArgument,
                Call::Cancel,
            ) => Reason::Refused,
            (ErrorKind::Unimplemented, Call::Cancel) => Reason::Unsupported,
            (ErrorKind::PermissionDenied, _) => Reason::PermissionDenied,
            (ErrorKind::Unauthenticated | ErrorKind::Token, _) => Reason::Unauthenticated,
            (ErrorKind::ResourceExhausted, _) => Reason::Throttled,
            (ErrorKind::Unrecognised, _) => Reason::Unrecognised,
            _ => Reason::Unavailable,
        }
    }

    /// Whether it is one that people have to cure, if it lasts.
    pub fn is_denial(&self) -> bool {
        matches!(
            self.reason(),
            Reason::PermissionDenied | Reason::Unauthenticated
        )
    }

    /// As stored in `status.lastError`.
    pub fn stored(&self) -> LastError {
        LastError {
            call: self.call.name().to_owned(),
            http_status: self.error.http_status.map(i32::from),
            status: self.error.kind.name().to_owned(),
            reason: self.error.reason.clone(),
            domain: self.error.domain.clone(),
            metadata: self.error.metadata.clone(),
            message: self.error.message.clone(),
            since: Some(Time(self.since.stored)),
        }
    }

    /// Read back from the status, if this release knows what it says.
    pub fn restored(stored: &LastError, since: Since) -> Option<Self> {
        let call = [Call::Get, Call::Cancel, Call::Token]
            .into_iter()
            .find(|call| call.name() == stored.call)?;
        let kind = ErrorKind::ALL
            .into_iter()
            .find(|kind| kind.name() == stored.status)?;
        Some(Self {
            call,
            error: CallError {
                kind,
                http_status: stored
                    .http_status
                    .and_then(|status| u16::try_from(status).ok()),
                reason: stored.reason.clone(),
                domain: stored.domain.clone(),
                metadata: stored.metadata.clone(),
                message: stored.message.clone(),
                not_sent: false,
                retry_after: None,
            },
            since,
        })
    }
}
