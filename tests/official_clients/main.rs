//! Google's official clients against the emulator: whether they can tell it from Google, and what they send that the
//! controller does not. `docs/what-is-sent.md` says what was found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod answers;
mod cases;
mod client;
mod identity;
mod ours;
mod request_fields;
mod sent;
#[path = "../support/service_kinds.rs"]
mod service_kinds;
mod services;
mod tenant_identity;
mod tunnel;

use std::collections::BTreeSet;

use answers::{complaints, effort};
use cases::cases;
use client::Client;
use operations_emulator::Call;

/// Nothing in an answer of the emulator is treated in another way than the library treats Google's.
fn judge(client: Client) {
    let run = client.run();
    let complaints = complaints(client, run);
    assert!(
        complaints.is_empty(),
        "{client:?}:\n{}",
        complaints.join("\n")
    );
    assert_eq!(
        run.strangers,
        Vec::<String>::new(),
        "hosts besides Google's"
    );
    let (asked, wanted) = (asked(client), wanted(client));
    let besides: Vec<_> = asked.difference(&wanted).collect();
    let missing: Vec<_> = wanted.difference(&asked).collect();
    assert!(
        besides.is_empty() && missing.is_empty(),
        "{client:?} asked besides {besides:#?} and not {missing:#?}"
    );
}

/// A host, a version, a call and the operation's or parent's name.
type Question = [String; 4];

/// What was to be asked: each case in its version of the API, and nothing besides.
fn wanted(client: Client) -> BTreeSet<Question> {
    let cases = cases(client.other_version()).into_iter();
    let question = cases.map(|case| {
        let call = if case.call == "wait" {
            "get"
        } else {
            case.call
        };
        [case.host, case.version, call, case.name].map(str::to_owned)
    });
    question.collect()
}

/// What the emulator was asked.
fn asked(client: Client) -> BTreeSet<Question> {
    let requests = client.run().requests.iter();
    let question = requests.map(|request| {
        let call = match request.call {
            Some(Call::Get) => "get",
            Some(Call::Cancel) => "cancel",
            Some(Call::List) => "list",
            None => panic!("no call of the API: {request:?}"),
        };
        let name = request.operation.as_ref().or(request.parent.as_ref());
        let [host, version, name] = [&request.host, &request.version, &name.cloned()]
            .map(|text| text.clone().unwrap_or_default());
        [host, version, call.to_owned(), name]
    });
    question.collect()
}

#[test]
fn the_rust_crates_are_content() {
    judge(Client::Rust);
}

#[test]
fn the_python_client_is_content() {
    judge(Client::Python);
}

#[test]
fn the_discovery_client_is_content() {
    judge(Client::Discovery);
}

#[test]
fn the_node_library_is_content() {
    judge(Client::Node);
}

#[test]
fn they_try_again_as_their_authors_meant_it() {
    for client in Client::ALL {
        let effort = effort(client.run());
        // Requests, and tokens that they carried.
        let (never, anew, unavailable) = match client {
            // Tries reads again when they are UNAVAILABLE.
            Client::Rust => ((1, 1), (1, 1), (2, 1)),
            // Fetch another token when one is refused, twice.
            Client::Python | Client::Discovery => ((3, 3), (2, 2), (1, 1)),
            Client::Node => ((1, 1), (1, 1), (1, 1)),
        };
        assert_eq!(effort["never-authenticated"], never, "{client:?}");
        assert_eq!(effort["authenticated-anew"], anew, "{client:?}");
        assert_eq!(effort["unavailable-once"], unavailable, "{client:?}");
        assert!(effort["failed-1"].0 > 1, "{client:?} did not wait");
    }
}

#[test]
fn whoever_is_led_to_the_metadata_server_is_told_both_variables() {
    for page in [
        include_str!("../../docs/emulator.md"),
        include_str!("../../emulator/README.md"),
    ] {
        // google-auth asks at the second one whether there is a metadata server at all.
        let count = |name: &str| page.matches(name).count();
        let (host, ip) = (count("GCE_METADATA_HOST"), count("GCE_METADATA_IP"));
        // The sample of a Rust test needs no Python.
        let rust = page.matches("GCE_METADATA_HOST = ").count();
        assert!(ip > 0 && ip >= host - rust, "{host} and {ip}");
    }
}
