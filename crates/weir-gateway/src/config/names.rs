//! Names of keys, and suggestions for unknown names.

use super::error::Hint;
use super::rules::{KEYS, Rule};

/// Prefix of the variables.
pub(super) const PREFIX: &str = "WEIR_";

/// Keys that earlier versions had, with what to do about each.
const REMOVED: &[(&str, &str)] = &[(
    "redis.batch_ms",
    "batching was removed and nothing replaces it; delete the key",
)];

/// Returns the rule of a key, or `None` if there is no such key.
pub(super) fn rule(key: &str) -> Option<&'static Rule> {
    KEYS.iter()
        .find(|(known, _)| *known == key)
        .map(|(_, rule)| rule)
}

/// Whether a section has this name.
pub(super) fn is_section(name: &str) -> bool {
    KEYS.iter().any(|(key, _)| split(key).0 == name)
}

/// Splits a key into its section and its name, which is empty without a section.
pub(super) fn split(key: &str) -> (&str, &str) {
    key.split_once('.').unwrap_or((key, ""))
}

/// Returns the variable of a key: `WEIR_LIMITS__CHUNK_BYTES` for `limits.chunk_bytes`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replacen('.', "__", 1).to_uppercase())
}

/// Returns the key that this variable sets.
pub(super) fn of_variable(name: &str) -> Option<&'static str> {
    let mut keys = KEYS.iter().map(|(known, _)| *known);
    keys.find(|known| variable(known) == name)
}

/// Returns the key that a variable names without its section, given without the prefix: `LISTEN`,
/// or `LISTENS` as a typo.
pub(super) fn of_tail(rest: &str) -> Option<&'static str> {
    let tail = rest.to_lowercase();
    let mut keys = KEYS.iter().map(|(known, _)| *known);
    let is_near = |name: &str| {
        // In a short name, one edit makes another word.
        let edits = usize::from(name.len() > 5);
        strsim::damerau_levenshtein(name, &tail) <= edits
    };
    let exact = keys.clone().find(|known| split(known).1 == tail);
    exact.or_else(|| keys.find(|known| is_near(split(known).1)))
}

/// Returns the advice on an unknown key. `show` formats the suggested key.
pub(super) fn hint(key: &str, show: impl Fn(&str) -> String) -> Option<Hint> {
    let removed = REMOVED.iter().find(|(removed, _)| *removed == key);
    match removed {
        Some((_, reason)) => Some(Hint::Removed(reason)),
        None => nearest(key).map(|near| Hint::Similar(show(near))),
    }
}

/// Returns the known key that is most similar to this one, if one is similar enough.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    let name = key.rsplit('.').next().unwrap_or(key);
    let joined = key.replace('.', "_");
    KEYS.iter()
        .map(|(known, _)| {
            let known_name = split(known).1;
            let whole = strsim::damerau_levenshtein(known, key);
            // The right name in the wrong section, or in none.
            let elsewhere = strsim::damerau_levenshtein(known_name, name) + 1;
            // A name whose first word was taken for a section, as in `ops.listen`.
            let divided = strsim::damerau_levenshtein(known_name, &joined);
            (whole.min(elsewhere).min(divided), *known)
        })
        .filter(|(distance, _)| *distance <= 1 + name.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Whether Kubernetes may have set this variable, given without its prefix, for a Service named
/// `weir-…` (`WEIR_ROOMS_SERVICE_HOST`, `WEIR_ROOMS_PORT_80_TCP_ADDR`). Such a Service must not keep a
/// node from starting.
pub(super) fn is_service_link(rest: &str) -> bool {
    rest.ends_with("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT")
        || rest.ends_with("_PORT")
        || rest.split_once("_PORT_").is_some_and(|(_, port)| {
            port.split('_')
                .next()
                .is_some_and(|digits| digits.parse::<u16>().is_ok())
        })
}
