//! All operations by name, and the clock for their ages.

mod entries;
mod overview;

use entries::Entries;
pub use overview::{Order, Overview, Selection};

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::{
    operations::{
        listing::ListRequest,
        operation::{CancelVerdict, Phase},
        operation_json::operation_json,
        operation_view::OperationView,
    },
    protocol::{bindings::OperationForm, call::Call},
    scenario::{
        Scenario,
        fault::Fault,
        script::{EndResult, Script},
    },
};

/// All operations, templates and faults of the endpoint.
#[derive(Debug)]
pub struct Store {
    inner: Mutex<Entries>,
    changed: watch::Sender<()>,
}

/// The fault and latency of one request, decided at its arrival.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The fault that answers it, if any.
    pub fault: Option<Fault>,
    /// The operation's own latency, if it has one.
    pub latency: Option<crate::scenario::latency::Latency>,
}

impl Store {
    /// The operations of a scenario, all created now.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            inner: Mutex::new(Entries::new(scenario)),
            changed: watch::Sender::new(()),
        }
    }

    /// Counts a request, and returns its fault and latency. It creates no operation from a template: only a permitted request
    /// does, with [`Store::create_from_template`], [`Store::get`] or [`Store::cancel`].
    pub fn arrive(&self, name: &str, call: Call, principal: &str) -> Arrival {
        let mut inner = self.lock();
        let nth_of_all = inner.count(call);
        let of_endpoint = inner
            .faults
            .iter()
            .find(|fault| fault.meets(call, nth_of_all, Some(principal)))
            .cloned();
        // A list has a parent and no operation.
        let entry = if call == Call::List {
            None
        } else {
            inner.asked(name)
        };
        let Some(entry) = entry else {
            return Arrival {
                fault: of_endpoint,
                latency: None,
            };
        };
        entry.last_asked = Some(Timestamp::now());
        let nth = entry.operation.count(call);
        let fault = of_endpoint.or_else(|| entry.operation.fault(call, nth, Some(principal)));
        Arrival {
            fault,
            latency: entry.operation.script().latency,
        }
    }

    /// Creates the operation of this name, if it does not exist yet and there is a template for it.
    pub fn create_from_template(&self, name: &str) {
        self.lock().entry(name);
    }

    /// The service that the operation's script names.
    pub fn service_of(&self, name: &str) -> Option<String> {
        self.lock().script(name)?.service.clone()
    }

    /// The answer to a GET, with this name and in this form, and the number of padding bytes in its response; `None` for NOT_FOUND.
    pub fn get(
        &self,
        name: &str,
        name_in_answer: &str,
        form: OperationForm,
    ) -> Option<(serde_json::Value, usize)> {
        let mut inner = self.lock();
        let entry = inner.entry(name)?;
        let phase = entry.phase();
        let padding = match &phase {
            Phase::Ended(EndResult::Completed(response)) => response.padding,
            _ => 0,
        };
        let json = operation_json(name_in_answer, entry.operation.script(), &phase, form)?;
        Some((json, padding))
    }

    /// One page of the operations directly below a parent (`projects/P/locations/-`: in all locations), ordered by name. `form` is the
    /// form for the service that a script names; `None` leaves the operation out. Also returns the last name of the page, if there are
    /// more.
    pub fn list(
        &self,
        parent: &str,
        request: &ListRequest,
        form: impl Fn(Option<&str>) -> Option<OperationForm>,
        within_reach: impl Fn(&str) -> bool,
        name_in_answers: impl Fn(&str) -> String,
    ) -> (Vec<serde_json::Value>, Option<String>) {
        let mut inner = self.lock();
        let below = |name: &str| match parent.strip_suffix("/-") {
            Some(locations) => name
                .strip_prefix(locations)
                .is_some_and(|rest| rest.starts_with('/') && rest.contains("/operations/")),
            None => name
                .strip_prefix(parent)
                .is_some_and(|rest| rest.starts_with("/operations/")),
        };
        let mut found: Vec<_> = inner
            .operations
            .iter_mut()
            .filter(|(name, _)| below(name) && within_reach(name))
            .filter(|(name, _)| request.after.as_ref().is_none_or(|after| *name > after))
            .collect();
        found.sort_by(|a, b| a.0.cmp(b.0));
        let mut listed: Vec<(&String, serde_json::Value)> = Vec::new();
        for (name, entry) in found {
            let phase = entry.phase();
            let script = entry.operation.script();
            let Some(form) = form(script.service.as_deref()) else {
                continue;
            };
            let Some(json) = operation_json(&name_in_answers(name), script, &phase, form) else {
                continue;
            };
            let is_done = json.get("done") == Some(&true.into())
                || json.get("status") == Some(&"DONE".into());
            if request.done.is_some_and(|wanted| wanted != is_done) {
                continue;
            }
            if listed.len() == request.page_size {
                let last = listed.last().map(|(name, _)| (*name).clone());
                return (listed.into_iter().map(|(_, json)| json).collect(), last);
            }
            listed.push((name, json));
        }
        (listed.into_iter().map(|(_, json)| json).collect(), None)
    }

    /// Whether an operation of this project and id exists at another location.
    pub fn is_elsewhere(&self, name: &str) -> bool {
        let identity = |name: &str| {
            let mut segments = name.split('/');
            Some((
                segments.nth(1)?.to_owned(),
                segments.next_back()?.to_owned(),
            ))
        };
        let wanted = identity(name);
        self.lock().operations.iter_mut().any(|(other, entry)| {
            other != name && identity(other) == wanted && entry.phase() != Phase::Absent
        })
    }

    /// Handles a cancel request.
    pub fn cancel(&self, name: &str) -> CancelVerdict {
        let mut inner = self.lock();
        let Some(entry) = inner.entry(name) else {
            return CancelVerdict::Absent;
        };
        let age = entry.age();
        entry.operation.cancel(age)
    }

    /// Creates an operation now, in place of one of the same name; a name that ends in `*` is a template.
    pub fn set(&self, name: &str, script: Script) {
        self.lock().set(name, script);
        self.changed.send_replace(());
    }

    /// Ends a running operation with this result. `None`: there is no such operation; `Some(false)`: it is not running.
    pub fn finish(&self, name: &str, result: EndResult) -> Option<bool> {
        let mut inner = self.lock();
        let entry = inner.operations.get_mut(name)?;
        let age = entry.age();
        let finished = entry.operation.finish(age, result);
        drop(inner);
        self.changed.send_replace(());
        Some(finished)
    }

    /// Removes an operation for good: NOT_FOUND from now on, even if a template matches its name. `None`: there is no such
    /// operation; `Some(false)`: it is already absent.
    pub fn vanish(&self, name: &str) -> Option<bool> {
        let mut inner = self.lock();
        let entry = inner.operations.get_mut(name)?;
        let age = entry.age();
        let vanished = entry.operation.vanish(age);
        drop(inner);
        self.changed.send_replace(());
        Some(vanished)
    }

    /// Removes an operation or a template; returns whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        let removed = self.lock().remove(name);
        self.changed.send_replace(());
        removed
    }

    /// Replaces the faults of the endpoint and counts their requests from 1 again.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.lock().set_faults(faults);
    }

    /// All operations that exist, ordered by name.
    pub fn views(&self) -> Vec<OperationView> {
        let mut views: Vec<_> = self
            .lock()
            .operations
            .iter_mut()
            .map(|(name, entry)| entry.view(name))
            .collect();
        views.sort_by(|a, b| a.name.cmp(&b.name));
        views
    }

    /// Signals each change by an admin, but not those by clients or by time.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
