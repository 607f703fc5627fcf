//! A tenant that makes as much trouble as it can: its namespace makes no more calls than `--namespace-calls-per-minute` allows, and
//! another namespace is served as ever (I12).

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use opcancel::google::catalogue;
use operations_emulator::{
    Call::{self, Cancel, Get},
    Scenario, Script,
};
use serde_json::{Value, json};

use crate::support::{
    cluster::{Namespace, client_config, cluster, runtime},
    object::Object,
    world::{PATIENCE, PROJECT, World, manifest, operation},
};

/// The limit of these tests: so many calls at once, and one more in each second.
const LIMIT: usize = 60;

/// How many objects or edits there are: many more calls than the limit, unless it holds.
const MANY: usize = 300;

/// One way to make trouble.
struct Manner {
    what: &'static str,
    /// Makes it, as the administrator: so does a status by hand.
    make: fn(&Trouble),
}

const MANNERS: [Manner; 5] = [
    Manner {
        what: "objects-in-a-loop",
        make: |trouble| {
            trouble.at_once(|api, n| async move {
                // A few names, each again and again.
                let name = format!("again-{}", n % 4);
                create(&api, &object(&name, "dialogflow", &operation("never"))).await;
                let gone = api.delete(&name, &DeleteParams::default()).await;
                gone.map(drop).unwrap_or_default();
            });
        },
    },
    Manner {
        what: "random-ids",
        make: |trouble| {
            trouble.at_once(|api, n| async move {
                let name = format!("random-{n}");
                create(&api, &object(&name, "dialogflow", &operation(&name))).await;
            });
        },
    },
    Manner {
        what: "random-locations",
        make: |trouble| {
            trouble.at_once(|api, n| async move {
                let name = format!("location-{n}");
                let operation = format!("projects/{PROJECT}/locations/invented{n}/operations/o");
                create(&api, &object(&name, "dialogflow", &operation)).await;
            });
        },
    },
    Manner {
        what: "random-services",
        make: |trouble| {
            trouble.at_once(|api, n| async move {
                let services = services();
                let service = services[n % services.len()];
                let name = format!("service-{n}");
                create(&api, &object(&name, service, &operation(&name))).await;
            });
        },
    },
    Manner {
        what: "status-by-hand",
        make: |trouble| {
            for n in 0..10 {
                let name = format!("by-hand-{n}");
                let object = object(&name, "dialogflow", &operation("never"));
                runtime().block_on(create(&trouble.api, &object));
            }
            trouble.at_once(|api, n| async move {
                let erased =
                    json!({"conditions": null, "cancelRequestTime": null, "startTime": null});
                let name = format!("by-hand-{}", n % 10);
                let patch = Patch::Merge(json!({"status": erased}));
                let parameters = PatchParams::default();
                let written = api.patch_status(&name, &parameters, &patch).await;
                written.unwrap();
            });
        },
    },
];

/// A tenant's namespace, and another one beside it, with one controller for both.
struct Trouble {
    world: World,
    neighbour: Namespace,
    api: Api<DynamicObject>,
}

/// Services whose operations are named as Dialogflow's are.
fn services() -> Vec<&'static str> {
    let name = operation("o");
    let overrides = Default::default();
    catalogue::service_names()
        .filter(|service| catalogue::read(service, None, &name, &overrides).is_ok())
        .collect()
}

fn object(name: &str, service: &str, operation: &str) -> Value {
    json!({
        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
        "metadata": {"name": name},
        "spec": {"service": service, "operationName": operation},
    })
}

async fn create(api: &Api<DynamicObject>, object: &Value) {
    let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    // One of the same name may be there still.
    match api.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        created => drop(created.unwrap()),
    }
}

async fn api(namespace: &str) -> Api<DynamicObject> {
    let config = client_config(&cluster().control_plane.kubeconfig()).await;
    let kind = GroupVersionKind::gvk("opcancel.github.io", "v1alpha1", "OperationCancellation");
    let resource = ApiResource::from_gvk(&kind);
    Api::namespaced_with(Client::try_from(config).unwrap(), namespace, &resource)
}

impl Trouble {
    fn new(what: &str, flags: &[&str]) -> Self {
        let neighbour = Namespace::new(&format!("beside-{what}"));
        let scenario =
            ["never", "quiet", "urgent"]
                .into_iter()
                .fold(Scenario::default(), |scenario, id| {
                    let script = match id {
                        "never" => Script::ignores_cancel(),
                        _ => Script::default(),
                    };
                    scenario.with_operation(operation(id), script)
                });
        let watch = format!("--watch-namespace={}", neighbour.name);
        let flags = [&[watch.as_str(), "--not-found-after=1h"], flags].concat();
        let mut world = World::stopped(what, scenario, &flags, &[]);
        let all = services();
        assert!(all.len() > 50, "{}", all.len());
        world.override_endpoints(&all);
        // A grant has at most 100 services.
        for (number, services) in all.chunks(100).enumerate() {
            world.grant_spec(
                &format!("{}-{number}", world.namespace.name),
                &json!({
                    "namespaces": [world.namespace.name, neighbour.name], "projects": [PROJECT],
                    "services": services, "identities": ["Operator"],
                }),
            );
        }
        world.start();
        let api = runtime().block_on(api(&world.namespace.name));
        Self {
            world,
            neighbour,
            api,
        }
    }

    /// Does something many times, some of them at once.
    fn at_once<F: Future<Output = ()>>(&self, one: impl Fn(Api<DynamicObject>, usize) -> F) {
        let all = stream::iter(0..MANY).map(|n| one(self.api.clone(), n));
        runtime().block_on(all.buffer_unordered(8).collect::<Vec<_>>());
    }

    /// The calls for the tenant's namespace.
    fn calls(&self) -> usize {
        let requests = self.world.emulator.requests();
        let quiet = operation("quiet");
        requests
            .iter()
            .filter(|request| {
                request.call.is_some() && request.operation.as_deref() != Some(&quiet)
            })
            .count()
    }

    fn limited_namespaces(&mut self, expected: f64) {
        let limited = "opcancel_rate_limited_namespaces";
        self.world
            .controller()
            .wait_for_metrics(|served| served.value(limited) == expected);
    }
}

#[test]
fn no_manner_costs_more_calls_than_the_limit_or_delays_another_namespace() {
    std::thread::scope(|scope| {
        for manner in &MANNERS {
            scope.spawn(|| keeps_to_the_limit(manner));
        }
    });
}

fn keeps_to_the_limit(manner: &Manner) {
    let flag = format!("--namespace-calls-per-minute={LIMIT}");
    let mut trouble = Trouble::new(manner.what, &[&flag]);
    let begun = Instant::now();
    (manner.make)(&trouble);
    // These wait, whatever was made before.
    trouble.at_once(|api, n| async move {
        let name = format!("waits-{n}");
        create(&api, &object(&name, "dialogflow", &operation("never"))).await;
    });
    trouble.limited_namespaces(1.0);

    // Another namespace does not wait.
    let quiet = manifest("quiet", &[]);
    let apply = ["apply", "--filename=-"];
    trouble.neighbour.kubectl(&apply, &quiet).unwrap();
    let finished = [
        "wait",
        "opcancel",
        "quiet",
        "--for=condition=Finished",
        "--timeout=60s",
    ];
    trouble.neighbour.kubectl(&finished, "").unwrap();
    assert_eq!(trouble.world.calls("quiet")[..2], [Get, Cancel]);
    trouble.limited_namespaces(1.0);

    let calls = trouble.calls();
    // The time is taken last, so a slow machine allows more and never less.
    let most = LIMIT as f64 + begun.elapsed().as_secs_f64() * LIMIT as f64 / 60.0 + 1.0;
    println!("{}: {calls} calls of at most {most}", manner.what);
    assert!(calls as f64 <= most, "{}: {calls} of {most}", manner.what);
    // A cancel request counts with its intent, also if its object is deleted before it is sent.
    assert!(calls >= LIMIT / 2, "{}: {calls}", manner.what);
}

/// Each edit of a suspended object may ask for a GET. Without a limit for the namespace, the object's own pace is left.
#[test]
fn edits_in_a_loop_cost_two_gets_a_second() {
    let suspend: fn(usize) -> Value = |n| json!({"suspend": n.is_multiple_of(2)});
    let deadline: fn(usize) -> Value = |n| json!({"deadlineSeconds": 1000 + n});
    for (what, edit) in [("suspend", suspend), ("deadline", deadline)] {
        let prefix = format!("edits-{what}");
        let trouble = Trouble::new(&prefix, &["--namespace-calls-per-minute=off"]);
        let begun = Instant::now();
        trouble.world.cancel("never", &["suspend: true"]);
        trouble.world.wait_for_calls("never", Get, 1);
        runtime().block_on(async {
            for n in 0..2 * MANY {
                let patch = Patch::Merge(json!({"spec": edit(n)}));
                let parameters = PatchParams::default();
                let patched = trouble.api.patch("never", &parameters, &patch).await;
                patched.unwrap();
            }
        });
        let gets = trouble.world.emulator.count(&operation("never"), Get);
        let most = 5.0 + begun.elapsed().as_secs_f64() / 0.5 + 1.0;
        println!("{what}: {gets} GETs of at most {most}");
        assert!(gets as f64 <= most, "{what}: {gets} of {most}");
        assert!(trouble.world.posts("never") <= 1);
    }
}

/// Polls use up what they may, and a new cancel request of the same namespace goes out all the same.
#[test]
fn a_namespace_whose_polls_wait_cancels_at_once() {
    let mut trouble = Trouble::new("polls-a-lot", &["--namespace-calls-per-minute=100"]);
    trouble.at_once(|api, n| async move {
        if n < 20 {
            let name = format!("polled-{n}");
            create(&api, &object(&name, "dialogflow", &operation("never"))).await;
        }
    });
    trouble.limited_namespaces(1.0);
    trouble.world.cancel("urgent", &[]);
    trouble.world.wait_for_calls("urgent", Cancel, 1);
    let urgent: Vec<Call> = trouble.world.calls("urgent");
    assert_eq!(urgent[..2], [Get, Cancel]);
    // The others wait still.
    trouble.limited_namespaces(1.0);
    // It never had to say that it waits.
    let written = trouble.world.status_writes("urgent");
    assert!(
        !format!("{written:?}").contains("NamespaceRateLimited"),
        "{written:?}"
    );
}

/// What a person sees, and what an operator of the controller sees.
#[test]
fn what_waits_says_so_and_goes_on() {
    let trouble = Trouble::new("says-so", &["--namespace-calls-per-minute=10"]);
    trouble.at_once(|api, n| async move {
        if n < 20 {
            let name = format!("waits-{n}");
            create(&api, &object(&name, "dialogflow", &operation("never"))).await;
        }
    });
    let reason = "jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}=NamespaceRateLimited";
    trouble.world.cancel("urgent", &[]);
    trouble.world.wait(&["urgent"], reason);
    let waiting: Object = trouble.world.object("urgent");
    assert!(
        waiting
            .message("Ready")
            .contains("--namespace-calls-per-minute"),
        "{}",
        waiting.message("Ready")
    );
    let describe = ["describe", "opcancel", "urgent"];
    let described = trouble.world.namespace.kubectl(&describe, "").unwrap();
    assert!(described.contains("NamespaceRateLimited"), "{described}");
    let controller = trouble.world.controller.as_ref().unwrap();
    let named = format!("{}: ", trouble.world.namespace.name);
    controller.wait_for_log(|log| {
        log.contains("--namespace-calls-per-minute is reached") && log.contains(&named)
    });
    // Fewer objects: its turn comes.
    let names: Vec<_> = (0..20).map(|n| format!("waits-{n}")).collect();
    let names = names.iter().map(String::as_str);
    let delete: Vec<_> = ["delete", "opcancel"].into_iter().chain(names).collect();
    trouble.world.namespace.kubectl(&delete, "").unwrap();
    trouble.world.wait_within(
        PATIENCE + Duration::from_secs(20),
        &["urgent"],
        "jsonpath={.status.outcome}=Cancelled",
    );
}
