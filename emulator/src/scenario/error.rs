//! Why a scenario, or a part of one, is refused.

/// Why a scenario was refused.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The text is not YAML or JSON of the expected shape; the message names the line, the field and what is expected.
    #[error("the scenario cannot be read: {0}")]
    Shape(String),
    /// Fields have invalid values; each message names the field, what is wrong and what is expected.
    #[error("the scenario is invalid: {}", .0.join("; "))]
    Values(Vec<String>),
}

impl ScenarioError {
    /// What is wrong, without naming a scenario: for a part of one.
    pub(crate) fn details(&self) -> String {
        match self {
            Self::Shape(text) => format!("it cannot be read: {text}"),
            Self::Values(texts) => texts.join("; "),
        }
    }
}
