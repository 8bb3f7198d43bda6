//! Initialisation data of a track.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{Fault, Limits};

const NOT_BASE64: &str = "must be base64 text with padding (RFC 4648, section 4)";

/// Initialisation data of a track: the decoder's description, or the container's initialisation
/// segment, as base64 text (RFC 4648, section 4). Cheap to clone.
///
/// It stays text end to end. No node reads it, and clients with a low attachment limit would refuse
/// a packet with binary attachments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Init(Arc<str>);

impl Init {
    /// Encodes bytes.
    #[must_use]
    pub fn encode(bytes: &[u8]) -> Self {
        Self(STANDARD.encode(bytes).into())
    }

    /// Validates a client's text: padded base64 in the standard alphabet.
    ///
    /// # Errors
    /// `bad_request` for other text, `too_large` for more than [`Limits::init_bytes`] decoded
    /// bytes.
    pub(crate) fn parse(text: &str, limits: &Limits) -> Result<Self, Fault> {
        let decoded = STANDARD
            .decode(text)
            .map_err(|_| Fault::field("init", NOT_BASE64))?;
        let (length, limit) = (decoded.len(), limits.init_bytes);
        if length > limit {
            return Err(Fault::too_large("init", length, limit, "bytes"));
        }
        Ok(Self(text.into()))
    }

    /// Returns the base64 text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
