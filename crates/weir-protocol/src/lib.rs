//! Weir: protocol.
