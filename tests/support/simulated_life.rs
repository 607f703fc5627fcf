//! The life of a real object in simulated time: the pure life cycle decides, every write goes through the real API server, and
//! no controller runs. For instants that come only after minutes, or that no controller of this release can come to.

use std::time::Duration;

use jiff::SignedDuration;
use opcancel::{
    controller::{object_view, raw_object::RawObject},
    google::{
        answer::{CancelAnswer, GetAnswer},
        endpoint::EndpointOverrides,
    },
    lifecycle::{
        Cancellation, Context, Effect, Event, Grant, MayCall, Now, ObjectView, Others, Settings,
        WriteAnswer, step,
    },
};
use serde_json::Value;

use super::cluster::{Namespace, json_of, kubectl_as_admin};

/// What the world answers, and what this controller makes of the spec.
pub struct SimulatedLife {
    /// Whether a grant allows it.
    pub grant: Grant,
    /// The answer to each GET.
    pub get: fn() -> GetAnswer,
    /// The answer to each POST.
    pub cancel: fn() -> CancelAnswer,
    /// Changes what was read of the object, as another release would have read it.
    pub read_as: fn(&mut ObjectView),
}

impl SimulatedLife {
    /// Lives the object's life for so long after its creation.
    pub fn run(&self, namespace: &Namespace, name: &str, until: Duration) {
        let read = || {
            let arguments = ["get", "opcancel", name, "--output=json"];
            self.view(&json_of(&namespace.kubectl(&arguments, "").unwrap()))
        };
        let object = read();
        let settings = Settings::default();
        let mut clock = Duration::ZERO;
        let now = |clock: Duration| Now {
            wall: object.created + SignedDuration::try_from(clock).unwrap(),
            mono: clock,
        };
        let mut state = Cancellation::new(object.clone(), now(clock));
        let mut events = vec![Event::Watched(Box::new(object.clone()))];
        loop {
            let mut wake_at = None;
            while !events.is_empty() {
                let context = Context {
                    now: now(clock),
                    jitter: 0.5,
                    settings: &settings,
                    holder: "0123456789abcdef",
                    others: Others::MayWork,
                    grant: self.grant,
                    principal: None,
                    quota: Default::default(),
                    may_call: MayCall::ALL,
                    stopping: false,
                    may_write: true,
                };
                let plan = step(&mut state, events.remove(0), &context);
                wake_at = plan.wake_at;
                for effect in plan.effects {
                    events.extend(match effect {
                        Effect::Get { .. } => Some(Event::GetAnswered((self.get)())),
                        Effect::Cancel { .. } => Some(Event::CancelAnswered((self.cancel)())),
                        Effect::Write(write) => {
                            let stored = patch_status(namespace, name, &write.patch.value());
                            let view = Box::new(self.view(&stored));
                            Some(Event::WriteAnswered(WriteAnswer::Written(view)))
                        }
                        // There is no other writer.
                        Effect::QueueWrite(_) => Some(Event::WriteTurn),
                        Effect::Reread => Some(Event::Reread(Some(Box::new(read())))),
                        Effect::DropToken
                        | Effect::ReservePoll
                        | Effect::Publish(_)
                        | Effect::Forget => None,
                    });
                }
            }
            match wake_at {
                Some(at) if at <= until => clock = at,
                _ => return,
            }
            events.push(Event::Woken);
        }
    }

    fn view(&self, object: &Value) -> ObjectView {
        let object: RawObject = serde_json::from_value(object.clone()).unwrap();
        let mut view = object_view::read(object, &EndpointOverrides::default()).unwrap();
        (self.read_as)(&mut view);
        view
    }
}

/// Merges a patch through `/status`, as an administrator; the object as it is stored then.
fn patch_status(namespace: &Namespace, name: &str, patch: &Value) -> Value {
    let stored = kubectl_as_admin(
        &[
            "patch",
            "opcancel",
            name,
            "--namespace",
            &namespace.name,
            "--subresource=status",
            "--type=merge",
            "--output=json",
            "--patch",
            &patch.to_string(),
        ],
        "",
    );
    json_of(&stored.unwrap())
}
