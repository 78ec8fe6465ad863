// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What kind of file it is, by its first bytes; and files that stand alone.

use fw_image::fdt::{self, Tree};
use fw_image::fit::Fit;
use fw_image::kernel::{image, zboot};
use fw_image::{bl31, cpio, ddr, idblock};

use crate::finding::Kind;
use crate::look::{Inspector, Look, range, text_at};
use crate::report::{DtbReport, KernelReport, RangeKind, Shape};
use crate::{filesystem, loader, source, uki};

/// How packages for USB tools begin: firmware (`RKFW`, `RKAF`), boot loaders (`LDR `, `BOOT`); rkbin's tools.
const USB_PACKAGES: [&[u8; 4]; 4] = [b"RKFW", b"RKAF", b"LDR ", b"BOOT"];

/// Where U-Boot's SPI layout has its parts (`rk3588-u-boot.dtsi`, `simple-bin-spi`; `SYS_SPI_U_BOOT_OFFS`).
const SPI_FIT_BYTES: usize = 0x6_0000;
/// No SPI flash of such a board is larger.
const SPI_MAX_BYTES: u64 = 64 << 20;

/// Whether a FIT begins there.
pub(crate) fn is_fit(head: &[u8], at: usize) -> bool {
    let bytes = head.get(at..).unwrap_or_default();
    bytes.starts_with(&fdt::MAGIC.to_be_bytes())
        && match Tree::parse(bytes) {
            Ok(tree) => tree.node("/images").is_ok(),
            // A damaged tree where a FIT should be is one.
            Err(_) => true,
        }
}

pub(crate) fn of(look: &Look<'_>) -> Shape {
    let head = &look.head[..];
    let size = look.source.size_bytes();
    if USB_PACKAGES.iter().any(|magic| head.starts_with(*magic)) {
        return Shape::UsbPackage;
    }
    if head.starts_with(&idblock::MAGIC) {
        return Shape::Loader;
    }
    if head.starts_with(&fdt::MAGIC.to_be_bytes()) {
        return if is_fit(head, 0) { Shape::Fit } else { Shape::DeviceTree };
    }
    if head.starts_with(b"\x7fELF") {
        return Shape::Elf;
    }
    if head.get(56..60) == Some(&image::MAGIC) || zboot::Header::parse(head).is_ok() {
        return Shape::Kernel;
    }
    // A unified kernel image may have `.linux` far behind: the headers are enough.
    if crate::pe::parse(head).is_some() {
        return Shape::EfiProgram;
    }
    if head.starts_with(cpio::MAGIC) {
        return Shape::Initramfs;
    }
    let mbr = head.get(510..512) == Some(&[0x55, 0xaa]);
    let protective = mbr && head[450] == 0xee;
    let backup = size.checked_sub(512).and_then(|at| source::bytes(look.source, at & !511, 8).ok());
    if head.get(512..520) == Some(b"EFI PART") || protective || backup.as_deref() == Some(b"EFI PART") {
        return Shape::Disk;
    }
    if filesystem::name(look.source, 0, size).is_some() {
        return Shape::Filesystem;
    }
    if mbr && crate::table::mbr_entries(head).next().is_some() {
        return Shape::Disk;
    }
    let at_64 = loader::has_magic(head, loader::IDBLOCK_BYTES);
    if at_64 && size <= SPI_MAX_BYTES && is_fit(head, SPI_FIT_BYTES) && !is_fit(head, loader::FIT_BYTES) {
        return Shape::SpiLoader;
    }
    if at_64 || is_fit(head, loader::FIT_BYTES) { Shape::Disk } else { Shape::Unknown }
}

/// Looks at a file that is no disk and no loader.
pub(crate) fn alone(look: &mut Look<'_>, shape: Shape, inspector: &mut Inspector) {
    let size = look.source.size_bytes();
    let mut detail = String::new();
    match shape {
        Shape::UsbPackage => {
            detail = text_at(&look.head, 0, 4);
            look.findings.add(Kind::UsbPackage, "file", Some(0), format!("it begins with `{detail}`"));
        }
        Shape::Elf => match whole(look).map(|bytes| bl31::parse(&bytes)) {
            Some(Ok(found)) => {
                let addresses: Vec<String> =
                    found.segments.iter().map(|s| format!("{:#x}", s.start)).collect();
                detail = format!("BL31 ({}), loaded to {}", found.maker, addresses.join(", "));
                look.findings.add(Kind::LoaderPart, "file", Some(0), detail.clone());
            }
            Some(Err(e)) => detail = format!("not a BL31 for this SoC: {e}"),
            None => {}
        },
        Shape::DeviceTree => {
            if let Ok(tree) = Tree::parse(&look.head) {
                let (model, compatible) = (tree.model().ok(), tree.compatible().unwrap_or_default());
                detail = model.clone().unwrap_or_default();
                look.report.device_trees.push(DtbReport {
                    path: String::new(),
                    model,
                    compatible,
                    taken: false,
                });
            } else {
                detail = "damaged".to_owned();
            }
        }
        Shape::Kernel => {
            if let Some(bytes) = whole(look) {
                let kernel = inspector.kernel(&bytes);
                detail = kernel.release.clone().unwrap_or_default();
                look.report.kernels.push(KernelReport { path: String::new(), ..kernel.report() });
                if let Some((kind, detail)) = &kernel.fault {
                    look.findings.add(*kind, "file", Some(0), detail.clone());
                }
            }
        }
        Shape::Filesystem => {
            detail = filesystem::name(look.source, 0, size).unwrap_or_default().to_owned();
        }
        Shape::EfiProgram => {
            if let Some(bytes) = whole(look) {
                detail = uki::alone(look, &bytes, inspector);
            }
        }
        Shape::Unknown => {
            if let Ok(blob) = ddr::parse(&look.head) {
                detail = format!("DDR blob {}", blob.version);
                look.findings.add(Kind::LoaderPart, "file", Some(0), blob.build);
            } else {
                let begin: String = look.head.iter().take(16).map(|b| format!("{b:02x}")).collect();
                look.findings.add(Kind::Unrecognised, "file", Some(0), format!("it begins with {begin}"));
                return;
            }
        }
        Shape::Initramfs => {
            if let Ok((members, _)) = cpio::read(&look.head) {
                detail = format!("{} members", members.len());
            }
        }
        Shape::Disk | Shape::Loader | Shape::SpiLoader | Shape::Fit => {}
    }
    look.claims.add(range(RangeKind::File, shape.words(), 0, size, detail));
}

/// The whole file, if it is not too large to be what it seems.
fn whole(look: &mut Look<'_>) -> Option<Vec<u8>> {
    let size = look.source.size_bytes();
    if size > look.options.file_bytes {
        look.findings.add(Kind::NotRead, "file", None, format!("{size} bytes are more than is read"));
        return None;
    }
    source::bytes(look.source, 0, size as usize).map_err(|e| look.unreadable("file", 0, &e)).ok()
}

/// Length of the tree that begins there, with the data of its images where it is a FIT.
pub(crate) fn tree_extent(head: &[u8], at: usize) -> Option<usize> {
    let bytes = head.get(at..)?;
    let tree = Tree::parse(bytes).ok()?;
    Some(Fit::parse(bytes).map_or(tree.size_bytes(), |fit| fit.end_bytes()))
}
