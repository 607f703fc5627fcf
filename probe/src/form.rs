//! What a row expects: one of a few forms that an answer may have.

use std::fmt;

use super::seen::{PageSeen, Seen};
use opcancel::google::answer::{ErrorKind, Operation};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Google's JSON error.
    Error(ErrorForm),
    /// A page of HTML with this HTTP status.
    Html(u16),
    /// `{}`: the cancel was taken.
    Accepted,
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
pub struct ErrorForm {
    /// The HTTP status.
    pub http: u16,
    /// The `status`.
    pub kind: ErrorKind,
    /// The `reason` of ErrorInfo, if one is expected.
    pub reason: Option<&'static str>,
    /// How the permission ends that ErrorInfo names, if one is expected.
    pub permission: Option<&'static str>,
}

/// The forms of which an answer should have one.
pub type Expectation = &'static [Form];

/// An error without details.
pub const fn error(http: u16, kind: ErrorKind) -> Form {
    Form::Error(ErrorForm {
        http,
        kind,
        reason: None,
        permission: None,
    })
}

/// An error with the reason of an ErrorInfo.
pub const fn because(http: u16, kind: ErrorKind, reason: &'static str) -> Form {
    Form::Error(ErrorForm {
        http,
        kind,
        reason: Some(reason),
        permission: None,
    })
}

/// IAM's refusal, which names the permission that is missing.
pub const fn denied(permission: &'static str) -> Form {
    Form::Error(ErrorForm {
        http: 403,
        kind: ErrorKind::PermissionDenied,
        reason: Some("IAM_PERMISSION_DENIED"),
        permission: Some(permission),
    })
}

/// Whether what was seen has one of the forms. `before` is what the GET before said of the same operation.
pub fn fits(expected: &[Form], seen: &Seen, before: Option<&Operation>) -> bool {
    expected.iter().any(|form| form.fits(seen, before))
}

/// The forms in words.
pub fn words(expected: Expectation) -> String {
    let forms: Vec<_> = expected.iter().map(ToString::to_string).collect();
    forms.join(" or ")
}

impl Form {
    fn fits(&self, seen: &Seen, before: Option<&Operation>) -> bool {
        let operation = match &seen.answer {
            Some(Ok(operation)) if seen.is_about_what_was_asked() => Some(operation),
            _ => None,
        };
        match self {
            Self::Error(form) => form.fits(seen),
            Self::Html(http) => seen.http_status == Some(*http) && seen.is_html(),
            Self::Accepted => {
                seen.status == "OK" && seen.operation.is_none() && seen.page.is_none()
            }
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
            Self::Page => seen.page.as_ref().is_some_and(PageSeen::is_list),
        }
    }
}

fn same_end(one: &Operation, other: &Operation) -> bool {
    one.error == other.error
        && one.has_response == other.has_response
        && one.response_type == other.response_type
}

impl ErrorForm {
    fn fits(&self, seen: &Seen) -> bool {
        let reason = self
            .reason
            .is_none_or(|reason| seen.reason.as_deref() == Some(reason));
        let permission = self.permission.is_none_or(|end| {
            let named = seen.metadata.get("permission");
            named.is_some_and(|permission| permission.ends_with(end))
        });
        seen.http_status == Some(self.http)
            && seen.status == self.kind.name()
            && reason
            && permission
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(form) => {
                write!(f, "{} {}", form.http, form.kind.name())?;
                for word in [form.reason, form.permission].into_iter().flatten() {
                    write!(f, " {}{word}", if word.starts_with('.') { "…" } else { "" })?;
                }
                Ok(())
            }
            Self::Html(http) => write!(f, "{http} HTML"),
            Self::Accepted => f.write_str("200 {}"),
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
        super::seen::{NameForm, OperationSeen},
        *,
    };
    use opcancel::google::answer::OperationError;

    fn refused(http: u16, status: &str, reason: Option<&str>, permission: Option<&str>) -> Seen {
        Seen {
            status: status.to_owned(),
            http_status: Some(http),
            reason: reason.map(str::to_owned),
            metadata: permission
                .map(|permission| ("permission".to_owned(), permission.to_owned()))
                .into_iter()
                .collect(),
            ..Seen::default()
        }
    }

    fn operation(done: bool, code: Option<i32>, name: NameForm) -> Seen {
        let error = code.map(|code| OperationError {
            code,
            status: String::new(),
            message: String::new(),
        });
        Seen {
            status: "OK".to_owned(),
            http_status: Some(200),
            operation: Some(OperationSeen {
                name,
                ..OperationSeen::default()
            }),
            answer: Some(Ok(Operation {
                done,
                error,
                ..Operation::default()
            })),
            ..Seen::default()
        }
    }

    #[test]
    fn every_part_of_an_error_counts() {
        const DENIED: Expectation = &[denied(".operations.get")];
        let (why, what) = (Some("IAM_PERMISSION_DENIED"), Some("x.operations.get"));
        let name = "PERMISSION_DENIED";
        assert!(fits(DENIED, &refused(403, name, why, what), None));
        for other in [
            refused(404, name, why, what),
            refused(403, "NOT_FOUND", why, what),
            refused(403, name, None, what),
            refused(403, name, why, Some("x.operations.cancel")),
            refused(403, name, why, None),
        ] {
            assert!(!fits(DENIED, &other, None), "{other:?}");
        }
        assert_eq!(
            words(DENIED),
            "403 PERMISSION_DENIED IAM_PERMISSION_DENIED ….operations.get"
        );
    }

    #[test]
    fn a_page_of_html_is_one_by_its_type() {
        let mut page = refused(404, "UNRECOGNISED", None, None);
        assert!(!fits(&[Form::Html(404)], &page, None));
        page.content_type = Some("text/html; charset=UTF-8".to_owned());
        assert!(fits(&[Form::Html(404)], &page, None));
        assert!(!fits(&[Form::Html(411)], &page, None));
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
            let seen = Seen {
                status: "OK".to_owned(),
                http_status: Some(200),
                page: Some(PageSeen {
                    keys: keys.iter().map(ToString::to_string).collect(),
                    operations,
                }),
                ..Seen::default()
            };
            assert_eq!(fits(&[Form::Page], &seen, None), good, "{seen:?}");
            assert_eq!(seen.short() == "200 a list", good, "{seen:?}");
        }
    }

    #[test]
    fn an_end_is_what_a_get_said_of_the_same_operation() {
        use NameForm::{AsAsked, Other, ProjectNumber};
        let cancelled = operation(true, Some(1), ProjectNumber);
        for (form, seen, good) in [
            (Form::Running, operation(false, None, AsAsked), true),
            (Form::Running, operation(true, None, AsAsked), false),
            (Form::Done, operation(true, None, AsAsked), true),
            (Form::Done, operation(true, None, Other), false),
            (Form::Done, operation(false, None, AsAsked), false),
            (Form::Cancelled, cancelled.clone(), true),
            (Form::Cancelled, operation(true, Some(13), AsAsked), false),
            (Form::Cancelled, operation(false, Some(1), AsAsked), false),
            (Form::Accepted, operation(true, None, AsAsked), false),
            (Form::Page, operation(true, None, AsAsked), false),
        ] {
            assert_eq!(fits(&[form], &seen, None), good, "{form} {seen:?}");
        }
        let before = Operation {
            done: true,
            ..Operation::default()
        };
        let same = operation(true, None, AsAsked);
        assert!(fits(&[Form::DoneAsBefore], &same, Some(&before)));
        assert!(!fits(&[Form::DoneAsBefore], &cancelled, Some(&before)));
        assert!(!fits(&[Form::DoneAsBefore], &same, None));
    }
}
