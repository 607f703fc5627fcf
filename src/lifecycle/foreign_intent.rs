//! Who raised `status.cancelAttempts`, if it was not a confirmed write of this process.

use super::{ObjectView, Others};

/// An intent that another process recorded while this one works on the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignIntent {
    /// `status.cancelAttempts` of that intent.
    pub attempt: i64,
    /// `status.cancelAttemptedBy`: the id of that process.
    pub holder: String,
}

/// How `status.cancelAttempts` was raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raise {
    /// By a write of this process whose answer was lost. No request was sent for it.
    OwnUnconfirmed,
    /// By another process, which may be sending its request.
    OtherProcess(ForeignIntent),
    /// By the leader before this process, which has stopped; or by an edit. After an edit the author is absent, not the id of a
    /// process, or this process, which did not record the intent. A controller older than the field leaves the author as it is too.
    Edit,
}

impl Raise {
    /// How the number came from `before` to that of the object; `None` if it was not raised. `unconfirmed` is the number of this
    /// process's intent whose answer was lost.
    pub fn of(
        before: i64,
        object: &ObjectView,
        unconfirmed: Option<i64>,
        holder: &str,
        others: Others<'_>,
    ) -> Option<Self> {
        let attempt = object.cancel_attempts();
        if attempt <= before {
            return None;
        }
        let is_late = is_of_predecessor(object, others);
        if let Some(author) = other_author(object, holder).filter(|_| !is_late) {
            return Some(Self::OtherProcess(ForeignIntent {
                attempt,
                holder: author.to_owned(),
            }));
        }
        let is_own = object.status.cancel_attempted_by.as_deref() == Some(holder);
        Some(match is_own && unconfirmed == Some(attempt) {
            true => Self::OwnUnconfirmed,
            false => Self::Edit,
        })
    }
}

/// The author of the last intent, if it is another process.
fn other_author<'a>(object: &'a ObjectView, holder: &str) -> Option<&'a str> {
    let author = object.status.cancel_attempted_by.as_deref()?;
    (author != holder && is_holder_id(author)).then_some(author)
}

/// Whether another process recorded the last intent.
pub(super) fn is_of_other_process(object: &ObjectView, holder: &str) -> bool {
    object.cancel_attempts() > 0 && other_author(object, holder).is_some()
}

/// Whether the leader before this process recorded the last intent. What it wrote at its end may be seen late.
pub(super) fn is_of_predecessor(object: &ObjectView, others: Others<'_>) -> bool {
    let author = object.status.cancel_attempted_by.as_deref();
    author.is_some() && others == Others::HaveStopped(author)
}

/// Whether a process of this release could have this id: 16 hexadecimal digits.
fn is_holder_id(author: &str) -> bool {
    author.len() == 16 && author.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::tests::simulation::object;

    const OURS: &str = "0123456789abcdef";
    const OTHER: &str = "fedcba9876543210";

    #[test]
    fn an_intent_of_another_process_a_lost_one_and_an_edit_are_distinguished() {
        let other = |attempt| {
            Some(Raise::OtherProcess(ForeignIntent {
                attempt,
                holder: OTHER.to_owned(),
            }))
        };
        // Number before, number and author now, the number of this process's lost write.
        let (all, elected) = (Others::MayWork, Others::HaveStopped(None));
        for others in [all, elected, Others::HaveStopped(Some("0000000000000000"))] {
            for (before, attempt, author, unconfirmed, expected) in [
                (0, 0, None, None, None),
                (2, 2, Some(OTHER), None, None),
                (3, 2, Some(OTHER), None, None),
                (0, 1, Some(OTHER), None, other(1)),
                (1, 2, Some(OTHER), Some(2), other(2)),
                (1, 5, Some(OTHER), None, other(5)),
                (0, 1, Some(OURS), Some(1), Some(Raise::OwnUnconfirmed)),
                (0, 1, Some(OURS), None, Some(Raise::Edit)),
                (1, 7, Some(OURS), Some(2), Some(Raise::Edit)),
                (0, 1, None, None, Some(Raise::Edit)),
                (0, 1, None, Some(1), Some(Raise::Edit)),
                (0, 1, Some(""), None, Some(Raise::Edit)),
                (0, 1, Some("admin"), None, Some(Raise::Edit)),
                (0, 1, Some("0123456789abcdeg"), None, Some(Raise::Edit)),
            ] {
                let mut object = object();
                object.status.cancel_attempts = Some(attempt);
                object.status.cancel_attempted_by = author.map(str::to_owned);
                assert_eq!(
                    Raise::of(before, &object, unconfirmed, OURS, others),
                    expected,
                    "{before} {attempt} {author:?} {unconfirmed:?} {others:?}"
                );
            }
        }
        let mut object = object();
        object.status.cancel_attempts = Some(1);
        object.status.cancel_attempted_by = Some(OTHER.to_owned());
        let predecessor = Others::HaveStopped(Some(OTHER));
        let raise = Raise::of(0, &object, None, OURS, predecessor);
        assert_eq!(raise, Some(Raise::Edit), "it has stopped");
    }
}
