//! The behaviour that every backend must show, as test cases.
//!
//! A backend's tests implement [`Backend`] and name it in [`contract_suite!`](crate::contract_suite),
//! which makes a test of each case. The cases panic at what a backend does wrong. They work with
//! backends that tell their inboxes later, from another task: nothing is expected to have arrived
//! without being awaited, and that something does not arrive is shown by what comes after it.

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

/// How a case wants its store.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// How long a room without members is kept.
    pub empty_ttl: Duration,
    /// The most rooms at a time.
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

/// What makes stores of one kind.
pub trait Backend: Send + Sync {
    /// A new, empty store.
    fn store(&self, options: StoreOptions) -> BoxFuture<'_, Arc<dyn SharedStore>>;
}

/// What the nodes of one cluster share.
pub trait SharedStore: Send + Sync {
    /// The directory of a new node.
    fn directory(&self, inbox: Arc<dyn Inbox>) -> BoxFuture<'_, Arc<dyn Directory>>;

    /// The bus of a new node.
    fn bus(&self) -> BoxFuture<'_, Arc<dyn Bus>>;

    /// Lets so much time pass for the rooms, or makes them believe it.
    fn advance(&self, by: Duration) -> BoxFuture<'_, ()>;
}

/// Makes a test of each case: `contract_suite!(#[tokio::test] MyBackend::new());`
///
/// With `directory` or `bus` before the attributes, of the cases of one port alone; of the
/// directory's those that every backend must show. Only one that keeps its rooms in its own memory
/// limits their number and tells that one has expired.
#[macro_export]
macro_rules! contract_suite {
    (directory: $(#[$attribute:meta])+ $backend:expr $(;)?) => {
        $crate::contract_suite! { @module [$(#[$attribute])+] $backend, rooms,
            a_created_room_is_there_for_every_node,
            a_room_is_created_once,
            one_of_many_creates_a_room,
            a_missing_room_is_not_found,
        }
        $crate::contract_suite! { @module [$(#[$attribute])+] $backend, members,
            joining_answers_with_the_room_after_it,
            joining_creates_a_missing_room_if_asked_to,
            everybody_who_creates_by_joining_is_in_one_room,
            joining_again_changes_nothing,
            only_the_owner_of_a_seat_writes,
            a_full_room_takes_nobody,
            of_many_as_many_join_as_fit,
            updates_change_what_they_give,
            leaving_takes_the_tracks_along,
            who_is_not_there_can_do_nothing,
        }
        $crate::contract_suite! { @module [$(#[$attribute])+] $backend, tracks,
            ids_are_never_used_again,
            updates_change_what_they_give,
            only_the_owner_changes_a_track,
            tracks_are_limited_per_member,
            who_publishes_at_once_stays_within_the_limit,
        }
        $crate::contract_suite! { @module [$(#[$attribute])+] $backend, state,
            the_state_is_limited_whatever_makes_it_longer,
            a_room_at_the_limit_is_answered_within_it,
            a_join_that_is_refused_creates_no_room,
            who_is_refused_leaves_no_trace,
            the_count_is_the_length_of_the_snapshot,
        }
        $crate::contract_suite! { @module [$(#[$attribute])+] $backend, watches,
            every_node_sees_the_same_events_in_order,
            a_snapshot_and_later_events_are_the_room,
            an_end_of_a_watch_is_an_end_of_events,
            two_watches_tell_once,
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
            a_room_that_nobody_joins_goes,
            joining_keeps_a_room,
            each_room_goes_at_its_time,
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
