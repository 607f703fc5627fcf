//! The google.rpc codes: numbers and names of google/rpc/code.proto, and the HTTP status that Google maps each to.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A google.rpc code of an error, so not `OK` (0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RpcCode {
    /// 1, HTTP 499
    Cancelled,
    /// 2, HTTP 500
    Unknown,
    /// 3, HTTP 400
    InvalidArgument,
    /// 4, HTTP 504
    DeadlineExceeded,
    /// 5, HTTP 404
    NotFound,
    /// 6, HTTP 409
    AlreadyExists,
    /// 7, HTTP 403
    PermissionDenied,
    /// 8, HTTP 429
    ResourceExhausted,
    /// 9, HTTP 400
    FailedPrecondition,
    /// 10, HTTP 409
    Aborted,
    /// 11, HTTP 400
    OutOfRange,
    /// 12, HTTP 501
    Unimplemented,
    /// 13, HTTP 500
    Internal,
    /// 14, HTTP 503
    Unavailable,
    /// 15, HTTP 500
    DataLoss,
    /// 16, HTTP 401
    Unauthenticated,
    /// A number above 16, which google.rpc does not define; HTTP 500
    Other(i32),
}

/// Code, number, name, HTTP status.
pub(crate) const TABLE: [(RpcCode, i32, &str, u16); 16] = [
    (RpcCode::Cancelled, 1, "CANCELLED", 499),
    (RpcCode::Unknown, 2, "UNKNOWN", 500),
    (RpcCode::InvalidArgument, 3, "INVALID_ARGUMENT", 400),
    (RpcCode::DeadlineExceeded, 4, "DEADLINE_EXCEEDED", 504),
    (RpcCode::NotFound, 5, "NOT_FOUND", 404),
    (RpcCode::AlreadyExists, 6, "ALREADY_EXISTS", 409),
    (RpcCode::PermissionDenied, 7, "PERMISSION_DENIED", 403),
    (RpcCode::ResourceExhausted, 8, "RESOURCE_EXHAUSTED", 429),
    (RpcCode::FailedPrecondition, 9, "FAILED_PRECONDITION", 400),
    (RpcCode::Aborted, 10, "ABORTED", 409),
    (RpcCode::OutOfRange, 11, "OUT_OF_RANGE", 400),
    (RpcCode::Unimplemented, 12, "UNIMPLEMENTED", 501),
    (RpcCode::Internal, 13, "INTERNAL", 500),
    (RpcCode::Unavailable, 14, "UNAVAILABLE", 503),
    (RpcCode::DataLoss, 15, "DATA_LOSS", 500),
    (RpcCode::Unauthenticated, 16, "UNAUTHENTICATED", 401),
];

impl RpcCode {
    /// The code of a google.rpc number; `None` for 0 (OK) and for negative numbers.
    pub fn from_number(number: i32) -> Option<Self> {
        match TABLE.iter().find(|row| row.1 == number) {
            Some(row) => Some(row.0),
            None if number > 16 => Some(Self::Other(number)),
            None => None,
        }
    }

    /// The code of a google.rpc name in capitals, such as `UNAVAILABLE`; `None` for a name that google.rpc lacks.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.2 == name).map(|row| row.0)
    }

    /// The reason in errors of older APIs, as their discovery documents and client libraries have it.
    pub fn older_reason(self) -> &'static str {
        match self {
            Self::NotFound => "notFound",
            Self::PermissionDenied => "forbidden",
            Self::Unauthenticated => "authError",
            Self::Unimplemented => "notImplemented",
            Self::FailedPrecondition => "conditionNotMet",
            Self::ResourceExhausted => "rateLimitExceeded",
            Self::AlreadyExists | Self::Aborted => "conflict",
            Self::InvalidArgument | Self::OutOfRange => "invalid",
            _ => "backendError",
        }
    }

    /// The google.rpc number, as in `Operation.error.code`.
    pub fn number(self) -> i32 {
        match self {
            Self::Other(number) => number,
            _ => self.row().map_or(2, |row| row.1),
        }
    }

    /// The name, as in `error.status` of a JSON error; `CODE_<number>` for a number without one.
    pub fn name(self) -> String {
        match self {
            Self::Other(number) => format!("CODE_{number}"),
            _ => self.row().map_or("UNKNOWN", |row| row.2).to_owned(),
        }
    }

    /// The HTTP status of an answer with this code, as in `error.code` of a JSON error.
    pub fn http_status(self) -> u16 {
        self.row().map_or(500, |row| row.3)
    }

    fn row(self) -> Option<&'static (Self, i32, &'static str, u16)> {
        TABLE.iter().find(|row| row.0 == self)
    }
}

impl Serialize for RpcCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Other(number) => serializer.serialize_i32(*number),
            _ => serializer.serialize_str(&self.name()),
        }
    }
}

impl<'de> Deserialize<'de> for RpcCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CodeVisitor)
    }
}

struct CodeVisitor;

impl de::Visitor<'_> for CodeVisitor {
    type Value = RpcCode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a google.rpc code, such as UNAVAILABLE or 14 (not OK or 0)")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RpcCode, E> {
        RpcCode::from_name(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<RpcCode, E> {
        i32::try_from(number)
            .ok()
            .and_then(RpcCode::from_number)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<RpcCode, E> {
        i32::try_from(number)
            .ok()
            .and_then(RpcCode::from_number)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_found_by_its_number_and_its_name() {
        for (code, number, name, http) in TABLE {
            assert_eq!(RpcCode::from_number(number), Some(code));
            assert_eq!(RpcCode::from_name(name), Some(code));
            assert_eq!(
                (code.number(), code.name().as_str(), code.http_status()),
                (number, name, http)
            );
        }
        assert_eq!(RpcCode::from_number(0), None);
        assert_eq!(RpcCode::from_number(99), Some(RpcCode::Other(99)));
        assert_eq!(RpcCode::Other(99).http_status(), 500);
    }
}
