//! RESP3 connections that deliver messages straight from the read buffer.

mod connection;
mod error;
mod reader;
mod resp;
mod routes;

pub(crate) use connection::{RespConnection, hello, is_replica};
pub(crate) use error::ConnectionError;
pub(crate) use routes::{MessageSink, Sinks};
