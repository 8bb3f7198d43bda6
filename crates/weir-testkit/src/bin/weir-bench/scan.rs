//! Frames out of a shared read buffer, without a copy unless a read ends within one.

use weir_testkit::{FrameError, FrameHeader, Opcode};

/// The frames of one connection's byte stream.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// The beginning of the frame that the last read ended in.
    begun: Vec<u8>,
}

impl Scanner {
    /// Calls `frame` with each frame that `bytes` completes, in order.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut frame: impl FnMut(Opcode, &[u8]),
    ) -> Result<(), FrameError> {
        while !self.begun.is_empty() && !bytes.is_empty() {
            // Before the header is whole, one byte at a time: it decides how many are needed.
            let missing = match whole(&self.begun)? {
                Some((_, end)) => end - self.begun.len(),
                None => 1,
            };
            let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
            self.begun.extend_from_slice(taken);
            bytes = rest;
            if let Some((header, end)) = whole(&self.begun)?
                && self.begun.len() == end
            {
                frame(header.opcode, &self.begun[header.header_len..]);
                self.begun.clear();
            }
        }
        while let Some((header, end)) = whole(bytes)?
            && bytes.len() >= end
        {
            frame(header.opcode, &bytes[header.header_len..end]);
            bytes = &bytes[end..];
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }
}

/// The header of the frame that begins here, and where the frame ends.
fn whole(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, FrameError> {
    let header = FrameHeader::parse(bytes)?;
    Ok(header.map(|header| (header, header.header_len + header.payload_len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_the_same_wherever_reads_end() {
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
            let (mut scanner, mut frames) = (Scanner::default(), Vec::new());
            for read in stream.chunks(size) {
                let frame = |opcode, payload: &[u8]| frames.push((opcode, payload.to_vec()));
                scanner.feed(read, frame).unwrap();
            }
            assert_eq!(frames, expected, "reads of {size}");
        }
    }
}
