//! The sample quota (`examples/limits/resource-quota.yaml`) is enforced by a real API server and Kubernetes' own quota controller.

use std::{fs, time::Instant};

use serde_json::{Value, json};

use crate::support::{
    cluster::{Namespace, json_of, kubectl_as_admin, root},
    world::{PATIENCE, operation},
};

/// What the quota counts.
const COUNTED: &str = "count/operationcancellations.opcancel.github.io";

/// So many objects the namespace may have in this test.
const ALLOWED: usize = 3;

#[test]
fn a_namespace_gets_no_more_objects_than_the_sample_quota_allows() {
    let namespace = Namespace::new("quota");
    let text = fs::read_to_string(root().join("examples/limits/resource-quota.yaml")).unwrap();
    let mut quota: Value = serde_saphyr::from_str(&text).unwrap();
    let hard = quota["spec"]["hard"].as_object_mut().unwrap();
    assert_eq!(hard.keys().collect::<Vec<_>>(), [COUNTED]);
    hard.insert(COUNTED.to_owned(), json!(ALLOWED.to_string()));
    let admin = |arguments: &[&str], input: &str| {
        let in_namespace = [&["--namespace", namespace.name.as_str()], arguments].concat();
        kubectl_as_admin(&in_namespace, input)
    };
    admin(&["create", "--filename=-"], &quota.to_string()).unwrap();
    // The quota controller finds custom resources by discovery, every 30 seconds.
    let used = "--for=jsonpath={.status.used}";
    let wait = ["wait", "resourcequota", "--all", used, "--timeout=120s"];
    admin(&wait, "").unwrap();

    for number in 0..ALLOWED {
        namespace
            .kubectl(&["create", "--filename=-"], &object(number))
            .unwrap();
    }
    let counted = |count: usize| {
        let count = format!(
            "--for=jsonpath={{.status.used.{}}}={count}",
            COUNTED.replace('.', "\\."),
        );
        let wait = ["wait", "resourcequota", "--all", &count, "--timeout=120s"];
        admin(&wait, "").unwrap();
    };
    counted(ALLOWED);
    let refused = refused(&namespace, || counted(ALLOWED));
    assert!(
        refused.contains(&format!(
            "exceeded quota: operationcancellations, requested: {COUNTED}=1, used: {COUNTED}={ALLOWED}, limited: {COUNTED}={ALLOWED}"
        )),
        "{refused}"
    );
    let quota = admin(
        &[
            "get",
            "resourcequota/operationcancellations",
            "--output=json",
        ],
        "",
    );
    let used = json_of(&quota.unwrap())["status"]["used"][COUNTED].clone();
    assert_eq!(used, ALLOWED.to_string());

    // Room comes back with a deletion, once the quota controller has counted anew.
    namespace
        .kubectl(&["delete", "operationcancellation/counted-0"], "")
        .unwrap();
    counted(ALLOWED - 1);
    let begun = Instant::now();
    while let Err(refused) = namespace.kubectl(&["create", "--filename=-"], &object(ALLOWED)) {
        assert!(begun.elapsed() < PATIENCE, "{refused}");
    }
}

/// Why one more object is refused. The API server learns of a new quota, and of its count, a moment after everybody else, and until
/// then it accepts more.
fn refused(namespace: &Namespace, counted: impl Fn()) -> String {
    let begun = Instant::now();
    loop {
        let one_more = object(ALLOWED);
        match namespace.kubectl(&["create", "--filename=-"], &one_more) {
            Err(refused) => return refused,
            Ok(_) => assert!(begun.elapsed() < PATIENCE, "never refused"),
        }
        let delete = ["delete", "--filename=-"];
        namespace.kubectl(&delete, &one_more).unwrap();
        counted();
    }
}

fn object(number: usize) -> String {
    let object = json!({
        "apiVersion": "opcancel.github.io/v1alpha1",
        "kind": "OperationCancellation",
        "metadata": {"name": format!("counted-{number}")},
        "spec": {"service": "dialogflow", "operationName": operation("counted")},
    });
    object.to_string()
}
