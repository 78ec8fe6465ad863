// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Programs that say on the console whose disk they came from: what the disks of the boot-order test carry in the
//! place of a boot loader or a kernel.
//!
//! They are written as machine code, since a disk needs some forty bytes of it and no compiler here makes PE files.

/// What each program prints first; the disk's name follows.
pub const MARK: &str = "BOOT-ORDER";
/// What a program prints that gives control back.
pub const RETURNED: &str = "BOOT-ORDER-RETURNED";

/// What a program does after its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Waits for ever.
    Stay,
    /// Ends with EFI_NOT_FOUND, as a boot manager does that finds nothing to start.
    Return,
}

const SECTION_BYTES: usize = 0x200;
const SECTION_ADDRESS: u32 = 0x1000;

/// An EFI application for AArch64 that prints `text`: a PE32+ file of one section, without relocations.
///
/// Fields by the PE/COFF specification, sections 3 and 4.
pub fn efi(text: &str, then: Then) -> Vec<u8> {
    let mut out = b"MZ".to_vec();
    out.resize(0x3c, 0);
    push32(&mut out, &[0x40]);
    out.extend(b"PE\0\0");
    // COFF header: AArch64, one section, 240 bytes of optional header, executable and without debug data.
    push16(&mut out, &[0xaa64, 1]);
    push32(&mut out, &[0, 0, 0]);
    push16(&mut out, &[240, 0x0206]);
    // Optional header: PE32+, sizes of code and data, entry point, base of code, image base 0.
    push16(&mut out, &[0x020b, 0]);
    push32(&mut out, &[SECTION_BYTES as u32, 0, 0, SECTION_ADDRESS, SECTION_ADDRESS, 0, 0]);
    // Alignment in memory and in the file, versions, sizes of image and headers, checksum.
    push32(&mut out, &[0x1000, 0x200, 0, 0, 0, 0, 0x2000, 0x200, 0]);
    // Subsystem 10: EFI application. Stack and heap do not count for EFI. 16 data directories, all empty.
    push16(&mut out, &[10, 0]);
    push32(&mut out, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 16]);
    out.resize(out.len() + 16 * 8, 0);
    // The section: name, size and address in memory, size and place in the file, code that is read and executed.
    out.extend(b".text\0\0\0");
    push32(
        &mut out,
        &[SECTION_BYTES as u32, SECTION_ADDRESS, SECTION_BYTES as u32, 0x200, 0, 0, 0, 0x6000_0020],
    );
    out.resize(0x200, 0);
    out.extend(code(then));
    for unit in format!("{text}\r\n\0").encode_utf16() {
        push16(&mut out, &[unit]);
    }
    out.resize(0x200 + SECTION_BYTES, 0);
    out
}

/// Prints what follows the code through `ConOut->OutputString` (UEFI 2.10, 4.3 and 12.4).
fn code(then: Then) -> Vec<u8> {
    let end: &[u32] = match then {
        // wfi; b .-4
        Then::Stay => &[0xd503_207f, 0x17ff_ffff, 0xd503_201f, 0xd503_201f, 0xd503_201f],
        // mov x0, #14; movk x0, #0x8000, lsl #48; ldp x29, x30, [sp], #16; ret: EFI_NOT_FOUND
        Then::Return => &[0xd280_01c0, 0xf2f0_0000, 0xa8c1_7bfd, 0xd65f_03c0, 0xd503_201f],
    };
    let begin = [
        0xa9bf_7bfd, // stp x29, x30, [sp, #-16]!
        0xf940_2020, // ldr x0, [x1, #64]: system table, ConOut
        0xf940_0402, // ldr x2, [x0, #8]: OutputString
        0x1000_00e1, // adr x1, .+28: the text behind the code
        0xd63f_0040, // blr x2
    ];
    begin.iter().chain(end).flat_map(|word| word.to_le_bytes()).collect()
}

/// A kernel in the form of arm64's `Image` that prints `text` on the UART of QEMU's `virt` machine and waits.
///
/// Header by Linux's Documentation/arch/arm64/booting.rst; PL011 at 0x0900_0000.
pub fn kernel(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    push32(&mut out, &[0x1400_0010, 0]); // b .+64
    // Text offset 0, 64 KiB in memory, little endian with pages of 4 KiB anywhere in memory.
    push32(&mut out, &[0, 0, 0x1_0000, 0, 0x0a, 0]);
    out.resize(56, 0);
    out.extend(b"ARM\x64");
    push32(&mut out, &[0]);
    for word in [
        0xd2a1_2001_u32, // mov x1, #0x09000000
        0x1000_00e0,     // adr x0, .+28: the text
        0x3840_1402,     // ldrb w2, [x0], #1
        0x3400_0062,     // cbz w2, .+12
        0xb900_0022,     // str w2, [x1]
        0x17ff_fffd,     // b .-12
        0xd503_207f,     // wfi
        0x17ff_ffff,     // b .-4
    ] {
        out.extend(word.to_le_bytes());
    }
    out.extend(text.as_bytes());
    out.extend(b"\r\n\0");
    out.resize(0x1000, 0);
    out
}

fn push16(out: &mut Vec<u8>, values: &[u16]) {
    out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
}

fn push32(out: &mut Vec<u8>, values: &[u32]) {
    out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    }

    #[test]
    fn an_efi_program_is_a_pe_file_with_its_text_behind_the_code() {
        for then in [Then::Stay, Then::Return] {
            let bytes = efi("BOOT-ORDER sd ours", then);
            let pe = word(&bytes, 0x3c) as usize;
            assert_eq!(&bytes[pe..pe + 6], b"PE\0\0\x64\xaa");
            let optional = pe + 24;
            assert_eq!(word(&bytes, optional + 16), SECTION_ADDRESS, "entry point");
            assert_eq!(bytes[optional + 68], 10, "subsystem");
            let section = optional + 240;
            assert_eq!(&bytes[section..section + 6], b".text\0");
            assert_eq!((word(&bytes, section + 12), word(&bytes, section + 20)), (SECTION_ADDRESS, 0x200));
            let data = &bytes[0x200..];
            assert_eq!((&data[..40], data.len()), (&code(then)[..], SECTION_BYTES));
            // adr at byte 12 points 28 bytes on, to the first letter.
            assert_eq!(&data[40..44], b"B\0O\0");
        }
    }

    #[test]
    fn a_kernel_has_the_header_that_booti_wants() {
        let bytes = kernel("BOOT-ORDER nvme x");
        assert_eq!(&bytes[56..60], b"ARM\x64");
        // adr at byte 68 points 28 bytes on.
        assert_eq!(&bytes[96..106], b"BOOT-ORDER");
    }
}
