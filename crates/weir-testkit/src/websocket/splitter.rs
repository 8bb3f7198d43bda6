//! Splits a byte stream into frames, with a copy only of frames that a read cuts.

use super::frame::{FrameError, FrameHeader};

/// Frames of one connection's byte stream.
#[derive(Debug, Default)]
pub(crate) struct FrameSplitter {
    /// Start of the frame in which the last read ended.
    partial: Vec<u8>,
    /// Whether `partial` holds a whole frame, which the last call returned.
    returned: bool,
}

impl FrameSplitter {
    /// Consumes the next frame of `bytes`; returns its header and payload.
    ///
    /// Returns `None` once all of `bytes` is consumed. The rest of a frame comes with the next
    /// read.
    pub(crate) fn next<'a, 'bytes: 'a>(
        &'a mut self,
        bytes: &mut &'bytes [u8],
    ) -> Result<Option<(FrameHeader, &'a [u8])>, FrameError> {
        if self.returned {
            self.partial.clear();
            self.returned = false;
        }
        if self.partial.is_empty() {
            if let Some(header) = FrameHeader::parse(bytes)?
                && let Some((frame, rest)) = bytes.split_at_checked(header.frame_len())
            {
                *bytes = rest;
                return Ok(Some((header, &frame[header.header_len..])));
            }
            self.partial.extend_from_slice(bytes);
            *bytes = &[];
            return Ok(None);
        }
        let header = loop {
            let header = FrameHeader::parse(&self.partial)?;
            // Byte by byte up to the end of the header, which says how many are missing.
            let missing = header.map_or(1, |header| header.frame_len() - self.partial.len());
            if let Some(header) = header
                && missing == 0
            {
                break header;
            }
            if bytes.is_empty() {
                return Ok(None);
            }
            let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
            self.partial.extend_from_slice(taken);
            *bytes = rest;
        };
        self.returned = true;
        Ok(Some((header, &self.partial[header.header_len..])))
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Opcode;
    use super::*;

    #[test]
    fn frames_are_the_same_wherever_reads_end() {
        let mut stream = vec![0x81, 1, b'2', 0x82, 126, 0x01, 0x00];
        stream.extend([7; 256]);
        stream.extend([0x81, 0, 0x82, 2, 8, 9]);
        let expected = vec![
            (Opcode::Text, b"2".to_vec()),
            (Opcode::Binary, vec![7; 256]),
            (Opcode::Text, vec![]),
            (Opcode::Binary, vec![8, 9]),
        ];
        for size in 1..=stream.len() {
            let (mut splitter, mut frames) = (FrameSplitter::default(), Vec::new());
            for mut read in stream.chunks(size) {
                while let Some((header, payload)) = splitter.next(&mut read).unwrap() {
                    frames.push((header.opcode, payload.to_vec()));
                }
            }
            assert_eq!(frames, expected, "reads of {size}");
        }
    }
}
