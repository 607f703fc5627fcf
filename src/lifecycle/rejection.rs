//! When INVALID_ARGUMENT as the answer to both GET and cancel is an end.
//!
//! If the name does not tell the host, it may be the answer of a host that does not have the operation. Then it is no end for an hour, in
//! which an administrator can name the host.

use std::time::Duration;

use super::{Cancellation, Now, cancellation::LastGet};
use crate::{
    api::{ConditionStatus, ConditionType, Reason},
    google::{answer::ErrorKind, catalogue::Target},
};

/// For so long after the start nothing is rejected whose host may be another.
const TIME_TO_NAME_THE_HOST: Duration = Duration::from_secs(3600);

impl Cancellation {
    /// Whether INVALID_ARGUMENT as the answer to GET and cancel means `Rejected` by now.
    pub(super) fn may_be_rejected(&self, now: Now) -> bool {
        let passed = self.started.map(|started| started.passed(now));
        !self.host_may_differ() || passed.unwrap_or_default() >= TIME_TO_NAME_THE_HOST
    }

    /// Whether GET and cancel returned INVALID_ARGUMENT, another host may serve the operation, and no GET has shown anything else.
    pub(super) fn may_be_at_another_host(&self) -> bool {
        let is_stored = || {
            self.stored_condition(ConditionType::Stalled)
                == Some((ConditionStatus::True.name(), Reason::NotServed.name()))
        };
        let failure = self.failure().map(|failure| failure.error.kind);
        self.host_may_differ()
            && failure == Some(ErrorKind::InvalidArgument)
            && match self.get.last {
                Some(LastGet::InvalidArgument) => self.post.invalid_argument || is_stored(),
                None | Some(LastGet::Failed | LastGet::NoToken) => is_stored(),
                Some(
                    LastGet::Running
                    | LastGet::NotFound
                    | LastGet::NotServed
                    | LastGet::Unimplemented,
                ) => false,
            }
    }

    fn host_may_differ(&self) -> bool {
        self.object.target().is_some_and(Target::host_may_differ)
    }
}
