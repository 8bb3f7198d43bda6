//! Both planes of one node.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use weir_cluster::NewRoom;
use weir_protocol::{Json, RoomId};
use weir_redis::{Health, RedisBus, RedisDirectory, Target};

use crate::common::{Nobody, options};

/// Deadline for a plane to become healthy.
const SOON: Duration = Duration::from_secs(30);

/// Directory and bus of a node.
pub(crate) struct Planes {
    pub(crate) directory: RedisDirectory,
    pub(crate) bus: RedisBus,
}

impl Planes {
    pub(crate) fn new(target: &Target, prefix: &str) -> Self {
        let directory = RedisDirectory::new(target, &options(prefix), Arc::new(Nobody));
        Self {
            directory: directory.expect("a valid target"),
            bus: RedisBus::new(target, prefix),
        }
    }

    /// Asserts that every connection becomes healthy. `details` explains a failure.
    pub(crate) async fn until_healthy(&self, details: impl Fn() -> String) {
        let connections = [
            ("directory", self.directory.health()),
            ("events", self.directory.hears()),
            ("subscriptions", self.bus.hears()),
            ("publishing", self.bus.publishes()),
        ];
        for (name, mut health) in connections {
            let healthy = {
                let waited = timeout(SOON, health.wait_for(Health::works));
                waited.await.is_ok()
            };
            assert!(healthy, "{name}: {:?}; {}", health.borrow(), details());
        }
    }
}

/// Returns the parameters of a room for two members.
pub(crate) fn new_room(id: &RoomId) -> NewRoom {
    NewRoom {
        id: id.clone(),
        metadata: Json::empty_object(),
        max_members: 2,
    }
}
