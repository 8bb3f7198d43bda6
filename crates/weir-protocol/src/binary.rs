//! Binary values inside JSON: placeholders and the attachments that they stand for.

use std::cell::RefCell;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The object that stands for attachment `num`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Placeholder {
    #[serde(rename = "_placeholder")]
    marker: bool,
    num: usize,
}

impl Placeholder {
    /// The attachment that this stands for, if it is one and is there.
    pub(crate) fn resolve(self, attachments: &[Bytes]) -> Option<Bytes> {
        if self.marker {
            attachments.get(self.num).cloned()
        } else {
            None
        }
    }
}

/// The attachments of a packet that is being encoded, in the order in which their places were met.
#[derive(Debug, Default)]
pub(crate) struct Attachments(RefCell<Vec<Bytes>>);

impl Attachments {
    /// Adds one and gives its place.
    pub(crate) fn add(&self, bytes: &Bytes) -> Placeholder {
        let mut list = self.0.borrow_mut();
        list.push(bytes.clone());
        Placeholder {
            marker: true,
            num: list.len() - 1,
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Bytes> {
        self.0.into_inner()
    }
}
