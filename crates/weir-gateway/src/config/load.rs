//! Loads the effective configuration from its sources.

use std::ffi::OsString;
use std::path::PathBuf;

use ::config::{Config as Layered, ConfigError as LayerError, ValueKind};
use toml::Value;

use super::contradictions::contradictions;
use super::error::{ConfigError, Problem, is_masked, shown};
use super::layers::{Environment, Flag, Layer, LayerEntry};
use super::names;
use super::rules::KEYS;
use super::sections::Config;
use super::values::{EffectiveValues, Stated};

/// Sources of values. `Sources::default()` has none, which yields the defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// File of `--config`; takes precedence over the one that `WEIR_CONFIG` names.
    pub file: Option<PathBuf>,
    /// Environment of the process. Variables of other programs are ignored.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags that set a key.
    pub flags: Vec<Flag>,
}

/// Valid configuration, with the origin of each value.
#[derive(Debug)]
pub struct Effective {
    /// Typed values.
    pub config: Config,
    pub(super) values: EffectiveValues,
}

impl Sources {
    /// Reads, merges and validates all sources.
    ///
    /// # Errors
    /// With all problems: an unreadable file, unknown keys, invalid values, contradictions. A value
    /// is validated even if another source overrides it.
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

/// Returns the problems of the values of one layer, each validated alone.
fn check(layer: &Layer) -> Vec<Problem> {
    let problem = |entry: &LayerEntry| {
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
            "`weir config` replaced this secret by ***; restore it".to_owned()
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

/// Merges valid layers over the defaults. Later layers take precedence.
fn merge(layers: [Layer; 3]) -> Result<(Config, EffectiveValues), LayerError> {
    let mut builder = Layered::builder().add_source(Layer::defaults());
    let mut origins = Layer::defaults().origins();
    for layer in layers {
        origins.extend(layer.origins());
        builder = builder.add_source(layer);
    }
    let merged = builder.build()?;
    let mut values = EffectiveValues::new();
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
