use super::*;

const WHOLE: &str = r#"
[[issuer]]
id = "acme"
legal_name = "Acme APIs GmbH"
address = ["Street 1", "10115 Berlin"]
number_prefix = "AC-"
time_zone = "Europe/Berlin"
payment_terms_days = 14

[[product]]
id = "maps"
name = "Maps"
routes = ["/maps/"]

[[meter]]
id = "calls"
name = "Calls"
unit = "call"
product = "maps"
aggregation = "count"
filter = "status between 200 and 299"

[[plan]]
id = "pro"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Pro"
issuer = "acme"
currency = "EUR"

[[plan.price]]
id = "base"
description = "Base"
model = "flat"
amount = "49"

[[plan.price]]
id = "calls"
description = "Calls"
model = "graduated"
meter = "calls"
tiers = [
  { up_to = "1000", unit_price = "0" },
  { up_to = "5000", unit_price = "0.002" },
  { unit_price = "0.001", flat_price = "1.5" },
]
"#;

fn parse(text: &str) -> Result<Catalog, Vec<Problem>> {
    Catalog::parse(&[CatalogFile { path: "catalog.toml".into(), text: text.into() }])
}

#[test]
fn a_whole_catalog_is_read() {
    let catalog = parse(WHOLE).unwrap();
    let plan = &catalog.plans[&PlanId::parse("pro").unwrap()][0];
    let PriceModel::Graduated { tiers, .. } = &plan.prices[1].tariff.model else { panic!("graduated") };
    assert_eq!(tiers.len(), 3);
    assert_eq!(tiers[2].flat_price.to_string(), "1.5");
    assert_eq!(catalog.sha256, parse(WHOLE).unwrap().sha256);
}

/// Each row replaces a piece of the whole catalog and names the line and the words of the problem.
#[test]
fn every_mistake_is_told_with_its_line() {
    let line_of = |needle: &str| WHOLE[..WHOLE.find(needle).unwrap()].matches('\n').count() + 1;
    for (from, to, words) in [
        ("currency = \"EUR\"", "currency = \"XXX\"", "currency \"XXX\" is not known"),
        ("currency = \"EUR\"", "currency = \"EUR\"\ncolour = 1", "unknown field `colour`"),
        ("meter = \"calls\"", "meter = \"clals\"", "no meter clals"),
        ("issuer = \"acme\"", "issuer = \"other\"", "no issuer other"),
        ("product = \"maps\"", "product = \"map\"", "no product map"),
        ("amount = \"49\"", "amount = \"-1\"", "a price is negative"),
        ("amount = \"49\"", "amount = \"0.0000000000001\"", "more than 12 digits"),
        ("amount = \"49\"", "amount = 49.5", "invalid type: floating point"),
        ("up_to = \"5000\"", "up_to = \"1000\"", "tiers would overlap"),
        ("{ up_to = \"5000\", unit_price = \"0.002\" }", "{ unit_price = \"0.002\" }", "is not the last"),
        ("{ unit_price = \"0.001\",", "{ up_to = \"9000\", unit_price = \"0.001\",", "the last tier ends"),
        ("aggregation = \"count\"", "aggregation = \"median\"", "is not known"),
        ("aggregation = \"count\"", "aggregation = \"sum\"", "needs a value"),
        ("time_zone = \"Europe/Berlin\"", "time_zone = \"Berlin\"", "not an IANA time zone"),
        ("effective_from = \"2026-01-01T00:00:00Z\"", "effective_from = \"2026\"", "not an RFC 3339"),
        ("routes = [\"/maps/\"]", "routes = [\"maps\"]", "must start with '/'"),
        ("routes = [", "sandbox = { product = \"map\" }\nroutes = [", "no product map"),
        ("routes = [", "sandbox = { product = \"maps\" }\nroutes = [", "a product is not its own sandbox"),
        (
            "routes = [",
            "sandbox = { product = \"maps\", required_endpoints = [\"get /x\"] }\nroutes = [",
            "no endpoint",
        ),
        ("version = 1", "version = 1\nrate_limit = { requests = 0, per = \"s\" }", "a rate limit of 0"),
        ("version = 1", "version = 1\nrate_limit = { requests = 5, per = \"sec\" }", "per \"sec\" is not known"),
        ("version = 1", "version = 1\nquota = [{ meter = \"call\", per_month = 5 }]", "no meter call"),
        (
            "version = 1",
            "version = 1\nquota = [{ meter = \"calls\", per_month = 5 }, { meter = \"calls\", per_month = 6 }]",
            "has a quota already",
        ),
        ("amount = \"49\"", "amount = \"49\"\ntax_code = \"\"", "tax_code must be"),
        ("version = 1", "version = 0", "must be 1 or more"),
        ("model = \"flat\"", "model = \"per_unit\"", "needs meter"),
        ("model = \"flat\"", "model = \"volme\"", "price model \"volme\" is not known"),
        ("amount = \"49\"", "amount = \"49\"\nmeter = \"calls\"", "a flat price has no meter"),
        ("amount = \"49\"", "amount = \"49\"\nmaximun = \"60\"", "unknown field `maximun`"),
        ("amount = \"49\"", "amount = \"49\"\nincluded = \"60\"", "a flat price has no included"),
        ("id = \"base\"", "id = \"a b\"", "must be 1 to 64 characters"),
        ("id = \"base\"", "", "a price needs id"),
        ("{ up_to = \"1000\", unit_price = \"0\" }", "{ up_to = \"1000\", percent = \"0\" }", "a tier has no price"),
        ("number_prefix = \"AC-\"", "number_prefix = \"A C\"", "number_prefix must be"),
    ] {
        let problems = parse(&WHOLE.replacen(from, to, 1)).unwrap_err();
        let told = problems.iter().any(|p| p.what.contains(words) && p.line.abs_diff(line_of(from)) <= 1);
        assert!(told, "{to}: {problems:#?}");
        assert!(problems.iter().all(|p| !p.mend.is_empty()));
    }
}

/// Each row replaces a piece of the whole catalog: what is underlined, what is said of it, what was expected, how to
/// mend it.
#[test]
fn what_is_meant_is_underlined() {
    let contract = |currency: &str| {
        format!(
            "[[contract]]\nid = \"c\"\nversion = 1\nname = \"C\"\nplan = \"pro\"\nstarts = \"2026-02-01T00:00:00Z\"\n\
             discount_percent = 5\ncurrency = \"{currency}\"\n\n[[plan]]"
        )
    };
    let flat = "model = \"flat\"";
    for (from, to, underlined, what, expected, mend) in [
        (
            "effective_from = \"2026-01-01T00:00:00Z\"",
            "effective_from = 2026-01-01T00:00:00Z".to_owned(),
            "2026-01-01T00:00:00Z",
            "invalid type: a date or time without quotes",
            "an instant in quotes, such as \"2026-01-01T00:00:00Z\"",
            "put it in quotes, with its offset: Z is UTC",
        ),
        (
            "name = \"Pro\"",
            "name = 2026-01-01".to_owned(),
            "2026-01-01",
            "invalid type: a date or time",
            "text in quotes",
            "",
        ),
        (
            "version = 1",
            "version = 99999999999999999999".to_owned(),
            "99999999999999999999",
            "version must be 1 or more",
            "a whole number",
            "count versions from 1",
        ),
        (
            "tiers = [",
            "settings = { limits = \"after_discount\", proration = \"by_time\" }\ntiers = [".to_owned(),
            "\"by_time\"",
            "a graduated price has no proration",
            "",
            "remove proration",
        ),
        (
            flat,
            format!("settings = {{ tier_edge = \"ceil\" }}\n{flat}"),
            "\"ceil\"",
            "a flat price has no tier_edge",
            "",
            "it goes with volume",
        ),
        (flat, format!("included = \"5\"\n{flat}"), "\"5\"", "a flat price has no included", "", "remove included"),
        (
            "[[plan]]",
            contract("USD"),
            "\"USD\"",
            "plan pro version 1 is in EUR, not in USD",
            "",
            "use the currency of the plan",
        ),
        (
            "description = \"Base\"",
            "description = \"Ba\\nse\"".to_owned(),
            "\"Ba\\nse\"",
            "the text has U+000A",
            "one line of printable characters",
            "remove it",
        ),
        ("unit = \"call\"", "unit = \"ca\\tll\"".to_owned(), "\"ca\\tll\"", "the text has U+0009", "one line", ""),
        (
            "address = [",
            "address = [\"a\\u202eb\", ".to_owned(),
            "\"a\\u202eb\"",
            "the text has U+202E",
            "one line of printable characters",
            "",
        ),
    ] {
        let text = WHOLE.replacen(from, &to, 1);
        assert_ne!(text, WHOLE, "{from}");
        let problems = parse(&text).unwrap_err();
        let [problem] = problems.as_slice() else { panic!("{to}: {problems:#?}") };
        let shown: String = problem.text.chars().skip(problem.column - 1).take(problem.end - problem.column).collect();
        assert_eq!(shown, underlined, "{}", problem.shown());
        assert!(problem.what.contains(what) && problem.mend.contains(mend), "{}", problem.shown());
        assert!(problem.expected.as_deref().unwrap_or_default().contains(expected), "{}", problem.shown());
    }
}

/// A file that is no text is told with the place of its first byte that is none.
#[test]
fn a_byte_that_is_no_text_has_a_place() {
    let mut bytes = WHOLE.as_bytes().to_vec();
    let at = WHOLE.find("Pro\"").unwrap();
    // An umlaut of Latin-1.
    bytes[at + 1] = 0xf6;
    let problem = CatalogFile::of_bytes("catalog.toml", bytes).unwrap_err();
    let line = WHOLE[..at].matches('\n').count() + 1;
    assert_eq!((problem.line, problem.column, problem.path.as_str()), (line, 10, "catalog.toml"));
    assert_eq!(problem.text, "name = \"P\u{fffd}o\"");
    assert_eq!(problem.what, "the byte 0xf6 is no text");
    assert_eq!(CatalogFile::of_bytes("c", b"a = \"\xc3".to_vec()).unwrap_err().column, 6);
    assert_eq!(CatalogFile::of_bytes("c", "a = \"ä\"".into()).unwrap().text, "a = \"ä\"");
}

/// Each row: a second entry of what is there, at the end of the file, and what is said of it.
#[test]
fn what_is_declared_twice_is_told_with_the_first_place() {
    let contract = "[[contract]]\nid = \"c\"\nversion = \"2\"\nname = \"C\"\nplan = \"pro\"\ncurrency = \"EUR\"\n\
                    discount_percent = 5\nstarts = \"2026-02-01T00:00:00Z\"\n";
    let coupon = "[[coupon]]\nid = \"k\"\nissuer = \"acme\"\ndescription = \"K\"\npercent = 5\n";
    let rate = "[[tax_rate]]\nid = \"vat\"\nversion = 1\neffective_from = \"2026-01-01T00:00:00Z\"\nissuer = \"acme\"\n\
                description = \"VAT\"\npercent = 19\n";
    let part = |from: &str, to: &str| {
        let start = WHOLE.find(from).unwrap();
        let end = WHOLE[start..].find(to).map_or(WHOLE.len(), |end| start + end);
        WHOLE[start..end].to_owned()
    };
    for (text, words) in [
        (part("[[plan]]", "[[nothing]]"), "plan pro version 1 is declared twice"),
        (part("[[meter]]", "[[plan]]"), "meter calls is declared twice"),
        (part("[[issuer]]", "[[product]]"), "issuer acme is declared twice"),
        (part("[[product]]", "[[meter]]"), "product maps is declared twice"),
        (contract.to_owned(), "contract c version 2 is declared twice"),
        (coupon.to_owned(), "coupon k is declared twice"),
        (rate.to_owned(), "tax rate vat version 1 is declared twice"),
    ] {
        let id = text.lines().find(|line| line.starts_with("id = ")).unwrap();
        let (first, twice) = match WHOLE.contains(&text) {
            true => (WHOLE.to_owned(), text.clone()),
            false => (format!("{WHOLE}\n{text}"), text.clone()),
        };
        let line = first.lines().position(|line| line == id).unwrap() + 1;
        let problems = parse(&format!("{first}\n{twice}")).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert_eq!(problems[0].what, format!("{words}, first at catalog.toml:{line}"));
    }
}

#[test]
fn versions_of_a_plan_follow_each_other() {
    let second = WHOLE[WHOLE.find("[[plan]]").unwrap()..].replace("version = 1", "version = 2");
    let same_date = parse(&format!("{WHOLE}{second}")).unwrap_err();
    assert!(same_date[0].what.contains("does not follow version 1"), "{same_date:?}");
    let later = second.replace("2026-01-01", "2026-06-01");
    let catalog = parse(&format!("{WHOLE}{later}")).unwrap();
    let plan = PlanId::parse("pro").unwrap();
    let at = |text| catalog.plan_at(&plan, crate::period::parse_instant(text).unwrap()).map(|p| p.version);
    assert_eq!(at("2025-12-31T23:59:59Z"), None);
    assert_eq!(at("2026-05-31T23:59:59Z"), Some(1));
    assert_eq!(at("2026-06-01T00:00:00Z"), Some(2));
}

/// Each row is the rest of a price after its id, description and meter: what every model may say that is metered.
#[test]
fn plans_use_every_metered_model() {
    for (rest, model) in [
        ("model = \"volume\"\ntiers = [{ up_to = \"5\", unit_price = \"1\" }, { flat_price = \"2\" }]", "volume"),
        ("model = \"package\"\npackage_size = \"10\"\npackage_price = \"15\"\nfree_units = \"5\"", "package"),
        ("model = \"percentage\"\npercent = \"1.3\"\nfree_total = \"3\"", "percentage"),
        (
            "model = \"graduated_percentage\"\ntiers = [{ percent = \"1\", flat_price = \"200\" }]",
            "graduated_percentage",
        ),
        ("model = \"dynamic\"\nmultiplier = \"1.2\"\nmaximum = \"100\"\ndiscount_percent = \"5\"", "dynamic"),
        (
            "model = \"per_unit\"\nunit_price = \"1\"\nconvert = { divide_by = \"1000\" }\nincluded = 10\n\
             round_quantity = { direction = \"up\", to_multiple_of = \"0.5\" }\nminimum = \"1\"\n\
             [plan.price.settings]\nlimits = \"after_discount\"",
            "per_unit",
        ),
    ] {
        let price = "\n[[plan.price]]\nid = \"more\"\ndescription = \"More\"\nmeter = \"calls\"\n";
        let catalog =
            parse(&format!("{WHOLE}{price}{rest}\n")).unwrap_or_else(|problems| panic!("{rest}: {problems:?}"));
        let plan = &catalog.plans[&PlanId::parse("pro").unwrap()][0];
        assert_eq!(plan.prices[2].tariff.model.as_str(), model);
        assert_eq!(plan.prices[2].meter.as_ref().unwrap().as_str(), "calls");
    }
}

/// Each row: a mistake, what is underlined, what was expected, and the suggestion.
#[test]
fn a_mistake_has_its_place_and_a_suggestion() {
    for (from, to, underlined, expected, mend) in [
        ("meter = \"calls\"", "meter = \"clals\"", "\"clals\"", "the id of a [[meter]]", "did you mean calls?"),
        ("issuer = \"acme\"", "issuer = \"acne\"", "\"acne\"", "the id of an [[issuer]]", "did you mean acme?"),
        ("issuer = \"acme\"", "issuer = \"x\"", "\"x\"", "the id of an [[issuer]]", "there are acme"),
        ("product = \"maps\"", "product = \"map\"", "\"map\"", "the id of a [[product]]", "did you mean maps?"),
        ("unit = \"call\"", "unti = \"call\"", "unti", "unit", "did you mean unit?"),
        ("[[product]]", "[[prodcut]]", "prodcut", "one of issuer, product,", "did you mean product?"),
        ("[[product]]", "[product]", "[product]", "[[product]]", "with two brackets"),
        ("filter = \"status between 200 and 299\"", "filter = 200", "200", "text in quotes", "write text in quotes"),
        ("aggregation = \"count\"", "aggregation = \"cuont\"", "\"cuont\"", "count", "mean count?"),
        ("model = \"flat\"", "model = \"flta\"", "\"flta\"", "one of flat, per_unit,", "did you mean flat?"),
        ("version = 1", "version = \"1\"", "\"1\"", "a whole number", "write version = 1, without quotes"),
        ("version = 1", "version = 1.0", "1.0", "a whole number", "count versions from 1"),
        ("= 14", "= \"14\"", "\"14\"", "a whole number", "write payment_terms_days = 14, without quotes"),
        ("unit =", "allow_negative = \"true\"\nunit =", "\"true\"", "true or false", "write true, without quotes"),
        ("[\"/maps/\"]", "\"/maps/\"", "\"/maps/\"", "a list of texts", "put it in brackets: [\"/maps/\"]"),
        (
            "amount = \"49\"",
            "amount = \"49\"\nconvert = \"bytes_to_bg\"",
            "\"bytes_to_bg\"",
            "one of bytes_to_gb",
            "mean bytes_to_gb",
        ),
        (
            "amount = \"49\"",
            "amount = \"49\"\nsettings = { limits = \"after\" }",
            "\"after\"",
            "before_discount or",
            "(the default",
        ),
        ("name = \"Pro\"", "name = Pro", "Pro", "literal string", "write it in quotes: \"Pro\""),
    ] {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from}");
        let problems = parse(&text).unwrap_err();
        let problem = problems.iter().find(|p| p.mend.contains(mend)).unwrap_or_else(|| panic!("{to}: {problems:#?}"));
        let shown = problem.shown();
        let line = problem.text.chars().skip(problem.column - 1).take(problem.end - problem.column).collect::<String>();
        assert!(line.starts_with(underlined), "{to}: {shown}");
        assert!(problem.expected.as_deref().is_some_and(|told| told.contains(expected)), "{to}: {shown}");
    }
}

#[test]
fn all_problems_are_told_at_once_in_order_and_each_once() {
    let text = WHOLE
        .replace("legal_name = \"Acme APIs GmbH\"", "legal_nam = \"Acme APIs GmbH\"")
        .replace("payment_terms_days = 14", "payment_terms_days = 900")
        .replace("unit = \"call\"", "unit = 1")
        .replace("currency = \"EUR\"", "currency = \"EURO\"")
        .replace("amount = \"49\"", "amount = 49.5\nmaximun = \"1\"")
        .replace("unit_price = \"0.002\"", "unit_price = \"-1\"");
    let problems = parse(&text).unwrap_err();
    let told: Vec<String> = problems.iter().map(|p| p.what.clone()).collect();
    let words = [
        "unknown field `legal_nam`",
        "payment_terms_days must be 0 to 365",
        "invalid type: a whole number",
        "currency \"EURO\"",
        "invalid type: floating point",
        "unknown field `maximun`",
        "a price is negative",
    ];
    assert_eq!(told.len(), words.len(), "{told:#?}");
    for (told, words) in told.iter().zip(words) {
        assert!(told.starts_with(words), "{told} is not {words}");
    }
    let lines: Vec<usize> = problems.iter().map(|p| p.line).collect();
    assert!(lines.is_sorted(), "{lines:?}");
}

/// What follows from a mistake alone is no mistake of its own.
#[test]
fn one_mistake_is_one_problem() {
    for (price, words) in [
        ("model = \"flta\"\namount = \"49\"", "price model \"flta\""),
        (
            "model = \"percentage\"\nmeter = \"calls\"\nfree_total = 1.5\npercent = \"1\"",
            "invalid type: floating point",
        ),
        ("model = \"matrix\"\nmeter = \"calls\"\ndimensions = 1\ndefault_unit_price = \"1\"", "invalid type: a whole"),
        ("model = \"package\"\nmeter = \"calls\"\npackage_size = \"x\"\npackage_price = \"1\"", "\"x\" is not a plain"),
        ("model = \"per_unit\"\nmeter = \"nobodys\"\nunit_price = \"1\"", "no meter nobodys"),
        // Keys of a model that is not there have no meaning.
        ("amount = \"49\"\nminimum = \"1\"", "a price needs model"),
        ("modle = \"flat\"\namount = \"49\"", "unknown field `modle`"),
        ("model = \"flat\"\namonut = \"49\"", "unknown field `amonut`"),
        ("model = \"per_unit\"\nmeter = \"calls\"\nunit_amount = \"1\"", "a per_unit price needs unit_price"),
        ("model = \"per_unit\"\nmeetr = \"calls\"\nunit_price = \"1\"", "unknown field `meetr`"),
        ("model = \"volume\"\nmeter = \"calls\"\ntiers = [{ unit_pirce = \"1\" }]", "unknown field `unit_pirce`"),
        (
            "model = \"volume\"\nmeter = \"calls\"\ntiers = [{ up_too = 5, unit_price = 1 }, { unit_price = \"1\" }]",
            "unknown field `up_too`",
        ),
        (
            "model = \"graduated_percentage\"\nmeter = \"calls\"\ntiers = [{ percnet = \"1\" }]",
            "unknown field `percnet`",
        ),
        (
            "model = \"per_unit\"\nmeter = \"calls\"\nunit_price = \"1\"\nrollover_periods = 2\ninclued = 5",
            "unknown field `inclued`",
        ),
        (
            "model = \"per_unit\"\nmeter = \"calls\"\nunit_price = \"1\"\nconvert = { divid_by = 5 }",
            "unknown field `divid_by`",
        ),
    ] {
        let problems = parse(&WHOLE.replace("model = \"flat\"\namount = \"49\"", price)).unwrap_err();
        let [problem] = problems.as_slice() else { panic!("{price}: {problems:#?}") };
        assert!(problem.what.starts_with(words), "{price}: {problem}");
    }
    // Of the keys of other entries.
    for (from, to, words) in [
        ("legal_name =", "legal_nmae =", "unknown field `legal_nmae`, expected legal_name; did you mean legal_name?"),
        ("id = \"acme\"", "ID = \"acme\"", "unknown field `ID`, expected id; did you mean id?"),
        ("legal_name =", "legal-name =", "did you mean legal_name?"),
        ("effective_from =", "effectiv_from =", "did you mean effective_from?"),
        ("routes =", "route =", "did you mean routes?"),
        ("routes = [\"/maps/\"]", "[[product.rules]]\nroute = \"/maps/\"", "did you mean rule?"),
        ("aggregation = \"count\"", "aggregaton = \"count\"", "did you mean aggregation?"),
        ("aggregation = \"count\"", "aggregation = \"sum\"\nvlaue = \"status\"", "did you mean value?"),
        (
            "aggregation = \"count\"",
            "aggregation = \"percentile\"\nvalue = \"status\"\npercent = \"95\"",
            "did you mean percentile?",
        ),
        ("filter =", "group_by = { Region = \"path\" }\nfilter =", "dimension \"Region\""),
    ] {
        let problems = parse(&WHOLE.replacen(from, to, 1)).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].contains(words), "{to}: {told:#?}");
    }
    let entry = |text: &str| -> Vec<String> {
        let problems = parse(&format!("{WHOLE}\n{text}")).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    };
    let plan = "[[plan]]\nid = \"p\"\nversion = 1\neffective_from = \"2026-01-01T00:00:00Z\"\nname = \"P\"\n\
                issuer = \"acme\"\ncurrency = \"EUR\"\n[[plan.prices]]\nid = \"x\"\n";
    let coupon = "[[coupon]]\nid = \"k\"\nissuer = \"acme\"\ndescription = \"K\"\npercnet = 5\n";
    let contract = "[[contract]]\nid = \"c\"\nversion = 1\nname = \"C\"\nplan = \"pro\"\ncurrency = \"EUR\"\n\
                    starts = \"2026-02-01T00:00:00Z\"\ndiscount_prcent = 5\n";
    for (text, words) in [(plan, "did you mean price?"), (coupon, "mean percent?"), (contract, "discount_percent?")] {
        let told = entry(text);
        assert!(told.len() == 1 && told[0].contains(words), "{text}: {told:#?}");
    }
    // A meter that is wrong itself is still the one that prices name.
    let problems = parse(&WHOLE.replace("aggregation = \"count\"", "aggregation = \"cuont\"")).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
}

#[test]
fn files_are_one_catalog_and_a_broken_one_hides_no_other_problem() {
    let (issuer, rest) = WHOLE.split_at(WHOLE.find("[[product]]").unwrap());
    let file = |path: &str, text: &str| CatalogFile { path: path.into(), text: text.into() };
    let parse = |issuer: &str, rest: &str| Catalog::parse(&[file("b.toml", rest), file("a.toml", issuer)]);
    assert!(parse(issuer, rest).is_ok());
    let wrong = rest.replace("version = 1", "version = 0");
    let told = |problems: Vec<Problem>| problems.iter().map(|p| (p.path.clone(), p.what.clone())).collect::<Vec<_>>();
    let broken = told(parse(&issuer.replace("= 14", "= \nb = c\nd = e"), &wrong).unwrap_err());
    // Nothing is said of the issuer, who may stand in the file that cannot be read.
    let paths: Vec<&str> = broken.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["a.toml", "a.toml", "a.toml", "b.toml"], "{broken:?}");
    assert_eq!(broken[3].1, "version must be 1 or more");
}

#[test]
fn a_problem_of_sql_stands_where_the_sql_does() {
    let text = WHOLE
        .replace("filter = \"status", "group_by = { region = '''\nstauts''' }\nfilter = \"a = \\\"é\\\" and status");
    let catalog = parse(&text).unwrap();
    let meter = MeterId::parse("calls").unwrap();
    let sql = catalog.meters[&meter].filter.clone().unwrap();
    let at = sql.find("status").unwrap();
    for (field, within, stands) in [
        ("filter", Some(at..at + 6), "status"),
        ("filter", None, "a = \\\"é\\\" and status between 200 and 299"),
        ("group_by.region", None, "stauts"),
    ] {
        let problem = catalog.problem_in_sql(&meter, field, within, "wrong", "mend");
        assert_eq!(&text[problem.span.clone()], stands, "{field}");
        assert_eq!(problem.path, "catalog.toml");
        assert!(problem.text.contains(stands), "{}", problem.shown());
    }
    // Places are no meaning, and the same text has the same.
    assert_eq!(catalog, parse(&text).unwrap());
}
