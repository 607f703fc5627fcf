//! What is wrong with a connection before any request: certificates, resets, silence. Plain data, and the count.

use std::sync::{Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule: which connections to the Operations API it meets, and how they are. Connections are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionFault {
    /// The first connection that it meets, counted from 1.
    #[serde(default = "first")]
    pub from: u64,
    /// How many connections in a row it meets; absent means for ever.
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
    /// It is taken, and nothing is ever read or written.
    BlackHole,
    /// This certificate; only with TLS.
    Certificate(Certificate),
}

/// Which certificate a connection is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Certificate {
    /// The right one.
    #[default]
    Good,
    /// The right names and authority, but its time is over.
    Expired,
    /// For `other.invalid` only.
    OtherHost,
    /// The right names, by an authority that nobody knows.
    UnknownAuthority,
}

/// The rules of a listener, and how many connections came.
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

    /// Counts a connection and says what it gets; the first rule that meets it decides.
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
