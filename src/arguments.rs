//! The command line of `opcancel-controller`. Each flag can also be set by an environment variable.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;

use crate::{
    connection_arguments::ConnectionArguments,
    duration_text::within,
    leader_election_arguments::{LeaderElectionArguments, namespace},
    telemetry::logs::LogFormat,
    workload_identity_arguments::WorkloadIdentityArguments,
};

/// A shorter `--not-found-after` is only for experiments: Google can take minutes to show a new operation.
const SHORT_NOT_FOUND: Duration = Duration::from_secs(60);

/// Cancels the Google long-running operations that OperationCancellation objects name, and records how they ended.
#[derive(Clone, Debug, Parser)]
#[command(name = "opcancel-controller", version, max_term_width = 110)]
pub struct Arguments {
    /// Kubeconfig file for the API server. Default: KUBECONFIG, ~/.kube/config, or the pod's ServiceAccount
    #[arg(long, value_name = "FILE", env = "OPCANCEL_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,

    /// Namespace to watch. Repeat the flag or separate names with commas. Default: all namespaces
    #[arg(long, value_name = "NAMESPACE", env = "OPCANCEL_WATCH_NAMESPACE", value_delimiter = ',', value_parser = namespace)]
    pub watch_namespace: Vec<String>,

    /// How Google is reached.
    #[command(flatten)]
    pub connections: ConnectionArguments,

    /// Maximum number of concurrent calls of each kind: cancel requests, first reads and polls. One namespace or endpoint can use at
    /// most half of the workers that others are not using; one namespace can use at most half of an endpoint's workers
    #[arg(long, value_name = "NUMBER", env = "OPCANCEL_WORKERS", default_value_t = 64, value_parser = workers)]
    pub workers: usize,

    /// Maximum number of calls to Google for one namespace in a minute, and at once (5 to 1000000). Cancel requests go first; polls leave
    /// a fifth of it. `off` disables the limit
    #[arg(long, value_name = "NUMBER", env = "OPCANCEL_NAMESPACE_CALLS_PER_MINUTE", default_value = "1200", value_parser = calls_per_minute)]
    pub namespace_calls_per_minute: CallsPerMinute,

    /// How long the first cancel request waits for the first read of the operation (10ms to 30s)
    #[arg(long, value_name = "DURATION", env = "OPCANCEL_OBSERVE_BUDGET", default_value = "250ms", value_parser = within("10ms", "30s"), allow_hyphen_values = true)]
    pub observe_budget: Duration,

    /// Shortest delay between two polls of an operation (100ms to 1h)
    #[arg(long, value_name = "DURATION", env = "OPCANCEL_MIN_POLL", default_value = "500ms", value_parser = within("100ms", "1h"), allow_hyphen_values = true)]
    pub min_poll: Duration,

    /// Longest delay between two polls of an operation (500ms to 1h)
    #[arg(long, value_name = "DURATION", env = "OPCANCEL_MAX_POLL", default_value = "60s", value_parser = within("500ms", "1h"), allow_hyphen_values = true)]
    pub max_poll: Duration,

    /// Record the outcome NotFound if Google answers only NOT_FOUND for this long; a new operation can be hidden for minutes (3s to 1d)
    #[arg(long, value_name = "DURATION", env = "OPCANCEL_NOT_FOUND_AFTER", default_value = "5m", value_parser = within("3s", "1d"), allow_hyphen_values = true)]
    pub not_found_after: Duration,

    /// Name of this cluster in Google's audit log (X-Goog-Request-Reason)
    #[arg(
        long,
        value_name = "NAME",
        env = "OPCANCEL_CLUSTER_NAME",
        default_value = ""
    )]
    pub cluster_name: String,

    /// Project whose quota the calls use (x-goog-user-project). Default: the project in the credential file, or the identity's own
    /// project
    #[arg(long, value_name = "PROJECT", env = "OPCANCEL_QUOTA_PROJECT")]
    pub quota_project: Option<String>,

    /// OAuth scope of the tokens. It must be sufficient for every service that is used. Default: Google's broad scope,
    /// cloud-platform
    #[arg(long, value_name = "SCOPE", env = "OPCANCEL_GOOGLE_SCOPE", value_parser = scope)]
    pub google_scope: Option<String>,

    /// Google identity to act as. The controller refuses any other. Default: any identity except a node's default service account
    #[arg(long, value_name = "EMAIL", env = "OPCANCEL_EXPECT_PRINCIPAL")]
    pub expect_principal: Option<String>,

    /// How the leader is elected.
    #[command(flatten)]
    pub leader_election: LeaderElectionArguments,

    /// How the controller acts as ServiceAccounts.
    #[command(flatten)]
    pub workload_identity: WorkloadIdentityArguments,

    /// Address that serves /livez, /readyz and /metrics. `[::]` serves IPv6 and IPv4. `off` disables it
    #[arg(long, value_name = "ADDRESS", env = "OPCANCEL_ADMIN_ADDRESS", default_value = "[::]:8080", value_parser = admin_address)]
    pub admin_address: AdminAddress,

    /// Format of log lines: text on standard error, or json on standard output with Cloud Logging's severities
    #[arg(long, value_enum, env = "OPCANCEL_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Log level: error, warn, info, debug or trace. RUST_LOG takes precedence
    #[arg(
        long,
        value_name = "LEVEL",
        env = "OPCANCEL_LOG_LEVEL",
        default_value = "info"
    )]
    pub log_level: String,
}

/// Where the admin server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// There is no admin server.
    Off,
    /// It listens on this address.
    At(SocketAddr),
}

/// The limit of `--namespace-calls-per-minute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallsPerMinute {
    /// There is no limit.
    Off,
    /// So many calls.
    Most(u32),
}

impl From<CallsPerMinute> for Option<u32> {
    fn from(limit: CallsPerMinute) -> Self {
        match limit {
            CallsPerMinute::Off => None,
            CallsPerMinute::Most(number) => Some(number),
        }
    }
}

impl Arguments {
    /// Checks the flags that depend on each other.
    ///
    /// # Errors
    /// If two flags contradict each other; the message names them.
    pub fn check(mut self) -> Result<Self, String> {
        if self.min_poll > self.max_poll {
            return Err(format!(
                "--min-poll ({:?}) must not be longer than --max-poll ({:?})",
                self.min_poll, self.max_poll
            ));
        }
        self.connections.check()?;
        self.leader_election.check()?;
        self.watch_namespace.sort();
        self.watch_namespace.dedup();
        Ok(self)
    }
}

impl Arguments {
    /// Warnings about values that are allowed but risky, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.not_found_after < SHORT_NOT_FOUND {
            warnings.push(format!(
                "--not-found-after is {:?}. Google can take minutes to show a new operation, so an operation that is running may end as NotFound",
                self.not_found_after
            ));
        }
        warnings
    }
}

fn admin_address(text: &str) -> Result<AdminAddress, String> {
    match text {
        "" | "off" => Ok(AdminAddress::Off),
        address => address.parse().map(AdminAddress::At).map_err(|_| {
            "use IP:PORT, for example 127.0.0.1:8080 or [::]:8080, or use off".to_owned()
        }),
    }
}

/// The form of Google's scopes.
fn scope(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("https://www.googleapis.com/auth/");
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    if name.is_some_and(is_name) {
        Ok(text.to_owned())
    } else {
        Err(
            "invalid scope; use for example https://www.googleapis.com/auth/cloud-platform"
                .to_owned(),
        )
    }
}

fn workers(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|workers| (1..=1024).contains(workers))
        .ok_or_else(|| "must be a number from 1 to 1024".to_owned())
}

fn calls_per_minute(text: &str) -> Result<CallsPerMinute, String> {
    match text {
        "off" => Ok(CallsPerMinute::Off),
        number => number
            .parse()
            .ok()
            .filter(|number| (5..=1_000_000).contains(number))
            .map(CallsPerMinute::Most)
            .ok_or_else(|| "must be a number from 5 to 1000000, or off".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, String> {
        Arguments::try_parse_from(std::iter::once(&"opcancel-controller").chain(arguments))
            .map_err(|error| error.to_string())?
            .check()
    }

    #[test]
    fn the_defaults_are_those_of_the_life_cycle() {
        let settings = crate::lifecycle::Settings::default();
        let arguments = parse(&[]).unwrap();
        assert_eq!(arguments.observe_budget, settings.observe_budget);
        assert_eq!(arguments.min_poll, settings.min_poll);
        assert_eq!(arguments.max_poll, settings.max_poll);
        assert_eq!(arguments.not_found_after, settings.not_found_after);
    }

    #[test]
    fn lists_may_be_repeated_and_have_commas() {
        let arguments = parse(&["--watch-namespace", "b,a", "--watch-namespace=a"]).unwrap();
        assert_eq!(arguments.watch_namespace, ["a", "b"]);
        assert_eq!(
            parse(&["--admin-address", "off"]).unwrap().admin_address,
            AdminAddress::Off
        );
    }

    #[test]
    fn the_limits_themselves_are_allowed() {
        for (flag, limits) in [
            ("--observe-budget", ["10ms", "30s"]),
            ("--min-poll", ["100ms", "60s"]),
            ("--max-poll", ["500ms", "1h"]),
            ("--not-found-after", ["3s", "1d"]),
        ] {
            for limit in limits {
                parse(&[&format!("{flag}={limit}")]).unwrap();
            }
        }
    }

    #[test]
    fn a_short_not_found_after_is_warned_about() {
        assert!(parse(&[]).unwrap().warnings().is_empty());
        assert!(
            parse(&["--not-found-after=1m"])
                .unwrap()
                .warnings()
                .is_empty()
        );
        let warned = parse(&["--not-found-after=59s"]).unwrap().warnings();
        assert!(warned[0].contains("--not-found-after is 59s"), "{warned:?}");
    }

    #[test]
    fn errors_name_the_flag_and_the_expected_form() {
        for (arguments, said) in [
            (&["--observe-budget", "-1s"][..], "--observe-budget"),
            (&["--observe-budget=1"], "use for example 30s or 5m"),
            (&["--min-poll=0s"], "100ms to 1h"),
            (&["--min-poll=1ms"], "100ms to 1h"),
            (&["--min-poll=2h", "--max-poll=2h"], "100ms to 1h"),
            (&["--max-poll=499ms", "--min-poll=100ms"], "500ms to 1h"),
            (&["--max-poll=2d"], "500ms to 1h"),
            (&["--observe-budget=0s"], "10ms to 30s"),
            (&["--observe-budget=9999s"], "10ms to 30s"),
            (&["--not-found-after=1ms"], "3s to 1d"),
            (&["--not-found-after=2d"], "3s to 1d"),
            (&["--min-poll=2m"], "--max-poll"),
            (&["--workers=0"], "1 to 1024"),
            (&["--namespace-calls-per-minute=0"], "5 to 1000000, or off"),
            (
                &["--namespace-calls-per-minute=1.5"],
                "5 to 1000000, or off",
            ),
            (&["--watch-namespace=Team_A"], "invalid namespace name"),
            (
                &["--endpoint-override=dialogflow=http://example.com"],
                "https",
            ),
            (
                &["--endpoint-override=gke=https://example.com"],
                "dialogflow",
            ),
            (&["--admin-address=8080"], "IP:PORT"),
            (&["--log-format=xml"], "json"),
            (&["--google-scope=dialogflow"], "auth/cloud-platform"),
            (&["--universe-domain="], "must be a domain"),
            (
                &["--universe-domain=https://apis-tpczero.goog"],
                "without https://",
            ),
            (&["--universe-domain=127.0.0.1"], "--universe-domain"),
            (&["--https-proxy=proxy:3128"], "use http://HOST:PORT"),
            (
                &["--https-proxy=http://user:secret@proxy:3128"],
                "--https-proxy-credentials-file",
            ),
            (&["--https-proxy-credentials-file=f"], "--https-proxy"),
            (&["--leader-elect=perhaps"], "true, false"),
            (&["--leader-elect-lease-name=Mine"], "lower-case"),
            (&["--leader-elect-lease-name=a..b"], "lower-case"),
            (&["--leader-elect-namespace=Team_A"], "invalid namespace"),
            (&["--leader-elect-lease-duration=1s"], "2s to 10m"),
            (&["--leader-elect-lease-duration=15500ms"], "whole seconds"),
            (&["--leader-elect-lease-duration=11m"], "2s to 10m"),
            (&["--leader-elect-renew-deadline=999ms"], "1s or longer"),
            (&["--leader-elect-renew-deadline=15s"], "shorter than"),
            (&["--leader-elect-retry-period=99ms"], "100ms or longer"),
            (&["--leader-elect-retry-period=8334ms"], "1.2 times"),
            (
                &["--workload-identity-provider=aks"],
                "workloadIdentityPools/POOL/providers/PROVIDER",
            ),
            (&["--service-account-token-max-age=2h"], "10s to 1h"),
            (
                &["--sts-endpoint=http://sts.example"],
                "must be an https:// URL",
            ),
            (
                &["--iam-credentials-endpoint=https://iam.example/v1"],
                "must have no path",
            ),
            (&["--no-such-flag"], "--no-such-flag"),
        ] {
            let error = parse(arguments).unwrap_err();
            assert!(error.contains(said), "{arguments:?}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn one_process_needs_no_election() {
        for (arguments, elects) in [
            (&[][..], true),
            (&["--leader-elect"], true),
            (&["--leader-elect=true"], true),
            (&["--leader-elect=false"], false),
        ] {
            let arguments = [arguments, &["--leader-elect-namespace=team"]].concat();
            let election = parse(&arguments).unwrap().leader_election.election();
            assert_eq!(election.unwrap().is_some(), elects, "{arguments:?}");
        }
    }

    #[test]
    fn the_leases_namespace_is_the_pods_or_has_to_be_given() {
        // Tests run outside of a pod.
        let error = parse(&[]).unwrap().leader_election.election().unwrap_err();
        assert!(error.contains("--leader-elect-namespace"), "{error}");
        assert!(error.contains("--leader-elect=false"), "{error}");
    }

    #[test]
    fn the_proxy_is_not_shown() {
        let arguments = parse(&["--https-proxy=http://proxy.example:3128"]).unwrap();
        assert!(!format!("{arguments:?}").contains("proxy.example"));
        let proxy = arguments.connections.proxy().unwrap().unwrap();
        assert_eq!(proxy.address(), "proxy.example:3128");
        assert!(parse(&[]).unwrap().connections.proxy().unwrap().is_none());
    }
}
