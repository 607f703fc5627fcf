//! The Go module google.golang.org/api judges the catalogue too. Another generator of Google's made it of other documents.

use std::{collections::BTreeSet, process::Command};

use xtask::go_tool;

use crate::{
    requests::{REGIONAL, compare, methods, rows},
    root,
};

/// The rows of the catalogue that the module does not have.
const NOT_IN_GO: &str = include_str!("rows_not_in_go.txt");

/// The methods of the module that no row covers; `docs/services.md` has the reasons.
const LEFT_OUT: [&str; 17] = [
    "androidmanagement v1 androidmanagement.enterprises.devices.operations.cancel",
    "apigateway v1alpha2 apigateway.projects.locations.operations.cancel",
    "checks v1alpha checks.accounts.apps.operations.cancel",
    "chromemanagement v1 chromemanagement.operations.cancel",
    "cloudchannel v1 cloudchannel.operations.cancel",
    "cloudprivatecatalogproducer v1beta1 cloudprivatecatalogproducer.operations.cancel",
    "datalabeling v1beta1 datalabeling.projects.operations.cancel",
    "dialogflow v3alpha1 dialogflow.projects.locations.operations.cancel",
    "dialogflow v3alpha1 dialogflow.projects.operations.cancel",
    "firebasehosting v1 firebasehosting.operations.cancel",
    "firebasehosting v1 firebasehosting.projects.sites.customDomains.operations.cancel",
    "firebaseml v1 firebaseml.operations.cancel",
    "remotebuildexecution v1 remotebuildexecution.operations.cancel",
    "runtimeconfig v1 runtimeconfig.operations.cancel",
    "securitycenter v1p1alpha1 securitycenter.organizations.operations.cancel",
    "texttospeech v1 texttospeech.operations.cancel",
    "vault v1 vault.operations.cancel",
];

#[tokio::test]
async fn every_request_is_the_one_that_google_s_go_clients_build() {
    let program = go_tool::of_folder(&root().join("tests/catalogue/go_requests")).unwrap();
    let methods = methods(&mut Command::new(program));
    let compared = compare(&methods).await;
    let not_in_go: BTreeSet<_> = rows().filter(|row| !compared.rows.contains(row)).collect();
    assert_eq!((methods.len(), compared.covered), (392, 375));
    let listed = NOT_IN_GO.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(not_in_go, listed.map(str::to_owned).collect());
    assert_eq!(compared.left_out, LEFT_OUT.map(str::to_owned).into());
    assert_eq!(compared.regional, REGIONAL.map(str::to_owned).into());
    // Where the method has a message for the request, the module sends it, and we send nothing: both mean an empty message.
    assert_eq!(compared.with_empty_object, 167);
}
