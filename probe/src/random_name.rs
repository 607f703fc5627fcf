//! Names of operations that cannot exist.

use ring::rand::{SecureRandom, SystemRandom};

use opcancel::google::operation_name::OperationName;

/// The name of an operation that does not exist: its last segment is 128 bits from the system's random source. A collision
/// is less likely than an undetected disk error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RandomName(OperationName);

impl RandomName {
    /// Draws one, in the form of a UUID as Dialogflow's names have it.
    ///
    /// # Errors
    /// If the system has no randomness, or the project or location is invalid.
    pub fn draw(project: &str, location: Option<&str>) -> Result<Self, String> {
        let id = uuid()?;
        let location = location
            .map(|location| format!("/locations/{location}"))
            .unwrap_or_default();
        OperationName::parse(&format!("projects/{project}{location}/operations/{id}"))
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// The name.
    pub fn name(&self) -> &OperationName {
        &self.0
    }
}

/// 128 random bits in the form of a UUID (version 4 says so in six of them; here all are random).
///
/// # Errors
/// If the system has no randomness.
pub fn uuid() -> Result<String, String> {
    let mut bits = [0; 16];
    SystemRandom::new()
        .fill(&mut bits)
        .map_err(|_| "this system has no source of randomness".to_owned())?;
    let digits = format!("{:032x}", u128::from_be_bytes(bits));
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if [8, 12, 16, 20].contains(&place) {
            text.push('-');
        }
        text.push(digit);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_and_looks_like_the_real_ones() {
        let [one, two] = [0, 1].map(|_| RandomName::draw("p", Some("eu")).unwrap());
        assert_ne!(one, two);
        let id = one.name().last_segment();
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(one.name().location(), Some("eu"));
        assert!(RandomName::draw("P", None).is_err());
    }
}
