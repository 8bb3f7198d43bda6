//! Puts encoded frames into the library's channel of one socket.
//!
//! The library's own emit encodes each packet again, and reports failures without the socket. An
//! adapter may send an encoded packet to one socket, and learns whether its channel was full.

use std::{
    convert::Infallible,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use socketioxide::{SocketError, adapter::Emitter};
use socketioxide_core::{
    Sid, Str, Value,
    adapter::{BroadcastOptions, CoreAdapter, CoreLocalAdapter, DefinedAdapter, SocketEmitter},
    packet::{Packet, PacketData},
};
use weir_engine::Delivery;
use weir_protocol::Frame;

/// Handle to the namespace's sockets, usable once the library has created its adapter.
#[derive(Clone, Default)]
pub(crate) struct Direct(Arc<OnceLock<Arc<DirectAdapter>>>);

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Direct")
    }
}

impl Direct {
    /// Puts a frame into the channel of one socket.
    ///
    /// # Errors
    /// `Full` if the channel is full, `Closed` if the socket is closed.
    pub(crate) fn emit(&self, sid: Sid, frame: &Frame) -> Result<(), Delivery> {
        let adapter = self.0.get().ok_or(Delivery::Closed)?;
        let body = Str::copy_from_slice(frame.body());
        let binary = frame.attachments().len() > 0;
        let value = Value::Str(body, binary.then(|| frame.attachments().collect()));
        let data = match (frame.ack(), binary) {
            (None, false) => PacketData::Event(value, None),
            (None, true) => PacketData::BinaryEvent(value, None),
            (Some(id), false) => PacketData::EventAck(value, id),
            (Some(id), true) => PacketData::BinaryAck(value, id),
        };
        let packet = Packet {
            inner: data,
            ns: Str::from("/"),
        };
        adapter
            .local
            .broadcast(packet, BroadcastOptions::new(sid))
            .map_err(|errors| {
                let full = errors
                    .iter()
                    .any(|error| matches!(error, SocketError::InternalChannelFull));
                if full {
                    Delivery::Full
                } else {
                    Delivery::Closed
                }
            })
    }
}

/// Adapter of the library: its local adapter, shared with [`Direct`].
pub(crate) struct DirectAdapter {
    local: CoreLocalAdapter<Emitter>,
    direct: Direct,
}

impl CoreAdapter<Emitter> for DirectAdapter {
    type Error = Infallible;
    type State = Direct;
    type AckStream = <Emitter as SocketEmitter>::AckStream;
    type InitRes = ();

    fn new(direct: &Direct, local: CoreLocalAdapter<Emitter>) -> Self {
        Self {
            local,
            direct: direct.clone(),
        }
    }

    fn init(self: Arc<Self>, on_success: impl FnOnce() + Send + 'static) -> Self::InitRes {
        // There is one namespace, so this is the first adapter and the only one.
        let _ = self.direct.0.set(Arc::clone(&self));
        on_success();
    }

    async fn broadcast_with_ack(
        &self,
        packet: Packet,
        options: BroadcastOptions,
        timeout: Option<Duration>,
    ) -> Result<Self::AckStream, Self::Error> {
        Ok(self.local.broadcast_with_ack(packet, options, timeout).0)
    }

    fn get_local(&self) -> &CoreLocalAdapter<Emitter> {
        &self.local
    }
}

impl DefinedAdapter for DirectAdapter {}
