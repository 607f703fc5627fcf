//! A uid as a small key: those of the API server are UUIDs.

/// The uid of an object.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Uid {
    /// As Kubernetes writes it.
    Uuid([u8; 16]),
    /// Anything else.
    Text(Box<str>),
}

impl Uid {
    /// The key of a uid; different uids have different keys.
    pub fn of(text: &str) -> Self {
        uuid(text).map_or_else(|| Self::Text(text.into()), Self::Uuid)
    }
}

/// The number in a UUID of 36 lower-case characters.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let mut digits = 0;
    let mut number = 0u128;
    for (at, byte) in text.bytes().enumerate() {
        let digit = match (at, byte) {
            (8 | 13 | 18 | 23, b'-') => continue,
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9') => byte - b'0',
            (_, b'a'..=b'f') => byte - b'a' + 10,
            _ => return None,
        };
        digits += 1;
        number = number << 4 | u128::from(digit);
    }
    (digits == 32 && text.len() == 36).then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_kept_as_numbers_and_no_other_text_is_taken_for_one() {
        let text = "0b2c5f3e-9a41-4f5e-8d10-6a4d2c1e7b9f";
        let Uid::Uuid(bytes) = Uid::of(text) else {
            panic!("a UUID")
        };
        assert_eq!((bytes[0], bytes[4], bytes[15]), (0x0b, 0x9a, 0x9f));
        assert_eq!(Uid::of(text), Uid::of(text));
        assert_ne!(Uid::of(text), Uid::of(&text.replace('9', "8")));
        for other in [
            "",
            "uid-1",
            "0B2c5f3e-9a41-4f5e-8d10-6a4d2c1e7b9f",
            "0b2c5f3e09a41-4f5e-8d10-6a4d2c1e7b9f",
            "0b2c5f3e-9a41-4f5e-8d10-6a4d2c1e7b9",
            "0b2c5f3e-9a41-4f5e-8d10-6a4d2c1e7b9f0",
            "00b2c5f3e-9a41-4f5e-8d10-6a4d2c1e7b9f",
            "0b2c5f3e-9a41-4f5e-8d10-6a4d2c1e7b9é",
        ] {
            assert_eq!(Uid::of(other), Uid::Text(other.into()), "{other}");
        }
    }
}
