//! Builds the service of the public listener from the configuration.

use std::time::Duration;

use axum::Router;
use socketioxide::{ParserConfig, SocketIo, service::SocketIoService};
use weir_core::ConnectionLimits;
use weir_engine::Engine;

use crate::{
    config::Config,
    edge::{
        accept::{acceptor::Acceptor, gate::Gate, responder::Responder},
        adapter::{Direct, DirectAdapter},
        client,
        client_address::proxies::Proxies,
        http::{
            cors,
            service::{Edge, PATH},
            timeouts::RequestTimeouts,
        },
        polling::{queue::CHANNEL_ENTRIES, sessions::PollingSessions},
        websocket::{admission::Intake, probe::ProbeTimes},
    },
    web,
};

/// Size of the library's read buffer, which each connection keeps. The gateway reads the socket
/// itself in larger pieces.
const READ_BUFFER_BYTES: usize = 512;

/// Maximum attachments of one packet.
const ATTACHMENTS: usize = 1_024;

/// Maximum time from a packet to its last attachment.
const ATTACHMENTS_TIMEOUT: Duration = Duration::from_secs(10);

/// Builds the service that connects clients to `engine`, and the library's handle to its clients.
pub(super) fn build(config: &Config, engine: &Engine) -> (Edge, SocketIo<DirectAdapter>) {
    let server = &config.server;
    let direct = Direct::default();
    let (service, io) = library(config, direct.clone());
    let terms = client::Terms {
        direct,
        engine: engine.clone(),
        limits: config.limits,
        connect_timeout: config.socketio.connect_timeout,
    };
    client::serve(&io, terms);
    let max_message = config.limits.websocket_message_bytes;
    let edge = Edge {
        socketio: service,
        acceptor: acceptor(config, engine),
        intake: Intake::new(max_message as u64, engine.clone()),
        polled: PollingSessions::default(),
        egress: config.egress.clone(),
        answer_bytes: max_message,
        timeouts: RequestTimeouts {
            header: server.header_timeout,
            keep_alive: server.keep_alive,
        },
        cors: cors::layer(&server.cors_origins),
        probe: ProbeTimes::new(
            config.socketio.upgrade_timeout,
            config.socketio.connect_timeout,
        ),
    };
    (edge, io)
}

fn acceptor(config: &Config, engine: &Engine) -> Acceptor {
    let server = &config.server;
    let limits = ConnectionLimits {
        total: server.max_connections,
        per_address: server
            .max_connections_per_address
            .map_or(usize::MAX, usize::from),
    };
    Acceptor {
        gate: Gate::new(limits, engine.clone()),
        proxies: Proxies::new(server),
        responder: Responder::default(),
        header_timeout: server.header_timeout,
        unsent_bytes: config.egress.unsent_bytes,
    }
}

/// Builds the Socket.IO library with the limits of the configuration.
fn library(
    config: &Config,
    direct: Direct,
) -> (
    SocketIoService<Router, DirectAdapter>,
    SocketIo<DirectAdapter>,
) {
    let max_message = config.limits.websocket_message_bytes;
    let parser = ParserConfig::common()
        .max_incoming_binary_buf_size(max_message)
        .max_incoming_binaries(ATTACHMENTS)
        .packet_completion_timeout(ATTACHMENTS_TIMEOUT);
    SocketIo::builder()
        .req_path(PATH)
        .ping_interval(config.socketio.ping_interval)
        .ping_timeout(config.socketio.ping_timeout)
        .connect_timeout(config.socketio.connect_timeout)
        .upgrade_timeout(config.socketio.upgrade_timeout)
        .max_payload(max_message as u64)
        .ws_max_message_size(max_message)
        .ws_max_frame_size(max_message)
        .ws_read_buffer_size(READ_BUFFER_BYTES)
        .max_buffer_size(CHANNEL_ENTRIES)
        .with_parser(parser)
        .with_adapter::<DirectAdapter>(direct)
        .build_with_inner_svc(web::router())
}
