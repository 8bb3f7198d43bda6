//! From sources to the effective configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use ::config::{Config as Layered, ConfigError as LayerError, ValueKind};
use toml::Value;

use super::contradictions::contradictions;
use super::error::{ConfigError, Problem, is_masked, shown};
use super::layers::{Entry, Environment, Flag, Layer};
use super::names;
use super::rules::KEYS;
use super::sections::Config;

/// Where values may come from. `Sources::default()` gives the defaults and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file of `--config`; stronger than the one that `WEIR_CONFIG` names.
    pub file: Option<PathBuf>,
    /// The variables of the process; those that are not ours are left alone.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags that set a key.
    pub flags: Vec<Flag>,
}

/// A configuration that holds, with where each of its values came from.
#[derive(Debug)]
pub struct Effective {
    /// The checked values.
    pub config: Config,
    pub(super) values: Values,
}

/// The effective value of every key.
pub(super) type Values = BTreeMap<&'static str, Stated>;

/// A value as people wrote it, and where it stands.
#[derive(Debug)]
pub(super) struct Stated {
    pub(super) value: Value,
    pub(super) origin: String,
}

impl Sources {
    /// Reads, layers and checks everything.
    ///
    /// # Errors
    /// With all that is wrong: a file that cannot be read, unknown keys, values of a wrong type,
    /// impossible values, contradictions. A value is checked even where a stronger one hides it.
    pub fn load(self) -> Result<Effective, ConfigError> {
        let environment = Environment::read(&self.environment);
        let mut problems = environment.problems;
        let named = self
            .file
            .map(|path| (path, "--config"))
            .or(environment.file);
        let file = match named.map(|(path, by)| Layer::file(&path, by)) {
            Some(Ok(layer)) => layer,
            Some(Err(problem)) => {
                problems.push(problem);
                Layer::default()
            }
            None => Layer::default(),
        };
        let layers = [file, environment.layer, Layer::flags(&self.flags)];
        problems.extend(layers.iter().flat_map(check));
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }

        let (config, values) = merge(layers).map_err(|error| ConfigError {
            problems: vec![Problem::Merge {
                reason: error.to_string(),
            }],
        })?;
        let problems = contradictions(&config, &values);
        if problems.is_empty() {
            Ok(Effective { config, values })
        } else {
            Err(ConfigError { problems })
        }
    }
}

/// What is wrong with the values of one layer, each taken alone.
fn check(layer: &Layer) -> Vec<Problem> {
    let problem = |entry: &Entry| {
        let (key, origin) = (entry.key.clone(), entry.origin.clone());
        let value = shown(&key, &entry.value);
        let Some(rule) = names::rule(&key) else {
            let hint = names::hint(&key, str::to_owned);
            return Some(Problem::Unknown {
                key,
                value,
                origin,
                hint,
            });
        };
        let right = if is_masked(&key, &entry.value) {
            "`weir config` has left a secret out here, for which *** stands; put it back".to_owned()
        } else {
            rule.check(&entry.value).err()?
        };
        Some(Problem::Refused {
            key,
            value,
            origin,
            right,
        })
    };
    layer.0.iter().filter_map(problem).collect()
}

/// Puts checked layers over the defaults, the later ones over the earlier ones.
fn merge(layers: [Layer; 3]) -> Result<(Config, Values), LayerError> {
    let mut builder = Layered::builder().add_source(Layer::defaults());
    let mut origins = Layer::defaults().origins();
    for layer in layers {
        origins.extend(layer.origins());
        builder = builder.add_source(layer);
    }
    let merged = builder.build()?;
    let mut values = Values::new();
    for (key, _) in KEYS {
        let value = match merged.get::<::config::Value>(key)?.kind {
            ValueKind::I64(number) => Value::Integer(number),
            ValueKind::Boolean(switch) => Value::Boolean(switch),
            ValueKind::Array(list) => {
                let texts = list.into_iter().map(|text| Value::String(text.to_string()));
                Value::Array(texts.collect())
            }
            other => Value::String(other.to_string()),
        };
        let origin = origins.remove(*key).unwrap_or_default();
        values.insert(*key, Stated { value, origin });
    }
    Ok((merged.try_deserialize()?, values))
}
