//! `bench failover`: how long no cancel request leaves when the leader of two controllers ends or is killed, while new objects come.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::sleep;
use xtask::control_plane::audit::Request;

use super::environment::{Environment, Replica};
use super::figures::{self, Micros, Spread};
use super::load::{self, operation};
use super::phases::{self, Created};

/// New objects a second.
const RATE: u32 = 20;

/// How long new objects come before the leader ends.
const BEFORE: Duration = Duration::from_secs(2);

/// How long they come after the latest time at which the successor has to work.
const AFTER: Duration = Duration::from_secs(2);

/// Cancel requests that hang when the leader ends: half of those that one namespace may have in flight.
const HANGING: usize = 8;

/// The first new cancel request after SIGTERM, in milliseconds.
const HANDOVER_GOAL: f64 = 300.0;

/// How much longer than the Lease it may take after a kill, in milliseconds.
const TAKEOVER_GOAL: f64 = 1000.0;

/// How long a new replica may take to be one of two with one leader.
const ELECTED: Duration = Duration::from_secs(60);

/// One way to end the leader.
struct Case {
    what: &'static str,
    prefix: &'static str,
    signal: &'static str,
    hangs: bool,
    lease: Duration,
    flags: &'static [&'static str],
}

const CASES: [Case; 4] = [
    Case {
        what: "SIGTERM",
        prefix: "fast-term",
        signal: "TERM",
        hangs: false,
        lease: Duration::from_secs(15),
        flags: &[],
    },
    Case {
        what: "SIGTERM while 8 POSTs hang",
        prefix: "fast-hang",
        signal: "TERM",
        hangs: true,
        lease: Duration::from_secs(15),
        flags: &[],
    },
    Case {
        what: "SIGKILL, Lease of 3 s",
        prefix: "fast-short",
        signal: "KILL",
        hangs: false,
        lease: Duration::from_secs(3),
        flags: &[
            "--leader-elect-lease-duration=3s",
            "--leader-elect-renew-deadline=2s",
            "--leader-elect-retry-period=500ms",
        ],
    },
    Case {
        what: "SIGKILL, default Lease of 15 s",
        prefix: "fast-kill",
        signal: "KILL",
        hangs: false,
        lease: Duration::from_secs(15),
        flags: &[],
    },
];

impl Case {
    fn is_kill(&self) -> bool {
        self.signal == "KILL"
    }

    /// The latest time after the signal at which the successor works, as a limit for the load.
    fn limit(&self) -> Duration {
        if self.is_kill() {
            self.lease + Duration::from_secs(2)
        } else {
            Duration::from_secs(2)
        }
    }
}

/// What one end of a leader cost.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    /// From the signal to the first cancel request of the successor.
    first: Micros,
    /// From the signal until the Lease has no holder; 0 after a kill.
    released: Micros,
    /// From the signal until the successor has the Lease.
    acquired: Micros,
    /// The longest time between two cancel requests.
    gap: Micros,
    /// The longest time from the creation of an object to its first cancel request.
    latest: Micros,
    objects: usize,
    never_sent: usize,
    repeated: usize,
}

/// Measures and prints.
pub(super) fn measure(environment: &Environment, repetitions: usize) -> Result<()> {
    let mut results = Vec::new();
    let mut number = 0;
    for case in &CASES {
        let flags: Vec<_> = case.flags.iter().map(ToString::to_string).collect();
        let mut start = || {
            number += 1;
            environment.start_replica(&format!("replica-{number}"), &flags)
        };
        let mut replicas = vec![start()?];
        let mut outcomes = Vec::new();
        for repetition in 0..repetitions {
            replicas.push(start()?);
            let leader = leader(&replicas)?;
            let leader = replicas.swap_remove(leader);
            let outcome = end_leader(environment, case, repetition, &leader);
            let outcome = outcome.with_context(|| {
                let logs = replicas.iter().chain([&leader]);
                let logs = logs.map(|replica| environment.replica_log(replica));
                logs.collect::<Vec<_>>().join("\n")
            })?;
            eprintln!("{}: {outcome:?}", case.what);
            outcomes.push(outcome);
            if !case.is_kill() {
                environment.wait_for_end(&leader)?;
            }
        }
        for replica in &replicas {
            environment.signal(replica, "TERM")?;
            environment.wait_for_end(replica)?;
        }
        results.push((case, outcomes));
    }
    print(&results);
    Ok(())
}

/// Which of the two is the leader.
fn leader(replicas: &[Replica]) -> Result<usize> {
    let until = Instant::now() + ELECTED;
    loop {
        let leads: Result<Vec<_>> = replicas.iter().map(Replica::leads).collect();
        if let [leader] = leads?
            .iter()
            .enumerate()
            .filter_map(|(n, leads)| leads.then_some(n))
            .collect::<Vec<_>>()[..]
        {
            return Ok(leader);
        }
        if Instant::now() > until {
            bail!("there is not one leader");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Creates objects all the time, and ends the leader among them.
fn end_leader(
    environment: &Environment,
    case: &Case,
    repetition: usize,
    leader: &Replica,
) -> Result<Outcome> {
    let mark = environment.mark()?;
    let lasts = BEFORE + case.limit() + AFTER;
    let count = usize::try_from(lasts.as_secs())? * usize::try_from(RATE)?;
    let name = |prefix: &str, n: usize| format!("{prefix}-{repetition}-{n}");
    let names = (0..count).map(|n| name(case.prefix, n)).collect();
    let hanging = if case.hangs { HANGING } else { 0 };
    let (signalled, created) = environment.runtime.block_on(async {
        let each = |name| phases::create(environment.load.clone(), name);
        let hanging = (0..hanging).map(|n| name("hanging", n)).collect();
        let mut created = load::at_once(hanging, HANGING, each).await?;
        let load = environment.load.clone();
        let each = move |name| phases::create(load.clone(), name);
        let coming = tokio::spawn(load::paced(names, RATE, each));
        sleep(BEFORE).await;
        let signalled = figures::now();
        environment.signal(leader, case.signal)?;
        created.extend(coming.await.context("the load died")??);
        anyhow::Ok((signalled, created))
    })?;
    let until = Instant::now() + super::PATIENCE;
    loop {
        let calls = environment.calls(&mark)?;
        let mut outcome = judge(&calls, &created, signalled, &leader.name)?;
        let writes = lease_writes(&environment.audit(&mark)?, signalled);
        let mut writes = writes.iter().map(|at| at - signalled);
        if !case.is_kill() {
            outcome.released = writes.next().context("the Lease was not released")?;
        }
        outcome.acquired = writes.next().context("the Lease was not taken")?;
        if outcome.never_sent == 0 || Instant::now() > until {
            return Ok(outcome);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// When writes of the Lease after the signal were answered with success, in their order. The leader writes it once more, to release it,
/// and the next write is the successor's.
fn lease_writes(requests: &[Request], signalled: Micros) -> Vec<Micros> {
    let mut writes: Vec<_> = requests
        .iter()
        .filter(|request| request.resource == "leases" && request.is_write())
        .filter(|request| request.code == 200)
        .filter(|request| request.received.as_microsecond() >= signalled)
        .map(|request| request.completed.as_microsecond())
        .collect();
    writes.sort_unstable();
    writes
}

/// What the emulator's record says.
fn judge(calls: &[Value], created: &[Created], signalled: Micros, leader: &str) -> Result<Outcome> {
    let ours = format!("opcancel {leader} ");
    let mut posts = BTreeMap::<&str, Vec<Micros>>::new();
    let mut times = Vec::new();
    let mut first = None;
    for call in calls {
        let text = |field| call.get(field).and_then(Value::as_str);
        let (Some("POST"), Some(operation)) = (text("method"), text("operation")) else {
            continue;
        };
        let at = text("received").context("a call without its time")?;
        let at = at.parse::<Timestamp>()?.as_microsecond();
        posts.entry(operation).or_default().push(at);
        times.push(at);
        let reason = text("requestReason").context("a call without its reason")?;
        if at >= signalled && !reason.starts_with(&ours) {
            first.get_or_insert(at);
        }
    }
    times.sort_unstable();
    let gaps = times.iter().zip(times.iter().skip(1));
    let mut outcome = Outcome {
        first: first.context("the successor sent no cancel request")? - signalled,
        gap: gaps.map(|(a, b)| b - a).max().unwrap_or_default(),
        objects: created.len(),
        ..Outcome::default()
    };
    for (name, created) in created {
        let Some(posts) = posts.get(operation(name).as_str()) else {
            outcome.never_sent += 1;
            continue;
        };
        let first = posts.iter().min().context("no request")?;
        outcome.latest = outcome.latest.max(first - created);
        outcome.repeated += posts.len() - 1;
    }
    Ok(outcome)
}

fn print(results: &[(&Case, Vec<Outcome>)]) {
    println!("\n{RATE} new objects a second");
    figures::head(&[
        "end of the leader",
        "first new POST, ms: min / median / max",
        "longest gap between POSTs, ms: median / max",
        "creation to POST, ms: longest",
        "objects",
        "never sent",
        "POSTs more than one an object",
    ]);
    let spread = |outcomes: &[Outcome], figure: fn(&Outcome) -> Micros| {
        Spread::of(outcomes.iter().map(figure))
    };
    for (case, outcomes) in results {
        let first = spread(outcomes, |outcome| outcome.first);
        let gap = spread(outcomes, |outcome| outcome.gap);
        let latest = spread(outcomes, |outcome| outcome.latest);
        let sum = |figure: fn(&Outcome) -> usize| outcomes.iter().map(figure).sum::<usize>();
        println!(
            "| {} | {:.0} / {:.0} / {:.0} | {:.0} / {:.0} | {:.0} | {} | {} | {} |",
            case.what,
            first.quantile(0.0),
            first.p50(),
            first.quantile(1.0),
            gap.p50(),
            gap.quantile(1.0),
            latest.quantile(1.0),
            sum(|outcome| outcome.objects),
            sum(|outcome| outcome.never_sent),
            sum(|outcome| outcome.repeated),
        );
    }
    figures::head(&[
        "after SIGTERM, median ms",
        "Lease released",
        "Lease taken",
        "first new POST",
    ]);
    for (case, outcomes) in results.iter().filter(|(case, _)| !case.is_kill()) {
        let median = |figure| spread(outcomes, figure).p50();
        println!(
            "| {} | {:.0} | {:.0} | {:.0} |",
            case.what,
            median(|outcome| outcome.released),
            median(|outcome| outcome.acquired),
            median(|outcome| outcome.first),
        );
    }
    figures::head(&["first new POST", "measured", "goal", ""]);
    for (case, outcomes) in results {
        let first = spread(outcomes, |outcome| outcome.first);
        let never = outcomes
            .iter()
            .map(|outcome| outcome.never_sent)
            .sum::<usize>();
        if case.is_kill() {
            let lease = case.lease.as_secs_f64() * 1000.0;
            let goal = ((lease + TAKEOVER_GOAL) / lease * 100.0).round() / 100.0;
            for (name, time) in [("median", first.p50()), ("longest", first.quantile(1.0))] {
                let what = format!("{}: {name} / Lease", case.what);
                figures::judged(&what, time / lease, " x", false, goal);
            }
        } else {
            for (name, time) in [("median", first.p50()), ("longest", first.quantile(1.0))] {
                let what = format!("{}: {name}", case.what);
                figures::judged(&what, time, " ms", false, HANDOVER_GOAL);
            }
        }
        let what = format!("{}: objects never sent", case.what);
        figures::judged(&what, never as f64, "", false, 0.0);
    }
}
