//! A soak from its first step to its summary.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use reqwest::Method;
use serde_json::json;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{sleep, sleep_until};

use super::NOT_FOUND_AFTER;
use super::environment::{Environment, LATENCY};
use super::fault::Fault;
use super::growth::Samples;
use super::inject::Victims;
use super::observer::{Observer, SharedChecker, existing, lock};
use super::plan::{Plan, What};
use super::summary::Summary;
use super::tenant::{NAMESPACES, Tenant};
use crate::tasks::interrupt::Interrupt;
use crate::tasks::stand_ins::EMULATOR;
use crate::tasks::tcp_proxy::Way;

/// How often the processes are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often the records are read.
const READ_EVERY: Duration = Duration::from_millis(200);

/// More finished objects than this are deleted, so that the load stays the same.
const KEPT_FINISHED: usize = 60;

/// How long objects may take to finish when the faults have stopped. Two calls are at most a minute apart, after a denial five.
const FINISH_LIMIT: Duration = Duration::from_secs(120);
const FINISH_LIMIT_AFTER_DENIALS: Duration = Duration::from_secs(420);

/// How long operations may still be cancelled before they are ended.
const GRACE: Duration = Duration::from_secs(3);

/// How long all must be quiet in the end; and before that, how long the calls under way may take.
const QUIET: Duration = Duration::from_secs(10);
const QUIET_OF_SHORT: Duration = Duration::from_secs(3);
const LAST_CALLS: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Session<'a> {
    environment: &'a Environment,
    plan: &'a Plan,
    interrupt: &'a Interrupt,
    victims: Victims,
    checker: SharedChecker,
    reader: Reader,
    faults: JoinSet<Result<()>>,
    deeds: JoinSet<()>,
    injected: BTreeMap<Fault, usize>,
    leases_lost: usize,
    samples: Vec<Samples>,
    begun: Instant,
}

impl<'a> Session<'a> {
    /// Begins to read the records.
    pub(super) fn begin(
        environment: &'a Environment,
        plan: &'a Plan,
        interrupt: &'a Interrupt,
    ) -> Result<Self> {
        let observer = Observer::new(
            Arc::clone(&environment.control_plane),
            environment.emulator.admin()?,
            NOT_FOUND_AFTER,
        )?;
        let samples = environment.controllers.iter().map(|_| Samples::default());
        Ok(Self {
            victims: Victims::of(environment),
            checker: observer.checker(),
            reader: Reader::start(observer, environment.tenant.clone()),
            environment,
            plan,
            interrupt,
            faults: JoinSet::new(),
            deeds: JoinSet::new(),
            injected: BTreeMap::new(),
            leases_lost: 0,
            samples: samples.collect(),
            begun: Instant::now(),
        })
    }

    /// Follows the plan. Then the faults end: all objects must finish, and all must be quiet. Ends early at a violation.
    pub(super) async fn run(mut self) -> Result<Summary> {
        self.follow_plan().await?;
        self.end_faults().await?;
        let mut observer = self.reader.stop()?;
        if self.is_good() && self.wait_until_finished(&mut observer).await? && self.is_good() {
            self.listen(&mut observer).await?;
        }
        Ok(self.summary())
    }

    async fn follow_plan(&mut self) -> Result<()> {
        let begun = tokio::time::Instant::now();
        let mut next_look = Duration::ZERO;
        for step in &self.plan.steps {
            while next_look < step.at {
                sleep_until(begun + next_look).await;
                next_look += LOOK_EVERY;
                self.look_after(begun.elapsed()).await?;
                if !self.is_good() {
                    return Ok(());
                }
            }
            sleep_until(begun + step.at).await;
            self.carry_out(step.what, step.pick);
        }
        Ok(())
    }

    fn carry_out(&mut self, what: What, pick: u64) {
        match what {
            What::Deed(deed) => {
                let (tenant, existing) = (self.environment.tenant.clone(), existing(&self.checker));
                self.deeds.spawn(async move {
                    // The API server may be away.
                    let _failed = tenant.carry_out(deed, pick, &existing).await;
                });
            }
            What::Fault {
                fault,
                controller,
                lasts,
            } => {
                *self.injected.entry(fault).or_default() += 1;
                let victims = self.victims.clone();
                self.faults
                    .spawn(async move { victims.inject(fault, controller, lasts, pick).await });
            }
        }
    }

    /// Starts a leader again that ended because it lost the Lease, fails if a process has ended for another reason, takes samples, and
    /// deletes finished objects.
    async fn look_after(&mut self, passed: Duration) -> Result<()> {
        self.interrupt.check()?;
        while let Some(ended) = self.faults.try_join_next() {
            ended??;
        }
        while self.deeds.try_join_next().is_some() {}
        self.environment.control_plane.check_process(EMULATOR)?;
        if self.reader.has_ended() {
            // Its error is the reason.
            return Ok(());
        }
        for (controller, samples) in self.environment.controllers.iter().zip(&mut self.samples) {
            // A fault that ends the process has the lock.
            let Some(mut started) = controller.try_lock() else {
                continue;
            };
            if let Some(code) = controller.exit_code(*started) {
                if !controller.has_lost_its_lease(*started)? {
                    let log = controller.log_end(*started);
                    bail!("a controller ended by itself with exit code {code}\n{log}");
                }
                // As the kubelet does.
                self.leases_lost += 1;
                controller.start(&mut started).await?;
            } else if passed >= self.plan.controllers_live_from
                && let Some(usage) = block_in_place(|| controller.usage(*started))
            {
                samples.add(usage);
            }
        }
        self.delete_finished();
        Ok(())
    }

    fn delete_finished(&mut self) {
        let mut finished = existing(&self.checker);
        finished.retain(|object| object.finished);
        let surplus = finished.len().saturating_sub(KEPT_FINISHED);
        for object in finished.into_iter().take(surplus) {
            let tenant = self.environment.tenant.clone();
            self.deeds.spawn(async move {
                // Tried again the next time.
                let _failed = tenant.delete(&object).await;
            });
        }
    }

    /// Waits for the end of all faults, and for the deeds under way.
    async fn end_faults(&mut self) -> Result<()> {
        while let Some(ended) = self.faults.join_next().await {
            ended??;
        }
        while self.deeds.join_next().await.is_some() {}
        for controller in &self.environment.controllers {
            for proxy in [&controller.api, &controller.google, &controller.tokens] {
                proxy.set(Way::Open);
            }
        }
        let tenant = &self.environment.tenant;
        tenant.admin(Method::PUT, "faults", &json!([])).await?;
        tenant.admin(Method::PUT, "connections", &json!([])).await?;
        tenant
            .admin(Method::PUT, "latency", &json!(LATENCY))
            .await?;
        for namespace in NAMESPACES {
            tenant.grant(namespace).await?;
        }
        Ok(())
    }

    /// Waits until all objects have finished; `false` if some do not.
    async fn wait_until_finished(&self, observer: &mut Observer) -> Result<bool> {
        let is_slow = self.plan.is_slow_to_cure();
        let limit = if is_slow {
            FINISH_LIMIT_AFTER_DENIALS
        } else {
            FINISH_LIMIT
        };
        let healed = Instant::now();
        loop {
            self.interrupt.check()?;
            block_in_place(|| observer.read())?;
            let mut unfinished = existing(&self.checker);
            unfinished.retain(|object| !object.finished);
            if unfinished.is_empty() || !self.is_good() {
                return Ok(true);
            }
            if healed.elapsed() > limit {
                lock(&self.checker).not_finished();
                return Ok(false);
            }
            let tenant = &self.environment.tenant;
            for object in &unfinished {
                // Nothing is suspended for ever, and no operation runs for ever. What fails is tried again.
                if object.suspended {
                    let _failed = tenant.suspend(object, false).await;
                }
                if healed.elapsed() > GRACE && object.is_invalid() {
                    let _failed = tenant.shorten_deadline(object).await;
                } else if healed.elapsed() > GRACE {
                    let _failed = tenant.end_operation(&object.operation).await;
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Notes a violation if the controllers still do something, or still have objects in memory.
    async fn listen(&self, observer: &mut Observer) -> Result<()> {
        sleep(LAST_CALLS).await;
        block_in_place(|| observer.read())?;
        observer.listen();
        sleep(if self.plan.is_short() {
            QUIET_OF_SHORT
        } else {
            QUIET
        })
        .await;
        block_in_place(|| observer.read())?;
        let heard = observer.heard();
        if !heard.is_empty() {
            lock(&self.checker).not_quiet(heard);
        }
        for controller in &self.environment.controllers {
            let started = *controller.lock().await;
            let usage = block_in_place(|| controller.usage(started));
            if let Some(kept) = usage.map(|usage| usage.objects).filter(|kept| *kept > 0.0) {
                lock(&self.checker).not_forgotten(controller.name(started), kept);
            }
        }
        Ok(())
    }

    fn is_good(&self) -> bool {
        !self.reader.has_ended() && lock(&self.checker).violations().is_empty()
    }

    fn summary(&self) -> Summary {
        let checker = lock(&self.checker);
        let outcomes = checker.outcomes().into_iter();
        Summary {
            took: self.begun.elapsed(),
            counts: checker.counts(),
            deeds: self.environment.tenant.done(),
            outcomes: outcomes
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            faults: self.injected.clone(),
            leases_lost: self.leases_lost,
            violations: checker.violations().to_vec(),
            growth: self.samples.iter().map(Samples::growth).collect(),
        }
    }
}

/// The thread that reads the records while the plan is followed: etcd may not answer for seconds.
struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Observer>>>,
}

impl Reader {
    fn start(mut observer: Observer, tenant: Tenant) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let runtime = tokio::runtime::Handle::current();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for operation in observer.read()? {
                    // What is left in the emulator does no harm.
                    let _failed = runtime.block_on(tenant.remove_operation(&operation));
                }
                std::thread::sleep(READ_EVERY);
            }
            Ok(observer)
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Whether it has failed.
    fn has_ended(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    fn stop(&mut self) -> Result<Observer> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self
            .thread
            .take()
            .ok_or_else(|| anyhow!("it was stopped before"))?;
        let joined = block_in_place(|| thread.join());
        joined.map_err(|_| anyhow!("the thread that reads the records has panicked"))?
    }
}
