//! Failed calls. A failure is kept until the same call succeeds.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

use super::{backoff, time::Since};
use crate::{
    api::{Call, LastError, Reason},
    google::{
        answer::{CallError, ErrorKind},
        catalogue::Target,
        error_table::{self, Class, Meaning},
    },
};

/// A failed call and since when it has failed in this way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The call; `Token` if there was no token to make it with.
    pub call: Call,
    /// The error.
    pub error: CallError,
    /// When the first of an unbroken series of the same failure happened.
    pub since: Since,
}

/// The failures of one call, GET or cancel, since its last success.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Failures {
    /// The last one.
    pub last: Option<Failure>,
    /// Temporary errors in a row, which the next delay grows with.
    pub temporary: u32,
    /// How often the last kind of error came in a row in this process.
    pub in_a_row: u32,
    /// How often the endpoint did not serve the path. Other failures in between do not reset it.
    pub not_served: u32,
    /// Denials in a row.
    pub denials: u32,
    /// The last answer was UNAUTHENTICATED. Only after the first of them another token is tried at once.
    pub tried_another_token: bool,
    /// Since when it has failed in a way that a person has to fix. Other errors in between do not end this; a success, or an
    /// answer about the operation itself, does.
    pub stalling_since: Option<Since>,
}

impl Failures {
    /// Adds one. Returns the delay after a denial; `None` after any other failure.
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
            // One more try at once, with another token; delays begin after that.
            _ if another_token => Duration::ZERO,
            Class::Unauthenticated => backoff::after_denial(self.denials.saturating_sub(1), jitter),
            _ => backoff::after_denial(self.denials, jitter),
        })
    }

    /// The counts that delays grow with, from the number of requests that were announced. What counts as evidence for an outcome is
    /// not known from that number and stays.
    pub fn keep_pace(&mut self, attempts: u32) {
        let Some(failure) = &self.last else {
            return;
        };
        match failure.class() {
            Class::Denied | Class::Unauthenticated => self.denials = attempts,
            Class::Retry | Class::NoToken => self.temporary = attempts,
            Class::Quota => self.in_a_row = attempts,
            Class::Unreadable => {
                self.temporary = attempts;
                self.in_a_row = attempts;
            }
            Class::Refused
            | Class::Gone
            | Class::Invalid
            | Class::Impossible
            | Class::NotServed
            | Class::NotOffered => {}
        }
    }

    /// Another call had a token: the lack of one is over. It is no failure of this call itself, and nothing else changes.
    pub fn token_came(&mut self) {
        if self
            .last
            .as_ref()
            .is_some_and(|last| last.call == Call::Token)
        {
            self.last = None;
            self.stalling_since = None;
        }
    }
}

impl Failure {
    /// A failure of `call` now. If the one before was the same, the series continues.
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

    /// Whether a reader of the status would take the same action. The texts may differ.
    pub fn same(&self, other: &Self) -> bool {
        self.call == other.call
            && self.error.kind == other.error.kind
            && self.error.reason == other.error.reason
    }

    /// What follows from it.
    pub fn class(&self) -> Class {
        error_table::meaning(self.error.kind, self.call).class
    }

    /// What it means for this operation.
    pub fn meaning(&self, target: Option<&Target>) -> Meaning {
        let may_pass = target.is_some_and(Target::unimplemented_may_pass);
        error_table::meaning_for(self.error.kind, self.call, may_pass)
    }

    /// The reason that the conditions name. Without a token for a ServiceAccount it is the step that failed.
    pub fn reason(&self, target: Option<&Target>) -> Reason {
        if self.error.kind == ErrorKind::Token
            && let Some(step) = self.error.reason.as_deref().and_then(Reason::of_token_step)
        {
            return step;
        }
        self.meaning(target).reason
    }

    /// Whether a person has to fix it, if it lasts.
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

    /// Reads it back from the status; `None` if this release does not know its call or status.
    pub fn restored(stored: &LastError, since: Since) -> Option<Self> {
        let call = [Call::Get, Call::Cancel, Call::Token]
            .into_iter()
            .find(|call| call.name() == stored.call)?;
        let kind = ErrorKind::ALL
            .iter()
            .copied()
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
