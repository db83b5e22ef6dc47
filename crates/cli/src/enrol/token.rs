//! The token of an invitation: where to go, whom to expect there, and the secret that opens the door once.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What a token begins with: it says what it is, and which version.
const MARK: &str = "pbjoin1-";

/// Bytes of the secret: 128 bits are not guessed.
pub(super) const SECRET_BYTES: usize = 16;
const FINGERPRINT_BYTES: usize = 32;

/// Characters of a token at most: 48 bytes, an address and a name.
const TOKEN_CHARACTERS_MAX: usize = 256;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// SHA-256 over the authority's certificate.
    pub(super) fingerprint: [u8; FINGERPRINT_BYTES],
    pub(super) secret: [u8; SECRET_BYTES],
    pub(super) at: SocketAddr,
    pub(super) name: String,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{} {}", self.at, self.name);
        let bytes = [&self.fingerprint[..], &self.secret[..], text.as_bytes()].concat();
        write!(f, "{MARK}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read(text.trim()).ok_or_else(|| {
            "this is no token: give the whole line that `peerbound pki invite` printed".to_owned()
        })
    }
}

fn read(text: &str) -> Option<Token> {
    let text = text.strip_prefix(MARK).filter(|text| text.len() <= TOKEN_CHARACTERS_MAX)?;
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (fingerprint, rest) = bytes.split_first_chunk()?;
    let (secret, rest) = rest.split_first_chunk()?;
    let (at, name) = std::str::from_utf8(rest).ok()?.split_once(' ')?;
    let name = crate::pki::node_name(name).ok()?;
    Some(Token { fingerprint: *fingerprint, secret: *secret, at: at.parse().ok()?, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        let at = "192.0.2.1:4434".parse().unwrap();
        Token { fingerprint: [7; 32], secret: [9; 16], at, name: "relay-1".to_owned() }
    }

    #[test]
    fn a_token_is_read_as_it_was_written() {
        assert!(token().to_string().parse::<Token>() == Ok(token()));
    }

    #[test]
    fn whatever_is_no_token_is_refused() {
        let whole = token().to_string();
        let cut = &whole[..40];
        let hostile = Token { name: "../../etc".to_owned(), ..token() }.to_string();
        let long = format!("{MARK}{}", "A".repeat(100_000));

        for text in ["", "pbjoin1-", "pbjoin1-!!", cut, &hostile, &long, &whole[1..]] {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
    }
}
