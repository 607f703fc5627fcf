//! Where the time goes between an object's creation and its cancel request, seen from outside: by the load, the emulator's
//! record and the API server's audit log. The controller itself is asked for nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;
use xtask::control_plane::audit::Request;

use super::environment::{Environment, Mark};
use super::figures::{self, Micros, Spread};
use super::load::{self, Load, operation};

/// When an object's creation was acknowledged.
pub(super) type Created = (String, Micros);

/// Creates an object and notes when that was acknowledged.
pub(super) async fn create(load: Load, name: String) -> Result<Created> {
    load.create(&name).await?;
    Ok((name, figures::now()))
}

/// What happened to one object, and when.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    created: Micros,
    seen: Option<Micros>,
    get: Option<Micros>,
    intent_received: Option<Micros>,
    intent_answered: Option<Micros>,
    post: Option<Micros>,
    ended: Option<Micros>,
}

/// What happened to the objects of one row.
pub(super) struct Lives(BTreeMap<String, Life>);

impl Lives {
    /// Puts together what is known of these objects since the mark.
    pub(super) fn read(
        environment: &Environment,
        mark: &Mark,
        created: Vec<Created>,
        seen: &BTreeMap<String, Micros>,
    ) -> Result<Self> {
        let mut lives = BTreeMap::new();
        let mut by_operation = BTreeMap::new();
        for (name, created) in created {
            let seen = seen.get(&name).copied();
            by_operation.insert(operation(&name), name.clone());
            let life = Life {
                created,
                seen,
                ..Life::default()
            };
            lives.insert(name, life);
        }
        for call in environment.calls(mark)? {
            let text = |field| call.get(field).and_then(Value::as_str);
            let name = text("operation").and_then(|name| by_operation.get(name));
            let Some(life) = name.and_then(|name| lives.get_mut(name)) else {
                continue;
            };
            let at = text("received").context("a call without its time")?;
            let at = at.parse::<Timestamp>()?.as_microsecond();
            let first = match text("method") {
                Some("POST") => &mut life.post,
                _ => &mut life.get,
            };
            first.get_or_insert(at);
        }
        for request in environment.audit(mark)? {
            if let Some(life) = lives.get_mut(&request.name) {
                note(life, &request);
            }
        }
        Ok(Self(lives))
    }

    /// From the creation to the cancel request.
    pub(super) fn to_cancel(&self) -> Spread {
        self.between(|life| Some(life.created), |life| life.post)
    }

    /// When the last outcome was recorded, if all were.
    pub(super) fn last_end(&self) -> Option<Micros> {
        let ends: Option<Vec<_>> = self.0.values().map(|life| life.ended).collect();
        ends?.into_iter().max()
    }

    /// How many intents and outcomes were stored after that time.
    pub(super) fn writes_after(&self, at: Micros) -> usize {
        let lives = self.0.values();
        let writes = lives.flat_map(|life| [life.intent_answered, life.ended]);
        writes.flatten().filter(|written| *written > at).count()
    }

    /// Prints the parts, whose sum is the whole for each object (not for the quantiles).
    pub(super) fn print(&self, title: &str) {
        figures::head(&[title, "p50 ms", "p99 ms"]);
        if self.0.values().any(|life| life.seen.is_some()) {
            self.between(|life| Some(life.created), |life| life.seen)
                .row("watch: from creation to the event of another watch");
            self.between(|life| life.seen, |life| life.get)
                .row("queue: until the GET arrives");
        } else {
            self.between(|life| Some(life.created), |life| life.get)
                .row("watch and queue: from creation until the GET arrives");
        }
        self.between(|life| life.get, |life| life.intent_received)
            .row("GET: until the intent is at the API server");
        self.between(|life| life.intent_received, |life| life.intent_answered)
            .row("intent: until the API server has answered");
        self.between(|life| life.intent_answered, |life| life.post)
            .row("POST: until it arrives");
        self.to_cancel()
            .row("total: from creation until the POST arrives");
    }

    fn between(
        &self,
        from: impl Fn(&Life) -> Option<Micros>,
        to: impl Fn(&Life) -> Option<Micros>,
    ) -> Spread {
        let lives = self.0.values();
        Spread::of(lives.filter_map(|life| Some(to(life)? - from(life)?)))
    }
}

/// A write of the controller's to the status.
fn note(life: &mut Life, request: &Request) {
    let ours = request.is_from("opcancel-system", "opcancel-controller");
    if !ours || request.subresource != "status" || request.code != 200 {
        return;
    }
    let (received, answered) = (
        request.received.as_microsecond(),
        request.completed.as_microsecond(),
    );
    let status = |field: &str| request.answer.as_ref()?.get("status")?.get(field);
    if status("cancelAttempts").is_some() {
        life.intent_received.get_or_insert(received);
        life.intent_answered.get_or_insert(answered);
    }
    if status("outcome").is_some() {
        life.ended.get_or_insert(answered);
    }
}

/// Creates objects at this pace, waits until all have ended, and returns what happened to them.
pub(super) fn paced(
    environment: &Environment,
    prefix: &str,
    count: usize,
    per_second: u32,
) -> Result<Lives> {
    let mark = environment.mark()?;
    let ended = environment.metrics()?.ended();
    let names = (0..count).map(|n| format!("{prefix}-{n}")).collect();
    let (created, seen) = environment.runtime.block_on(async {
        let witness = environment.load.witness().await?;
        let each = |name| create(environment.load.clone(), name);
        let created = load::paced(names, per_second, each).await?;
        anyhow::Ok((created, witness.end()))
    })?;
    environment.wait(super::PATIENCE, |metrics| {
        metrics.ended() - ended >= count as f64
    })?;
    // Others may have ended meanwhile, which the metrics count too.
    let until = Instant::now() + super::PATIENCE;
    loop {
        let lives = Lives::read(environment, &mark, created.clone(), &seen)?;
        let cancels = lives.to_cancel().count();
        if cancels == count {
            return Ok(lives);
        }
        anyhow::ensure!(
            Instant::now() < until,
            "{cancels} of {count} objects were cancelled"
        );
        std::thread::sleep(Duration::from_millis(250));
    }
}
