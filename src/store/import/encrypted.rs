//! Opening files that conf or electron-store has encrypted: AES-256 in CBC mode, the key made from a password by PBKDF2.
//!
//! # Format
//!
//! | bytes | field |
//! | --- | --- |
//! | 16 | initialisation vector |
//! | 1 | colon |
//! | n | whole blocks of 16 bytes, padded as PKCS#7 says |
//!
//! The key is PBKDF2 with HMAC-SHA-512 over 10,000 rounds. Its salt is the vector; older versions used the vector read as
//! UTF-8, with U+FFFD for what is none. Files of before that have no vector, and a key made with MD5: not opened here.

use aes::Aes256;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use sha2::Sha512;

use crate::error::{Error, ErrorKind, Result};
use crate::store::import::shape::is_sealed;

const ROUNDS: u32 = 10_000;

/// Whether bytes look encrypted.
pub(super) fn is_likely(bytes: &[u8]) -> bool {
    is_sealed(bytes)
}

/// The text in an encrypted file; `None` if the file is not encrypted at all.
pub(super) fn open(bytes: &[u8], password: &[u8]) -> Result<Option<Vec<u8>>> {
    if !is_sealed(bytes) {
        return match bytes.trim_ascii_start().first() {
            Some(b'{' | b'\xEF') => Ok(None),
            _ => {
                Err(Error::new(ErrorKind::Input, "source is neither JSON nor a whole encrypted file of conf")
                    .advise("if a version of conf before 5 wrote it, open and save it once with a later one"))
            }
        };
    }
    let (vector, sealed) = (&bytes[..16], &bytes[17..]);
    let older = String::from_utf8_lossy(vector);
    let opened =
        [vector, older.as_bytes()].into_iter().find_map(|salt| try_salt(vector, sealed, password, salt));
    match opened {
        Some(text) => Ok(Some(text)),
        None => Err(Error::new(ErrorKind::Input, "the key does not open the encrypted source")
            .advise("check the encryptionKey; nothing was imported")),
    }
}

/// The text, if this salt gives one. A wrong key has one chance in 256 to give a padding, but none to give an object.
fn try_salt(vector: &[u8], sealed: &[u8], password: &[u8], salt: &[u8]) -> Option<Vec<u8>> {
    let mut key = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, ROUNDS, &mut key);
    let open = Decryptor::<Aes256>::new_from_slices(&key, vector).ok()?;
    let text = open.decrypt_padded_vec::<Pkcs7>(sealed).ok()?;
    let is_object = text.trim_ascii_start().first() == Some(&b'{') && std::str::from_utf8(&text).is_ok();
    is_object.then_some(text)
}
