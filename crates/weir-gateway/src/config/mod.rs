//! Configuration: read, layered, checked and turned into types, once, before anything starts.
//!
//! [`Sources`] say where values may come from; [`Sources::load`] gives the [`Effective`] ones, or
//! a [`ConfigError`] that names everything that is wrong. From weakest to strongest: defaults, the
//! TOML file, the environment (`WEIR_` + section + `__` + key in capitals), flags.
//!
//! A new key is a field in `sections.rs`, a line in `rules.rs` and one in
//! `deploy/weir.example.toml`; a test compares the three.

mod contradictions;
mod error;
mod layers;
mod load;
mod names;
mod origins;
mod print;
mod rules;
mod sections;

pub use error::{ConfigError, Hint, Problem};
pub use layers::Flag;
pub use load::{Effective, Sources};
pub use sections::{
    Config, Drain, Egress, Log, LogFormat, OtlpProtocol, ProxyProtocol, Redis, Rooms, Server,
    SocketIo, Telemetry,
};
