//! What a Pod's status says of its processes. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// What became of a Pod's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It does not run, for this reason, and what to do about it.
    Waiting {
        reason: &'static str,
        message: String,
    },
    /// It runs since then.
    Running { since: Timestamp, ready: bool },
}

/// How a container's process ended last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) exit_code: i32,
    pub(super) at: Timestamp,
}

/// A container of a Pod, as in its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContainerReport {
    pub(super) state: State,
    pub(super) last: Option<Ended>,
    pub(super) restarts: u32,
}

/// The status of a Pod at `ip` with one container; a merge patch.
pub(super) fn status(pod: &Pod, ip: &str, started: Timestamp, report: &ContainerReport) -> Value {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice());
    let container = containers.unwrap_or_default().first();
    let name = container.map(|container| container.name.as_str());
    let image = container.and_then(|container| container.image.as_deref());
    let (running, ready) = match report.state {
        State::Running { ready, .. } => (true, ready),
        State::Waiting { .. } => (false, false),
    };
    let state = match &report.state {
        State::Waiting { reason, message } => {
            json!({"waiting": {"reason": reason, "message": message}})
        }
        State::Running { since, .. } => json!({"running": {"startedAt": rfc3339(*since)}}),
    };
    let last = report.last.as_ref().map_or(json!({}), |ended| {
        let reason = if ended.exit_code == 0 {
            "Completed"
        } else {
            "Error"
        };
        json!({"terminated": {
            "exitCode": ended.exit_code, "reason": reason, "finishedAt": rfc3339(ended.at),
        }})
    });
    let condition = |kind: &str, holds: bool| {
        json!({
            "type": kind, "status": if holds { "True" } else { "False" },
            "lastTransitionTime": rfc3339(started),
        })
    };
    json!({"status": {
        "phase": if running || report.restarts > 0 { "Running" } else { "Pending" },
        "startTime": rfc3339(started),
        "hostIP": "127.0.0.1",
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "conditions": [
            condition("PodScheduled", true),
            condition("Initialized", true),
            condition("ContainersReady", ready),
            condition("Ready", ready),
        ],
        "containerStatuses": [{
            "name": name, "image": image, "imageID": "", "containerID": "",
            "ready": ready, "started": running, "restartCount": report.restarts,
            "state": state, "lastState": last,
        }],
    }})
}

/// To the second, as Kubernetes writes times.
fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(json!({"spec": {"containers": [{"name": "c", "image": "i:1"}]}}))
            .unwrap()
    }

    #[test]
    fn a_pod_is_ready_when_its_process_is() {
        let running = |ready| ContainerReport {
            state: State::Running {
                since: Timestamp::UNIX_EPOCH,
                ready,
            },
            last: None,
            restarts: 0,
        };
        for (ready, text) in [(false, "False"), (true, "True")] {
            let status = status(&pod(), "127.1.2.3", Timestamp::UNIX_EPOCH, &running(ready));
            assert_eq!(status.pointer("/status/conditions/3/status").unwrap(), text);
            assert_eq!(status.pointer("/status/phase").unwrap(), "Running");
        }
    }

    #[test]
    fn a_process_that_ended_has_its_exit_code_in_the_status() {
        let report = ContainerReport {
            state: State::Waiting {
                reason: "CrashLoopBackOff",
                message: String::new(),
            },
            last: Some(Ended {
                exit_code: 2,
                at: Timestamp::UNIX_EPOCH,
            }),
            restarts: 1,
        };
        let status = status(&pod(), "127.1.2.3", Timestamp::UNIX_EPOCH, &report);
        let container = status.pointer("/status/containerStatuses/0").unwrap();
        assert_eq!(
            container.pointer("/lastState/terminated/exitCode").unwrap(),
            2
        );
        assert_eq!(
            container.pointer("/state/waiting/reason").unwrap(),
            "CrashLoopBackOff"
        );
    }
}
