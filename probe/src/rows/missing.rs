//! GETs of an operation that does not exist: in each version of the API, and with other tokens.

use super::{Builder, NOT_FOUND, Rows};
use crate::{
    expectation::{Expectation, error_with_reason},
    step::{Read, Row, Step, TokenChoice},
};
use opcancel::google::answer::ErrorKind::Unauthenticated;

const NO_TOKEN: Expectation = &[error_with_reason(
    401,
    Unauthenticated,
    "CREDENTIALS_MISSING",
)];
const MADE_UP_TOKEN: Expectation = &[error_with_reason(
    401,
    Unauthenticated,
    "ACCESS_TOKEN_TYPE_UNSUPPORTED",
)];

impl Builder<'_> {
    pub(super) fn missing(&self) -> Rows {
        let mut rows = vec![Row {
            id: "get-missing".to_owned(),
            title: "GET of an operation that does not exist",
            expected: NOT_FOUND,
            step: Ok(Step::Read(self.get(self.missing.name())?)),
        }];
        for version in self.arguments.api_version.iter().skip(1) {
            rows.push(self.in_version(version)?);
        }
        rows.extend([
            Row {
                id: "no-token".to_owned(),
                title: "a request without a token",
                expected: NO_TOKEN,
                step: Ok(self.with_token(TokenChoice::Absent)?),
            },
            Row {
                id: "made-up-token".to_owned(),
                title: "an invalid token",
                expected: MADE_UP_TOKEN,
                step: Ok(self.with_token(TokenChoice::MadeUp)?),
            },
            Row {
                id: "narrow-scope".to_owned(),
                title: "the service's own scope is enough",
                expected: NOT_FOUND,
                step: Ok(self.with_token(TokenChoice::Narrow)?),
            },
        ]);
        Ok(rows)
    }

    fn in_version(&self, version: &str) -> Result<Row, String> {
        let name = self.missing.name();
        let step = match self.target_of_version(name, version) {
            Err(_) => Err("this version has no such form of names"),
            Ok(target) => Ok(Step::Read(Read {
                target,
                ..self.get(name)?
            })),
        };
        Ok(Row {
            id: format!("version-{version}"),
            title: "the same in another version of the API",
            expected: NOT_FOUND,
            step,
        })
    }

    fn with_token(&self, token: TokenChoice) -> Result<Step, String> {
        let read = self.get(self.missing.name())?;
        Ok(Step::Read(Read { token, ..read }))
    }
}
