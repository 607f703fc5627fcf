//! google-api-python-client judges the catalogue: for every method of its documents, its requests and those that our client really
//! sends are equal.

use std::process::Command;

use xtask::official_clients;

use crate::{
    requests::{REGIONAL, compare, methods},
    root,
};

/// The methods that no row covers; `docs/services.md` has the reasons.
const LEFT_OUT: [&str; 12] = [
    "androidmanagement v1 androidmanagement.enterprises.devices.operations.cancel",
    "checks v1alpha checks.accounts.apps.operations.cancel",
    "chromemanagement v1 chromemanagement.operations.cancel",
    "cloudchannel v1 cloudchannel.operations.cancel",
    "datalabeling v1beta1 datalabeling.projects.operations.cancel",
    "firebasehosting v1 firebasehosting.operations.cancel",
    "firebasehosting v1 firebasehosting.projects.sites.customDomains.operations.cancel",
    "firebaseml v1 firebaseml.operations.cancel",
    "remotebuildexecution v1 remotebuildexecution.operations.cancel",
    "runtimeconfig v1 runtimeconfig.operations.cancel",
    "texttospeech v1 texttospeech.operations.cancel",
    "vault v1 vault.operations.cancel",
];

#[tokio::test]
async fn every_request_is_the_one_that_google_s_discovery_client_builds() {
    let folder = root().join("tests");
    let python = official_clients::python(&folder.join("official_clients/python")).unwrap();
    let program = folder.join("catalogue/discovery_requests.py");
    let methods = methods(Command::new(python).arg("-B").arg(program));
    let compared = compare(&methods).await;
    assert_eq!((methods.len(), compared.covered), (466, 454));
    assert_eq!(compared.left_out, LEFT_OUT.map(str::to_owned).into());
    assert_eq!(compared.regional, REGIONAL.map(str::to_owned).into());
    assert_eq!(compared.with_empty_object, 0);
}
