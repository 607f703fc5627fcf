use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<Object<'_>, NotProtoJson> {
    Object::from_body(text.as_bytes())
}

#[test]
fn what_is_no_object_says_so() {
    for (body, said) in [
        (&b""[..], "the JSON ends too early"),
        (b"{", "the JSON ends too early"),
        (b"{\"a\":1", "the JSON ends too early"),
        (b"<html>", "it is not JSON"),
        (b"{} {}", "it is not JSON"),
        (b"{\"a\":}", "it is not JSON"),
        (b"[]", "the JSON has another shape"),
        (b"\"a\"", "the JSON has another shape"),
        (b"{\"a\":1,\"a\":1}", "a key comes twice"),
        (b"{\"a\":1,\"\\u0061\":1}", "a key comes twice"),
        (b"{\"a\":\"\xff\"}", "it is not UTF-8"),
        (b"\xef\xbb\xbf{}", "it is not JSON"),
    ] {
        let error = Object::from_body(body).unwrap_err();
        assert_eq!(error.to_string(), said, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn members_have_the_types_of_proto_json() {
    let object =
        read(r#"{"t":true,"f":false,"n":null,"s":"x","i":"1","d":1.0,"o":{"a":1},"l":[{}]}"#)
            .unwrap();
    assert_eq!(object.boolean("t"), Ok(true));
    assert_eq!(object.boolean("f"), Ok(false));
    assert_eq!(object.boolean("n"), Ok(false));
    assert_eq!(object.boolean("absent"), Ok(false));
    assert!(object.boolean("i").is_err());
    assert_eq!(object.string("s"), Ok(Some("x".to_owned())));
    assert_eq!(object.string("n"), Ok(None));
    assert!(object.string("d").is_err());
    assert_eq!(object.object("o").unwrap().unwrap().int32("a"), Ok(1));
    assert!(object.object("s").is_err());
    assert_eq!(object.objects("l").unwrap().len(), 1);
    assert!(object.objects("o").is_err());
    assert!(object.raw("n").is_none());
}

#[test]
fn integers_come_in_many_forms() {
    for (given, number) in [
        ("1", Some(1)),
        ("-1", Some(-1)),
        ("\"5\"", Some(5)),
        ("1.0", Some(1)),
        ("1e1", Some(10)),
        ("null", Some(0)),
        ("2147483647", Some(i32::MAX)),
        ("2147483648", None),
        ("1e300", None),
        ("1.5", None),
        ("\"x\"", None),
        ("\"\"", None),
        ("true", None),
        ("{}", None),
        ("99999999999999999999999", None),
    ] {
        let text = format!("{{\"code\":{given}}}");
        assert_eq!(read(&text).unwrap().int32("code").ok(), number, "{given}");
    }
}

#[test]
fn durations_saturate() {
    for (given, expected) in [
        ("1.5s", Some(Duration::from_millis(1500))),
        ("0s", Some(Duration::ZERO)),
        ("3.000000001s", Some(Duration::new(3, 1))),
        ("1.0000000019s", Some(Duration::new(1, 1))),
        (
            "99999999999999999999999999s",
            Some(Duration::from_secs(u64::MAX)),
        ),
        ("-1s", None),
        ("1", None),
        ("s", None),
        ("1e3s", None),
        ("", None),
    ] {
        assert_eq!(duration(given), expected, "{given}");
    }
}

#[test]
fn deep_json_is_no_danger() {
    let deep = format!(
        "{{\"done\":true,\"x\":{}{}}}",
        "[".repeat(400_000),
        "]".repeat(400_000)
    );
    assert_eq!(read(&deep).unwrap().boolean("done"), Ok(true));
    let deep = "{\"a\":".repeat(150_000);
    assert_eq!(
        read(&deep).unwrap_err().to_string(),
        "the JSON ends too early"
    );
}

proptest! {
    #[test]
    fn reads_what_serde_json_reads(text in "[{}\\[\\]a1\":, ]{0,24}") {
        let strict = read(&text).is_ok();
        let lax = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_ok();
        prop_assert!(!strict || lax);
    }
}
