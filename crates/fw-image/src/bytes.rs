// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bounds-checked integer reads for the parsers of this crate.
//!
//! Must not know any format: it answers `None` outside the slice, the caller names what was truncated.

/// The `N` bytes at `offset_bytes`, or `None` when they are not all there.
pub(crate) fn array<const N: usize>(bytes: &[u8], offset_bytes: usize) -> Option<[u8; N]> {
    let end = offset_bytes.checked_add(N)?;
    bytes.get(offset_bytes..end)?.try_into().ok()
}

/// Little-endian 32-bit word at `offset_bytes`.
pub(crate) fn le32(bytes: &[u8], offset_bytes: usize) -> Option<u32> {
    array(bytes, offset_bytes).map(u32::from_le_bytes)
}

/// Little-endian 64-bit word at `offset_bytes`.
#[cfg(feature = "full")]
pub(crate) fn le64(bytes: &[u8], offset_bytes: usize) -> Option<u64> {
    array(bytes, offset_bytes).map(u64::from_le_bytes)
}

/// Offset of the first `needle` in `haystack`.
///
/// Looks for the first byte first: a kernel is tens of megabytes and a window comparison at each of
/// them would be the slowest part of a test.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let (&first, rest) = needle.split_first()?;
    let mut from = 0;
    while let Some(at) = haystack.get(from..)?.iter().position(|&b| b == first) {
        let start = from + at;
        if haystack[start + 1..].starts_with(rest) {
            return Some(start);
        }
        from = start + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{find, le32, le64};

    #[test]
    fn reads_stop_at_the_end() {
        assert_eq!(le32(&[1, 0, 0, 0], 0), Some(1));
        assert_eq!(le32(&[1, 0, 0, 0], 1), None);
        assert_eq!(le32(&[], usize::MAX), None);
        assert_eq!(le64(&[0xff; 8], 0), Some(u64::MAX));
    }

    #[test]
    fn find_sees_overlapping_starts() {
        assert_eq!(find(b"aaab", b"aab"), Some(1));
        assert_eq!(find(b"aaa", b"aab"), None);
        assert_eq!(find(b"", b"a"), None);
    }
}
