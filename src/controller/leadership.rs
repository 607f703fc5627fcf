//! Leader election: of several processes one works, and the others stand by.
//!
//! ```text
//!  API server --Lease--> elector (decides with `election`, which is pure) --role--> dispatcher
//!                           ^                                                          |
//!                           +------------ term: until when it may act -----------------+
//! ```
//!
//! Guarantees: the Lease is written with its resource version, so one of several writers succeeds. Another holder's Lease is expired
//! only after it has not changed for its duration on this process's clock; the times in it are never compared with a clock. The
//! leader stops before its Lease can expire: each call and each write checks the [`Term`] at the moment that it is sent.
//!
//! Why no library: kube-leader-election compares the times in the Lease, and kube-lease-manager renews without a resource version and
//! has no renew deadline.

mod election;
pub mod elector;
mod lease_client;
mod lease_clock;
pub mod term;

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::term::Term;

/// The settings of the leader election.
#[derive(Clone, Debug)]
pub struct LeaderElection {
    /// `--leader-elect-namespace`: the namespace of the Lease.
    pub namespace: String,
    /// `--leader-elect-lease-name`: the name of the Lease.
    pub lease: String,
    /// The durations.
    pub timing: Timing,
}

/// The durations of the leader election. Each is shorter than the one before.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// `--leader-elect-lease-duration`: how long the other processes wait after the last renewal. Whole seconds.
    pub lease_duration: Duration,
    /// `--leader-elect-renew-deadline`: how long the leader works without a renewal.
    pub renew_deadline: Duration,
    /// `--leader-elect-retry-period`: the time between two renewals.
    pub retry_period: Duration,
}

/// What this process does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It keeps its cache of objects, and does nothing else.
    Standby,
    /// It works.
    Leader {
        /// The holder of the Lease before, if there was one.
        predecessor: Option<String>,
    },
}

/// What the dispatcher knows of the election, and says to it.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// Until when this process may act.
    pub term: Term,
    /// What this process does.
    pub role: watch::Receiver<Role>,
    /// Cancelled when this process will write nothing more: the Lease can be released.
    pub release: CancellationToken,
    /// Whether there is an election: another process may take over.
    pub is_elected: bool,
}

impl Leadership {
    /// Without an election: this process leads until it ends.
    pub fn without_election() -> Self {
        let (_, role) = watch::channel(Role::Leader { predecessor: None });
        Self {
            term: Term::unlimited(),
            role,
            release: CancellationToken::new(),
            is_elected: false,
        }
    }
}
