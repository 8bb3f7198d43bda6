//! Waiting for what happens in another process.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often [`eventually`] looks.
const PERIOD: Duration = Duration::from_millis(20);

/// Asks `probe` at once and then every 20 ms until it answers with a value, which is returned.
///
/// Only for what cannot be awaited: another process's metrics, a child's memory, a socket that the
/// kernel holds. Write a condition as `condition.then_some(())`.
///
/// # Panics
/// If `deadline` passes first, also within a call of `probe`; the message says `what` did not
/// happen.
pub async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let looking = async {
        let mut tick = interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Some(value) = probe().await {
                return value;
            }
        }
    };
    match timeout(deadline, looking).await {
        Ok(value) => value,
        Err(_) => panic!("not within {deadline:?}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looks_until_it_is_so() {
        let mut looks = 0;
        let seen = eventually("the third look", Duration::from_secs(1), async || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(seen.await, 3);
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "not within 1s: the impossible")]
    async fn gives_up_at_the_deadline_even_within_a_look() {
        eventually("the impossible", Duration::from_secs(1), async || {
            std::future::pending::<Option<()>>().await
        })
        .await;
    }
}
