//! The servers that the controller talks to for a call. The matrix of the clients and that of a whole controller have the same list.
#![allow(dead_code)]

use strum::VariantArray;

use super::misbehaviour::Misbehaviour;

/// A server, and what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, VariantArray)]
pub enum Hop {
    /// The metadata server: the operator's identity.
    OperatorEmail,
    /// The metadata server: its universe.
    OperatorUniverse,
    /// The metadata server: the operator's token.
    OperatorToken,
    /// The metadata server: the name of the GKE cluster.
    ClusterName,
    /// The API server: the ServiceAccount.
    ServiceAccount,
    /// The API server: its token.
    TokenRequest,
    /// The Security Token Service.
    Sts,
    /// IAM Credentials.
    IamCredentials,
    /// GET of an operation.
    Get,
    /// The cancel request.
    Cancel,
    /// CONNECT at the proxy.
    Proxy,
}

impl Hop {
    /// The hop of a request.
    pub fn of(request: &str) -> Option<Self> {
        let mut all = Self::VARIANTS.iter().copied();
        all.find(|hop| hop.is_asked(request))
    }

    /// Whether the server of this hop gets this request.
    pub fn is_asked(self, request: &str) -> bool {
        let line = request.lines().next().unwrap_or_default();
        let of_account = line.contains("/serviceaccounts/");
        let of_cluster = ["/v1/project/", "/v1/instance/attributes/"];
        match self {
            Self::OperatorEmail => line.contains("/service-accounts/default/email "),
            Self::OperatorUniverse => line.contains("/universe/universe-domain "),
            Self::OperatorToken => line.contains("/service-accounts/default/token?"),
            Self::ClusterName => of_cluster.iter().any(|part| line.contains(part)),
            Self::ServiceAccount => of_account && !line.contains("/token "),
            Self::TokenRequest => of_account && line.contains("/token "),
            Self::Sts => line.starts_with("POST /v1/token "),
            Self::IamCredentials => line.contains(":generateAccessToken "),
            Self::Get => line.starts_with("GET /v2/"),
            Self::Cancel => line.contains(":cancel "),
            Self::Proxy => line.starts_with("CONNECT "),
        }
    }

    /// Whether the metadata server is asked for the operator's token.
    pub const fn is_of_operator(self) -> bool {
        matches!(
            self,
            Self::OperatorEmail | Self::OperatorUniverse | Self::OperatorToken
        )
    }
}

/// Cells in which the call succeeds although the server misbehaves, and why that is right.
const HARMLESS: [(Hop, Misbehaviour, &str); 3] = [
    (
        Hop::OperatorUniverse,
        Misbehaviour::Empty,
        "a server that names no universe is in the default one (AIP-4120)",
    ),
    (
        Hop::Cancel,
        Misbehaviour::Empty,
        "a 2xx without a body means that the request was accepted (docs/life-of-a-cancellation.md#what-each-answer-means)",
    ),
    (
        Hop::Cancel,
        Misbehaviour::HugeNumbers,
        "so does a JSON object without an error; its other fields are not read",
    ),
];

/// Whether the call succeeds although this hop misbehaves like this.
pub fn is_harmless(hop: Hop, misbehaviour: Misbehaviour) -> bool {
    let cell = (hop, misbehaviour);
    HARMLESS.iter().any(|(hop, bad, _)| (*hop, *bad) == cell)
}

/// Every hop with every misbehaviour.
pub fn cells() -> impl Iterator<Item = (Hop, Misbehaviour)> {
    let with_each = |hop: &Hop| {
        let hop = *hop;
        Misbehaviour::VARIANTS.iter().map(move |bad| (hop, *bad))
    };
    Hop::VARIANTS.iter().flat_map(with_each)
}
