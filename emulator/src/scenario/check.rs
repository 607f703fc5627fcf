//! The rules for scenarios that types cannot express. Each check returns a list of problems, empty if there are none.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderName, HeaderValue};

use crate::{
    protocol::{
        bindings::{is_operation_name, is_service},
        rpc_code::RpcCode,
    },
    scenario::{
        AcceptedToken, Identity, Scenario, UnknownOperations,
        connection_fault::ConnectionFault,
        consumer::Consumer,
        credentials::Credentials,
        endpoint::Endpoint,
        error::ScenarioError,
        fault::{Fault, FaultCall},
        fault_answer::{DEEPEST, FaultAnswer, RawAnswer},
        permission::Permission,
        script::{CancelEffect, EndResult, MOST_PADDING, MOST_RESPONSE_PADDING, Script},
        yaml::parse_yaml,
    },
};

impl Scenario {
    /// Reads a scenario from YAML or JSON and checks it.
    ///
    /// # Errors
    /// [`ScenarioError`], with all wrong values at once.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = parse_yaml(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Checks what types alone cannot: names, counts, headers, impossible statuses.
    ///
    /// # Errors
    /// [`ScenarioError::Values`] with one sentence for each wrong field.
    pub fn check(&self) -> Result<(), ScenarioError> {
        to_result(scenario(self))
    }
}

/// `Ok` if there are no problems.
pub(crate) fn to_result(problems: Vec<String>) -> Result<(), ScenarioError> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ScenarioError::Values(problems))
    }
}

/// The problems of a scenario.
pub(crate) fn scenario(scenario: &Scenario) -> Vec<String> {
    let mut problems = faults("faults", &scenario.faults);
    problems.extend(connections("connections", &scenario.connections));
    for (name, script) in &scenario.operations {
        problems.extend(operation(name, script));
    }
    if let UnknownOperations::Script(template) = &scenario.unknown_operations {
        problems.extend(self::script("unknownOperations.script", template));
    }
    problems.extend(tokens(&scenario.tokens));
    problems.extend(identity(&scenario.identity));
    problems.extend(credentials(&scenario.credentials));
    problems.extend(endpoints(&scenario.endpoints));
    if let Some(permissions) = &scenario.permissions {
        problems.extend(self::permissions(permissions));
    }
    problems.extend(consumers(&scenario.consumers));
    if scenario.lists.page_size == 0 || scenario.lists.largest_page == 0 {
        problems.push("lists.pageSize, lists.largestPage: must be at least 1".into());
    }
    if scenario.record_limit == Some(0) {
        problems.push("recordLimit: must be at least 1; omit it for the default".into());
    }
    problems
}

fn tokens(tokens: &[AcceptedToken]) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.token.is_empty() || !token.token.bytes().all(|byte| byte.is_ascii_graphic()) {
            problems.push(format!(
                "tokens[{index}].token: not a valid bearer token; use ASCII without spaces"
            ));
        }
        if token.principal.is_empty() {
            problems.push(format!(
                "tokens[{index}].principal: must not be empty; use the name of the principal"
            ));
        }
    }
    problems
}

fn identity(identity: &Identity) -> Vec<String> {
    let mut problems = Vec::new();
    if !identity.email.contains('@') {
        let email = &identity.email;
        problems.push(format!("identity.email: invalid e-mail address {email:?}; use for example name@project.iam.gserviceaccount.com"));
    }
    problems.extend(whole_seconds("identity.expiresIn", identity.expires_in));
    problems.extend(status(
        "identity.notReady.status",
        identity.not_ready.status,
    ));
    problems
}

fn credentials(credentials: &Credentials) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, provider) in credentials.providers.iter().enumerate() {
        let name = &provider.audience;
        if !name.starts_with("//iam.googleapis.com/") && !name.starts_with("identitynamespace:") {
            problems.push(format!("credentials.providers[{index}].audience: invalid audience {name:?}; use //iam.googleapis.com/.../providers/PROVIDER or identitynamespace:POOL:PROVIDER"));
        }
    }
    problems.extend(whole_seconds(
        "credentials.expiresIn",
        credentials.expires_in,
    ));
    problems
}

fn endpoints(endpoints: &[Endpoint]) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, Endpoint { host, .. }) in endpoints.iter().enumerate() {
        if host.is_empty() || host.contains(['/', ' ']) {
            problems.push(format!("endpoints[{index}].host: invalid host {host:?}; use a name such as europe-west1-dialogflow.googleapis.com, or a name and a port"));
        }
    }
    problems
}

/// `expires_in` of a token is a number of seconds.
fn whole_seconds(field: &str, duration: Duration) -> Option<String> {
    (duration.subsec_nanos() != 0)
        .then(|| format!("{field}: must be whole seconds, for example 3599s"))
}

/// The problems of the permissions.
pub(crate) fn permissions(permissions: &[Permission]) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, permission) in permissions.iter().enumerate() {
        let field = format!("permissions[{index}]");
        if permission.principal.is_empty() {
            problems.push(format!(
                "{field}.principal: must not be empty; use a principal, or * for everybody"
            ));
        }
        if permission.calls.is_empty() {
            problems.push(format!(
                "{field}.calls: must not be empty; use one or more of get, list, cancel"
            ));
        }
        if let Some(under) = &permission.under
            && !under.starts_with("projects/")
        {
            problems.push(format!(
                "{field}.under: {under:?} contains no operations; use projects/P or a longer part of a name"
            ));
        }
    }
    problems
}

/// The problems of the consumer projects.
pub(crate) fn consumers(consumers: &BTreeMap<String, Consumer>) -> Vec<String> {
    let mut problems = Vec::new();
    for (project, consumer) in consumers {
        let field = format!("consumers[{project:?}]");
        if project.is_empty() || project.contains(['/', ' ']) {
            problems.push(format!(
                "{field}: invalid project ID; use the P of projects/P"
            ));
        }
        if let Some(number) = &consumer.number
            && (number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()))
        {
            problems.push(format!(
                "{field}.number: invalid project number {number:?}; use digits in quotes"
            ));
        }
    }
    problems
}

/// The problems of one operation.
pub(crate) fn operation(name: &str, script: &Script) -> Vec<String> {
    let field = format!("operations[{name:?}]");
    let mut problems = self::script(&field, script);
    let (plain, star) = match name.strip_suffix('*') {
        Some(prefix) => (prefix, true),
        None => (name, false),
    };
    let fits = if star {
        plain.contains('/') && !plain.contains('*')
    } else {
        is_operation_name(name) && !name.contains(['*', '%'])
    };
    if !fits {
        problems.push(format!(
            "{field}: invalid operation name; use projects/P/operations/O, projects/P/locations/L/operations/O or another form \
             that a service has, or the beginning of a name and a * at the end"
        ));
    }
    if let Some(service) = script
        .service
        .as_deref()
        .filter(|service| !is_service(service))
    {
        problems.push(format!(
            "{field}.service: unknown service {service:?}; use a name such as dialogflow or container"
        ));
    }
    problems
}

fn script(field: &str, script: &Script) -> Vec<String> {
    let mut problems = faults(&format!("{field}.faults"), &script.faults);
    if let Some(vanishing) = &script.vanishes
        && [vanishing.after, vanishing.after_cancel, vanishing.after_end]
            .iter()
            .all(Option::is_none)
    {
        problems.push(format!(
            "{field}.vanishes: must have after, afterCancel or afterEnd"
        ));
    }
    if let Some(metadata) = &script.metadata
        && metadata.padding > MOST_PADDING
    {
        let bytes = metadata.padding;
        problems.push(format!(
            "{field}.metadata.padding: {bytes} bytes; must be at most {MOST_PADDING}. For a larger answer use raw with bodyBytes"
        ));
    }
    if let Some(ending) = &script.ends {
        problems.extend(result(&format!("{field}.ends.result"), &ending.result));
    }
    if let CancelEffect::Ends(end) = &script.cancel.effect {
        problems.extend(result(&format!("{field}.cancel.effect.ends"), end));
    }
    problems
}

/// The problems of a result.
pub(crate) fn result(field: &str, result: &EndResult) -> Vec<String> {
    match result {
        EndResult::Failed(failure) if failure.code == RpcCode::Cancelled => {
            vec![format!(
                "{field}.failed.code: CANCELLED is not a failure; use cancelledElsewhere instead of failed"
            )]
        }
        EndResult::Completed(response) if response.padding > MOST_RESPONSE_PADDING => {
            let bytes = response.padding;
            vec![format!(
                "{field}.completed.padding: {bytes} bytes; must be at most {MOST_RESPONSE_PADDING}"
            )]
        }
        _ => Vec::new(),
    }
}

/// The problems of a list of faults.
pub(crate) fn faults(field: &str, faults: &[Fault]) -> Vec<String> {
    faults
        .iter()
        .enumerate()
        .flat_map(|(index, fault)| self::fault(&format!("{field}[{index}]"), fault))
        .collect()
}

/// The problems of the rules for connections.
pub(crate) fn connections(field: &str, faults: &[ConnectionFault]) -> Vec<String> {
    faults
        .iter()
        .enumerate()
        .flat_map(|(index, fault)| {
            let field = format!("{field}[{index}]");
            counts(&field, "connections", fault.from, fault.times)
        })
        .collect()
}

/// The problems of a rule's `from` and `times`.
fn counts(field: &str, what: &str, from: u64, times: Option<u64>) -> Vec<String> {
    let mut problems = Vec::new();
    if from == 0 {
        problems.push(format!(
            "{field}.from: must be at least 1; {what} are counted from 1"
        ));
    }
    if times == Some(0) {
        problems.push(format!(
            "{field}.times: must be at least 1; omit it for \"always\""
        ));
    }
    problems
}

fn fault(field: &str, fault: &Fault) -> Vec<String> {
    let mut problems = counts(field, "requests", fault.from, fault.times);
    if fault.applied && fault.on == FaultCall::Get {
        problems.push(format!(
            "{field}.applied: a GET has no effect; use applied only with on: cancel or on: any"
        ));
    }
    match &fault.answer {
        FaultAnswer::Refuse(refusal) => {
            if let Some(value) = &refusal.retry_after
                && HeaderValue::from_str(value).is_err()
            {
                problems.push(format!(
                    "{field}.answer.refuse.retryAfter: {value:?} is not a valid header value"
                ));
            }
        }
        FaultAnswer::Raw(answer) => problems.extend(raw(&format!("{field}.answer.raw"), answer)),
        FaultAnswer::Late(_) | FaultAnswer::Drip(_) | FaultAnswer::Truncated(_)
            if fault.applied =>
        {
            problems.push(format!(
                "{field}.applied: late, drip and truncated always have the usual effect; omit applied"
            ));
        }
        FaultAnswer::Drip(drip) if drip.bytes == 0 => {
            problems.push(format!("{field}.answer.drip.bytes: must be at least 1"));
        }
        FaultAnswer::Deep(deep) if deep.depth > DEEPEST => {
            problems.push(format!(
                "{field}.answer.deep.depth: {}; must be at most {DEEPEST}",
                deep.depth
            ));
        }
        FaultAnswer::Close
        | FaultAnswer::Hang(_)
        | FaultAnswer::Reset
        | FaultAnswer::BlackHole
        | FaultAnswer::RefusedStream
        | FaultAnswer::GoAway(_)
        | FaultAnswer::Late(_)
        | FaultAnswer::Drip(_)
        | FaultAnswer::Truncated(_)
        | FaultAnswer::Deep(_) => {}
    }
    problems
}

fn raw(field: &str, raw: &RawAnswer) -> Vec<String> {
    let mut problems: Vec<String> = status(&format!("{field}.status"), raw.status)
        .into_iter()
        .collect();
    for (name, value) in &raw.headers {
        let at = format!("{field}.headers[{name:?}]");
        if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
            problems.push(format!(
                "{at}: not a valid header; use a header name and a one-line value"
            ));
        }
        if name.eq_ignore_ascii_case("content-length")
            || name.eq_ignore_ascii_case("transfer-encoding")
        {
            problems.push(format!(
                "{at}: set by the emulator; use the field contentLength instead"
            ));
        }
    }
    let length = raw.body_bytes.unwrap_or(raw.body.len());
    if let Some(claimed) = raw.content_length
        && claimed < length as u64
    {
        problems.push(format!("{field}.contentLength: {claimed} is less than the length of the body; must be at least {length}"));
    }
    problems
}

fn status(field: &str, status: u16) -> Option<String> {
    (!(200..=599).contains(&status))
        .then(|| format!("{field}: {status} is not a final HTTP status; use 200 to 599"))
}
