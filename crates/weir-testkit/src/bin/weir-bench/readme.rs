//! Tables in a Markdown file.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Marks around a suite's table: `<!-- NAME:begin -->` and `<!-- NAME:end -->`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks(pub(crate) &'static str);

impl Marks {
    /// Replaces the table between the marks of a file.
    pub(crate) fn write(self, path: &Path, table: &str) -> anyhow::Result<()> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let text = self.replaced(&text, table);
        let text = text.with_context(|| {
            format!(
                "{} has no <!-- {}:begin --> and end",
                path.display(),
                self.0
            )
        })?;
        fs::write(path, text).with_context(|| path.display().to_string())
    }

    fn replaced(self, text: &str, table: &str) -> Option<String> {
        let [begin, end] = ["begin", "end"].map(|side| format!("<!-- {}:{side} -->", self.0));
        let (before, rest) = text.split_once(&begin)?;
        let (_, after) = rest.split_once(&end)?;
        Some(format!("{before}{begin}\n{table}{end}{after}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_table_between_the_suites_marks_is_replaced() {
        let text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n<!-- y:begin --><!-- y:end -->";
        assert_eq!(
            Marks("x").replaced(text, "new\n").as_deref(),
            Some("a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n<!-- y:begin --><!-- y:end -->")
        );
        assert_eq!(Marks("z").replaced(text, "new\n"), None);
    }
}
