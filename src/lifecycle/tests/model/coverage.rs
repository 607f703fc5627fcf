//! What was reached, so that nothing is checked only in name.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use strum::IntoEnumIterator;

use crate::google::answer::ErrorKind;

/// Something that has to be reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, strum::EnumIter)]
pub enum Reached {
    RuleMalformed,
    RuleEndWithoutGrant,
    RuleUnknownService,
    RuleUnknownVersion,
    RuleUnknownName,
    RuleIdentityNotSupported,
    RuleFinalGet,
    RuleNotGranted,
    RuleGrantUnknown,
    RuleSuspended,
    RuleProceed,
    Over,
    CancelNotSent,
    CancelIntended,
    CancelSending,
    CancelAgainRefused,
    CancelAgain,
    CancelAwaitingGet,
    CancelAccepted,
    CancelAcceptedPolled,
    CancelUnsupported,
    WriteWritten,
    WriteConflict,
    WriteUnconfirmed,
    WriteFailed,
    WriteBusy,
    WriteGone,
    GetRunning,
    GetCancelled,
    GetCompleted,
    GetFailed,
    GetNoResult,
    GetWithheld,
    CancelWasAccepted,
    CancelNotSentOut,
    CancelWithheld,
    RereadRefused,
    RereadFailed,
    RereadGone,
    ForeignIntent,
    OutcomeCancelled,
    OutcomeCompleted,
    OutcomeFailed,
    OutcomeNotFound,
    OutcomeUnsupported,
    OutcomeRejected,
    OutcomeUnknown,
}

/// What was reached so far.
#[derive(Debug, Default)]
pub struct Coverage {
    reached: Mutex<BTreeSet<Reached>>,
    gets: Mutex<BTreeSet<ErrorKind>>,
    cancels: Mutex<BTreeSet<ErrorKind>>,
    /// One bit for each variant that is known already: the sets are locked once for each.
    known: std::sync::atomic::AtomicU64,
}

impl Coverage {
    pub fn note(&self, reached: Reached) {
        use std::sync::atomic::Ordering::Relaxed;
        let bit = 1_u64 << (reached.clone() as u64);
        if self.known.load(Relaxed) & bit == 0 {
            self.known.fetch_or(bit, Relaxed);
            lock(&self.reached).insert(reached);
        }
    }

    pub fn note_get_error(&self, kind: ErrorKind) {
        lock(&self.gets).insert(kind);
    }

    pub fn note_cancel_error(&self, kind: ErrorKind) {
        lock(&self.cancels).insert(kind);
    }

    /// What was not reached.
    pub fn missing(&self) -> Vec<String> {
        let reached = lock(&self.reached);
        let mut missing: Vec<_> = Reached::iter()
            .filter(|one| !reached.contains(one))
            .map(|one| format!("{one:?}"))
            .collect();
        for (call, seen) in [("GET", &self.gets), ("cancel", &self.cancels)] {
            let seen = lock(seen);
            let kinds = ErrorKind::ALL.iter().filter(|kind| !seen.contains(*kind));
            missing.extend(kinds.map(|kind| format!("{kind:?} to {call}")));
        }
        missing
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
