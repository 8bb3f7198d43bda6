//! Requests of one connection that are not answered yet.

use std::{collections::VecDeque, time::Duration};

use weir_core::Quota;
use weir_protocol::{Code, Fault, Limits, Request};

/// Job of a session.
#[derive(Debug)]
pub(super) enum Job {
    /// Handle a request.
    Answer {
        /// Event of the request.
        event: Box<str>,
        request: Request,
        /// Id of the requested acknowledgement.
        ack: Option<i64>,
    },
    /// Leave the room, since the connection is gone.
    Leave,
}

/// Jobs of a connection, which are handled one at a time.
#[derive(Debug)]
pub(super) struct Queue {
    quota: Quota,
    jobs: VecDeque<Job>,
    /// Capacity.
    limit: usize,
    /// Whether a consumer handles the jobs.
    running: bool,
    /// Whether the connection is gone, so that no job is added.
    closed: bool,
}

impl Queue {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            quota: Quota::requests(limits),
            jobs: VecDeque::new(),
            limit: limits.request_burst.max(1) as usize,
            running: false,
            closed: false,
        }
    }

    /// Admits a request, within the capacity and the connection's quota.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(super) fn admit(&mut self, now: Duration) -> Result<(), Fault> {
        if self.jobs.len() >= self.limit {
            let limit = self.limit;
            let message = format!("requests: {limit} wait for their answers, which is the limit");
            return Err(Fault::new(Code::RateLimited, message));
        }
        Ok(self.quota.take(now, 1)?)
    }

    /// Adds a job. Returns true if the caller must start a consumer.
    #[must_use]
    pub(super) fn push(&mut self, job: Job) -> bool {
        if self.closed {
            return false;
        }
        self.closed = matches!(job, Job::Leave);
        self.jobs.push_back(job);
        !std::mem::replace(&mut self.running, true)
    }

    /// Removes the next job. `None` ends the consumer.
    pub(super) fn pop(&mut self) -> Option<Job> {
        let job = self.jobs.pop_front();
        if job.is_none() {
            self.running = false;
            self.jobs = VecDeque::new();
        }
        job
    }
}
