//! WebSocket frames, the server's side.

use anyhow::{bail, ensure};

/// Masked frame of a client.
#[derive(Debug)]
pub(crate) struct ClientFrame<'a> {
    opcode: u8,
    mask: [u8; 4],
    masked: &'a [u8],
    /// Bytes of the whole frame.
    pub(crate) length: usize,
}

impl<'a> ClientFrame<'a> {
    /// Parses a frame; returns `None` if it is incomplete.
    pub(crate) fn parse(bytes: &'a [u8]) -> anyhow::Result<Option<Self>> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        ensure!(second & 0x80 != 0, "a client must mask");
        let (start, size) = match (second & 0x7f, rest) {
            (127, _) => bail!("a frame over 64 KiB"),
            (126, [high, low, ..]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
            (126, _) => return Ok(None),
            (short, _) => (2, usize::from(short)),
        };
        let length = start + 4 + size;
        let Some((mask, masked)) = bytes.get(start..length).and_then(<[u8]>::split_first_chunk)
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            opcode: first & 0x0f,
            mask: *mask,
            masked,
            length,
        }))
    }

    pub(crate) fn is_binary(&self) -> bool {
        self.opcode == 2
    }

    /// Returns the payload.
    pub(crate) fn unmasked(&self) -> Vec<u8> {
        let mut payload = self.masked.to_vec();
        unmask(&mut payload, self.mask);
        payload
    }

    /// Appends the frame as a server writes it.
    pub(crate) fn put_served(&self, out: &mut Vec<u8>) {
        put_frame(out, self.opcode, self.masked);
        let start = out.len() - self.masked.len();
        unmask(&mut out[start..], self.mask);
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// Appends a server's frame.
pub(crate) fn put_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.reserve(10 + payload.len());
    out.push(0x80 | opcode);
    match u16::try_from(payload.len()) {
        Ok(short @ 0..126) => out.push(short as u8),
        Ok(medium) => {
            out.push(126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        Err(_) => {
            out.push(127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}
