//! Bytes as text (RFC 4648): for tokens without padding, for certificates in objects with it.

const COMMON: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// With `+`, `/` and padding.
#[must_use]
pub fn standard(bytes: &[u8]) -> String {
    let mut text = encode(bytes, b"+/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// With `-` and `_`, and without padding.
#[must_use]
pub fn url(bytes: &[u8]) -> String {
    encode(bytes, b"-_")
}

fn encode(bytes: &[u8], last: &[u8; 2]) -> String {
    let letter = |value: u32| {
        let at = usize::try_from(value & 63).unwrap_or(0);
        char::from(*COMMON.get(at).unwrap_or_else(|| &last[at - COMMON.len()]))
    };
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let letters = [18, 12, 6, 0].map(|shift| letter(bits >> shift));
        text.extend(&letters[..=three.len()]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648_hold() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(standard(bytes.as_bytes()), text);
        }
        assert_eq!((standard(&[0xfb, 0xff]), url(&[0xfb, 0xff])), ("+/8=".into(), "-_8".into()));
    }
}
