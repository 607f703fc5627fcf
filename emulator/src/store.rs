//! All operations by name, with the clock that their ages are read from.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde::Serialize;

use crate::{
    call::Call,
    fault::Fault,
    operation::{CancelVerdict, Operation, Phase},
    operation_json::{operation_json, state_name},
    scenario::{Scenario, UnknownOperations},
    script::{EndResult, Script},
};

/// All operations, templates and faults of the endpoint.
#[derive(Debug)]
pub struct Store {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    operations: HashMap<String, Entry>,
    templates: Vec<(String, Script)>,
    unknown: UnknownOperations,
    faults: Vec<Fault>,
    gets: u64,
    cancels: u64,
}

#[derive(Debug)]
struct Entry {
    created: Instant,
    operation: Operation,
}

/// What one request met, decided at its arrival.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The fault that answers it, if one does.
    pub fault: Option<Fault>,
    /// The operation's own latency, if it has one.
    pub latency: Option<crate::latency::Latency>,
}

/// One operation as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationView {
    /// Its name.
    pub name: String,
    /// The script's description.
    pub description: Option<String>,
    /// `absent`, `running`, `cancelling`, `cancelled` or `ended`.
    pub phase: &'static str,
    /// The state in its metadata, if it has metadata.
    pub state: Option<String>,
    /// How many GETs reached it, refused ones included.
    pub gets: u64,
    /// How many cancels reached it, refused ones included.
    pub cancels: u64,
    /// Whether a cancel was accepted.
    pub cancel_accepted: bool,
}

impl Store {
    /// The operations of a scenario, all created now.
    pub fn new(scenario: &Scenario) -> Self {
        let mut inner = Inner {
            operations: HashMap::new(),
            templates: Vec::new(),
            unknown: scenario.unknown_operations.clone(),
            faults: scenario.faults.clone(),
            gets: 0,
            cancels: 0,
        };
        for (name, script) in &scenario.operations {
            inner.set(name, script.clone());
        }
        Self {
            inner: Mutex::new(inner),
        }
    }

    /// Counts a request and says what it meets.
    pub fn arrive(&self, name: &str, call: Call, principal: &str) -> Arrival {
        let mut inner = self.lock();
        let nth_of_all = inner.count(call);
        let of_endpoint = inner
            .faults
            .iter()
            .find(|fault| fault.meets(call, nth_of_all, Some(principal)))
            .cloned();
        let Some(entry) = inner.entry(name) else {
            return Arrival {
                fault: of_endpoint,
                latency: None,
            };
        };
        let nth = entry.operation.count(call);
        let fault = of_endpoint.or_else(|| entry.operation.fault(call, nth, Some(principal)));
        Arrival {
            fault,
            latency: entry.operation.script().latency,
        }
    }

    /// The answer to a GET; `None` for NOT_FOUND.
    pub fn get(&self, name: &str) -> Option<serde_json::Value> {
        let mut inner = self.lock();
        let entry = inner.entry(name)?;
        let phase = entry.phase();
        operation_json(name, entry.operation.script(), &phase)
    }

    /// Takes a cancel.
    pub fn cancel(&self, name: &str) -> CancelVerdict {
        let mut inner = self.lock();
        let Some(entry) = inner.entry(name) else {
            return CancelVerdict::Absent;
        };
        let age = entry.created.elapsed();
        entry.operation.cancel(age)
    }

    /// Creates an operation now, in place of one of the same name; a name that ends in `*` is a template.
    pub fn set(&self, name: &str, script: Script) {
        self.lock().set(name, script);
    }

    /// Ends a running operation with this result. `None`: there is none of this name; `Some(false)`: it does not run.
    pub fn finish(&self, name: &str, result: EndResult) -> Option<bool> {
        let mut inner = self.lock();
        let entry = inner.operations.get_mut(name)?;
        let age = entry.created.elapsed();
        Some(entry.operation.finish(age, result))
    }

    /// Removes an operation or a template; whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        let mut inner = self.lock();
        let before = inner.templates.len();
        if let Some(prefix) = name.strip_suffix('*') {
            inner.templates.retain(|(template, _)| template != prefix);
        }
        inner.operations.remove(name).is_some() || inner.templates.len() < before
    }

    /// Replaces the faults of the endpoint and counts their requests from 1 again.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        let mut inner = self.lock();
        (inner.faults, inner.gets, inner.cancels) = (faults, 0, 0);
    }

    /// All operations that exist by now, by name.
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

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn set(&mut self, name: &str, script: Script) {
        if let Some(prefix) = name.strip_suffix('*') {
            self.templates.retain(|(template, _)| template != prefix);
            self.templates.push((prefix.to_owned(), script));
            // The longest prefix says most about a name.
            self.templates
                .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        } else {
            self.operations.insert(name.to_owned(), Entry::new(script));
        }
    }

    fn count(&mut self, call: Call) -> u64 {
        let counter = match call {
            Call::Get => &mut self.gets,
            Call::Cancel => &mut self.cancels,
        };
        *counter += 1;
        *counter
    }

    /// The operation of this name, made from a template if there is none yet.
    fn entry(&mut self, name: &str) -> Option<&mut Entry> {
        if !self.operations.contains_key(name) {
            let template = self
                .templates
                .iter()
                .find(|(prefix, _)| name.starts_with(prefix.as_str()));
            let script = match (template, &self.unknown) {
                (Some((_, script)), _) => script.clone(),
                (None, UnknownOperations::Script(script)) => (**script).clone(),
                (None, UnknownOperations::NotFound) => return None,
            };
            self.operations.insert(name.to_owned(), Entry::new(script));
        }
        self.operations.get_mut(name)
    }
}

impl Entry {
    fn new(script: Script) -> Self {
        Self {
            created: Instant::now(),
            operation: Operation::new(script),
        }
    }

    fn phase(&mut self) -> Phase {
        self.operation.phase(self.created.elapsed())
    }

    fn view(&mut self, name: &str) -> OperationView {
        let phase = self.phase();
        let script = self.operation.script();
        let (gets, cancels) = self.operation.asked();
        OperationView {
            name: name.to_owned(),
            description: script.description.clone(),
            state: script
                .metadata
                .as_ref()
                .map(|metadata| state_name(metadata, &phase).to_owned()),
            phase: match phase {
                Phase::Absent => "absent",
                Phase::Running => "running",
                Phase::Cancelling => "cancelling",
                Phase::Cancelled => "cancelled",
                Phase::Ended(_) => "ended",
            },
            gets,
            cancels,
            cancel_accepted: self.operation.cancelled_at().is_some(),
        }
    }
}
