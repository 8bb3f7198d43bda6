//! Contract of a backend, as test cases.
//!
//! The tests of a backend implement [`Backend`] and name it in
//! [`contract_suite!`](crate::contract_suite), which makes a test of each case. A case panics if the
//! backend violates it. A backend may call inboxes and sinks later, from another task: every case
//! awaits what must arrive, and shows that something does not arrive by what follows it.

#![allow(missing_docs, reason = "a case's name says what it shows")]

pub mod bus;
pub mod expiry;
pub mod limits;
pub mod members;
pub mod rooms;
pub mod simulation;
pub mod state;
mod support;
pub mod tracks;
pub mod watches;

pub use support::{Recorder, View};

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use crate::{Bus, Directory, Inbox};

/// Options of a store.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// Time until a room without members expires.
    pub empty_ttl: Duration,
    /// Maximum number of rooms.
    pub max_rooms: usize,
    /// Maximum size of a room's state as JSON, in bytes.
    pub room_state_bytes: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            empty_ttl: Duration::from_secs(30),
            max_rooms: 1_000,
            room_state_bytes: 64 * 1024,
        }
    }
}

/// Factory of stores of one kind.
pub trait Backend: Send + Sync {
    /// Creates an empty store.
    fn store(&self, options: StoreOptions) -> BoxFuture<'_, Arc<dyn SharedStore>>;
}

/// Store that the nodes of one cluster share.
pub trait SharedStore: Send + Sync {
    /// Returns the directory of a new node.
    fn directory(&self, inbox: Arc<dyn Inbox>) -> BoxFuture<'_, Arc<dyn Directory>>;

    /// Returns the bus of a new node.
    fn bus(&self) -> BoxFuture<'_, Arc<dyn Bus>>;

    /// Advances the time of the rooms.
    fn advance(&self, by: Duration) -> BoxFuture<'_, ()>;
}

/// Makes a test of each case: `contract_suite!(#[tokio::test] MyBackend::new());`
///
/// With `directory` or `bus` before the attributes, it makes the cases of one port. The directory's
/// are then those of every backend: only a backend in memory limits the number of rooms and reports
/// their expiry.
#[macro_export]
macro_rules! contract_suite {
    (directory: $(#[$attribute:meta])+ $backend:expr $(;)?) => {
        $crate::contract_suite! { @module [$(#[$attribute])+] $backend, rooms,
            a_created_room_exists_for_every_node,
            a_room_is_created_once,
            one_of_many_creators_succeeds,
            a_missing_room_is_not_found,
        }
        $crate::contract_suite! { @module [$(#[$attribute])+] $backend, members,
            joining_returns_the_room_after_it,
            joining_creates_a_missing_room_if_asked_to,
            concurrent_creating_joins_share_one_room,
            joining_again_changes_nothing,
            only_the_owner_of_a_seat_writes,
            a_full_room_refuses_members,
            concurrent_joins_fill_the_room_exactly,
            updates_change_only_the_given_fields,
            leaving_removes_the_members_tracks,
            operations_of_missing_members_fail,
        }
        $crate::contract_suite! { @module [$(#[$attribute])+] $backend, tracks,
            track_ids_are_never_reused,
            updates_change_only_the_given_fields,
            only_the_owner_changes_a_track,
            tracks_are_limited_per_member,
            concurrent_publications_stay_within_the_limit,
        }
        $crate::contract_suite! { @module [$(#[$attribute])+] $backend, state,
            every_growth_of_the_state_is_limited,
            a_join_counts_its_whole_answer,
            a_refused_join_creates_no_room,
            refused_operations_have_no_effect,
            the_recorded_size_is_that_of_the_snapshot,
        }
        $crate::contract_suite! { @module [$(#[$attribute])+] $backend, watches,
            every_node_sees_the_same_events_in_order,
            a_snapshot_and_later_events_are_the_room,
            a_dropped_watch_receives_no_more_events,
            two_watches_receive_each_event_once,
        }
        $crate::contract_suite! { @module [$(#[$attribute])+] $backend, simulation,
            nodes_agree,
        }
    };
    (bus: $(#[$attribute:meta])+ $backend:expr $(;)?) => {
        $crate::contract_suite! { @module [$(#[$attribute])+] $backend, bus,
            chunks_keep_their_order,
            a_node_receives_no_chunk_of_its_own,
            a_dropped_subscription_receives_no_more_chunks,
            each_subscription_receives_each_chunk_once,
            tracks_of_different_rooms_have_separate_channels,
            signals_reach_the_other_nodes_in_order,
            a_node_that_stops_listening_receives_no_more_signals,
            each_listener_of_a_node_receives_each_signal_once,
            interest_is_known_after_the_first_publication,
        }
    };
    ($(#[$attribute:meta])+ $backend:expr $(;)?) => {
        $crate::contract_suite!(directory: $(#[$attribute])+ $backend);
        $crate::contract_suite!(bus: $(#[$attribute])+ $backend);
        $crate::contract_suite! { @module [$(#[$attribute])+] $backend, limits,
            rooms_are_limited,
        }
        $crate::contract_suite! { @module [$(#[$attribute])+] $backend, expiry,
            a_room_that_nobody_joins_expires,
            joining_keeps_a_room,
            each_room_expires_at_its_time,
            a_room_created_again_has_its_own_time,
            joining_at_the_last_moment_finds_the_room_or_none,
            a_watch_may_come_before_its_room_and_outlive_it,
            nodes_agree_while_time_passes,
        }
    };
    (@module $attributes:tt $backend:expr, $module:ident, $($case:ident),+ $(,)?) => {
        mod $module {
            use super::*;

            $($crate::contract_suite!(@case $attributes $backend, $module, $case);)+
        }
    };
    (@case [$($attribute:tt)+] $backend:expr, $module:ident, $case:ident) => {
        $($attribute)+
        async fn $case() {
            $crate::contract::$module::$case(&$backend).await;
        }
    };
}
