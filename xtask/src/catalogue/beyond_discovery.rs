//! Methods that the package of discovery documents lacks, as `catalogue/beyond_discovery.tsv` has them: a row for each, with the
//! public file that shows its GET and its scopes.

use anyhow::{Context, Result, bail};

use super::discovery::OperationForm;

/// A method.
#[derive(Debug)]
pub(super) struct Method {
    pub service: String,
    pub version: String,
    pub host: String,
    /// The form of names.
    pub name: String,
    /// Why no row covers it.
    pub left_out: Option<String>,
    pub operation: OperationForm,
}

const COLUMNS: &str = "service\tversion\thost\tname\toperation\tleft_out\tsource";

/// Parses the file.
///
/// # Errors
/// If a line has another form, or no source with a commit.
pub(super) fn parse(text: &str) -> Result<Vec<Method>> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    if lines.next() != Some(COLUMNS) {
        bail!("the first line must be {COLUMNS:?}");
    }
    lines
        .map(|line| method(line).with_context(|| format!("line {line:?}")))
        .collect()
}

fn method(line: &str) -> Result<Method> {
    let cells: Vec<_> = line.split('\t').collect();
    let [service, version, host, name, operation, left_out, source] = cells[..] else {
        bail!("a method has seven cells");
    };
    if !has_commit(source) {
        bail!("the source must be REPOSITORY@COMMIT:FILE");
    }
    let operation = match operation {
        "longrunning" => OperationForm::Longrunning,
        "done-status" => OperationForm::DoneStatus,
        _ => bail!("the operation is longrunning or done-status"),
    };
    Ok(Method {
        service: service.to_owned(),
        version: version.to_owned(),
        host: host.to_owned(),
        name: name.to_owned(),
        left_out: (left_out != "-").then(|| left_out.to_owned()),
        operation,
    })
}

fn has_commit(source: &str) -> bool {
    let place = source
        .split_once('@')
        .and_then(|(_, rest)| rest.split_once(':'));
    place.is_some_and(|(commit, file)| {
        let is_hex = commit.bytes().all(|b| b.is_ascii_hexdigit());
        // A release of the Go module stands for its commit.
        (commit.len() == 40 && is_hex || commit.starts_with('v')) && !file.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_commit_is_refused() {
        let row = |source: &str| {
            format!(
                "{COLUMNS}\nspeech\tv2\tspeech.googleapis.com\tprojects/*/operations/*\tlongrunning\t-\t{source}\n"
            )
        };
        let commit = "f8291d2b89f0017ab078a4c7378069bae5686f6f";
        assert!(parse(&row(&format!("googleapis/googleapis@{commit}:a.yaml"))).is_ok());
        for source in [
            "",
            "googleapis/googleapis",
            "googleapis/googleapis@main:a.yaml",
            &format!("x@{commit}:"),
        ] {
            assert!(parse(&row(source)).is_err(), "{source}");
        }
    }
}
