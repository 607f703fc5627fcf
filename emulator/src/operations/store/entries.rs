//! The operations by name, the templates, and the counts of requests for operations that do not exist yet.

use std::{collections::HashMap, time::Instant};

use jiff::{SignedDuration, Timestamp};

use crate::{
    operations::{
        operation::{Operation, Phase},
        operation_view::OperationView,
    },
    protocol::call::Call,
    scenario::{Scenario, UnknownOperations, fault::Fault, script::Script},
};

/// All operations, templates and faults of the endpoint.
#[derive(Debug)]
pub(super) struct Entries {
    /// The operations that exist.
    pub(super) operations: HashMap<String, Entry>,
    /// Operations that a template would create, and that only callers without permission have requested so far. Their faults
    /// are counted.
    expected: HashMap<String, Entry>,
    templates: Vec<(String, Script)>,
    unknown: UnknownOperations,
    /// The faults of the endpoint.
    pub(super) faults: Vec<Fault>,
    gets: u64,
    cancels: u64,
    lists: u64,
}

/// One operation, with the clock that its age is read from.
#[derive(Debug)]
pub(super) struct Entry {
    created: Instant,
    /// The time of the last request.
    pub(super) last_asked: Option<Timestamp>,
    /// The operation itself.
    pub(super) operation: Operation,
}

impl Entries {
    /// The operations of a scenario, all created now.
    pub(super) fn new(scenario: &Scenario) -> Self {
        let mut entries = Self {
            operations: HashMap::new(),
            expected: HashMap::new(),
            templates: Vec::new(),
            unknown: scenario.unknown_operations.clone(),
            faults: scenario.faults.clone(),
            gets: 0,
            cancels: 0,
            lists: 0,
        };
        for (name, script) in &scenario.operations {
            entries.set(name, script.clone());
        }
        entries
    }

    /// Creates an operation now, in place of one of the same name; a name that ends in `*` is a template.
    pub(super) fn set(&mut self, name: &str, script: Script) {
        self.forget_expected(name);
        if let Some(prefix) = name.strip_suffix('*') {
            self.templates.retain(|(template, _)| template != prefix);
            self.templates.push((prefix.to_owned(), script));
            // The longest prefix is the most specific.
            self.templates
                .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        } else {
            self.operations.insert(name.to_owned(), Entry::new(script));
        }
    }

    /// Removes an operation or a template; returns whether there was one.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.forget_expected(name);
        let before = self.templates.len();
        if let Some(prefix) = name.strip_suffix('*') {
            self.templates.retain(|(template, _)| template != prefix);
        }
        self.operations.remove(name).is_some() || self.templates.len() < before
    }

    /// Operations that are created from now on use the current templates.
    fn forget_expected(&mut self, name: &str) {
        match name.strip_suffix('*') {
            Some(prefix) => self.expected.retain(|name, _| !name.starts_with(prefix)),
            None => _ = self.expected.remove(name),
        }
    }

    /// Replaces the faults of the endpoint and counts their requests from 1 again.
    pub(super) fn set_faults(&mut self, faults: Vec<Fault>) {
        self.faults = faults;
        (self.gets, self.cancels, self.lists) = (0, 0, 0);
    }

    /// Counts a request to the endpoint and returns its number, from 1, among those of its method.
    pub(super) fn count(&mut self, call: Call) -> u64 {
        let counter = match call {
            Call::Get => &mut self.gets,
            Call::Cancel => &mut self.cancels,
            Call::List => &mut self.lists,
        };
        *counter += 1;
        *counter
    }

    /// The entry that counts a request: the operation of this name, or the one that a template would create.
    pub(super) fn asked(&mut self, name: &str) -> Option<&mut Entry> {
        if self.operations.contains_key(name) {
            return self.operations.get_mut(name);
        }
        if !self.expected.contains_key(name) {
            let script = self.template(name)?.clone();
            self.expected.insert(name.to_owned(), Entry::new(script));
        }
        self.expected.get_mut(name)
    }

    /// The script of an operation, or of the template for it.
    pub(super) fn script(&self, name: &str) -> Option<&Script> {
        let entry = self
            .operations
            .get(name)
            .or_else(|| self.expected.get(name));
        entry
            .map(|entry| entry.operation.script())
            .or_else(|| self.template(name))
    }

    /// The operation of this name, created from a template if it does not exist yet.
    pub(super) fn entry(&mut self, name: &str) -> Option<&mut Entry> {
        if !self.operations.contains_key(name) {
            let made = match self.expected.remove(name) {
                Some(expected) => Entry {
                    created: Instant::now(),
                    ..expected
                },
                None => Entry::new(self.template(name)?.clone()),
            };
            self.operations.insert(name.to_owned(), made);
        }
        self.operations.get_mut(name)
    }

    fn template(&self, name: &str) -> Option<&Script> {
        let mut templates = self.templates.iter();
        match templates.find(|(prefix, _)| name.starts_with(prefix.as_str())) {
            Some((_, script)) => Some(script),
            None => match &self.unknown {
                UnknownOperations::Script(script) => Some(script),
                UnknownOperations::NotFound => None,
            },
        }
    }
}

impl Entry {
    fn new(script: Script) -> Self {
        Self {
            created: Instant::now(),
            last_asked: None,
            operation: Operation::new(script),
        }
    }

    /// The age of the operation.
    pub(super) fn age(&self) -> std::time::Duration {
        self.created.elapsed()
    }

    /// The current phase.
    pub(super) fn phase(&mut self) -> Phase {
        self.operation.phase(self.age())
    }

    /// The operation as the admin API shows it.
    pub(super) fn view(&mut self, name: &str) -> OperationView {
        let (phase, age) = (self.phase(), self.age());
        let ended_at = self.operation.ended_at(age).and_then(|at| {
            let ago = SignedDuration::try_from(age.saturating_sub(at)).ok()?;
            Timestamp::now().checked_sub(ago).ok()
        });
        OperationView::new(name, &self.operation, &phase, ended_at, self.last_asked)
    }
}
