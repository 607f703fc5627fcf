//! Reads the labels of the namespaces of `--watch-namespace` every few seconds: a Role in a namespace can allow to get the namespace,
//! but neither to list nor to watch it.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use kube::core::{Request, params::GetParams};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    label_target::{LabelKeys, LabelTarget, PATH, note, wanted},
    resilient_watch::{LIST_OVERDUE, WatchClient},
};
use crate::{
    controller::{
        api_server::{
            api_answer::{self, Refused, within},
            json_sieve::LabelsAre,
            kube_error,
            raw_object::RawObject,
        },
        grants::namespace_labels::LabelsRead,
        rate_limited_warning::RateLimitedWarning,
    },
    telemetry::series::NAMESPACES,
};

/// How often each namespace is read.
pub const READ_EVERY: Duration = Duration::from_secs(5);

/// The least pause between two requests: many namespaces must not cost many requests a second.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

/// The pause after a failure, while not all namespaces were read.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads each of these namespaces `every` so often, until no key is wanted any more. If a namespace
/// cannot be read for 20 minutes, it is not known from then on what selects it.
pub async fn read_namespaces(
    client: &WatchClient,
    namespaces: &[String],
    keys: &mut watch::Receiver<LabelKeys>,
    target: &LabelTarget,
    every: Duration,
) {
    let mut reader = NamespaceReader::new(client, namespaces, target);
    loop {
        let wanted = wanted(keys);
        if wanted.is_empty() {
            return;
        }
        reader.read.want(wanted);
        tokio::select! {
            () = reader.read_for_ever(every) => {}
            Ok(()) = keys.changed() => {}
        }
    }
}

struct NamespaceReader<'a> {
    client: &'a WatchClient,
    target: &'a LabelTarget,
    namespaces: &'a [String],
    read: LabelsRead,
    /// When each namespace was read last.
    read_at: HashMap<&'a str, Instant>,
    warning: RateLimitedWarning,
}

/// What a read has shown.
enum Found {
    /// A wanted label has changed.
    Changed,
    Unchanged,
    /// The request failed, and the labels from before stay.
    Failed,
}

impl<'a> NamespaceReader<'a> {
    fn new(client: &'a WatchClient, namespaces: &'a [String], target: &'a LabelTarget) -> Self {
        for name in namespaces {
            let path = format!("{PATH}/{name}");
            client.metrics.watch_began(NAMESPACES, &path);
        }
        Self {
            client,
            target,
            namespaces,
            read: LabelsRead::default(),
            read_at: HashMap::new(),
            warning: RateLimitedWarning::default(),
        }
    }

    /// Reads all namespaces, first as soon as possible and then again and again.
    async fn read_for_ever(&mut self, every: Duration) {
        let count = u32::try_from(self.namespaces.len()).unwrap_or(u32::MAX);
        let pause = (every / count.max(1)).max(LEAST_PAUSE);
        // Those that were not read since the keys were wanted.
        let mut unread: BTreeSet<&str> = self.namespaces.iter().map(String::as_str).collect();
        loop {
            for name in self.namespaces {
                if unread.is_empty() {
                    sleep(pause).await;
                }
                let found = self.read(name).await;
                let is_last = !matches!(found, Found::Failed)
                    && unread.remove(name.as_str())
                    && unread.is_empty();
                if is_last {
                    self.read.set_complete();
                    self.client.health.done(self.target.step);
                }
                if is_last || matches!(found, Found::Changed) {
                    self.target.put(self.read.known());
                }
            }
            if !unread.is_empty() {
                sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }

    /// Reads a namespace.
    async fn read(&mut self, name: &'a str) -> Found {
        let is_changed = match self.get(name).await {
            Ok(object) => note(&mut self.read, object),
            Err(refused) if kube_error::is_gone(&refused.error, name) => {
                self.read.forget_name(name)
            }
            Err(refused) => return self.failed(name, &refused),
        };
        self.read_at.insert(name, Instant::now());
        self.warning
            .resolved("the labels of all namespaces can be read again");
        match is_changed {
            true => Found::Changed,
            false => Found::Unchanged,
        }
    }

    fn failed(&mut self, name: &'a str, refused: &Refused) -> Found {
        let what = kube_error::describe(&refused.error);
        let message = format!(
            "cannot read the labels of namespace {name}, and without them no grant with a namespaceSelector allows anything there: {what}"
        );
        self.client
            .health
            .explain(self.target.step, message.as_str());
        self.warning.warn(&message);
        let is_forbidden = kube_error::code(&refused.error) == Some(403);
        let is_overdue = |at: &Instant| at.elapsed() >= LIST_OVERDUE;
        match self.read_at.get(name) {
            Some(at) if !is_overdue(at) => Found::Failed,
            // The Role goes with the namespace. The other namespaces do not wait for it.
            None if !is_forbidden => Found::Failed,
            _ => match self.read.lose(name) {
                true => Found::Changed,
                false => Found::Unchanged,
            },
        }
    }

    async fn get(&self, name: &str) -> Result<RawObject, Refused> {
        let request = Request::new(PATH).get_metadata(name, &GetParams::default());
        let request = request.map_err(kube::Error::BuildRequest)?;
        let answer = api_answer::object_with(&self.client.kubernetes, request, LabelsAre::Kept);
        within(REQUEST_TIMEOUT, answer).await
    }
}

impl Drop for NamespaceReader<'_> {
    fn drop(&mut self) {
        for name in self.namespaces {
            self.client.metrics.watch_ended(&format!("{PATH}/{name}"));
        }
    }
}

#[cfg(test)]
#[path = "namespace_reads_tests.rs"]
mod tests;
