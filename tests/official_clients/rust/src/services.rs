//! Further services: each operation is read, cancelled, and waited for.

use google_cloud_gax::Result;
use google_cloud_longrunning::model::Operation;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{error::error_json, wait};

/// One operation.
#[derive(Deserialize)]
struct Case {
    id: String,
    service: String,
    host: String,
    name: String,
}

/// How often an operation is read whose crate has no loop.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// The same for each client: their types have nothing in common but the names of their methods.
macro_rules! longrunning {
    ($client:ty, $case:expr, $credentials:expr) => {{
        let client = connected!($client, $case, $credentials);
        let get = {
            let client = client.clone();
            move |name: String| {
                let get = client.get_operation().set_name(name);
                async move { get.send().await }
            }
        };
        let cancel = client.cancel_operation().set_name(&$case.name);
        cancelled(get, cancel.send(), $case.name.clone()).await
    }};
}

macro_rules! connected {
    ($client:ty, $case:expr, $credentials:expr) => {
        <$client>::builder()
            .with_credentials($credentials.clone())
            .with_endpoint(format!("https://{}", $case.host))
            .build()
            .await?
    };
}

/// Asks for each case, and says what was answered, a line each.
pub(crate) async fn run(input: &str) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let cases: Vec<Case> = serde_json::from_str(input)?;
    let credentials = google_cloud_auth::credentials::Builder::default().build()?;
    for case in cases {
        let answer = match case.service.as_str() {
            "cloudbuild" => {
                longrunning!(google_cloud_build_v1::client::CloudBuild, case, credentials)
            }
            "dataproc" => longrunning!(
                google_cloud_dataproc_v1::client::ClusterController,
                case,
                credentials
            ),
            "dialogflow" => longrunning!(
                google_cloud_dialogflow_v2::client::Fulfillments,
                case,
                credentials
            ),
            "file" => longrunning!(
                google_cloud_filestore_v1::client::CloudFilestoreManager,
                case,
                credentials
            ),
            "firestore" => longrunning!(
                google_cloud_firestore_admin_v1::client::FirestoreAdmin,
                case,
                credentials
            ),
            "logging" => longrunning!(
                google_cloud_logging_v2::client::ConfigServiceV2,
                case,
                credentials
            ),
            "spanner" => longrunning!(
                google_cloud_spanner_admin_database_v1::client::DatabaseAdmin,
                case,
                credentials
            ),
            "storagetransfer" => longrunning!(
                google_cloud_storagetransfer_v1::client::StorageTransferService,
                case,
                credentials
            ),
            "container" => {
                let client = connected!(
                    google_cloud_container_v1::client::ClusterManager,
                    case,
                    credentials
                );
                gke(&client, &case.name).await
            }
            "sqladmin" => {
                let client = connected!(
                    google_cloud_sql_v1::client::SqlOperationsService,
                    case,
                    credentials
                );
                cloud_sql(&client, &case.name).await
            }
            other => return Err(format!("no crate for {other}").into()),
        };
        let line = match answer {
            Ok(value) => json!({"id": case.id, "value": value}),
            Err(error) => json!({"id": case.id, "error": error_json(&error)}),
        };
        println!("{line}");
    }
    Ok(())
}

/// Cancels an operation that runs, and waits for its end with the clients' own loop.
async fn cancelled<F>(
    get: impl Fn(String) -> F + Send + Sync + Clone + 'static,
    cancel: impl Future<Output = Result<()>>,
    name: String,
) -> Result<Value>
where
    F: Future<Output = Result<Operation>> + Send + 'static,
{
    let running = !get(name.clone()).await?.done;
    cancel.await?;
    let end = match wait(get, name).await {
        Ok(value) => value,
        Err(error) => json!(error.status().map(|status| status.code.name())),
    };
    Ok(json!({"running": running, "end": end}))
}

/// GKE's operations are its own, and the crate has no loop for them.
async fn gke(
    client: &google_cloud_container_v1::client::ClusterManager,
    name: &str,
) -> Result<Value> {
    use google_cloud_container_v1::model::operation::Status;
    let get = || client.get_operation().set_name(name).send();
    let running = get().await?.status == Status::Running;
    client.cancel_operation().set_name(name).send().await?;
    while get().await?.status != Status::Done {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(json!({"running": running, "end": "DONE"}))
}

/// So are those of Cloud SQL.
async fn cloud_sql(
    client: &google_cloud_sql_v1::client::SqlOperationsService,
    name: &str,
) -> Result<Value> {
    use google_cloud_sql_v1::model::operation::SqlOperationStatus;
    let mut ids = name.split('/').skip(1).step_by(2);
    let (project, id) = (
        ids.next().unwrap_or_default(),
        ids.next().unwrap_or_default(),
    );
    let get = || client.get().set_project(project).set_operation(id).send();
    let running = get().await?.status == SqlOperationStatus::Running;
    client
        .cancel()
        .set_project(project)
        .set_operation(id)
        .send()
        .await?;
    while get().await?.status != SqlOperationStatus::Done {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(json!({"running": running, "end": "DONE"}))
}
