//! A call that failed, kept until the same call succeeds.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

use super::{backoff, time::Since};
use crate::{
    api::{Call, LastError, Reason},
    google::{
        answer::{CallError, ErrorKind},
        error_table::{self, Class},
    },
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
    /// How often the last kind came in a row, as far as this process knows.
    pub in_a_row: u32,
    /// How often the endpoint did not serve the path, whatever else failed in between.
    pub not_served: u32,
    /// Denials in a row.
    pub denials: u32,
    /// The last answer was UNAUTHENTICATED: another token was tried at once after the first of them, and is not again.
    pub tried_another_token: bool,
    /// Since when it has failed in a way that a person has to cure, whatever else failed in between: only a success ends it, or
    /// an answer that speaks about the operation.
    pub stalling_since: Option<Since>,
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
        let class = error_table::meaning(kind, call).class;
        let failure = Failure::next(self.last.as_ref(), call, error, now);
        if class.stalls() {
            self.stalling_since.get_or_insert(now);
        } else if kind.is_about_operation() {
            self.stalling_since = None;
            self.not_served = 0;
        }
        if matches!(class, Class::NotServed | Class::NotOffered) {
            self.not_served = self.not_served.saturating_add(1);
        }
        let before = self.last.replace(failure);
        let again = before.is_some_and(|before| before.error.kind == kind);
        self.in_a_row = if again {
            self.in_a_row.saturating_add(1)
        } else {
            1
        };
        let unwanted = class == Class::Unauthenticated;
        let another_token = unwanted && !self.tried_another_token;
        self.tried_another_token = unwanted;
        if !matches!(class, Class::Denied | Class::Unauthenticated) {
            self.denials = 0;
            return None;
        }
        self.denials = self.denials.saturating_add(1);
        Some(match class {
            // Once more at once, with another token; only then is it paced.
            _ if another_token => Duration::ZERO,
            Class::Unauthenticated => backoff::after_denial(self.denials.saturating_sub(1), jitter),
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

    /// What it asks for.
    pub fn class(&self) -> Class {
        error_table::meaning(self.error.kind, self.call).class
    }

    /// The reason that the conditions name.
    pub fn reason(&self) -> Reason {
        error_table::meaning(self.error.kind, self.call).reason
    }

    /// Whether it is one that people have to cure, if it lasts.
    pub fn stalls(&self) -> bool {
        self.class().stalls()
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
