//! An emulator of `google.longrunning.Operations` over REST, with GKE's metadata server and Google's token services. A scenario says how
//! it behaves. It runs in-process in tests ([`Emulator::start`]), and as the program `operations-emulator`.
//!
//! How it is built: `scenario` is plain data. `operations` has the life of one operation, pure, the store that holds them by name, and
//! the Operations API; `tokens` has the metadata server and the token services. Each service turns a request into a reply, and
//! `transport` carries it. `admin`, for other processes, and [`Emulator`], in-process, use the same store and the same `record`.

pub mod duration_text;

mod admin;
mod config;
mod emulator;
mod operations;
mod protocol;
mod record;
mod scenario;
mod shared;
mod tokens;
mod transport;

pub use config::{Addresses, Config, StartError};
pub use emulator::Emulator;
pub use operations::operation_view::OperationView;
pub use protocol::{
    call::{Call, VERSIONS},
    json_web_token,
    rpc_code::RpcCode,
};
pub use record::{Answer, Authorization, RequestRecord, timed_out::TimedOut};
pub use scenario::{
    AcceptedToken, FederatedTokens, Identity, NotReady, Scenario, UnknownOperations,
    connection_fault::{Certificate, ConnectionAnswer, ConnectionFault},
    consumer::{Consumer, PerMinute},
    credentials::{self, Credentials},
    endpoint::{Endpoint, ProjectNames, WrongLocation},
    error::ScenarioError,
    fault::{Fault, FaultCall},
    fault_answer::{Deep, Drip, ErrorInfo, FaultAnswer, GoAway, RawAnswer, Refusal, Truncated},
    latency::Latency,
    lists::Lists,
    permission::Permission,
    schema::scenario_schema,
    script::{
        CancelAnswer, CancelBehaviour, CancelEffect, EndResult, Ending, Failure, MetadataScript,
        Response, Script, Vanishing,
    },
};
pub use shared::ChangeError;
pub use tokens::IssuedToken;
pub use transport::tls::TlsError;
