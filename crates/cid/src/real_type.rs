//! What a protected record carries. Beside the types of RFC 5246 there is one more here, and in a
//! record with an id the outer type says nothing of it.

/// The content type of a record, or the `real_type` inside it when its outer type is `tls12_cid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RealType {
    /// 20.
    ChangeCipherSpec,
    /// 21.
    Alert,
    /// 22.
    Handshake,
    /// 23.
    ApplicationData,
    /// 27: a message of the return routability check (RFC 9853, 4).
    ReturnRoutabilityCheck,
}

impl RealType {
    /// Returns the type with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            20 => Some(Self::ChangeCipherSpec),
            21 => Some(Self::Alert),
            22 => Some(Self::Handshake),
            23 => Some(Self::ApplicationData),
            27 => Some(Self::ReturnRoutabilityCheck),
            _ => None,
        }
    }

    /// Returns the number of the type on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::ChangeCipherSpec => 20,
            Self::Alert => 21,
            Self::Handshake => 22,
            Self::ApplicationData => 23,
            Self::ReturnRoutabilityCheck => 27,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_comes_back_from_its_number_and_tls12_cid_is_none_of_them() {
        let known: Vec<_> = (0..=255).filter_map(RealType::from_number).map(RealType::number).collect();

        assert_eq!(known, [20, 21, 22, 23, 27]);
    }
}
