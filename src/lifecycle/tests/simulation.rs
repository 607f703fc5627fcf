//! One object, an API server that stores its status, a Google API that answers from a script, and a clock that jumps from
//! event to event. Checks at every step what must always be true.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    api::{AcceptedOutcome, CancellationStatus, Outcome},
    google::{
        answer::{CallError, CancelAnswer, ErrorKind, GetAnswer, Operation, OperationError},
        catalogue::{self, Target},
        endpoint::EndpointOverrides,
        quota::{Allowance, Caller, Quotas, Share},
    },
    lifecycle::{
        CallPriority, Cancellation, Context, Effect, Event, ForeignIntent, Grant, MayCall, Notice,
        Now, ObjectView, Others, Packer, Settings, Spec, StatusWrite, WriteAnswer, WriteKind, step,
    },
};

/// The wall clock when a simulation starts: not a full minute, so that nothing depends on it.
pub const START: i64 = 1_700_000_013;

/// The id of the process.
pub const HOLDER: &str = "0123456789abcdef";

/// After so many steps its compact form is not asked for at each of them: a life may have thousands.
const ALWAYS_RESTS: usize = 64;

pub type GetScript = Box<dyn FnMut(usize, Duration) -> GetAnswer>;
pub type CancelScript = Box<dyn FnMut(usize) -> CancelAnswer>;

pub struct Simulation {
    pub state: Cancellation,
    pub stored: ObjectView,
    pub now: Duration,
    pub wall_offset: jiff::SignedDuration,
    pub wake: Option<Duration>,
    queue: Vec<(Duration, Event)>,
    pub settings: Settings,
    pub grant: Grant,
    pub jitter: f64,
    /// An exhausted quota holds cancels back until then.
    pub cancels_held_until: Option<Duration>,
    /// An exhausted quota holds GETs back until then.
    pub gets_held_until: Option<Duration>,
    /// What the answers said of quotas. Several objects may share them.
    pub quotas: Rc<RefCell<Quotas>>,
    /// What the rate of the namespace allows.
    pub may_call: MayCall,
    /// What the last step said of [`crate::lifecycle::Plan::waits_for`].
    pub waits_for: Option<CallPriority>,
    /// The process ends.
    pub stopping: bool,
    /// What the last step said of [`crate::lifecycle::Plan::unrecorded`].
    pub unrecorded: bool,
    /// How far the jitter moves on at each event; 0 keeps it.
    pub jitter_step: f64,
    pub get_latency: Duration,
    pub cancel_latency: Duration,
    pub write_latency: Duration,
    /// So many of the next GETs are not made, because something forbids them when their turn comes.
    pub withheld_gets: usize,
    /// The same of cancel requests.
    pub withheld_posts: usize,
    /// How long each write waits for its turn; none waits for one unless this is set.
    pub turns_take: Option<Duration>,
    pub get_script: GetScript,
    pub cancel_script: CancelScript,
    /// Answers to the next writes instead of carrying them out; `true`: carried out all the same.
    pub write_faults: Vec<(WriteAnswer, bool)>,
    /// Changes the status as soon as it is written, as another writer would.
    pub meddler: Option<fn(&mut CancellationStatus)>,
    pub gets: Vec<Duration>,
    pub posts: Vec<Duration>,
    pub writes: Vec<(Duration, StatusWrite)>,
    pub notices: Vec<Notice>,
    pub foreign_intents: Vec<ForeignIntent>,
    pub others: Others<'static>,
    /// Of all conditions that were ever written.
    reasons: BTreeSet<String>,
    pub dropped_tokens: usize,
    pub seen_done: Option<Operation>,
    /// When a cancel request was first accepted.
    accepted: Option<Duration>,
    /// When it really was first both granted and not suspended.
    started_at: Option<Duration>,
    /// When the process began, and what had passed since the stored start as it learnt it then.
    process_began: Duration,
    learnt: Option<Duration>,
    pub forgotten: bool,
    /// What is stored was once put back to what it had been before.
    pub went_back: bool,
    packer: Packer,
    steps: usize,
    /// How often its compact form stood in for it.
    pub rested: usize,
}

pub fn target(name: &str) -> Target {
    catalogue::read("dialogflow", None, name, &EndpointOverrides::default()).unwrap()
}

pub fn spec() -> Spec {
    Spec {
        target: Ok(target(
            "projects/acme-prod/locations/europe-west1/operations/op-1",
        )),
        service_account_name: None,
        accepted_outcomes: AcceptedOutcome::DEFAULT.into_iter().collect(),
        deadline: Duration::from_secs(86_400),
        suspend: false,
    }
}

pub fn object() -> ObjectView {
    ObjectView {
        uid: "uid-1".into(),
        namespace: "contact-center".into(),
        name: "stop".into(),
        resource_version: "1".into(),
        generation: 1,
        created: Timestamp::new(START, 0).unwrap(),
        deleting: false,
        spec: Ok(spec()),
        status: CancellationStatus {
            observed_generation: Some(-1),
            ..CancellationStatus::default()
        },
    }
}

/// The same with this deadline.
pub fn with_deadline(deadline: Duration) -> ObjectView {
    let mut object = object();
    object.spec.as_mut().unwrap().deadline = deadline;
    object
}

/// The whole seconds between two calls.
pub fn seconds_between(calls: &[Duration]) -> Vec<u64> {
    calls
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs())
        .collect()
}

pub fn caller() -> Caller {
    Caller {
        endpoint: "https://europe-west1-dialogflow.googleapis.com".into(),
        principal: "opcancel@acme.iam.gserviceaccount.com".into(),
        project: "acme-prod".into(),
    }
}

pub fn running() -> GetAnswer {
    Ok(Operation {
        metadata_state: Some("RUNNING".into()),
        ..Operation::default()
    })
}

pub fn done(code: i32) -> GetAnswer {
    let error = (code != 0).then(|| OperationError {
        code,
        status: format!("CODE_{code}"),
        message: "as told".into(),
    });
    Ok(Operation {
        done: true,
        has_response: code == 0,
        error,
        ..Operation::default()
    })
}

pub fn error(kind: ErrorKind) -> CallError {
    CallError {
        kind,
        http_status: Some(400),
        reason: None,
        domain: None,
        metadata: BTreeMap::new(),
        message: "as told".into(),
        not_sent: false,
        retry_after: None,
    }
}

impl Simulation {
    /// Answers: running until `cancelled` has been posted for `after`, then cancelled.
    pub fn cancellable(after: Duration) -> Self {
        Self::new(|_, _| running(), |_| Ok(())).ending_after_post(after)
    }

    pub fn new(
        get: impl FnMut(usize, Duration) -> GetAnswer + 'static,
        cancel: impl FnMut(usize) -> CancelAnswer + 'static,
    ) -> Self {
        Self::of(object(), get, cancel)
    }

    pub fn of(
        object: ObjectView,
        get: impl FnMut(usize, Duration) -> GetAnswer + 'static,
        cancel: impl FnMut(usize) -> CancelAnswer + 'static,
    ) -> Self {
        let now = Now {
            wall: Timestamp::new(START, 0).unwrap(),
            mono: Duration::ZERO,
        };
        Self {
            state: Cancellation::new(object.clone(), now),
            stored: object,
            now: Duration::ZERO,
            wall_offset: jiff::SignedDuration::ZERO,
            wake: Some(Duration::ZERO),
            queue: Vec::new(),
            settings: Settings::default(),
            grant: Grant::Granted,
            jitter: 0.5,
            cancels_held_until: None,
            gets_held_until: None,
            quotas: Rc::default(),
            may_call: MayCall::ALL,
            waits_for: None,
            stopping: false,
            unrecorded: false,
            jitter_step: 0.0,
            get_latency: Duration::from_millis(20),
            cancel_latency: Duration::from_millis(20),
            write_latency: Duration::from_millis(5),
            withheld_gets: 0,
            withheld_posts: 0,
            turns_take: None,
            get_script: Box::new(get),
            cancel_script: Box::new(cancel),
            write_faults: Vec::new(),
            meddler: None,
            gets: Vec::new(),
            posts: Vec::new(),
            writes: Vec::new(),
            notices: Vec::new(),
            foreign_intents: Vec::new(),
            others: Others::MayWork,
            reasons: BTreeSet::new(),
            dropped_tokens: 0,
            seen_done: None,
            accepted: None,
            started_at: None,
            process_began: Duration::ZERO,
            learnt: None,
            forgotten: false,
            went_back: false,
            packer: Packer::default(),
            steps: 0,
            rested: 0,
        }
    }

    fn ending_after_post(mut self, after: Duration) -> Self {
        // The first GET that follows the POST starts the operation's own clock.
        let posted = std::rc::Rc::new(std::cell::Cell::new(false));
        let asked = posted.clone();
        let mut since = None;
        self.get_script = Box::new(move |_, now| {
            if !posted.get() {
                return running();
            }
            let since = *since.get_or_insert(now);
            if now - since >= after {
                done(1)
            } else {
                running()
            }
        });
        self.cancel_script = Box::new(move |_| {
            asked.set(true);
            Ok(())
        });
        self
    }

    pub fn wall(&self) -> Timestamp {
        let since = jiff::SignedDuration::try_from(self.now).unwrap();
        Timestamp::new(START, 0).unwrap() + since + self.wall_offset
    }

    /// Google's name for the identity that makes the calls; that of a ServiceAccount is not known.
    fn principal(&self) -> Option<&'static str> {
        let spec = self.stored.spec.as_ref().ok();
        let is_tenant = spec.is_some_and(|spec| spec.service_account_name.is_some());
        (!is_tenant).then_some("opcancel@acme.iam.gserviceaccount.com")
    }

    /// Delivers one event now.
    pub fn deliver(&mut self, event: Event) {
        if self.forgotten {
            return;
        }
        self.jitter = (self.jitter + self.jitter_step).fract();
        let context = Context {
            now: Now {
                wall: self.wall(),
                mono: self.now,
            },
            jitter: self.jitter,
            settings: &self.settings,
            holder: HOLDER,
            others: self.others,
            grant: self.grant,
            principal: self.principal(),
            quota: self.allowance(),
            may_call: self.may_call,
            stopping: self.stopping,
            may_write: self.turns_take.is_none() || matches!(event, Event::WriteTurn),
        };
        let plan = step(&mut self.state, event, &context);
        self.note_start();
        self.rest();
        self.wake = plan.wake_at;
        self.waits_for = plan.waits_for;
        self.unrecorded = plan.unrecorded;
        self.foreign_intents.extend(plan.foreign_intent);
        assert!(
            plan.wake_at.is_none_or(|at| at > self.now),
            "a wake-up that has passed would be repeated for ever"
        );
        for effect in plan.effects {
            self.carry_out(effect);
        }
    }

    /// What the quotas leave: what answers said, or what a test wants.
    fn allowance(&self) -> Allowance {
        let met = self
            .quotas
            .borrow()
            .allowance(&caller(), &self.stored.namespace, self.now);
        let ahead = |until: Option<Duration>| until.filter(|until| *until > self.now);
        Allowance {
            gets_held_until: met.gets_held_until.max(ahead(self.gets_held_until)),
            cancels_held_until: met.cancels_held_until.max(ahead(self.cancels_held_until)),
            next_poll: met.next_poll,
        }
    }

    /// Notes what an answer says of quotas, as the shell does before the life cycle hears of it.
    fn note_quota(&mut self, event: &Event) {
        if matches!(event, Event::CancelAnswered(Ok(()))) {
            self.accepted.get_or_insert(self.now);
        }
        let (share, error) = match event {
            Event::GetAnswered(answer) => (Share::Get, answer.as_ref().err()),
            Event::CancelAnswered(answer) => (Share::Post, answer.as_ref().err()),
            _ => return,
        };
        let wall = SystemTime::from(self.wall());
        let mut quotas = self.quotas.borrow_mut();
        quotas.record(share, &caller(), error, self.now, wall, self.jitter);
    }

    /// Keeps the true start: it is granted and not suspended, or was when it started.
    fn note_start(&mut self) {
        let intended = self.stored.status.cancel_attempts.unwrap_or(0) > 0;
        let suspended = self.stored.spec.as_ref().is_ok_and(|spec| spec.suspend);
        // A suspension that ended before it was seen changed nothing.
        if suspended && !intended && self.state.started.is_none() {
            self.started_at = None;
            self.learnt = None;
        } else if intended || self.grant == Grant::Granted {
            self.started_at.get_or_insert(self.now);
        }
    }

    /// Goes on with what its compact form says, which is the same: at first at each step, in a long life now and then.
    fn rest(&mut self) {
        self.steps += 1;
        if self.steps > ALWAYS_RESTS && !self.steps.is_multiple_of(ALWAYS_RESTS) {
            return;
        }
        let Some(packed) = self.packer.pack(&self.state) else {
            return;
        };
        let state = self.packer.unpack(&packed).expect("it can be read");
        assert_eq!(format!("{state:?}"), format!("{:?}", self.state));
        self.state = state;
        self.rested += 1;
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::ReservePoll => {
                let mut quotas = self.quotas.borrow_mut();
                quotas.reserve_poll(&caller(), &self.stored.namespace, self.now);
            }
            Effect::Get {
                regardless_of_quota,
                ..
            } => {
                assert_eq!(self.grant, Grant::Granted, "a GET without a grant");
                let held = self.allowance().gets_held_until.is_some();
                assert!(regardless_of_quota || !held, "a GET in spite of the quota");
                let at = self.now + self.get_latency;
                if self.withheld_gets > 0 {
                    self.withheld_gets -= 1;
                    self.queue.push((at, Event::GetWithheld));
                    return;
                }
                self.quotas
                    .borrow_mut()
                    .begin(Share::Get, &caller(), self.now);
                self.gets.push(self.now);
                let answer = (self.get_script)(self.gets.len(), at);
                if let Ok(operation) = &answer
                    && operation.done
                {
                    self.seen_done = Some(operation.clone());
                }
                self.queue.push((at, Event::GetAnswered(answer)));
            }
            Effect::Cancel { attempt } => {
                assert_eq!(self.grant, Grant::Granted, "a POST without a grant");
                assert_eq!(Some(attempt), self.stored.status.cancel_attempts);
                assert!(
                    self.stored.status.outcome.is_none(),
                    "a POST after the outcome"
                );
                let at = self.now + self.cancel_latency;
                if self.withheld_posts > 0 {
                    self.withheld_posts -= 1;
                    self.queue.push((at, Event::CancelWithheld));
                    return;
                }
                self.posts.push(self.now);
                assert!(
                    self.posts.len() as i64 <= attempt,
                    "I2: more POSTs than intents"
                );
                let answer = (self.cancel_script)(self.posts.len());
                self.queue.push((at, Event::CancelAnswered(answer)));
            }
            Effect::QueueWrite(_) => {
                let waits = |(_, event): &(_, Event)| matches!(event, Event::WriteTurn);
                assert!(!self.queue.iter().any(waits), "it has a place already");
                let at = self.now + self.turns_take.expect("nobody else writes");
                self.queue.push((at, Event::WriteTurn));
            }
            Effect::Write(write) => {
                let conditions = write.status.conditions.iter();
                self.reasons
                    .extend(conditions.map(|has| has.reason.clone()));
                let at = self.now + self.write_latency;
                let answer = if self.write_faults.is_empty() {
                    self.store(&write)
                } else {
                    let (fault, carried_out) = self.write_faults.remove(0);
                    if carried_out {
                        self.store(&write);
                    }
                    match fault {
                        WriteAnswer::Conflict(_) => {
                            WriteAnswer::Conflict(Box::new(self.stored.clone()))
                        }
                        // 200 with the object as it was: nothing was changed.
                        WriteAnswer::Written(_) => {
                            WriteAnswer::Written(Box::new(self.stored.clone()))
                        }
                        fault => fault,
                    }
                };
                self.queue.push((at, Event::WriteAnswered(answer)));
            }
            Effect::DropToken => self.dropped_tokens += 1,
            Effect::Publish(notice) => {
                let (Notice::Finished { reason, .. } | Notice::Stalled { reason, .. }) = &notice;
                assert!(
                    self.reasons.contains(*reason),
                    "an event has the reason of a condition: {notice:?}, {:?}",
                    self.reasons
                );
                self.notices.push(notice);
            }
            Effect::Reread => {
                let at = self.now + self.write_latency;
                self.queue
                    .push((at, Event::Reread(Some(Box::new(self.stored.clone())))));
            }
            Effect::Forget => self.forgotten = true,
        }
    }

    /// The API server's side of a write: a compare-and-set, and the rules that hold for what is stored.
    fn store(&mut self, write: &StatusWrite) -> WriteAnswer {
        if write.base != self.stored.resource_version {
            return WriteAnswer::Conflict(Box::new(self.stored.clone()));
        }
        let before = self.stored.status.clone();
        let mut status = serde_json::to_value(&before).unwrap();
        merge(&mut status, &write.patch.value()["status"]);
        let after: CancellationStatus = serde_json::from_value(status).unwrap();
        self.check_write(&before, &after, write);
        self.stored.status = after;
        if let Some(meddler) = self.meddler {
            meddler(&mut self.stored.status);
        }
        self.bump();
        self.writes.push((self.now, write.clone()));
        WriteAnswer::Written(Box::new(self.stored.clone()))
    }

    fn check_write(
        &self,
        before: &CancellationStatus,
        after: &CancellationStatus,
        write: &StatusWrite,
    ) {
        assert_eq!(
            *after, *write.status,
            "the patch makes the status that it promises"
        );
        assert!(before.outcome.is_none(), "I3: a write after the outcome");
        assert!(
            after.cancel_attempts.unwrap_or(0) >= before.cancel_attempts.unwrap_or(0),
            "I8"
        );
        if write.kind == WriteKind::Intent {
            // What is stored may have gone back to before requests that were sent.
            let sent = self.posts.len() as i64;
            assert_eq!(
                after.cancel_attempts.unwrap_or(0),
                before
                    .cancel_attempts
                    .unwrap_or(0)
                    .max(if self.went_back { sent } else { 0 })
                    + 1
            );
        } else {
            assert_eq!(after.cancel_attempts, before.cancel_attempts);
        }
        assert_eq!(after.outcome.is_some(), write.kind == WriteKind::Outcome);
        match after.outcome.as_deref() {
            None => {
                assert!(
                    after.observed_generation >= before.observed_generation,
                    "I8"
                );
                assert_eq!(after.observed_generation, Some(self.stored.generation));
            }
            Some(outcome) => {
                assert_eq!(after.observed_generation, None);
                self.check_outcome(outcome.parse().unwrap());
            }
        }
        for condition in &after.conditions {
            assert_eq!(
                condition.observed_generation, after.observed_generation,
                "{}",
                condition.type_
            );
            assert!(condition.message.len() <= 256, "{}", condition.message);
        }
        assert!(!(self.is_true(after, "Reconciling") && self.is_true(after, "Stalled")));
    }

    /// I4: the outcome says what a GET saw.
    fn check_outcome(&self, outcome: Outcome) {
        let expected = self
            .seen_done
            .as_ref()
            .map(|operation| match &operation.error {
                None => Outcome::Completed,
                Some(error) if error.code == 1 => Outcome::Cancelled,
                Some(_) => Outcome::Failed,
            });
        match outcome {
            Outcome::Cancelled | Outcome::Completed | Outcome::Failed => {
                assert_eq!(Some(outcome), expected, "I4")
            }
            Outcome::Unknown => {
                let spec = self.stored.spec.as_ref().unwrap();
                let since_start = self.now - self.started_at.expect("Unknown only once started");
                // A new process has only the wall clock to tell what had passed before it.
                let by_process = self
                    .learnt
                    .map(|learnt| learnt + (self.now - self.process_began));
                let waited = by_process.unwrap_or(since_start);
                assert!(
                    waited + Duration::from_micros(1) >= spec.deadline,
                    "I4: Unknown after {waited:?}"
                );
            }
            _ => {}
        }
    }

    fn is_true(&self, status: &CancellationStatus, type_: &str) -> bool {
        status
            .conditions
            .iter()
            .any(|condition| condition.type_ == type_ && condition.status == "True")
    }

    fn bump(&mut self) {
        let version: u64 = self.stored.resource_version.parse().unwrap();
        self.stored.resource_version = (version + 1).to_string();
    }

    /// A user edits the spec; the watch shows it.
    pub fn edit(&mut self, change: impl FnOnce(&mut Spec)) {
        change(self.stored.spec.as_mut().unwrap());
        self.stored.generation += 1;
        self.show();
    }

    /// A user changes labels.
    pub fn touch(&mut self) {
        self.bump();
    }

    /// Another writer changed the stored object; the watch shows it.
    pub fn show(&mut self) {
        self.bump();
        self.deliver(Event::Watched(Box::new(self.stored.clone())));
    }

    /// Runs until the first cancel request is under way.
    pub fn run_until_posted(&mut self) {
        while self.posts.is_empty() {
            assert!(self.next(self.now + Duration::from_secs(2)));
        }
    }

    pub fn set_grant(&mut self, grant: Grant) {
        self.grant = grant;
        self.deliver(Event::Woken);
    }

    /// The process dies and another one starts: only what is stored is left.
    pub fn restart(&mut self) {
        self.queue.clear();
        let now = Now {
            wall: self.wall(),
            mono: self.now,
        };
        self.state = Cancellation::new(self.stored.clone(), now);
        self.process_began = self.now;
        self.learnt = self.stored.status.start_time.as_ref().and_then(|start| {
            let credible = start.0 >= self.stored.created
                && start.0 <= self.wall() + jiff::SignedDuration::from_mins(5);
            credible.then(|| {
                Duration::try_from(self.wall().duration_since(start.0)).unwrap_or_default()
            })
        });
        if self.learnt.is_none() {
            // Nothing credible is stored: it starts anew.
            self.started_at = None;
        }
        self.wake = Some(self.now);
        self.deliver(Event::Woken);
    }

    /// Carries out what is due next, if it is due by `until`.
    pub fn next(&mut self, until: Duration) -> bool {
        if self.forgotten {
            return false;
        }
        let queued = self
            .queue
            .iter()
            .enumerate()
            .min_by_key(|(index, (at, _))| (*at, *index))
            .map(|(index, (at, _))| (index, *at));
        match (queued, self.wake) {
            (Some((index, at)), wake) if wake.is_none_or(|wake| at <= wake) && at <= until => {
                self.now = self.now.max(at);
                let (_, event) = self.queue.remove(index);
                self.note_quota(&event);
                self.deliver(event);
            }
            (_, Some(wake)) if wake <= until => {
                self.now = self.now.max(wake);
                self.deliver(Event::Woken);
            }
            _ => {
                self.now = self.now.max(until);
                return false;
            }
        }
        true
    }

    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        let mut steps = 0;
        while self.next(until) {
            steps += 1;
            assert!(steps < 200_000, "it does not come to rest");
        }
    }

    /// Runs until the outcome is recorded, two days at most.
    pub fn run(&mut self) -> Option<Outcome> {
        self.run_for(Duration::from_secs(2 * 86_400));
        self.outcome()
    }

    pub fn outcome(&self) -> Option<Outcome> {
        self.stored
            .status
            .outcome
            .as_deref()
            .map(|outcome| outcome.parse().unwrap())
    }

    /// Status and reason of a stored condition, such as `True/Granted`; `-` if it is absent.
    pub fn condition(&self, type_: &str) -> String {
        let found = self
            .stored
            .status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_);
        found.map_or("-".into(), |condition| {
            format!("{}/{}", condition.status, condition.reason)
        })
    }

    /// The message of a stored condition.
    pub fn message(&self, type_: &str) -> String {
        let mut conditions = self.stored.status.conditions.iter();
        conditions
            .find(|condition| condition.type_ == type_)
            .map(|condition| condition.message.clone())
            .unwrap_or_default()
    }

    pub const fn accepted_at(&self) -> Option<Duration> {
        self.accepted
    }

    pub fn kinds(&self) -> Vec<WriteKind> {
        self.writes.iter().map(|(_, write)| write.kind).collect()
    }
}

/// RFC 7386.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(object) = target.as_object_mut() else {
        return;
    };
    for (key, change) in changes {
        if change.is_null() {
            object.remove(key);
        } else {
            merge(object.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}
