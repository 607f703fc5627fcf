//! The rules for scenarios that types cannot express. Pure: a list of sentences, empty if all is well.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};

use crate::{
    protocol::{call::operation_name, rpc_code::RpcCode},
    scenario::{
        Scenario, UnknownOperations,
        connection_fault::ConnectionFault,
        consumer::Consumer,
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

/// `Ok` for no complaints.
pub(crate) fn to_result(complaints: Vec<String>) -> Result<(), ScenarioError> {
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(ScenarioError::Values(complaints))
    }
}

/// All that is wrong with a scenario.
pub(crate) fn scenario(scenario: &Scenario) -> Vec<String> {
    let mut complaints = faults("faults", &scenario.faults);
    complaints.extend(connections("connections", &scenario.connections));
    for (name, script) in &scenario.operations {
        complaints.extend(operation(name, script));
    }
    if let UnknownOperations::Script(template) = &scenario.unknown_operations {
        complaints.extend(self::script("unknownOperations.script", template));
    }
    for (index, token) in scenario.tokens.iter().enumerate() {
        if token.token.is_empty() || !token.token.bytes().all(|byte| byte.is_ascii_graphic()) {
            complaints.push(format!(
                "tokens[{index}].token: not a bearer token; expected ASCII without spaces"
            ));
        }
        if token.principal.is_empty() {
            complaints.push(format!(
                "tokens[{index}].principal: empty; expected a name for the token's holder"
            ));
        }
    }
    if !scenario.identity.email.contains('@') {
        let email = &scenario.identity.email;
        complaints.push(format!("identity.email: {email:?} is not an e-mail address, such as name@project.iam.gserviceaccount.com"));
    }
    if scenario.identity.expires_in.subsec_nanos() != 0 {
        complaints.push("identity.expiresIn: expected whole seconds, such as 3599s".into());
    }
    complaints.extend(status(
        "identity.notReady.status",
        scenario.identity.not_ready.status,
    ));
    for (index, provider) in scenario.credentials.providers.iter().enumerate() {
        let name = &provider.audience;
        if !name.starts_with("//iam.googleapis.com/") && !name.starts_with("identitynamespace:") {
            complaints.push(format!("credentials.providers[{index}].audience: {name:?}; expected //iam.googleapis.com/.../providers/PROVIDER or identitynamespace:POOL:PROVIDER"));
        }
    }
    if scenario.credentials.expires_in.subsec_nanos() != 0 {
        complaints.push("credentials.expiresIn: expected whole seconds, such as 3599s".into());
    }
    for (index, endpoint) in scenario.endpoints.iter().enumerate() {
        if endpoint.host.is_empty() || endpoint.host.contains(['/', ' ']) {
            let host = &endpoint.host;
            complaints.push(format!("endpoints[{index}].host: {host:?} is no host; expected a name such as europe-west1-dialogflow.googleapis.com, or a name and a port"));
        }
    }
    if let Some(permissions) = &scenario.permissions {
        complaints.extend(self::permissions(permissions));
    }
    complaints.extend(consumers(&scenario.consumers));
    if scenario.lists.page_size == 0 || scenario.lists.largest_page == 0 {
        complaints.push("lists.pageSize, lists.largestPage: 0; expected 1 or more".into());
    }
    if scenario.record_limit == Some(0) {
        complaints.push("recordLimit: 0; expected 1 or more, or no recordLimit".into());
    }
    complaints
}

/// What is wrong with the permissions.
pub(crate) fn permissions(permissions: &[Permission]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (index, permission) in permissions.iter().enumerate() {
        let field = format!("permissions[{index}]");
        if permission.principal.is_empty() {
            complaints.push(format!(
                "{field}.principal: empty; expected a principal, or * for everybody"
            ));
        }
        if permission.calls.is_empty() {
            complaints.push(format!(
                "{field}.calls: none, which allows nothing; expected some of get, list, cancel"
            ));
        }
        if let Some(under) = &permission.under
            && !under.starts_with("projects/")
        {
            complaints.push(format!(
                "{field}.under: {under:?} is above every operation; expected projects/P or more of a name"
            ));
        }
    }
    complaints
}

/// What is wrong with the consumer projects.
pub(crate) fn consumers(consumers: &BTreeMap<String, Consumer>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (project, consumer) in consumers {
        let field = format!("consumers[{project:?}]");
        if project.is_empty() || project.contains(['/', ' ']) {
            complaints.push(format!(
                "{field}: not a project's id; expected one as it stands in projects/P"
            ));
        }
        if let Some(number) = &consumer.number
            && (number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()))
        {
            complaints.push(format!(
                "{field}.number: {number:?}; expected digits, in quotes"
            ));
        }
    }
    complaints
}

/// All that is wrong with one operation.
pub(crate) fn operation(name: &str, script: &Script) -> Vec<String> {
    let field = format!("operations[{name:?}]");
    let mut complaints = self::script(&field, script);
    let (plain, star) = match name.strip_suffix('*') {
        Some(prefix) => (prefix, true),
        None => (name, false),
    };
    let fits = if star {
        plain.starts_with("projects/") && !plain.contains('*')
    } else {
        operation_name(name).as_deref() == Some(name) && !name.contains(['*', '%'])
    };
    if !fits {
        complaints.push(format!(
            "{field}: not an operation's name; expected projects/P/operations/O or projects/P/locations/L/operations/O, \
             or the beginning of one and a * at the end"
        ));
    }
    complaints
}

fn script(field: &str, script: &Script) -> Vec<String> {
    let mut complaints = faults(&format!("{field}.faults"), &script.faults);
    if let Some(vanishing) = &script.vanishes
        && [vanishing.after, vanishing.after_cancel, vanishing.after_end]
            .iter()
            .all(Option::is_none)
    {
        complaints.push(format!(
            "{field}.vanishes: says no moment; expected after, afterCancel or afterEnd"
        ));
    }
    if let Some(metadata) = &script.metadata
        && metadata.padding > MOST_PADDING
    {
        let bytes = metadata.padding;
        complaints.push(format!(
            "{field}.metadata.padding: {bytes} bytes; expected at most {MOST_PADDING}. For a larger answer: raw with bodyBytes"
        ));
    }
    if let Some(ending) = &script.ends {
        complaints.extend(result(&format!("{field}.ends.result"), &ending.result));
    }
    if let CancelEffect::Ends(end) = &script.cancel.effect {
        complaints.extend(result(&format!("{field}.cancel.effect.ends"), end));
    }
    complaints
}

/// What is wrong with a result.
pub(crate) fn result(field: &str, result: &EndResult) -> Vec<String> {
    match result {
        EndResult::Failed(failure) if failure.code == RpcCode::Cancelled => {
            vec![format!(
                "{field}.failed.code: CANCELLED is no failure; expected cancelledElsewhere in place of failed"
            )]
        }
        EndResult::Completed(response) if response.padding > MOST_RESPONSE_PADDING => {
            let bytes = response.padding;
            vec![format!(
                "{field}.completed.padding: {bytes} bytes; expected at most {MOST_RESPONSE_PADDING}"
            )]
        }
        _ => Vec::new(),
    }
}

/// What is wrong with a list of faults.
pub(crate) fn faults(field: &str, faults: &[Fault]) -> Vec<String> {
    faults
        .iter()
        .enumerate()
        .flat_map(|(index, fault)| self::fault(&format!("{field}[{index}]"), fault))
        .collect()
}

/// What is wrong with the rules for connections.
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

/// What is wrong with the numbers of what a rule meets.
fn counts(field: &str, what: &str, from: u64, times: Option<u64>) -> Vec<String> {
    let mut complaints = Vec::new();
    if from == 0 {
        complaints.push(format!("{field}.from: 0; {what} are counted from 1"));
    }
    if times == Some(0) {
        complaints.push(format!(
            "{field}.times: 0 never happens; expected 1 or more, or no times for \"for ever\""
        ));
    }
    complaints
}

fn fault(field: &str, fault: &Fault) -> Vec<String> {
    let mut complaints = counts(field, "requests", fault.from, fault.times);
    if fault.applied && fault.on == FaultCall::Get {
        complaints.push(format!(
            "{field}.applied: a GET has no effect; expected applied only with on: cancel or any"
        ));
    }
    match &fault.answer {
        FaultAnswer::Refuse(refusal) => {
            if let Some(value) = &refusal.retry_after
                && HeaderValue::from_str(value).is_err()
            {
                complaints.push(format!(
                    "{field}.answer.refuse.retryAfter: {value:?} cannot stand in a header"
                ));
            }
        }
        FaultAnswer::Raw(answer) => complaints.extend(raw(&format!("{field}.answer.raw"), answer)),
        FaultAnswer::Late(_) | FaultAnswer::Drip(_) | FaultAnswer::Truncated(_)
            if fault.applied =>
        {
            complaints.push(format!(
                "{field}.applied: late, drip and truncated have the usual effect; expected no applied"
            ));
        }
        FaultAnswer::Drip(drip) if drip.bytes == 0 => {
            complaints.push(format!(
                "{field}.answer.drip.bytes: 0 never ends; expected 1 or more"
            ));
        }
        FaultAnswer::Deep(deep) if deep.depth > DEEPEST => {
            complaints.push(format!(
                "{field}.answer.deep.depth: {}; expected at most {DEEPEST}",
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
    complaints
}

fn raw(field: &str, raw: &RawAnswer) -> Vec<String> {
    let mut complaints: Vec<String> = status(&format!("{field}.status"), raw.status)
        .into_iter()
        .collect();
    for (name, value) in &raw.headers {
        let at = format!("{field}.headers[{name:?}]");
        if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
            complaints.push(format!(
                "{at}: cannot stand in an HTTP answer; expected a header name and a one-line value"
            ));
        }
        if name.eq_ignore_ascii_case("content-length")
            || name.eq_ignore_ascii_case("transfer-encoding")
        {
            complaints.push(format!(
                "{at}: set by the emulator; expected contentLength beside headers"
            ));
        }
    }
    let length = raw.body_bytes.unwrap_or(raw.body.len());
    if let Some(claimed) = raw.content_length
        && claimed < length as u64
    {
        complaints.push(format!("{field}.contentLength: {claimed} is less than the body has ({length}); expected that or more"));
    }
    complaints
}

fn status(field: &str, status: u16) -> Option<String> {
    (!(200..=599).contains(&status))
        .then(|| format!("{field}: {status} is not a final HTTP status; expected 200 to 599"))
}
