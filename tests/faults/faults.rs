//! The faults, and which points they fit.

use std::{fmt, str::FromStr};

use strum::IntoEnumIterator;

use super::points::Kind::{
    self, Cancel, Email, EventCreate, Get, GrantEvent, GrantList, GrantWatch, ObjectEvent,
    ObjectList, ObjectRead, ObjectWatch, Review, Schema, StatusWrite, Token, WarmUp,
};

/// What goes wrong at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::EnumIter)]
pub enum Fault {
    /// The process gets SIGKILL before the request reaches the server, or the event the process. A new process starts, or
    /// the standby takes over.
    KilledBefore,
    /// The process gets SIGKILL when the server has answered, before the answer arrives. A new process starts, or the
    /// standby takes over.
    KilledAfter,
    /// The request takes effect, and the connection ends without an answer.
    AnswerDropped,
    /// 409. For a status write another writer really was first; otherwise the answer of a proxy.
    Conflict,
    /// 410, as HTTP status of a list or watch, or as the ERROR event of a watch.
    Gone,
    /// 429 with Retry-After: 1. The request has no effect.
    TooManyRequests,
    /// 500. The request has no effect.
    InternalError,
    /// 503. The request has no effect.
    Unavailable,
    /// 504. The request takes effect.
    GatewayTimeout,
    /// 200 with a page of HTML, or an event that is not JSON. The request has no effect.
    Garbage,
    /// No answer, and no effect. The connection lives: PINGs are answered. A watch sends nothing more.
    Hang,
    /// The request takes effect. From then on the connection carries nothing in either direction, and nobody closes it.
    HalfOpen,
    /// The answer or the event comes 3 s late.
    Slow,
    /// The connection of the watch ends instead of this event.
    WatchDropped,
    /// The event comes twice.
    EventTwice,
    /// The event comes after the next one about the same object.
    EventsSwapped,
}

use Fault::{
    AnswerDropped, Conflict, EventTwice, EventsSwapped, Garbage, GatewayTimeout, Gone, HalfOpen,
    Hang, InternalError, KilledAfter, KilledBefore, Slow, TooManyRequests, Unavailable,
    WatchDropped,
};

const REQUESTS: &[Kind] = &[
    Email,
    Token,
    WarmUp,
    Schema,
    Review,
    GrantList,
    GrantWatch,
    ObjectList,
    ObjectWatch,
    StatusWrite,
    ObjectRead,
    EventCreate,
    Get,
    Cancel,
];
const EVENTS: &[Kind] = &[GrantEvent, ObjectEvent];
const LISTS_AND_WATCHES: &[Kind] = &[GrantList, GrantWatch, ObjectList, ObjectWatch];

/// Which faults fit which points. A pair that is not here cannot happen.
const FITS: [(Fault, &[&[Kind]]); 16] = [
    (KilledBefore, &[REQUESTS, EVENTS]),
    (KilledAfter, &[REQUESTS]),
    (AnswerDropped, &[REQUESTS]),
    (Conflict, &[&[StatusWrite, EventCreate, Get, Cancel]]),
    (Gone, &[LISTS_AND_WATCHES, EVENTS]),
    (TooManyRequests, &[REQUESTS]),
    (InternalError, &[REQUESTS]),
    (Unavailable, &[REQUESTS]),
    (GatewayTimeout, &[REQUESTS]),
    (Garbage, &[REQUESTS, EVENTS]),
    (Hang, &[REQUESTS, EVENTS]),
    (HalfOpen, &[REQUESTS, EVENTS]),
    (Slow, &[REQUESTS, EVENTS]),
    (WatchDropped, &[EVENTS]),
    (EventTwice, &[EVENTS]),
    (EventsSwapped, &[EVENTS]),
];

impl Fault {
    /// Whether it can happen at a point of this kind.
    pub fn fits(self, kind: Kind) -> bool {
        let mut rows = FITS.into_iter().filter(|(fault, _)| *fault == self);
        rows.any(|(_, kinds)| kinds.iter().any(|kinds| kinds.contains(&kind)))
    }

    /// Whether the process is killed.
    pub const fn is_crash(self) -> bool {
        matches!(self, KilledBefore | KilledAfter)
    }

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            KilledBefore => "killed-before",
            KilledAfter => "killed-after",
            AnswerDropped => "answer-dropped",
            Conflict => "409",
            Gone => "410",
            TooManyRequests => "429",
            InternalError => "500",
            Unavailable => "503",
            GatewayTimeout => "504",
            Garbage => "garbage",
            Hang => "hang",
            HalfOpen => "half-open",
            Slow => "slow",
            WatchDropped => "watch-dropped",
            EventTwice => "event-twice",
            EventsSwapped => "events-swapped",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::iter()
            .find(|fault| fault.name() == text)
            .ok_or_else(|| format!("{text} is no fault, such as killed-before"))
    }
}

/// An end that differs from that without faults, and is right all the same.
pub struct Permitted {
    /// The lives; all if there are none.
    pub lives: &'static [&'static str],
    /// The kinds of the point.
    pub kinds: &'static [Kind],
    /// The faults.
    pub faults: &'static [Fault],
    /// `status/reason` of `CancelRequested`. `lastError` may then be about the cancel request.
    pub cancel_requested: &'static str,
}

/// The only differences that the matrix permits.
pub const PERMITTED: [Permitted; 4] = [
    // Whether the API accepted a request is known from its answer only, and this one got lost.
    Permitted {
        lives: &[],
        kinds: &[Cancel],
        faults: &[KilledAfter, AnswerDropped, GatewayTimeout, HalfOpen],
        cancel_requested: "Unknown/Sending",
    },
    // The answer came, but the process ended before that was stored.
    Permitted {
        lives: &[],
        kinds: &[Get, StatusWrite, ObjectEvent],
        faults: &[KilledBefore, KilledAfter],
        cancel_requested: "Unknown/Sending",
    },
    // The cancel request does not wait for a GET that fails, and the API refuses it because the operation is done.
    Permitted {
        lives: &["done-before"],
        kinds: &[Get],
        faults: &[
            AnswerDropped,
            Conflict,
            TooManyRequests,
            InternalError,
            Unavailable,
            GatewayTimeout,
            Garbage,
            Hang,
            HalfOpen,
        ],
        cancel_requested: "False/Refused",
    },
    // A token server is waited for longer than this deadline is away, and nothing is sent without a token.
    Permitted {
        lives: &["deadline"],
        kinds: &[Email, Token],
        faults: &[Hang, HalfOpen],
        cancel_requested: "False/NotSent",
    },
];

impl Permitted {
    /// Whether it is about this point and fault of a life.
    pub fn covers(&self, life: &str, kind: Kind, fault: Fault) -> bool {
        (self.lives.is_empty() || self.lives.contains(&life))
            && self.kinds.contains(&kind)
            && self.faults.contains(&fault)
    }
}

#[test]
fn every_fault_fits_a_point_and_every_point_has_a_crash() {
    for fault in Fault::iter() {
        assert!(Kind::iter().any(|kind| fault.fits(kind)), "{fault}");
        assert_eq!(fault.name().parse(), Ok(fault));
        assert_eq!(Fault::iter().filter(|other| *other == fault).count(), 1);
    }
    for kind in Kind::iter() {
        assert!(KilledBefore.fits(kind), "{kind:?}");
        assert_eq!(EventTwice.fits(kind), kind.is_event(), "{kind:?}");
    }
}
