//! The faults that a soak injects. Plain data.

use serde_json::{Value, json};

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// SIGKILL to a controller, which is started again.
    ControllerKilled,
    /// SIGTERM to a controller, which is started again.
    ControllerTerminated,
    /// SIGSTOP to a controller, then SIGCONT.
    ControllerPaused,
    /// SIGTERM to the API server, which is started again.
    ApiServerRestarted,
    /// SIGKILL to the API server, which is started again.
    ApiServerKilled,
    /// SIGSTOP to etcd, then SIGCONT: the API server does not answer.
    EtcdPaused,
    /// Some of a controller's connections to the API server are reset: calls without an answer, and watches that end.
    ApiConnectionsReset,
    /// A controller cannot connect to the API server.
    ApiServerUnreachable,
    /// A controller's connections to the API server stay open and silent.
    ApiServerSilent,
    /// Some of a controller's connections to Google are reset.
    GoogleConnectionsReset,
    /// A controller cannot connect to Google.
    GoogleUnreachable,
    /// A controller's connections to Google stay open and silent.
    GoogleSilent,
    /// A controller cannot connect to the metadata server.
    TokensUnreachable,
    /// All tokens are revoked.
    TokensRevoked,
    /// New connections to Google get a certificate for another host, and the old ones are reset.
    WrongCertificate,
    /// Google answers late.
    SlowAnswers,
    /// 429 with `Retry-After`.
    TooManyRequests,
    /// 429 without: the quota of a minute is exhausted.
    QuotaExhausted,
    /// 503 UNAVAILABLE.
    Unavailable,
    /// 500 INTERNAL.
    Internal,
    /// 403 PERMISSION_DENIED.
    PermissionDenied,
    /// 404 NOT_FOUND.
    NotFound,
    /// No answer for a while, then the connection is closed.
    Hang,
    /// Cancel requests take effect, and their answers are lost.
    CancelAnswersLost,
    /// 200 with a login page.
    LoginPage,
    /// 502 with a proxy's page.
    BadGateway,
    /// Half of an answer.
    TruncatedAnswers,
    /// HTTP/2's REFUSED_STREAM.
    RefusedStreams,
    /// HTTP/2's GOAWAY.
    GoAway,
    /// A TCP reset instead of an answer.
    AnswersReset,
}

/// What a fault happens to. Two faults never happen to the same at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Victim {
    /// The process of the controller of this number.
    Controller(usize),
    ApiServer,
    ApiNetwork(usize),
    GoogleNetwork(usize),
    Tokens,
    Latency,
    Answers,
}

impl Fault {
    pub(super) const ALL: [Self; 30] = [
        Self::ControllerKilled,
        Self::ControllerTerminated,
        Self::ControllerPaused,
        Self::ApiServerRestarted,
        Self::ApiServerKilled,
        Self::EtcdPaused,
        Self::ApiConnectionsReset,
        Self::ApiServerUnreachable,
        Self::ApiServerSilent,
        Self::GoogleConnectionsReset,
        Self::GoogleUnreachable,
        Self::GoogleSilent,
        Self::TokensUnreachable,
        Self::TokensRevoked,
        Self::WrongCertificate,
        Self::SlowAnswers,
        Self::TooManyRequests,
        Self::QuotaExhausted,
        Self::Unavailable,
        Self::Internal,
        Self::PermissionDenied,
        Self::NotFound,
        Self::Hang,
        Self::CancelAnswersLost,
        Self::LoginPage,
        Self::BadGateway,
        Self::TruncatedAnswers,
        Self::RefusedStreams,
        Self::GoAway,
        Self::AnswersReset,
    ];

    /// What it happens to, if it is injected for this controller.
    pub(super) const fn victim(self, controller: usize) -> Victim {
        match self {
            Self::ControllerKilled | Self::ControllerTerminated | Self::ControllerPaused => {
                Victim::Controller(controller)
            }
            Self::ApiServerRestarted | Self::ApiServerKilled | Self::EtcdPaused => {
                Victim::ApiServer
            }
            Self::ApiConnectionsReset | Self::ApiServerUnreachable | Self::ApiServerSilent => {
                Victim::ApiNetwork(controller)
            }
            Self::GoogleConnectionsReset | Self::GoogleUnreachable | Self::GoogleSilent => {
                Victim::GoogleNetwork(controller)
            }
            Self::TokensUnreachable | Self::TokensRevoked => Victim::Tokens,
            Self::SlowAnswers => Victim::Latency,
            _ => Victim::Answers,
        }
    }

    /// Whether a process of the controller ends.
    pub(super) const fn ends_a_controller(self) -> bool {
        matches!(self, Self::ControllerKilled | Self::ControllerTerminated)
    }

    /// Whether the controller waits for more than some seconds afterwards, as docs/life-of-a-cancellation.md#what-each-answer-means
    /// says.
    pub(super) const fn is_slow_to_cure(self) -> bool {
        matches!(self, Self::QuotaExhausted | Self::PermissionDenied)
    }

    /// The emulator's fault, for [`Victim::Answers`].
    pub(super) fn answer(self) -> Option<Value> {
        let refuse = |code: &str| json!({"answer": {"refuse": {"code": code}}});
        let raw =
            |status: u16, body: &str| json!({"answer": {"raw": {"status": status, "body": body}}});
        Some(match self {
            Self::TooManyRequests => {
                json!({"answer": {"refuse": {"code": "RESOURCE_EXHAUSTED", "retryAfter": "1"}}})
            }
            Self::QuotaExhausted => refuse("RESOURCE_EXHAUSTED"),
            Self::Unavailable => refuse("UNAVAILABLE"),
            Self::Internal => refuse("INTERNAL"),
            Self::PermissionDenied => refuse("PERMISSION_DENIED"),
            Self::NotFound => refuse("NOT_FOUND"),
            Self::Hang => json!({"answer": {"hang": "2s"}}),
            Self::CancelAnswersLost => json!({"on": "cancel", "applied": true, "answer": "close"}),
            Self::LoginPage => raw(200, "<html>Sign in</html>"),
            Self::BadGateway => raw(502, "<html>Bad Gateway</html>"),
            Self::TruncatedAnswers => json!({"answer": {"truncated": {"after": 20}}}),
            Self::RefusedStreams => json!({"answer": "refusedStream"}),
            Self::GoAway => json!({"answer": {"goAway": {}}}),
            Self::AnswersReset => json!({"answer": "reset"}),
            _ => return None,
        })
    }
}
