//! Everything sent to members stays within the limits of the strictest clients, whatever others
//! request. docs/protocol.md lists the limits in "Receiver limits".

mod receiver;

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use receiver::{ReadPacket, poll};
use weir_cluster::{MemoryHub, MemoryOptions};
use weir_engine::{Delivery, Engine, EngineOptions, Outlet, Session, SessionIdentity};
use weir_protocol::{Frame, Limits};

/// Number of requests of all members together.
const STEPS: usize = 10_000;

/// Outlet that validates frames as a client would, and counts events by name.
#[derive(Debug, Default)]
struct Strict {
    heard: Mutex<BTreeMap<String, usize>>,
    frames: Mutex<Vec<Frame>>,
    /// Number of announced tracks.
    tracks: AtomicU32,
}

impl Strict {
    fn take(&self, frame: &Frame) {
        let packet = ReadPacket::read(frame.bytes());
        if packet.name == "track:published" {
            self.tracks.fetch_add(1, Ordering::Relaxed);
        }
        let name = format!("{} of {}", packet.name, packet.attachments);
        let mut heard = self.heard.lock().expect("nobody panicked");
        *heard.entry(name).or_default() += 1;
        self.frames
            .lock()
            .expect("nobody panicked")
            .push(frame.clone());
    }
}

impl Outlet for Strict {
    fn notice(&self, frame: &Frame) -> Delivery {
        self.take(frame);
        Delivery::Sent
    }

    fn chunk(&self, before: Option<&Frame>, chunk: &Frame) -> Delivery {
        before
            .into_iter()
            .chain([chunk])
            .for_each(|frame| self.take(frame));
        Delivery::Sent
    }
}

struct Member {
    session: Session,
    outlet: Arc<Strict>,
}

/// Generator of JSON text, including text that some parsers reject.
struct Writer<'a> {
    random: &'a mut StdRng,
    /// Placeholder numbers of binary values that are still to be written.
    places: Vec<usize>,
}

impl Writer<'_> {
    fn pick(&mut self, of: &[&str]) -> String {
        (*of.choose(self.random).expect("not empty")).to_owned()
    }

    fn string(&mut self) -> String {
        self.pick(&[
            r#""""#,
            r#""plain""#,
            r#""a\u0000b\u001ec\n\"\\\/""#,
            r#""Zoë 🎥 ""#,
            r#""\ud83c\udfa5""#,
            r#""\ud800""#,
            r#""__proto__""#,
            r#""toJSON""#,
            r#""_placeholder""#,
            r#""\u005fplaceholder""#,
            r#""num""#,
            r#""connect""#,
        ])
    }

    fn number(&mut self) -> String {
        let digits = self.random.random_range(1..400);
        let long = "9".repeat(digits);
        let small = format!("0.{}1", "0".repeat(digits));
        self.pick(&[
            "0",
            "-0",
            "1",
            "-1.5e3",
            "1e400",
            "9007199254740993",
            "18446744073709551615",
            &long,
            &small,
        ])
    }

    fn space(&mut self) -> String {
        self.pick(&["", "", "", " ", "\n", "\t\r\n "])
    }

    fn value(&mut self, levels: usize) -> String {
        if let Some(place) = self.places.pop() {
            let wrong = usize::from(self.random.random_bool(0.01));
            let beside = self.pick(&["1", "{}", "[null]", r#""\u001e""#]);
            return format!(
                r#"[{beside},{{"_placeholder":true,"num":{}}}]"#,
                place + wrong
            );
        }
        let space = self.space();
        match self.random.random_range(0..10) {
            0..2 if levels > 0 => {
                let entries = self.random.random_range(0..4);
                let entries: Vec<_> = (0..entries)
                    .map(|_| format!("{}{space}:{}", self.string(), self.value(levels - 1)))
                    .collect();
                format!("{{{space}{}}}", entries.join(","))
            }
            2..4 if levels > 0 => {
                let entries = self.random.random_range(0..4);
                let entries: Vec<_> = (0..entries).map(|_| self.value(levels - 1)).collect();
                format!("[{}{space}]", entries.join(&format!("{space},")))
            }
            4 => {
                let deep = self.random.random_range(1..70);
                format!("{}{}", "[".repeat(deep), "]".repeat(deep))
            }
            5 => self.number(),
            6 => self.pick(&["null", "true", "false"]),
            _ => self.string(),
        }
    }

    /// Generates values with placeholders of `count` binary values.
    fn values(&mut self, count: usize) -> String {
        self.places = (0..count).rev().collect();
        let mut values = Vec::new();
        while !self.places.is_empty() || values.is_empty() {
            values.push(self.value(3));
        }
        values.join(",")
    }
}

/// Generates a member's request: its name, its packet's array, and its attachments. `tracks` is the
/// approximate number of tracks so far.
fn request(random: &mut StdRng, tracks: u32) -> (&'static str, String, Vec<Bytes>) {
    let count = match random.random_range(0..2) {
        0 => random.random_range(0..=12),
        _ => 0,
    };
    let mut writer = Writer {
        random,
        places: Vec::new(),
    };
    let (name, value, text) = (writer.string(), writer.value(4), writer.string());
    let track = writer
        .random
        .random_range(tracks.saturating_sub(8)..tracks + 4);
    let init = ["GkXfow==", "", "AA", "-_-_"]
        .choose(writer.random)
        .expect("some");
    let (event, argument) = match writer.random.random_range(0..60) {
        0..2 => ("room:create", format!(r#"{{"metadata":{value}}}"#)),
        2..7 => (
            "room:join",
            format!(r#"{{"room":"hall","create":true,"name":{name},"metadata":{value}}}"#),
        ),
        7 => ("room:leave", "{}".to_owned()),
        8..12 => (
            "member:update",
            format!(r#"{{"name":{name},"metadata":{value}}}"#),
        ),
        12..20 => (
            "track:publish",
            format!(
                r#"{{"kind":"video","codec":{name},"name":{text},"frameRate":29.97,"init":"{init}"}}"#
            ),
        ),
        20..28 => (
            "track:update",
            format!(r#"{{"track":{track},"codec":{name},"init":"{init}"}}"#),
        ),
        28..34 => ("track:request-keyframe", format!(r#"{{"track":{track}}}"#)),
        34..42 => (
            "media",
            format!(
                r#"{{"track":{track},"ts":-5,"key":true,"dur":7}},{{"_placeholder":true,"num":0}}"#
            ),
        ),
        42 => ("nothing such", text),
        _ => {
            let data = writer.values(count);
            ("message", format!(r#"{{"topic":{name},"data":[{data}]}}"#))
        }
    };
    let count = if event == "media" { 1 } else { count };
    let attachments = (0..count)
        .map(|at| Bytes::from(vec![at as u8; 30]))
        .collect();
    (event, format!(r#"["{event}",{argument}]"#), attachments)
}

fn member(engine: &Engine) -> Member {
    let outlet = Arc::new(Strict::default());
    let identity = SessionIdentity {
        session: "strict".into(),
        address: Ipv4Addr::LOCALHOST.into(),
    };
    let context = opentelemetry::Context::new();
    let session = engine.session(outlet.clone(), context, identity);
    Member { session, outlet }
}

#[tokio::test]
async fn every_client_can_read_every_frame() {
    let given = std::env::var("WEIR_SEED").ok();
    let seed = given.map_or_else(rand::random, |seed| seed.parse().expect("a number"));
    eprintln!("asking with WEIR_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let limits = Limits {
        request_burst: u32::MAX,
        requests_per_second: u32::MAX,
        chunks_per_second: u32::MAX,
        ..Limits::default()
    };
    let options = EngineOptions {
        limits,
        ..EngineOptions::default()
    };
    let engine = Engine::in_memory(options, &MemoryHub::new(MemoryOptions::default()));
    let members: Vec<_> = (0..4).map(|_| member(&engine)).collect();
    for step in 0..STEPS {
        let member = members.choose(&mut random).expect("four");
        let (event, text, attachments) =
            request(&mut random, member.outlet.tracks.load(Ordering::Relaxed));
        let ack = random.random_bool(0.8).then_some(match step % 3 {
            0 => weir_protocol::MAX_ACK_ID,
            _ => 7,
        });
        member.session.receive(event, &text, attachments, ack);
    }
    let mut heard = BTreeMap::new();
    for member in &members {
        for (name, count) in &*member.outlet.heard.lock().expect("nobody panicked") {
            *heard.entry(name.clone()).or_insert(0) += count;
        }
        // A polling client receives the same frames, several per response.
        let frames = member.outlet.frames.lock().expect("nobody panicked");
        for frame in &*frames {
            poll(&ReadPacket::read(frame.bytes()).polled);
        }
    }
    // The test is meaningful only if every kind of event occurred.
    for name in [
        "answer of 0",
        "error of 0",
        "member:joined of 0",
        "member:updated of 0",
        "member:left of 0",
        "track:published of 0",
        "track:updated of 0",
        "track:unpublished of 0",
        "track:keyframe-requested of 0",
        "message of 0",
        "message of 1",
        "message of 10",
        "media of 1",
    ] {
        assert!(heard.contains_key(name), "no {name} in {heard:?}");
    }
    assert!(!heard.contains_key("message of 11"), "{heard:?}");
}

#[test]
fn the_reader_rejects_invalid_frames() {
    let frame = |body: &str, attachments: usize| {
        let attachments = vec![Bytes::from_static(b"x"); attachments];
        let frame = Frame::new(None, body, &attachments);
        std::panic::catch_unwind(|| ReadPacket::read(frame.bytes())).is_ok()
    };
    let places = |count: usize| {
        let places: Vec<_> = (0..count)
            .map(|at| format!(r#"{{"_placeholder":true,"num":{at}}}"#))
            .collect();
        format!(r#"["x",[{}]]"#, places.join(","))
    };
    assert!(frame(&places(10), 10) && frame(r#"["x",{"a":[1e300,"\u001e"]}]"#, 0));
    assert!(!frame(&places(11), 11));
    for wrong in [
        r#"["connect",1]"#.to_owned(),
        r#"["x",{"a":1,"\u0061":2}]"#.to_owned(),
        r#"["x",{"_placeholder":true,"num":0}]"#.to_owned(),
        "[\"x\",\"\u{1e}\"]".to_owned(),
        r#"["x","\ud800"]"#.to_owned(),
        r#"["x",1e400]"#.to_owned(),
        format!(r#"["x",{}{}]"#, "[".repeat(64), "]".repeat(64)),
        format!(r#"["x",{}]"#, "9".repeat(310)),
        format!(r#"["{}"]"#, "x".repeat(4 * 1024 * 1024)),
    ] {
        assert!(!frame(&wrong, 0), "{}", &wrong[..wrong.len().min(60)]);
    }
}
