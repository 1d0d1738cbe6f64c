//! A number's digits, written once and in place: what [`Decimal`](crate::decimal::Decimal) and
//! [`Exact`](super::Exact) print, without a text in between.

use super::POWERS;

/// What a chunk of 64 bits holds for sure: 18 digits.
const CHUNK_DIGITS: usize = 18;
const CHUNK: u128 = 1_000_000_000_000_000_000;

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let (mut n, mut tens) = (0, b'0');
    while n < pairs.len() {
        let mut ones = b'0';
        while ones <= b'9' {
            pairs[n] = [tens, ones];
            ones += 1;
            n += 1;
        }
        tens += 1;
    }
    pairs
};

/// The shortest exact text of a number: `12`, `-0.5`, `0.000125`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digits {
    /// 39 digits of 128 bits, or 38 after the point and one before it, and the point, and the sign.
    bytes: [u8; 48],
    from: usize,
    to: usize,
}

impl Digits {
    /// `magnitude / 10^places`, of up to 38 places; none for more of them.
    pub(crate) fn of(is_negative: bool, magnitude: u128, places: u32) -> Option<Self> {
        let unit = POWERS.get(usize::try_from(places).ok()?)?.unsigned_abs();
        let (whole, fraction) = match (u64::try_from(magnitude), u64::try_from(unit)) {
            (Ok(magnitude), Ok(unit)) => (u128::from(magnitude / unit), u128::from(magnitude % unit)),
            _ => (magnitude / unit, magnitude % unit),
        };
        let mut text = Self { bytes: [b'0'; 48], from: 48, to: 48 };
        if fraction > 0 {
            text.put(fraction, usize::try_from(places).ok()?);
            while text.bytes.get(text.to - 1) == Some(&b'0') {
                text.to -= 1;
            }
            text.put_byte(b'.');
        }
        text.put(whole, 1);
        if is_negative && magnitude > 0 {
            text.put_byte(b'-');
        }
        Some(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        self.bytes.get(self.from..self.to).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    fn put_byte(&mut self, byte: u8) {
        self.from -= 1;
        self.bytes[self.from] = byte;
    }

    /// Digits before those that are there, with zeros in front up to so many.
    fn put(&mut self, mut value: u128, digits_min: usize) {
        let end = self.from;
        loop {
            let Ok(short) = u64::try_from(value) else {
                let before = self.from - CHUNK_DIGITS;
                self.put_short(u64::try_from(value % CHUNK).unwrap_or_default());
                // The bytes in front are zeros already.
                self.from = before;
                value /= CHUNK;
                continue;
            };
            self.put_short(short);
            break;
        }
        self.from = self.from.min(end - digits_min);
    }

    fn put_short(&mut self, mut value: u64) {
        while value >= 10 {
            let pair = usize::try_from(value % 100).unwrap_or_default();
            value /= 100;
            self.from -= 2;
            self.bytes[self.from..self.from + 2].copy_from_slice(&PAIRS[pair]);
        }
        if value > 0 {
            self.put_byte(b'0' + u8::try_from(value).unwrap_or_default());
        }
    }
}
