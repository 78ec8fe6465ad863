// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Talos's META partition. Values may be secrets: tags and lengths are told, values are not.

use fw_image::meta::{Meta, PARTITION_BYTES, Source, tag_name};

use crate::finding::Kind;
use crate::look::Look;
use crate::report::{MetaRecord, MetaReport};
use crate::table;

pub(crate) fn look(look: &mut Look<'_>) {
    let Some(p) = look.report.partitions.iter().find(|p| p.name == "META").cloned() else { return };
    if !look.talos {
        return;
    }
    let bytes = match table::bytes_of(look, &p, PARTITION_BYTES as u64) {
        Ok(bytes) => bytes,
        Err(e) => return look.unreadable("META", p.offset_bytes, &e),
    };
    let (state, meta) = match Meta::read(&bytes) {
        Ok((meta, Source::Blank)) => ("empty", meta),
        Ok((meta, _)) => ("records", meta),
        Err(e) => {
            look.findings.add(Kind::MetaDamaged, "META", Some(p.offset_bytes), e.to_string());
            ("damaged", Meta::default())
        }
    };
    let records = meta.values().iter().map(|(tag, value)| MetaRecord {
        tag: u32::from(*tag),
        meaning: tag_name(*tag),
        length_bytes: value.len(),
    });
    look.report.meta = Some(MetaReport { state, records: records.collect() });
}
