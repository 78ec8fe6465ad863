// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From a passphrase to the volume key.

use argon2::{Algorithm, Argon2, Params, Version};
use pbkdf2::pbkdf2_hmac;
use sha2::{Digest, Sha256, Sha512};

use super::header::{Argon2Cost, Json, Kdf, KeyDigest, Keyslot};
use super::{Area, Header, Luks2Error};

/// Bounds on what a header may ask for: twice what `cryptsetup` takes at most.
const MAX_KEY_BYTES: usize = 512;
const MAX_STRIPES: usize = 8000;
const MAX_MEMORY_KIB: u32 = 8 << 20;
const MAX_TIME: u32 = 1 << 20;
const MAX_CPUS: u32 = 8;
const MAX_ITERATIONS: u32 = 1 << 30;

/// The volume key. `decrypt` gives the beginning of a key slot's area, decrypted with a key: so many bytes.
///
/// # Errors
/// No key slot opens, or none of a kind that is known here.
pub fn unlock(
    header: &Header,
    passphrase: &[u8],
    mut decrypt: impl FnMut(&Area, &[u8], usize) -> std::io::Result<Vec<u8>>,
) -> Result<Vec<u8>, Luks2Error> {
    let mut trouble = Luks2Error::Passphrase;
    for (name, slot) in &header.json.keyslots {
        let opened = digest_of(&header.json, name)
            .and_then(|digest| Ok((digest, candidate(slot, passphrase, &mut decrypt)?)))
            .and_then(|(digest, key)| Ok(matches(digest, &key)?.then_some(key)));
        match opened {
            Ok(Some(key)) => return Ok(key),
            Ok(None) => {}
            Err(e) => trouble = e,
        }
    }
    Err(trouble)
}

/// The digest that speaks for a key slot and a segment.
fn digest_of<'a>(json: &'a Json, slot: &String) -> Result<&'a KeyDigest, Luks2Error> {
    let speaks = |d: &&KeyDigest| d.keyslots.contains(slot) && !d.segments.is_empty();
    json.digests
        .values()
        .find(speaks)
        .ok_or_else(|| Luks2Error::Damaged(format!("no digest for key slot {slot}")))
}

/// What the key slot holds if the passphrase is the right one.
fn candidate(
    slot: &Keyslot,
    passphrase: &[u8],
    decrypt: &mut impl FnMut(&Area, &[u8], usize) -> std::io::Result<Vec<u8>>,
) -> Result<Vec<u8>, Luks2Error> {
    let unknown = |what: String| Err(Luks2Error::Unknown(what));
    if slot.kind != "luks2" || slot.af.kind != "luks1" || slot.af.hash != "sha256" {
        return unknown(format!("a key slot `{}`, `{}`, `{}`", slot.kind, slot.af.kind, slot.af.hash));
    }
    let (bytes, stripes) = (slot.key_size, slot.af.stripes);
    let fits = (1..=MAX_KEY_BYTES).contains(&bytes)
        && (1..=MAX_KEY_BYTES).contains(&slot.area.key_size)
        && (1..=MAX_STRIPES).contains(&stripes)
        && (bytes * stripes) as u64 <= slot.area.size;
    if !fits {
        return Err(Luks2Error::Damaged(format!("{stripes} stripes of {bytes} bytes")));
    }
    let mut key = vec![0; slot.area.key_size];
    derive(&slot.kdf, passphrase, &mut key)?;
    let area = decrypt(&slot.area, &key, bytes * stripes)?;
    if area.len() != bytes * stripes {
        return Err(Luks2Error::Damaged(format!("{} bytes of a key slot", area.len())));
    }
    Ok(merge(&area, bytes))
}

fn derive(kdf: &Kdf, passphrase: &[u8], key: &mut [u8]) -> Result<(), Luks2Error> {
    let (algorithm, cost) = match kdf {
        Kdf::Argon2i { cost } => (Algorithm::Argon2i, cost),
        Kdf::Argon2id { cost } => (Algorithm::Argon2id, cost),
        Kdf::Pbkdf2 { salt, hash, iterations } => {
            return stretch(hash, passphrase, salt, *iterations, key);
        }
    };
    let Argon2Cost { salt, time, memory, cpus } = cost;
    let damaged = |why: String| Luks2Error::Damaged(why);
    if *time > MAX_TIME || *memory > MAX_MEMORY_KIB || *cpus > MAX_CPUS {
        return Err(damaged(format!("Argon2 with {time} passes over {memory} KiB by {cpus}")));
    }
    let parameters =
        Params::new(*memory, *time, *cpus, Some(key.len())).map_err(|e| damaged(e.to_string()))?;
    Argon2::new(algorithm, Version::V0x13, parameters)
        .hash_password_into(passphrase, salt, key)
        .map_err(|e| damaged(e.to_string()))
}

fn stretch(hash: &str, secret: &[u8], salt: &[u8], rounds: u32, out: &mut [u8]) -> Result<(), Luks2Error> {
    if !(1..=MAX_ITERATIONS).contains(&rounds) {
        return Err(Luks2Error::Damaged(format!("{rounds} iterations")));
    }
    match hash {
        "sha256" => pbkdf2_hmac::<Sha256>(secret, salt, rounds, out),
        "sha512" => pbkdf2_hmac::<Sha512>(secret, salt, rounds, out),
        other => return Err(Luks2Error::Unknown(format!("hash `{other}`"))),
    }
    Ok(())
}

fn matches(digest: &KeyDigest, key: &[u8]) -> Result<bool, Luks2Error> {
    if digest.kind != "pbkdf2" || !(16..=64).contains(&digest.digest.len()) {
        return Err(Luks2Error::Unknown(format!("a digest `{}`", digest.kind)));
    }
    let mut made = vec![0; digest.digest.len()];
    stretch(&digest.hash, key, &digest.salt, digest.iterations, &mut made)?;
    Ok(made == digest.digest)
}

/// The anti-forensic merge of LUKS1 with SHA-256 (LUKS1 on-disk format 1.2.3, 2.4): every stripe counts, so that wiping
/// any one destroys the key.
fn merge(area: &[u8], key_bytes: usize) -> Vec<u8> {
    let mut stripes = area.chunks_exact(key_bytes).peekable();
    let mut key = vec![0; key_bytes];
    while let Some(stripe) = stripes.next() {
        key.iter_mut().zip(stripe).for_each(|(k, s)| *k ^= s);
        if stripes.peek().is_some() {
            diffuse(&mut key);
        }
    }
    key
}

/// Replaces every 32 bytes by their numbered digest; the last piece may be shorter.
fn diffuse(key: &mut [u8]) {
    for (number, piece) in (0_u32..).zip(key.chunks_mut(32)) {
        let digest = Sha256::new().chain_update(number.to_be_bytes()).chain_update(&*piece).finalize();
        piece.copy_from_slice(&digest[..piece.len()]);
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
