//! What one connection has asked for and not yet been answered, in order.

use std::{collections::VecDeque, time::Duration};

use weir_core::Quota;
use weir_protocol::{Code, Fault, Limits, Request};

/// Something that a session has to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Answer a request.
    Answer {
        /// The request's event.
        event: Box<str>,
        request: Request,
        /// The acknowledgement's number, if one is wanted.
        ack: Option<i64>,
    },
    /// Leave, since the connection is gone.
    Leave,
}

/// A connection's requests, of which one is handled at a time.
#[derive(Debug)]
pub(crate) struct Queue {
    quota: Quota,
    jobs: VecDeque<Job>,
    /// How many may wait.
    limit: usize,
    /// Somebody takes the jobs out, until there is none.
    running: bool,
    /// The connection is gone: nothing more is taken in.
    closed: bool,
}

impl Queue {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            quota: Quota::requests(limits),
            jobs: VecDeque::new(),
            limit: limits.request_burst.max(1) as usize,
            running: false,
            closed: false,
        }
    }

    /// Takes a request out of the connection's quota.
    pub(crate) fn admit(&mut self, now: Duration) -> Result<(), Fault> {
        if self.jobs.len() >= self.limit {
            let limit = self.limit;
            let message = format!("requests: {limit} wait for their answers, which is the limit");
            return Err(Fault::new(Code::RateLimited, message));
        }
        Ok(self.quota.take(now, 1)?)
    }

    /// Adds a job. True if the caller is to take the jobs out, since nobody does so yet.
    #[must_use]
    pub(crate) fn push(&mut self, job: Job) -> bool {
        if self.closed {
            return false;
        }
        self.closed = matches!(job, Job::Leave);
        self.jobs.push_back(job);
        !std::mem::replace(&mut self.running, true)
    }

    /// The next job. After `None` the caller no longer takes the jobs out.
    pub(crate) fn pop(&mut self) -> Option<Job> {
        let job = self.jobs.pop_front();
        if job.is_none() {
            self.running = false;
            self.jobs = VecDeque::new();
        }
        job
    }
}
