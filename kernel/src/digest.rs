//! SHA-256 as the gateway needs it: a body's digest in hexadecimal, and a request's HMAC in base64.
//!
//! The reference is `logops_fast/formats/signature.py`, with OpenSSL. For messages of a few hundred bytes OpenSSL's contexts
//! cost more than the hash does.

use sha2::{Digest, Sha256};

const BLOCK: usize = 64;
const INNER_PAD: u8 = 0x36;
const OUTER_PAD: u8 = 0x5c;

/// HMAC-SHA256 (RFC 2104) with both states of its key made once.
pub struct SigningKey {
    inner: Sha256,
    outer: Sha256,
}

impl SigningKey {
    pub fn new(secret: &[u8]) -> Self {
        let mut key = [0; BLOCK];
        if secret.len() > BLOCK {
            key[..32].copy_from_slice(&Sha256::digest(secret));
        } else {
            key[..secret.len()].copy_from_slice(secret);
        }
        let state = |pad: u8| Sha256::new_with_prefix(key.map(|byte| byte ^ pad));
        SigningKey { inner: state(INNER_PAD), outer: state(OUTER_PAD) }
    }

    /// The base64 text of the message's HMAC.
    pub fn signature(&self, message: &[u8]) -> [u8; 44] {
        let inner = self.inner.clone().chain_update(message).finalize();
        base64(&self.outer.clone().chain_update(inner).finalize().into())
    }
}

/// The digest in lower-case hexadecimal.
pub fn hex(data: &[u8]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(Sha256::digest(data)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

fn base64(digest: &[u8; 32]) -> [u8; 44] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = [b'='; 44];
    for (four, three) in text.chunks_exact_mut(4).zip(digest.chunks(3)) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, digit) in four.iter_mut().enumerate().take(three.len() + 1) {
            *digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(secret: &[u8], message: &[u8]) -> String {
        String::from_utf8(SigningKey::new(secret).signature(message).to_vec()).unwrap()
    }

    #[test]
    fn the_vectors_of_the_rfc() {
        // RFC 4231, test cases 1, 2 and 6 (a key longer than a block), in base64.
        assert_eq!(signed(&[0x0b; 20], b"Hi There"), "sDRMYdjbOFNcqK/OrwvxK4gdwgDJgz2nJuk3bC4yz/c=");
        assert_eq!(signed(b"Jefe", b"what do ya want for nothing?"), "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
        assert_eq!(
            signed(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "YOQxWR7gtn8Niiaqy/W3f44LxiE3KMUUBUYEDw7jf1Q="
        );
    }

    #[test]
    fn a_digest_in_hexadecimal() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(&hex(b"abc"), b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
