//! Weir: gateway.
