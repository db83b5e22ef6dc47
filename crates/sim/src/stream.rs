//! A seeded stream of bytes for OpenSSL, insensitive to what its caches draw.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Bytes that follow from a key alone: the n-th request of a length gets the same bytes in every run.
///
/// Each length counts for itself. OpenSSL keeps, beside an RSA key, blinding factors that it draws when
/// a key is first used and every 32 uses; whether it does depends on what a cached key was used for
/// before. They are as long as the key, so they shift nothing that a handshake draws.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    key: [u8; 32],
    /// How many requests of each length there were.
    requests: Vec<(usize, u32)>,
}

impl Stream {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key, requests: Vec::new() }
    }

    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        let length = out.len();
        let number = match self.requests.iter_mut().find(|(of, _)| *of == length) {
            Some((_, number)) => {
                *number = number.wrapping_add(1);
                *number
            }
            None => {
                self.requests.push((length, 0));
                0
            }
        };
        let mut chance = ChaCha8Rng::from_seed(self.key);
        chance.set_stream((length as u64) << 32 | u64::from(number));
        chance.fill_bytes(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(stream: &mut Stream, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        stream.fill(&mut bytes);
        bytes
    }

    #[test]
    fn the_same_key_gives_the_same_bytes_and_another_key_others() {
        let [mut one, mut same, mut other] = [[1; 32], [1; 32], [2; 32]].map(Stream::new);

        let first = draw(&mut one, 32);

        assert_eq!(first, draw(&mut same, 32));
        assert_ne!(first, draw(&mut other, 32));
        assert_ne!(first, draw(&mut one, 32));
    }

    #[test]
    fn requests_of_one_length_do_not_shift_those_of_another() {
        let [mut one, mut other] = [[1; 32]; 2].map(Stream::new);

        draw(&mut one, 256);

        assert_eq!(draw(&mut one, 32), draw(&mut other, 32));
    }
}
