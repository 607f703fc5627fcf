//! What is read in pieces is what a plain reader of the whole text says.

use super::*;
use crate::google::{
    answers::{
        answer::{Operation, OperationError},
        operation_json::read_operation,
        rpc_error::code_name,
    },
    clean::clean,
};
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A JSON value with all keys of its objects, also those that come twice.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List,
    Object(Vec<(String, Node)>),
}

struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(serde_json::Number::from_f64(value).unwrap()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        while list.next_element::<Node>()?.is_some() {}
        Ok(Node::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(members))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Whole)
    }
}

impl Node {
    /// The only member of this name, unless it is null.
    fn member(&self, key: &str) -> Result<Option<&Self>, ()> {
        let Self::Object(members) = self else {
            return Ok(None);
        };
        let mut found = members.iter().filter(|(name, _)| name == key);
        let first = found.next().map(|(_, value)| value);
        if found.next().is_some() {
            return Err(());
        }
        Ok(first.filter(|value| **value != Self::Null))
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn int32(&self) -> Option<i32> {
        let number = match self {
            Self::Number(number) => number.clone(),
            Self::Text(text) => serde_json::from_str(text).ok()?,
            _ => return None,
        };
        match number.as_i64() {
            Some(whole) => i32::try_from(whole).ok(),
            None => number
                .as_f64()
                .filter(|real| real.fract() == 0.0 && real.abs() <= 2_147_483_647.0)
                .map(|real| real as i32),
        }
    }

    fn has_a_key_twice(&self) -> bool {
        let Self::Object(members) = self else {
            return false;
        };
        let mut keys: Vec<_> = members.iter().map(|(key, _)| key).collect();
        keys.sort();
        keys.windows(2).any(|pair| pair[0] == pair[1])
    }
}

/// An operation by the rules of google.longrunning and ProtoJSON, of the whole text; none if it is none. The outer none says that
/// the plain reader cannot judge.
fn plainly(body: &[u8]) -> Option<Option<Operation>> {
    match serde_json::from_slice::<Node>(body) {
        Ok(root) => Some(plain_operation(&root).ok()),
        // It cannot hold the number, which is JSON all the same.
        Err(error) if error.to_string().contains("out of range") => None,
        Err(error) if error.to_string().contains("recursion limit") => None,
        Err(_) => Some(None),
    }
}

fn plain_operation(root: &Node) -> Result<Operation, ()> {
    let Node::Object(members) = root else {
        return Err(());
    };
    let fields = ["name", "metadata", "done", "error", "response"];
    if !members
        .iter()
        .any(|(key, _)| fields.contains(&key.as_str()))
        || root.has_a_key_twice()
    {
        return Err(());
    }
    let text = |node: Option<&Node>| match node {
        None => Ok(String::new()),
        Some(node) => node.text().map(str::to_owned).ok_or(()),
    };
    text(root.member("name")?)?;
    let done = match root.member("done")? {
        None => false,
        Some(Node::Bool(done)) => *done,
        Some(_) => return Err(()),
    };
    let error = match root.member("error")? {
        None => None,
        Some(_) if !done => return Err(()),
        Some(error @ Node::Object(_)) if !error.has_a_key_twice() => {
            let code = match error.member("code")? {
                None => 0,
                Some(code) => code.int32().ok_or(())?,
            };
            let message = clean(&text(error.member("message")?)?, &[]);
            let status = code_name(code);
            (code != 0).then_some(OperationError {
                code,
                status,
                message,
            })
        }
        Some(_) => return Err(()),
    };
    let type_name = |any: Option<&Node>| -> Result<Option<String>, ()> {
        let Some(any) = any else { return Ok(None) };
        let url = any.member("@type")?.and_then(Node::text);
        let last = url.and_then(|url| url.rsplit('/').next());
        Ok(last
            .filter(|last| !last.is_empty())
            .map(|last| clean(last, &[])))
    };
    let own_state = |node: &Node| -> Result<Option<String>, ()> {
        Ok(node.member("state")?.and_then(|state| match state {
            Node::Text(text) => Some(clean(text, &[])),
            other => other.int32().map(|number| number.to_string()),
        }))
    };
    let metadata = root.member("metadata")?;
    let generic = match metadata {
        Some(metadata) => metadata.member("genericMetadata")?,
        None => None,
    };
    let state = match metadata.map(own_state).transpose()?.flatten() {
        Some(state) => Some(state),
        None => generic.and_then(|generic| own_state(generic).ok().flatten()),
    };
    let response = root.member("response")?;
    Ok(Operation {
        done,
        metadata_type: type_name(metadata)?,
        metadata_state: state,
        response_type: type_name(response)?,
        has_response: response.is_some(),
        error,
        result_unknown: false,
        reading_took: None,
    })
}

/// The same, in pieces that end here.
fn in_pieces(body: &[u8], ends: &[usize]) -> Result<Operation, NotProtoJson> {
    let mut stream = OperationStream::new(OperationForm::Longrunning);
    let mut begin = 0;
    for end in ends.iter().copied().chain([body.len()]) {
        let end = end.clamp(begin, body.len());
        stream.push(&body[begin..end])?;
        begin = end;
    }
    read_operation(&stream.finish()?, OperationForm::Longrunning, None, &[])
}

fn text() -> BoxedStrategy<String> {
    let piece = prop_oneof![
        8 => "[ -!#-\\[\\]-~]{0,8}",
        4 => "[äß€𝄞\u{7f}\u{2028}]{0,4}",
        4 => prop::sample::select(vec![
            r"\n",
            r#"\""#,
            r"\\",
            r"\/",
            r"\b",
            r"\u0041",
            r"\u00e9",
            r"\ud834\udd1e",
        ])
        .prop_map(str::to_owned),
        // What must not be.
        1 => prop::sample::select(vec![
            r"\ud834",
            r"\udd1e",
            r"\ud834\n",
            r"\ud834\u0041",
            r"\x",
            r"\u12g4",
            "\n",
            "\u{1}",
        ])
        .prop_map(str::to_owned),
    ];
    let pieces = prop_oneof![
        9 => prop::collection::vec(piece.clone(), 0..2),
        1 => prop::collection::vec(piece, 0..4),
    ];
    pieces
        .prop_map(|pieces| format!("\"{}\"", pieces.concat()))
        .boxed()
}

fn scalar() -> impl Strategy<Value = String> {
    let fixed = vec![
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-1",
        "13",
        "1.0",
        "1e0",
        "2.5",
        "0.5e-1",
        "1E+1",
        "\"13\"",
        "\"1.0\"",
        "\"type.googleapis.com/a.B\"",
        "\"x/\"",
        "\"RUNNING\"",
        "\"\"",
        "4294967296",
        "2147483648",
        "-2147483648",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "tru",
        "nul",
    ];
    prop_oneof![
        6 => prop::sample::select(fixed).prop_map(str::to_owned),
        1 => text(),
    ]
}

fn key() -> impl Strategy<Value = String> {
    let known = vec![
        "\"name\"",
        "\"done\"",
        "\"error\"",
        "\"metadata\"",
        "\"response\"",
        "\"code\"",
        "\"message\"",
        "\"@type\"",
        "\"state\"",
        "\"genericMetadata\"",
        r#""d\u006fne""#,
        r#""\u0040type""#,
        "\"other\"",
        "\"\"",
    ];
    prop_oneof![
        9 => prop::sample::select(known).prop_map(str::to_owned),
        1 => text(),
    ]
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", "", " ", "\n\t", "\r", "\u{a0}"])
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (space(), key(), space(), value)
        .prop_map(|(a, key, b, value)| format!("{a}{key}{b}:{b}{value}{a}"));
    prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            object(inner.clone()),
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
        ]
    })
}

/// What APIs send, with its members in any order.
fn likely() -> impl Strategy<Value = String> {
    let error = prop_oneof![
        Just("{}".to_owned()),
        (scalar(), text()).prop_map(|(code, message)| format!(
            r#"{{"code":{code},"message":{message},"details":[{{}}]}}"#
        )),
    ];
    let any = (text(), scalar(), value())
        .prop_map(|(data, state, value)| {
            format!(
                r#"{{"@type":"type.googleapis.com/a.B","data":{data},"state":{state},"x":{value}}}"#
            )
        })
        .boxed();
    let generic =
        scalar().prop_map(|state| format!(r#"{{"genericMetadata":{{"state":{state}}}}}"#));
    let members = (
        Just(r#""name":"projects/p/operations/o""#.to_owned()),
        prop::sample::select(vec!["true", "true", "false", "null"]),
        prop::option::of(error),
        prop::option::of(any.clone()),
        prop::option::of(prop_oneof![any, generic]),
    )
        .prop_map(|(name, done, error, response, metadata)| {
            let mut members = vec![name, format!(r#""done":{done}"#)];
            members.extend(error.map(|error| format!(r#""error":{error}"#)));
            members.extend(response.map(|response| format!(r#""response":{response}"#)));
            members.extend(metadata.map(|metadata| format!(r#""metadata":{metadata}"#)));
            members
        })
        .prop_shuffle();
    members.prop_map(|members| format!("{{{}}}", members.join(",")))
}

/// What happens to a text on its way.
#[derive(Debug, Clone)]
enum Change {
    Nothing,
    CutOff(usize),
    Followed(&'static str),
    Doubled(usize),
    Byte(usize, u8),
    Inserted(usize, u8),
    Removed(usize),
    /// A second `done` at the end.
    SecondDone,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => Just(Change::Nothing),
        1 => any::<usize>().prop_map(Change::CutOff),
        1 => prop::sample::select(vec![" ", "\n", "}", "{}", "x", "\0", ","]).prop_map(Change::Followed),
        1 => any::<usize>().prop_map(Change::Doubled),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Inserted(at, byte)),
        1 => any::<usize>().prop_map(Change::Removed),
        1 => Just(Change::SecondDone),
    ]
}

fn changed(text: &str, change: &Change) -> Vec<u8> {
    let mut body = text.as_bytes().to_vec();
    let at = |at: usize| at % text.len().max(1);
    match *change {
        Change::Nothing => {}
        Change::CutOff(here) => body.truncate(at(here)),
        Change::Followed(by) => body.extend_from_slice(by.as_bytes()),
        Change::Doubled(here) => body.extend_from_within(at(here)..),
        Change::Byte(here, byte) => body[at(here)] = byte,
        Change::Inserted(here, byte) => body.insert(at(here), byte),
        Change::Removed(here) => {
            body.remove(at(here));
        }
        Change::SecondDone => {
            body.pop();
            body.extend_from_slice(br#","done":false}"#);
        }
    }
    body
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn pieces_say_what_the_whole_says(
        text in prop_oneof![2 => likely(), 1 => object(value()), 1 => value()],
        change in change(),
        mut ends in prop::collection::vec(0_usize..400, 0..6),
        byte_by_byte in prop::bool::weighted(0.2),
    ) {
        let body = changed(&text, &change);
        if byte_by_byte {
            ends = (0..body.len()).collect();
        }
        ends.sort_unstable();
        let read = in_pieces(&body, &ends);
        if let Some(plain) = plainly(&body) {
            prop_assert_eq!(read.clone().ok(), plain, "{:?}: {:?}", String::from_utf8_lossy(&body), read);
        }
    }
}

fn whole(text: &str) -> Result<Operation, String> {
    in_pieces(text.as_bytes(), &[]).map_err(|error| error.to_string())
}

#[test]
fn nothing_is_concluded_before_the_end() {
    let text = r#"{"name":"n","done":true,"response":{"@type":"a.B","data":"QUJD"}}"#;
    for end in 0..text.len() {
        let cut = &text.as_bytes()[..end];
        assert!(in_pieces(cut, &[end / 2]).is_err(), "{end}");
    }
    assert!(whole(text).unwrap().done);
    assert!(whole(&format!("{text} \n")).is_ok());
    assert!(whole(&format!("{text}{text}")).is_err());
}

#[test]
fn broken_utf8_is_noticed_in_what_nobody_reads() {
    let whole = "{\"done\":true,\"response\":{\"data\":\"€𝄞\"}}".as_bytes();
    assert!(in_pieces(whole, &(0..whole.len()).collect::<Vec<_>>()).is_ok());
    let bad: [&[u8]; 9] = [
        b"\xff",
        b"\x80",
        b"\xc3",
        b"\xc0\xaf",
        b"\xe0\x80\x80",
        b"\xed\xa0\x80",
        b"\xe2\x82",
        b"\xf0\x80\x80\x80",
        b"\xf4\x90\x80\x80",
    ];
    for bytes in bad {
        for place in [r#"{"done":true,"response":{"data":""#, r#"{"done":true,"#] {
            let mut body = place.as_bytes().to_vec();
            if place.ends_with(',') {
                body.push(b'"');
            }
            body.extend_from_slice(bytes);
            body.extend_from_slice(if place.ends_with(',') {
                b"\":1}"
            } else {
                b"\"}}"
            });
            for end in 0..body.len() {
                assert!(in_pieces(&body, &[end]).is_err(), "{bytes:?} {end}");
            }
        }
    }
}

#[test]
fn depth_costs_no_stack() {
    let bomb = format!(
        r#"{{"done":true,"response":{{"a":{}1{}}},"b":{}{}}}"#,
        "[".repeat(1_000_000),
        "]".repeat(1_000_000),
        r#"{"c":"#.repeat(300_000) + "0",
        "}".repeat(300_000)
    );
    assert!(whole(&bomb).unwrap().done);
    assert!(whole(&bomb.replacen(']', "}", 1)).is_err());
    assert!(whole(&"[".repeat(1_000_000)).is_err());
}

#[test]
fn what_is_kept_is_bounded() {
    let long = "x".repeat(1_000_000);
    let operation = whole(&format!(
        r#"{{"name":"{long}","done":true,"metadata":{{"{long}":1,"state":"{long}"}},"error":{{"code":3,"message":"{}"}}}}"#,
        "\\u20ac".repeat(100_000)
    ))
    .unwrap();
    let message = operation.error.unwrap().message;
    assert!(
        message.starts_with("€€") && message.len() <= 1024,
        "{message}"
    );
    assert_eq!(operation.metadata_state.unwrap().len(), 1024);
    for (text, said) in [
        (
            format!(r#"{{"done":true,"{long}":1}}"#),
            "a key is too long",
        ),
        (
            format!(r#"{{"done":true,"error":{{"{long}":1}}}}"#),
            "a key is too long",
        ),
        (
            format!(
                "{{{}\"done\":true}}",
                (0..10_000)
                    .map(|n| format!("\"k{n}\":1,"))
                    .collect::<String>()
            ),
            "too many members",
        ),
        (
            format!(r#"{{"done":true,"name":1{}}}"#, "0".repeat(100_000)),
            "too many members",
        ),
    ] {
        let error = whole(&text).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
    let mut stream = OperationStream::new(OperationForm::Longrunning);
    stream
        .push(br#"{"done":true,"response":{"data":""#)
        .unwrap();
    for _ in 0..40 {
        stream.push(long.as_bytes()).unwrap();
        assert!(stream.copy.capacity() <= 2 * MAX_COPY);
    }
    stream.push(br#""}}"#).unwrap();
    assert!(stream.finish().unwrap().len() < 100);
}
