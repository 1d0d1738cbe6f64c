use super::*;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn exact(text: &str) -> Exact {
    text.parse().unwrap()
}

#[test]
fn divisions_stay_exact() {
    for (above, below, text) in [
        ("1", "3", "1/3"),
        ("1500", "31", "1500/31"),
        ("1", "1073741824", "0.000000000931322574615478515625"),
        ("10", "4", "2.5"),
        ("-1", "0.3", "-10/3"),
        ("1", "-0.5", "-2"),
        ("0", "7", "0"),
    ] {
        let quotient = exact(above).checked_div(exact(below)).unwrap();
        assert_eq!(quotient.to_string(), text);
        assert_eq!(quotient.checked_mul(exact(below)).unwrap(), exact(above), "{text}");
    }
    assert_eq!(exact("1").checked_div(Exact::ZERO), Err(DecimalError::ByZero));
    let third = exact("1").checked_div(exact("3")).unwrap();
    let sixth = exact("1").checked_div(exact("6")).unwrap();
    assert_eq!(third.checked_add(sixth).unwrap().to_string(), "0.5");
    assert_eq!(third.checked_sub(sixth).unwrap(), sixth);
    assert!(third.checked_cmp(sixth).unwrap().is_gt());
    assert_eq!(third.to_decimal(), None);
    assert_eq!(exact("2.50").to_decimal(), Some(decimal("2.5")));
}

#[test]
fn quantities_round_to_multiples() {
    use Direction::{Down, HalfUp, Up};
    for (text, step, direction, result) in [
        ("123.456", "0.01", HalfUp, "123.46"),
        ("123.456", "0.01", Up, "123.46"),
        ("123.456", "0.01", Down, "123.45"),
        ("123.456", "100", HalfUp, "100"),
        ("123.456", "100", Up, "200"),
        ("123.456", "1", HalfUp, "123"),
        ("2.5", "1", HalfUp, "3"),
        ("-2.5", "1", HalfUp, "-3"),
        ("2", "1", Up, "2"),
        ("2.000000000001", "1", Up, "3"),
        ("7", "0.25", Down, "7"),
        ("0", "10", Up, "0"),
    ] {
        assert_eq!(exact(text).round_to_multiple(decimal(step), direction).unwrap(), exact(result), "{text} {step}");
    }
    assert!(exact("1").round_to_multiple(Decimal::ZERO, Up).is_err());
}

#[test]
fn text_is_printed_as_it_was_read() {
    for text in [
        "0",
        "12",
        "-0.5",
        "0.0375",
        "-1234567890123.000000000000000000000001",
        "99999999999999999999.1",
        "170141183460469231731687303715884105727",
        "170141183460469231731687303715884105728.5",
        "0.00000000000000000000000000000000000001",
        "-0.00000000000000000000000000000000000000000000000000000000001",
        "0.123456789012345678901234567890123456789",
    ] {
        let read = exact(text);
        assert_eq!(read.to_string(), text);
    }
    assert_eq!(exact("12.3400").to_string(), "12.34");
    assert_eq!(exact("-0").to_string(), "0");
}

#[test]
fn text_of_other_systems_is_read_whole() {
    assert_eq!(exact("17.9699999999999988631316").round_to_minor(2, 1), Ok(1797));
    for bad in ["", "-", ".5", "1.", "1e3", "+1", " 1"] {
        assert!(bad.parse::<Exact>().is_err(), "{bad:?}");
    }
}

#[test]
fn rounding_is_half_away_from_zero_once() {
    for (price, quantity, exponent, step, minor) in [
        ("0.05", "30", 2, 1, 150),
        ("0.005", "1", 2, 1, 1),
        ("-0.005", "1", 2, 1, -1),
        ("0.004999999999", "1", 2, 1, 0),
        ("0.0002", "1234567", 2, 1, 24_691),
        ("1.5", "1", 0, 1, 2),
        ("2.5", "1", 0, 1, 3),
        ("1.49", "1", 2, 100, 100),
        ("1.50", "1", 2, 100, 200),
        ("0.0155", "1", 3, 10, 20),
    ] {
        let exact = decimal(price).times(decimal(quantity));
        assert_eq!(exact.round_to_minor(exponent, step), Ok(minor), "{price} x {quantity}");
    }
}

#[test]
fn the_largest_product_is_exact_and_too_much_money_is_an_error() {
    let most = decimal("99999999999999999999999999.999999999999");
    assert!(most.times(most).checked_add(Exact::ZERO).is_ok());
    assert_eq!(most.times(most).round_to_minor(2, 1), Err(DecimalError::Overflow("rounding to minor units")));
    assert!(most.checked_add(most).is_err());
}

/// What fits 128 bits is computed and printed as by 256, where both have a result; at the ends of 64 and of 128 bits,
/// too.
#[test]
fn the_short_form_agrees_with_the_wide_one() {
    let ends =
        [0, 1, 5, 9, 10, 999_999, 1_000_000, i128::from(i64::MAX), i128::from(u64::MAX), 10_i128.pow(30), i128::MAX];
    let numbers = ends.iter().flat_map(|end| [*end, end.saturating_add(1), -end / 7]);
    let numbers: Vec<Exact> =
        numbers.flat_map(|number| [0, 1, 12, 38, 39].map(|ten| Exact(Form::Short { number, ten }))).collect();
    let texts = |exact: Result<Exact, DecimalError>| exact.map(|exact| exact.to_string());
    let wide = |exact: Result<Wide, DecimalError>| exact.map(|exact| exact.to_string());
    for one in &numbers {
        let (short, long) = (*one, one.wide());
        assert_eq!(short.to_string(), long.to_string(), "{one:?}");
        assert_eq!(short.to_decimal(), long.to_decimal(), "{one:?}");
        for (exponent, step) in [(0, 1), (2, 1), (2, 100), (3, 10)] {
            for (word, rounding) in Rounding::WORDS {
                let found = short.round_to_minor_by(exponent, step, rounding);
                assert_eq!(found, long.round_to_minor(exponent, step, rounding), "{one:?} {exponent} {word}");
            }
        }
        for step in ["0.000000000001", "0.25", "1", "100", "7.3"] {
            for direction in [Direction::Up, Direction::Down, Direction::HalfUp] {
                let step = decimal(step);
                let found = texts(short.round_to_multiple(step, direction));
                assert_eq!(found, wide(long.round_to_multiple(step, direction)), "{one:?} {step} {direction:?}");
            }
        }
        for other in &numbers {
            assert_eq!(texts(short.checked_add(*other)), wide(long.checked_add(other.wide())), "{one:?} + {other:?}");
            assert_eq!(texts(short.checked_sub(*other)), wide(long.checked_sub(other.wide())), "{one:?} - {other:?}");
            assert_eq!(texts(short.checked_mul(*other)), wide(long.checked_mul(other.wide())), "{one:?} * {other:?}");
            assert_eq!(short.checked_cmp(*other), long.checked_cmp(other.wide()), "{one:?} {other:?}");
        }
    }
}

/// What Java's `RoundingMode` and Python's `decimal` print of the same numbers.
#[test]
fn amounts_are_rounded_as_others_do() {
    for (text, half_up, half_even, half_down, up, down, ceiling, floor) in [
        ("0.5", 1, 0, 0, 1, 0, 1, 0),
        ("1.5", 2, 2, 1, 2, 1, 2, 1),
        ("2.5", 3, 2, 2, 3, 2, 3, 2),
        ("2.500000000001", 3, 3, 3, 3, 2, 3, 2),
        ("2.4", 2, 2, 2, 3, 2, 3, 2),
        ("-0.5", -1, 0, 0, -1, 0, 0, -1),
        ("-2.5", -3, -2, -2, -3, -2, -2, -3),
        ("-3.5", -4, -4, -3, -4, -3, -3, -4),
        ("7", 7, 7, 7, 7, 7, 7, 7),
        ("0", 0, 0, 0, 0, 0, 0, 0),
    ] {
        let found = Rounding::WORDS.map(|(_, rounding)| exact(text).round_to_minor_by(0, 1, rounding).unwrap());
        assert_eq!(found, [half_up, half_even, half_down, up, down, ceiling, floor], "{text}");
    }
}

/// A decimal is held over the least of 1, 10^6 and 10^12, and is the same number.
#[test]
fn decimals_are_held_short() {
    for text in ["0", "7", "-7", "0.5", "-0.000001", "0.0000005", "9223372036854.775807", "99999999999999999999999999"]
    {
        let exact = Exact::from_decimal(decimal(text));
        assert_eq!((exact.to_string().as_str(), exact.to_decimal()), (text, Some(decimal(text))), "{text}");
    }
    let ten = |text| Exact::from_decimal(decimal(text)).short().unwrap().1;
    assert_eq!([ten("12"), ten("0.25"), ten("0.0000001"), ten("99999999999999999999999999")], [0, 6, 12, 6]);
}
