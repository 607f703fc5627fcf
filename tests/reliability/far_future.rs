//! Stored times at the edges of what the API server accepts, such as the year 9999. A status editor or a newer release may write them.

use operations_emulator::Script;
use serde_json::json;

use crate::support::{
    cluster::kubectl_as_admin,
    world::{World, scenario},
};

const EDGES: [(&str, &str); 5] = [
    ("last-second", "9999-12-31T23:59:59Z"),
    ("last-nanosecond", "9999-12-31T23:59:59.999999999Z"),
    ("first-second", "0001-01-01T00:00:00Z"),
    ("with-offset", "9999-12-31T23:59:59-23:59"),
    ("before-christ", "0000-01-01T00:00:00Z"),
];

#[test]
fn times_at_the_edges_count_as_absent_and_the_object_ends() {
    let names = EDGES.map(|(name, _)| name);
    let scenario = scenario(names.map(|id| (id, Script::default())));
    let mut world = World::stopped("far-future", scenario, &[], &[]);
    world.grant();
    world.cancel_all(names);
    for (name, time) in EDGES {
        let condition = |type_: &str, reason: &str| json!({"type": type_, "status": "Unknown", "reason": reason, "message": "m", "lastTransitionTime": time});
        let status = json!({
            "startTime": time, "cancelRequestTime": time,
            "lastError": {"call": "Get", "status": "UNAVAILABLE", "message": "m", "since": time},
            "conditions": [condition("Ready", "Unavailable"), condition("CancelRequested", "Observing")],
        });
        let patch = json!({"status": status}).to_string();
        let arguments = [
            "patch",
            "opcancel",
            name,
            "--namespace",
            &world.namespace.name,
            "--subresource=status",
            "--type=merge",
            "--patch",
            &patch,
        ];
        kubectl_as_admin(&arguments, "").unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    world.start();
    let objects = world.all_finished();
    for name in names {
        let object = &objects[name];
        assert_eq!(object.outcome(), "Cancelled", "{name}");
        assert_eq!(world.posts(name), 1, "{name}");
        let created = object.text("/metadata/creationTimestamp");
        for field in ["startTime", "cancelRequestTime", "completionTime"] {
            let time = object.text(&format!("/status/{field}"));
            assert!(
                created <= time && time.as_str() < "9",
                "{name}: {field}: {time}"
            );
        }
    }
}
