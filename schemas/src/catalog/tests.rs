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

/// Each row is the rest of a price after its id, description and meter: what every model may say.
#[test]
fn plans_use_every_model() {
    for (rest, model) in [
        ("model = \"volume\"\ntiers = [{ up_to = \"5\", unit_price = \"1\" }, { flat_price = \"2\" }]", "volume"),
        ("model = \"package\"\npackage_size = \"10\"\npackage_price = \"15\"\nfree_units = \"5\"", "package"),
        ("model = \"percentage\"\npercent = \"1.3\"\nfixed_fee = \"2\"\nfree_events = 3", "percentage"),
        (
            "model = \"graduated_percentage\"\ntiers = [{ percent = \"1\", flat_price = \"200\" }]",
            "graduated_percentage",
        ),
        (
            "model = \"matrix\"\ndimensions = [\"region\"]\n[[plan.price.cells]]\nvalues = [\"eu\"]\nunit_price = \"1\"",
            "matrix",
        ),
        ("model = \"dynamic\"\nmultiplier = \"1.2\"\nmaximum = \"100\"\ndiscount_percent = \"5\"", "dynamic"),
        (
            "model = \"per_unit\"\nunit_price = \"1\"\nconvert = \"bytes_to_gb\"\nincluded = 10\n\
             round_quantity = { direction = \"up\", to_multiple_of = \"0.5\" }\nminimum = \"1\"\n\
             [plan.price.settings]\nlimits = \"after_discount\"",
            "per_unit",
        ),
    ] {
        let head = WHOLE.replace("unit = \"call\"", "unit = \"call\"\ngroup_by = { region = \"region\" }");
        let price = "\n[[plan.price]]\nid = \"more\"\ndescription = \"More\"\nmeter = \"calls\"\n";
        let catalog =
            parse(&format!("{head}{price}{rest}\n")).unwrap_or_else(|problems| panic!("{rest}: {problems:?}"));
        let plan = &catalog.plans[&PlanId::parse("pro").unwrap()][0];
        assert_eq!(plan.prices[2].tariff.model.as_str(), model);
        assert_eq!(plan.prices[2].meter.as_ref().unwrap().as_str(), "calls");
    }
}

#[test]
fn a_matrix_needs_its_meters_dimensions() {
    let price = "\n[[plan.price]]\nid = \"more\"\ndescription = \"More\"\nmeter = \"calls\"\nmodel = \"matrix\"\n\
        dimensions = [\"region\"]\ndefault_unit_price = \"1\"\n";
    let problems = parse(&format!("{WHOLE}{price}")).unwrap_err();
    assert_eq!(problems[0].what, "meter calls has no dimension region");
}
