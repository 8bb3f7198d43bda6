//! What a suite ends with.

/// A suite's end.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The Markdown table with the line about the machine.
    pub(crate) table: String,
    /// The goals that were missed, in words.
    pub(crate) misses: Vec<String>,
}
