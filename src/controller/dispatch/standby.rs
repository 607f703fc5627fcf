//! A process that does not lead keeps the objects, and does nothing with them. When it is promoted, it begins with all of them as a
//! new process would.

use super::Dispatcher;
use crate::{
    controller::{leadership::Role, objects::id::Id},
    lifecycle::{Cancellation, ObjectView},
};

/// The id of a process, from the name by which it holds the Lease: `POD_ID`.
fn holder_id(name: &str) -> Option<String> {
    name.rsplit_once('_').map(|(_, id)| id.to_owned())
}

impl Dispatcher {
    /// Begins to work if this process is the leader now.
    pub(super) fn follow_role(&mut self) {
        let role = self.leadership.role.borrow_and_update().clone();
        if let Role::Leader { predecessor } = role
            && !self.is_leader
        {
            self.is_leader = true;
            self.predecessor = predecessor.as_deref().and_then(holder_id);
            self.metrics.leads(true);
            self.sweep_kept();
        }
    }

    /// Keeps an object that is new, or has changed. The latest one has the highest id.
    pub(super) fn keep(&mut self, before: Option<Id>, object: ObjectView) {
        before.into_iter().for_each(|id| self.objects.remove(id));
        let state = Cancellation::new(object, self.calls.clock.now());
        let id = self.objects.insert(state, self.metrics.clone());
        if let Some(entry) = self.objects.active(id) {
            entry.tracking.is_kept = true;
        }
    }

    /// At the first step of an object that was kept, its delays begin.
    pub(super) fn begin_kept(&mut self, id: Id) {
        if let Some(entry) = self.objects.active(id)
            && std::mem::take(&mut entry.tracking.is_kept)
        {
            let now = self.calls.clock.now();
            *entry.state = Cancellation::new(entry.state.object().clone(), now);
        }
    }
}
