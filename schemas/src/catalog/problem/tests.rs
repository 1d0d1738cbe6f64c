use super::*;

/// Each row: a text, the words that are meant (the first such), and the line and underline that must be shown.
#[test]
fn the_underline_stands_below_what_is_meant() {
    let long = format!("filter = \"{} and stauts = 200 and {}\"", "a = 1 and ".repeat(30), "b = 2 and ".repeat(30));
    let cut = format!("{}…", "x".repeat(100));
    for (text, meant, shown, underline) in [
        ("id = \"maps\"", "\"maps\"", "id = \"maps\"", "     ^^^^^^"),
        ("a = 1\n\tid = \"maps\"", "\"maps\"", "    id = \"maps\"", "         ^^^^^^"),
        ("id = \"Straße\" # ß", "\"Straße\"", "id = \"Straße\" # ß", "     ^^^^^^^^"),
        ("id = \"地図\" # map", "# map", "id = \"地図\" # map", "            ^^^^^"),
        ("id = \"地図\"", "地図", "id = \"地図\"", "      ^^^^"),
        ("id = \"e\u{301}a\"", "a", "id = \"e\u{301}a\"", "       ^"),
        ("id = \"\u{1b}[31m\"", "[31m", "id = \"\u{fffd}[31m\"", "       ^^^^"),
        ("a = [\r\n  1,\r\n]\r\n", "[\r\n  1,\r\n]", "a = [", "    ^"),
        ("a = \"b", "", "a = \"b", "^"),
        (
            &long,
            "stauts",
            "… and a = 1 and a = 1 and  and stauts = 200 and b = 2 and b = 2 and b = 2 and b = 2 and b = 2 and b =…",
            &format!("{}^^^^^^", " ".repeat(31)),
        ),
        (&"x".repeat(300), "xxx", &cut, "^^^"),
        (&"x".repeat(300), &"x".repeat(200), &cut, &"^".repeat(100)),
    ] {
        let start = text.find(meant).unwrap();
        let problem = Problem::at("catalog/a.toml", text, start..start + meant.len(), "wrong", "mend it");
        let told = problem.shown();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[3], format!("{} | {shown}", problem.line), "{text}");
        assert_eq!(lines[4], format!("  | {underline}"), "{text}");
    }
}

#[test]
fn a_problem_is_shown_like_a_compilers() {
    let text = "[[plan]]\nid = \"pro\"\nissuer = \"acme-ue\"\n";
    let start = text.find("\"acme-ue\"").unwrap();
    let problem = Problem::at(
        "catalog/catalog.toml",
        text,
        start..start + 9,
        "no issuer acme-ue, expected the id of an [[issuer]]",
        "did you mean acme-eu?",
    );
    let shown = "\
error: no issuer acme-ue
 --> catalog/catalog.toml:3:10
  |
3 | issuer = \"acme-ue\"
  |          ^^^^^^^^^ expected the id of an [[issuer]]
  |
  = help: did you mean acme-eu?";
    assert_eq!(problem.shown(), shown);
    assert_eq!((problem.line, problem.column, problem.end, problem.span.clone()), (3, 10, 19, start..start + 9));
    assert_eq!(
        problem.to_string(),
        "catalog/catalog.toml:3:10: no issuer acme-ue, expected the id of an [[issuer]]; did you mean acme-eu?"
    );
    let two = shown_all(&[problem.clone(), problem.clone()]);
    assert_eq!(two, format!("{shown}\n\n{shown}\n\n2 problems"));
    assert!(shown_all(&[problem]).ends_with("\n\n1 problem"));
}

#[test]
fn places_outside_the_text_are_its_end() {
    for (text, span, place) in [
        ("", 0..0, (1, 1, 2)),
        ("a = \n\n", 6..6, (1, 4, 5)),
        ("a = 1\nb = [", 11..11, (2, 6, 7)),
        ("a", 7..9, (1, 2, 3)),
        ("ß = 1", 1..2, (1, 1, 2)),
    ] {
        let problem = Problem::at("a", text, span, "wrong\n  in two lines", "mend");
        assert_eq!((problem.line, problem.column, problem.end), place, "{text:?}");
        assert_eq!(problem.what, "wrong in two lines");
        assert!(problem.shown().contains('^'));
    }
}
