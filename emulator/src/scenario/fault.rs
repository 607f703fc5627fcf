//! Faults: which requests get an answer other than the usual one. Plain data and a pure rule.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    protocol::{call::Call, rpc_code::RpcCode},
    scenario::fault_answer::{FaultAnswer, Refusal},
};

/// A rule: which requests it applies to, and how they are answered. Requests are counted per operation and method, from 1,
/// after the check of the token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// The method that it applies to.
    #[serde(default)]
    pub on: FaultCall,
    /// The first request that it applies to, counted from 1.
    #[serde(default = "first")]
    pub from: u64,
    /// How many requests in a row it applies to. If absent, to all later ones.
    #[serde(default)]
    pub times: Option<u64>,
    /// Applies only to callers with a token of this principal (the e-mail address that the issuer of the token knows).
    #[serde(default)]
    pub principal: Option<String>,
    /// `true`: the cancel still takes effect, if the caller has permission; only the answer is replaced.
    #[serde(default)]
    pub applied: bool,
    /// The answer.
    pub answer: FaultAnswer,
}

fn first() -> u64 {
    1
}

/// The methods that a [`Fault`] applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FaultCall {
    /// GET only.
    Get,
    /// `:cancel` only.
    Cancel,
    /// Lists only. Works only for faults of the endpoint, since a list has no operation.
    List,
    /// All of them.
    #[default]
    Any,
}

impl Fault {
    /// A fault that applies to every request of these methods.
    pub fn new(on: FaultCall, answer: FaultAnswer) -> Self {
        Self {
            on,
            from: 1,
            times: None,
            principal: None,
            applied: false,
            answer,
        }
    }

    /// A refusal with this code of every request of these methods.
    pub fn refuse(on: FaultCall, code: RpcCode) -> Self {
        Self::new(on, FaultAnswer::Refuse(Refusal::new(code)))
    }

    /// The same, but only this many times.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// The same, but starting with the request of this number, counted from 1.
    #[must_use]
    pub fn from(self, from: u64) -> Self {
        Self { from, ..self }
    }

    /// The same, but the cancel takes effect.
    #[must_use]
    pub fn applied(self) -> Self {
        Self {
            applied: true,
            ..self
        }
    }

    /// Whether it applies to the `nth` request of this method (from 1) of this caller.
    pub fn meets(&self, call: Call, nth: u64, principal: Option<&str>) -> bool {
        let method = match self.on {
            FaultCall::Any => true,
            FaultCall::Get => call == Call::Get,
            FaultCall::Cancel => call == Call::Cancel,
            FaultCall::List => call == Call::List,
        };
        let counted = nth >= self.from && self.times.is_none_or(|times| nth - self.from < times);
        method && counted && (self.principal.is_none() || self.principal.as_deref() == principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meets_exactly_the_requests_that_it_names() {
        let fault = Fault::refuse(FaultCall::Cancel, RpcCode::Unavailable)
            .from(2)
            .times(2);
        let met: Vec<u64> = (1..6)
            .filter(|nth| fault.meets(Call::Cancel, *nth, None))
            .collect();
        assert_eq!(met, [2, 3]);
        assert!(!fault.meets(Call::Get, 2, None));
        let for_ever = Fault::refuse(FaultCall::Any, RpcCode::Unavailable);
        assert!(for_ever.meets(Call::Get, u64::MAX, None));
    }

    #[test]
    fn a_principal_restricts_it() {
        let fault = Fault {
            principal: Some("a@x".into()),
            ..Fault::refuse(FaultCall::Any, RpcCode::PermissionDenied)
        };
        assert!(fault.meets(Call::Get, 1, Some("a@x")));
        assert!(!fault.meets(Call::Get, 1, Some("b@x")));
        assert!(!fault.meets(Call::Get, 1, None));
    }
}
