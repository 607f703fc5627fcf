//! Runs the rows, one after another.

use std::{collections::HashMap, time::SystemTime};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    arguments::Arguments,
    consent::{CancelConsent, LastAnswer, NoConsent},
    expectation::{ExpectedAnswer, describe, is_met},
    observation::{NameForm, ObservedAnswer},
    paced_client::PacedClient,
    plan::Plan,
    poll_schedule::PollSchedule,
    report::{Report, RowReport, Verdict},
    setup_problem::setup_problem,
    step::{Cancel, CancelSubject, Read, Resource, Row, Step, TokenChoice},
};
use opcancel::google::{answer::Operation, catalogue::Target, operation_name::OperationName};

/// Why a row has no answer after `stop`. Its request may have been sent: the row says how many were.
const INTERRUPTED: &str = "interrupted";

/// Tries every row, and calls `on_row` with the report of each. When `stop` is cancelled, the current row is given up and no
/// other is tried; the report then has the answers until that moment.
///
/// # Errors
/// If the first request gets no answer, or one that shows that no other request can succeed: a sentence that says what to do.
pub async fn run(
    arguments: &Arguments,
    plan: &Plan,
    client: &mut PacedClient,
    stop: &CancellationToken,
    mut on_row: impl FnMut(&RowReport),
) -> Result<Report, String> {
    let mut run = Run {
        arguments,
        plan,
        client,
        last: HashMap::new(),
        throttled: false,
    };
    let mut rows = Vec::new();
    for row in &plan.rows {
        let sent = run.client.sent();
        let report = tokio::select! {
            biased;
            () = stop.cancelled() => RowReport {
                requests: run.client.sent() - sent,
                ..not_tried(run.blank(row), INTERRUPTED)
            },
            report = run.row(row) => report,
        };
        let first = report.observed.as_ref().filter(|_| rows.is_empty());
        if let Some(problem) = first.and_then(|first| setup_problem(first, &arguments.service)) {
            return Err(problem);
        }
        on_row(&report);
        rows.push(report);
    }
    Ok(Report {
        program: concat!("opcancel-probe ", env!("CARGO_PKG_VERSION")).to_owned(),
        service: arguments.service.clone(),
        api_version: arguments.api_version.first().cloned().unwrap_or_default(),
        endpoints: plan.endpoints().into_iter().map(str::to_owned).collect(),
        credentials: client.credentials(),
        principal: client.principal(),
        quota_project: client.quota_project().map(str::to_owned),
        run: client.run().to_owned(),
        requests: client.sent(),
        rows,
    })
}

struct Run<'a> {
    arguments: &'a Arguments,
    plan: &'a Plan,
    client: &'a mut PacedClient,
    /// The answers to the last GET of each operation at each endpoint, sent as the controller would send it. Consent to
    /// cancel an operation depends on them.
    last: HashMap<(Target, OperationName), LastAnswer>,
    /// A quota is used up; what it gets back is left to its other users.
    throttled: bool,
}

impl Run<'_> {
    fn blank(&self, row: &Row) -> RowReport {
        RowReport {
            id: row.id.clone(),
            title: row.title.to_owned(),
            request: self.plan.request(row, self.arguments),
            expected: describe(row.expected),
            ..RowReport::default()
        }
    }

    async fn row(&mut self, row: &Row) -> RowReport {
        let mut report = self.blank(row);
        let (sent, before) = (self.client.sent(), self.before(row).cloned());
        let observed = match self.observe(row, before.as_ref()).await {
            Ok(observed) => observed,
            Err(reason) => return not_tried(report, reason),
        };
        self.throttled = observed.is_throttled();
        report.requests = self.client.sent() - sent;
        report.verdict = if observed.http_status.is_none() {
            Verdict::NoAnswer
        } else if is_met(row.expected, &observed, before.as_ref()) {
            Verdict::AsExpected
        } else {
            Verdict::Differs
        };
        report.observed = Some(observed);
        report
    }

    /// The answer to the row's last request; or why nothing was sent.
    async fn observe(
        &mut self,
        row: &Row,
        before: Option<&Operation>,
    ) -> Result<ObservedAnswer, &'static str> {
        let step = row.step.as_ref().map_err(|needs| *needs)?;
        if self.throttled {
            return Err("a quota is used up");
        }
        let was_done = before.is_some_and(|operation| operation.done);
        if row.expected.contains(&ExpectedAnswer::DoneAsBefore) && !was_done {
            return Err("no GET reported that it is done");
        }
        match step {
            Step::Read(read) if !self.client.has(read.token) => {
                Err("user credentials have the scopes that the user granted")
            }
            Step::Read(read) => Ok(self.read(&row.id, read).await),
            Step::AwaitEnd(read) if self.is_running(read) => {
                Ok(self.await_end(&row.id, read).await)
            }
            Step::AwaitEnd(_) => Err("no GET reported that it is running"),
            Step::Cancel(cancel) => {
                let consent = self.consent(cancel)?;
                Ok(self.cancel(&row.id, cancel, &consent).await)
            }
        }
    }

    /// What the last GET returned for the operation that a row reads.
    fn before(&self, row: &Row) -> Option<&Operation> {
        let Ok(Step::Read(read) | Step::AwaitEnd(read)) = &row.step else {
            return None;
        };
        self.last(&read.target, read.operation()?)?.operation()
    }

    async fn read(&mut self, id: &str, read: &Read) -> ObservedAnswer {
        let answer = self.client.get(id, read).await;
        let observed = match (&answer, &read.resource) {
            (Err(error), _) => ObservedAnswer::missing(error),
            (Ok(answer), Resource::List(_)) => ObservedAnswer::of_page(answer),
            (Ok(answer), Resource::UnknownPath(_)) => ObservedAnswer::of_get(answer, None),
            (Ok(answer), Resource::Operation(name)) => ObservedAnswer::of_get(answer, Some(name)),
        };
        // Only a GET as the controller sends it counts: the refusal of a made-up token says nothing about the operation.
        let as_usual = read.token == TokenChoice::Usual && read.payer.is_none();
        if let (Some(name), true) = (read.operation(), as_usual) {
            let answer = answer.and_then(|answer| answer.get_answer(SystemTime::now()));
            let about = observed
                .operation
                .as_ref()
                .map_or(NameForm::Other, |operation| operation.name);
            let place = (read.target.clone(), name.clone());
            self.last.insert(place, LastAnswer::new(answer, about));
        }
        observed
    }

    fn last(&self, target: &Target, name: &OperationName) -> Option<&LastAnswer> {
        self.last.get(&(target.clone(), name.clone()))
    }

    fn is_running(&self, read: &Read) -> bool {
        let last = read
            .operation()
            .and_then(|name| self.last(&read.target, name));
        last.is_some_and(|answer| answer.done(false))
    }

    async fn await_end(&mut self, id: &str, read: &Read) -> ObservedAnswer {
        let mut schedule = PollSchedule::new(self.arguments.wait, Instant::now());
        loop {
            let observed = self.read(id, read).await;
            match schedule.next(&observed, Instant::now()) {
                Some(at) => self.client.pause_until(at),
                None => return observed,
            }
        }
    }

    /// Consent for a cancel, if the cancel makes sense now.
    fn consent(&self, cancel: &Cancel) -> Result<CancelConsent, NoConsent> {
        let name = self.plan.name(cancel.subject, self.arguments);
        let last = name.and_then(|name| self.last(&cancel.target, name));
        let done = |wanted: bool| last.is_some_and(|answer| answer.done(wanted));
        match cancel.subject {
            CancelSubject::Missing => {
                CancelConsent::missing(self.arguments, &self.plan.missing, last)
            }
            CancelSubject::Forbidden => match &self.plan.forbidden {
                Some(random) => CancelConsent::missing(self.arguments, random, last),
                None => Err("needs --forbidden-project PROJECT"),
            },
            CancelSubject::Finished => CancelConsent::finished(self.arguments, last),
            CancelSubject::Running if !done(false) => Err("no GET reported that it is running"),
            CancelSubject::Ended if !done(true) => Err("no GET reported that it is done"),
            CancelSubject::Running | CancelSubject::Ended => CancelConsent::running(self.arguments),
        }
    }

    async fn cancel(
        &mut self,
        id: &str,
        cancel: &Cancel,
        consent: &CancelConsent,
    ) -> ObservedAnswer {
        let answer = self
            .client
            .cancel(id, consent, &cancel.target, cancel.has_content_length);
        match answer.await {
            Ok(answer) => ObservedAnswer::of_cancel(&answer),
            Err(error) => ObservedAnswer::missing(&error),
        }
    }
}

fn not_tried(report: RowReport, reason: &str) -> RowReport {
    RowReport {
        reason: Some(reason.to_owned()),
        ..report
    }
}
