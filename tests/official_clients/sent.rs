//! What is sent, field by field: what Google's clients send otherwise than the controller is exactly what the table in
//! `docs/what-is-sent.md` says, and each row has its reason.

use std::collections::{BTreeMap, BTreeSet};

use operations_emulator::RequestRecord;

use crate::{
    client::Client,
    identity, ours,
    request_fields::{ABSENT, Fields, fields, kind},
};

/// All kinds of requests, as the table calls and orders them.
const KINDS: [&str; 6] = ["get", "cancel", "list", "token", "exchange", "impersonate"];

/// A row of the table, without its reason: what for, field, ours, theirs, whose.
type Row = [String; 5];

/// All values of each field in the requests of one kind.
type Values = BTreeMap<String, BTreeSet<String>>;

fn values(requests: &[RequestRecord], wanted: &str) -> Values {
    let requests = requests
        .iter()
        .filter(|request| kind(request) == Some(wanted));
    let requests: Vec<Fields> = requests.map(fields).collect();
    let names: BTreeSet<&String> = requests.iter().flat_map(BTreeMap::keys).collect();
    let of = |name: &String| -> BTreeSet<String> {
        let value = |fields: &Fields| match fields.get(name) {
            Some(value) => Some(value.clone()),
            // A request has only one of the two paths.
            None if name.starts_with("path") => None,
            None => Some(ABSENT.to_owned()),
        };
        requests.iter().filter_map(value).collect()
    };
    names
        .iter()
        .map(|name| ((*name).clone(), of(name)))
        .collect()
}

/// The fields of one kind in which two differ: name, ours and theirs.
fn differences(ours: &Values, theirs: &Values) -> BTreeSet<[String; 3]> {
    let shown = |values: &Values, name: &String| match values.get(name) {
        Some(values) => values.iter().cloned().collect::<Vec<_>>().join(" or "),
        None => ABSENT.to_owned(),
    };
    let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    names
        .into_iter()
        .map(|name| [name.clone(), shown(ours, name), shown(theirs, name)])
        .filter(|[_, ours, theirs]| ours != theirs)
        .collect()
}

/// All differences; those that several clients have in common are one row, and those of several kinds of requests.
fn observed() -> BTreeSet<Row> {
    let ours = {
        let run = ours::run();
        [run.requests, run.metadata, identity::ours_impersonated()].concat()
    };
    let theirs = |client: Client| {
        let run = client.run();
        let mut requests = [run.requests.clone(), run.metadata.clone()].concat();
        if client == Client::Python {
            requests.extend(identity::theirs_impersonated());
        }
        requests
    };
    let theirs = Client::ALL.map(|client| (client, theirs(client)));
    let mut found: BTreeMap<([String; 3], BTreeSet<Client>), Vec<&str>> = BTreeMap::new();
    for kind in KINDS {
        // The controller sends no lists: a get is what they are compared with.
        let mut own = values(&ours, if kind == "list" { "get" } else { kind });
        if kind == "list" {
            own.retain(|name, _| !name.starts_with("path"));
        }
        let mut whose: BTreeMap<[String; 3], BTreeSet<Client>> = BTreeMap::new();
        for (client, requests) in &theirs {
            let their = values(requests, kind);
            let tokens = ["exchange", "impersonate"].contains(&kind);
            assert!(
                !their.is_empty() || tokens && *client != Client::Python,
                "{client:?}: no {kind}"
            );
            if !their.is_empty() {
                for difference in differences(&own, &their) {
                    whose.entry(difference).or_default().insert(*client);
                }
            }
        }
        for row in whose {
            found.entry(row).or_default().push(kind);
        }
    }
    let rows = found
        .into_iter()
        .map(|(([field, ours, theirs], clients), kinds)| {
            let clients: Vec<_> = clients.iter().map(|client| client.name()).collect();
            [kinds.join(", "), field, ours, theirs, clients.join(", ")]
        });
    rows.collect()
}

/// The rows of the document between its two marks, with their reasons.
fn listed() -> BTreeMap<Row, String> {
    let page = include_str!("../../docs/what-is-sent.md");
    let table = page.split_once("<!-- differences -->").unwrap().1;
    let table = table.split_once("<!-- end -->").unwrap().0;
    let rows = table.lines().filter(|line| line.starts_with("| "));
    rows.skip(1)
        .map(|line| {
            let cells = line.trim_matches('|').split(" | ");
            let cells: Vec<_> = cells.map(|cell| cell.trim().to_owned()).collect();
            let [kinds, field, ours, theirs, whose, why] = &cells[..] else {
                panic!("not six cells: {line}")
            };
            let row = [kinds, field, ours, theirs, whose].map(String::clone);
            (row, why.clone())
        })
        .collect()
}

#[test]
fn differences_are_those_of_the_document() {
    let (observed, listed) = (observed(), listed());
    let show = |row: &Row| format!("| {} |", row.join(" | "));
    let missing = observed.iter().filter(|row| !listed.contains_key(*row));
    let gone = listed.keys().filter(|row| !observed.contains(*row));
    let (missing, gone): (Vec<_>, Vec<_>) = (missing.map(show).collect(), gone.map(show).collect());
    assert!(
        missing.is_empty() && gone.is_empty(),
        "docs/what-is-sent.md lacks\n{}\nand has for nothing\n{}",
        missing.join("\n"),
        gone.join("\n")
    );
    for (row, why) in listed {
        assert!(why.len() > 3, "no reason: {}", show(&row));
    }
}

#[test]
fn the_document_names_the_releases_that_are_pinned() {
    let page = include_str!("../../docs/what-is-sent.md");
    let pins = [
        include_str!("rust/Cargo.toml"),
        include_str!("python/requirements.in"),
        include_str!("node/package.json"),
    ];
    let pin = regex::Regex::new(
        r#"(?m)^ *"?(google-[a-z0-9-]+)(?:\[requests\])?(?:"?: "| = \{ version = "=|==)(\d+\.\d+)"#,
    )
    .unwrap();
    let named: Vec<_> = pins
        .iter()
        .flat_map(|text| pin.captures_iter(text))
        // The crates of other services are pinned in Cargo.toml only.
        .filter(|pin| !pin[1].starts_with("google-cloud-") || pin[1].contains("dialogflow"))
        .map(|pin| {
            let (_, [package, release]) = pin.extract();
            let named = format!("{package} {release}");
            assert!(page.contains(&named), "{named}");
            named
        })
        .collect();
    assert_eq!(named.len(), 6, "{named:?}");
}
