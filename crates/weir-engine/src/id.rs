//! Ids that are unguessable and can be read aloud.

use rand::Rng;
use weir_protocol::{MemberId, RoomId};

/// Crockford's base 32, without ambiguous characters.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Returns `length` random characters of 5 bits each.
fn random(length: usize) -> impl Iterator<Item = char> {
    let mut rng = rand::rng();
    (0..length).map(move |_| ALPHABET[rng.random_range(..ALPHABET.len())].into())
}

/// Returns a room id: 80 random bits in groups of four characters.
pub(crate) fn room() -> RoomId {
    let mut id = String::with_capacity(19);
    for (at, character) in random(16).enumerate() {
        if at > 0 && at % 4 == 0 {
            id.push('-');
        }
        id.push(character);
    }
    RoomId::made(&id)
}

/// Returns a member id: 80 random bits.
pub(crate) fn member() -> MemberId {
    MemberId::new(&random(16).collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use weir_protocol::Limits;

    use super::*;

    #[test]
    fn room_ids_are_valid_and_unique() {
        let limits = Limits::default();
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            let id = room();
            assert_eq!(RoomId::parse("id", id.as_str(), &limits), Ok(id.clone()));
            assert_eq!(
                id.as_str().split('-').map(str::len).collect::<Vec<_>>(),
                [4; 4]
            );
            assert!(seen.insert(id));
        }
    }
}
