//! Finds the SubjectPublicKeyInfo in a certificate's DER, where it stands (RFC 5280, 4.1).
//!
//! OpenSSL 3 would decode the key and encode it again, which takes 100 µs a time: a third of a whole
//! handshake, for bytes that lie there already.

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0; // [0] EXPLICIT

/// Returns the SubjectPublicKeyInfo of a certificate, header included.
pub(crate) fn subject_public_key_info(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = contents(SEQUENCE, certificate)?;
    let (to_be_signed, _) = contents(SEQUENCE, certificate)?;
    // The version is left out of certificates of version 1.
    let rest = contents(VERSION, to_be_signed).map_or(to_be_signed, |(_, rest)| rest);
    let (_serial_number, rest) = contents(INTEGER, rest)?;
    let (_signature, rest) = contents(SEQUENCE, rest)?;
    let (_issuer, rest) = contents(SEQUENCE, rest)?;
    let (_validity, rest) = contents(SEQUENCE, rest)?;
    let (_subject, info) = contents(SEQUENCE, rest)?;
    let (_, behind) = contents(SEQUENCE, info)?;
    info.get(..info.len() - behind.len())
}

/// Splits an element with this tag off the front: its contents, and what follows it.
fn contents(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    if *found != tag {
        return None;
    }
    let (first, rest) = rest.split_first()?;
    // X.690, 8.1.3: below 128 the length itself, else how many bytes of length follow.
    let (length, rest) = match usize::from(*first) {
        short @ 0..=127 => (short, rest),
        long => {
            let (digits, rest) = rest.split_at_checked(long - 128)?;
            if digits.is_empty() || digits.len() > 4 {
                return None;
            }
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Authority, Validity};

    #[test]
    fn it_is_what_openssl_encodes_for_keys_of_either_kind() {
        let validity = Validity::days(1_767_225_600, 1);
        let authority = Authority::generate("root", validity).unwrap();
        let identities =
            [authority.issue("leaf", validity).unwrap(), authority.issue_rsa("leaf", validity).unwrap()];

        for certificate in identities.iter().map(|identity| &identity.certificate) {
            let der = certificate.to_der().unwrap();
            let encoded = certificate.public_key().unwrap().public_key_to_der().unwrap();
            assert_eq!(subject_public_key_info(&der), Some(&encoded[..]));
        }
    }

    #[test]
    fn what_is_cut_short_or_has_other_elements_holds_none() {
        let validity = Validity::days(1_767_225_600, 1);
        let der = Authority::generate("root", validity).unwrap().certificate().to_der().unwrap();
        let info = subject_public_key_info(&der).unwrap();
        let end = info.as_ptr() as usize - der.as_ptr() as usize + info.len();

        for length in 0..end {
            assert_eq!(subject_public_key_info(&der[..length]), None, "{length}");
        }
        assert_eq!(subject_public_key_info(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(subject_public_key_info(&[0x30, 0x80, 0, 0]), None);
        assert_eq!(subject_public_key_info(&[0x31, 0]), None);
    }
}
