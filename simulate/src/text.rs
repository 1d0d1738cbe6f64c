//! Numbers as text, written by hand: the simulator writes a few hundred thousand records a second.

/// Writes a number of at least zero, padded with zeros to `width` digits.
pub(crate) fn push_digits(out: &mut String, number: i64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut rest = number.unsigned_abs();
    let mut at = digits.len();
    while rest > 0 || digits.len() - at < width.clamp(1, digits.len()) {
        at -= 1;
        digits[at] = b"0123456789"[usize::try_from(rest % 10).unwrap_or(0)];
        rest /= 10;
    }
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or("0"));
}

/// Writes 16 hexadecimal digits.
pub(crate) fn push_hex(out: &mut String, number: u64) {
    for nibble in (0..16).rev() {
        let digit = usize::try_from(number >> (nibble * 4) & 15).unwrap_or(0);
        out.push(char::from(b"0123456789abcdef"[digit]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_padded_and_whole() {
        for (number, width, text) in
            [(0, 0, "0"), (7, 2, "07"), (123, 2, "123"), (0, 6, "000000"), (i64::MAX, 1, "9223372036854775807")]
        {
            let mut out = String::new();
            push_digits(&mut out, number, width);
            assert_eq!(out, text);
        }
        let mut out = String::new();
        push_hex(&mut out, 0xdead_beef);
        assert_eq!(out, "00000000deadbeef");
    }
}
