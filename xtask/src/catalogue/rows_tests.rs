//! The generator stops at what no row can express.

use super::super::{discovery::GetMethod, hand_kept};
use super::*;

const PLAIN: &str =
    "{sources: {discovery: d}, services: {looker: {default: v1, host_evidence: discovery}}}";

fn plain() -> CancelMethod {
    CancelMethod {
        service: "looker".to_owned(),
        version: "v1".to_owned(),
        title: "Looker API".to_owned(),
        id: "looker.operations.cancel".to_owned(),
        host: "looker.googleapis.com".to_owned(),
        errors_have_status: true,
        verb: "POST".to_owned(),
        path: "v1/projects/*/operations/*:cancel".to_owned(),
        query: Vec::new(),
        needs_query: false,
        request_fields: Vec::new(),
        answer_fields: Some(Vec::new()),
        scopes: vec![CLOUD_PLATFORM.to_owned()],
        get: Some(GetMethod {
            verb: "GET".to_owned(),
            path: "v1/projects/*/operations/*".to_owned(),
            query: Vec::new(),
            scopes: vec![CLOUD_PLATFORM.to_owned()],
            answer: OperationForm::Longrunning,
            lists_errors: false,
        }),
    }
}

fn try_with(hand_kept: &str, change: impl FnOnce(&mut CancelMethod)) -> Result<String> {
    let mut method = plain();
    change(&mut method);
    let hand_kept = hand_kept::parse(hand_kept)?;
    Ok(generate(&[method], &hand_kept, &[])?.text)
}

#[test]
fn a_plain_method_is_a_row() {
    let text = try_with(PLAIN, |_| {}).unwrap();
    let rows: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        rows,
        [
            "service\tlooker\tLooker\tlooker.googleapis.com\t-\t-\t-\tv1\t-\t-",
            "version\tv1\tv1/\t:cancel\tlongrunning\tfinal",
            "name\t2\tprojects/*/operations/*",
        ]
    );
}

#[test]
fn a_custom_role_needs_what_the_cancel_request_needs_and_evidence() {
    let with_role = |role: &str| {
        let kept = format!(
            "{{sources: {{discovery: d, roles: r}}, services: {{looker: {{default: v1, host_evidence: discovery, \
             permission: looker.operations.cancel, permission_evidence: roles, custom_role: {role}}}}}}}"
        );
        try_with(&kept, |_| {}).map_err(|error| format!("{error:#}"))
    };
    let good = "{permissions: {looker.operations.cancel: roles, looker.operations.get: roles}}";
    assert!(with_role(good).is_ok());
    for (role, said) in [
        (
            "{permissions: {looker.operations.get: roles}}",
            "lacks looker.operations.cancel",
        ),
        (
            "{permissions: {looker.operations.cancel: hearsay}}",
            "begins with no name in sources",
        ),
        (
            "{permissions: {looker.operations.cancel: roles, 'looker; rm': roles}}",
            "is no permission",
        ),
    ] {
        let error = with_role(role).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_no_row_can_express_stops_the_generator() {
    type Change = fn(&mut CancelMethod);
    let changes: [(&str, Change); 18] = [
        ("does not end with API", |m| m.title = "Looker".to_owned()),
        ("has no service speech", |m| m.service = "speech".to_owned()),
        ("is not v1/NAME:cancel", |m| {
            m.path = "dns/v1/projects/*/operations/*:cancel".to_owned()
        }),
        ("is not v1/NAME:cancel", |m| {
            m.path = "v1/projects/*/operations/*/cancel".to_owned()
        }),
        ("is a PUT", |m| m.verb = "PUT".to_owned()),
        ("needs a query", |m| m.needs_query = true),
        ("has a query parameter force", |m| {
            m.query.push("force".to_owned())
        }),
        ("has a field etag", |m| {
            m.request_fields.push("etag".to_owned())
        }),
        ("has no body", |m| m.answer_fields = None),
        ("has fields [\"done\"]", |m| {
            m.answer_fields = Some(vec!["done".to_owned()])
        }),
        ("not enough for cancel", |m| m.scopes.clear()),
        ("not enough for GET", |m| {
            m.get.as_mut().unwrap().scopes.clear()
        }),
        ("no GET beside it", |m| m.get = None),
        ("GET is a POST", |m| {
            m.get.as_mut().unwrap().verb = "POST".to_owned()
        }),
        ("GET has the path", |m| {
            m.get.as_mut().unwrap().path = "v1/projects/*/jobs/*".to_owned()
        }),
        ("with status instead of done", |m| {
            m.get.as_mut().unwrap().answer = OperationForm::DoneStatus
        }),
        ("neither an operation with done", |m| {
            m.get.as_mut().unwrap().answer = OperationForm::Other
        }),
        ("does not fit spec.version", |m| {
            m.version = "beta".to_owned();
            m.path = "beta/projects/*/operations/*:cancel".to_owned();
            m.get.as_mut().unwrap().path = "beta/projects/*/operations/*".to_owned();
        }),
    ];
    for (says, change) in changes {
        let error = format!("{:#}", try_with(PLAIN, change).unwrap_err());
        assert!(error.contains(says), "{says}: {error}");
    }
    let narrower = |m: &mut CancelMethod| {
        m.path = "v1/operations/**:cancel".to_owned();
        m.get.as_mut().unwrap().path = "v1/operations/*".to_owned();
    };
    let error = format!("{:#}", try_with(PLAIN, narrower).unwrap_err());
    assert!(error.contains("GET takes only operations/*"), "{error}");
    let named = "{sources: {discovery: d}, services: {looker: {default: v1, host_evidence: discovery, deviations: \
         [{kind: narrower_get, what: \"operations/**\", instead: \"operations/*\", why: w}]}}}";
    assert!(
        try_with(named, narrower)
            .unwrap()
            .contains("name\t0\toperations/*\n")
    );
}

#[test]
fn the_hand_kept_file_names_only_what_is_there() {
    let with = |rest: &str| {
        format!(
            "{{sources: {{discovery: d}}, services: {{looker: {{default: v1, host_evidence: discovery, {rest}}}}}}}"
        )
    };
    for (rest, says) in [
        (
            "deviations: [{kind: query, what: force, why: w}]",
            "what no document has",
        ),
        (
            "left_out: [{version: v1, name: \"operations/*\", reason: no_get, why: w}]",
            "what no document has",
        ),
        (
            "left_out: [{version: v1, name: \"projects/*/operations/*\", reason: no_get, why: w}]",
            "reason that it does not have",
        ),
        (
            "left_out: [{version: v1, name: \"projects/*/operations/*\", reason: no_get, why: \"\"}]",
            "needs its reason",
        ),
        ("permission: looker.operations.cancel", "need each other"),
        (
            "permission: p, permission_evidence: rumours",
            "no name in sources",
        ),
        ("surprise: 1", "surprise"),
    ] {
        let error = format!("{:#}", try_with(&with(rest), |_| {}).unwrap_err());
        assert!(error.contains(says), "{rest}: {error}");
    }
    let other = with("").replace("default: v1", "default: v2");
    let error = try_with(&other, |_| {}).unwrap_err().to_string();
    assert!(
        error.contains("the default version v2 does not exist"),
        "{error}"
    );
}
