//! The points of a life at which something can go wrong: each request that the controller sends, and each event of a watch.

use std::{fmt, str::FromStr};

use http::{Method, Uri};
use strum::IntoEnumIterator;

/// What a request is for, or what an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::EnumIter)]
pub enum Kind {
    /// GET of the identity, from the metadata server.
    Email,
    /// GET of a token, from the metadata server.
    Token,
    /// GET of the served schema.
    Schema,
    /// POST of a SelfSubjectAccessReview.
    Review,
    /// List of the grants.
    GrantList,
    /// Start of the watch of grants.
    GrantWatch,
    /// Event of that watch, about the grant of the case.
    GrantEvent,
    /// List of the unfinished objects.
    ObjectList,
    /// Start of the watch of objects.
    ObjectWatch,
    /// Event of that watch, about the object of the case.
    ObjectEvent,
    /// PATCH of the object's status.
    StatusWrite,
    /// GET of the object, after a write whose result is not known.
    ObjectRead,
    /// POST of a Kubernetes Event.
    EventCreate,
    /// GET of the operation, from Google.
    Get,
    /// POST of the cancel request, to Google.
    Cancel,
    /// HEAD that keeps a connection to Google ready.
    WarmUp,
}

use Kind::{
    Cancel, Email, EventCreate, Get, GrantEvent, GrantList, GrantWatch, ObjectEvent, ObjectList,
    ObjectRead, ObjectWatch, Review, Schema, StatusWrite, Token, WarmUp,
};

impl Kind {
    /// Its name in the name of a point.
    pub const fn name(self) -> &'static str {
        match self {
            Email => "email",
            Token => "token",
            Schema => "schema",
            Review => "review",
            GrantList => "grant-list",
            GrantWatch => "grant-watch",
            GrantEvent => "grant-event",
            ObjectList => "object-list",
            ObjectWatch => "object-watch",
            ObjectEvent => "object-event",
            StatusWrite => "status-write",
            ObjectRead => "object-read",
            EventCreate => "event-create",
            Get => "get",
            Cancel => "cancel",
            WarmUp => "warm-up",
        }
    }

    /// Whether it is an event of a watch, and no request.
    pub const fn is_event(self) -> bool {
        matches!(self, GrantEvent | ObjectEvent)
    }

    /// The kind of the events of a watch.
    pub const fn events(self) -> Option<Self> {
        match self {
            GrantWatch => Some(GrantEvent),
            ObjectWatch => Some(ObjectEvent),
            _ => None,
        }
    }
}

/// A point: the `number`-th of its kind in the life of one object, counted from 1. GETs are counted from each cancel request anew,
/// because how many polls fit before it depends on the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// Its kind.
    pub kind: Kind,
    /// How many cancel requests were sent before; 0 for everything but GETs.
    pub cancels: usize,
    /// Its number.
    pub number: usize,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if self.cancels > 0 {
            write!(f, "-after-cancel-{}", self.cancels)?;
        }
        write!(f, "#{}", self.number)
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (name, number) = text.split_once('#')?;
            let (name, cancels) = match name.split_once("-after-cancel-") {
                Some((name, cancels)) => (name, cancels.parse().ok()?),
                None => (name, 0),
            };
            Some(Self {
                kind: Kind::iter().find(|kind| kind.name() == name)?,
                cancels,
                number: number.parse().ok()?,
            })
        };
        read().ok_or_else(|| format!("{text} is no point, such as status-write#1"))
    }
}

/// The server that a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The API server.
    Kubernetes,
    /// The Operations API.
    Google,
    /// The metadata server.
    Metadata,
}

/// Whether it asks for a list's second or a later page, which is no point: how many pages a list has depends on the grants of other
/// tests.
pub fn is_next_page(uri: &Uri) -> bool {
    let mut parameters = uri.query().unwrap_or_default().split('&');
    parameters.any(|pair| pair.starts_with("continue="))
}

/// Whether a request asks for a watch.
pub fn is_watch(uri: &Uri) -> bool {
    let mut pairs = uri.query().unwrap_or_default().split('&');
    pairs.any(|pair| pair == "watch=true")
}

/// What a request is, and the name of the object or operation that it is about, if it is about one.
pub fn classify(server: Server, method: &Method, uri: &Uri) -> Option<(Kind, Option<String>)> {
    let path = uri.path();
    let is_watch = is_watch(uri);
    let last = |path: &str| path.rsplit('/').next().map(str::to_owned);
    match server {
        Server::Metadata if path.ends_with("/email") => Some((Email, None)),
        Server::Metadata if path.ends_with("/token") => Some((Token, None)),
        Server::Metadata => None,
        Server::Google => match path.strip_suffix(":cancel") {
            Some(path) if method == Method::POST => Some((Cancel, last(path))),
            None if method == Method::GET => Some((Get, last(path))),
            None if method == Method::HEAD => Some((WarmUp, None)),
            _ => None,
        },
        Server::Kubernetes => {
            if path.starts_with("/openapi/") {
                return Some((Schema, None));
            }
            if path.ends_with("/selfsubjectaccessreviews") {
                return Some((Review, None));
            }
            if path.ends_with("/events") && method == Method::POST {
                return Some((EventCreate, None));
            }
            if path.ends_with("/cancellationgrants") {
                return Some((if is_watch { GrantWatch } else { GrantList }, None));
            }
            if path.ends_with("/operationcancellations") {
                return Some((if is_watch { ObjectWatch } else { ObjectList }, None));
            }
            match path.strip_suffix("/status") {
                Some(path) if method == Method::PATCH => Some((StatusWrite, last(path))),
                None if method == Method::GET && path.contains("/operationcancellations/") => {
                    Some((ObjectRead, last(path)))
                }
                _ => None,
            }
        }
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    for kind in Kind::iter() {
        for (cancels, number) in [(0, 1), (2, 3)] {
            let point = Point {
                kind,
                cancels,
                number,
            };
            assert_eq!(point.to_string().parse(), Ok(point));
        }
    }
}
