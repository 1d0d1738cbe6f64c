use super::*;

fn of(number: u64, bytes: &[u8]) -> Json {
    serde_json::from_str(&numbered(number, bytes).unwrap().text).unwrap()
}

/// One bad line costs nothing but itself, and says which it was.
#[test]
fn each_line_is_answered_alone() {
    let good = br#"{"currency":"EUR","round":"1.005"}"#;
    assert_eq!(of(1, good)["total"], "1.01");
    assert_eq!(of(1, &[b"\xef\xbb\xbf", &good[..]].concat())["total"], "1.01");
    assert!(!numbered(1, good).unwrap().is_refused);
    // A mark in the middle of a file is no white space.
    assert_eq!(of(2, &[b"\xef\xbb\xbf", &good[..]].concat())["error"]["line"], 2);
    for nothing in [&b""[..], b" \t", b"\r", b"\xef\xbb\xbf"] {
        assert_eq!(numbered(1, nothing), None);
    }
    for (number, bytes, words) in [
        (7, &b"\xff\xfe"[..], "the line is no UTF-8"),
        (8, b"{", "EOF while parsing"),
        (9, br#"{"currency":"EUR"}"#, "a line needs price"),
        (10, br#"{"currency":"EUR","price":{"model":"per_unit","unit_price":"1"},"quantity":-1}"#, "below zero"),
    ] {
        assert!(numbered(number, bytes).unwrap().is_refused);
        let error = &of(number, bytes)["error"];
        assert_eq!(error["line"], number);
        assert!(error["what"].as_str().unwrap().contains(words), "{error}");
        assert_ne!(error["mend"], "");
    }
    assert_eq!(line("{").matches("\"line\"").count(), 0, "a line by itself has no number");
}

/// An id comes back as it was written, whatever it is.
#[test]
fn an_id_is_given_back_as_it_was() {
    for id in [
        r#""a""#,
        r#""caf\u00e9 \" id""#,
        "7",
        "1.10",
        "1e400",
        "null",
        "true",
        "-0",
        "123456789012345678901234567890",
        r#"["a",{"id":1}]"#,
    ] {
        for rest in [r#""round":"1""#, r#""round":"x""#] {
            let text = format!(r#"{{"more":1,"currency":"EUR","id": {id} ,{rest}}}"#).replace(r#""more":1,"#, "");
            let answer = line(&text);
            assert!(answer.contains(&format!("\"id\":{id}")), "{text}: {answer}");
        }
    }
    assert!(!line(r#"{"currency":"EUR","round":"1"}"#).contains("\"id\""));
    assert_eq!(line(r#"{"currency":"EUR","round":{"id":1}}"#).matches("\"id\":").count(), 0, "an id inside is no id");
}

/// A number of JSON is its digits, wherever it stands; what is more than we hold is told and not cut.
#[test]
fn numbers_of_json_are_taken_by_their_digits() {
    let of = |price: &str, quantity: &str| -> Json {
        let line = format!(
            r#"{{"id":0.10,"currency":"USD","price":{{"model":"per_unit","unit_price":{price}}},"quantity":{quantity}}}"#
        );
        let answer = super::line(&line);
        assert!(answer.contains(r#""id":0.10"#) || answer.contains("invalid number"), "{answer}");
        serde_json::from_str(&answer).unwrap()
    };
    for (price, quantity, exact) in [
        ("0.1", "3", "0.3"),
        ("0.1", "0.2", "0.02"),
        ("1e-12", "1", "0.000000000001"),
        ("2e-05", "50000", "1"),
        ("1.10", "1E1", "11"),
        ("123456.789", "1", "123456.789"),
        ("9007199254740993", "0.001", "9007199254740.993"),
        ("0.000000000001", "9223372036854775808.0", "9223372.036854775808"),
    ] {
        assert_eq!(of(price, quantity)["lines"][0]["exact"], exact, "{price} x {quantity}");
    }
    for (price, what) in [
        ("0.30000000000000004", "more than 12 digits"),
        ("1e-13", "more than 12 digits"),
        ("1e26", "too many digits"),
        ("1e400", "plain decimal"),
        ("true", "expected a number in quotes"),
        ("1.", "invalid number"),
        ("01", "invalid number"),
    ] {
        let found = of(price, "1");
        let told = found["error"]["what"].as_str().unwrap_or_default();
        assert!(told.contains(what), "{price}: {found}");
        assert_ne!(found["error"]["mend"], "");
    }
}

/// What Python writes for an endless float is no JSON, but whose line it was can be read.
#[test]
fn what_is_no_number_is_told_with_its_id() {
    for number in ["NaN", "Infinity", "-Infinity"] {
        let text = format!(r#"{{"id":"NaN 7","currency":"USD","price":{{"tiers":[{{"up_to":{number}}}]}}}}"#);
        let answer: Json = serde_json::from_str(&line(&text)).unwrap();
        assert_eq!(answer["id"], "NaN 7", "{answer}");
        let told = answer["error"]["what"].as_str().unwrap();
        assert!(told.starts_with("NaN and Infinity are no numbers of JSON: ") && told.contains("at line 1"), "{told}");
        assert!(answer["error"]["mend"].as_str().unwrap().starts_with("write digits, or null"), "{answer}");
    }
    // Inside of text it is text, and beside it something else may be wrong.
    for text in [r#"{"id":"NaN","#, r#"{"id":1,"a":NaN,"#, r#"{"id":"a","round":Inf}"#] {
        let answer = line(text);
        assert!(answer.contains("write one JSON object a line"), "{answer}");
    }
    assert!(!line(r#"{"id":"Infinity","currency":"EUR","round":"1"}"#).contains("error"));
}
