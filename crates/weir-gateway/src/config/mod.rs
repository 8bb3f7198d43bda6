//! Configuration, loaded and validated once at startup.
//!
//! [`Sources::load`] merges all [`Sources`] into the [`Effective`] configuration, or returns a
//! [`ConfigError`] with all problems. In ascending precedence: defaults, the TOML file, the
//! environment (`WEIR_` + section + `__` + key in capitals), flags.
//!
//! To add a key, add a field in `sections.rs`, a line in `rules.rs` and one in
//! `deploy/weir.example.toml`. A test compares the three.

mod contradictions;
mod error;
mod formats;
mod layers;
mod load;
mod names;
mod origins;
mod print;
mod rules;
mod sections;
mod values;

pub use error::{ConfigError, Hint, Problem};
pub use layers::Flag;
pub use load::{Effective, Sources};
pub use sections::{
    Config, DrainConfig, EgressConfig, LogConfig, LogFormat, OtlpProtocol, ProxyProtocol,
    RedisConfig, RoomsConfig, ServerConfig, SocketIoConfig, TelemetryConfig,
};
