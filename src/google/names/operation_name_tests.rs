//! Code and CRD have one grammar: the names of `tests/names/names.json`, which the API server is tried with too, and whatever
//! a generator thinks of.

#[path = "../../../tests/names/crd_rules.rs"]
mod crd_rules;

use crd_rules::Crd;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::api::name_rules;

/// A name, and what its refusal says; none if it is taken.
#[derive(Deserialize)]
struct Row {
    name: String,
    says: Option<String>,
}

fn rows() -> Vec<Row> {
    serde_json::from_str(include_str!("../../../tests/names/names.json")).unwrap()
}

/// Made once: a regular expression takes longer to make than to use.
fn crd() -> &'static Crd {
    static CRD: std::sync::LazyLock<Crd> = std::sync::LazyLock::new(Crd::new);
    &CRD
}

#[test]
fn code_and_crd_take_and_refuse_the_same_names_with_the_same_words() {
    let crd = crd();
    for Row { name, says } in rows() {
        let parsed = OperationName::parse(&name);
        assert_eq!(parsed.is_ok(), says.is_none(), "{name:?}: {parsed:?}");
        assert_eq!(crd.takes(&name), says.is_none(), "{name:?}");
        match parsed {
            Ok(parsed) => assert_eq!(parsed.to_string(), name),
            Err(error) => {
                let says = says.unwrap();
                assert!(error.to_string().contains(&says), "{name:?}: {error}");
                let hint = crd.hint(&name).unwrap_or(name_rules::EXPECTED);
                assert!(hint.contains(&says), "{name:?}: {hint}");
            }
        }
        assert_eq!(crd.hint(&name), pasted_name::hint(&name), "{name:?}");
    }
}

#[test]
fn lengths_end_where_they_say() {
    let name = |project: usize, location: usize, id: usize, operation: usize| {
        format!(
            "projects/{}/locations/{}/agents/{}/operations/{}",
            "p".repeat(project),
            "l".repeat(location),
            "a".repeat(id),
            "o".repeat(operation)
        )
    };
    let crd = crd();
    let longest = format!(
        "operations/{}",
        [
            "o".repeat(255),
            "o".repeat(255),
            "o".repeat(255),
            "o".repeat(245)
        ]
        .join("/")
    );
    assert_eq!(longest.len(), MAX_NAME);
    for (name, says) in [
        (name(63, 52, 255, 255), None),
        (name(64, 52, 255, 255), Some("PROJECT must consist")),
        (name(63, 53, 255, 255), Some("LOCATION must consist")),
        (name(63, 52, 256, 255), Some("longer than 255")),
        (name(63, 52, 255, 256), Some("longer than 255")),
        (longest.clone(), None),
        (longest + "o", Some("longer than 1024")),
        ("a".repeat(100_000), Some("longer than 1024")),
    ] {
        let parsed = OperationName::parse(&name);
        assert_eq!(crd.takes(&name), says.is_none(), "{name}");
        assert_eq!(parsed.is_ok(), says.is_none(), "{name}");
        if let (Err(error), Some(says)) = (parsed, says) {
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.to_string().len() < 500, "it does not repeat the name");
        }
    }
    assert_eq!(usize::try_from(name_rules::MAX_NAME), Ok(MAX_NAME));
}

#[test]
fn the_parts_of_a_name_are_read_for_showing() {
    for (name, project, location, last) in [
        ("projects/p/operations/o", Some("p"), None, "o"),
        (
            "projects/p/locations/eu/operations/o",
            Some("p"),
            Some("eu"),
            "o",
        ),
        (
            "projects/p/zones/z1/operations/o",
            Some("p"),
            Some("z1"),
            "o",
        ),
        ("projects/_/buckets/b/operations/o", None, None, "o"),
        ("organizations/1/operations/o", None, None, "o"),
    ] {
        let name = OperationName::parse(name).unwrap();
        assert_eq!(
            (name.project(), name.location(), name.last_segment()),
            (project, location, last)
        );
    }
}

/// Names and near misses: pieces that the grammar knows, put together in any order.
fn near_names() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(vec![
            "projects", "operations", "locations", "regions", "zones", "transferOperations", "_", "buckets",
            "(default)", "organizations", "v2", "a", "europe-west1", "ex.com:p", ".", "..", "", "-", "Operations",
        ]).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9.:%_~() \n-]{0,5}",
        1 => (50usize..70).prop_map(|length| "x".repeat(length)),
        1 => (250usize..260).prop_map(|length| "x".repeat(length)),
    ];
    proptest::collection::vec(piece, 0..9).prop_map(|pieces| pieces.join("/"))
}

/// A name with other things before, in and after it.
fn pastes() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "name",
        ":",
        " ",
        "\t",
        "\n",
        "\"",
        "'",
        "`",
        "{",
        "}",
        "$",
        "<",
        "https://",
        "http://",
        "://",
        "a",
        "/",
        "//",
        "console.",
        "cloud.google.com",
        "dialogflow.googleapis.com",
        "v2",
        "v",
        "projects",
        "operations/o",
        ":cancel",
        "?",
        "#",
        "%",
        "2F",
        "\u{200b}",
        "\u{feff}",
        "\u{201c}",
        "\u{0}",
        ".",
        "",
    ]);
    proptest::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
}

/// Names of every shape that the survey found.
fn good_shapes() -> impl Strategy<Value = String> {
    "(projects/([a-z][a-z.]{0,3}:)?[a-z0-9][a-z0-9-]{0,6}|organizations/[0-9]{1,4}|[a-z][A-Za-z]{0,5}/[A-Za-z0-9_][A-Za-z0-9._~-]{0,5})\
     (/(locations|regions|zones)/[a-z0-9]{1,3}(-[a-z0-9]{1,3}){0,2})?(/[a-z][A-Za-z]{0,5}/[A-Za-z0-9_.~-]{1,5}){0,3}/operations(/[A-Za-z0-9_.~-]{1,6}){1,3}"
}

proptest! {
    #[test]
    fn code_and_crd_agree_on_near_misses(name in near_names()) {
        let crd = crd();
        prop_assert_eq!(OperationName::parse(&name).is_ok(), crd.takes(&name), "{:?}", name);
        prop_assert_eq!(pasted_name::hint(&name), crd.hint(&name), "{:?}", name);
    }

    /// What people paste is nothing that a grammar makes.
    #[test]
    fn code_and_crd_say_the_same_of_what_is_pasted(text in pastes()) {
        prop_assert_eq!(pasted_name::hint(&text), crd().hint(&text), "{:?}", text);
    }

    #[test]
    fn code_and_crd_agree_on_names_of_every_shape(name in good_shapes()) {
        prop_assert_eq!(OperationName::parse(&name).is_ok(), crd().takes(&name), "{:?}", name);
    }

    /// What passes keeps its place in a URL, whoever reads it.
    #[test]
    fn no_name_leaves_its_place_in_a_url(name in prop_oneof![near_names(), good_shapes()]) {
        let Ok(name) = OperationName::parse(&name) else { return Ok(()) };
        let url = reqwest::Url::parse(&format!("https://a.example/v2/{name}")).unwrap();
        prop_assert_eq!(url.path(), format!("/v2/{name}"));
        prop_assert_eq!((url.host_str(), url.query(), url.fragment()), (Some("a.example"), None, None));
    }

    #[test]
    fn what_is_said_of_any_text_is_short(text in ".{0,200}") {
        if let Err(error) = OperationName::parse(&text) {
            prop_assert!(error.to_string().len() < 500);
        }
    }
}
