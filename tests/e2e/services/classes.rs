//! The classes of services as data: what is special in the paths, names, operations or errors of each, and how an operation of the class
//! comes to each outcome.

use std::time::Duration;

use opcancel::api::Outcome;
use operations_emulator::{EndResult, Fault, FaultAnswer, FaultCall, RawAnswer, RpcCode, Script};
use serde_json::{Value, json};

use crate::support::service_kinds::{Kind, kind_of};

/// One service of a class.
pub struct Class {
    /// The class; also the beginning of the names of its objects.
    pub title: &'static str,
    pub service: &'static str,
    pub version: &'static str,
    /// The parent of the operations; empty if the names have none.
    pub parent: &'static str,
    /// The name up to the operation's id.
    pub before_id: &'static str,
    /// What a grant must have.
    pub allowed: Allowed,
    /// How its operations come to each outcome.
    pub cells: fn(Outcome) -> Cell,
}

/// What a grant for the class names.
#[derive(Clone, Copy)]
pub enum Allowed {
    Project,
    Parent(&'static str),
    /// The names themselves.
    Names,
}

/// How an operation of a class comes to an outcome.
pub enum Cell {
    /// With this script, and this number of cancel requests.
    Ends(Box<Script>, usize),
    /// It cannot, for this reason.
    Never(&'static str),
}

/// Google does not document the message.
const GKE_CANCELLED: &str = "cancelled by a user";

const BUCKET: &str = "projects/_/buckets/acme.media";

/// Every class that the catalogue has, and two whose answers the documents do not have.
pub const CLASSES: [Class; 23] = [
    Class {
        title: "project",
        service: "datastore",
        version: "v1",
        parent: "projects/acme-prod",
        before_id: "projects/acme-prod/operations/",
        allowed: Allowed::Project,
        cells: longrunning,
    },
    Class {
        title: "location",
        service: "file",
        version: "v1",
        parent: "projects/acme-prod/locations/us-central1",
        before_id: "projects/acme-prod/locations/us-central1/operations/",
        allowed: Allowed::Project,
        cells: longrunning,
    },
    Class {
        title: "region",
        service: "dataproc",
        version: "v1",
        parent: "projects/acme-prod/regions/us-central1",
        before_id: "projects/acme-prod/regions/us-central1/operations/",
        allowed: Allowed::Project,
        cells: longrunning,
    },
    Class {
        title: "nested",
        service: "firestore",
        version: "v1",
        parent: "projects/acme-prod/databases/(default)",
        before_id: "projects/acme-prod/databases/(default)/operations/",
        allowed: Allowed::Project,
        cells: longrunning,
    },
    Class {
        title: "nested-without-id",
        service: "aiplatform",
        version: "v1",
        parent: "projects/acme-prod/locations/us-central1/ragEngineConfig",
        before_id: "projects/acme-prod/locations/us-central1/ragEngineConfig/operations/",
        allowed: Allowed::Parent("projects/acme-prod/locations/us-central1"),
        cells: longrunning,
    },
    Class {
        title: "organization",
        service: "securitycenter",
        version: "v1",
        parent: "organizations/123456789012",
        before_id: "organizations/123456789012/operations/",
        allowed: Allowed::Parent("organizations/123456789012"),
        cells: longrunning,
    },
    Class {
        title: "organization-location",
        service: "logging",
        version: "v2",
        parent: "organizations/123456789012/locations/global",
        before_id: "organizations/123456789012/locations/global/operations/",
        allowed: Allowed::Parent("organizations/123456789012"),
        cells: longrunning,
    },
    Class {
        title: "folder",
        service: "logging",
        version: "v2",
        parent: "folders/210987654321/locations/eu",
        before_id: "folders/210987654321/locations/eu/operations/",
        allowed: Allowed::Parent("folders/210987654321"),
        cells: longrunning,
    },
    Class {
        title: "billing-account",
        service: "logging",
        version: "v2",
        parent: "billingAccounts/01A2B3-0C0D0E-FFFFFF/locations/global",
        before_id: "billingAccounts/01A2B3-0C0D0E-FFFFFF/locations/global/operations/",
        allowed: Allowed::Parent("billingAccounts/01A2B3-0C0D0E-FFFFFF"),
        cells: longrunning,
    },
    Class {
        title: "no-parent",
        service: "cloudbuild",
        version: "v1",
        parent: "",
        before_id: "operations/build/acme-prod/",
        allowed: Allowed::Names,
        cells: longrunning,
    },
    Class {
        title: "no-parent-one-segment",
        service: "serviceusage",
        version: "v1",
        parent: "",
        before_id: "operations/",
        allowed: Allowed::Names,
        cells: longrunning,
    },
    Class {
        title: "no-parent-before-a-project",
        service: "videointelligence",
        version: "v1",
        parent: "",
        before_id: "operations/projects/acme-prod/locations/us-east1/operations/",
        allowed: Allowed::Names,
        cells: longrunning,
    },
    Class {
        title: "transfer-operations",
        service: "storagetransfer",
        version: "v1",
        parent: "",
        before_id: "transferOperations/",
        allowed: Allowed::Names,
        cells: longrunning,
    },
    Class {
        title: "express",
        service: "aiplatform",
        version: "v1",
        parent: "",
        before_id: "tuningJobs/4711/operations/",
        allowed: Allowed::Names,
        cells: longrunning,
    },
    Class {
        title: "prefix-dns",
        service: "dns",
        version: "v1",
        parent: "projects/acme-prod/locations/global",
        before_id: "projects/acme-prod/locations/global/operations/",
        allowed: Allowed::Project,
        cells: longrunning,
    },
    Class {
        title: "prefix-admin",
        service: "pubsublite",
        version: "v1",
        parent: "projects/acme-prod/locations/us-central1-a",
        before_id: "projects/acme-prod/locations/us-central1-a/operations/",
        allowed: Allowed::Project,
        cells: longrunning,
    },
    Class {
        title: "gke",
        service: "container",
        version: "v1",
        parent: "projects/acme-prod/locations/us-central1",
        before_id: "projects/acme-prod/locations/us-central1/operations/",
        allowed: Allowed::Project,
        cells: done_status,
    },
    Class {
        title: "gke-zone",
        service: "container",
        version: "v1beta1",
        parent: "projects/acme-prod/zones/us-central1-a",
        before_id: "projects/acme-prod/zones/us-central1-a/operations/",
        allowed: Allowed::Project,
        cells: done_status,
    },
    Class {
        title: "cloud-sql",
        service: "sqladmin",
        version: "v1",
        parent: "projects/acme-prod",
        before_id: "projects/acme-prod/operations/",
        allowed: Allowed::Project,
        cells: done_status_with_errors,
    },
    Class {
        title: "cloud-sql-prefix",
        service: "sqladmin",
        version: "v1beta4",
        parent: "projects/acme-prod",
        before_id: "projects/acme-prod/operations/",
        allowed: Allowed::Project,
        cells: done_status_with_errors,
    },
    Class {
        title: "cloud-sql-older-errors",
        service: "sqladmin",
        version: "v1",
        parent: "projects/acme-prod",
        before_id: "projects/acme-prod/operations/",
        allowed: Allowed::Project,
        cells: |outcome| adapted(done_status_with_errors(outcome), with_older_errors),
    },
    Class {
        title: "storage",
        service: "storage",
        version: "v1",
        parent: BUCKET,
        before_id: "projects/_/buckets/acme.media/operations/",
        allowed: Allowed::Parent(BUCKET),
        cells: longrunning,
    },
    Class {
        title: "storage-empty-200",
        service: "storage",
        version: "v1",
        parent: BUCKET,
        before_id: "projects/_/buckets/acme.media/operations/",
        allowed: Allowed::Parent(BUCKET),
        cells: |outcome| adapted(longrunning(outcome), with_empty_200),
    },
];

impl Class {
    /// The name of an operation.
    pub fn name(&self, outcome: Outcome) -> String {
        format!("{}{}", self.before_id, self.id(outcome))
    }

    /// The id of an operation. Classes may have the same parent.
    pub fn id(&self, outcome: Outcome) -> String {
        format!("{}.{}", self.title, outcome.name().to_lowercase())
    }

    /// The name of an object.
    pub fn object(&self, outcome: Outcome) -> String {
        format!("{}-{}", self.title, outcome.name().to_lowercase())
    }

    /// The message of the error of an operation that was cancelled.
    pub fn cancelled_message(&self) -> &'static str {
        if self.service == "container" {
            GKE_CANCELLED
        } else {
            "The operation was cancelled."
        }
    }

    /// What the grant for these names has.
    pub fn grant(&self, names: &[String]) -> Value {
        let mut grant = match self.allowed {
            Allowed::Project => json!({"projects": ["acme-prod"]}),
            Allowed::Parent(parent) => json!({"parents": [parent]}),
            Allowed::Names => json!({"operationNames": names}),
        };
        grant["services"] = json!([self.service]);
        grant["identities"] = json!(["Operator"]);
        grant
    }

    /// The kind of rows of the catalogue that its names have.
    pub fn kind(&self) -> Kind {
        kind_of(self.service, self.version, &self.name(Outcome::Cancelled))
    }
}

fn failed() -> EndResult {
    EndResult::failed(RpcCode::Internal, "boom")
}

fn ends(script: Script, posts: usize) -> Cell {
    Cell::Ends(Box::new(script), posts)
}

/// What all forms of operations have in common.
fn any_form(outcome: Outcome) -> Cell {
    match outcome {
        Outcome::Cancelled | Outcome::Ended => ends(Script::default(), 1),
        Outcome::Completed => ends(
            Script::cancel_ends_as(EndResult::completed(), Duration::ZERO),
            1,
        ),
        Outcome::Failed => ends(Script::cancel_ends_as(failed(), Duration::ZERO), 1),
        Outcome::NotFound => ends(Script::missing(), 0),
        Outcome::Unsupported => ends(Script::cancel_unimplemented(), 1),
        Outcome::Rejected => ends(
            Script::default().with_fault(Fault::refuse(FaultCall::Any, RpcCode::InvalidArgument)),
            1,
        ),
        Outcome::Unknown => ends(Script::ignores_cancel(), 1),
    }
}

/// `google.longrunning.Operation`.
fn longrunning(outcome: Outcome) -> Cell {
    match outcome {
        Outcome::Ended => Cell::Never("google.longrunning.Operation says how it ended"),
        other => any_form(other),
    }
}

/// GKE's form: a status, and an error with a number.
fn done_status(outcome: Outcome) -> Cell {
    match outcome {
        // Google does not say whether it does this.
        Outcome::Cancelled => {
            let fields = json!({"status": "DONE", "error": {"code": 1, "message": GKE_CANCELLED}});
            let end = EndResult::Raw(fields.as_object().unwrap().clone());
            ends(Script::cancel_ends_as(end, Duration::ZERO), 1)
        }
        Outcome::Completed => {
            Cell::Never("DONE without an error means completed or cancelled: the outcome is Ended")
        }
        other => any_form(other),
    }
}

/// Cloud SQL's form: a status, and a list of errors with texts as codes.
fn done_status_with_errors(outcome: Outcome) -> Cell {
    match outcome {
        Outcome::Cancelled => {
            Cell::Never("no code of Cloud SQL is known to mean that the operation was cancelled")
        }
        other => done_status(other),
    }
}

fn adapted(cell: Cell, adapt: fn(Script) -> Script) -> Cell {
    match cell {
        Cell::Ends(script, posts) => ends(adapt(*script), posts),
        never @ Cell::Never(_) => never,
    }
}

/// Refusals in the form of older APIs, which name a reason and no `status`.
fn with_older_errors(script: Script) -> Script {
    let refused = |on, code: u16, reason: &str| {
        let listed = json!([{"domain": "global", "reason": reason, "message": "no"}]);
        let error = json!({"error": {"errors": listed, "code": code, "message": "no"}});
        Fault::new(
            on,
            FaultAnswer::Raw(RawAnswer::new(code, error.to_string())),
        )
    };
    let mut older = Script {
        faults: Vec::new(),
        exists: true,
        ..script.clone()
    };
    if !script.exists {
        older.faults.push(refused(FaultCall::Any, 404, "notFound"));
    }
    for fault in script.faults {
        let FaultAnswer::Refuse(refusal) = &fault.answer else {
            unreachable!("scripts of this matrix have only refusals");
        };
        let reason = older_reason(refusal.code);
        older
            .faults
            .push(refused(fault.on, refusal.code.http_status(), reason));
    }
    older
}

fn older_reason(code: RpcCode) -> &'static str {
    match code {
        RpcCode::InvalidArgument => "invalid",
        RpcCode::Unimplemented => "notImplemented",
        other => unreachable!("scripts of this matrix do not refuse with {other:?}"),
    }
}

/// A cancel request that is accepted is answered with 200 and nothing. The emulator answers with 204; which one Google has is not known.
fn with_empty_200(script: Script) -> Script {
    let nothing = RawAnswer::new(200, "");
    let accepted = Fault::new(FaultCall::Cancel, FaultAnswer::Raw(nothing)).applied();
    script.with_fault(accepted)
}
