//! The flags of the leader election, named as those of Kubernetes' own components.

use std::{fs, time::Duration};

use clap::{ArgAction, Args};

use crate::{
    api::object_name::{is_label, is_object_name},
    controller::leadership::{LeaderElection, Timing},
    duration_text,
};

/// Where a pod finds the name of its namespace.
const POD_NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// How much longer than the retry period the renew deadline must be, in per cent: client-go's rule.
const LEAST_DEADLINE_PERCENT: u32 = 120;

/// How the leader is elected.
#[derive(Args, Clone, Debug)]
pub struct LeaderElectionArguments {
    /// Elect a leader: of several controllers one works, and the others stand by. With false, only one controller may run
    #[arg(long, value_name = "BOOL", env = "OPCANCEL_LEADER_ELECT", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub leader_elect: bool,

    /// Name of the Lease that the leader holds. Controllers with different Leases do not know of each other
    #[arg(long, value_name = "NAME", env = "OPCANCEL_LEADER_ELECT_LEASE_NAME", default_value = "opcancel-controller", value_parser = object_name)]
    pub leader_elect_lease_name: String,

    /// Namespace of the Lease. Default: the pod's namespace
    #[arg(long, value_name = "NAMESPACE", env = "OPCANCEL_LEADER_ELECT_NAMESPACE", value_parser = namespace)]
    pub leader_elect_namespace: Option<String>,

    /// How long the others wait after the leader's last renewal before one of them takes over (whole seconds, 2s to 10m)
    #[arg(long, value_name = "DURATION", env = "OPCANCEL_LEADER_ELECT_LEASE_DURATION", default_value = "15s", value_parser = lease_duration, allow_hyphen_values = true)]
    pub leader_elect_lease_duration: Duration,

    /// How long the leader works without a successful renewal. Then it stops, and the process ends (1s or more)
    #[arg(long, value_name = "DURATION", env = "OPCANCEL_LEADER_ELECT_RENEW_DEADLINE", default_value = "10s", value_parser = |text: &str| at_least("1s", text), allow_hyphen_values = true)]
    pub leader_elect_renew_deadline: Duration,

    /// Time between two renewals, and between two tries (100ms or more)
    #[arg(long, value_name = "DURATION", env = "OPCANCEL_LEADER_ELECT_RETRY_PERIOD", default_value = "2s", value_parser = |text: &str| at_least("100ms", text), allow_hyphen_values = true)]
    pub leader_elect_retry_period: Duration,
}

impl LeaderElectionArguments {
    /// Checks the flags that depend on each other.
    ///
    /// # Errors
    /// If two flags contradict each other; the message names them.
    pub fn check(&self) -> Result<(), String> {
        let (lease, deadline, period) = (
            self.leader_elect_lease_duration,
            self.leader_elect_renew_deadline,
            self.leader_elect_retry_period,
        );
        if deadline >= lease {
            return Err(format!(
                "--leader-elect-renew-deadline ({deadline:?}) must be shorter than --leader-elect-lease-duration ({lease:?}): otherwise two controllers would work at once"
            ));
        }
        if deadline.saturating_mul(100) <= period.saturating_mul(LEAST_DEADLINE_PERCENT) {
            return Err(format!(
                "--leader-elect-renew-deadline ({deadline:?}) must be longer than 1.2 times --leader-elect-retry-period ({period:?})"
            ));
        }
        Ok(())
    }

    /// How the leader is elected; `None` with `--leader-elect=false`.
    ///
    /// # Errors
    /// If the namespace of the Lease is not known.
    pub fn election(&self) -> Result<Option<LeaderElection>, String> {
        if !self.leader_elect {
            return Ok(None);
        }
        let namespace = match &self.leader_elect_namespace {
            Some(namespace) => namespace.clone(),
            None => pod_namespace()?,
        };
        Ok(Some(LeaderElection {
            namespace,
            lease: self.leader_elect_lease_name.clone(),
            timing: Timing {
                lease_duration: self.leader_elect_lease_duration,
                renew_deadline: self.leader_elect_renew_deadline,
                retry_period: self.leader_elect_retry_period,
            },
        }))
    }
}

fn pod_namespace() -> Result<String, String> {
    let found = fs::read_to_string(POD_NAMESPACE_FILE).unwrap_or_default();
    let found = found.trim();
    if found.is_empty() {
        return Err(
            "--leader-elect-namespace is missing: this is not a pod with a ServiceAccount, so the namespace of the Lease is not known. \
             Set the flag; or use --leader-elect=false if only one controller runs"
                .to_owned(),
        );
    }
    Ok(found.to_owned())
}

/// Reads the name of a namespace.
///
/// # Errors
/// If no namespace can have this name.
pub fn namespace(text: &str) -> Result<String, String> {
    if text.len() <= 63 && is_label(text) {
        Ok(text.to_owned())
    } else {
        Err("invalid namespace name; use for example team-a".to_owned())
    }
}

/// Reads the name of an object.
fn object_name(text: &str) -> Result<String, String> {
    if text.len() <= 253 && is_object_name(text) {
        Ok(text.to_owned())
    } else {
        Err("invalid name; use lower-case letters, digits, - and ., for example opcancel-controller".to_owned())
    }
}

/// Lower limits only: the other limits come from the lease duration.
fn at_least(shortest: &str, text: &str) -> Result<Duration, String> {
    let duration = duration_text::parse(text)?;
    if duration < duration_text::parse(shortest)? {
        return Err(format!("must be {shortest} or longer"));
    }
    Ok(duration)
}

/// The Lease stores whole seconds.
fn lease_duration(text: &str) -> Result<Duration, String> {
    let duration = duration_text::parse(text)?;
    let is_whole = duration.subsec_nanos() == 0;
    if is_whole && (2..=600).contains(&duration.as_secs()) {
        Ok(duration)
    } else {
        Err("must be whole seconds from 2s to 10m".to_owned())
    }
}
