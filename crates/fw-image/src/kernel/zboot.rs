// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The EFI zboot wrap (`vmlinuz.efi`): reads it, and plans how to make it again from kept objects.
//!
//! Header after the kernel's `drivers/firmware/efi/libstub/zboot-header.S`: `MZ`, at 4 `zimg`, at 8 the
//! payload's offset, at 12 its size, at 24 the name of the compression, at 0x38 the Linux PE magic. The
//! payload's uncompressed size follows it as a 32-bit word that its size does not count.
//!
//! [`plan`] repeats what `Makefile.zboot` does after the link of the kernel; it starts no process and
//! touches no file.

use std::io::{self, Write};

use super::image;
use super::symbols::{self, Symbols};
use crate::bytes::{array, find, le32};
use crate::hex;

const DOS_MAGIC: [u8; 2] = *b"MZ";
const IMAGE_TYPE: [u8; 4] = *b"zimg";
const COMPRESSION_OFFSET: usize = 24;
const COMPRESSION_LIMIT: usize = 32;
const LINUX_PE_MAGIC: u32 = 0x8182_23cd;
const LINUX_PE_MAGIC_OFFSET: usize = 0x38;
const SIZE_WORD_BYTES: usize = 4;
/// Longest kernel that is unpacked: three times the size of this project's. The memory is taken before the first byte
/// is unpacked, so that a file of some bytes must not ask for more.
pub const IMAGE_LIMIT_BYTES: usize = 128 << 20;

/// Level of the kernel's own `zstd22_with_size`; needs 15 CPU-seconds for 25 MB.
pub const KERNEL_LEVEL: i32 = 22;
/// File the caller writes [`Plan::payload`] to, in the work folder.
pub const PAYLOAD_FILE: &str = "vmlinuz";
/// File the last step leaves in the work folder.
pub const OUTPUT_FILE: &str = "vmlinuz.efi";
const OBJECT_FILE: &str = "vmlinuz.o";
const ELF_FILE: &str = "vmlinuz.efi.elf";

/// What the kernel stage must keep so that the wrap can be made again.
pub const KEPT: [Kept; 3] = [
    Kept { file: "zboot-header.o", tree_path: "arch/arm64/boot/zboot-header.o", origin: Origin::Object },
    Kept { file: "libstub.a", tree_path: "drivers/firmware/efi/libstub/lib.a", origin: Origin::ThinArchive },
    Kept { file: "zboot.lds", tree_path: "drivers/firmware/efi/libstub/zboot.lds", origin: Origin::Source },
];

/// One kept file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Name in the stage's output and in the work folder of the plan.
    pub file: &'static str,
    /// Where it is, in the object tree or in the source tree.
    pub tree_path: &'static str,
    /// Which tree, and whether it can be copied as it is.
    pub origin: Origin,
}

/// Where a kept file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Object tree, copied.
    Object,
    /// Object tree; kbuild makes it thin (`ar cDPrsT`), it only names its members. Its members
    /// (`ar t`, paths from the top of the object tree) go into a real archive: `ar cDrs`.
    ThinArchive,
    /// Source tree, copied.
    Source,
}

/// Why a zboot image was refused or could not be planned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Shorter than the header or than its payload.
    #[error("zboot image is truncated: {what} needs {need_bytes} bytes, there are {have_bytes}")]
    Truncated {
        /// Which part.
        what: &'static str,
        /// Bytes from the start that it needs.
        need_bytes: usize,
        /// Bytes there are.
        have_bytes: usize,
    },
    /// Not a zboot image.
    #[error("zboot image: {what} is `{found}`")]
    Magic {
        /// Which mark.
        what: &'static str,
        /// What stands there, in hexadecimal.
        found: String,
    },
    /// Packed with something else than zstd.
    #[error("zboot image is packed with `{0}`, not `zstd`: the kernel needs `CONFIG_KERNEL_ZSTD=y`")]
    Compression(String),
    /// The payload does not unpack, or not to the size that follows it.
    #[error("zboot payload does not unpack: {0}")]
    Payload(io::Error),
    /// The kernel inside or to be packed is not an arm64 image.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// The kernel's symbols lack [`symbols::CODE_SIZE`].
    #[error(transparent)]
    Symbols(#[from] symbols::Error),
}

/// The header of a zboot image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// First byte of the compressed kernel.
    pub payload_offset_bytes: usize,
    /// Its length, without the size word behind it.
    pub payload_size_bytes: usize,
    /// `zstd` or `gzip`.
    pub compression: String,
}

impl Header {
    /// Reads and checks the header; the payload must lie inside `efi`.
    pub fn parse(efi: &[u8]) -> Result<Self, Error> {
        let need_bytes = LINUX_PE_MAGIC_OFFSET + 8;
        let truncated = || Error::Truncated { what: "the header", need_bytes, have_bytes: efi.len() };
        let header = efi.get(..need_bytes).ok_or_else(truncated)?;
        if !header.starts_with(&DOS_MAGIC) {
            return Err(Error::Magic { what: "the DOS magic", found: hex(&header[..2]) });
        }
        if array(header, 4) != Some(IMAGE_TYPE) {
            return Err(Error::Magic { what: "the image type", found: hex(&header[4..8]) });
        }
        let pe_magic = le32(header, LINUX_PE_MAGIC_OFFSET).ok_or_else(truncated)?;
        if pe_magic != LINUX_PE_MAGIC {
            return Err(Error::Magic { what: "the Linux PE magic", found: format!("{pe_magic:08x}") });
        }
        let name = &header[COMPRESSION_OFFSET..][..COMPRESSION_LIMIT];
        let name = &name[..find(name, &[0]).unwrap_or(name.len())];
        let parsed = Self {
            payload_offset_bytes: le32(header, 8).ok_or_else(truncated)? as usize,
            payload_size_bytes: le32(header, 12).ok_or_else(truncated)? as usize,
            compression: name.escape_ascii().to_string(),
        };
        let end = parsed.payload_offset_bytes + parsed.payload_size_bytes + SIZE_WORD_BYTES;
        if end > efi.len() {
            return Err(Error::Truncated { what: "the payload", need_bytes: end, have_bytes: efi.len() });
        }
        Ok(parsed)
    }

    /// The compressed kernel, without the size word.
    pub fn payload<'a>(&self, efi: &'a [u8]) -> &'a [u8] {
        &efi[self.payload_offset_bytes..][..self.payload_size_bytes]
    }
}

/// Unpacks the kernel out of a zboot image: the raw `Image`, padded with zeros to its size in memory.
pub fn decompress(efi: &[u8]) -> Result<Vec<u8>, Error> {
    let header = Header::parse(efi)?;
    if header.compression != "zstd" {
        return Err(Error::Compression(header.compression));
    }
    let size_word = header.payload_offset_bytes + header.payload_size_bytes;
    let size = le32(efi, size_word).unwrap_or_default() as usize;
    if size > IMAGE_LIMIT_BYTES {
        return Err(Error::Payload(io::Error::other(format!("it claims {size} bytes"))));
    }
    let image = zstd::bulk::decompress(header.payload(efi), size).map_err(Error::Payload)?;
    if image.len() != size {
        let why = format!("{} bytes came out, {size} were announced", image.len());
        return Err(Error::Payload(io::Error::other(why)));
    }
    image::Header::parse(&image)?;
    Ok(image)
}

/// Which program a step runs; the caller puts the cross prefix in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// GNU `objcopy`.
    Objcopy,
    /// GNU `ld`.
    Ld,
}

/// One process, run in the work folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The program.
    pub tool: Tool,
    /// Its arguments; files are named relative to the work folder.
    pub arguments: Vec<String>,
    /// The file it must leave behind.
    pub output: &'static str,
}

/// All that is needed to make `vmlinuz.efi` from a raw image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Content of [`PAYLOAD_FILE`]: the zstd frame and the size word.
    pub payload: Vec<u8>,
    /// Processes in order. The work folder holds [`PAYLOAD_FILE`] and the [`KEPT`] files under their
    /// `file` names; [`OUTPUT_FILE`] is there after the last one.
    pub steps: Vec<Step>,
}

/// Plans the wrap of a raw `Image` whose symbols are given (those of the unpatched build are right: the
/// slot changes no address).
///
/// One zstd thread and a fixed level: the payload depends on the image, the level and the version of
/// the zstd library alone.
pub fn plan(image: &[u8], symbols: &Symbols, level: i32) -> Result<Plan, Error> {
    Ok(Plan { payload: payload(image, level)?, steps: steps(symbols.address(symbols::CODE_SIZE)?) })
}

/// `vmlinux.bin` and `vmlinuz` of `Makefile.zboot`.
fn payload(image: &[u8], level: i32) -> Result<Vec<u8>, Error> {
    let header = image::Header::parse(image)?;
    // The stub unpacks in place over the kernel's whole memory, BSS included, and takes the size word
    // for the size of that memory.
    let memory_bytes = usize::try_from(header.image_size_bytes)
        .ok()
        .filter(|bytes| *bytes <= IMAGE_LIMIT_BYTES)
        .ok_or_else(|| Error::Payload(io::Error::other("the image asks for more than 512 MiB")))?;
    let mut padded = image.to_vec();
    padded.resize(memory_bytes, 0);
    let compress = || {
        let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
        // As the command-line tool does: the stub then refuses a kernel that was damaged on disk.
        encoder.include_checksum(true)?;
        encoder.set_pledged_src_size(Some(padded.len() as u64))?;
        encoder.write_all(&padded)?;
        encoder.finish()
    };
    let mut packed = compress().map_err(Error::Payload)?;
    packed.extend((memory_bytes as u32).to_le_bytes());
    Ok(packed)
}

/// `vmlinuz.o`, `vmlinuz.efi.elf` and `vmlinuz.efi` of `Makefile.zboot`, with arm64's flags.
fn steps(code_size_bytes: u64) -> Vec<Step> {
    let step = |tool, output, arguments: &[&str]| Step {
        tool,
        output,
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
    };
    // `EFI_ZBOOT_OBJCOPY_FLAGS` of arch/arm64/boot/Makefile: how much the stub must clean from the caches.
    let code_size = format!("zboot_code_size={code_size_bytes:#018x}");
    vec![
        step(
            Tool::Objcopy,
            OBJECT_FILE,
            &[
                "-I",
                "binary",
                "-O",
                "elf64-littleaarch64",
                "--add-symbol",
                &code_size,
                // zboot.lds places this section first in .rodata.
                "--rename-section",
                ".data=.gzdata,load,alloc,readonly,contents",
                PAYLOAD_FILE,
                OBJECT_FILE,
            ],
        ),
        step(
            Tool::Ld,
            ELF_FILE,
            &[
                // KBUILD_LDFLAGS of arch/arm64/Makefile and of the top Makefile, for GNU ld.
                "-EL",
                "-maarch64elf",
                "-z",
                "noexecstack",
                "--no-warn-rwx-segments",
                "-T",
                KEPT[2].file,
                // Order of `real-prereqs`: it decides where the header and the payload land.
                OBJECT_FILE,
                KEPT[0].file,
                KEPT[1].file,
                "-o",
                ELF_FILE,
            ],
        ),
        step(Tool::Objcopy, OUTPUT_FILE, &["-O", "binary", ELF_FILE, OUTPUT_FILE]),
    ]
}

#[cfg(test)]
mod tests;
