//! What is under way between a process and the two servers.

use std::time::Duration;

use super::shared::Shared;
use crate::{
    google::answer::{CallError, CancelAnswer, ErrorKind, GetAnswer, Operation, OperationError},
    lifecycle::{ObjectView, StatusWrite, WriteAnswer, WriteKind},
};

/// A request or an answer.
#[derive(Clone, Debug, Hash)]
pub enum Flight {
    Get(Get),
    GetAnswer(Get, GetKind),
    Post {
        by: Duration,
    },
    PostAnswer(PostKind),
    Write {
        by: Duration,
        write: Shared<StatusWrite>,
    },
    WriteAnswer(WriteKind, Stored),
    /// The turn of a queued write.
    Turn,
    Reread {
        by: Duration,
    },
    RereadAnswer(ReadKind),
}

#[derive(Clone, Debug, Hash)]
pub struct Get {
    pub by: Duration,
    pub begun: Duration,
    /// It began after the process last had a reason to look again.
    pub is_fresh: bool,
}

/// The answer to GET.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum GetKind {
    Running,
    Cancelled,
    Completed,
    Failed,
    NoResult,
    Error(ErrorKind),
    /// It was not sent.
    Withheld,
}

impl GetKind {
    pub const fn is_done(self) -> bool {
        matches!(
            self,
            Self::Cancelled | Self::Completed | Self::Failed | Self::NoResult
        )
    }

    pub fn answer(self) -> GetAnswer {
        let done = |code: Option<i32>, has_response| {
            Ok(Operation {
                done: true,
                has_response,
                error: code.map(|code| OperationError {
                    code,
                    status: "STATUS".to_owned(),
                    message: "as modelled".to_owned(),
                }),
                ..Operation::default()
            })
        };
        match self {
            Self::Running => Ok(Operation::default()),
            Self::Cancelled => done(Some(1), false),
            Self::Completed => done(None, true),
            Self::Failed => done(Some(13), false),
            Self::NoResult => done(None, false),
            Self::Error(kind) => Err(error(kind)),
            Self::Withheld => Err(error(ErrorKind::Unavailable)),
        }
    }
}

/// The answer to cancel.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum PostKind {
    Accepted,
    Error(ErrorKind),
    /// The request did not leave.
    NotSent,
    /// It was not sent, because a grant was missing.
    Withheld,
}

impl PostKind {
    pub fn answer(self) -> CancelAnswer {
        match self {
            Self::Accepted => Ok(()),
            Self::Error(kind) => Err(error(kind)),
            Self::NotSent | Self::Withheld => Err(CallError {
                not_sent: true,
                ..error(ErrorKind::Network)
            }),
        }
    }
}

fn error(kind: ErrorKind) -> CallError {
    CallError {
        kind,
        http_status: None,
        reason: None,
        domain: None,
        metadata: Default::default(),
        message: String::new(),
        not_sent: false,
        retry_after: None,
    }
}

/// The answer to a write.
#[derive(Clone, Debug, Hash)]
pub enum Stored {
    Written(Shared<ObjectView>),
    Conflict(Shared<ObjectView>),
    Unconfirmed,
    Failed,
    Busy,
    Gone,
}

impl Stored {
    pub fn answer(&self) -> WriteAnswer {
        match self {
            Self::Written(view) => WriteAnswer::Written(Box::new((**view).clone())),
            Self::Conflict(view) => WriteAnswer::Conflict(Box::new((**view).clone())),
            Self::Unconfirmed => WriteAnswer::Unconfirmed,
            Self::Failed => WriteAnswer::Failed,
            Self::Busy => WriteAnswer::Busy,
            Self::Gone => WriteAnswer::Gone,
        }
    }
}

/// The answer to a read of the object.
#[derive(Clone, Debug, Hash)]
pub enum ReadKind {
    Read(Shared<ObjectView>),
    Refused,
    Failed,
    Gone,
}
