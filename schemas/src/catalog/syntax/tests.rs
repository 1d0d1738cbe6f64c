use crate::catalog::{Catalog, CatalogFile};

const WHOLE: &str = r#"
[[issuer]]
id = "eu"
address = ["Street 1", "Berlin"]

[[product]]
id = "maps"
routes = []
[[product.rule]]
host = "a.b"

[[plan]]
id = "pro"
version = 1
issuer = "eu"
rate_limit = { requests = 5, per = "s" }

[[plan.price]]
id = "base"
amount = "49"
[plan.price.settings]
proration = "by_day"

[[plan.price]]
id = "more"

[[plan]]
id = "late"
"#;

/// Each row: a piece of a file, what stands there instead, and what helps.
#[test]
fn a_file_that_is_no_toml_is_helped_with_what_stands_there() {
    let mut wrong = Vec::new();
    for (from, to, words) in [
        ("[[plan.price]]\nid = \"more", "[plan.price]\nid = \"more", "write [[plan.price]], with two brackets"),
        ("[[plan]]\nid = \"late", "[plan]\nid = \"late", "write [[plan]], with two brackets"),
        ("[[plan]]\nid = \"pro", "[plan]\nid = \"pro", "write [[plan]] in line 12 too, with two brackets"),
        (
            "[[plan]]\nid = \"pro",
            "[[plans]]\nid = \"pro",
            "[[plan.price]] in line 18 has no [[plan]] before it: look at the header above it",
        ),
        ("version = 1", "version = 1\nid = \"x\"", "remove one of the two; another entry begins with its own [[plan]]"),
        ("requests = 5,", "requests = 5, requests = 6,", "remove one of the two"),
        ("[[plan.price]]\nid = \"more\"", "[plan.price.settings]\nper = \"unit\"", "begin another entry above it"),
        ("issuer = \"eu\"", "issuer = eu", "write it in quotes: \"eu\""),
        ("issuer = \"eu\"", "issuer = “eu”", "write straight quotes: \"eu\""),
        ("issuer = \"eu\"", "issuer = True", "write true, in small letters"),
        ("issuer = \"eu\"", "issuer =", "write a value after the ="),
        ("issuer = \"eu\"", "issuer: \"eu\"", "write = for the colon"),
        ("issuer = \"eu\"", "issuer \"eu\"", "write = between the key and its value"),
        ("issuer = \"eu\"", "issuer = = \"eu\"", "write one = only"),
        ("issuer = \"eu\"", "issuer = \"eu", "close the text with its quote, on its line"),
        ("issuer = \"eu\"", "issuer = \"e\u{1}u\"", "remove the control character"),
        ("issuer = \"eu\"", "issuer = \"C:\\users\"", "a backslash is written twice"),
        ("version = 1", "version = 01", "without zeros before it"),
        ("version = 1", "<<<<<<< HEAD\nversion = 1", "a merge was not finished here"),
        ("\"Street 1\", \"Berlin\"]", "\"Street 1\" \"Berlin\"]", "write a comma before it"),
        ("\"Berlin\"]", "\"Berlin\"", "close the list before it with ]"),
        ("requests = 5,", "requests = 5", "write a comma before the key"),
        ("[[issuer]]", "[[issuer]", "close it with ]], on its line"),
        ("\n[[issuer]]", "{\"issuer\": []}", "a catalog is TOML, no JSON"),
    ] {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from}");
        let problems = Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap_err();
        if !problems[0].mend.contains(words) {
            wrong.push(format!("{to}: {}", problems[0]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
