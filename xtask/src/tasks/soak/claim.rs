//! Whether an outcome is true (I4). Pure.

use jiff::{SignedDuration, Timestamp};

use super::records::{Answer, Call, Truth, Version};

/// Times in a status have no fractions of seconds, and come from the `Date` header of answers.
const TIMES_DIFFER: SignedDuration = SignedDuration::from_secs(2);

/// An outcome, and the calls that led to it.
pub(super) struct Claim<'a> {
    /// The version that recorded it.
    pub(super) version: &'a Version,
    pub(super) gets: &'a [Call],
    pub(super) posts: &'a [Call],
    /// When the API server received it.
    pub(super) written: Timestamp,
}

impl Claim<'_> {
    /// Compares it with what the emulator says of the operation, or says why it is not true.
    pub(super) fn check(
        &self,
        truth: Option<&Truth>,
        not_found_after: SignedDuration,
    ) -> Result<(), String> {
        let outcome = self.version.outcome.as_deref().unwrap_or_default();
        let phase = truth.map_or("absent", |truth| truth.phase.as_str());
        let result = truth.and_then(|truth| truth.result.as_deref());
        let result = result.unwrap_or_default();
        let completed = result.starts_with("completed:") || result.starts_with("done,");
        let is_end = match outcome {
            "Cancelled" => phase == "cancelled",
            "Completed" => phase == "ended" && completed,
            "Failed" => phase == "ended" && !completed,
            "NotFound" => return self.check_not_found(not_found_after),
            "Unknown" => return self.check_deadline(),
            "Unsupported" if is_answered(self.posts, 501) => return Ok(()),
            "Rejected" if is_answered(self.posts, 400) && is_answered(self.gets, 400) => {
                return Ok(());
            }
            _ => false,
        };
        if !is_end {
            return Err(format!(
                "the outcome is {outcome}, and the operation is {phase} {result}"
            ));
        }
        let ended = truth.and_then(|truth| truth.ended_at);
        if ended.is_none_or(|ended| self.written < ended) {
            return Err(format!(
                "the outcome was written at {}, before the end of the operation",
                self.written
            ));
        }
        if !is_answered(self.gets, 200) {
            return Err("no GET was answered".to_owned());
        }
        Ok(())
    }

    /// Whether GETs got nothing but NOT_FOUND for long enough.
    fn check_not_found(&self, not_found_after: SignedDuration) -> Result<(), String> {
        let status = &self.version.status;
        let was_seen = status.get("operation").is_some_and(|seen| !seen.is_null())
            || is_answered(self.gets, 200);
        let patience = if was_seen {
            not_found_after / 5
        } else {
            not_found_after
        };
        let before = self.gets.iter().rev();
        let before = before.filter(|get| get.received <= self.written);
        let row = before.take_while(|get| get.answer != Answer::Status(200));
        let first = row.filter(|get| get.answer == Answer::Status(404)).last();
        match first {
            Some(first) if self.written.duration_since(first.received) >= patience => Ok(()),
            _ => Err(format!("GETs were not answered with 404 for {patience:#}")),
        }
    }

    fn check_deadline(&self) -> Result<(), String> {
        let (Some(start), Some(completion)) = (self.version.start, self.version.completion) else {
            return Err("the outcome is Unknown without a start or an end".to_owned());
        };
        let passed = completion.duration_since(start) + TIMES_DIFFER;
        if passed < SignedDuration::from_secs(self.version.deadline) {
            return Err(format!(
                "the outcome is Unknown {passed:#} after the start, before the deadline"
            ));
        }
        Ok(())
    }
}

fn is_answered(calls: &[Call], status: u16) -> bool {
    let wanted = Answer::Status(status);
    calls.iter().any(|call| call.answer == wanted)
}
