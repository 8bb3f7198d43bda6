//! State of a polling client's upgrade, shared with its polling requests.
//!
//! While the client probes its WebSocket, polling continues. Once the probe is answered, the client
//! waits for its pending request to end before it upgrades. So a request that no packet arrives for
//! is answered with NOOP: the first at once, later ones with a backoff. Without the backoff, a lost
//! probe answer would make the client poll in a loop.
//!
//! Source: Engine.IO protocol, revision 4, "Upgrade".

use std::time::Duration;

use parking_lot::Mutex;
use tokio::{
    pin,
    sync::Notify,
    time::{Instant, timeout_at},
};

/// Initial backoff, between the first and the second NOOP of one upgrade. A client that polls again
/// got its NOOP before the probe's answer, and upgrades after the next one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Maximum backoff between two NOOPs.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Upgrade state of one session.
#[derive(Debug, Default)]
pub(crate) struct UpgradeState {
    /// Guards the state; never held across an await.
    state: Mutex<State>,
    /// Notification of a change of the state.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    probing: bool,
    /// Next NOOP, while an answered probe is open.
    next: Option<NextNoop>,
    /// Whether the session has ended.
    ended: bool,
}

#[derive(Debug, Clone, Copy)]
struct NextNoop {
    due: Instant,
    /// Backoff after this NOOP.
    pause: Duration,
}

impl UpgradeState {
    /// Begins a probe. Returns false if one is open, or the session has ended.
    pub(crate) fn begin(&self) -> bool {
        let mut state = self.state.lock();
        let free = !state.probing && !state.ended;
        state.probing |= free;
        free
    }

    /// Records that the probe was answered: pending requests may end.
    pub(crate) fn answered(&self) {
        let mut state = self.state.lock();
        if state.next.is_none() {
            state.next = Some(NextNoop {
                due: Instant::now(),
                pause: FIRST_PAUSE,
            });
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Ends the probe, successful or not.
    pub(crate) fn finish(&self) {
        let mut state = self.state.lock();
        state.probing = false;
        state.next = None;
        drop(state);
        self.changed.notify_waiters();
    }

    /// Records that the session has ended.
    pub(crate) fn end(&self) {
        self.state.lock().ended = true;
        self.changed.notify_waiters();
    }

    /// Waits until the session ends.
    pub(crate) async fn ended(&self) {
        loop {
            let changed = self.changed.notified();
            pin!(changed);
            changed.as_mut().enable();
            if self.state.lock().ended {
                return;
            }
            changed.await;
        }
    }

    /// Waits until a pending request is due for NOOP.
    pub(crate) async fn noop(&self) {
        loop {
            let changed = self.changed.notified();
            pin!(changed);
            changed.as_mut().enable();
            let due = self.state.lock().next.map(|next| next.due);
            match due {
                None => changed.await,
                Some(due) => {
                    if timeout_at(due, changed).await.is_err() && self.take_noop() {
                        return;
                    }
                }
            }
        }
    }

    /// Consumes the NOOP that is due, and schedules the next one.
    fn take_noop(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        let Some(next) = state.next.as_mut().filter(|next| next.due <= now) else {
            return false;
        };
        next.due = now + next.pause;
        next.pause = LONGEST_PAUSE.min(2 * next.pause);
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// Counts the NOOPs within this time for a client that polls again at once.
    async fn noops(upgrade: &UpgradeState, time: Duration) -> usize {
        let until = Instant::now() + time;
        let mut count = 0;
        while timeout_at(until, upgrade.noop()).await.is_ok() {
            count += 1;
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn noops_back_off_from_the_answer_to_the_end_of_the_probe() {
        let upgrade = UpgradeState::default();
        assert_eq!(noops(&upgrade, Duration::from_secs(60)).await, 0);
        assert!(upgrade.begin());
        assert!(!upgrade.begin(), "there is one at a time");
        assert_eq!(noops(&upgrade, Duration::from_secs(60)).await, 0);
        upgrade.answered();
        assert_eq!(noops(&upgrade, Duration::from_millis(1)).await, 1);
        assert_eq!(noops(&upgrade, Duration::from_secs(1)).await, 2);
        assert_eq!(noops(&upgrade, Duration::from_secs(60)).await, 30);
        upgrade.finish();
        assert_eq!(noops(&upgrade, Duration::from_secs(60)).await, 0);
        assert!(upgrade.begin());
    }

    #[tokio::test(start_paused = true)]
    async fn pending_requests_are_notified_of_the_answer_and_of_the_end() {
        let upgrade = UpgradeState::default();
        assert!(upgrade.begin());
        let (pending, ()) = tokio::join!(timeout(Duration::from_secs(1), upgrade.noop()), async {
            upgrade.answered();
        });
        assert_eq!(pending, Ok(()));
        let (ended, ()) = tokio::join!(timeout(Duration::from_secs(1), upgrade.ended()), async {
            upgrade.end();
        });
        assert_eq!(ended, Ok(()));
        upgrade.finish();
        assert!(!upgrade.begin(), "the session is over");
    }
}
