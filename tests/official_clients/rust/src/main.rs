//! Google's own Rust clients ask as they are told on standard input, and say what they were answered, a line each.

mod error;
mod services;

use std::{io::Read, sync::Arc};

use error::error_json;
use google_cloud_gax::{
    Result, exponential_backoff::ExponentialBackoff, paginator::ItemPaginator,
    polling_error_policy::Aip194Strict,
};
use google_cloud_longrunning::model::{Operation, operation::Result as OperationResult};
use google_cloud_lro::{Poller, internal};
use google_cloud_wkt::Struct;
use serde::Deserialize;
use serde_json::{Value, json};

/// One thing to ask.
#[derive(Deserialize)]
struct Case {
    id: String,
    host: String,
    version: String,
    call: String,
    name: String,
    filter: String,
    #[serde(rename = "pageSize")]
    page_size: i32,
}

/// The same for each client: their types have nothing in common but the names of their methods.
macro_rules! ask {
    ($client:expr, $case:expr) => {{
        let (client, case) = ($client, $case);
        match case.call.as_str() {
            "get" => {
                let get = client.get_operation().set_name(&case.name);
                get.send().await.map(|operation| shown(&operation))
            }
            "cancel" => {
                let cancel = client.cancel_operation().set_name(&case.name);
                cancel.send().await.map(|()| json!({}))
            }
            "list" => {
                let list = client.list_operations().set_name(&case.name);
                let list = list.set_filter(&case.filter).set_page_size(case.page_size);
                let (mut items, mut names) = (list.by_item(), Vec::new());
                loop {
                    match items.next().await {
                        Some(Ok(operation)) => names.push(operation.name),
                        Some(Err(error)) => break Err(error),
                        None => break Ok(json!(names)),
                    }
                }
            }
            _ => {
                let get = {
                    let client = client.clone();
                    move |name: String| {
                        let get = client.get_operation().set_name(name);
                        async move { get.send().await }
                    }
                };
                wait(get, case.name.clone()).await
            }
        }
    }};
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    if std::env::args().nth(1).as_deref() == Some("services") {
        return services::run(&input).await;
    }
    let cases: Vec<Case> = serde_json::from_str(&input)?;
    // As users are told to do it: one for all clients.
    let credentials = google_cloud_auth::credentials::Builder::default().build()?;
    for case in cases {
        let endpoint = format!("https://{}", case.host);
        let answer = if case.version == "v2" {
            let builder = google_cloud_dialogflow_v2::client::Fulfillments::builder()
                .with_credentials(credentials.clone());
            ask!(&builder.with_endpoint(&endpoint).build().await?, &case)
        } else {
            let builder = google_cloud_dialogflow_cx_v3::client::Changelogs::builder()
                .with_credentials(credentials.clone());
            ask!(&builder.with_endpoint(&endpoint).build().await?, &case)
        };
        let line = match answer {
            Ok(value) => json!({"id": case.id, "value": value}),
            Err(error) => json!({"id": case.id, "error": error_json(&error)}),
        };
        println!("{line}");
    }
    Ok(())
}

/// The loop of the clients' own methods that start operations, with their policies; it begins with a get in place of a start.
async fn wait<F>(
    get: impl Fn(String) -> F + Send + Sync + Clone + 'static,
    name: String,
) -> Result<Value>
where
    F: Future<Output = Result<Operation>> + Send + 'static,
{
    let first = get.clone();
    let poller = internal::new_poller::<Struct, Struct, _, _, _, _>(
        Arc::new(Aip194Strict),
        Arc::new(ExponentialBackoff::default()),
        move || async move { first(name).await.map(internal::Operation::new) },
        move |name| {
            let again = get(name);
            async move { again.await.map(internal::Operation::new) }
        },
    );
    let response = poller.until_done().await?;
    Ok(json!({ "response": response }))
}

fn shown(operation: &Operation) -> Value {
    let (error, response) = match &operation.result {
        Some(OperationResult::Error(status)) => (json!(status.code), Value::Null),
        Some(OperationResult::Response(any)) => (Value::Null, json!(any.type_url())),
        _ => (Value::Null, Value::Null),
    };
    json!({"name": operation.name, "done": operation.done, "error": error, "response": response})
}
