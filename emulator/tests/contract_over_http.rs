//! The contract of google.longrunning.Operations as clients see it over HTTP: whatever admins and clients do in whatever order, no
//! answer contradicts what was answered before. The states are played without time: what is to come later comes in an hour.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::collections::BTreeMap;

use operations_emulator::{Emulator, Scenario};
use proptest::prelude::*;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const PARENT: &str = "projects/p/locations/l";
const SOMEBODY: &str = "somebody@p.example";

/// What somebody does; the numbers name operations.
#[derive(Clone, Debug)]
enum Step {
    Set(usize, Value),
    Remove(usize),
    Finish(usize, Value),
    Vanish(usize),
    /// What a principal other than the one that looks may call; none: everybody everything.
    Permit(Option<Vec<&'static str>>),
    /// That principal asks.
    Get(usize),
    Cancel(usize),
    List,
}

const OPERATIONS: usize = 3;

fn result() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"completed": {}})),
        Just(json!({"failed": {"code": "INTERNAL", "message": "boom"}})),
        Just(json!("cancelledElsewhere")),
        Just(json!("noResult")),
        Just(json!("emptyError")),
    ]
}

fn time() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("0s"), 1 => Just("1h")]
}

fn script() -> impl Strategy<Value = Value> {
    let effect = prop_oneof![
        3 => Just(json!("cancels")),
        1 => Just(json!("ignored")),
        1 => Just(json!("notCancellable")),
        1 => result().prop_map(|result| json!({"ends": result})),
    ];
    let answer = || prop_oneof![Just("ok"), Just("failedPrecondition")];
    let cancel = (effect, time(), answer(), answer()).prop_map(|(effect, after, repeated, done)| {
        json!({"effect": effect, "after": after, "repeated": repeated, "whenDone": done})
    });
    let vanishes = prop_oneof![
        6 => Just(Value::Null),
        1 => Just(json!({"afterCancel": "0s"})),
        1 => Just(json!({"afterEnd": "0s"})),
        1 => Just(json!({"after": "1h"})),
    ];
    let ends = prop_oneof![
        3 => Just(Value::Null),
        1 => (time(), result()).prop_map(|(after, result)| json!({"after": after, "result": result})),
    ];
    let appears = prop_oneof![6 => Just(Value::Null), 1 => Just(json!("1h"))];
    (cancel, vanishes, ends, appears).prop_map(|(cancel, vanishes, ends, appears)| {
        json!({"cancel": cancel, "vanishes": vanishes, "ends": ends, "appearsAfter": appears, "metadata": {}})
    })
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0..OPERATIONS;
    let calls = proptest::sample::subsequence(vec!["get", "list", "cancel"], 1..=3);
    prop_oneof![
        4 => (which(), script()).prop_map(|(of, script)| Step::Set(of, script)),
        1 => which().prop_map(Step::Remove),
        2 => (which(), result()).prop_map(|(of, result)| Step::Finish(of, result)),
        1 => which().prop_map(Step::Vanish),
        2 => proptest::option::of(calls).prop_map(Step::Permit),
        2 => which().prop_map(Step::Get),
        6 => which().prop_map(Step::Cancel),
        1 => Just(Step::List),
    ]
}

/// What was seen of one operation since an admin set it.
#[derive(Default)]
struct Seen {
    last: Option<Value>,
    gone: bool,
    may_be_cancelled: bool,
}

struct World {
    emulator: Emulator,
    client: Client,
}

impl World {
    async fn admin(&self, method: Method, path: &str, body: &Value) -> u16 {
        let url = format!("{}/admin/{path}", self.emulator.admin_url());
        let body = body.to_string();
        self.client
            .request(method, url)
            .body(body)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    }

    async fn call(&self, method: Method, token: &str, path: &str) -> (u16, Value) {
        let url = format!("{}/v2/{path}", self.emulator.url());
        let request = self.client.request(method, url).bearer_auth(token);
        support::json(request.header("content-length", "0").send().await.unwrap()).await
    }

    /// All operations, as one who may do everything sees them, judged by what was seen before.
    async fn look(&self, seen: &mut [Seen]) -> Result<Vec<Option<Value>>, TestCaseError> {
        let mut found = BTreeMap::new();
        let mut all = Vec::new();
        for (number, seen) in seen.iter_mut().enumerate() {
            let name = name(number);
            let (status, json) = self.call(Method::GET, "all", &name).await;
            if status == 404 {
                prop_assert_eq!(&json["error"]["status"], "NOT_FOUND");
                seen.gone |= seen.last.is_some();
                all.push(None);
                continue;
            }
            prop_assert_eq!(status, 200, "{}", json);
            judge(&name, &json, seen)?;
            seen.last = Some(json.clone());
            found.insert(name, json.clone());
            all.push(Some(json));
        }
        for (filter, wanted) in [
            ("", None),
            ("?filter=done%3Dtrue", Some(true)),
            ("?filter=done%3Dfalse", Some(false)),
        ] {
            let (status, list) = self
                .call(Method::GET, "all", &format!("{PARENT}/operations{filter}"))
                .await;
            prop_assert_eq!(status, 200);
            let fits = |json: &&Value| wanted.is_none_or(|done| (json["done"] == true) == done);
            let expected: Vec<&Value> = found.values().filter(fits).collect();
            let listed: Vec<&Value> = list["operations"]
                .as_array()
                .into_iter()
                .flatten()
                .collect();
            prop_assert_eq!(listed, expected, "a list and the GETs differ: {}", filter);
        }
        Ok(all)
    }
}

fn name(number: usize) -> String {
    format!("{PARENT}/operations/o{number}")
}

fn judge(name: &str, json: &Value, seen: &Seen) -> Result<(), TestCaseError> {
    prop_assert!(!seen.gone, "what was gone came back: {}", json);
    prop_assert_eq!(&json["name"], name);
    let done = json["done"] == true;
    let results = [json.get("response"), json.get("error")];
    prop_assert!(
        results.iter().flatten().count() <= usize::from(done),
        "{}",
        json
    );
    if json["error"]["code"] == 1 {
        prop_assert!(seen.may_be_cancelled, "nobody cancelled it: {}", json);
    }
    if let Some(before) = seen.last.as_ref().filter(|before| before["done"] == true) {
        prop_assert_eq!(before, json, "what was done has changed");
    }
    Ok(())
}

async fn play(world: &World, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut seen: Vec<Seen> = (0..OPERATIONS).map(|_| Seen::default()).collect();
    for number in 0..OPERATIONS {
        world
            .admin(
                Method::DELETE,
                &format!("operations?name={}", name(number)),
                &Value::Null,
            )
            .await;
    }
    world.admin(Method::PUT, "permissions", &Value::Null).await;
    let mut permitted: Option<Vec<&str>> = None;
    let mut shown = world.look(&mut seen).await?;
    for step in steps {
        let allowed = |call: &str| permitted.as_ref().is_none_or(|calls| calls.contains(&call));
        match &step {
            Step::Set(of, script) => {
                let body = json!({"name": name(*of), "script": script});
                prop_assert_eq!(world.admin(Method::PUT, "operations", &body).await, 200);
                let elsewhere = &json!("cancelledElsewhere");
                let itself = &script["ends"]["result"] == elsewhere;
                seen[*of] = Seen {
                    may_be_cancelled: itself,
                    ..Seen::default()
                };
            }
            Step::Remove(of) => {
                let path = format!("operations?name={}", name(*of));
                world.admin(Method::DELETE, &path, &Value::Null).await;
            }
            Step::Finish(of, result) => {
                let body = json!({"name": name(*of), "result": result});
                let status = world.admin(Method::POST, "operations/finish", &body).await;
                let runs = shown[*of].as_ref().is_some_and(|json| json["done"] != true);
                prop_assert_eq!(status == 200, runs, "{:?} {}", &shown[*of], status);
                seen[*of].may_be_cancelled |= runs && *result == "cancelledElsewhere";
            }
            Step::Vanish(of) => {
                let status = world
                    .admin(
                        Method::POST,
                        "operations/vanish",
                        &json!({"name": name(*of)}),
                    )
                    .await;
                prop_assert_eq!(status == 200, shown[*of].is_some());
                seen[*of].gone = true;
            }
            Step::Permit(calls) => {
                let own = json!({"principal": "all@p.example", "calls": ["get", "list", "cancel"]});
                let body = calls.as_ref().map_or(
                    Value::Null,
                    |calls| json!([own, {"principal": SOMEBODY, "calls": calls}]),
                );
                prop_assert_eq!(world.admin(Method::PUT, "permissions", &body).await, 200);
                permitted.clone_from(calls);
            }
            Step::Get(of) => {
                let (status, json) = world.call(Method::GET, "some", &name(*of)).await;
                match &shown[*of] {
                    _ if !allowed("get") => prop_assert_eq!(status, 403, "403 before 404"),
                    None => prop_assert_eq!(status, 404),
                    Some(before) => prop_assert_eq!(&json, before),
                }
            }
            Step::Cancel(of) => {
                let (status, json) = world
                    .call(Method::POST, "some", &format!("{}:cancel", name(*of)))
                    .await;
                match &shown[*of] {
                    _ if !allowed("cancel") => prop_assert_eq!(status, 403, "403 before 404"),
                    None => prop_assert_eq!(status, 404),
                    Some(before) if status == 200 => {
                        prop_assert_eq!(json, json!({}));
                        seen[*of].may_be_cancelled |= before["done"] != true;
                    }
                    Some(_) => prop_assert_eq!(&json["error"]["status"], "FAILED_PRECONDITION"),
                }
            }
            Step::List => {
                let (status, _) = world
                    .call(Method::GET, "some", &format!("{PARENT}/operations"))
                    .await;
                prop_assert_eq!(status, if allowed("list") { 200 } else { 403 });
            }
        }
        shown = world.look(&mut seen).await?;
    }
    Ok(())
}

#[test]
fn no_sequence_of_calls_contradicts_the_contract() {
    let runtime = Runtime::new().unwrap();
    let world = runtime.block_on(async {
        let tokens = r#"tokens: [{token: all, principal: all@p.example}, {token: some, principal: somebody@p.example}]"#;
        let emulator = Emulator::start(Scenario::parse(tokens).unwrap()).await.unwrap();
        World { emulator, client: support::client() }
    });
    let config = ProptestConfig {
        cases: 120,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in proptest::collection::vec(step(), 1..16))| {
        runtime.block_on(play(&world, steps))?;
    });
}

#[test]
fn the_judge_sees_what_is_forbidden() {
    let running = json!({"name": "n"});
    let cancelled = json!({"name": "n", "done": true, "error": {"code": 1}});
    let fine = |json: &Value, seen: Seen| judge("n", json, &seen).is_ok();
    assert!(fine(&running, Seen::default()));
    assert!(!fine(&cancelled, Seen::default()), "nobody cancelled it");
    assert!(fine(
        &cancelled,
        Seen {
            may_be_cancelled: true,
            ..Seen::default()
        }
    ));
    assert!(
        !fine(
            &running,
            Seen {
                gone: true,
                ..Seen::default()
            }
        ),
        "it comes back"
    );
    assert!(
        !fine(
            &running,
            Seen {
                last: Some(cancelled),
                ..Seen::default()
            }
        ),
        "done goes back"
    );
    assert!(
        !fine(&json!({"name": "n", "response": {}}), Seen::default()),
        "a result, not done"
    );
    assert!(
        !fine(&json!({"name": "m"}), Seen::default()),
        "another name"
    );
}
