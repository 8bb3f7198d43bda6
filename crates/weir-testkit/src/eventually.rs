//! Waiting for conditions in other processes.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

/// Interval of the probes.
const PERIOD: Duration = Duration::from_millis(20);

/// Polls `probe` at once and then every 20 ms; returns its first value.
///
/// Only for conditions without a signal: another process's metrics, a child's memory, a socket of
/// the kernel. Write a condition as `condition.then_some(())`.
///
/// # Panics
/// `deadline` passes first, also during a call of `probe`. The message contains `what`.
pub async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let polling = async {
        let mut tick = interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Some(value) = probe().await {
                return value;
            }
        }
    };
    match timeout(deadline, polling).await {
        Ok(value) => value,
        Err(_) => panic!("not within {deadline:?}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn polls_until_there_is_a_value() {
        let mut probes = 0;
        let seen = eventually("the third probe", Duration::from_secs(1), async || {
            probes += 1;
            (probes == 3).then_some(probes)
        });
        assert_eq!(seen.await, 3);
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "not within 1s: the impossible")]
    async fn deadline_interrupts_a_probe() {
        eventually("the impossible", Duration::from_secs(1), async || {
            std::future::pending::<Option<()>>().await
        })
        .await;
    }
}
