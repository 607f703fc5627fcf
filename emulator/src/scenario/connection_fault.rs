//! Faults of a connection before any request: certificates, resets, silence. Plain data, and a counter.

use std::sync::{Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule: which connections to the Operations API it applies to, and what they get. Connections are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionFault {
    /// The first connection that it applies to, counted from 1.
    #[serde(default = "first")]
    pub from: u64,
    /// How many connections in a row it applies to. If absent, to all later ones.
    #[serde(default)]
    pub times: Option<u64>,
    /// What they get.
    pub answer: ConnectionAnswer,
}

fn first() -> u64 {
    1
}

/// What a connection gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ConnectionAnswer {
    /// A TCP reset.
    Reset,
    /// The connection is accepted, but nothing is ever read or written.
    BlackHole,
    /// This certificate; only with TLS.
    Certificate(Certificate),
}

/// The certificate of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Certificate {
    /// A valid one.
    #[default]
    Good,
    /// Valid, but expired.
    Expired,
    /// Valid for `other.invalid` only.
    OtherHost,
    /// Valid, but issued by an unknown authority.
    UnknownAuthority,
}

/// The rules of a listener, and the number of its connections.
#[derive(Debug, Default)]
pub struct ConnectionFaults(Mutex<(Vec<ConnectionFault>, u64)>);

impl ConnectionFaults {
    /// These rules.
    pub fn new(faults: Vec<ConnectionFault>) -> Self {
        Self(Mutex::new((faults, 0)))
    }

    /// Replaces the rules and counts from 1 again.
    pub fn set(&self, faults: Vec<ConnectionFault>) {
        *self.lock() = (faults, 0);
    }

    /// Counts a connection and returns what it gets, by the first rule that applies.
    pub fn next(&self) -> Option<ConnectionAnswer> {
        let (faults, count) = &mut *self.lock();
        *count += 1;
        let nth = *count;
        let meets = |fault: &&ConnectionFault| {
            nth >= fault.from && fault.times.is_none_or(|times| nth - fault.from < times)
        };
        faults.iter().find(meets).map(|fault| fault.answer)
    }

    fn lock(&self) -> MutexGuard<'_, (Vec<ConnectionFault>, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
