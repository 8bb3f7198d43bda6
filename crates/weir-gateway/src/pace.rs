//! A node that does what it need not do at once a few times a second instead of a thousand.
//!
//! With some hundred chunks a second most of a node's work is being woken: by each chunk of its
//! clients, by each answer of Redis, by each chunk of another node. A paced node that was just awake
//! sleeps over what comes next, and does all of it at a moment that it shares with the other nodes.
//! One that has had nothing to do for a while is woken at once.

use std::{cell::Cell, time::Duration};

use tokio::runtime::Builder;
use weir_cluster::Window;

thread_local! {
    /// When this thread may be woken again, since the Unix epoch.
    static NEXT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// How far into a window a node looks at what the others have sent at its beginning: a fifth of it,
/// in which they and Redis have done so.
const ECHO: u32 = 5;

/// Has the threads of a runtime woken twice in a window of `length` at the most: at its beginning,
/// and a fifth of it later. Does nothing if it is 0.
pub fn pace(runtime: &mut Builder, length: Duration) {
    let Some(window) = Window::new(length) else {
        return;
    };
    runtime.on_thread_park(move || {
        let left = NEXT.get().saturating_sub(Window::now());
        // Longer only after the clock was set back.
        if !left.is_zero() && left <= length {
            // The one place that sleeps over what happens, which is its purpose.
            #[allow(clippy::disallowed_methods)]
            std::thread::sleep(left);
        }
    });
    runtime.on_thread_unpark(move || NEXT.set(next(window, Window::now())));
}

/// When a thread that is awake `now` may be woken again.
fn next(window: Window, now: Duration) -> Duration {
    let beginning = window.until(now, Duration::ZERO);
    let echo = window.until(now, window.length() / ECHO);
    now + beginning.min(echo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_woken_at_the_beginning_of_a_window_and_for_what_comes_back() {
        let window = Window::new(Duration::from_millis(15)).expect("it is not 0");
        let at = |millis| next(window, Duration::from_millis(millis)).as_millis();
        assert_eq!([at(0), at(2), at(3), at(14), at(15)], [3, 3, 15, 15, 18]);
    }
}
