//! Member that sends messages and chunks continuously, and records what it receives.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use weir_testkit::{Arrival, ServerProcess, SocketClient, eventually};

use super::common::{PATIENCE, connect, publish};

/// Send interval of messages and of chunks.
const PERIOD: Duration = Duration::from_millis(100);

/// Sent and received messages by number, and received chunks.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Number of the next message.
    pub(crate) next: u64,
    /// Number of the first message sent after all members had joined.
    first: u64,
    /// Acknowledged messages.
    pub(crate) sent: BTreeSet<u64>,
    pub(crate) refused: usize,
    /// Received messages by sender.
    pub(crate) messages: BTreeMap<String, BTreeSet<u64>>,
    /// Number of duplicate messages.
    pub(crate) repeated: usize,
    /// Arrival time of the last chunk, by track.
    pub(crate) chunks: BTreeMap<u64, Instant>,
    /// Arrival time of the last message or chunk of another member.
    pub(crate) last: Option<Instant>,
}

pub(crate) struct Participant {
    pub(crate) id: String,
    pub(crate) track: u64,
    pub(crate) node: usize,
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

impl Participant {
    pub(crate) async fn start(node: &ServerProcess, number: usize, room: &str) -> Self {
        let client = connect(node).await;
        let join = json!({"room": room, "create": true});
        let joined = super::common::ask(&client, "room:join", join).await;
        let id = joined["self"]["id"].as_str().expect("an id").to_owned();
        let track = publish(&client, "data").await;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let task = tokio::spawn(live(client, track, Arc::clone(&heard)));
        Self {
            id,
            track,
            node: number,
            heard,
            task,
        }
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("nobody panicked")
    }

    /// Marks the time at which all members of the room have joined.
    pub(crate) fn begin(&self) {
        let mut heard = self.heard();
        heard.first = heard.next;
    }

    /// Returns the acknowledged messages that were sent after all members had joined.
    pub(crate) fn sent_to_all(&self) -> BTreeSet<u64> {
        let heard = self.heard();
        heard.sent.range(heard.first..).copied().collect()
    }

    /// Waits until it has received these messages of another member, and asserts that none was a
    /// duplicate.
    pub(crate) async fn until_it_has(&self, sender: &Self, numbers: &BTreeSet<u64>) {
        let what = format!(
            "node {} has all that a member of node {} sent",
            self.node, sender.node
        );
        eventually(&what, LONG, async || {
            let heard = self.heard();
            let known = heard.messages.get(&sender.id)?;
            known.is_superset(numbers).then_some(())
        })
        .await;
        assert_eq!(self.heard().repeated, 0, "messages came twice");
    }

    /// Returns whether its connection is still open.
    pub(crate) fn lives(&self) -> bool {
        !self.task.is_finished()
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn live(mut client: SocketClient, track: u64, heard: Arc<Mutex<Heard>>) {
    let heard = || heard.lock().expect("nobody panicked");
    let mut asked = BTreeMap::new();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let arrival = tokio::select! {
            _ = ticks.tick() => {
                let number = heard().next;
                heard().next += 1;
                let message = json!([{"data": {"n": number}}]);
                let none: &[&[u8]] = &[];
                let sent = client.request_in_order("message", message, none).await;
                asked.insert(sent.expect("its connection stays"), number);
                let sent = client.send_media(track, 0, true, &[1; 300]).await;
                sent.expect("its connection stays");
                continue;
            }
            arrival = client.next_arrival() => arrival.expect("its connection stays"),
        };
        match arrival {
            Arrival::Ack(ack) => {
                let number = asked.remove(&ack.id).expect("it was asked");
                let answer = ack.into_result();
                if answer["ok"] == true {
                    heard().sent.insert(number);
                } else {
                    heard().refused += 1;
                }
            }
            Arrival::Event(event) => {
                let mut heard = heard();
                if let Some((header, _)) = event.media() {
                    heard.chunks.insert(header.track, Instant::now());
                    heard.last = Some(Instant::now());
                } else if event.event == "message" {
                    let message: &Value = event.arg(0);
                    let from = message["from"].as_str().expect("an id").to_owned();
                    let number = message["data"]["n"].as_u64().expect("a number");
                    let known = heard.messages.entry(from).or_default();
                    heard.repeated += usize::from(!known.insert(number));
                    heard.last = Some(Instant::now());
                }
            }
        }
    }
}

/// Timeout of waits whose duration is not under test.
pub(crate) const LONG: Duration = PATIENCE;
