//! The methods of Google's discovery documents that cancel a long-running operation.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::name_glob;

/// Every document with a method that cancels an operation has this text.
const MARK: &str = "perations.cancel\"";

/// A document with this parameter has the newer form of errors: callers choose the form with it.
const ERROR_FORM_PARAMETER: &str = "$.xgafv";

/// The fields of `google.longrunning.Operation`.
const OPERATION_FIELDS: [&str; 5] = ["done", "error", "metadata", "name", "response"];

/// A method that cancels an operation, and the GET beside it.
#[derive(Debug)]
pub(super) struct CancelMethod {
    pub service: String,
    pub version: String,
    /// The title of the service, such as `Kubernetes Engine API`.
    pub title: String,
    /// The method's id in the document.
    pub id: String,
    /// The host of the service.
    pub host: String,
    /// Whether errors have a `status`.
    pub errors_have_status: bool,
    pub verb: String,
    /// The path with wildcards in place of its parameters, without a slash at the start.
    pub path: String,
    /// Parameters in the query.
    pub query: Vec<String>,
    /// Whether one of them is required.
    pub needs_query: bool,
    /// The fields of the request's body.
    pub request_fields: Vec<String>,
    /// The fields of the answer; `None` if its body is empty.
    pub answer_fields: Option<Vec<String>>,
    pub scopes: Vec<String>,
    pub get: Option<GetMethod>,
}

/// The GET of the same resource.
#[derive(Debug)]
pub(super) struct GetMethod {
    pub verb: String,
    pub path: String,
    /// Parameters in the query.
    pub query: Vec<String>,
    pub scopes: Vec<String>,
    pub answer: OperationForm,
    /// Whether the operation's `error` is a list in `errors`.
    pub lists_errors: bool,
}

/// The form of an operation's JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperationForm {
    /// `google.longrunning.Operation`.
    Longrunning,
    /// An object whose `status` is `DONE` at the end.
    DoneStatus,
    /// Neither.
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    name: String,
    version: String,
    title: String,
    root_url: String,
    #[serde(default)]
    service_path: String,
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    #[serde(default)]
    resources: BTreeMap<String, Resource>,
    #[serde(default)]
    schemas: BTreeMap<String, Schema>,
}

#[derive(Debug, Default, Deserialize)]
struct Resource {
    #[serde(default)]
    methods: BTreeMap<String, Method>,
    #[serde(default)]
    resources: BTreeMap<String, Resource>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Method {
    id: String,
    path: String,
    http_method: String,
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    request: Option<Reference>,
    response: Option<Reference>,
    #[serde(default)]
    scopes: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Parameter {
    #[serde(default)]
    location: String,
    pattern: Option<String>,
    #[serde(default)]
    required: bool,
}

#[derive(Debug, Deserialize)]
struct Reference {
    /// Absent if the body has no JSON of its own form.
    #[serde(rename = "$ref")]
    schema: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Schema {
    #[serde(default)]
    properties: BTreeMap<String, Property>,
}

#[derive(Debug, Deserialize)]
struct Property {
    #[serde(rename = "$ref")]
    schema: Option<String>,
    #[serde(default, rename = "enum")]
    values: Vec<String>,
}

/// All of them, by document and id.
///
/// # Errors
/// If a document cannot be read, or has a path that names cannot have.
pub(super) fn read(folder: &Path) -> Result<Vec<CancelMethod>> {
    let entries = fs::read_dir(folder).with_context(|| {
        format!(
            "cannot read the discovery documents in {}",
            folder.display()
        )
    })?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|is| is == "json") && !path.ends_with("index.json") {
            files.push(path);
        }
    }
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path)?;
        if text.contains(MARK) {
            let document = serde_json::from_str(&text)
                .with_context(|| format!("{} is no discovery document", path.display()))?;
            methods(&document, &mut found).with_context(|| path.display().to_string())?;
        }
    }
    if found.is_empty() {
        bail!(
            "no document in {} has a method that cancels an operation",
            folder.display()
        );
    }
    Ok(found)
}

fn methods(document: &Document, found: &mut Vec<CancelMethod>) -> Result<()> {
    let mut open: Vec<&Resource> = document.resources.values().rev().collect();
    while let Some(resource) = open.pop() {
        open.extend(resource.resources.values().rev());
        for method in resource
            .methods
            .values()
            .filter(|method| cancels_operation(&method.id))
        {
            let get = resource.methods.get("get");
            found.push(cancel_method(document, method, get).with_context(|| method.id.clone())?);
        }
    }
    Ok(())
}

fn cancels_operation(id: &str) -> bool {
    let mut words = id.rsplit('.');
    let is_cancel = words.next() == Some("cancel");
    let collection = words.next().unwrap_or_default();
    is_cancel && (collection == "operations" || collection.ends_with("Operations"))
}

fn in_query(method: &Method) -> impl Iterator<Item = (&String, &Parameter)> + Clone {
    let parameters = method.parameters.iter();
    parameters.filter(|(_, parameter)| parameter.location == "query")
}

fn cancel_method(
    document: &Document,
    method: &Method,
    get: Option<&Method>,
) -> Result<CancelMethod> {
    let host = document
        .root_url
        .strip_prefix("https://")
        .and_then(|host| host.strip_suffix('/'))
        .with_context(|| format!("the root URL is {}", document.root_url))?;
    let query = in_query(method);
    let get = get.map(|get| -> Result<GetMethod> {
        Ok(GetMethod {
            verb: get.http_method.clone(),
            path: path(document, get)?,
            query: in_query(get).map(|(name, _)| name.clone()).collect(),
            scopes: get.scopes.clone(),
            answer: operation_form(document, get.response.as_ref()),
            lists_errors: lists_errors(document, get.response.as_ref()),
        })
    });
    Ok(CancelMethod {
        service: document.name.clone(),
        version: document.version.clone(),
        title: document.title.clone(),
        id: method.id.clone(),
        host: host.to_owned(),
        errors_have_status: document.parameters.contains_key(ERROR_FORM_PARAMETER),
        verb: method.http_method.clone(),
        path: path(document, method)?,
        needs_query: query.clone().any(|(_, parameter)| parameter.required),
        query: query.map(|(name, _)| name.clone()).collect(),
        request_fields: fields(document, method.request.as_ref()).unwrap_or_default(),
        answer_fields: fields(document, method.response.as_ref()),
        scopes: method.scopes.clone(),
        get: get.transpose()?,
    })
}

fn fields(document: &Document, of: Option<&Reference>) -> Option<Vec<String>> {
    let Some(name) = &of?.schema else {
        return Some(vec!["(a form without a name)".to_owned()]);
    };
    let schema = document.schemas.get(name);
    Some(schema.map_or_else(Vec::new, |schema| {
        schema.properties.keys().cloned().collect()
    }))
}

fn operation_form(document: &Document, of: Option<&Reference>) -> OperationForm {
    let name = of.and_then(|of| of.schema.as_ref());
    let schema = name.and_then(|name| document.schemas.get(name));
    let Some(schema) = schema else {
        return OperationForm::Other;
    };
    let has = |field: &&str| schema.properties.contains_key(*field);
    let status = schema.properties.get("status");
    if OPERATION_FIELDS.iter().all(has) {
        OperationForm::Longrunning
    } else if status.is_some_and(|status| status.values.iter().any(|value| value == "DONE")) {
        OperationForm::DoneStatus
    } else {
        OperationForm::Other
    }
}

fn lists_errors(document: &Document, of: Option<&Reference>) -> bool {
    let schema = |name: &Option<String>| document.schemas.get(name.as_ref()?);
    let operation = of.and_then(|of| schema(&of.schema));
    let error = operation.and_then(|operation| operation.properties.get("error"));
    let error = error.and_then(|error| schema(&error.schema));
    error.is_some_and(|error| error.properties.contains_key("errors"))
}

/// The whole path, with the wildcards of its parameters' patterns in their places.
fn path(document: &Document, method: &Method) -> Result<String> {
    let mut path = document.service_path.clone();
    let mut rest = method.path.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').context("a brace is not closed")?;
        let name = name.trim_start_matches('+');
        let parameter = method
            .parameters
            .get(name)
            .with_context(|| format!("no parameter {name}"))?;
        path.push_str(before);
        match &parameter.pattern {
            Some(pattern) => path.push_str(&name_glob::from_pattern(pattern)?),
            None => path.push('*'),
        }
        rest = after;
    }
    path.push_str(rest);
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_cancel_methods_are_told_apart() {
        for (id, cancels) in [
            ("dialogflow.projects.operations.cancel", true),
            ("storagetransfer.transferOperations.cancel", true),
            ("sql.operations.cancel", true),
            ("aiplatform.projects.locations.customJobs.cancel", false),
            ("run.projects.locations.jobs.executions.cancel", false),
            ("x.operations.cancelAll", false),
        ] {
            assert_eq!(cancels_operation(id), cancels, "{id}");
        }
    }
}
