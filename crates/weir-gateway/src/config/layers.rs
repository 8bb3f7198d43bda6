//! Layers: the values of a file, of the environment and of flags, with their origins.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use ::config::{ConfigError as LayerError, Source, Value as LayerValue, ValueKind};
use toml::{Table, Value};

use super::error::{Hint, Problem, shown};
use super::names::{self, PREFIX};
use super::rules::Rule;
use super::sections::Config;

/// Variable that names the file, as `--config` does.
const FILE_VARIABLE: &str = "WEIR_CONFIG";

/// Command-line flag that sets a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Name, such as `--listen`.
    pub name: &'static str,
    /// Key, such as `server.listen`.
    pub key: &'static str,
    /// Value, not validated yet.
    pub value: String,
}

/// Value of a layer, with its origin.
#[derive(Debug, Clone)]
pub(super) struct LayerEntry {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) origin: String,
}

/// Values from one source.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer(pub(super) Vec<LayerEntry>);

impl Layer {
    /// Returns the default of every key.
    pub(super) fn defaults() -> Self {
        let table = Table::try_from(Config::default())
            .expect("every type of the configuration has a form in TOML");
        Self::of_table(&table, "default")
    }

    /// Reads the values of a file, whose names and types are not validated yet.
    pub(super) fn file(path: &Path, named_by: &str) -> Result<Self, Problem> {
        // `weir config` prints the path in a comment of one line.
        let shown = path.display().to_string().escape_debug().to_string();
        let problem = |reason| Problem::File {
            path: shown.clone(),
            origin: named_by.to_owned(),
            reason,
        };
        let text = fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
        let table = text
            .parse::<Table>()
            .map_err(|error| problem(error.to_string()))?;
        Ok(Self::of_table(&table, &format!("file {shown}")))
    }

    /// Returns the values of flags.
    pub(super) fn flags(flags: &[Flag]) -> Self {
        let entry = |flag: &Flag| LayerEntry {
            key: flag.key.to_owned(),
            value: parse(flag.key, &flag.value),
            origin: flag.name.to_owned(),
        };
        Self(flags.iter().map(entry).collect())
    }

    /// Returns the origin of each key.
    pub(super) fn origins(&self) -> HashMap<String, String> {
        let origin = |entry: &LayerEntry| (entry.key.clone(), entry.origin.clone());
        self.0.iter().map(origin).collect()
    }

    fn of_table(table: &Table, origin: &str) -> Self {
        let mut layer = Self::default();
        layer.flatten("", table, origin);
        layer
    }

    fn flatten(&mut self, path: &str, table: &Table, origin: &str) {
        for (name, value) in table {
            let key = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            match value {
                Value::Table(inner) if !inner.is_empty() => self.flatten(&key, inner, origin),
                // An empty section has no effect, unless its name is unknown.
                Value::Table(_) if names::is_section(&key) => {}
                _ => {
                    let origin = origin.to_owned();
                    self.0.push(LayerEntry {
                        key,
                        value: value.clone(),
                        origin,
                    });
                }
            }
        }
    }
}

/// Source for the `config` crate, which merges the layers.
impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<HashMap<String, LayerValue>, LayerError> {
        let merged = |entry: &LayerEntry| {
            let kind = match &entry.value {
                Value::Integer(number) => ValueKind::I64(*number),
                Value::Boolean(switch) => ValueKind::Boolean(*switch),
                Value::String(text) => ValueKind::String(text.clone()),
                // The rules allow lists of text only.
                Value::Array(list) => {
                    let texts = list.iter().filter_map(Value::as_str);
                    let texts = texts.map(|text| LayerValue::new(Some(&entry.origin), text));
                    ValueKind::Array(texts.collect())
                }
                other => {
                    let kind = other.type_str();
                    return Err(LayerError::Message(format!("{} is a {kind}", entry.key)));
                }
            };
            let value = LayerValue::new(Some(&entry.origin), kind);
            Ok((entry.key.clone(), value))
        };
        self.0.iter().map(merged).collect()
    }
}

/// Values from the environment.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Configuration file, with the variable that names it.
    pub(super) file: Option<(PathBuf, &'static str)>,
    pub(super) layer: Layer,
    pub(super) problems: Vec<Problem>,
}

impl Environment {
    /// Reads the variables with the prefix `WEIR_`.
    ///
    /// `WEIR_SECTION__KEY` sets a key, in capitals, and is refused if there is no such key. A
    /// variable without the double underscore is refused if it starts with a section's name or
    /// matches a key's name. Otherwise `WEIR_SERVER_LISTEN` or `WEIR_LISTEN` would silently have no
    /// effect. Other variables are ignored.
    pub(super) fn read(variables: &[(OsString, OsString)]) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            let Some(rest) = name.strip_prefix(PREFIX) else {
                // A lowercase name would be ignored as well.
                if let Some(key) = names::of_variable(&name.to_uppercase()) {
                    environment.unknown(name.to_owned(), Some(similar(key)), value);
                }
                continue;
            };
            let name = name.to_owned();
            if name == FILE_VARIABLE {
                environment.file = Some((PathBuf::from(value), FILE_VARIABLE));
            } else if let Some((section, key)) = rest.split_once("__") {
                environment.add(name, &format!("{section}.{key}").to_lowercase(), value);
            } else if names_section(rest) {
                let key = rest.to_lowercase().replacen('_', ".", 1);
                // The name of a section alone, as in WEIR_LOG=debug, is similar to no key.
                let is_level = key == "log" || key == "log.level";
                let hint = names::hint(&key, names::variable);
                let hint = hint.or_else(|| is_level.then(|| similar("log.filter")));
                environment.unknown(name, hint, value);
            } else if rest.starts_with("CONFIG") {
                let hint = Hint::Similar(FILE_VARIABLE.to_owned());
                environment.unknown(name, Some(hint), value);
            } else if let Some(key) = names::of_tail(rest)
                && (rest.contains('_') || sets(key, value))
            {
                environment.unknown(name, Some(similar(key)), value);
            }
        }
        environment
    }

    fn add(&mut self, name: String, key: &str, value: &OsString) {
        // Capitals only: otherwise a key could be set twice, in two spellings.
        if names::rule(key).is_none() || name != names::variable(key) {
            self.unknown(name, names::hint(key, names::variable), value);
            return;
        }
        let origin = format!("env {name}");
        let value = match value.to_str() {
            Some(text) => parse(key, text),
            // Not Unicode: every rule refuses a list of this form, and the error shows it.
            None => Value::Array(vec![Value::String(value.to_string_lossy().into_owned())]),
        };
        self.layer.0.push(LayerEntry {
            key: key.to_owned(),
            value,
            origin,
        });
    }

    fn unknown(&mut self, name: String, hint: Option<Hint>, value: &OsString) {
        let value = Value::String(value.to_string_lossy().into_owned());
        self.problems.push(Problem::Unknown {
            value: shown(&name, &value),
            key: name,
            origin: "environment".to_owned(),
            hint,
        });
    }
}

/// Whether a variable without `__`, given without its prefix, starts with a section's name.
fn names_section(rest: &str) -> bool {
    let section = rest.split('_').next().unwrap_or(rest).to_lowercase();
    names::is_section(&section) && !names::is_service_link(rest)
}

/// Whether a variable with the name of this key, without a section, sets this key. Many clients
/// read a node's address from `WEIR_URL`; it is a Redis URL only if its value is one.
fn sets(key: &str, value: &OsString) -> bool {
    !matches!(names::rule(key), Some(Rule::Redis))
        || value.to_str().is_some_and(|text| text.starts_with("redis"))
}

/// Returns the suggestion of the variable of a known key.
fn similar(key: &str) -> Hint {
    Hint::Similar(names::variable(key))
}

fn parse(key: &str, text: &str) -> Value {
    names::rule(key).map_or_else(|| Value::String(text.to_owned()), |rule| rule.parse(text))
}
