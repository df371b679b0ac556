//! A digest of bytes that tells whether two things are the same, where nobody means to deceive: FNV-1a of 64 bits
//! (Fowler, Noll, Vo; RFC 9923).

/// Of no bytes.
pub(crate) const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

/// The digest of what `digest` is of, and these bytes after it.
pub(crate) fn fnv1a(digest: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(digest, |digest, byte| (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of RFC 9923's test vectors.
    #[test]
    fn known_digests() {
        for (text, digest) in [("", EMPTY), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)] {
            assert_eq!(fnv1a(EMPTY, text.as_bytes()), digest, "{text}");
        }
        assert_eq!(fnv1a(fnv1a(EMPTY, b"foo"), b"bar"), fnv1a(EMPTY, b"foobar"));
    }
}
