//! Result of a suite.

/// Result of a suite.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Markdown table with a paragraph about the machine.
    pub(crate) table: String,
    /// Missed goals, a sentence each.
    pub(crate) misses: Vec<String>,
}
