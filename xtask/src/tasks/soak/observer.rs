//! Reads the three records again and again, and gives them to the checker.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use xtask::control_plane::ControlPlane;
use xtask::control_plane::audit::{Request, Tail};
use xtask::control_plane::history::History;
use xtask::loopback_http;

use super::invariants::{Checker, describe, received};
use super::records::{self, Version};
use super::tenant::Existing;

/// Where cancellations are in etcd.
const OBJECTS: &str = "/registry/opcancel.github.io/operationcancellations/";

/// The checker, which several read.
pub(super) type SharedChecker = Arc<Mutex<Checker>>;

/// See the module.
pub(super) struct Observer {
    control_plane: Arc<ControlPlane>,
    emulator: SocketAddr,
    checker: SharedChecker,
    audit: Tail,
    history: History,
    /// The number of the emulator's next request.
    next: u64,
    /// What was read since [`Self::listen`], as lines of evidence.
    heard: Option<Vec<String>>,
}

impl Observer {
    /// Observes from now on.
    pub(super) fn new(
        control_plane: Arc<ControlPlane>,
        emulator: SocketAddr,
        not_found_after: SignedDuration,
    ) -> Result<Self> {
        Ok(Self {
            history: control_plane.history("opcancel.github.io")?,
            audit: Tail::new(&control_plane.audit_log()),
            checker: Arc::new(Mutex::new(Checker::new(not_found_after))),
            control_plane,
            emulator,
            next: 0,
            heard: None,
        })
    }

    /// The checker that it gives everything to.
    pub(super) fn checker(&self) -> SharedChecker {
        Arc::clone(&self.checker)
    }

    /// Reads what is new. Returns the operations that nobody needs any more.
    pub(super) fn read(&mut self) -> Result<Vec<String>> {
        // In this order: see `invariants`.
        let unjudged = lock(&self.checker).take_unjudged();
        let calls = self.read_calls()?;
        let requests = self.audit.read()?;
        let changes = self.history.read(&self.control_plane)?;
        if let Some(heard) = &mut self.heard {
            heard.extend(calls.iter().map(received));
            heard.extend(
                requests
                    .iter()
                    .filter(|request| is_work(request))
                    .map(describe),
            );
        }
        let mut checker = lock(&self.checker);
        for call in calls {
            checker.call(call);
        }
        for request in &requests {
            checker.request(request);
        }
        for change in changes {
            if !change.key.starts_with(OBJECTS) {
                continue;
            }
            match &change.object {
                Some(object) => {
                    let version = Version::read(change.revision, object)?;
                    checker.stored(&change.key, version);
                }
                None => checker.deleted(&change.key),
            }
        }
        checker.compare();
        if !unjudged.is_empty() {
            let truths = loopback_http::get(self.emulator, "/admin/operations")?;
            checker.judge(unjudged, &records::truths(&truths)?, Timestamp::now());
        }
        Ok(checker.forget_deleted())
    }

    /// The calls that are new, and those whose answers are.
    fn read_calls(&mut self) -> Result<Vec<records::Call>> {
        let unanswered = lock(&self.checker).first_unanswered();
        let since = unanswered.unwrap_or(self.next).min(self.next);
        let path = format!("/admin/requests?surface=operations&since={since}");
        let (mut calls, next) = records::calls(&loopback_http::get(self.emulator, &path)?)?;
        let checker = lock(&self.checker);
        calls.retain(|call| call.sequence >= self.next || checker.is_unanswered(call.sequence));
        drop(checker);
        self.next = next;
        Ok(calls)
    }

    /// Keeps what is read from now on.
    pub(super) fn listen(&mut self) {
        self.heard = Some(Vec::new());
    }

    /// What was read since [`Self::listen`].
    pub(super) fn heard(&mut self) -> Vec<String> {
        self.heard.take().unwrap_or_default()
    }
}

/// Whether the controller writes to an object. Holding the Lease and publishing events is no work.
fn is_work(request: &Request) -> bool {
    let is_ours = request.is_from("opcancel-system", "opcancel-controller");
    is_ours && request.is_write() && request.resource == "operationcancellations"
}

pub(super) fn lock(checker: &SharedChecker) -> MutexGuard<'_, Checker> {
    checker.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The objects that exist, the oldest versions first.
pub(super) fn existing(checker: &SharedChecker) -> Vec<Existing> {
    let checker = lock(checker);
    let objects = checker.existing().filter_map(|version| {
        let (namespace, name) = version.object.split_once('/')?;
        Some(Existing {
            revision: version.revision,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            operation: version.operation.clone(),
            suspended: version.suspended,
            finished: version.outcome.is_some(),
        })
    });
    let mut objects: Vec<_> = objects.collect();
    objects.sort();
    objects
}
