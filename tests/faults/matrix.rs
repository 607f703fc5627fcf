//! The cells of the matrix, and how they are run.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc, time::Instant};

use strum::IntoEnumIterator;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    case::{self, End},
    faults::{Fault, PERMITTED},
    lives::{ELECTION, LIVES, Life, START},
    points::{Kind, Point},
};

/// How many processes run at a time. They mostly wait.
const AT_A_TIME: usize = 24;

/// A life and what goes wrong in it.
#[derive(Clone)]
pub struct Cell {
    /// The life.
    pub life: &'static Life,
    /// The faults, each at its point.
    pub faults: Vec<(Point, Fault)>,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.life.name)?;
        let mut faults = self.faults.iter();
        faults.try_for_each(|(point, fault)| write!(f, " {point} {fault}"))
    }
}

impl FromStr for Cell {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split_whitespace().collect();
        let (name, faults) = words.split_first().ok_or("a life, a point and a fault")?;
        let life = LIVES.iter().find(|life| life.name == *name);
        let faults = faults.chunks(2).map(|pair| match pair {
            [point, fault] => Ok((point.parse()?, fault.parse()?)),
            _ => Err(format!("{text}: each point has a fault")),
        });
        Ok(Self {
            life: life.ok_or_else(|| format!("{name} is no life"))?,
            faults: faults.collect::<Result<_, String>>()?,
        })
    }
}

impl Cell {
    /// Whether it waits for about a minute: for a watch that says nothing, or a token server that does not answer.
    pub fn is_slow(&self) -> bool {
        self.faults.iter().any(|(point, fault)| {
            let silent = matches!(fault, Fault::Hang | Fault::HalfOpen);
            let waits = !matches!(
                point.kind,
                Kind::StatusWrite | Kind::EventCreate | Kind::Get | Kind::Cancel
            );
            silent && waits
        })
    }
}

/// The points of a life in which nothing goes wrong.
pub fn points(life: &Life) -> Vec<Point> {
    let election: &[&str] = if life.has_standby { &ELECTION } else { &[] };
    let names = START.iter().chain(election).chain(life.points);
    names.map(|name| name.parse().unwrap()).collect()
}

/// Every pair of a point and a fault that fits it; in a life with a standby, only the crashes.
pub fn cells(life: &'static Life) -> Vec<Cell> {
    let points = points(life);
    let is_last_event = |point: &Point| {
        let later = |other: &Point| other.kind == point.kind && other.number > point.number;
        !points.iter().any(later)
    };
    let fits = |point: &Point, fault: Fault| {
        // The last event of an object says that it is finished. No other event follows that could come before it.
        let has_next = point.kind != Kind::ObjectEvent || !is_last_event(point);
        fault.fits(point.kind) && (fault != Fault::EventsSwapped || has_next)
    };
    let cells = points.iter().flat_map(|point| {
        let fitting = Fault::iter().filter(|fault| fits(point, *fault));
        let fitting = fitting.filter(|fault| fault.is_crash() || !life.has_standby);
        fitting.map(|fault| Cell {
            life,
            faults: vec![(*point, fault)],
        })
    });
    cells.collect()
}

/// Pairs of faults of one life, drawn by a seed. The second one may be at a point that only the first one leads to.
pub fn pairs(seed: u64, count: usize) -> Vec<Cell> {
    let mut random = fastrand::Rng::with_seed(seed);
    let pair = || {
        // A standby takes over once, so a life with one has no second fault.
        let alone = || LIVES.iter().filter(|life| !life.has_standby);
        let life = alone().nth(random.usize(..alone().count())).unwrap();
        let mut cells = cells(life);
        // A GET of the object follows a write whose result is not known.
        cells.extend(
            Fault::iter()
                .filter(|fault| fault.fits(Kind::ObjectRead))
                .map(|fault| {
                    let point = Point {
                        kind: Kind::ObjectRead,
                        cancels: 0,
                        number: 1,
                    };
                    Cell {
                        life,
                        faults: vec![(point, fault)],
                    }
                }),
        );
        let first = cells.swap_remove(random.usize(..cells.len())).faults[0];
        let mut faults = vec![first];
        cells.retain(|cell| cell.faults[0].0 != first.0);
        faults.extend(cells.swap_remove(random.usize(..cells.len())).faults);
        Cell { life, faults }
    };
    std::iter::repeat_with(pair).take(count).collect()
}

/// What became of a cell.
struct Tried {
    cell: Cell,
    /// The end, or what went wrong.
    result: Result<case::Finished, String>,
}

/// Runs cells, several at a time, and the same lives without faults. Returns how many faults happened; fails with the cells whose end
/// was another one, each with the command that runs it alone.
pub async fn run(cells: Vec<Cell>) -> usize {
    let begun = Instant::now();
    let count = cells.len();
    let mut waiting: Vec<Cell> = LIVES
        .iter()
        .filter(|life| cells.iter().any(|cell| cell.life.name == life.name))
        .map(|life| Cell {
            life,
            faults: Vec::new(),
        })
        .collect();
    waiting.extend(cells);
    // Those that wait for a minute begin first.
    waiting.sort_by_key(|cell| !cell.is_slow());
    let tried = run_several_at_a_time(waiting).await;

    let (without, with): (Vec<_>, Vec<_>) = tried
        .into_iter()
        .partition(|tried| tried.cell.faults.is_empty());
    let mut failures = Vec::new();
    for tried in &without {
        if let Err(why) = goes_as_declared(tried) {
            failures.push((tried.cell.clone(), why));
        }
    }
    let mut happened = 0;
    for tried in with {
        let same_life = |without: &&Tried| without.cell.life.name == tried.cell.life.name;
        let expected = without
            .iter()
            .find(same_life)
            .and_then(|tried| tried.result.as_ref().ok());
        match judge(&tried, expected) {
            Ok(faults) => happened += faults,
            Err(why) => failures.push((tried.cell, why)),
        }
    }
    println!(
        "{count} cases, {happened} faults happened, {} cases ended in another way, {:.0} s",
        failures.len(),
        begun.elapsed().as_secs_f32(),
    );
    for (cell, why) in failures.iter().take(5) {
        println!("==== {cell}\n{why}");
    }
    for (cell, why) in &failures {
        let why = why.lines().next().unwrap_or_default();
        println!(
            "{why}\n    OPCANCEL_FAULTS='{cell}' cargo test --test faults -- --nocapture some_points"
        );
    }
    assert!(failures.is_empty());
    happened
}

async fn run_several_at_a_time(cells: Vec<Cell>) -> Vec<Tried> {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut running = JoinSet::new();
    for cell in cells {
        let processes = 1 + u32::from(cell.life.has_standby);
        let place = places.clone().acquire_many_owned(processes);
        let place = place.await.unwrap();
        running.spawn(async move {
            let result = case::run(cell.life, &cell.faults).await;
            if let Err(why) = &result {
                // At once, because a long run may be ended early.
                println!("{cell}: {}", why.lines().next().unwrap_or_default());
            }
            drop(place);
            Tried { cell, result }
        });
    }
    running.join_all().await
}

/// Checks that a life without faults has the points that it declares, and no others.
fn goes_as_declared(tried: &Tried) -> Result<(), String> {
    let finished = tried.result.as_ref().map_err(Clone::clone)?;
    let declared: BTreeSet<_> = points(tried.cell.life).into_iter().collect();
    let is_unexpected = |point: &&Point| {
        let name = point.to_string();
        let (kind, _) = name.split_once('#').unwrap();
        // The API server ends a watch after a minute, and another one begins, after a list if it ended with an error.
        let is_watch = point.kind.events().is_some();
        let is_list = matches!(point.kind, Kind::GrantList | Kind::ObjectList);
        !is_watch && !is_list && !tried.cell.life.more.contains(&kind)
    };
    let names = |points: Vec<&Point>| points.iter().map(ToString::to_string).collect::<Vec<_>>();
    let must_come = |point: &&Point| !may_miss(tried.cell.life, point);
    let missing = declared.difference(&finished.trace).filter(must_come);
    let missing = names(missing.collect());
    let more = names(
        finished
            .trace
            .difference(&declared)
            .filter(is_unexpected)
            .collect(),
    );
    if missing.is_empty() && more.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "it has no {missing:?}, but {more:?}\n{}",
            finished.story
        ))
    }
}

fn may_miss(life: &Life, point: &Point) -> bool {
    life.may_miss.contains(&point.to_string().as_str())
}

/// Returns how many faults happened.
fn judge(tried: &Tried, expected: Option<&case::Finished>) -> Result<usize, String> {
    let finished = tried.result.as_ref().map_err(Clone::clone)?;
    let expected = expected.ok_or("the life without faults failed")?;
    let mut differences = differences(&tried.cell, &finished.end, &expected.end);
    let is_pair = tried.cell.faults.len() > 1;
    let left = finished.left.len();
    let must_come = |(point, _): &&(Point, Fault)| !may_miss(tried.cell.life, point);
    let missed = finished.left.iter().filter(must_come).count();
    // After the first fault the second one's point may not come.
    if missed > 0 && (!is_pair || missed > 1) {
        differences.push(format!("{missed} faults did not happen"));
    }
    if differences.is_empty() {
        Ok(tried.cell.faults.len() - left)
    } else {
        Err(format!("{}\n{}", differences.join("; "), finished.story))
    }
}

/// What differs between an end and that of the life without faults, and is not permitted.
fn differences(cell: &Cell, end: &End, expected: &End) -> Vec<String> {
    let permitted = PERMITTED.iter().any(|permitted| {
        let covers =
            |(point, fault): &(Point, Fault)| permitted.covers(cell.life.name, point.kind, *fault);
        cell.faults.iter().any(covers)
            && end.conditions.get("CancelRequested").map(String::as_str)
                == Some(permitted.cancel_requested)
    });
    let mut differences = Vec::new();
    let mut compare = |what: &str, actual: String, wanted: String| {
        if actual != wanted {
            differences.push(format!("{what} is {actual} instead of {wanted}"));
        }
    };
    compare("outcome", end.outcome.clone(), expected.outcome.clone());
    let types: BTreeSet<_> = end
        .conditions
        .keys()
        .chain(expected.conditions.keys())
        .collect();
    for type_ in types
        .into_iter()
        .filter(|type_| !permitted || *type_ != "CancelRequested")
    {
        let of = |end: &End| end.conditions.get(type_).cloned().unwrap_or_default();
        compare(type_, of(end), of(expected));
    }
    compare(
        "operation",
        end.operation.to_string(),
        expected.operation.to_string(),
    );
    if !permitted || end.last_error["call"] != "Cancel" {
        compare(
            "lastError",
            end.last_error.to_string(),
            expected.last_error.to_string(),
        );
    }
    // Each fault may cost one cancel request, or the intent of one.
    let most = expected.attempts + cell.faults.len();
    if !(expected.attempts..=most).contains(&end.attempts) {
        compare(
            "cancelAttempts",
            end.attempts.to_string(),
            expected.attempts.to_string(),
        );
    }
    differences
}
