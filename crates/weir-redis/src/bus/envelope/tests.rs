//! Round trips and the pinned format.

use super::*;

fn encoded(origin: Origin, sent: &Relayed) -> Vec<u8> {
    [chunk_head(origin, sent).as_slice(), &sent.chunk.payload].concat()
}

#[test]
fn chunks_are_decoded_unless_they_are_own() {
    for (key, dur) in [(true, None), (false, Some(0)), (true, Some(u64::MAX))] {
        let chunk_sent = Chunk {
            track: TrackId(7),
            seq: 1 << 60,
            ts: -5,
            key,
            dur,
            payload: Bytes::from_static(b"payload"),
        };
        let sent = Relayed {
            chunk: chunk_sent,
            counts_as_key: !key,
            trace: key.then(|| trace::remote([3; 16], [4; 8])),
        };
        let message = encoded(99, &sent);
        assert_eq!(chunk(TrackId(7), 98, &message), Ok(Some(sent)));
        assert_eq!(chunk(TrackId(7), 99, &message), Ok(None), "it is its own");
    }
}

#[test]
fn chunk_format_is_pinned() {
    let mut sent = Relayed {
        chunk: Chunk {
            track: TrackId(7),
            seq: 2,
            ts: 3,
            key: true,
            dur: Some(4),
            payload: Bytes::from_static(b"x"),
        },
        counts_as_key: true,
        trace: Some(trace::remote([5; 16], [6; 8])),
    };
    let origin = [0, 0, 0, 0, 0, 0, 0, 9];
    let seq = [0, 0, 0, 0, 0, 0, 0, 2];
    let ts = [0, 0, 0, 0, 0, 0, 0, 3];
    let dur = [0, 0, 0, 0, 0, 0, 0, 4];
    let (trace, span) = ([5; 16], [6; 8]);
    let wanted = [
        &[1][..],
        &origin,
        &[15],
        &seq,
        &ts,
        &dur,
        &trace,
        &span,
        b"x",
    ];
    assert_eq!(encoded(9, &sent), wanted.concat());
    sent.chunk.dur = None;
    sent.counts_as_key = false;
    sent.trace = None;
    let wanted = [&[1][..], &origin, &[1], &seq, &ts, b"x"];
    assert_eq!(encoded(9, &sent), wanted.concat());
    let cut = [&[1][..], &origin, &[2], &seq, &ts, &dur[1..]].concat();
    assert!(chunk(TrackId(7), 8, &cut).is_err());
}

#[test]
fn signals_are_decoded_and_truncated_ones_rejected() {
    let message = Signal::Message {
        version: u64::MAX,
        from: MemberId::new("a"),
        to: Some(vec![MemberId::new("b")]),
        topic: None,
        data: Json::empty_object(),
        attachments: vec![
            Bytes::from_static(b"one"),
            Bytes::new(),
            Bytes::from_static(b"three"),
        ],
    };
    let track = TrackId(3);
    let position = |earlier| Signal::Position {
        track,
        last: 5,
        earlier,
    };
    let others = [
        Signal::KeyframeRequested(track),
        Signal::Wanted {
            track,
            beginning: true,
        },
        position(EarlierChunks::Kept),
        position(EarlierChunks::Republished),
        position(EarlierChunks::Gone),
    ];
    for sent in [message].into_iter().chain(others) {
        let bytes = of_signal(&sent);
        for length in 0..bytes.len() {
            let cut = bytes.slice(..length);
            assert!(signal(cut).is_err(), "{length} bytes of {sent:?}");
        }
        assert_eq!(signal(bytes), Ok(sent));
    }
    assert!(open(CHUNK, b"\x02345678901").is_err());
}

#[test]
fn positions_of_the_previous_version_are_decoded() {
    for (beginning, earlier) in [
        (false, EarlierChunks::Kept),
        (true, EarlierChunks::Republished),
    ] {
        let record = format!(r#"{{"Position":{{"track":3,"last":5,"beginning":{beginning}}}}}"#);
        let mut bytes = BytesMut::new();
        bytes.put_u32(u32::try_from(record.len()).expect("it is short"));
        bytes.put_slice(record.as_bytes());
        let position = Signal::Position {
            track: TrackId(3),
            last: 5,
            earlier,
        };
        assert_eq!(signal(bytes.freeze()), Ok(position));
    }
}

#[test]
fn documented_flags_match_the_code() {
    const DOCUMENTED: &str = include_str!("../../../../../docs/redis.md");
    let section = DOCUMENTED.split("## Envelopes").nth(1);
    let section = section.and_then(|rest| rest.split("\n## ").next());
    let rows = section.expect("the section").lines();
    let flags = rows.filter_map(|row| row.strip_prefix("| ")?.split(' ').next()?.parse().ok());
    assert_eq!(flags.collect::<Vec<u8>>(), [KEY, DUR, START, TRACED]);
}
