//! The rows, one after another.

use std::collections::HashMap;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    arguments::Arguments,
    end::Looks,
    form::{Form, fits, words},
    permit::{MayCancel, NoLeave, Said},
    plan::{Cancel, Plan, Read, Row, Step, Subject, TokenChoice, Whose},
    report::{Report, RowReport, Verdict},
    seen::{NameForm, Seen},
    set_up,
    wire::Wire,
};
use opcancel::google::{answer::Operation, catalogue::Target, operation_name::OperationName};

/// Why a row has no answer when `stop` came. Its request may have been sent: the row says how many were.
const INTERRUPTED: &str = "interrupted";

/// Tries every row, and tells each as it is known. When `stop` is cancelled the row under way is given up, and no other is
/// tried: what was learnt until then is in the report.
///
/// # Errors
/// If the very first request brings no answer, or one that says that nobody can ask from here: what is to be mended, in words.
pub async fn run(
    arguments: &Arguments,
    plan: &Plan,
    wire: &mut Wire,
    stop: &CancellationToken,
    mut told: impl FnMut(&RowReport),
) -> Result<Report, String> {
    let mut running = Running {
        arguments,
        plan,
        wire,
        last: HashMap::new(),
        throttled: false,
    };
    let mut rows = Vec::new();
    for row in &plan.rows {
        let sent = running.wire.sent();
        let report = tokio::select! {
            biased;
            () = stop.cancelled() => RowReport {
                requests: running.wire.sent() - sent,
                ..not_tried(running.blank(row), INTERRUPTED)
            },
            report = running.row(row) => report,
        };
        let first = report.seen.as_ref().filter(|_| rows.is_empty());
        if let Some(why) = first.and_then(|seen| set_up::wrong(seen, &arguments.service)) {
            return Err(why);
        }
        told(&report);
        rows.push(report);
    }
    Ok(Report {
        program: concat!("opcancel-probe ", env!("CARGO_PKG_VERSION")).to_owned(),
        service: arguments.service.clone(),
        api_version: arguments.api_version.first().cloned().unwrap_or_default(),
        endpoints: plan.endpoints().into_iter().map(str::to_owned).collect(),
        credentials: wire.credentials(),
        principal: wire.principal(),
        quota_project: wire.quota_project().map(str::to_owned),
        run: wire.run().to_owned(),
        requests: wire.sent(),
        rows,
    })
}

struct Running<'a> {
    arguments: &'a Arguments,
    plan: &'a Plan,
    wire: &'a mut Wire,
    /// What the last GET said of an operation there, asked for as the controller would: leave to cancel it there depends
    /// on it.
    last: HashMap<(Target, OperationName), Said>,
    /// A quota is used up: others need what comes back.
    throttled: bool,
}

impl Running<'_> {
    fn blank(&self, row: &Row) -> RowReport {
        RowReport {
            id: row.id.clone(),
            title: row.title.to_owned(),
            request: self.plan.request(row, self.arguments),
            expected: words(row.expected),
            ..RowReport::default()
        }
    }

    async fn row(&mut self, row: &Row) -> RowReport {
        let mut report = self.blank(row);
        let step = match &row.step {
            Err(needs) => return not_tried(report, needs),
            Ok(_) if self.throttled => return not_tried(report, "a quota is used up"),
            Ok(step) => step,
        };
        let (sent, before) = (self.wire.sent(), self.before(step).cloned());
        let was_done = before.as_ref().is_some_and(|operation| operation.done);
        if row.expected.contains(&Form::DoneAsBefore) && !was_done {
            return not_tried(report, "no GET said that it is done");
        }
        let seen = match step {
            Step::Read(read) if !self.wire.has(read.token) => {
                return not_tried(
                    report,
                    "a person's credentials have the scopes that the person granted",
                );
            }
            Step::Read(read) => self.read(&row.id, read).await,
            Step::AwaitEnd(read) => match self.runs(read) {
                true => self.await_end(&row.id, read).await,
                false => return not_tried(report, "no GET said that it runs"),
            },
            Step::Cancel(cancel) => match self.leave(cancel) {
                Ok(leave) => self.cancel(&row.id, cancel, &leave).await,
                Err(why) => return not_tried(report, why),
            },
        };
        self.throttled = seen.is_throttled();
        report.requests = self.wire.sent() - sent;
        report.verdict = if seen.http_status.is_none() {
            Verdict::NoAnswer
        } else if fits(row.expected, &seen, before.as_ref()) {
            Verdict::AsExpected
        } else {
            Verdict::Differs
        };
        report.seen = Some(seen);
        report
    }

    /// What was known before of the operation that a step reads.
    fn before(&self, step: &Step) -> Option<&Operation> {
        let (Step::Read(read) | Step::AwaitEnd(read)) = step else {
            return None;
        };
        self.last(&read.target, operation(read)?)?.operation()
    }

    async fn read(&mut self, id: &str, read: &Read) -> Seen {
        let observed = self.wire.get(id, read).await;
        let seen = match (&observed, &read.subject) {
            (Err(error), _) => Seen::nothing(error),
            (Ok(observed), Subject::List(_)) => Seen::of_page(observed),
            (Ok(observed), Subject::Path(_)) => Seen::of_get(observed, None),
            (Ok(observed), Subject::Operation(name)) => Seen::of_get(observed, Some(name)),
        };
        // Only what the controller would have asked is believed: a refusal of a made-up token tells nothing.
        let as_usual = read.token == TokenChoice::Usual && read.payer.is_none();
        if let (Some(name), true) = (operation(read), as_usual) {
            let answer = observed.and_then(|seen| seen.get_answer(std::time::SystemTime::now()));
            let about = seen.operation.as_ref().map_or(NameForm::Other, |o| o.name);
            let place = (read.target.clone(), name.clone());
            self.last.insert(place, Said::new(answer, about));
        }
        seen
    }

    fn last(&self, target: &Target, name: &OperationName) -> Option<&Said> {
        self.last.get(&(target.clone(), name.clone()))
    }

    fn runs(&self, read: &Read) -> bool {
        let last = operation(read).and_then(|name| self.last(&read.target, name));
        last.is_some_and(|said| said.done(false))
    }

    async fn await_end(&mut self, id: &str, read: &Read) -> Seen {
        let mut looks = Looks::new(self.arguments.wait, Instant::now());
        loop {
            let seen = self.read(id, read).await;
            match looks.next(&seen, Instant::now()) {
                Some(at) => self.wire.rest_until(at),
                None => return seen,
            }
        }
    }

    /// Leave for a cancel, and whether it makes sense.
    fn leave(&self, cancel: &Cancel) -> Result<MayCancel, NoLeave> {
        let name = self.plan.name(cancel.whose, self.arguments);
        let last = name.and_then(|name| self.last(&cancel.target, name));
        let done = |wanted: bool| last.is_some_and(|said| said.done(wanted));
        match cancel.whose {
            Whose::Missing => MayCancel::missing(self.arguments, &self.plan.fresh, last),
            Whose::Forbidden => match &self.plan.forbidden {
                Some(fresh) => MayCancel::missing(self.arguments, fresh, last),
                None => Err("needs --forbidden-project PROJECT"),
            },
            Whose::Finished => MayCancel::finished(self.arguments, last),
            Whose::Running if !done(false) => Err("no GET said that it runs"),
            Whose::Ended if !done(true) => Err("no GET said that it is done"),
            Whose::Running | Whose::Ended => MayCancel::told(self.arguments),
        }
    }

    async fn cancel(&mut self, id: &str, cancel: &Cancel, leave: &MayCancel) -> Seen {
        let observed = self.wire.cancel(id, leave, &cancel.target, cancel.length);
        match observed.await {
            Ok(observed) => Seen::of_cancel(&observed),
            Err(error) => Seen::nothing(&error),
        }
    }
}

fn operation(read: &Read) -> Option<&OperationName> {
    match &read.subject {
        Subject::Operation(name) => Some(name),
        Subject::List(_) | Subject::Path(_) => None,
    }
}

fn not_tried(report: RowReport, why: &str) -> RowReport {
    RowReport {
        why: Some(why.to_owned()),
        ..report
    }
}
