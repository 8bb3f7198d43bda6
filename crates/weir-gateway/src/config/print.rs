//! Prints the effective configuration as TOML, each line with the origin of its value.

use std::fmt;

use super::error::{hides, shown};
use super::load::Effective;
use super::names;
use super::rules::KEYS;

/// Formats a file for `--config`, with the origin of each value in a trailing comment:
/// `listen = "0.0.0.0:8080"  # default`.
///
/// Secrets are replaced by `***`, and the comment says so. A node refuses such a file until the
/// secret is restored.
impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<(&str, String, String)> = KEYS
            .iter()
            .map(|(key, _)| {
                let stated = &self.values[key];
                let (section, name) = names::split(key);
                let mut origin = stated.origin.clone();
                if hides(key, &stated.value) {
                    origin.push_str("; *** replaces a secret, which must be restored");
                }
                let line = format!("{name} = {}", shown(key, &stated.value));
                (section, line, origin)
            })
            .collect();
        let width = lines
            .iter()
            .map(|(_, line, _)| line.chars().count())
            .max()
            .unwrap_or_default();
        for (index, (section, line, origin)) in lines.iter().enumerate() {
            if index == 0 {
                writeln!(f, "[{section}]")?;
            } else if lines[index - 1].0 != *section {
                writeln!(f, "\n[{section}]")?;
            }
            writeln!(f, "{line:width$}  # {origin}")?;
        }
        Ok(())
    }
}
