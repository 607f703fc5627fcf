//! All objects of one kind, as the API server has them: one watch that goes on whatever happens, and beside it a full list every
//! 10 minutes, because events may be missed silently.
//!
//! The list never stops the watch. What the watch told since the list began counts more than what the list says: an object may be
//! in a page although it is gone by then. Whether the rest is newer than what others know is theirs to tell, see [`Told`].

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream::BoxStream};
use kube::{Client, Error};
use tokio::time::{Instant, sleep_until};

use super::{
    listing::{self, Listing},
    retry_pace::RetryPace,
    watch_stream::{self, WatchLine},
    watches::Watches,
};
use crate::{
    controller::{
        api_server::{
            api_answer::Refused,
            kube_error::{self, APPLY_CRDS},
            raw_object::RawObject,
            versions::{Newest, number},
        },
        complaint::Complaint,
    },
    telemetry::{health::Health, metrics::Metrics},
};

/// A full list is begun so long after the end of the one before, give or take a tenth.
pub const RELIST_AFTER: Duration = Duration::from_secs(600);

/// Failures of the watch in a row after which a list is begun at once.
const FAILURES_IN_A_ROW: u32 = 4;

/// What is told of the objects.
#[derive(Debug)]
pub enum Told {
    /// An object, new or changed, as a watch tells it: in the order of versions.
    Watched(Box<RawObject>),
    /// An object as a full list has it. Of each version up to `known_before` the API server had told when the list began: if this
    /// one is older than one of those, what is stored has gone back.
    Listed {
        /// It.
        object: Box<RawObject>,
        /// See there.
        known_before: Option<u64>,
    },
    /// It is gone, or is not selected any more.
    Gone(Box<RawObject>),
    /// A full list has ended: there are no other objects than those with these uids.
    AllListed(HashSet<String>),
}

/// Which objects.
pub struct Selection {
    /// The URL path of their list.
    pub path: String,
    /// A field selector.
    pub fields: Option<&'static str>,
    /// Their name in messages and metrics.
    pub resource: &'static str,
}

/// See the module.
pub struct Watching {
    client: Client,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    selection: Selection,
    step: &'static str,
    newest: Newest,
    list: Option<List>,
    list_at: Instant,
    relist_after: Duration,
    has_listed: bool,
    watch: Option<BoxStream<'static, Result<WatchLine, Refused>>>,
    watch_at: Instant,
    /// Where the watch is; none before the first list, and after what followed was forgotten.
    version: Option<String>,
    pace: RetryPace,
    complaint: Complaint,
    to_tell: VecDeque<Told>,
}

/// A list that is under way, and what the watch told meanwhile.
struct List {
    stream: BoxStream<'static, Listing>,
    known_before: Option<u64>,
    uids: HashSet<String>,
    changed: HashMap<String, Option<u64>>,
    gone: HashSet<String>,
}

enum Next {
    Watch(Option<Result<WatchLine, Refused>>),
    List(Option<Listing>),
    Time,
}

impl Watching {
    /// Begins nothing yet. Until `step` of the readiness is done, it says what keeps the watch from working. `newest` is what
    /// everybody knows who gets objects of this kind from the API server.
    pub fn new(
        watches: &Watches,
        selection: Selection,
        newest: Newest,
        relist_after: Duration,
        step: &'static str,
    ) -> Self {
        watches
            .metrics
            .watch_began(selection.resource, &selection.path);
        let now = Instant::now();
        Self {
            client: watches.client.clone(),
            metrics: watches.metrics.clone(),
            health: watches.health.clone(),
            selection,
            step,
            newest,
            list: None,
            list_at: now,
            relist_after,
            has_listed: false,
            watch: None,
            watch_at: now,
            version: None,
            pace: RetryPace::default(),
            complaint: Complaint::default(),
            to_tell: VecDeque::new(),
        }
    }

    /// What is told next, however long it takes. Dropped before it is done, it loses nothing.
    pub async fn next(&mut self) -> Told {
        loop {
            if let Some(told) = self.to_tell.pop_front() {
                return told;
            }
            let now = Instant::now();
            if self.list.is_none() && self.list_at <= now {
                self.begin_list();
            }
            if self.watch.is_none()
                && self.watch_at <= now
                && let Some(version) = &self.version
            {
                let (client, path) = (self.client.clone(), self.selection.path.clone());
                let fields = self.selection.fields;
                self.watch = Some(watch_stream::watch(client, path, fields, version.clone()));
            }
            match self.event().await {
                Next::Watch(Some(Ok(line))) => self.watched(line),
                Next::Watch(Some(Err(refused))) => {
                    self.watch = None;
                    self.watch_failed(&refused);
                }
                Next::Watch(None) => {
                    self.watch = None;
                    self.succeeded();
                }
                Next::List(listing) => self.listed(listing.unwrap_or(Listing::End)),
                Next::Time => {}
            }
        }
    }

    async fn event(&mut self) -> Next {
        let list_at = self.list.is_none().then_some(self.list_at);
        let waits_to_watch = self.watch.is_none() && self.version.is_some();
        let watch_at = waits_to_watch.then_some(self.watch_at);
        let at = [list_at, watch_at].into_iter().flatten().min();
        let (watch, list) = (&mut self.watch, &mut self.list);
        tokio::select! {
            line = async { watch.as_mut()?.next().await }, if watch.is_some() => Next::Watch(line),
            listing = async { list.as_mut()?.stream.next().await }, if list.is_some() => Next::List(listing),
            () = sleep_until(at.unwrap_or_else(Instant::now)), if at.is_some() => Next::Time,
            else => Next::Time,
        }
    }

    fn begin_list(&mut self) {
        if std::mem::replace(&mut self.has_listed, true) {
            self.metrics.watch_restarted(self.selection.resource);
        }
        let (client, path) = (self.client.clone(), self.selection.path.clone());
        self.list = Some(List {
            stream: listing::list(client, path, self.selection.fields),
            known_before: self.newest.get(),
            uids: HashSet::new(),
            changed: HashMap::new(),
            gone: HashSet::new(),
        });
    }

    fn watched(&mut self, line: WatchLine) {
        if self.pace.failures() > 0 && self.list.is_none() {
            // Whatever was away may have come back as something else: an older etcd tells nothing of what it does not know.
            self.list_at = Instant::now();
        }
        self.succeeded();
        let version = match &line {
            WatchLine::Applied(object) | WatchLine::Deleted(object) => {
                object.metadata.resource_version.clone()
            }
            WatchLine::Bookmark(version) => version.clone(),
            WatchLine::Begun | WatchLine::Unreadable => None,
        };
        if let Some(version) = version {
            self.moved_to(version);
        }
        let (WatchLine::Applied(object) | WatchLine::Deleted(object)) = &line else {
            if matches!(line, WatchLine::Unreadable) {
                self.say_unreadable();
            }
            return;
        };
        if let (Some(list), Some(uid)) = (&mut self.list, object.metadata.uid.clone()) {
            if matches!(line, WatchLine::Applied(_)) {
                list.gone.remove(&uid);
                let version = object.metadata.resource_version.as_deref();
                list.changed.insert(uid, version.and_then(number));
            } else {
                list.changed.remove(&uid);
                list.gone.insert(uid);
            }
        }
        match line {
            WatchLine::Applied(object) => self.to_tell.push_back(Told::Watched(object)),
            WatchLine::Deleted(object) => self.to_tell.push_back(Told::Gone(object)),
            WatchLine::Begun | WatchLine::Bookmark(_) | WatchLine::Unreadable => {}
        }
    }

    /// The watch is at this version.
    fn moved_to(&mut self, version: String) {
        let before = self.version.as_deref().and_then(number);
        let now = number(&version);
        if let (Some(before), Some(now)) = (before, now)
            && now < before
            && self.list.is_none()
        {
            self.list_at = Instant::now();
        }
        self.newest.note(now);
        self.version = Some(version);
    }

    fn listed(&mut self, listing: Listing) {
        let Some(list) = &mut self.list else {
            return;
        };
        match listing {
            Listing::Object(object) => {
                let metadata = &object.metadata;
                let Some(uid) = metadata.uid.clone() else {
                    return;
                };
                let version = metadata.resource_version.as_deref().and_then(number);
                let newer = list.changed.get(&uid).is_some_and(|told| *told >= version);
                if list.gone.contains(&uid) || newer {
                    return;
                }
                list.uids.insert(uid);
                let known_before = list.known_before;
                self.to_tell.push_back(Told::Listed {
                    object,
                    known_before,
                });
            }
            Listing::Unreadable => self.say_unreadable(),
            Listing::Version(version) => self.list_is_of(version),
            Listing::Failed(refused, failures) => self.failed(&refused, failures),
            Listing::End => self.list_ended(),
        }
    }

    /// The list shows what there was at this version, at least.
    fn list_is_of(&mut self, version: String) {
        let known_before = self.list.as_ref().and_then(|list| list.known_before);
        let now = number(&version);
        let has_gone_back = now
            .zip(known_before)
            .is_some_and(|(now, known)| now < known);
        if has_gone_back {
            tracing::warn!(
                "the API server's {} are at version {version}, but were at version {} before: what it stores has gone back, as \
                 after a restore of etcd; every object is read anew",
                self.selection.resource,
                known_before.unwrap_or_default(),
            );
            self.newest.went_back_to(now);
            self.watch = None;
        } else {
            self.newest.note(now);
        }
        // The list has all that was before.
        let continues = self.version.is_some() && self.pace.failures() < FAILURES_IN_A_ROW;
        if has_gone_back || !continues {
            self.version = Some(version);
            self.watch_at = Instant::now();
        }
    }

    fn list_ended(&mut self) {
        let Some(mut list) = self.list.take() else {
            return;
        };
        self.list_at = Instant::now() + self.relist_after.mul_f64(0.9 + 0.2 * fastrand::f64());
        list.uids.extend(list.changed.into_keys());
        list.uids.retain(|uid| !list.gone.contains(uid));
        if self.pace.failures() == 0 {
            self.succeeded();
        }
        self.to_tell.push_back(Told::AllListed(list.uids));
    }

    fn watch_failed(&mut self, refused: &Refused) {
        let pause = self.pace.failed(refused.retry_after);
        self.watch_at = Instant::now() + pause;
        self.failed(refused, self.pace.failures());
        let is_forgotten = matches!(kube_error::code(&refused.error), Some(400 | 410));
        if is_forgotten {
            // What happened meanwhile is in no list that has begun.
            self.version = None;
            self.list = None;
            self.list_at = self.watch_at;
        } else if self.pace.failures().is_multiple_of(FAILURES_IN_A_ROW) && self.list.is_none() {
            self.list_at = self.watch_at;
        }
    }

    fn succeeded(&mut self) {
        self.pace.succeeded();
        self.complaint
            .cured(&format!("watching {} again", self.selection.resource));
    }

    /// Says what is wrong, unless it is everyday life: the API server ends watches as it likes.
    fn failed(&mut self, refused: &Refused, failures: u32) {
        let code = kube_error::code(&refused.error);
        let is_refusal = matches!(code, Some(400 | 401 | 403 | 404));
        if failures > 1 || is_refusal {
            let message = message(self.selection.resource, &refused.error);
            self.health.explain(self.step, message.as_str());
            self.complaint.say(&message);
        }
    }

    fn say_unreadable(&mut self) {
        self.complaint.say(&format!(
            "one of the {} cannot be read, and the controller ignores it: without its metadata it is larger than 256 KiB, or it is not a JSON object",
            self.selection.resource
        ));
    }
}

/// What is wrong and what to do.
fn message(resource: &str, error: &Error) -> String {
    let advice = match kube_error::code(error) {
        Some(403) => "its ServiceAccount needs list and watch".to_owned(),
        Some(404) => format!("the CRDs are missing: {APPLY_CRDS}"),
        Some(400) => format!("the CRDs may be outdated: {APPLY_CRDS}"),
        Some(401) => "the controller's credentials are not accepted".to_owned(),
        _ => "tried again".to_owned(),
    };
    let what = kube_error::describe(error);
    format!("cannot watch {resource}: {what}; {advice}")
}

#[cfg(test)]
#[path = "watching_tests.rs"]
mod tests;
