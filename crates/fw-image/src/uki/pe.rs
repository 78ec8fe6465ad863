// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The PE side: reads a stub, appends sections to it, reads what came out.
//!
//! Addresses of the stub's own sections stay, their places in the file are given anew (the header grows).

use object::LittleEndian as LE;
use object::pe;
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, PeFile64};

use super::{Error, SECTION_NAMES};

/// Where the PE header begins: the DOS header has 0x40 bytes, and 0x40 of padding follow.
const PE_HEADER_AT: usize = 0x80;
/// Bytes of a section header.
const SECTION_HEADER_BYTES: usize = 40;
/// Bytes of signature and COFF header.
const COFF_BYTES: usize = 24;
/// Data directory of certificates: its address is a place in the file, and that of a signature that no longer holds.
const CERTIFICATE_DIRECTORY: usize = 4;
/// Bytes of the optional header before the data directories.
const OPTIONAL_BYTES: usize = 112;
/// A file of more is none that firmware could load on this board.
const MAX_IMAGE_BYTES: u64 = 1 << 30;

/// A section to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    name: [u8; 8],
    data: Vec<u8>,
    flags: u32,
    address: u32,
    virtual_bytes: u32,
}

impl Section {
    /// A section with content of its exact length; names have up to eight bytes.
    pub fn new(name: &str, data: Vec<u8>) -> Section {
        let mut field = [0; 8];
        let length = name.len().min(8);
        field[..length].copy_from_slice(&name.as_bytes()[..length]);
        let virtual_bytes = data.len() as u32;
        let flags = (pe::IMAGE_SCN_CNT_INITIALIZED_DATA | pe::IMAGE_SCN_MEM_READ).0;
        Section { name: field, data, flags, address: 0, virtual_bytes }
    }

    /// The name.
    pub fn name(&self) -> &str {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(8);
        std::str::from_utf8(&self.name[..end]).unwrap_or("")
    }

    /// The content.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

/// systemd-stub, alone or taken out of a UKI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    dos: Vec<u8>,
    coff_flags: u16,
    optional: Vec<u8>,
    section_alignment: u32,
    file_alignment: u32,
    sections: Vec<Section>,
}

impl Stub {
    /// Reads a stub; of a UKI (an official one, for example) only what is the stub's own is taken.
    ///
    /// # Errors
    /// Not an EFI application for arm64, or one with symbols.
    pub fn parse(bytes: &[u8]) -> Result<Stub, Error> {
        let file = open(bytes)?;
        let headers = file.nt_headers();
        let coff = headers.file_header();
        if coff.pointer_to_symbol_table.get(LE) != 0 || coff.number_of_symbols.get(LE) != 0 {
            return Err(Error::Stub("it has a table of symbols".to_owned()));
        }
        let optional = headers.optional_header();
        let (section_alignment, file_alignment) = (optional.section_alignment(), optional.file_alignment());
        if !section_alignment.is_power_of_two() || !file_alignment.is_power_of_two() {
            return Err(Error::Stub(format!("alignments {section_alignment} and {file_alignment}")));
        }
        let start = file.dos_header().nt_headers_offset() as usize + COFF_BYTES;
        let size = usize::from(coff.size_of_optional_header.get(LE));
        let damaged = || Error::NotPe("the headers are cut off".to_owned());
        let own = |section: &Section| !SECTION_NAMES.contains(&section.name());
        let sections: Vec<Section> = sections(&file, bytes)?.into_iter().filter(own).collect();
        if sections.is_empty() {
            return Err(Error::Stub("it has no code".to_owned()));
        }
        Ok(Stub {
            dos: bytes.get(..0x40).ok_or_else(damaged)?.to_vec(),
            coff_flags: coff.characteristics.get(LE).0,
            optional: bytes.get(start..start + size).ok_or_else(damaged)?.to_vec(),
            section_alignment,
            file_alignment,
            sections,
        })
    }
}

/// The UKI of a stub and sections, with their time in the header.
///
/// # Errors
/// Too many sections for the header's room, or too many bytes.
pub fn assemble(stub: &Stub, appended: Vec<Section>, timestamp: u32) -> Result<Vec<u8>, Error> {
    let layout = |why: String| Error::Layout(why);
    let total: u64 = appended.iter().map(|section| section.data.len() as u64).sum();
    if total > MAX_IMAGE_BYTES {
        return Err(layout(format!("{total} bytes of content")));
    }
    let mut sections = stub.sections.clone();
    let first_address = sections.iter().map(|section| section.address).min().unwrap_or_default();
    let mut next_address = end_of(&sections, stub.section_alignment);
    let appended_bytes: u32 =
        appended.iter().map(|section| align(section.data.len() as u32, stub.file_alignment)).sum();
    for mut section in appended {
        section.address = next_address;
        next_address = align(next_address + section.virtual_bytes, stub.section_alignment);
        sections.push(section);
    }
    let headers = PE_HEADER_AT + COFF_BYTES + stub.optional.len() + sections.len() * SECTION_HEADER_BYTES;
    let header_bytes = align(headers as u32, stub.file_alignment);
    if header_bytes > first_address {
        return Err(layout(format!("{} sections need {header_bytes} bytes of header", sections.len())));
    }
    let mut out = stub.dos.clone();
    out[0x3c..0x40].copy_from_slice(&(PE_HEADER_AT as u32).to_le_bytes());
    out.resize(PE_HEADER_AT, 0);
    out.extend(b"PE\0\0");
    out.extend(pe::IMAGE_FILE_MACHINE_ARM64.0.to_le_bytes());
    out.extend((sections.len() as u16).to_le_bytes());
    out.extend(timestamp.to_le_bytes());
    // No symbols.
    out.extend([0; 8]);
    out.extend((stub.optional.len() as u16).to_le_bytes());
    out.extend(stub.coff_flags.to_le_bytes());
    out.extend(optional_header(stub, appended_bytes, next_address, header_bytes));
    let mut place = header_bytes;
    for section in &sections {
        let raw_bytes = align(section.data.len() as u32, stub.file_alignment);
        out.extend(section.name);
        for word in
            [section.virtual_bytes, section.address, raw_bytes, if raw_bytes == 0 { 0 } else { place }]
        {
            out.extend(word.to_le_bytes());
        }
        // No relocations and line numbers of objects.
        out.extend([0; 12]);
        out.extend(section.flags.to_le_bytes());
        place += raw_bytes;
    }
    out.resize(header_bytes as usize, 0);
    for section in &sections {
        out.extend(&section.data);
        out.resize((out.len() as u32).next_multiple_of(stub.file_alignment) as usize, 0);
    }
    Ok(out)
}

/// Sizes anew; linker version, checksum and signature are cleared (PE/COFF specification, 3.4).
fn optional_header(stub: &Stub, appended_bytes: u32, image_bytes: u32, header_bytes: u32) -> Vec<u8> {
    let mut optional = stub.optional.clone();
    let mut put = |at: usize, word: u32| optional[at..at + 4].copy_from_slice(&word.to_le_bytes());
    let own: u32 = stub
        .sections
        .iter()
        .filter(|section| section.flags & pe::IMAGE_SCN_CNT_INITIALIZED_DATA.0 != 0)
        .map(|section| align(section.data.len() as u32, stub.file_alignment))
        .sum();
    put(8, own + appended_bytes);
    put(56, image_bytes);
    put(60, header_bytes);
    put(64, 0);
    let certificates = OPTIONAL_BYTES + CERTIFICATE_DIRECTORY * 8;
    if stub.optional.len() >= certificates + 8 {
        put(certificates, 0);
        put(certificates + 4, 0);
    }
    optional[2..4].fill(0);
    optional
}

fn align(value: u32, alignment: u32) -> u32 {
    value.next_multiple_of(alignment)
}

fn end_of(sections: &[Section], alignment: u32) -> u32 {
    sections
        .iter()
        .map(|section| align(section.address + section.virtual_bytes, alignment))
        .max()
        .unwrap_or(0)
}

/// A UKI that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uki {
    sections: Vec<Section>,
}

impl Uki {
    /// Reads a UKI.
    ///
    /// # Errors
    /// Not an EFI application for arm64, or a section lies outside of the file.
    pub fn parse(bytes: &[u8]) -> Result<Uki, Error> {
        let file = open(bytes)?;
        Ok(Uki { sections: sections(&file, bytes)? })
    }

    /// Content of the first section of a name, as Talos's reader takes it.
    ///
    /// # Errors
    /// There is none.
    pub fn section(&self, name: &str) -> Result<&[u8], Error> {
        let first = self.sections.iter().find(|section| section.name() == name);
        first.map(Section::data).ok_or_else(|| Error::NoSection(name.to_owned()))
    }

    /// Names of all sections, in the order of the file.
    pub fn names(&self) -> Vec<&str> {
        self.sections.iter().map(Section::name).collect()
    }

    /// Names and contents of all sections, in the order of the file.
    pub fn all_sections(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.sections.iter().map(|section| (section.name(), section.data()))
    }

    /// Contents of all sections of a name.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        self.sections.iter().filter(|section| section.name() == name).map(Section::data).collect()
    }
}

fn open(bytes: &[u8]) -> Result<PeFile64<'_>, Error> {
    let file = PeFile64::parse(bytes).map_err(|e| Error::NotPe(e.to_string()))?;
    let headers = file.nt_headers();
    let machine = headers.file_header().machine.get(LE);
    if machine != pe::IMAGE_FILE_MACHINE_ARM64 {
        return Err(Error::NotForBoard(format!("PE machine {machine:#06x}")));
    }
    let subsystem = headers.optional_header().subsystem();
    if subsystem != pe::IMAGE_SUBSYSTEM_EFI_APPLICATION {
        return Err(Error::NotForBoard(format!("PE subsystem {subsystem}")));
    }
    if usize::from(headers.file_header().size_of_optional_header.get(LE)) < OPTIONAL_BYTES {
        return Err(Error::NotPe("the optional header is too short".to_owned()));
    }
    Ok(file)
}

/// Sections with their content: as many bytes as they have in memory, or in the file if that is less.
fn sections(file: &PeFile64<'_>, bytes: &[u8]) -> Result<Vec<Section>, Error> {
    let mut found = Vec::new();
    // Sections do not share bytes: a hostile file could name the same ones thousands of times.
    let mut left = bytes.len();
    for header in file.section_table().iter() {
        let (place, raw) =
            (header.pointer_to_raw_data.get(LE) as usize, header.size_of_raw_data.get(LE) as usize);
        let (address, virtual_bytes) = (header.virtual_address.get(LE), header.virtual_size.get(LE));
        let name = String::from_utf8_lossy(&header.name).into_owned();
        let outside =
            || Error::NotPe(format!("section `{}` lies outside of the file", name.trim_end_matches('\0')));
        if u64::from(address) + u64::from(virtual_bytes) > MAX_IMAGE_BYTES {
            return Err(outside());
        }
        let length = raw.min(virtual_bytes as usize);
        left = left.checked_sub(length).ok_or_else(outside)?;
        let data = if raw == 0 {
            Some(&[][..])
        } else {
            place.checked_add(length).and_then(|end| bytes.get(place..end))
        };
        found.push(Section {
            name: header.name,
            data: data.ok_or_else(outside)?.to_vec(),
            flags: header.characteristics.get(LE).0,
            address,
            virtual_bytes,
        });
    }
    Ok(found)
}
