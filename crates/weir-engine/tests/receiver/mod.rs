//! Client with the combined limits of all stock clients. It shares no code with the server.

use std::collections::{BTreeSet, HashSet};

/// `maxAttachments` of socket.io-parser 4.2.6, `lib/index.ts`.
const ATTACHMENTS: usize = 10;

/// aiohttp 3.14, `_websocket/reader_py.py`: a message must be shorter.
const MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// `JsonSerializerOptions.MaxDepth` of System.Text.Json 8, on which the .NET client stands.
const LEVELS: usize = 64;

/// CPython 3.12, `sys.int_info.default_max_str_digits` is 4300; a double has no more than 309.
const DIGITS: usize = 309;

/// `Payload.max_decode_packets` of python-engineio 4.15.
const PACKETS: usize = 16;

/// `RESERVED_EVENTS` of socket.io-parser 4.2.6.
const RESERVED: &[&str] = &[
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Parsed packet.
#[derive(Debug)]
pub(crate) struct ReadPacket {
    /// Name of the event, or `answer`.
    pub(crate) name: String,
    pub(crate) attachments: usize,
    /// Its messages in the encoding of a polling response.
    pub(crate) polled: Vec<String>,
}

impl ReadPacket {
    /// Parses the WebSocket frames of one packet.
    ///
    /// # Panics
    /// If any stock client would reject it.
    pub(crate) fn read(frames: &[u8]) -> Self {
        let messages = messages(frames);
        let (opcode, text) = &messages[0];
        assert_eq!(*opcode, 1, "a packet begins with text");
        let text = std::str::from_utf8(text).expect("text is UTF-8");
        let mut polled = vec![text.to_owned()];
        for (opcode, bytes) in &messages[1..] {
            assert_eq!(*opcode, 2, "attachments are binary");
            // Only its length matters.
            polled.push(format!("b{}", "A".repeat(bytes.len().div_ceil(3) * 4)));
        }
        let text = text.strip_prefix('4').expect("an Engine.IO message");
        let (kind, rest) = text.split_at(1);
        let (count, rest) = match kind {
            "5" | "6" => {
                let (count, rest) = rest.split_once('-').expect("a number of attachments");
                (count.parse().expect("a number"), rest)
            }
            "2" | "3" => (0, rest),
            other => panic!("a node sends no packet of kind {other}"),
        };
        assert_eq!(count, messages.len() - 1, "attachments");
        assert!((kind < "5") == (count == 0), "kind {kind} with {count}");
        assert!(count <= ATTACHMENTS, "{count} attachments");
        let (id, body) = rest.split_at(rest.find('[').expect("an array"));
        let answer = kind == "3" || kind == "6";
        assert_eq!(answer, !id.is_empty(), "only answers have ids");
        if answer {
            let id: u64 = id.parse().expect("a number");
            assert!(id < 1 << 53, "{id}");
        }
        let mut json = Json {
            text: body.as_bytes(),
            at: 0,
            places: BTreeSet::new(),
        };
        json.value(0);
        assert_eq!(json.at, body.len(), "something follows the array");
        assert!(
            json.places.iter().copied().eq(0..count),
            "{:?}",
            json.places
        );
        let values: Vec<serde_json::Value> = serde_json::from_str(body).expect("JSON");
        let name = match values[0].as_str() {
            Some(name) => {
                assert!(!RESERVED.contains(&name), "{name} is reserved");
                name.to_owned()
            }
            None => "answer".to_owned(),
        };
        Self {
            name,
            attachments: count,
            polled,
        }
    }
}

/// Asserts that these messages can form one polling response.
pub(crate) fn poll(messages: &[String]) {
    let body = messages.join("\u{1e}");
    let packets: Vec<_> = body.split('\u{1e}').collect();
    assert_eq!(packets.len(), messages.len(), "a message holds a separator");
    assert!(packets.len() <= PACKETS, "{} packets", packets.len());
}

/// Splits unmasked WebSocket frames into opcodes and payloads.
fn messages(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut messages = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        assert_eq!(first & 0xf0, 0x80, "each frame is a whole message");
        let (length, rest) = match length {
            126 => {
                let (length, rest) = rest.split_first_chunk().expect("a length");
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk().expect("a length");
                (
                    usize::try_from(u64::from_be_bytes(*length)).expect("small"),
                    rest,
                )
            }
            short => (usize::from(*short), rest),
        };
        assert!(length < MESSAGE_BYTES, "a message of {length} bytes");
        messages.push((first & 0x0f, rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "half a frame");
    messages
}

/// JSON parser with the combined limits of all clients.
struct Json<'a> {
    text: &'a [u8],
    at: usize,
    /// Numbers of the placeholders.
    places: BTreeSet<usize>,
}

impl Json<'_> {
    fn peek(&mut self) -> u8 {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        *self.text.get(self.at).expect("JSON ends too early")
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, levels: usize) {
        assert!(levels <= LEVELS, "nested too deeply");
        match self.peek() {
            b'{' => self.object(levels + 1),
            b'[' => self.array(levels + 1),
            b'"' => drop(self.string()),
            b't' | b'f' | b'n' => self.word(),
            _ => self.number(),
        }
    }

    fn array(&mut self, levels: usize) {
        assert!(levels <= LEVELS, "nested too deeply");
        self.at += 1;
        if self.eat(b']') {
            return;
        }
        loop {
            self.value(levels);
            if self.eat(b']') {
                return;
            }
            assert!(self.eat(b','), "no comma");
        }
    }

    /// Parses an object. org.json 20090211 throws at a duplicate key.
    fn object(&mut self, levels: usize) {
        assert!(levels <= LEVELS, "nested too deeply");
        let start = self.at;
        self.at += 1;
        let mut keys = HashSet::new();
        if !self.eat(b'}') {
            loop {
                self.peek();
                let key = self.string();
                assert!(keys.insert(key.clone()), "{key:?} comes twice");
                assert!(self.eat(b':'), "no colon");
                self.value(levels);
                if self.eat(b'}') {
                    break;
                }
                assert!(self.eat(b','), "no comma");
            }
        }
        if keys.contains("_placeholder") {
            let text = std::str::from_utf8(&self.text[start..self.at]).expect("UTF-8");
            let place: serde_json::Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(
                (keys.len(), &place["_placeholder"]),
                (2, &true.into()),
                "{text}"
            );
            let number = place["num"].as_u64().expect("a number");
            let number = usize::try_from(number).expect("small");
            assert!(
                self.places.insert(number),
                "attachment {number} comes twice"
            );
        }
    }

    fn string(&mut self) -> String {
        let start = self.at;
        assert_eq!(self.text[start], b'"', "no string");
        self.at += 1;
        while self.text[self.at] != b'"' {
            assert!(self.text[self.at] >= 0x20, "a control character");
            self.at += if self.text[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        let text = &self.text[start..self.at];
        // Rejects a lone surrogate.
        serde_json::from_slice(text).expect("a string that everybody can hold")
    }

    fn word(&mut self) {
        let rest = &self.text[self.at..];
        let word = ["true", "false", "null"];
        let word = word.iter().find(|word| rest.starts_with(word.as_bytes()));
        self.at += word.expect("a word").len();
    }

    fn number(&mut self) {
        let start = self.at;
        while matches!(
            self.text.get(self.at),
            Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
        ) {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).expect("ASCII");
        let number: f64 = text.parse().expect("a number");
        assert!(number.is_finite(), "{text} is no double");
        let whole = text.split(['.', 'e', 'E']).next().unwrap_or_default();
        assert!(whole.trim_start_matches('-').len() <= DIGITS, "{text}");
    }
}
