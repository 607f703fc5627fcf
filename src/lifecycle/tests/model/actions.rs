//! What may happen next.

use std::time::Duration;

use super::{
    flight::Flight,
    scenario::Scenario,
    world::{GrantNow, OperationState, World},
};
use crate::google::answer::ErrorKind;

/// One thing that happens. Numbers are those of a process, an object and a request or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A request reaches its server, which answers.
    Arrive(usize, usize, usize, How),
    /// An answer reaches the process.
    Deliver(usize, usize, usize),
    /// The watch shows the next change.
    Watch(usize, usize),
    /// The watch shows the last change, and not those before.
    WatchLast(usize, usize),
    /// A wake-up is due.
    Wake(usize, usize),
    /// Time passes until the next wake-up or time limit.
    Advance,
    OperationEnds(usize, OperationState),
    Suspend(usize),
    EditDeadline(usize),
    /// An administrator raises `cancelAttempts`.
    HandEdit(usize),
    MarkDeleting(usize),
    Delete(usize),
    /// Another object of the same name, for another operation.
    Recreate,
    Grants(GrantNow),
    Crash(usize),
    Start(usize),
    /// The process is told to end.
    Stop(usize),
    /// It ends in good order.
    Exit(usize),
    Pause(usize),
    Resume(usize),
    /// A request of a process that died reaches its server.
    OrphanArrives(usize),
    OrphanIsLost(usize),
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Truly,
    GetError(ErrorKind),
    CancelError(ErrorKind),
    /// It has its effect, and the answer is lost.
    CancelLost,
    /// There is no connection.
    CancelNotSent,
    Withheld,
    WriteLost {
        stored: bool,
    },
    WriteFailed,
    WriteBusy,
    ReadRefused,
    ReadFailed,
}

pub fn possible(world: &World, scenario: &Scenario, actions: &mut Vec<Action>) {
    for p in 0..world.processes.len() {
        of_process(world, scenario, p, actions);
    }
    for i in 0..world.orphans.len() {
        actions.extend([Action::OrphanArrives(i), Action::OrphanIsLost(i)]);
    }
    for o in 0..world.objects.len() {
        of_object(world, o, actions);
    }
    if world.objects.len() == 1 && world.objects[0].view.is_none() {
        actions.push(Action::Recreate);
    }
    if world.left.grants > 0 {
        let others = [GrantNow::Granted, GrantNow::NotGranted, GrantNow::Unknown];
        actions.extend(
            others
                .into_iter()
                .filter(|other| *other != world.grant)
                .map(Action::Grants),
        );
    }
    if advance_to(world).is_some() {
        actions.push(Action::Advance);
    }
}

fn of_process(world: &World, scenario: &Scenario, p: usize, actions: &mut Vec<Action>) {
    let process = &world.processes[p];
    if !process.is_alive {
        actions.push(Action::Start(p));
        return;
    }
    if world.left.crashes > 0 {
        actions.push(Action::Crash(p));
    }
    if process.is_stopping {
        if process.is_drained() {
            actions.push(Action::Exit(p));
        }
    } else if world.left.stops > 0 {
        actions.push(Action::Stop(p));
    }
    if process.is_paused {
        actions.push(Action::Resume(p));
    } else if world.left.pauses > 0 {
        actions.push(Action::Pause(p));
    }
    for (o, cell) in process.cells.iter().enumerate() {
        for (i, flight) in cell.flights.iter().enumerate() {
            if flight.is_answer() {
                if !process.is_paused {
                    actions.push(Action::Deliver(p, o, i));
                }
            } else {
                let arrive = |how| Action::Arrive(p, o, i, how);
                answers(world, scenario, p, flight, |how| actions.push(arrive(how)));
            }
        }
        if process.is_paused {
            continue;
        }
        if !cell.watch.is_empty() {
            actions.push(Action::Watch(p, o));
        }
        if cell.watch.len() > 1 && world.left.stale > 0 {
            actions.push(Action::WatchLast(p, o));
        }
        if cell.wake.is_some_and(|at| at <= world.now) {
            actions.push(Action::Wake(p, o));
        }
    }
}

/// How a request may be answered.
fn answers(
    world: &World,
    scenario: &Scenario,
    p: usize,
    flight: &Flight,
    mut may: impl FnMut(How),
) {
    may(How::Truly);
    let withheld = world.grant != GrantNow::Granted || world.processes[p].is_stopping;
    match flight {
        Flight::Get(_) => {
            if withheld {
                may(How::Withheld);
            }
            if world.left.answers > 0 {
                scenario
                    .get_errors
                    .iter()
                    .for_each(|kind| may(How::GetError(*kind)));
            }
        }
        Flight::Post { .. } => {
            if withheld {
                may(How::Withheld);
            }
            if world.left.answers > 0 {
                scenario
                    .cancel_errors
                    .iter()
                    .for_each(|kind| may(How::CancelError(*kind)));
                if scenario.loses_cancels {
                    may(How::CancelLost);
                    may(How::CancelNotSent);
                }
            }
        }
        Flight::Write { .. } if world.left.writes > 0 => {
            may(How::WriteLost { stored: true });
            may(How::WriteLost { stored: false });
            may(How::WriteFailed);
            may(How::WriteBusy);
        }
        Flight::Reread { .. } if world.left.writes > 0 => {
            may(How::ReadRefused);
            may(How::ReadFailed);
        }
        _ => {}
    }
}

fn of_object(world: &World, o: usize, actions: &mut Vec<Action>) {
    let object = &world.objects[o];
    if object.operation == OperationState::Running {
        if object.is_requested {
            actions.push(Action::OperationEnds(o, OperationState::Cancelled));
        }
        if world.left.ends > 0 {
            let ends = [
                OperationState::Completed,
                OperationState::Failed,
                OperationState::NoResult,
            ];
            actions.extend(ends.map(|end| Action::OperationEnds(o, end)));
        }
    }
    let Some(view) = &object.view else {
        return;
    };
    if world.left.deletions > 0 {
        actions.push(Action::Delete(o));
        if !view.deleting {
            actions.push(Action::MarkDeleting(o));
        }
    } else if view.deleting {
        actions.push(Action::Delete(o));
    }
    if view.status.outcome.is_some() || view.spec.is_err() {
        return;
    }
    if world.left.edits > 0 {
        actions.extend([Action::Suspend(o), Action::EditDeadline(o)]);
    }
    if world.left.hand_edits > 0 {
        actions.push(Action::HandEdit(o));
    }
}

/// How long nobody looks at the time if no process runs.
const NOBODY_RUNS: Duration = Duration::from_secs(30);

/// Until when time may pass now.
pub fn advance_to(world: &World) -> Option<Duration> {
    let mut next: Option<Duration> = None;
    let mut earlier = |at: Duration| next = Some(next.map_or(at, |next| next.min(at)));
    let (mut is_slow, mut is_stale, mut nobody) = (false, false, true);
    for process in world.processes.iter().filter(|process| process.is_alive) {
        nobody &= process.is_paused;
        for cell in &process.cells {
            for flight in &cell.flights {
                match flight.by() {
                    Some(by) => {
                        is_slow = true;
                        earlier(by);
                    }
                    None if !process.is_paused => return None,
                    None => {}
                }
            }
            if process.is_paused {
                continue;
            }
            is_stale |= !cell.watch.is_empty();
            if let Some(wake) = cell.wake {
                earlier(wake);
            }
        }
    }
    is_slow |= !world.orphans.is_empty();
    if (is_slow && world.left.slow == 0) || (is_stale && world.left.stale == 0) {
        return None;
    }
    if nobody && next.is_none() && world.now < Duration::from_secs(200) {
        next = Some(world.now + NOBODY_RUNS);
    }
    next.filter(|next| *next > world.now)
}

/// Whether it costs a part of the budget that time passes now: requests under way, watches that have not shown everything.
pub fn advance_costs(world: &World) -> (bool, bool) {
    let alive = || world.processes.iter().filter(|process| process.is_alive);
    let slow = alive()
        .flat_map(|process| &process.cells)
        .any(|cell| cell.flights.iter().any(|flight| flight.by().is_some()));
    let stale = alive()
        .filter(|process| !process.is_paused)
        .flat_map(|process| &process.cells)
        .any(|cell| !cell.watch.is_empty());
    (slow || !world.orphans.is_empty(), stale)
}

impl Flight {
    pub const fn is_answer(&self) -> bool {
        self.by().is_none()
    }

    /// When the request ends at the latest; `None` for an answer.
    pub const fn by(&self) -> Option<Duration> {
        match self {
            Self::Get(get) => Some(get.by),
            Self::Post { by } | Self::Write { by, .. } | Self::Reread { by } => Some(*by),
            Self::GetAnswer(..)
            | Self::PostAnswer(_)
            | Self::WriteAnswer(..)
            | Self::Turn
            | Self::RereadAnswer(_) => None,
        }
    }
}
