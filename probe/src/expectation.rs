//! What a row expects: one of a few kinds of answer.

use std::fmt;

use super::observation::{ObservedAnswer, ObservedPage};
use opcancel::google::answer::{ErrorKind, Operation};

/// A kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedAnswer {
    /// Google's JSON error.
    Error(ExpectedError),
    /// A page of HTML with this HTTP status.
    Html(u16),
    /// `{}`: the cancel is accepted.
    Accepted,
    /// An answer without a body: the cancel is accepted.
    NoBody,
    /// The operation, not done.
    Running,
    /// The operation, done.
    Done,
    /// The operation, done, and as the GET before showed it.
    DoneAsBefore,
    /// The operation, done, with `error.code` 1.
    Cancelled,
    /// A list.
    Page,
}

/// A JSON error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedError {
    /// The HTTP status.
    pub http: u16,
    /// The `status`.
    pub kind: ErrorKind,
    /// The `reason` of ErrorInfo, if one is expected.
    pub reason: Option<&'static str>,
    /// How the permission ends that ErrorInfo names, if one is expected.
    pub permission: Option<&'static str>,
}

/// The alternatives; an answer should match one of them.
pub type Expectation = &'static [ExpectedAnswer];

/// An error without details.
pub const fn error(http: u16, kind: ErrorKind) -> ExpectedAnswer {
    ExpectedAnswer::Error(ExpectedError {
        http,
        kind,
        reason: None,
        permission: None,
    })
}

/// An error with the reason of an ErrorInfo.
pub const fn error_with_reason(http: u16, kind: ErrorKind, reason: &'static str) -> ExpectedAnswer {
    ExpectedAnswer::Error(ExpectedError {
        http,
        kind,
        reason: Some(reason),
        permission: None,
    })
}

/// IAM's refusal, which names the permission that is missing.
pub const fn denied(permission: &'static str) -> ExpectedAnswer {
    ExpectedAnswer::Error(ExpectedError {
        http: 403,
        kind: ErrorKind::PermissionDenied,
        reason: Some("IAM_PERMISSION_DENIED"),
        permission: Some(permission),
    })
}

/// Whether the answer matches one of the alternatives. `before` is what the previous GET returned for the same operation.
pub fn is_met(
    expected: &[ExpectedAnswer],
    observed: &ObservedAnswer,
    before: Option<&Operation>,
) -> bool {
    expected
        .iter()
        .any(|answer| answer.matches(observed, before))
}

/// The alternatives as the report prints them.
pub fn describe(expected: Expectation) -> String {
    let answers: Vec<_> = expected.iter().map(ToString::to_string).collect();
    answers.join(" or ")
}

impl ExpectedAnswer {
    fn matches(&self, observed: &ObservedAnswer, before: Option<&Operation>) -> bool {
        let operation = match &observed.answer {
            Some(Ok(operation)) if observed.is_about_what_was_asked() => Some(operation),
            _ => None,
        };
        match self {
            Self::Error(expected) => expected.matches(observed),
            Self::Html(http) => observed.http_status == Some(*http) && observed.is_html(),
            Self::Accepted => {
                observed.status == "OK"
                    && !observed.no_body
                    && observed.operation.is_none()
                    && observed.page.is_none()
            }
            Self::NoBody => observed.status == "OK" && observed.no_body,
            Self::Running => operation.is_some_and(|operation| !operation.done),
            Self::Done => operation.is_some_and(|operation| operation.done),
            Self::DoneAsBefore => operation
                .zip(before)
                .is_some_and(|(now, before)| now.done && before.done && same_end(now, before)),
            Self::Cancelled => operation.is_some_and(|operation| {
                operation.done
                    && operation
                        .error
                        .as_ref()
                        .is_some_and(|error| error.code == 1)
            }),
            Self::Page => observed.page.as_ref().is_some_and(ObservedPage::is_list),
        }
    }
}

fn same_end(one: &Operation, other: &Operation) -> bool {
    one.error == other.error
        && one.has_response == other.has_response
        && one.response_type == other.response_type
}

impl ExpectedError {
    fn matches(&self, observed: &ObservedAnswer) -> bool {
        let reason = self
            .reason
            .is_none_or(|reason| observed.reason.as_deref() == Some(reason));
        let permission = self.permission.is_none_or(|end| {
            let named = observed.metadata.get("permission");
            named.is_some_and(|permission| permission.ends_with(end))
        });
        observed.http_status == Some(self.http)
            && observed.status == self.kind.name()
            && reason
            && permission
    }
}

impl fmt::Display for ExpectedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => {
                write!(f, "{} {}", error.http, error.kind.name())?;
                for word in [error.reason, error.permission].into_iter().flatten() {
                    write!(f, " {}{word}", if word.starts_with('.') { "…" } else { "" })?;
                }
                Ok(())
            }
            Self::Html(http) => write!(f, "{http} HTML"),
            Self::Accepted => f.write_str("200 {}"),
            Self::NoBody => f.write_str("200 or 204 without a body"),
            Self::Running => f.write_str("200 running"),
            Self::Done => f.write_str("200 done"),
            Self::DoneAsBefore => f.write_str("200 done, as before"),
            Self::Cancelled => f.write_str("200 done, error.code 1"),
            Self::Page => f.write_str("200 a list"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::observation::{NameForm, ObservedOperation},
        *,
    };
    use opcancel::google::answer::OperationError;

    fn refused(
        http: u16,
        status: &str,
        reason: Option<&str>,
        permission: Option<&str>,
    ) -> ObservedAnswer {
        ObservedAnswer {
            status: status.to_owned(),
            http_status: Some(http),
            reason: reason.map(str::to_owned),
            metadata: permission
                .map(|permission| ("permission".to_owned(), permission.to_owned()))
                .into_iter()
                .collect(),
            ..ObservedAnswer::default()
        }
    }

    fn operation(done: bool, code: Option<i32>, name: NameForm) -> ObservedAnswer {
        let error = code.map(|code| OperationError {
            code,
            status: String::new(),
            message: String::new(),
        });
        ObservedAnswer {
            status: "OK".to_owned(),
            http_status: Some(200),
            operation: Some(ObservedOperation {
                name,
                ..ObservedOperation::default()
            }),
            answer: Some(Ok(Operation {
                done,
                error,
                ..Operation::default()
            })),
            ..ObservedAnswer::default()
        }
    }

    #[test]
    fn every_part_of_an_error_counts() {
        const DENIED: Expectation = &[denied(".operations.get")];
        let (why, what) = (Some("IAM_PERMISSION_DENIED"), Some("x.operations.get"));
        let name = "PERMISSION_DENIED";
        assert!(is_met(DENIED, &refused(403, name, why, what), None));
        for other in [
            refused(404, name, why, what),
            refused(403, "NOT_FOUND", why, what),
            refused(403, name, None, what),
            refused(403, name, why, Some("x.operations.cancel")),
            refused(403, name, why, None),
        ] {
            assert!(!is_met(DENIED, &other, None), "{other:?}");
        }
        assert_eq!(
            describe(DENIED),
            "403 PERMISSION_DENIED IAM_PERMISSION_DENIED ….operations.get"
        );
    }

    #[test]
    fn a_page_of_html_is_one_by_its_type() {
        let mut page = refused(404, "UNRECOGNISED", None, None);
        assert!(!is_met(&[ExpectedAnswer::Html(404)], &page, None));
        page.content_type = Some("text/html; charset=UTF-8".to_owned());
        assert!(is_met(&[ExpectedAnswer::Html(404)], &page, None));
        assert!(!is_met(&[ExpectedAnswer::Html(411)], &page, None));
    }

    #[test]
    fn a_list_has_the_members_of_one() {
        for (keys, operations, good) in [
            (&[][..], Some(0), true),
            (
                &["operations", "nextPageToken", "unreachable"],
                Some(1),
                true,
            ),
            (&["operations"], None, false),
            (&["operations", "done"], Some(0), false),
        ] {
            let observed = ObservedAnswer {
                status: "OK".to_owned(),
                http_status: Some(200),
                page: Some(ObservedPage {
                    keys: keys.iter().map(ToString::to_string).collect(),
                    operations,
                }),
                ..ObservedAnswer::default()
            };
            assert_eq!(
                is_met(&[ExpectedAnswer::Page], &observed, None),
                good,
                "{observed:?}"
            );
            assert_eq!(observed.short() == "200 a list", good, "{observed:?}");
        }
    }

    #[test]
    fn an_end_is_what_a_get_said_of_the_same_operation() {
        use NameForm::{AsAsked, Other, ProjectNumber};
        let cancelled = operation(true, Some(1), ProjectNumber);
        for (expected, observed, good) in [
            (
                ExpectedAnswer::Running,
                operation(false, None, AsAsked),
                true,
            ),
            (
                ExpectedAnswer::Running,
                operation(true, None, AsAsked),
                false,
            ),
            (ExpectedAnswer::Done, operation(true, None, AsAsked), true),
            (ExpectedAnswer::Done, operation(true, None, Other), false),
            (ExpectedAnswer::Done, operation(false, None, AsAsked), false),
            (ExpectedAnswer::Cancelled, cancelled.clone(), true),
            (
                ExpectedAnswer::Cancelled,
                operation(true, Some(13), AsAsked),
                false,
            ),
            (
                ExpectedAnswer::Cancelled,
                operation(false, Some(1), AsAsked),
                false,
            ),
            (
                ExpectedAnswer::Accepted,
                operation(true, None, AsAsked),
                false,
            ),
            (ExpectedAnswer::Page, operation(true, None, AsAsked), false),
        ] {
            assert_eq!(
                is_met(&[expected], &observed, None),
                good,
                "{expected} {observed:?}"
            );
        }
        let before = Operation {
            done: true,
            ..Operation::default()
        };
        let same = operation(true, None, AsAsked);
        assert!(is_met(
            &[ExpectedAnswer::DoneAsBefore],
            &same,
            Some(&before)
        ));
        assert!(!is_met(
            &[ExpectedAnswer::DoneAsBefore],
            &cancelled,
            Some(&before)
        ));
        assert!(!is_met(&[ExpectedAnswer::DoneAsBefore], &same, None));
    }
}
