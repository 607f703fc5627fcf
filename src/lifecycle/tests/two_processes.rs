//! Two controllers that work on one object by mistake do not fight: at most one request more than one of them would send, and at
//! most twice its status writes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::simulation::{START, done, error, merge, object, running};
use crate::{
    api::{CancellationStatus, Outcome},
    google::answer::{CancelAnswer, ErrorKind, GetAnswer},
    lifecycle::{
        Cancellation, Context, Effect, Event, Grant, MayCall, Now, ObjectView, Others, Settings,
        StatusWrite, WriteAnswer, step,
    },
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const HOLDERS: [&str; 2] = ["0123456789abcdef", "fedcba9876543210"];

/// How long it takes until a write has reached the API server, its answer has come back, and watches show it.
const TO_SERVER: Duration = Duration::from_millis(2);
const ANSWER: Duration = Duration::from_millis(3);

/// A user changes the object.
type Edit = fn(&mut ObjectView);

/// What happens outside of the controllers.
struct Scenario {
    name: &'static str,
    /// The answer to GET of a process, by the time and when the API accepted the first cancel request.
    get: fn(process: usize, now: Duration, accepted: Option<Duration>) -> GetAnswer,
    /// The answer to the n-th cancel request of all, the first is 1.
    cancel: fn(usize) -> CancelAnswer,
    /// How long the API takes to answer.
    latency: Duration,
    /// How long the second process's watch takes to show a change.
    watch_latency: Duration,
    /// Grant and suspension at this time.
    grant: fn(Duration) -> Grant,
    edit: Option<(Duration, Edit)>,
    /// How many writes more than twice as many are allowed: the processes see different things, and each says so.
    more_writes: usize,
}

impl Scenario {
    fn new(
        name: &'static str,
        get: fn(usize, Duration, Option<Duration>) -> GetAnswer,
        cancel: fn(usize) -> CancelAnswer,
    ) -> Self {
        Self {
            name,
            get,
            cancel,
            latency: Duration::from_millis(20),
            watch_latency: Duration::from_millis(10),
            grant: |_| Grant::Granted,
            edit: None,
            more_writes: 0,
        }
    }
}

/// What waits for its time.
enum Due {
    /// A write reaches the API server.
    Arrives(usize, Box<StatusWrite>),
    /// A process hears of something.
    Event(usize, Event),
    /// A POST reaches the API.
    Posted(usize),
    Edit(Edit),
    Starts(usize),
    Dies(usize),
    GrantChanges,
}

struct Process {
    state: Cancellation,
    wake: Option<Duration>,
    over: bool,
    jitter: f64,
}

struct World<'a> {
    scenario: &'a Scenario,
    settings: Settings,
    stored: ObjectView,
    now: Duration,
    due: Vec<(Duration, u64, Due)>,
    sequence: u64,
    processes: Vec<Process>,
    posts: Vec<(Duration, usize)>,
    /// Requests to write, also those that conflicted.
    writes: Vec<(Duration, usize, Box<StatusWrite>)>,
    accepted: Option<Duration>,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, starts: &[(Duration, f64)]) -> Self {
        let stored = object();
        let mut world = Self {
            scenario,
            settings: Settings::default(),
            stored: stored.clone(),
            now: Duration::ZERO,
            due: Vec::new(),
            sequence: 0,
            processes: Vec::new(),
            posts: Vec::new(),
            writes: Vec::new(),
            accepted: None,
        };
        for (index, (start, jitter)) in starts.iter().enumerate() {
            world.push(*start, Due::Starts(index));
            world.processes.push(Process {
                state: Cancellation::new(stored.clone(), world.now()),
                wake: None,
                over: true,
                jitter: *jitter,
            });
        }
        if let Some((at, edit)) = scenario.edit {
            world.push(at, Due::Edit(edit));
        }
        for hour in [1, 2, 3] {
            world.push(s(hour * 3600), Due::GrantChanges);
        }
        world
    }

    fn now(&self) -> Now {
        Now {
            wall: Timestamp::new(START, 0).unwrap() + SignedDuration::try_from(self.now).unwrap(),
            mono: self.now,
        }
    }

    fn push(&mut self, at: Duration, due: Due) {
        self.sequence += 1;
        self.due.push((at, self.sequence, due));
    }

    fn run(&mut self, until: Duration) {
        for _ in 0..1_000_000 {
            let queued =
                (0..self.due.len()).min_by_key(|index| (self.due[*index].0, self.due[*index].1));
            let waking = (0..self.processes.len())
                .filter(|index| !self.processes[*index].over)
                .filter_map(|index| self.processes[index].wake.map(|at| (at, index)))
                .min();
            let at = queued.map(|index| self.due[index].0);
            match (at, waking) {
                (Some(at), wake) if wake.is_none_or(|(wake, _)| at <= wake) && at <= until => {
                    self.now = self.now.max(at);
                    let (_, _, due) = self.due.remove(queued.unwrap());
                    self.happen(due);
                }
                (_, Some((at, index))) if at <= until => {
                    self.now = self.now.max(at);
                    self.deliver(index, Event::Woken);
                }
                _ => return,
            }
        }
        panic!("{}: it does not come to rest", self.scenario.name);
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Event(index, event) => self.deliver(index, event),
            Due::Arrives(index, write) => {
                let answer = self.store(&write);
                self.push(
                    self.now + ANSWER,
                    Due::Event(index, Event::WriteAnswered(answer)),
                );
            }
            Due::Posted(index) if self.processes[index].over => {}
            Due::Posted(index) => {
                self.posts.push((self.now, index));
                let answer = (self.scenario.cancel)(self.posts.len());
                if answer.is_ok() {
                    self.accepted.get_or_insert(self.now);
                }
                let at = self.now + self.scenario.latency / 2;
                self.push(at, Due::Event(index, Event::CancelAnswered(answer)));
            }
            Due::Edit(edit) => {
                edit(&mut self.stored);
                self.stored_anew();
            }
            Due::Starts(index) => {
                if self.stored.status.outcome.is_none() {
                    let state = Cancellation::new(self.stored.clone(), self.now());
                    self.processes[index].state = state;
                    self.processes[index].over = false;
                    self.deliver(index, Event::Woken);
                }
            }
            Due::Dies(index) => self.processes[index].over = true,
            Due::GrantChanges => {
                for index in 0..self.processes.len() {
                    self.deliver(index, Event::Woken);
                }
            }
        }
    }

    /// The API server's side of a write.
    fn store(&mut self, write: &StatusWrite) -> WriteAnswer {
        if write.base != self.stored.resource_version {
            return WriteAnswer::Conflict(Box::new(self.stored.clone()));
        }
        let mut status: Value = serde_json::to_value(&self.stored.status).unwrap();
        merge(&mut status, &write.patch.value()["status"]);
        let after: CancellationStatus = serde_json::from_value(status).unwrap();
        assert!(self.stored.status.outcome.is_none(), "I3");
        self.stored.status = after;
        self.stored_anew();
        WriteAnswer::Written(Box::new(self.stored.clone()))
    }

    /// It has a new version, which all watches show.
    fn stored_anew(&mut self) {
        let version: u64 = self.stored.resource_version.parse().unwrap();
        self.stored.resource_version = (version + 1).to_string();
        for index in 0..self.processes.len() {
            let latency = if index == 0 {
                Duration::from_millis(10)
            } else {
                self.scenario.watch_latency
            };
            let event = match self.stored.status.outcome {
                None => Event::Watched(Box::new(self.stored.clone())),
                Some(_) => Event::Gone,
            };
            self.push(self.now + latency, Due::Event(index, event));
        }
    }

    fn deliver(&mut self, index: usize, event: Event) {
        if self.processes[index].over {
            return;
        }
        let context = Context {
            now: self.now(),
            jitter: self.processes[index].jitter,
            settings: &self.settings,
            holder: HOLDERS[index],
            others: Others::MayWork,
            grant: (self.scenario.grant)(self.now),
            principal: None,
            quota: Default::default(),
            may_call: MayCall::ALL,
            stopping: false,
            may_write: true,
        };
        let process = &mut self.processes[index];
        let plan = step(&mut process.state, event, &context);
        process.wake = plan.wake_at;
        for effect in plan.effects {
            self.carry_out(index, effect);
        }
    }

    fn carry_out(&mut self, index: usize, effect: Effect) {
        let scenario = self.scenario;
        match effect {
            Effect::Get { .. } => {
                let at = self.now + scenario.latency;
                let answer = (scenario.get)(index, self.now, self.accepted);
                self.push(at, Due::Event(index, Event::GetAnswered(answer)));
            }
            Effect::Cancel { .. } => self.push(self.now + scenario.latency / 2, Due::Posted(index)),
            Effect::Write(write) => {
                self.writes.push((self.now, index, write.clone()));
                self.push(self.now + TO_SERVER, Due::Arrives(index, write));
            }
            Effect::Reread => {
                let stored = Some(Box::new(self.stored.clone()));
                self.push(self.now + ANSWER, Due::Event(index, Event::Reread(stored)));
            }
            Effect::Forget => self.processes[index].over = true,
            Effect::QueueWrite(_) => unreachable!("a write is sent at once"),
            Effect::ReservePoll | Effect::DropToken | Effect::Publish(_) => {}
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        let outcome = self.stored.status.outcome.as_deref();
        outcome.map(|outcome| outcome.parse().unwrap())
    }
}

fn scenarios() -> Vec<Scenario> {
    let still_running = |_, _, _| running();
    let refused: fn(usize) -> CancelAnswer = |_| Err(error(ErrorKind::FailedPrecondition));
    vec![
        Scenario::new(
            "accepted, ends after 20 s",
            |_, now, accepted| match accepted {
                Some(at) if now >= at + s(20) => done(1),
                _ => running(),
            },
            |_| Ok(()),
        ),
        Scenario::new("accepted, runs on", still_running, |_| Ok(())),
        Scenario {
            latency: s(8),
            ..Scenario::new("accepted, slow answers", still_running, |_| Ok(()))
        },
        Scenario {
            watch_latency: s(45),
            ..Scenario::new("accepted, one slow watch", still_running, |_| Ok(()))
        },
        Scenario::new("done before", |_, _, _| done(0), |_| Ok(())),
        Scenario::new("refused", still_running, refused),
        Scenario {
            watch_latency: s(45),
            ..Scenario::new("refused, one slow watch", still_running, refused)
        },
        Scenario::new("refused twice, then accepted", still_running, |n| {
            if n <= 2 {
                Err(error(ErrorKind::FailedPrecondition))
            } else {
                Ok(())
            }
        }),
        Scenario::new(
            "endpoint down",
            |_, _, _| Err(error(ErrorKind::Network)),
            |_| Err(error(ErrorKind::Network)),
        ),
        Scenario {
            more_writes: 2,
            ..Scenario::new(
                "endpoint down for one of two",
                |process, _, _| match process {
                    0 => running(),
                    _ => Err(error(ErrorKind::Network)),
                },
                |_| Ok(()),
            )
        },
        Scenario::new(
            "endpoint down in two ways",
            |process, _, _| match process {
                0 => Err(error(ErrorKind::Network)),
                _ => Err(error(ErrorKind::Timeout)),
            },
            |_| Err(error(ErrorKind::Unavailable)),
        ),
        Scenario::new("503 to cancel", still_running, |_| {
            Err(error(ErrorKind::Unavailable))
        }),
        Scenario::new("503 to cancel, then accepted", still_running, |n| {
            if n <= 3 {
                Err(error(ErrorKind::Unavailable))
            } else {
                Ok(())
            }
        }),
        Scenario::new("503 to cancel, asks for 5 min", still_running, |_| {
            let mut error = error(ErrorKind::Unavailable);
            error.retry_after = Some(s(300));
            Err(error)
        }),
        Scenario::new("cancel unreadable", still_running, |_| {
            Err(error(ErrorKind::Unrecognised))
        }),
        Scenario::new("cancel denied", still_running, |_| {
            Err(error(ErrorKind::PermissionDenied))
        }),
        Scenario::new(
            "everything denied",
            |_, _, _| Err(error(ErrorKind::PermissionDenied)),
            |_| Err(error(ErrorKind::PermissionDenied)),
        ),
        Scenario::new(
            "everything unauthenticated",
            |_, _, _| Err(error(ErrorKind::Unauthenticated)),
            |_| Err(error(ErrorKind::Unauthenticated)),
        ),
        Scenario::new("cancel not served", still_running, |_| {
            Err(error(ErrorKind::NotServed))
        }),
        Scenario::new("cancel unimplemented", still_running, |_| {
            Err(error(ErrorKind::Unimplemented))
        }),
        Scenario::new("quota of cancel exhausted", still_running, |_| {
            Err(error(ErrorKind::ResourceExhausted))
        }),
        Scenario::new(
            "not found",
            |_, _, _| Err(error(ErrorKind::NotFound)),
            |_| Ok(()),
        ),
        Scenario {
            grant: |_| Grant::NotGranted,
            ..Scenario::new("no grant", still_running, |_| Ok(()))
        },
        Scenario {
            grant: |now| {
                if now < s(3600) {
                    Grant::NotGranted
                } else {
                    Grant::Granted
                }
            },
            ..Scenario::new("granted after an hour", still_running, refused)
        },
        Scenario {
            grant: |now| {
                if (s(3600)..s(7200)).contains(&now) {
                    Grant::NotGranted
                } else {
                    Grant::Granted
                }
            },
            ..Scenario::new("revoked for an hour", still_running, refused)
        },
        Scenario {
            edit: Some((Duration::from_millis(1), |object| {
                object.spec.as_mut().unwrap().suspend = true;
                object.generation += 1;
            })),
            ..Scenario::new("suspended", still_running, |_| Ok(()))
        },
        Scenario {
            edit: Some((s(4000), |object| {
                object.spec.as_mut().unwrap().deadline = s(7200);
                object.generation += 1;
            })),
            ..Scenario::new("refused, deadline edited", still_running, refused)
        },
    ]
}

/// When the second process starts: with the first one, while its first request is under way, and later.
const STARTS: [Duration; 4] = [
    Duration::from_millis(7),
    Duration::from_millis(35),
    s(2),
    s(5000),
];

/// The jitter of both processes.
const JITTERS: [[f64; 2]; 3] = [[0.5, 0.5], [0.2, 0.8], [0.9, 0.4]];

#[test]
fn two_processes_do_not_fight() {
    let mut failed = Vec::new();
    println!(
        "{:<34} {:>12}  {:>11}  {:>11}",
        "scenario", "second after", "POSTs 1, 2", "writes 1, 2"
    );
    for scenario in scenarios() {
        let run = |starts: &[(Duration, f64)]| {
            let mut world = World::new(&scenario, starts);
            world.run(s(4 * 3600));
            world
        };
        for jitter in JITTERS {
            let alone = jitter.map(|jitter| run(&[(Duration::ZERO, jitter)]));
            let posts = alone.iter().map(|world| world.posts.len()).max().unwrap();
            let writes = alone.iter().map(|world| world.writes.len()).max().unwrap();
            for start in STARTS {
                let two = run(&[(Duration::ZERO, jitter[0]), (start, jitter[1])]);
                let line = format!(
                    "{:<34} {start:>12?}  {posts:>4}, {:>4}  {writes:>5}, {:>4}",
                    scenario.name,
                    two.posts.len(),
                    two.writes.len()
                );
                if jitter == JITTERS[0] {
                    println!("{line}");
                }
                let fights = two.posts.len() > posts + 1
                    || two.writes.len() > 2 * writes + scenario.more_writes
                    || alone[0].outcome() != two.outcome();
                if fights {
                    failed.push(line);
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The process that follows cannot know that the other one died. It waits a while longer than the other one would have.
#[test]
fn the_other_process_goes_on_when_the_first_dies() {
    let running = |_, _, _| running();
    // When the first process dies: between its intent and its request, and after answers. Within what time the other one sends.
    for (answer, dies, within) in [
        (None, Duration::from_millis(30), 66),
        (None, s(60), 4 * 3600),
        (Some(ErrorKind::FailedPrecondition), s(10), 95),
        (Some(ErrorKind::FailedPrecondition), s(100), 5 * 60 + 60),
        (Some(ErrorKind::Unavailable), s(600), 7 * 60),
        (Some(ErrorKind::PermissionDenied), s(10), 7 * 60),
        (Some(ErrorKind::NotServed), s(45), 7 * 60),
    ] {
        let cancel: fn(usize) -> CancelAnswer = match answer {
            None => |_| Ok(()),
            Some(ErrorKind::FailedPrecondition) => |_| Err(error(ErrorKind::FailedPrecondition)),
            Some(ErrorKind::Unavailable) => |_| Err(error(ErrorKind::Unavailable)),
            Some(ErrorKind::PermissionDenied) => |_| Err(error(ErrorKind::PermissionDenied)),
            Some(_) => |_| Err(error(ErrorKind::NotServed)),
        };
        let scenario = Scenario::new("the first dies", running, cancel);
        let mut world = World::new(&scenario, &[(Duration::ZERO, 0.5), (STARTS[0], 0.5)]);
        world.push(dies, Due::Dies(0));
        world.run(dies);
        let before = world.posts.len();
        world.run(dies + s(within));
        let sent = world.posts.len() > before;
        let accepted = world.accepted.is_some() && before > 0;
        assert!(sent != accepted, "{answer:?} {dies:?}: {:?}", world.posts);
        assert!(
            world.posts[before..]
                .iter()
                .all(|(_, process)| *process == 1)
        );
    }
}
