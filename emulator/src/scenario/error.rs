//! Why a scenario, or a part of one, is refused.

/// Why a scenario was refused.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// It is not YAML or JSON of the expected shape; the text names the line, the field and what is expected.
    #[error("the scenario cannot be read: {0}")]
    Shape(String),
    /// A field has a value that makes no sense; the texts name the field, what is wrong and what would be right.
    #[error("the scenario is wrong: {}", .0.join("; "))]
    Values(Vec<String>),
}

impl ScenarioError {
    /// What is wrong, for something that is no whole scenario.
    pub(crate) fn complaint(&self) -> String {
        match self {
            Self::Shape(text) => format!("it cannot be read: {text}"),
            Self::Values(texts) => texts.join("; "),
        }
    }
}
