// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is to be written: an image file, raw or compressed, checked before a byte of a medium is touched.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use fs_err::File;
use fw_image::hex;
use fw_image::map::ImageMap;
use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use sha2::{Digest, Sha256};

use crate::CHUNK_BYTES;

/// What the decoder may use: `xz -9` needs 65 MiB, `zstd --ultra -22` 128 MiB (window of 2^27).
const XZ_MEMORY_BYTES: u64 = 256 << 20;

/// How the image is packed. Told by its first bytes, never by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Raw,
    /// The .xz file format.
    Xz,
    /// Zstandard, RFC 8878.
    Zstd,
}

/// Why an image is not written.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file cannot be read; the text names it.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// Compressed data that is damaged or cut.
    #[error("`{}` is damaged or cut: {why}", path.display())]
    Damaged {
        /// The image.
        path: PathBuf,
        /// What the decoder says.
        why: io::Error,
    },
    /// The file does not have the digest that `SHA256SUMS` gives it.
    #[error("`{}` is not the file that `SHA256SUMS` beside it lists: {actual} instead of {expected}", path.display())]
    Sums {
        /// The image or its map.
        path: PathBuf,
        /// By the list.
        expected: String,
        /// Of the file.
        actual: String,
    },
    /// The content is not what the map describes.
    #[error("`{}` is not the image that `{}` describes: {why}", path.display(), map.display())]
    Map {
        /// The image.
        path: PathBuf,
        /// The map.
        map: PathBuf,
        /// Size or digest.
        why: String,
    },
    /// It unpacks to more than the medium holds.
    #[error("`{}` unpacks to more than the {limit_bytes} bytes of the medium", path.display())]
    TooLarge {
        /// The image.
        path: PathBuf,
        /// Size of the medium.
        limit_bytes: u64,
    },
    /// Nothing in it.
    #[error("`{}` is empty", .0.display())]
    Empty(PathBuf),
    /// Packed in a way that is not unpacked here. As it is it would be written as it is.
    #[error("`{}` is packed with {form}, which is not unpacked on the way: `{command}` does it", path.display())]
    Packed {
        /// The image.
        path: PathBuf,
        /// How it is packed.
        form: &'static str,
        /// The program that unpacks it.
        command: &'static str,
    },
}

/// An image that was checked.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    /// How it is packed.
    pub form: Form,
    /// Size of the raw image.
    pub raw_bytes: u64,
    /// SHA-256 of the raw image, in hex: from the map when file and map are in `SHA256SUMS`, else computed.
    pub raw_sha256: String,
    /// Its map, where one lies beside it.
    pub map: Option<ImageMap>,
    /// What was checked, and against what; a line each.
    pub checks: Vec<String>,
}

impl Image {
    /// Checks an image against `SHA256SUMS` and `.map.json` beside it. Without them it is decompressed once, to
    /// know before writing that it is whole. Never more than `limit_bytes`, the size of the medium.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub fn open(path: &Path, limit_bytes: u64) -> Result<Image, ImageError> {
        let form = form_of(path)?;
        if let Some((form, command)) = packed_otherwise(path)? {
            return Err(ImageError::Packed { path: path.to_owned(), form, command });
        }
        let mut checks = Vec::new();
        let sums = Sums::beside(path)?;
        let listed = sums.check(path)?;
        if listed {
            checks.push("the file has the digest that `SHA256SUMS` lists".to_owned());
        }
        let map_path = map_path(path);
        let mut map = None;
        if map_path.is_file() {
            let in_sums = sums.check(&map_path)?;
            match ImageMap::from_json(&fs_err::read_to_string(&map_path)?) {
                Ok(found) => map = Some((found, in_sums)),
                Err(e) => checks.push(format!("its map is not used: {e}")),
            }
        }
        let mut image =
            Image { path: path.to_owned(), form, raw_bytes: 0, raw_sha256: String::new(), map: None, checks };
        if let Some((map, true)) = map.as_ref().filter(|_| listed) {
            image.raw_bytes = map.size_bytes;
            image.raw_sha256.clone_from(&map.sha256);
        } else {
            image.survey(limit_bytes)?;
            image.checks.push("it was read once to its end: whole".to_owned());
        }
        if let Some((map, _)) = map {
            let wrong = |why| ImageError::Map { path: path.to_owned(), map: map_path.clone(), why };
            if map.size_bytes != image.raw_bytes {
                return Err(wrong(format!("{} bytes instead of {}", image.raw_bytes, map.size_bytes)));
            }
            if map.sha256 != image.raw_sha256 {
                return Err(wrong("another digest".to_owned()));
            }
            image.map = Some(map);
        }
        match image.raw_bytes {
            0 => Err(ImageError::Empty(path.to_owned())),
            bytes if bytes > limit_bytes => Err(ImageError::TooLarge { path: path.to_owned(), limit_bytes }),
            _ => Ok(image),
        }
    }

    /// The raw image, as a stream.
    ///
    /// # Errors
    /// The file cannot be opened any more.
    pub fn stream(&self) -> io::Result<Box<dyn Read + Send>> {
        unpacked(&self.path, self.form)
    }

    /// The raw image as a stream, nothing checked: for a look at its start.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn unchecked(path: &Path) -> io::Result<Box<dyn Read + Send>> {
        unpacked(path, form_of(path)?)
    }

    fn survey(&mut self, limit_bytes: u64) -> Result<(), ImageError> {
        let damaged = |why| ImageError::Damaged { path: self.path.clone(), why };
        let mut stream = self.stream()?;
        let (mut digest, mut raw_bytes) = (Sha256::new(), 0);
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let got = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(damaged(e)),
            };
            raw_bytes += got as u64;
            if raw_bytes > limit_bytes {
                return Err(ImageError::TooLarge { path: self.path.clone(), limit_bytes });
            }
            digest.update(&buffer[..got]);
        }
        self.raw_bytes = raw_bytes;
        self.raw_sha256 = hex(&digest.finalize());
        Ok(())
    }
}

fn unpacked(path: &Path, form: Form) -> io::Result<Box<dyn Read + Send>> {
    let file = File::open(path)?;
    Ok(match form {
        Form::Raw => Box::new(file),
        Form::Xz => {
            let stream =
                Stream::new_stream_decoder(XZ_MEMORY_BYTES, CONCATENATED).map_err(io::Error::other)?;
            Box::new(XzDecoder::new_stream(BufReader::with_capacity(1 << 18, file), stream))
        }
        Form::Zstd => Box::new(zstd::stream::read::Decoder::new(file)?),
    })
}

fn form_of(path: &Path) -> io::Result<Form> {
    let mut magic = Vec::new();
    File::open(path)?.take(6).read_to_end(&mut magic)?;
    Ok(match magic.as_slice() {
        // The .xz File Format 1.2.1, 2.1.1.1.
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Form::Xz,
        // RFC 8878, 3.1.1.
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Form::Zstd,
        _ => Form::Raw,
    })
}

/// Forms that are not unpacked here by their first bytes (RFC 1952, 2.3.1; APPNOTE.TXT 4.3.7; 7zFormat.txt; bzip2's and
/// LZ4's own headers), and what unpacks them. No medium begins so: it has a boot record there.
const OTHER_FORMS: [(&[u8], &str, &str); 6] = [
    (&[0x1f, 0x8b, 8], "gzip", "gunzip"),
    (b"PK\x03\x04", "zip", "unzip"),
    (b"7z\xbc\xaf\x27\x1c", "7z", "7z x"),
    (b"BZh", "bzip2", "bunzip2"),
    (&[0x04, 0x22, 0x4d, 0x18], "lz4", "unlz4"),
    (b"Rar!\x1a\x07", "rar", "unrar x"),
];

fn packed_otherwise(path: &Path) -> io::Result<Option<(&'static str, &'static str)>> {
    let mut begin = Vec::new();
    File::open(path)?.take(8).read_to_end(&mut begin)?;
    let found = OTHER_FORMS.iter().find(|(magic, ..)| begin.starts_with(magic));
    Ok(found.map(|(_, form, command)| (*form, *command)))
}

/// `x.raw.xz`, `x.raw.zst`, `x.raw`: all have `x.map.json`.
fn map_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = [".xz", ".zst"].iter().find_map(|e| name.strip_suffix(e)).unwrap_or(&name);
    let stem = [".raw", ".img"].iter().find_map(|e| stem.strip_suffix(e)).unwrap_or(stem);
    path.with_file_name(format!("{stem}.map.json"))
}

/// The lines of `SHA256SUMS`: digest, two blanks (or blank and `*`), file name.
struct Sums(Vec<(String, String)>);

impl Sums {
    fn beside(path: &Path) -> io::Result<Sums> {
        let list = path.with_file_name("SHA256SUMS");
        if !list.is_file() {
            return Ok(Sums(Vec::new()));
        }
        let text = fs_err::read_to_string(&list)?;
        let line = |line: &str| {
            let (digest, name) = line.split_once(' ')?;
            Some((digest.to_lowercase(), name.trim_start_matches([' ', '*']).to_owned()))
        };
        Ok(Sums(text.lines().filter_map(line).collect()))
    }

    /// Whether the file is listed; with another digest is an error.
    fn check(&self, path: &Path) -> Result<bool, ImageError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some((expected, _)) = self.0.iter().find(|(_, n)| *n == name) else { return Ok(false) };
        let (mut digest, mut file) = (Sha256::new(), File::open(path)?);
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => digest.update(&buffer[..got]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        let actual = hex(&digest.finalize());
        if actual == *expected {
            return Ok(true);
        }
        Err(ImageError::Sums { path: path.to_owned(), expected: expected.clone(), actual })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Vec<u8> {
        (0..3_000_000_u32).map(|i| if i % 7000 < 50 { i as u8 } else { 0 }).collect()
    }

    fn packed() -> [(&'static str, Form, Vec<u8>); 3] {
        let raw = content();
        let mut xz = Vec::new();
        liblzma::read::XzEncoder::new(&raw[..], 0).read_to_end(&mut xz).expect("xz");
        let zst = zstd::encode_all(&raw[..], 1).expect("zstd");
        [("x.raw", Form::Raw, raw), ("x.raw.xz", Form::Xz, xz), ("x.raw.zst", Form::Zstd, zst)]
    }

    #[test]
    fn every_form_gives_the_same_image() {
        let dir = tempfile::tempdir().expect("folder");
        for (name, form, bytes) in packed() {
            // The name says nothing.
            let path = dir.path().join(format!("{name}.download"));
            fs_err::write(&path, &bytes).expect("written");
            let image = Image::open(&path, 1 << 30).expect(name);
            assert_eq!((image.form, image.raw_bytes), (form, 3_000_000));
            assert_eq!(image.raw_sha256, hex(&Sha256::digest(content())));
            let mut all = Vec::new();
            image.stream().expect("stream").read_to_end(&mut all).expect("read");
            assert!(all == content());
        }
    }

    #[test]
    fn a_cut_or_damaged_file_is_refused_before_anything() {
        let dir = tempfile::tempdir().expect("folder");
        for (name, form, bytes) in packed() {
            if form == Form::Raw {
                continue; // Nothing in a raw file says that it is cut; `SHA256SUMS` does.
            }
            let path = dir.path().join(name);
            fs_err::write(&path, &bytes[..bytes.len() - 9]).expect("written");
            assert!(matches!(Image::open(&path, 1 << 30), Err(ImageError::Damaged { .. })), "{name} cut");
            let mut bad = bytes.clone();
            let middle = bad.len() / 2;
            bad[middle] ^= 1;
            fs_err::write(&path, &bad).expect("written");
            // zstd's encoder above writes no checksum, so there damage may only change the content.
            if form == Form::Xz {
                assert!(matches!(Image::open(&path, 1 << 30), Err(ImageError::Damaged { .. })), "{name}");
            }
            fs_err::write(&path, [&bytes[..], b"trailing words"].concat()).expect("written");
            assert!(matches!(Image::open(&path, 1 << 30), Err(ImageError::Damaged { .. })), "{name} longer");
        }
    }

    /// `inspect` unpacks gzip and finds nothing against it; written as it is it would be no image.
    #[test]
    fn what_is_not_unpacked_here_is_not_written_as_it_is() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("x.img");
        for (begin, form) in
            [(&[0x1f, 0x8b, 8, 0][..], "gzip"), (b"PK\x03\x04", "zip"), (b"BZh91AY", "bzip2")]
        {
            fs_err::write(&path, [begin, &[7; 5000]].concat()).expect("written");
            let error = Image::open(&path, 1 << 30).expect_err(form);
            assert!(matches!(error, ImageError::Packed { form: f, .. } if f == form), "{error}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_size_of_the_medium() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("bomb.zst");
        let bytes = zstd::encode_all(io::repeat(0).take(1 << 30), 1).expect("zstd");
        fs_err::write(&path, bytes).expect("written");
        let error = Image::open(&path, 8 << 20).expect_err("too large");
        assert!(matches!(error, ImageError::TooLarge { limit_bytes: 8_388_608, .. }), "{error}");
        fs_err::write(&path, b"").expect("written");
        assert!(matches!(Image::open(&path, 8 << 20), Err(ImageError::Empty(_))));
    }

    #[test]
    fn sums_and_map_are_believed_only_when_they_agree() {
        let dir = tempfile::tempdir().expect("folder");
        let (name, _, bytes) = &packed()[1];
        let path = dir.path().join(name);
        let sums = dir.path().join("SHA256SUMS");
        fs_err::write(&path, bytes).expect("written");
        fs_err::write(&sums, format!("{}  {name}\n", hex(&Sha256::digest(bytes)))).expect("written");
        let image = Image::open(&path, 1 << 30).expect("right");
        assert_eq!(image.checks.len(), 2, "{:?}", image.checks);
        fs_err::write(&sums, format!("{} *{name}\n", "0".repeat(64))).expect("written");
        let error = Image::open(&path, 1 << 30).expect_err("wrong sum").to_string();
        assert!(error.contains("SHA256SUMS"), "{error}");
        fs_err::remove_file(&sums).expect("removed");
        let map = |size: u64, sha256: &str| {
            format!(
                "{{\"schema_version\":1,\"image\":\"x.raw\",\"board\":\"b\",\"size_bytes\":{size},\"sha256\":\"{sha256}\",\
                 \"userland\":\"bringup\",\"kernel_release\":\"k\",\"talos_version\":\"v\",\"btf\":\"on\",\
                 \"evidence\":\"built-only\",\"regions\":[],\"origins\":{{}}}}"
            )
        };
        let digest = hex(&Sha256::digest(content()));
        let map_file = dir.path().join("x.map.json");
        fs_err::write(&map_file, map(3_000_000, &digest)).expect("written");
        assert!(Image::open(&path, 1 << 30).expect("right").map.is_some());
        for wrong in [map(3_000_001, &digest), map(3_000_000, &"1".repeat(64))] {
            fs_err::write(&map_file, wrong).expect("written");
            assert!(matches!(Image::open(&path, 1 << 30), Err(ImageError::Map { .. })));
        }
        // Another version's map says nothing, and that is said.
        fs_err::write(&map_file, "{\"schema_version\":99}").expect("written");
        assert!(Image::open(&path, 1 << 30).expect("no map").checks[0].contains("not used"));
    }
}
