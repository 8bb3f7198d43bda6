//! The effective configuration as TOML, each line with where its value came from.

use std::fmt;

use super::error::shown;
use super::load::Effective;
use super::names;
use super::rules::KEYS;

/// A file that `--config` takes, with the origin of each value in a comment behind it:
/// `listen = "0.0.0.0:8080"  # default`.
///
/// The users and passwords in URLs, and passwords, are left out, so a file that is printed needs
/// them put back.
impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<(&str, String, &str)> = KEYS
            .iter()
            .map(|(key, _)| {
                let stated = &self.values[key];
                let (section, name) = names::split(key);
                (
                    section,
                    format!("{name} = {}", shown(key, &stated.value)),
                    stated.origin.as_str(),
                )
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
