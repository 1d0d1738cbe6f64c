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
