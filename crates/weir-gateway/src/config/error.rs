//! Errors of a configuration.

use std::fmt;

use toml::Value;

/// Error of loading a configuration, with all its problems.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// Problems, at least one, in the order in which they were found.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid configuration:")?;
        self.problems.iter().try_for_each(|problem| {
            // Indents the lines of a quoted error.
            write!(
                f,
                "\n  {}",
                problem.to_string().trim_end().replace('\n', "\n    ")
            )
        })
    }
}

/// Problem of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read or is not valid TOML.
    #[error("cannot load the configuration file {path} (from {origin}): {reason}")]
    File {
        /// Path of the file.
        path: String,
        /// Flag or variable that named it.
        origin: String,
        /// Error of the operating system or the parser.
        reason: String,
    },
    /// A key that does not exist.
    #[error(
        "{key} = {value} ({origin}): there is no such key{}",
        hint.as_ref().map_or(String::new(), |hint| format!("; {hint}"))
    )]
    Unknown {
        /// Key or variable, as the user wrote it.
        key: String,
        /// Value, as the user wrote it.
        value: String,
        /// Origin of the value.
        origin: String,
        /// Advice on the key.
        hint: Option<Hint>,
    },
    /// The value has the wrong type, is out of range, or contradicts another.
    #[error("{key} = {value} ({origin}): {right}")]
    Refused {
        /// Key.
        key: String,
        /// Refused value.
        value: String,
        /// Origin of the value.
        origin: String,
        /// Valid values, or how to resolve the contradiction.
        right: String,
    },
    /// Valid layers cannot be merged, which is a defect of the program.
    #[error("the configuration cannot be merged: {reason}")]
    Merge {
        /// Error of the merge.
        reason: String,
    },
}

/// Advice on a key that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// The most similar key or variable.
    Similar(String),
    /// Reason for the removal of a key that earlier versions had.
    Removed(&'static str),
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Similar(key) => write!(f, "did you mean {key}?"),
            Self::Removed(reason) => f.write_str(reason),
        }
    }
}

/// Replacement for a secret in output.
const MASK: &str = "***";

/// Formats a value for display. Masks the user and password of a URL, and the value of a secret
/// key.
pub(super) fn shown(key: &str, value: &Value) -> String {
    let text = value.to_string();
    if is_secret(key) && value.as_str() != Some("") {
        return format!("\"{MASK}\"");
    }
    let text = match credentials(key, &text) {
        Some((start, end)) => format!("{}{MASK}{}", &text[..start], &text[end..]),
        None => text,
    };
    without_secret_parameters(&text)
}

/// Whether [`shown`] masks a part of this value.
pub(super) fn hides(key: &str, value: &Value) -> bool {
    shown(key, value) != value.to_string()
}

/// Whether this value was masked by [`shown`].
pub(super) fn is_masked(key: &str, value: &Value) -> bool {
    let Some(text) = value.as_str() else {
        return false;
    };
    let masked = |(start, end)| &text[start..end] == MASK;
    is_secret(key) && text == MASK || credentials(key, text).is_some_and(masked)
}

/// Whether a key or variable with this name holds a secret.
fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let words = ["passw", "secret", "token"];
    words.iter().any(|word| key.contains(word))
}

/// Returns the range of the user and password in a URL, also in a refused URL without a scheme.
fn credentials(key: &str, text: &str) -> Option<(usize, usize)> {
    let is_url = || key.to_lowercase().ends_with("url");
    let scheme = text.find("://").map(|at| at + "://".len());
    let start = scheme.or_else(|| is_url().then(|| usize::from(text.starts_with('"'))))?;
    // The last `@`: the password of a refused URL may hold unescaped characters.
    let end = text[start..].rfind('@')?;
    Some((start, start + end))
}

/// Masks parameters such as `?password=…`, which some Redis clients support. A node refuses them.
fn without_secret_parameters(text: &str) -> String {
    let Some((address, query)) = text.split_once('?').filter(|_| text.contains("://")) else {
        return text.to_owned();
    };
    let parameters = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, value)) if is_secret(name) => {
                let quote = if value.ends_with('"') { "\"" } else { "" };
                format!("{name}={MASK}{quote}")
            }
            _ => parameter.to_owned(),
        });
    format!("{address}?{}", parameters.collect::<Vec<_>>().join("&"))
}
