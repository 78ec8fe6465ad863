// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The outside of a Debian binary package: an ar archive (deb(5), ar(5)).

use std::io::{Read, Seek, SeekFrom};

use fs_err as fs;

use super::decode::{self, Decoder};
use crate::failure::{Failure, Result};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER_BYTES: usize = 60;

/// Where the package's files are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DataMember {
    name: String,
    offset_bytes: u64,
    size_bytes: u64,
}

impl DataMember {
    pub fn decoder(&self, mut file: fs::File) -> Result<Decoder> {
        file.seek(SeekFrom::Start(self.offset_bytes))?;
        let data = file.take(self.size_bytes);
        match self.name.as_str() {
            "data.tar.xz" => decode::xz(data),
            "data.tar.gz" => Ok(decode::gz(data)),
            "data.tar.bz2" => Ok(decode::bz2(data)),
            other => Err(Failure::new(format!("its `{other}` has a compression that is not supported"))),
        }
    }
}

/// Finds `data.tar.*`.
pub(super) fn data_member(file: &mut fs::File) -> Result<DataMember> {
    let end = file.metadata()?.len();
    let mut magic = [0; MAGIC.len()];
    if file.read_exact(&mut magic).is_err() || &magic != MAGIC {
        return Err(Failure::new("it is not a Debian package: no ar header"));
    }
    let mut offset_bytes = MAGIC.len() as u64;
    while offset_bytes < end {
        let mut header = [0; HEADER_BYTES];
        file.seek(SeekFrom::Start(offset_bytes))?;
        file.read_exact(&mut header).map_err(super::damaged)?;
        let (name, size_bytes) = member(&header).ok_or_else(|| {
            Failure::new(format!("it is damaged: no ar member header at byte {offset_bytes}"))
        })?;
        offset_bytes += HEADER_BYTES as u64;
        if size_bytes > end - offset_bytes {
            return Err(super::damaged(std::io::ErrorKind::UnexpectedEof.into()));
        }
        if name.starts_with("data.tar") {
            return Ok(DataMember { name, offset_bytes, size_bytes });
        }
        offset_bytes += size_bytes + size_bytes % 2; // members are aligned to two bytes
    }
    Err(Failure::new("it has no member `data.tar.*`"))
}

/// Name and size of a member: bytes 0 to 15 and 48 to 57, blank-padded text; the header ends in `` `\n ``.
fn member(header: &[u8; HEADER_BYTES]) -> Option<(String, u64)> {
    let text =
        |range: std::ops::Range<usize>| Some(str::from_utf8(&header[range]).ok()?.trim_end().to_owned());
    if &header[58..] != b"`\n" {
        return None;
    }
    // GNU ar ends names with a slash, dpkg does not.
    let name = text(0..16)?.trim_end_matches('/').to_owned();
    Some((name, text(48..58)?.parse().ok()?))
}
