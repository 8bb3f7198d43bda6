//! Measures the operations of a directory.

use std::{sync::Arc, time::Instant};

use opentelemetry::{
    Context, KeyValue, context::FutureExt, global, metrics::Histogram, trace::SpanKind,
};
use weir_cluster::{
    BoxFuture, DURATION_BOUNDS, Directory, DirectoryError, Joined, NewMember, NewRoom, Watch, trace,
};
use weir_protocol::{
    Code, Fault, Json, LeaveReason, Member, MemberId, Room, RoomId, Snapshot, Track, TrackId,
    TrackSpec, TrackUpdate,
};

/// Directory that records the duration of each operation, and a span for it.
#[derive(Debug)]
pub(crate) struct ObservedDirectory {
    directory: Arc<dyn Directory>,
    duration: Histogram<f64>,
}

impl ObservedDirectory {
    pub(crate) fn new(directory: Arc<dyn Directory>) -> Self {
        let duration = global::meter(trace::SCOPE)
            .f64_histogram("weir.directory.operation.duration")
            .with_unit("s")
            .with_description("Duration of directory operations, by operation and error")
            .with_boundaries(DURATION_BOUNDS.to_vec())
            .build();
        Self {
            directory,
            duration,
        }
    }

    fn observe<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        done: BoxFuture<'a, Result<T, DirectoryError>>,
    ) -> BoxFuture<'a, Result<T, DirectoryError>> {
        Box::pin(async move {
            let start = Instant::now();
            let name = format!("directory.{operation}");
            let span = trace::start(name, SpanKind::Client, &Context::current(), Vec::new());
            let outcome = done.with_context(span.clone()).await;
            let error = outcome.as_ref().err();
            trace::end(&span, error.map(ToString::to_string));
            let mut attributes = vec![KeyValue::new("operation", operation)];
            if let Err(error) = &outcome {
                let Fault { code, .. } = error.clone().into();
                attributes.push(KeyValue::new("error.type", Code::as_str(code)));
            }
            let duration = start.elapsed().as_secs_f64();
            self.duration.record(duration, &attributes);
            outcome
        })
    }
}

impl Directory for ObservedDirectory {
    fn create(&self, room: NewRoom) -> BoxFuture<'_, Result<Room, DirectoryError>> {
        self.observe("create", self.directory.create(room))
    }

    fn join<'a>(
        &'a self,
        room: &'a RoomId,
        member: NewMember,
    ) -> BoxFuture<'a, Result<Joined, DirectoryError>> {
        self.observe("join", self.directory.join(room, member))
    }

    fn leave<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        reason: LeaveReason,
    ) -> BoxFuture<'a, Result<(), DirectoryError>> {
        self.observe("leave", self.directory.leave(room, member, reason))
    }

    fn update_member<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        name: Option<String>,
        metadata: Option<Json>,
    ) -> BoxFuture<'a, Result<Member, DirectoryError>> {
        self.observe(
            "update_member",
            self.directory.update_member(room, member, name, metadata),
        )
    }

    fn publish<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        spec: TrackSpec,
        limit: usize,
    ) -> BoxFuture<'a, Result<Track, DirectoryError>> {
        self.observe("publish", self.directory.publish(room, member, spec, limit))
    }

    fn update_track<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        track: TrackId,
        update: TrackUpdate,
    ) -> BoxFuture<'a, Result<Track, DirectoryError>> {
        self.observe(
            "update_track",
            self.directory.update_track(room, member, track, update),
        )
    }

    fn unpublish<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        track: TrackId,
    ) -> BoxFuture<'a, Result<(), DirectoryError>> {
        self.observe("unpublish", self.directory.unpublish(room, member, track))
    }

    fn snapshot<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Snapshot, DirectoryError>> {
        self.observe("snapshot", self.directory.snapshot(room))
    }

    fn watch<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Watch, DirectoryError>> {
        self.observe("watch", self.directory.watch(room))
    }

    fn resign(&self) -> BoxFuture<'_, Result<(), DirectoryError>> {
        self.observe("resign", self.directory.resign())
    }
}
