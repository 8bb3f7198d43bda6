//! Weir: core.
