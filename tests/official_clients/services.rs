//! Google's clients read, cancel and wait for an operation of each class of services. They send what the controller sends, to the same
//! host, and understand the emulator's answers.

use std::{collections::BTreeSet, time::Duration};

use opcancel::google::{
    catalogue::{resolve, services},
    endpoint::EndpointOverrides,
    operation_name::OperationName,
};
use operations_emulator::{Call, Scenario, Script};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    client::{Client, Google, folder, python},
    service_kinds::{all_kinds, kind_of},
};

/// Whether a client can do this.
#[derive(Clone, Copy, Debug)]
enum Cell {
    Runs,
    /// It cannot, for this reason.
    Never(&'static str),
}

use Cell::{Never, Runs};

/// An operation of one service of a class.
struct Row {
    class: &'static str,
    service: &'static str,
    version: &'static str,
    host: &'static str,
    name: &'static str,
    /// The resource in the discovery document, which the clients for Python and Node follow. The one for Python has them all.
    resource: &'static str,
    /// The crate of the service.
    rust: Cell,
    node: Cell,
}

const NO_CRATE: &str = "there is no crate with the operations of this API";

const ROWS: [Row; 23] = [
    Row {
        class: "project",
        service: "datastore",
        version: "v1",
        host: "datastore.googleapis.com",
        name: "projects/acme-prod/operations/project",
        resource: "projects.operations",
        rust: Never(NO_CRATE),
        node: Runs,
    },
    Row {
        class: "location",
        service: "file",
        version: "v1",
        host: "file.googleapis.com",
        name: "projects/acme-prod/locations/us-central1/operations/location",
        resource: "projects.locations.operations",
        rust: Runs,
        node: Runs,
    },
    Row {
        class: "region",
        service: "dataproc",
        version: "v1",
        host: "dataproc.googleapis.com",
        name: "projects/acme-prod/regions/us-central1/operations/region",
        resource: "projects.regions.operations",
        rust: Runs,
        node: Runs,
    },
    Row {
        class: "nested",
        service: "firestore",
        version: "v1",
        host: "firestore.googleapis.com",
        name: "projects/acme-prod/databases/(default)/operations/nested",
        resource: "projects.databases.operations",
        rust: Runs,
        node: Runs,
    },
    Row {
        class: "nested twice",
        service: "spanner",
        version: "v1",
        host: "spanner.googleapis.com",
        name: "projects/acme-prod/instances/orders/databases/restored/operations/_auto_op_1",
        resource: "projects.instances.databases.operations",
        rust: Runs,
        node: Runs,
    },
    Row {
        class: "regional host",
        service: "dialogflow",
        version: "v2",
        host: "europe-west1-dialogflow.googleapis.com",
        name: "projects/acme-prod/locations/europe-west1/operations/regional",
        resource: "projects.locations.operations",
        rust: Runs,
        node: Runs,
    },
    Row {
        class: "nested without an id",
        service: "aiplatform",
        version: "v1",
        host: "us-central1-aiplatform.googleapis.com",
        name: "projects/acme-prod/locations/us-central1/ragEngineConfig/operations/rag",
        resource: "projects.locations.ragEngineConfig.operations",
        rust: Never(
            "the crate sends the names of Vertex AI to paths of the console, which begin with ui/",
        ),
        node: Runs,
    },
    Row {
        class: "express",
        service: "aiplatform",
        version: "v1",
        host: "aiplatform.googleapis.com",
        name: "tuningJobs/4711/operations/express",
        resource: "tuningJobs.operations",
        rust: Never("the crate has no path for names without a project"),
        node: Runs,
    },
    Row {
        class: "organization",
        service: "securitycenter",
        version: "v1",
        host: "securitycenter.googleapis.com",
        name: "organizations/123456789012/operations/organization",
        resource: "organizations.operations",
        rust: Never("the crate for v1 cannot be built with the others: it is for v2"),
        node: Runs,
    },
    Row {
        class: "organization and location",
        service: "logging",
        version: "v2",
        host: "logging.googleapis.com",
        name: "organizations/123456789012/locations/global/operations/organization",
        resource: "organizations.locations.operations",
        rust: Runs,
        node: Runs,
    },
    Row {
        class: "folder",
        service: "logging",
        version: "v2",
        host: "logging.googleapis.com",
        name: "folders/210987654321/locations/eu/operations/folder",
        resource: "folders.locations.operations",
        rust: Runs,
        node: Runs,
    },
    Row {
        class: "billing account",
        service: "logging",
        version: "v2",
        host: "logging.googleapis.com",
        name: "billingAccounts/01A2B3-0C0D0E-FFFFFF/locations/global/operations/billing",
        resource: "billingAccounts.locations.operations",
        rust: Runs,
        node: Runs,
    },
    Row {
        class: "no parent",
        service: "cloudbuild",
        version: "v1",
        host: "cloudbuild.googleapis.com",
        name: "operations/build/acme-prod/no-parent",
        resource: "operations",
        rust: Runs,
        node: Runs,
    },
    Row {
        class: "no parent, one segment",
        service: "serviceusage",
        version: "v1",
        host: "serviceusage.googleapis.com",
        name: "operations/one-segment",
        resource: "operations",
        rust: Never("the crate reads operations and does not cancel them"),
        node: Runs,
    },
    Row {
        class: "no parent before a project",
        service: "videointelligence",
        version: "v1",
        host: "videointelligence.googleapis.com",
        name: "operations/projects/acme-prod/locations/us-east1/operations/second",
        resource: "operations.projects.locations.operations",
        rust: Never("the crate has only the names that begin with the project"),
        node: Runs,
    },
    Row {
        class: "transfer operations",
        service: "storagetransfer",
        version: "v1",
        host: "storagetransfer.googleapis.com",
        name: "transferOperations/transferJobs-1-2",
        resource: "transferOperations",
        rust: Runs,
        node: Runs,
    },
    Row {
        class: "prefix of DNS",
        service: "dns",
        version: "v1",
        host: "dns.googleapis.com",
        name: "projects/acme-prod/locations/global/operations/dns",
        resource: "operations",
        rust: Never(NO_CRATE),
        node: Never("the newest release for Node 20 is older than this method"),
    },
    Row {
        class: "prefix with admin",
        service: "pubsublite",
        version: "v1",
        host: "us-central1-pubsublite.googleapis.com",
        name: "projects/acme-prod/locations/us-central1-a/operations/admin",
        resource: "admin.projects.locations.operations",
        rust: Never(NO_CRATE),
        node: Runs,
    },
    Row {
        class: "GKE",
        service: "container",
        version: "v1",
        host: "container.googleapis.com",
        name: "projects/acme-prod/locations/us-central1/operations/operation-1-gke",
        resource: "projects.locations.operations",
        rust: Runs,
        node: Runs,
    },
    Row {
        class: "GKE, zone",
        service: "container",
        version: "v1beta1",
        host: "container.googleapis.com",
        name: "projects/acme-prod/zones/us-central1-a/operations/operation-2-gke",
        resource: "projects.zones.operations",
        rust: Never("the crate has only v1"),
        node: Runs,
    },
    Row {
        class: "Cloud SQL",
        service: "sqladmin",
        version: "v1",
        host: "sqladmin.googleapis.com",
        name: "projects/acme-prod/operations/cloud-sql",
        resource: "operations",
        rust: Runs,
        node: Runs,
    },
    Row {
        class: "Cloud SQL, prefix",
        service: "sqladmin",
        version: "v1beta4",
        host: "sqladmin.googleapis.com",
        name: "projects/acme-prod/operations/cloud-sql-prefix",
        resource: "operations",
        rust: Never("the crate has only v1"),
        node: Runs,
    },
    Row {
        class: "Cloud Storage",
        service: "storage",
        version: "v1",
        host: "storage.googleapis.com",
        name: "projects/_/buckets/acme.media/operations/storage",
        resource: "operations",
        rust: Never("the crate has no method that cancels an operation"),
        node: Runs,
    },
];

/// A client for many services, which is not always the one that the other tests of the language use.
#[derive(Clone, Copy, Debug)]
enum ForServices {
    /// A crate for each service.
    Rust,
    /// google-api-python-client, with the loop of google-api-core.
    Python,
    /// npm's googleapis.
    Node,
}

impl ForServices {
    fn cell(self, row: &Row) -> Cell {
        match self {
            Self::Rust => row.rust,
            Self::Python => Runs,
            Self::Node => row.node,
        }
    }

    fn command(self) -> tokio::process::Command {
        match self {
            Self::Rust => {
                let mut command = Client::Rust.command();
                command.arg("services");
                command
            }
            Self::Python => python("services_client.py"),
            Self::Node => {
                let place = xtask::official_clients::node(&folder("node")).unwrap();
                let mut command = tokio::process::Command::new("node");
                command.arg(place.join("services.mjs"));
                command
            }
        }
    }
}

impl Row {
    /// The arguments of the methods in the discovery document.
    fn arguments(&self) -> Value {
        let id = self.name.rsplit('/').next();
        match self.service {
            "sqladmin" => json!({"project": "acme-prod", "operation": id}),
            "storage" => json!({"bucket": "acme.media", "operationId": id}),
            // This method has parameters from before the API had locations.
            "container" if self.resource.contains("zones") => {
                json!({"projectId": "acme-prod", "zone": "us-central1-a", "operationId": id})
            }
            "videointelligence" => json!({"name": self.name.strip_prefix("operations/")}),
            _ => json!({"name": self.name}),
        }
    }

    fn input(&self) -> Value {
        json!({
            "id": self.class, "service": self.service, "version": self.version, "host": self.host, "name": self.name,
            "isRegional": self.host != host_of_all(self.service),
            "resource": self.resource, "arguments": self.arguments(),
        })
    }

    /// The requests that the controller sends: method and path.
    fn our_requests(&self) -> [(String, String); 2] {
        let name = OperationName::parse(self.name).unwrap();
        let target = resolve(
            self.service,
            Some(self.version),
            &name,
            &EndpointOverrides::default(),
        )
        .unwrap();
        assert_eq!(target.endpoint, format!("https://{}", self.host));
        let service = services().iter().find(|row| row.name == self.service);
        let version = service.unwrap().version(self.version).unwrap();
        let path = format!("/{}{}", version.prefix, version.in_path(&name));
        let cancel = format!("{path}{}", version.suffix);
        [("GET".to_owned(), path), ("POST".to_owned(), cancel)]
    }
}

fn host_of_all(service: &str) -> &'static str {
    let service = services().iter().find(|row| row.name == service);
    service.unwrap().global_host
}

fn judge(client: ForServices) {
    let rows: Vec<_> = ROWS
        .iter()
        .filter(|row| matches!(client.cell(row), Runs))
        .collect();
    let scenario = rows.iter().fold(Scenario::default(), |scenario, row| {
        // Two of them do not end at once, so that each kind of loop goes round.
        let after = match row.class {
            "location" | "GKE" => Duration::from_millis(500),
            _ => Duration::ZERO,
        };
        let script = Script {
            service: Some(row.service.to_owned()),
            ..Script::cancelled_after(after)
        };
        scenario.with_operation(row.name, script)
    });
    let runtime = Runtime::new().unwrap();
    let hosts = rows.iter().map(|row| row.host);
    let google = runtime.block_on(Google::with_hosts(scenario, hosts));
    let input = rows.iter().map(|row| row.input()).collect();
    let run = google.ask(&runtime, client.command(), &input);
    assert_eq!(run.answers.len(), rows.len());
    for row in &rows {
        let end = match row.service {
            "container" | "sqladmin" => "DONE",
            _ => "CANCELLED",
        };
        let expected = json!({"id": row.class, "value": {"running": true, "end": end}});
        assert_eq!(run.answers[row.class], expected, "{client:?}");
    }
    assert_eq!(
        run.strangers,
        Vec::<String>::new(),
        "hosts besides Google's"
    );
    for row in rows {
        let requests = run.requests.iter();
        let asked: Vec<_> = requests
            .filter(|request| request.operation.as_deref() == Some(row.name))
            .collect();
        let posts = asked
            .iter()
            .filter(|request| request.call == Some(Call::Cancel));
        assert_eq!(posts.count(), 1, "{client:?} {}", row.class);
        let sent: BTreeSet<_> = asked
            .iter()
            .map(|request| {
                assert_eq!(request.host.as_deref(), Some(row.host), "{client:?}");
                let path = request.path.split('?').next().unwrap();
                // http.proto wants both encoded, and both mean the same.
                (
                    request.method.clone(),
                    path.replace("%28", "(").replace("%29", ")"),
                )
            })
            .collect();
        assert_eq!(sent, row.our_requests().into(), "{client:?} {}", row.class);
    }
}

/// A class that the catalogue gains needs a row.
#[test]
fn there_is_a_row_for_each_class_of_the_catalogue() {
    let kinds = ROWS
        .iter()
        .map(|row| kind_of(row.service, row.version, row.name));
    assert_eq!(kinds.collect::<BTreeSet<_>>(), all_kinds());
    for client in [ForServices::Rust, ForServices::Python, ForServices::Node] {
        let runs = ROWS.iter().filter(|row| match client.cell(row) {
            Runs => true,
            Never(reason) => {
                assert!(reason.len() > 20, "{client:?} {}", row.class);
                false
            }
        });
        let services: BTreeSet<_> = runs.map(|row| row.service).collect();
        assert!(services.len() >= 10, "{client:?}: {services:?}");
    }
}

#[test]
fn the_rust_crates_cancel_operations_of_each_class() {
    judge(ForServices::Rust);
}

#[test]
fn the_discovery_client_cancels_operations_of_each_class() {
    judge(ForServices::Python);
}

#[test]
fn googleapis_for_node_cancels_operations_of_each_class() {
    judge(ForServices::Node);
}
