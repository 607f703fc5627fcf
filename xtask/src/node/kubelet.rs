//! The life of the node's Pods: bound, started, probed, restarted, ended.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::api::{Api, PodName};
use super::container::{self, CommandLine};
use super::logs::Containers;
use super::pod_status::{self, ContainerReport, Ended, State};
use super::{NODE_NAME, Options, volumes};
use crate::control_plane::SupervisorHandle;
use crate::loopback_http;

/// How often processes and probes are looked at.
const TICK: Duration = Duration::from_millis(100);
/// The pause before a restart; it doubles with each one, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// The options of the node.
#[derive(Debug)]
pub(super) enum Message {
    /// A Pod is there, or has changed.
    Seen(Box<Pod>),
    /// A Pod is not there any more.
    Gone(Box<Pod>),
    /// End all of it.
    Stop,
}

/// See the module.
pub(super) struct Kubelet {
    api: Api,
    supervisor: SupervisorHandle,
    options: Options,
    containers: Containers,
    pods: BTreeMap<String, Running>,
    addresses: BTreeSet<u32>,
}

/// A Pod of this node.
struct Running {
    id: PodName,
    pod: Pod,
    ip: String,
    since: Timestamp,
    report: ContainerReport,
    /// The name of its process for the supervisor, of the last try.
    process: Option<String>,
    /// When it is started again.
    again: Option<Instant>,
    /// It was asked to end.
    ending: bool,
}

impl Kubelet {
    pub(super) fn new(
        api: Api,
        supervisor: SupervisorHandle,
        options: Options,
        containers: Containers,
    ) -> Self {
        Self {
            api,
            supervisor,
            options,
            containers,
            pods: BTreeMap::new(),
            addresses: BTreeSet::new(),
        }
    }

    /// Works until `stop`; then ends its processes.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            match messages.recv_timeout(TICK) {
                Ok(Message::Seen(pod)) => self.seen(*pod),
                Ok(Message::Gone(pod)) => self.gone(&pod),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
            self.check();
        }
        for running in self.pods.values() {
            running.end(&self.supervisor);
        }
    }

    fn seen(&mut self, pod: Pod) {
        let Some(id) = PodName::of(&pod) else { return };
        let deleted = pod.metadata.deletion_timestamp.is_some();
        if let Some(running) = self.pods.get_mut(&id.uid) {
            if deleted && !running.ending {
                running.ending = true;
                running.end(&self.supervisor);
            }
            running.pod = pod;
            return;
        }
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        match node {
            None if !deleted && container::selects(&pod, &super::labels()) => {
                self.tell(&id, self.api.bind(&id, NODE_NAME))
            }
            Some(NODE_NAME) if !deleted => {
                let ip = self.address();
                let mut running = Running::new(id, pod, ip);
                running.start(&self.api, &self.supervisor, &self.options, &self.containers);
                self.report(&running);
                self.pods.insert(running.id.uid.clone(), running);
            }
            Some(_) | None => {}
        }
    }

    fn gone(&mut self, pod: &Pod) {
        let Some(id) = PodName::of(pod) else { return };
        if let Some(running) = self.pods.remove(&id.uid) {
            running.end(&self.supervisor);
        }
    }

    /// Looks at every process and probe, and writes what has changed.
    fn check(&mut self) {
        let mut ended = Vec::new();
        let mut pods = std::mem::take(&mut self.pods);
        for running in pods.values_mut() {
            let before = running.report.clone();
            let over = running.check(&self.supervisor, &self.containers);
            if running.ending {
                if over {
                    ended.push(running.id.clone());
                }
                continue;
            }
            if running.again.is_some_and(|again| again <= Instant::now()) {
                running.start(&self.api, &self.supervisor, &self.options, &self.containers);
            }
            if running.report != before {
                self.report(running);
            }
        }
        for id in ended {
            pods.remove(&id.uid);
            self.tell(&id, self.api.forget(&id));
        }
        self.pods = pods;
    }

    fn report(&self, running: &Running) {
        let status = pod_status::status(&running.pod, &running.ip, running.since, &running.report);
        let (name, namespace) = (&running.id.name, &running.id.namespace);
        let patched = self
            .api
            .patch_status(&["pod", name, "--namespace", namespace], &status);
        self.tell(&running.id, patched);
    }

    /// Says what did not work. A Pod that is gone meanwhile, and a control plane that is stopping, are
    /// ordinary: the next change tells.
    fn tell(&self, id: &PodName, result: Result<()>) {
        if let Err(error) = result {
            let text = format!("{error:#}");
            if !text.contains("NotFound") && !text.contains("refused") {
                eprintln!("node: {}: {text}", container::pod_text(id));
            }
        }
    }

    /// A loopback address that no other Pod of this node has, and hardly one of another node.
    fn address(&mut self) -> String {
        loop {
            let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
            let [.., a, b, c] = random.to_be_bytes();
            let number = u32::from_be_bytes([0, a.clamp(1, 254), b, c.clamp(1, 254)]);
            if self.addresses.insert(number) {
                let [_, a, b, c] = number.to_be_bytes();
                return format!("127.{a}.{b}.{c}");
            }
        }
    }
}

impl Running {
    fn new(id: PodName, pod: Pod, ip: String) -> Self {
        let state = State::Waiting {
            reason: "ContainerCreating",
            message: String::new(),
        };
        Self {
            id,
            pod,
            ip,
            since: Timestamp::now(),
            report: ContainerReport {
                state,
                last: None,
                restarts: 0,
            },
            process: None,
            again: None,
            ending: false,
        }
    }

    fn container(&self) -> Option<&Container> {
        self.pod.spec.as_ref()?.containers.first()
    }

    /// Starts the process; what hinders it stands in the report, and is tried again.
    fn start(
        &mut self,
        api: &Api,
        supervisor: &SupervisorHandle,
        options: &Options,
        containers: &Containers,
    ) {
        self.again = None;
        if let Err((reason, error)) = self.try_start(api, supervisor, options, containers) {
            let message = format!("{error:#}");
            self.report.state = State::Waiting { reason, message };
            self.again = Some(Instant::now() + LONGEST_PAUSE);
        }
    }

    fn try_start(
        &mut self,
        api: &Api,
        supervisor: &SupervisorHandle,
        options: &Options,
        containers: &Containers,
    ) -> Result<(), (&'static str, anyhow::Error)> {
        let wrong = |error| ("CreateContainerConfigError", error);
        let container = self.container().context("no container").map_err(wrong)?;
        let image = container.image.as_deref().unwrap_or_default();
        let program = options.images.get(container::image_name(image));
        let program = program
            .with_context(|| format!("there is no program for the image {image}"))
            .map_err(|error| ("ErrImagePull", error))?;
        let mounts = volumes::mount(api, &self.id, &self.pod, container).map_err(wrong)?;
        let CommandLine {
            arguments,
            variables,
        } = container::command_line(
            api,
            &self.pod,
            container,
            &mounts,
            &self.ip,
            &options.variables,
        )
        .map_err(wrong)?;
        let process = format!(
            "pod-{}-{}-{}",
            self.id.namespace, self.id.name, self.report.restarts
        );
        // Nothing of the user's own environment.
        let mut words = vec!["-i".to_owned()];
        words.extend(
            variables
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        words.push(program.to_string_lossy().into_owned());
        words.extend(arguments);
        supervisor
            .run(&process, std::path::Path::new("env"), &words)
            .map_err(wrong)?;
        containers.started(&self.id.namespace, &self.id.name, &container.name, &process);
        let since = Timestamp::now();
        self.process = Some(process);
        self.report.state = State::Running {
            since,
            ready: false,
        };
        Ok(())
    }

    /// Looks at the process and its probe; whether no process runs.
    fn check(&mut self, supervisor: &SupervisorHandle, containers: &Containers) -> bool {
        let State::Running { since, ready } = self.report.state else {
            return true;
        };
        let exit = self
            .process
            .as_ref()
            .and_then(|process| supervisor.exit_code(process));
        if let Some(code) = exit {
            let exit_code = code.parse().unwrap_or(-1);
            if let Some(process) = self.process.as_ref().filter(|_| !self.ending) {
                containers.crashed(process);
            }
            self.report.last = Some(Ended {
                exit_code,
                at: Timestamp::now(),
            });
            let pause = PAUSE
                .saturating_mul(2u32.saturating_pow(self.report.restarts))
                .min(LONGEST_PAUSE);
            self.report.restarts += 1;
            self.report.state = State::Waiting {
                reason: "CrashLoopBackOff",
                message: format!(
                    "exit code {exit_code}; started again in {} s",
                    pause.as_secs()
                ),
            };
            self.again = Some(Instant::now() + pause);
            return true;
        }
        let now_ready = self.is_ready();
        if ready != now_ready {
            self.report.state = State::Running {
                since,
                ready: now_ready,
            };
        }
        false
    }

    /// What the readiness probe says; a container without one is ready when it runs.
    fn is_ready(&self) -> bool {
        let Some(container) = self.container() else {
            return false;
        };
        let Some(probe) = container.readiness_probe.as_ref() else {
            return true;
        };
        let Some((port, path)) = container::http_probe(container, Some(probe)) else {
            return true;
        };
        let Ok(ip) = self.ip.parse::<IpAddr>() else {
            return false;
        };
        loopback_http::get(SocketAddr::new(ip, port), &path).is_ok()
    }

    fn end(&self, supervisor: &SupervisorHandle) {
        if let Some(process) = &self.process {
            // A control plane that has stopped has ended it.
            let _stopped = supervisor.end(process);
        }
    }
}
