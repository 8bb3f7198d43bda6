//! What is wrong with a configuration.

use std::fmt;

use toml::Value;

/// A configuration that was refused, with everything that is wrong with it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// What is wrong, one or more things, in the order in which they were found.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration was refused:")?;
        self.problems.iter().try_for_each(|problem| {
            // What a problem quotes may have lines of its own.
            write!(
                f,
                "\n  {}",
                problem.to_string().trim_end().replace('\n', "\n    ")
            )
        })
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read, or is no TOML.
    #[error("cannot load the configuration file {path} (from {origin}): {reason}")]
    File {
        /// The file, as it was named.
        path: String,
        /// Who named it: a flag or a variable.
        origin: String,
        /// What the operating system or the parser says.
        reason: String,
    },
    /// No such key.
    #[error(
        "{key} = {value} ({origin}): there is no such key{}",
        nearest.as_ref().map_or(String::new(), |near| format!("; did you mean {near}?"))
    )]
    Unknown {
        /// The key or variable, as it was written.
        key: String,
        /// Its value, as it was written.
        value: String,
        /// Where it stands.
        origin: String,
        /// The existing key (or variable) that looks most like it.
        nearest: Option<String>,
    },
    /// A value of the wrong type, an impossible one, or one that contradicts another.
    #[error("{key} = {value} ({origin}): {right}")]
    Refused {
        /// The key.
        key: String,
        /// The value that was refused.
        value: String,
        /// Where it stands.
        origin: String,
        /// What would be right.
        right: String,
    },
    /// The layers hold alone but not together. This is a fault of the program, not of the user.
    #[error("the configuration does not fit together: {reason}")]
    Merge {
        /// What the layering says.
        reason: String,
    },
}

/// A key's value as people are shown it: without the user and password of a URL, and of a password
/// only whether there is one.
pub(super) fn shown(key: &str, value: &Value) -> String {
    let text = value.to_string();
    if key.to_ascii_lowercase().contains("password") {
        let none = value.as_str().is_some_and(str::is_empty);
        return if none { text } else { "\"***\"".to_owned() };
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return text;
    };
    // The last one: what is refused may have a password with characters that are not escaped.
    match rest.rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => text,
    }
}
