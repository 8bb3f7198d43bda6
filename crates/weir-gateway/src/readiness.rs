//! Readiness of a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Reasons against readiness, each with an optional cause.
type Reasons = BTreeMap<&'static str, Option<Arc<str>>>;

/// Readiness of a node: whether it accepts clients. Clones share it.
///
/// A node is ready while there is no reason against it.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    /// Guards the current reasons against readiness.
    against: Arc<Mutex<Reasons>>,
}

impl Readiness {
    /// Creates the state of a node that is ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes (`ready`) or adds (not `ready`) one reason against readiness, such as `"starting"`.
    pub fn set_ready(&self, ready: bool, reason: &'static str) {
        if ready {
            self.against.lock().remove(reason);
        } else {
            self.against.lock().insert(reason, None);
        }
    }

    /// Adds a reason against readiness with its cause, which `/readyz` appends to it.
    pub fn set_cause(&self, reason: &'static str, cause: &Arc<str>) {
        self.against.lock().insert(reason, Some(Arc::clone(cause)));
    }

    /// Whether there is no reason against readiness.
    pub fn is_ready(&self) -> bool {
        self.against.lock().is_empty()
    }

    /// Returns the reasons against readiness in alphabetical order, as `reason` or `reason: cause`;
    /// none when the node is ready.
    pub fn reasons(&self) -> Vec<String> {
        let against = self.against.lock();
        let reasons = against.iter().map(|(reason, cause)| match cause {
            Some(cause) => format!("{reason}: {cause}"),
            None => (*reason).to_owned(),
        });
        reasons.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_ready_while_there_is_no_reason_against_it() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready());
        readiness.set_ready(false, "starting");
        readiness.set_ready(false, "stopping");
        readiness.set_ready(false, "starting");
        assert_eq!(readiness.reasons(), ["starting", "stopping"]);
        readiness.clone().set_ready(true, "starting");
        assert_eq!(readiness.reasons(), ["stopping"]);
        assert!(!readiness.is_ready());
        readiness.set_ready(true, "stopping");
        assert!(readiness.is_ready());
        readiness.set_cause("redis", &"NOPERM".into());
        readiness.set_cause("redis", &"NOAUTH".into());
        assert_eq!(readiness.reasons(), ["redis: NOAUTH"]);
        readiness.set_ready(true, "redis");
        assert!(readiness.is_ready());
    }
}
