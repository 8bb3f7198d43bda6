//! Effective values with their origins.

use std::collections::BTreeMap;

use toml::Value;

/// Effective value of every key.
pub(super) type EffectiveValues = BTreeMap<&'static str, Stated>;

/// Value as the user wrote it, with its origin.
#[derive(Debug)]
pub(super) struct Stated {
    pub(super) value: Value,
    pub(super) origin: String,
}
