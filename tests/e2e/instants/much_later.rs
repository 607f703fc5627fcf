//! What no test can wait for: simulated time, real objects.

use std::{collections::BTreeMap, time::Duration};

use opcancel::{
    api::Reason,
    google::{
        answer::{CallError, ErrorKind, GetAnswer, Operation},
        token::TokenError,
    },
    lifecycle::{Grant, UnknownTarget},
};

use super::{
    Instants,
    Meaning::{Stuck, Working},
    SUSPEND,
};
use crate::support::{
    cluster::{Namespace, json_of},
    object::Object,
    simulated_life::SimulatedLife,
    world::manifest,
};

fn denied() -> CallError {
    CallError {
        kind: ErrorKind::PermissionDenied,
        http_status: Some(403),
        reason: None,
        domain: None,
        metadata: BTreeMap::new(),
        message: "Permission 'dialogflow.operations.cancel' denied".into(),
        not_sent: false,
        retry_after: None,
    }
}

type Get = fn() -> GetAnswer;

/// The steps of a ServiceAccount's identity.
const TOKEN_STEPS: [(&str, Get); 4] = [
    ("ServiceAccountNotReady", || {
        no_token(Reason::ServiceAccountNotReady)
    }),
    ("TokenRequestFailed", || {
        no_token(Reason::TokenRequestFailed)
    }),
    ("TokenExchangeFailed", || {
        no_token(Reason::TokenExchangeFailed)
    }),
    ("ImpersonationFailed", || {
        no_token(Reason::ImpersonationFailed)
    }),
];

fn no_token(step: Reason) -> GetAnswer {
    let why = "the ServiceAccount team/deployer cannot be used";
    Err(TokenError::because(step, why).into())
}

/// Not observed yet; denied for four minutes; with a spec that only a newer release knows.
pub(super) fn much_later(instants: &mut Instants) {
    let namespace = Namespace::new("instants-simulated");
    let manifests = ["unseen", "denied", "new-service"].map(|name| manifest(name, &[]));
    namespace
        .kubectl(&["apply", "--filename=-"], &manifests.concat())
        .unwrap();
    let object = |name: &str| {
        let read = namespace.kubectl(&["get", "opcancel", name, "--output=json"], "");
        Object(json_of(&read.unwrap()))
    };
    let life = SimulatedLife {
        grant: Grant::Granted,
        get: || Ok(Operation::default()),
        cancel: || Err(denied()),
        read_as: |_| (),
    };
    life.run(&namespace, "denied", Duration::from_secs(238));
    instants.add(
        "no permission, just under four minutes",
        object("denied"),
        "PermissionDenied",
        Working,
        &[],
    );
    life.run(&namespace, "denied", Duration::from_secs(245));
    instants.add(
        "no permission, after four minutes",
        object("denied"),
        "PermissionDenied",
        Stuck,
        &[],
    );
    let life = SimulatedLife {
        read_as: |view| {
            view.spec.as_mut().unwrap().target = Err(UnknownTarget {
                reason: Reason::UnknownService,
                message: "services that this controller knows: dialogflow".into(),
            });
        },
        ..life
    };
    life.run(&namespace, "new-service", Duration::from_secs(1));
    instants.add(
        "a service that is not known",
        object("new-service"),
        "UnknownService",
        Stuck,
        SUSPEND,
    );
    let life = SimulatedLife {
        read_as: |_| (),
        ..life
    };
    for (step, get) in TOKEN_STEPS {
        let name = step.to_lowercase();
        namespace
            .kubectl(&["apply", "--filename=-"], &manifest(&name, &[]))
            .unwrap();
        let life = SimulatedLife { get, ..life };
        life.run(&namespace, &name, Duration::from_secs(230));
        instants.add(
            "a step of a ServiceAccount's identity fails",
            object(&name),
            step,
            Working,
            SUSPEND,
        );
        life.run(&namespace, &name, Duration::from_secs(250));
        instants.add(
            "a step of a ServiceAccount's identity fails, after four minutes",
            object(&name),
            step,
            Stuck,
            SUSPEND,
        );
    }
    // No controller has seen this one: no status was ever written.
    let unseen = object("unseen");
    assert_eq!(unseen.text("/status/observedGeneration"), "-1");
    instants.add("not yet seen", unseen, "-", Working, SUSPEND);
}
