//! Forwards a client's WebSocket stream to the library.

use tokio::io::ReadBuf;

use super::{ack_id::AckIdFilter, admission::MessageAdmission, frames::FrameCursor};

/// Position in a client's stream, up to which the library has its bytes.
#[derive(Debug)]
pub(crate) struct StreamForwarder {
    frames: FrameCursor,
    pub(crate) admission: MessageAdmission,
    ids: AckIdFilter,
}

impl StreamForwarder {
    pub(crate) fn new(admission: MessageAdmission) -> Self {
        Self {
            frames: FrameCursor::default(),
            admission,
            ids: AckIdFilter::default(),
        }
    }

    /// Copies the next bytes of the stream to the library's buffer, until either ends or a message
    /// waits for its admission. Returns the number of bytes.
    pub(crate) fn forward(&mut self, bytes: &[u8], buffer: &mut ReadBuf<'_>) -> usize {
        let bytes = &bytes[..bytes.len().min(buffer.remaining())];
        let mut forwarded = 0;
        while forwarded < bytes.len() && !self.admission.is_waiting() {
            let in_payload = self.frames.in_payload();
            let (length, header) = self.frames.step(&bytes[forwarded..]);
            let piece = &bytes[forwarded..forwarded + length];
            forwarded += length;
            let start = buffer.filled().len();
            buffer.put_slice(piece);
            if let Some(header) = header {
                self.admission.frame(&header);
                self.ids.frame(&header);
            } else if in_payload {
                self.ids.filter(&mut buffer.filled_mut()[start..]);
            }
            if self.frames.at_boundary() {
                self.admission.frame_ends();
            }
        }
        forwarded
    }

    /// Whether the next byte starts a message, or a control frame between two messages.
    pub(crate) const fn is_between_messages(&self) -> bool {
        self.frames.at_boundary() && self.admission.is_between_messages()
    }
}

#[cfg(test)]
mod tests;
