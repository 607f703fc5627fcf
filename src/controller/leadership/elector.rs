//! The task that takes part in the election: it carries out what `Election` decides.

use std::{pin::pin, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use kube::Client;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    LeaderElection, Leadership, Role,
    election::{Decision, Election, Failure, Known, Lost, Preparation, Release, Stored},
    lease_client::{self, LeaseClient},
    lease_clock::LeaseClock,
    term::Term,
};
use crate::{
    controller::{
        api_server::{api_answer::Refused, kube_error},
        clock::Clock,
        rate_limited_warning::RateLimitedWarning,
        watches::watch_stream::WatchLine,
    },
    google::clean::clean,
};

/// How long the release of the Lease may take, with all its tries.
const RELEASE_LIMIT: Duration = Duration::from_secs(3);

/// A watch that ends sooner than this is not opened again at once.
const SHORT_WATCH: Duration = Duration::from_secs(1);

/// See the module.
pub struct Elector {
    client: LeaseClient,
    election: Election,
    settings: LeaderElection,
    lease_clock: LeaseClock,
    clock: Clock,
    term: Term,
    role: watch::Sender<Role>,
    release: CancellationToken,
    watch: Option<LeaseWatch>,
    /// No new watch before this time.
    watch_at: Instant,
    /// From where the next watch continues.
    watch_from: Option<String>,
    warning: RateLimitedWarning,
    /// The last failure, for the message at the end.
    last_failure: Option<String>,
    /// The holder that was last logged.
    logged_holder: Option<String>,
}

struct LeaseWatch {
    lines: BoxStream<'static, Result<WatchLine, Refused>>,
    begun: Instant,
}

impl Elector {
    /// Sends no request yet. `identity` is unique to this process.
    pub fn new(
        client: Client,
        settings: LeaderElection,
        identity: String,
        clock: Clock,
    ) -> (Self, Leadership) {
        let lease_clock = LeaseClock::start();
        let term = Term::not_begun(lease_clock);
        let (role, follow) = watch::channel(Role::Standby);
        let release = CancellationToken::new();
        let leadership = Leadership {
            term: term.clone(),
            role: follow,
            release: release.clone(),
            is_elected: true,
        };
        let elector = Self {
            client: LeaseClient::new(client, &settings.namespace, &settings.lease),
            election: Election::new(identity, settings.timing),
            settings,
            lease_clock,
            clock,
            term,
            role,
            release,
            watch: None,
            watch_at: Instant::now(),
            watch_from: None,
            warning: RateLimitedWarning::default(),
            last_failure: None,
            logged_holder: None,
        };
        (elector, leadership)
    }

    /// Runs until the Lease is to be released, and releases it. This process knows the objects when `cached` has ended, and is ready
    /// when `complete` has ended too.
    ///
    /// # Errors
    /// If this process has lost the Lease: the process has to end then.
    pub async fn run(
        mut self,
        cached: impl Future<Output = ()>,
        complete: impl Future<Output = ()>,
    ) -> Result<(), String> {
        let (mut cached, mut complete) = (pin!(cached), pin!(complete));
        loop {
            if self.release.is_cancelled() {
                self.release_lease().await;
                return Ok(());
            }
            match self.election.decide(self.lease_clock.now(), self.wall()) {
                Decision::Stop(lost) => {
                    self.term.end();
                    return Err(self.why_lost(&lost));
                }
                Decision::Read => self.read().await,
                Decision::Create(spec) => {
                    let (sent, limit) = self.begin();
                    let answer = self.client.create(&spec, limit).await;
                    self.handle_write(answer, sent);
                }
                Decision::Update(version, spec) => {
                    let (sent, limit) = self.begin();
                    let answer = self.client.update(&version, &spec, limit).await;
                    self.handle_write(answer, sent);
                }
                Decision::Wait(until) => {
                    self.log_holder();
                    let preparation = self.election.preparation();
                    let release = self.release.clone();
                    let pause = until.map(|until| until.saturating_sub(self.lease_clock.now()));
                    tokio::select! {
                        biased;
                        () = release.cancelled() => {}
                        () = &mut cached, if preparation == Preparation::Begun => {
                            self.election.prepared(Preparation::Cached);
                        }
                        () = &mut complete, if preparation == Preparation::Cached => {
                            self.election.prepared(Preparation::Complete);
                        }
                        () = self.follow_watch() => {}
                        () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
                    }
                }
            }
        }
    }

    fn wall(&self) -> jiff::Timestamp {
        self.clock.now().wall
    }

    /// The time at which a request is sent, and its time limit.
    fn begin(&self) -> (Duration, Duration) {
        let now = self.lease_clock.now();
        (now, self.election.limit(now))
    }

    async fn read(&mut self) {
        let (sent, limit) = self.begin();
        match self.client.read(limit).await {
            Ok(known) => {
                self.resolved();
                self.watch_from = match &known {
                    Known::Lease(stored) => Some(stored.version.clone()),
                    Known::Nothing | Known::Missing => None,
                };
                self.election.read(known, self.lease_clock.now());
            }
            Err(refused) => self.failed("read", &refused, sent),
        }
    }

    fn handle_write(&mut self, answer: Result<Stored, Refused>, sent: Duration) {
        let stored = match answer {
            Ok(stored) => stored,
            Err(refused) => return self.failed("write", &refused, sent),
        };
        self.resolved();
        let was_leader = self.election.term().is_some();
        let before = self.election.predecessor().map(str::to_owned);
        self.election.written(stored, sent, self.lease_clock.now());
        let Some(until) = self.election.term() else {
            return;
        };
        self.term.extend(until);
        if !was_leader {
            tracing::info!(
                lease = self.lease(),
                previous = before.as_deref().map(|name| clean(name, &[])),
                "this process is the leader"
            );
            self.role.send_replace(Role::Leader {
                predecessor: before,
            });
        }
    }

    fn failed(&mut self, what: &str, refused: &Refused, sent: Duration) {
        let code = kube_error::code(&refused.error);
        let is_conflict = matches!(code, Some(404 | 409));
        let failure = if is_conflict {
            Failure::Conflict
        } else {
            Failure::Other
        };
        if is_conflict && self.election.term().is_none() {
            // The watch has not shown the change, so it may be stuck.
            self.watch = None;
        }
        self.election.failed(failure, sent, self.lease_clock.now());
        let why = kube_error::describe(&refused.error);
        // That another process was first is normal.
        if code != Some(409) {
            self.warning
                .warn(&format!("cannot {what} the Lease {}: {why}", self.lease()));
        }
        self.last_failure = Some(why);
    }

    fn resolved(&mut self) {
        self.last_failure = None;
        self.warning
            .resolved(&format!("the Lease {} can be used again", self.lease()));
    }

    /// Waits for a change of the Lease. Cancel safe.
    async fn follow_watch(&mut self) {
        if self.watch.is_none() {
            sleep_until(self.watch_at).await;
            self.watch = Some(LeaseWatch {
                lines: self.client.watch(self.watch_from.as_deref()),
                begun: Instant::now(),
            });
        }
        let Some(watch) = &mut self.watch else {
            return;
        };
        let line = watch.lines.next().await;
        match line {
            Some(Ok(line)) => self.handle_line(line),
            Some(Err(refused)) => {
                // The next watch begins at what is stored then.
                self.watch_from = None;
                let why = kube_error::describe(&refused.error);
                tracing::debug!("the watch of the Lease failed: {why}");
                self.watch_ended(true);
            }
            None => self.watch_ended(false),
        }
    }

    fn handle_line(&mut self, line: WatchLine) {
        let (object, is_deleted) = match line {
            WatchLine::Applied(object) => (object, false),
            WatchLine::Deleted(object) => (object, true),
            WatchLine::Bookmark(version) => {
                self.watch_from = version;
                return;
            }
            WatchLine::Begun | WatchLine::Unreadable => return,
        };
        let Ok(Stored { version, spec }) = lease_client::stored(&object) else {
            return;
        };
        let spec = (!is_deleted).then_some(spec);
        self.election
            .watched(&version, spec, self.lease_clock.now());
        self.watch_from = Some(version);
    }

    fn watch_ended(&mut self, failed: bool) {
        let lasted = self
            .watch
            .take()
            .is_some_and(|watch| watch.begun.elapsed() >= SHORT_WATCH);
        let pause = if failed || !lasted {
            self.settings.timing.retry_period
        } else {
            Duration::ZERO
        };
        self.watch_at = Instant::now() + pause;
    }

    /// Releases the Lease if this process holds it. If that fails, the Lease expires by itself.
    async fn release_lease(&mut self) {
        let released = timeout(RELEASE_LIMIT, self.try_to_release()).await;
        match released {
            Ok(Ok(true)) => tracing::info!(lease = self.lease(), "released the Lease"),
            Ok(Ok(false)) => {}
            Ok(Err(refused)) => tracing::warn!(
                "cannot release the Lease {}: {}",
                self.lease(),
                kube_error::describe(&refused.error)
            ),
            Err(_) => tracing::warn!(
                "cannot release the Lease {}: no answer in time",
                self.lease()
            ),
        }
        // Requests that were sent before still get their answers.
        self.term.release();
    }

    /// Returns whether the Lease was released.
    async fn try_to_release(&mut self) -> Result<bool, Refused> {
        loop {
            match self.election.release(self.wall()) {
                Release::NotHeld => return Ok(false),
                Release::Read => {
                    let known = self.client.read(RELEASE_LIMIT).await?;
                    self.election.read(known, self.lease_clock.now());
                }
                Release::Update(version, spec) => {
                    let (sent, _) = self.begin();
                    match self.client.update(&version, &spec, RELEASE_LIMIT).await {
                        Ok(_) => return Ok(true),
                        Err(refused) if kube_error::code(&refused.error) == Some(409) => {
                            self.election
                                .failed(Failure::Conflict, sent, self.lease_clock.now());
                        }
                        Err(refused) => return Err(refused),
                    }
                }
            }
        }
    }

    fn why_lost(&self, lost: &Lost) -> String {
        let lease = self.lease();
        match lost {
            Lost::NotRenewed => {
                let why = self.last_failure.as_deref();
                format!(
                    "this process is no longer the leader: it could not renew the Lease {lease} for {:?}: {}",
                    self.settings.timing.renew_deadline,
                    why.unwrap_or("the process was stopped, or had no CPU time")
                )
            }
            Lost::Taken(holder) if holder.is_empty() => {
                format!(
                    "this process is no longer the leader: another writer removed it from the Lease {lease}"
                )
            }
            Lost::Taken(holder) => {
                format!(
                    "this process is no longer the leader: {} holds the Lease {lease}",
                    clean(holder, &[])
                )
            }
        }
    }

    fn log_holder(&mut self) {
        let holder = self.election.holder();
        if self.election.term().is_none() && self.logged_holder.as_deref() != Some(holder) {
            self.logged_holder = Some(holder.to_owned());
            let (lease, leader) = (self.lease(), clean(holder, &[]));
            if leader.is_empty() {
                tracing::info!(lease, "standing by: no process is the leader");
            } else {
                tracing::info!(lease, leader, "standing by: another process is the leader");
            }
        }
    }

    fn lease(&self) -> String {
        format!("{}/{}", self.settings.namespace, self.settings.lease)
    }
}
