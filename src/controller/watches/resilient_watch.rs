//! All objects of one kind: one watch that continues after every failure, and beside it a full list every ten minutes, because
//! events may be lost without a sign.
//!
//! A list never stops the watch. Events since the list began count more than the list: an object in a page may be gone by then.
//! Whether a listed object is newer than what the receiver has is decided by the receiver, see [`WatchEvent::Listed`].

use std::{
    borrow::Cow,
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
    watch_stream::{self, SILENCE, WatchLine},
};
use crate::{
    backoff::doubling,
    controller::{
        api_server::{
            api_answer::Refused,
            json_sieve::{self, LabelsAre},
            kube_error::{self, APPLY_CRDS},
            raw_object::RawObject,
            versions::{Newest, number},
        },
        rate_limited_warning::RateLimitedWarning,
    },
    telemetry::{health::Health, metrics::Metrics},
};

/// The default of [`Limits::relist_after`].
pub const RELIST_AFTER: Duration = Duration::from_secs(600);

/// A full list is overdue after this time: two of them were missed.
pub const LIST_OVERDUE: Duration = RELIST_AFTER.saturating_mul(2);

/// After so many failures of the watch in a row a full list begins at once.
const FAILURES_BEFORE_LIST: u32 = 4;

/// A watch that ends sooner than this is a short one. The API server ends a watch after a minute.
const SHORT: Duration = Duration::from_secs(1);

/// So many short watches in a row are normal: a lost connection, an API server that restarts.
const NORMAL_SHORT_WATCHES: u32 = 2;

/// The pauses after more short watches. Without them a proxy that closes each watch at once would get thousands of requests a
/// second.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The pause before a list because of an event that cannot be read: it must not be a way to have lists without end.
const PAUSE_AFTER_UNREADABLE: Duration = Duration::from_secs(1);

/// What happened to the objects.
#[derive(Debug)]
pub enum WatchEvent {
    /// A new or changed object from the watch. These come in the order of versions.
    Watched(Box<RawObject>),
    /// An object in a full list.
    Listed {
        /// The object.
        object: Box<RawObject>,
        /// The newest version that was known when the list began. If the receiver has the object at a newer version than this
        /// one in the list, but not newer than `known_before`, then the store was rolled back.
        known_before: Option<u64>,
    },
    /// An object that was deleted, or that the selector no longer matches.
    Gone(Box<RawObject>),
    /// The end of a full list: there are no other objects than those with these uids.
    AllListed(HashSet<String>),
}

/// Which objects are watched.
pub struct Selection {
    /// The URL path of their list.
    pub path: String,
    /// The field selector.
    pub fields: Option<&'static str>,
    /// Whether the labels are read. Then only the metadata is requested.
    pub labels: LabelsAre,
    /// The name of the resource in messages and metrics.
    pub resource: &'static str,
}

/// How long a watch trusts what it has.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The time from the end of a full list to the next, plus or minus 10 %.
    pub relist_after: Duration,
    /// A watch without any data for this long is dead.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            relist_after: RELIST_AFTER,
            silence: SILENCE,
        }
    }
}

/// What every watch needs.
#[derive(Clone)]
pub struct WatchClient {
    /// The Kubernetes client.
    pub kubernetes: Client,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Readiness.
    pub health: Arc<Health>,
}

/// The watch and the lists of one kind of objects.
pub struct ResilientWatch {
    client: WatchClient,
    selection: Selection,
    step: &'static str,
    newest: Newest,
    list: Option<List>,
    list_at: Instant,
    limits: Limits,
    has_listed: bool,
    /// After the list in progress another one has to follow.
    lists_again: bool,
    watch: Option<BoxStream<'static, Result<WatchLine, Refused>>>,
    watch_at: Instant,
    /// From where the watch continues; `None` before the first list, and after the API server has dropped the events since then.
    version: Option<String>,
    pace: RetryPace,
    warning: RateLimitedWarning,
    short_warning: RateLimitedWarning,
    short_watches: ShortWatches,
    pending: VecDeque<WatchEvent>,
}

/// A list in progress, and what the watch has shown since it began.
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

impl ResilientWatch {
    /// Sends no request yet. If the watch does not work, `step` of the readiness explains why. `newest` is shared by everything in
    /// this process that gets objects of this kind.
    pub fn new(
        client: WatchClient,
        selection: Selection,
        newest: Newest,
        limits: Limits,
        step: &'static str,
    ) -> Self {
        client
            .metrics
            .watch_began(selection.resource, &selection.path);
        let now = Instant::now();
        Self {
            client,
            short_watches: ShortWatches::default(),
            selection,
            step,
            newest,
            list: None,
            list_at: now,
            limits,
            has_listed: false,
            lists_again: false,
            watch: None,
            watch_at: now,
            version: None,
            pace: RetryPace::default(),
            warning: RateLimitedWarning::default(),
            short_warning: RateLimitedWarning::default(),
            pending: VecDeque::new(),
        }
    }

    /// Reads everything again, in a list that begins now. The end of an earlier list is not reported any more.
    pub fn list_again(&mut self) {
        self.list = None;
        self.list_at = Instant::now();
        self.pending
            .retain(|event| !matches!(event, WatchEvent::AllListed(_)));
    }

    /// Waits for the next event. Cancel safe.
    pub async fn next(&mut self) -> WatchEvent {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return event;
            }
            let now = Instant::now();
            if self.list.is_none() && self.list_at <= now {
                self.begin_list();
            }
            if self.watch.is_none()
                && self.watch_at <= now
                && let Some(version) = &self.version
            {
                let (client, path) = (self.client.kubernetes.clone(), self.selection.path.clone());
                let Selection { fields, labels, .. } = self.selection;
                let (fields, silence) = (fields.map(Cow::Borrowed), self.limits.silence);
                let watch =
                    watch_stream::watch(client, path, fields, labels, version.clone(), silence);
                self.watch = Some(watch);
            }
            match self.wait().await {
                Next::Watch(Some(Ok(line))) => self.handle_line(line),
                Next::Watch(Some(Err(refused))) => {
                    self.watch = None;
                    let pause = self.short_watch_pause();
                    self.handle_watch_failure(&refused, pause);
                }
                Next::Watch(None) => {
                    self.watch = None;
                    self.watch_at = Instant::now() + self.short_watch_pause();
                    self.watch_works();
                }
                Next::List(listing) => self.handle_listing(listing.unwrap_or(Listing::End)),
                Next::Time => {}
            }
        }
    }

    async fn wait(&mut self) -> Next {
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
            self.client.metrics.watch_restarted(self.selection.resource);
        }
        let (client, path) = (self.client.kubernetes.clone(), self.selection.path.clone());
        self.list = Some(List {
            stream: listing::list(client, path, self.selection.fields, self.selection.labels),
            known_before: self.newest.get(),
            uids: HashSet::new(),
            changed: HashMap::new(),
            gone: HashSet::new(),
        });
    }

    fn handle_line(&mut self, line: WatchLine) {
        if self.pace.failures() > 0 && self.list.is_none() {
            // The API server may have come back with an older etcd, which sends no events about objects that it does not have.
            self.list_at = Instant::now();
        }
        self.watch_works();
        if matches!(line, WatchLine::Begun) {
            self.short_watches.begin(Instant::now());
        }
        let version = match &line {
            WatchLine::Applied(object) | WatchLine::Deleted(object) => {
                object.metadata.resource_version.clone()
            }
            WatchLine::Bookmark(version) => version.clone(),
            WatchLine::Begun | WatchLine::Unreadable => None,
        };
        if let Some(version) = version {
            self.reached(version);
        }
        let (WatchLine::Applied(object) | WatchLine::Deleted(object)) = &line else {
            if matches!(line, WatchLine::Unreadable) {
                self.warn_unreadable();
                self.list_without_it();
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
            WatchLine::Applied(object) => self.pending.push_back(WatchEvent::Watched(object)),
            WatchLine::Deleted(object) => self.pending.push_back(WatchEvent::Gone(object)),
            WatchLine::Begun | WatchLine::Bookmark(_) | WatchLine::Unreadable => {}
        }
    }

    /// An event cannot be read. If it is about labels, those from before must not stay: a list does not have the object.
    fn list_without_it(&mut self) {
        if self.selection.labels == LabelsAre::Dropped {
            return;
        }
        match &self.list {
            Some(_) => self.lists_again = true,
            None => self.list_at = self.list_at.min(Instant::now() + PAUSE_AFTER_UNREADABLE),
        }
    }

    /// The watch has reached this version.
    fn reached(&mut self, version: String) {
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

    fn handle_listing(&mut self, listing: Listing) {
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
                let newer = list.changed.get(&uid).is_some_and(|seen| *seen >= version);
                if list.gone.contains(&uid) || newer {
                    return;
                }
                list.uids.insert(uid);
                let known_before = list.known_before;
                self.pending.push_back(WatchEvent::Listed {
                    object,
                    known_before,
                });
            }
            Listing::Unreadable => self.warn_unreadable(),
            Listing::Version(version) => self.handle_list_version(version),
            Listing::Failed(refused, failures) => self.warn_failure(&refused, failures),
            Listing::End => self.handle_list_end(),
        }
    }

    /// The first page shows that the list is of this version.
    fn handle_list_version(&mut self, version: String) {
        let known_before = self.list.as_ref().and_then(|list| list.known_before);
        let now = number(&version);
        let is_rolled_back = now
            .zip(known_before)
            .is_some_and(|(now, known)| now < known);
        if is_rolled_back {
            tracing::warn!(
                "the API server's {} are at version {version}, but were at version {} before: its data was rolled back, as \
                 after a restore of etcd; reading every object again",
                self.selection.resource,
                known_before.unwrap_or_default(),
            );
            self.newest.roll_back_to(now);
            self.watch = None;
            self.short_watches.forget();
        } else {
            self.newest.note(now);
        }
        // The list has everything from before its version.
        let continues = self.version.is_some() && self.pace.failures() < FAILURES_BEFORE_LIST;
        if is_rolled_back || !continues {
            self.version = Some(version);
            self.watch_at = Instant::now();
        }
    }

    fn handle_list_end(&mut self) {
        let Some(mut list) = self.list.take() else {
            return;
        };
        self.list_at = Instant::now()
            + self
                .limits
                .relist_after
                .mul_f64(0.9 + 0.2 * fastrand::f64());
        if std::mem::take(&mut self.lists_again) {
            self.list_at = Instant::now() + PAUSE_AFTER_UNREADABLE;
        }
        list.uids.extend(list.changed.into_keys());
        list.uids.retain(|uid| !list.gone.contains(uid));
        if self.pace.failures() == 0 {
            self.watch_works();
        }
        self.pending.push_back(WatchEvent::AllListed(list.uids));
    }

    fn handle_watch_failure(&mut self, refused: &Refused, short_pause: Duration) {
        let pause = self.pace.failed(refused.retry_after).max(short_pause);
        self.watch_at = Instant::now() + pause;
        self.warn_failure(refused, self.pace.failures());
        let is_forgotten = matches!(kube_error::code(&refused.error), Some(400 | 410));
        if is_forgotten {
            // No list in progress has the events that were lost.
            self.version = None;
            self.list = None;
            self.list_at = self.watch_at;
        } else if self.pace.failures().is_multiple_of(FAILURES_BEFORE_LIST) && self.list.is_none() {
            self.list_at = self.watch_at;
        }
    }

    /// Notes the end of a watch. Returns the pause before the next one, and logs it.
    fn short_watch_pause(&mut self) -> Duration {
        let (resource, path) = (self.selection.resource, &self.selection.path);
        match self.short_watches.end(Instant::now()) {
            WatchEnd::NotBegun => Duration::ZERO,
            WatchEnd::Lasted => {
                self.short_warning
                    .resolved(&format!("the watch of {path} works again"));
                Duration::ZERO
            }
            WatchEnd::Short(pause) => {
                self.client.metrics.watch_was_short(resource);
                if !pause.is_zero() {
                    self.short_warning.warn(&format!(
                        "the watch of {path} ends as soon as it begins: the API server, or a proxy in front of it, closes it"
                    ));
                }
                pause
            }
        }
    }

    fn watch_works(&mut self) {
        self.pace.succeeded();
        self.warning
            .resolved(&format!("watching {} again", self.selection.resource));
    }

    /// Warns about a failure, unless it is normal: the API server may end a watch at any time.
    fn warn_failure(&mut self, refused: &Refused, failures: u32) {
        let code = kube_error::code(&refused.error);
        let is_refusal = matches!(code, Some(400 | 401 | 403 | 404));
        if failures > 1 || is_refusal {
            let message = message(self.selection.resource, &refused.error);
            self.client.health.explain(self.step, message.as_str());
            self.warning.warn(&message);
        }
    }

    fn warn_unreadable(&mut self) {
        self.warning.warn(&format!(
            "one of the {} cannot be read, and the controller ignores it: without its metadata it is larger than {} KiB, or it is not a JSON object",
            self.selection.resource,
            json_sieve::most(self.selection.labels) / 1024
        ));
    }
}

impl Drop for ResilientWatch {
    fn drop(&mut self) {
        self.client.metrics.watch_ended(&self.selection.path);
    }
}

/// Counts watches that end as soon as they begin. Pure.
#[derive(Debug, Default)]
struct ShortWatches {
    /// When the current watch began.
    begun: Option<Instant>,
    in_a_row: u32,
}

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WatchEnd {
    /// The API server never accepted the request.
    NotBegun,
    /// It lasted for at least [`SHORT`].
    Lasted,
    /// It was a short one; the pause before the next.
    Short(Duration),
}

impl ShortWatches {
    const fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
    }

    /// The watch was dropped, so its end says nothing.
    const fn forget(&mut self) {
        self.begun = None;
    }

    fn end(&mut self, now: Instant) -> WatchEnd {
        let Some(begun) = self.begun.take() else {
            return WatchEnd::NotBegun;
        };
        if now.saturating_duration_since(begun) >= SHORT {
            self.in_a_row = 0;
            return WatchEnd::Lasted;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        WatchEnd::Short(match self.in_a_row.checked_sub(NORMAL_SHORT_WATCHES) {
            None | Some(0) => Duration::ZERO,
            Some(beyond) => doubling(FIRST_PAUSE, LONGEST_PAUSE, beyond),
        })
    }
}

/// What failed, and what to do about it.
fn message(resource: &str, error: &Error) -> String {
    let advice = match kube_error::code(error) {
        Some(403) => "its ServiceAccount needs list and watch".to_owned(),
        Some(404) => format!("the CRDs are missing: {APPLY_CRDS}"),
        Some(400) => format!("the CRDs may be outdated: {APPLY_CRDS}"),
        Some(401) => "the API server does not accept the controller's credentials".to_owned(),
        _ => "will try again".to_owned(),
    };
    let what = kube_error::describe(error);
    format!("cannot watch {resource}: {what}; {advice}")
}

#[cfg(test)]
#[path = "resilient_watch_tests.rs"]
mod tests;
