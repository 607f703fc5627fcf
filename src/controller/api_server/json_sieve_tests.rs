use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The largest object without labels.
const MOST: usize = most(LabelsAre::Dropped);

/// All pieces of a text that comes in pieces of this size, with the largest room that was taken meanwhile.
fn sieve(shape: Shape, text: &[u8], size: usize) -> (Vec<Piece>, usize, bool) {
    sieve_with(LabelsAre::Dropped, shape, text, size)
}

fn sieve_with(
    labels: LabelsAre,
    shape: Shape,
    text: &[u8],
    size: usize,
) -> (Vec<Piece>, usize, bool) {
    let mut sieve = JsonSieve::new(shape, labels);
    let (mut pieces, mut room) = (Vec::new(), 0);
    for mut bytes in text.chunks(size) {
        while let Some((piece, rest)) = sieve.next(bytes) {
            pieces.push(piece);
            bytes = rest;
        }
        room = room.max(sieve.piece.capacity());
    }
    (pieces, room, sieve.is_complete())
}

fn read(piece: &Piece) -> Value {
    match piece {
        Piece::Item(bytes) | Piece::ListMetadata(bytes) => serde_json::from_slice(bytes).unwrap(),
        Piece::TooLarge => json!("too large"),
    }
}

/// An object whose needless metadata has about `bytes`, and what is kept of it.
fn object(name: &str, bytes: usize) -> (Value, Value) {
    let long = "x".repeat(bytes / 4);
    let mut object = json!({
        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
        "metadata": {
            "name": name, "uid": "u", "resourceVersion": "7", "annotations": {"a\"\\": long, "metadata": "{"},
            "labels": {"b": long, "c": "]"}, "ownerReferences": [{"name": "x", "uid": "y"}], "finalizers": ["a", "b"],
            "managedFields": [{"fieldsV1": {"f:metadata": {"f:labels": {".": {}, "k": long}}}, "manager": "kubectl"}],
        },
        "spec": {"operationName": "projects/p/operations/o", "labels": {"kept": [1, -2.5e3, true, null]}},
        "status": {"metadata": {"annotations": "kept, too \u{1F600} \" \\ \u{7}"}, "list": [[], {}, [{"labels": [""]}]]},
    });
    let whole = object.clone();
    for key in [
        "annotations",
        "labels",
        "ownerReferences",
        "finalizers",
        "managedFields",
    ] {
        object["metadata"][key] = Value::Null;
    }
    (whole, object)
}

proptest! {
    #[test]
    fn lists_events_and_objects_are_sieved_in_pieces_of_any_size(
        size in 1usize..200, count in 0usize..4, bytes in 0usize..2000, pretty in any::<bool>(),
    ) {
        let objects: Vec<_> = (0..count).map(|n| object(&format!("o{n}"), bytes)).collect();
        let text = |value: &Value| if pretty {
            serde_json::to_vec_pretty(value).unwrap()
        } else {
            serde_json::to_vec(value).unwrap()
        };
        let whole: Vec<_> = objects.iter().map(|(whole, _)| whole).collect();
        let kept: Vec<_> = objects.iter().map(|(_, kept)| kept.clone()).collect();
        let metadata = json!({"continue": "more", "resourceVersion": "9"});
        let list = json!({"apiVersion": "v1", "items": whole, "kind": "List", "metadata": metadata});
        let (pieces, _, complete) = sieve(Shape::List, &text(&list), size);
        let read_pieces: Vec<_> = pieces.iter().map(read).collect();
        let expected: Vec<_> = kept.iter().cloned().chain([metadata]).collect();
        prop_assert_eq!(read_pieces, expected);
        prop_assert!(complete);
        prop_assert!(matches!(pieces.last(), Some(Piece::ListMetadata(_))));

        let event = |object: &Value| json!({"type": "MODIFIED", "object": object});
        let events: Vec<u8> = whole.iter().flat_map(|object| [text(&event(object)), vec![b'\n']].concat()).collect();
        let (pieces, _, _) = sieve(Shape::Events, &events, size);
        let expected: Vec<_> = kept.iter().map(event).collect();
        prop_assert_eq!(pieces.iter().map(read).collect::<Vec<_>>(), expected);

        for (whole, kept) in &objects {
            let (pieces, _, complete) = sieve(Shape::Object, &text(whole), size);
            prop_assert_eq!(pieces.iter().map(read).collect::<Vec<_>>(), vec![kept.clone()]);
            prop_assert!(complete);
            let cut = text(whole).len() / 2;
            prop_assert!(!sieve(Shape::Object, &text(whole)[..cut], size).2);
        }
    }
}

#[test]
fn what_is_dropped_takes_no_room() {
    let (whole, kept) = object("o", 1_500_000);
    let list = json!({"items": [whole, whole], "metadata": {"resourceVersion": "9"}});
    let text = serde_json::to_vec(&list).unwrap();
    let (pieces, room, _) = sieve(Shape::List, &text, 16 * 1024);
    assert_eq!(read(&pieces[1]), kept);
    assert!(text.len() > 2_000_000 && room < 4096, "{room}");
}

#[test]
fn labels_are_kept_where_they_are_read_and_nothing_else_is() {
    let (whole, mut kept) = object("o", 1_500_000);
    kept["metadata"]["labels"] = whole["metadata"]["labels"].clone();
    let event = json!({"type": "ADDED", "object": whole});
    let list = json!({"items": [whole], "metadata": {"resourceVersion": "9"}});
    for (shape, text, expected) in [
        (Shape::Object, &whole, &kept),
        (Shape::List, &list, &kept),
        (
            Shape::Events,
            &event,
            &json!({"type": "ADDED", "object": kept}),
        ),
    ] {
        let text = serde_json::to_vec(text).unwrap();
        let (pieces, _, _) = sieve_with(LabelsAre::Kept, shape, &text, 4096);
        assert_eq!(read(&pieces[0]), *expected, "{shape:?}");
    }
}

#[test]
fn an_item_that_is_too_large_is_left_out_and_the_next_one_is_read() {
    let long = "x".repeat(MOST);
    let list = json!({"items": [{"spec": long}, {"spec": "short"}], "metadata": {}});
    let (pieces, room, complete) = sieve(Shape::List, &serde_json::to_vec(&list).unwrap(), 4096);
    assert_eq!(pieces[0], Piece::TooLarge);
    assert_eq!(read(&pieces[1])["spec"], "short");
    assert!(complete && room <= 2 * MOST, "{room}");
}

#[test]
fn a_list_without_items_has_its_metadata() {
    for items in ["null", "[]"] {
        let list = format!(r#"{{"items":{items},"metadata":{{"resourceVersion":"3"}}}}"#);
        let (pieces, _, complete) = sieve(Shape::List, list.as_bytes(), 7);
        assert_eq!(pieces.len(), 1, "{items}");
        assert_eq!(read(&pieces[0])["resourceVersion"], "3");
        assert!(complete);
    }
}

#[test]
fn what_a_watch_sends_between_events_breaks_it() {
    let event = r#"{"type":"ADDED","object":{}}"#;
    for garbage in ["<html>", "\"text\"", "null", "}", ","] {
        let mut sieve = JsonSieve::new(Shape::Events, LabelsAre::Dropped);
        let text = format!("{event}\n{garbage}");
        let (_, rest) = sieve.next(text.as_bytes()).unwrap();
        assert!(!sieve.is_broken());
        assert_eq!(sieve.next(rest), None);
        assert!(sieve.is_broken(), "{garbage}");
    }
}
