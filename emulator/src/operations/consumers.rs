//! The checks of consumer projects: which quota a request uses, whether the API is enabled there, and who may name the project.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    protocol::{call::Call, rpc_code::RpcCode},
    scenario::consumer::Consumer,
    scenario::fault_answer::{ErrorInfo, Refusal},
    transport::reply::Reply,
};

/// The consumer projects of an emulator, with their usage in the current minute.
#[derive(Debug)]
pub struct Consumers {
    projects: BTreeMap<String, Consumer>,
    started: Instant,
    used: Mutex<HashMap<(String, Call), (u64, u64)>>,
}

impl Consumers {
    /// These projects; minutes count from now.
    pub fn new(projects: BTreeMap<String, Consumer>) -> Self {
        Self {
            projects,
            started: Instant::now(),
            used: Mutex::default(),
        }
    }

    /// The refusal of a request, if it gets one; it counts against the quota of its consumer.
    pub fn refusal(
        &self,
        service: &str,
        call: Call,
        principal: &str,
        named: Option<&str>,
    ) -> Option<Reply> {
        if self.projects.is_empty() {
            return None;
        }
        let minute = self.started.elapsed().as_secs() / 60;
        self.refusal_in(service, minute, call, principal, named)
            .map(|refusal| Reply::refusal(&refusal))
    }

    fn refusal_in(
        &self,
        service: &str,
        minute: u64,
        call: Call,
        principal: &str,
        named: Option<&str>,
    ) -> Option<Refusal> {
        let (project, consumer) = match named {
            Some(name) => {
                let found = self
                    .projects
                    .iter()
                    .find(|(id, consumer)| *id == name || consumer.number.as_deref() == Some(name));
                match found {
                    Some(found) if may_use(found, principal) => found,
                    _ => return Some(user_project_denied(service, name)),
                }
            }
            // Requests of a principal without a project count against none.
            None => self
                .projects
                .iter()
                .find(|found| is_own(*found, principal))?,
        };
        let number = consumer.number.as_deref().unwrap_or(project);
        if !consumer.enabled {
            return Some(service_disabled(service, number));
        }
        let limit = match call {
            Call::Get => consumer.per_minute.get,
            Call::List => consumer.per_minute.list,
            Call::Cancel => consumer.per_minute.cancel,
        }?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, count) = used.entry((project.clone(), call)).or_default();
        if *of != minute {
            (*of, *count) = (minute, 0);
        }
        *count += 1;
        (*count > limit).then(|| exhausted(service, number, limit, consumer.retry_info))
    }
}

fn is_own((project, consumer): (&String, &Consumer), principal: &str) -> bool {
    let account = principal
        .split_once('@')
        .and_then(|(_, domain)| domain.strip_suffix(".iam.gserviceaccount.com"));
    account == Some(project) || consumer.principals.iter().any(|own| own == principal)
}

fn may_use((_, consumer): (&String, &Consumer), principal: &str) -> bool {
    consumer
        .users
        .as_ref()
        .is_none_or(|users| users.iter().any(|user| user == principal))
}

fn host(service: &str) -> String {
    format!("{service}.googleapis.com")
}

/// The name with a capital letter, which for most services is not quite its title.
fn title(service: &str) -> String {
    let mut letters = service.chars();
    letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .collect()
}

fn info(reason: &str, metadata: &[(&str, String)]) -> Option<ErrorInfo> {
    let pairs = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()));
    Some(ErrorInfo {
        reason: reason.into(),
        domain: "googleapis.com".into(),
        metadata: pairs.collect(),
    })
}

fn user_project_denied(service: &str, project: &str) -> Refusal {
    let message = format!(
        "Caller does not have required permission to use project {project}. Grant the caller the \
         roles/serviceusage.serviceUsageConsumer role, or a custom role with the serviceusage.services.use permission."
    );
    let metadata = [
        ("consumer", format!("projects/{project}")),
        ("containerInfo", project.to_owned()),
        ("service", host(service)),
    ];
    Refusal {
        message: Some(message),
        error_info: info("USER_PROJECT_DENIED", &metadata),
        ..Refusal::new(RpcCode::PermissionDenied)
    }
}

fn service_disabled(service: &str, number: &str) -> Refusal {
    let (host, title) = (host(service), title(service));
    let url =
        format!("https://console.developers.google.com/apis/api/{host}/overview?project={number}");
    let message = format!(
        "{title} API has not been used in project {number} before or it is disabled. Enable it by visiting {url} then retry. If \
         you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry."
    );
    let metadata = [
        ("activationUrl", url.clone()),
        ("consumer", format!("projects/{number}")),
        ("containerInfo", number.to_owned()),
        ("service", host.clone()),
        ("serviceTitle", format!("{title} API")),
    ];
    let link = json!({"description": "Google developers console API activation", "url": url});
    let details: [Value; 2] = [
        json!({"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US", "message": message}),
        json!({"@type": "type.googleapis.com/google.rpc.Help", "links": [link]}),
    ];
    Refusal {
        message: Some(message),
        error_info: info("SERVICE_DISABLED", &metadata),
        details: details.to_vec(),
        ..Refusal::new(RpcCode::PermissionDenied)
    }
}

fn exhausted(service: &str, number: &str, limit: u64, retry_info: Option<Duration>) -> Refusal {
    let host = host(service);
    let metric = format!("{host}/operations_requests");
    let message = format!(
        "Quota exceeded for quota metric '{metric}' and limit 'Operations requests per minute' of service '{host}' for consumer \
         'project_number:{number}'."
    );
    let metadata = [
        ("consumer", format!("projects/{number}")),
        (
            "quota_limit",
            "OperationsRequestsPerMinutePerProject".to_owned(),
        ),
        ("quota_limit_value", limit.to_string()),
        ("quota_location", "global".to_owned()),
        ("quota_metric", metric),
        ("quota_unit", "1/min/{project}".to_owned()),
        ("service", host.clone()),
    ];
    Refusal {
        message: Some(message),
        error_info: info("RATE_LIMIT_EXCEEDED", &metadata),
        retry_info,
        ..Refusal::new(RpcCode::ResourceExhausted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::consumer::PerMinute;

    #[test]
    fn a_minute_s_requests_are_counted_by_project_and_method() {
        let per_minute = PerMinute {
            get: Some(2),
            ..PerMinute::default()
        };
        let consumer = Consumer {
            per_minute,
            ..Consumer::default()
        };
        let both = ["a", "b"].map(|id| (id.to_owned(), consumer.clone()));
        let consumers = Consumers::new(BTreeMap::from(both));
        let refused = |minute, call, project: &str| {
            consumers
                .refusal_in("dialogflow", minute, call, "x@y", Some(project))
                .is_some()
        };
        let got: Vec<bool> = (0..3).map(|_| refused(0, Call::Get, "a")).collect();
        assert_eq!(got, [false, false, true]);
        assert!(!refused(0, Call::Get, "b"), "another project");
        assert!(!refused(0, Call::Cancel, "a"), "another method");
        assert!(!refused(1, Call::Get, "a"), "another minute");
    }
}
