//! `bench neighbours`: what a bad neighbour does to a quiet tenant's new cancel, next to the same tenant alone just before, and next to
//! the same tenant beside the same objects of a kind that the controller does not watch. The second shows what the neighbour costs the
//! API server, whatever the controller does.

use std::future::Future;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::interval,
};

use super::baseline::{Baseline, IN_FLIGHT};
use super::environment::Environment;
use super::figures::{self, Spread};
use super::load::{self, Load, NEIGHBOUR, UNWATCHED};
use super::phases;

/// New cancels of the quiet tenant a second.
const RATE: u32 = 20;

/// What a new cancel may take beside a neighbour, as a multiple of what it takes beside the same objects of another kind.
const GOAL: f64 = 1.5;

/// How long a neighbour's objects may take to be there, and to be gone.
const LIMIT: Duration = Duration::from_secs(120);

/// How often the grant that comes and goes does so.
const CHANGE: Duration = Duration::from_secs(3);

/// How often one of the large objects is changed.
const TOUCH: Duration = Duration::from_millis(500);

/// How often one of the objects that are created and deleted comes.
const CREATED: Duration = Duration::from_millis(10);

/// How often one of the objects that are edited is.
const EDIT: Duration = Duration::from_millis(5);

/// How long a neighbour's objects are there before anything is measured.
const SETTLED: Duration = Duration::from_secs(5);

/// One bad neighbour, in a namespace and a project of its own.
struct Neighbour {
    what: &'static str,
    objects: usize,
    /// How its operations' names begin: the scenario says what becomes of them.
    prefix: &'static str,
    is: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its operations behave badly.
    BadAnswers,
    /// Each names a location of its own, whose host has no address.
    InventedLocations,
    /// It has no grant, and each object is as large as the API server takes it.
    LargeObjects,
    /// Its grant comes and goes.
    GrantOnAndOff,
    /// Each names another service and a location of its own; their hosts have no address.
    AllServices,
    /// It creates objects and deletes them at once.
    CreatedAndDeleted,
    /// It suspends and resumes its objects.
    SuspendOnAndOff,
    /// Somebody erases what the controller wrote.
    StatusErased,
}

static NEIGHBOURS: [Neighbour; 13] = [
    Neighbour {
        what: "answers of 50 MiB",
        objects: 64,
        prefix: "large",
        is: Kind::BadAnswers,
    },
    Neighbour {
        what: "answers that stall below 1 MiB",
        objects: 96,
        prefix: "stalled",
        is: Kind::BadAnswers,
    },
    Neighbour {
        what: "errors with 1 MiB of text",
        objects: 200,
        prefix: "wordy",
        is: Kind::BadAnswers,
    },
    Neighbour {
        what: "answers that never come",
        objects: 200,
        prefix: "silent",
        is: Kind::BadAnswers,
    },
    Neighbour {
        what: "a quota that is always used up",
        objects: 200,
        prefix: "throttled",
        is: Kind::BadAnswers,
    },
    Neighbour {
        what: "invented locations",
        objects: 1000,
        prefix: "fast-invented",
        is: Kind::InventedLocations,
    },
    Neighbour {
        what: "objects of 1.4 MB without a grant",
        objects: 100,
        prefix: "fast-heavy",
        is: Kind::LargeObjects,
    },
    Neighbour {
        what: "a grant that comes and goes for 2,000 objects",
        objects: 2000,
        prefix: "never",
        is: Kind::GrantOnAndOff,
    },
    Neighbour {
        what: "10,000 operations that do not exist",
        objects: 10_000,
        prefix: "unknown",
        is: Kind::BadAnswers,
    },
    Neighbour {
        what: "all services in invented locations",
        objects: 1000,
        prefix: "fast-service",
        is: Kind::AllServices,
    },
    Neighbour {
        what: "100 objects a second, created and deleted",
        objects: 0,
        prefix: "never",
        is: Kind::CreatedAndDeleted,
    },
    Neighbour {
        what: "suspend on and off, 200 times a second",
        objects: 20,
        prefix: "never",
        is: Kind::SuspendOnAndOff,
    },
    Neighbour {
        what: "a status erased 200 times a second",
        objects: 20,
        prefix: "never",
        is: Kind::StatusErased,
    },
];

/// The service that all neighbours use but one.
const DIALOGFLOW: &str = "dialogflow";

/// A grant has at most so many services.
const MOST_SERVICES: usize = 100;

/// The services of the catalogue, as many as a grant may have, Dialogflow first.
fn services() -> Vec<&'static str> {
    const DATA: &str = include_str!("../../../../src/google/catalogue/services.tsv");
    let rows = DATA.lines().filter_map(|line| {
        let mut cells = line.split('\t');
        (cells.next() == Some("service")).then(|| cells.next())?
    });
    let others = rows.filter(|service| *service != DIALOGFLOW);
    std::iter::once(DIALOGFLOW)
        .chain(others)
        .take(MOST_SERVICES)
        .collect()
}

/// The objects that another client writes to.
const PATCHED: usize = 40;

/// What was measured with a neighbour, or without.
struct Measured {
    lives: phases::Lives,
    /// How long another client's status patches took, right after.
    patches: Spread,
}

/// Measures and prints.
pub(super) fn measure(
    environment: &mut Environment,
    objects: usize,
    only: Option<&str>,
) -> Result<()> {
    let chosen: Vec<_> = NEIGHBOURS
        .iter()
        .enumerate()
        .filter(|(_, neighbour)| only.is_none_or(|only| neighbour.what.contains(only)))
        .collect();
    anyhow::ensure!(
        !chosen.is_empty(),
        "--neighbour: no neighbour has this text in its name; their names are {}",
        NEIGHBOURS.each_ref().map(|one| one.what).join("; ")
    );
    environment.install_unwatched_kind()?;
    let hides_names = can_hide_names();
    if !hides_names {
        println!(
            "Not measured: invented locations. The kernel does not let this user hide /etc/resolv.conf from one process (unshare --mount), and no \
             name may be asked for outside of this machine."
        );
    }
    let baseline = environment
        .runtime
        .block_on(Baseline::create(&environment.load, PATCHED))?;
    environment.start_controller_without_names(hides_names)?;
    phases::paced(environment, "fast-warm", 40, RATE)?;
    environment
        .runtime
        .block_on(baseline.patches(PATCHED, RATE))?;
    let services = services();
    let mut rows = Vec::new();
    for (number, neighbour) in chosen {
        let invents = matches!(neighbour.is, Kind::InventedLocations | Kind::AllServices);
        if invents && !hides_names {
            continue;
        }
        allow(environment, neighbour.is != Kind::LargeObjects, &services)?;
        let alone = both(
            environment,
            &baseline,
            &format!("fast-alone-{number}"),
            objects,
        )?;
        let beside = Beside {
            neighbour,
            number,
            services: &services,
            objects,
        };
        let unwatched = beside.measure(environment, &baseline, true)?;
        environment.remove_neighbours(LIMIT)?;
        let before = environment.metrics()?.resident();
        let mark = environment.mark()?;
        let with_neighbour = beside.measure(environment, &baseline, false)?;
        let memory = environment.metrics()?.resident();
        let calls = environment.calls(&mark)?.len();
        eprintln!("{}: {calls} calls arrived meanwhile", neighbour.what);
        rows.push(Row {
            what: neighbour.what,
            alone,
            unwatched,
            with_neighbour,
            memory: memory - before,
        });
        allow(environment, false, &services)?;
        environment.remove_neighbours(LIMIT)?;
    }
    print(&rows);
    Ok(())
}

/// What was measured with one neighbour.
struct Row {
    what: &'static str,
    alone: Measured,
    unwatched: Measured,
    with_neighbour: Measured,
    /// What the controller's resident memory grew by, in MiB.
    memory: f64,
}

fn print(rows: &[Row]) {
    let both = |spread: &Spread| format!("{:.1} / {:.1}", spread.p50(), spread.p99());
    let measured = |measured: &Measured| {
        let (cancel, patch) = (both(&measured.lives.to_cancel()), both(&measured.patches));
        format!("{cancel} | {patch}")
    };
    figures::head(&[
        "p50 / p99 ms of a new cancel and of another client's status patch; neighbour",
        "alone: cancel",
        "patch",
        "beside unwatched objects: cancel",
        "patch",
        "beside the neighbour: cancel",
        "patch",
        "memory, MiB",
    ]);
    for row in rows {
        println!(
            "| {} | {} | {} | {} | {:+.1} |",
            row.what,
            measured(&row.alone),
            measured(&row.unwatched),
            measured(&row.with_neighbour),
            row.memory
        );
    }
    figures::head(&[
        "with neighbour / with unwatched objects",
        "measured",
        "goal",
        "",
    ]);
    for row in rows {
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let cancel = |measured: &Measured| measured.lives.to_cancel().quantile(share);
            let with_neighbour = cancel(&row.with_neighbour);
            let alone = with_neighbour / cancel(&row.alone);
            let what = format!(
                "{name}, {} (with neighbour / alone: {alone:.2} x)",
                row.what
            );
            let ratio = with_neighbour / cancel(&row.unwatched);
            figures::judged(&what, ratio, " x", false, GOAL);
        }
    }
    for row in rows {
        row.unwatched
            .lives
            .print(&format!("{}, unwatched", row.what));
        row.with_neighbour.lives.print(row.what);
    }
}

/// The quiet tenant's new cancels, and another client's patches right after.
fn both(
    environment: &Environment,
    baseline: &Baseline,
    prefix: &str,
    objects: usize,
) -> Result<Measured> {
    Ok(Measured {
        lives: phases::paced(environment, prefix, objects, RATE)?,
        patches: environment
            .runtime
            .block_on(baseline.patches(objects, RATE))?,
    })
}

/// A neighbour that is measured.
struct Beside<'a> {
    neighbour: &'static Neighbour,
    number: usize,
    services: &'a [&'static str],
    /// How many objects the quiet tenant creates.
    objects: usize,
}

impl Beside<'_> {
    /// The same as [`both`] while the neighbour is there, or the same objects of a kind that the controller does not watch.
    fn measure(
        &self,
        environment: &Environment,
        baseline: &Baseline,
        unwatched: bool,
    ) -> Result<Measured> {
        let Self {
            neighbour, number, ..
        } = *self;
        let (prefix, load) = match unwatched {
            true => ("fast-unwatched", environment.load.of(UNWATCHED)),
            false => ("fast-beside", environment.load.clone()),
        };
        let ended = environment.metrics()?.ended();
        environment.runtime.block_on(self.create(&load))?;
        if !unwatched {
            environment.wait_for_neighbours(neighbour.objects, ended, LIMIT)?;
        }
        // Many that come at once cost the API server time whatever they are.
        std::thread::sleep(SETTLED);
        let changing = self.changes(environment, load);
        let prefix = format!("{prefix}-{number}");
        let measured = both(environment, baseline, &prefix, self.objects);
        if let Some(changing) = changing {
            environment.runtime.block_on(end(changing))?;
        }
        measured.with_context(|| neighbour.what)
    }

    async fn create(&self, load: &Load) -> Result<()> {
        let bodies = (0..self.neighbour.objects)
            .map(|n| object(self.neighbour, n, self.services))
            .collect();
        let each = |body: Value| {
            let load = load.clone();
            async move { load.create_object(NEIGHBOUR, body).await.map(drop) }
        };
        load::at_once(bodies, IN_FLIGHT, each).await.map(drop)
    }

    /// What the neighbour does all the time.
    fn changes(&self, environment: &Environment, load: Load) -> Option<JoinHandle<Result<()>>> {
        let neighbour = self.neighbour;
        let named = |n: u64| format!("{}-{n}", neighbour.prefix);
        let one_of = move |n: u64| named(n % neighbour.objects.max(1) as u64);
        let runtime = &environment.runtime;
        Some(match neighbour.is {
            Kind::BadAnswers | Kind::InventedLocations | Kind::AllServices => return None,
            Kind::LargeObjects => runtime.spawn(every(TOUCH, move |n| {
                let load = load.clone();
                async move { load.annotate(NEIGHBOUR, &named(0), n).await }
            })),
            Kind::GrantOnAndOff => {
                let services = self.services.to_vec();
                runtime.spawn(every(CHANGE, move |n| {
                    let (load, services) = (load.clone(), services.clone());
                    async move { load.allow_neighbour(!n.is_multiple_of(2), &services).await }
                }))
            }
            Kind::CreatedAndDeleted => runtime.spawn(every(CREATED, move |n| {
                let load = load.clone();
                async move {
                    let body = object(neighbour, usize::try_from(n)?, &[]);
                    load.create_object(NEIGHBOUR, body).await?;
                    load.delete(NEIGHBOUR, &named(n)).await
                }
            })),
            Kind::SuspendOnAndOff => runtime.spawn(every(EDIT, move |n| {
                let load = load.clone();
                let suspend = (n / neighbour.objects as u64).is_multiple_of(2);
                async move {
                    let patch = json!({"spec": {"suspend": suspend}});
                    load.merge(NEIGHBOUR, &one_of(n), &patch).await
                }
            })),
            Kind::StatusErased => runtime.spawn(every(EDIT, move |n| {
                let load = load.clone();
                async move {
                    let patch = json!({"status": {"conditions": null, "startTime": null}});
                    let name = format!("{}/status", one_of(n));
                    load.merge(NEIGHBOUR, &name, &patch).await
                }
            })),
        })
    }
}

/// Does something again and again, at this distance, however long each takes; until it fails.
async fn every<F>(distance: Duration, each: impl Fn(u64) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut ticks = interval(distance);
    let mut tasks = JoinSet::new();
    for n in 0_u64.. {
        ticks.tick().await;
        while tasks.len() >= IN_FLIGHT {
            tasks.join_next().await.context("no task")???;
        }
        while let Some(done) = tasks.try_join_next() {
            done??;
        }
        tasks.spawn(each(n));
    }
    Ok(())
}

/// Whether a process can be started for which no name outside of this machine has an address.
fn can_hide_names() -> bool {
    let tried = Command::new("unshare")
        .args([
            "--map-root-user",
            "--mount",
            "mount",
            "--bind",
            "/dev/null",
            "/etc/resolv.conf",
        ])
        .output();
    tried.is_ok_and(|output| output.status.success())
}

/// Ends a task that changes things meanwhile; if it ended by itself, it failed.
async fn end(mut task: JoinHandle<Result<()>>) -> Result<()> {
    if task.is_finished() {
        return (&mut task).await?;
    }
    task.abort();
    Ok(())
}

fn allow(environment: &Environment, allowed: bool, services: &[&str]) -> Result<()> {
    environment
        .runtime
        .block_on(environment.load.allow_neighbour(allowed, services))
}

/// One of the neighbour's objects.
fn object(neighbour: &Neighbour, n: usize, services: &[&str]) -> Value {
    let name = format!("{}-{n}", neighbour.prefix);
    let location = match neighbour.is {
        Kind::InventedLocations | Kind::AllServices => format!("invented{n}"),
        _ => "europe-west1".to_owned(),
    };
    let service = match neighbour.is {
        Kind::AllServices => services.iter().cycle().nth(n).unwrap_or(&DIALOGFLOW),
        _ => DIALOGFLOW,
    };
    let labels: Map<String, Value> = match neighbour.is {
        // The API server writes each key into the managed fields once more; together they stay below etcd's limit.
        Kind::LargeObjects => (0..1750)
            .map(|key| {
                let prefix = format!("{key:05}{}", "a.".repeat(100));
                (
                    format!("{}b/{key:05}{}", prefix, "k".repeat(50)),
                    json!("v".repeat(63)),
                )
            })
            .collect(),
        _ => Map::new(),
    };
    json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "service": service,
            "operationName": format!("projects/{NEIGHBOUR}/locations/{location}/operations/{name}"),
        },
    })
}
