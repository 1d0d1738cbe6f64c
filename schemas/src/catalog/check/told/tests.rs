use crate::catalog::{Catalog, CatalogFile, Problem};

const WHOLE: &str = r#"
[[issuer]]
id = "eu"
legal_name = "Acme APIs GmbH"
address = ["Street 1"]
number_prefix = "AC-"
time_zone = "Europe/Berlin"
payment_terms_days = 14

[[product]]
id = "maps"
name = "Maps"
routes = ["/maps/"]

[[product]]
id = "geo"
name = "Geo"
sandbox = { product = "maps" }
[[product.rule]]
host = "geo.example.com"

[[meter]]
id = "calls"
name = "Calls"
unit = "call"
product = "maps"
aggregation = "count"
group_by = { region = "attributes['region']" }

[[plan]]
id = "pro"
version = 1
effective_from = "2025-06-01T00:00:00Z"
name = "Pro"
issuer = "eu"
currency = "EUR"
rate_limit = { requests = 100, per = "s" }
quota = [{ meter = "calls", per_month = 1000 }]

[[plan.price]]
id = "base"
description = "Base"
model = "flat"
amount = "49"

[[plan.price]]
id = "calls"
description = "Calls"
model = "matrix"
meter = "calls"
dimensions = ["region"]
default_unit_price = "0.03"

[[plan]]
id = "pro"
version = 2
effective_from = "2026-07-01T00:00:00Z"
name = "Pro"
issuer = "eu"
currency = "EUR"
shadow_of = "late"

[[plan.price]]
id = "base"
description = "Base"
model = "flat"
amount = "59"

[[plan.price]]
id = "calls"
description = "Calls, in all"
model = "per_unit"
meter = "calls"
unit_price = "0.02"

[[plan]]
id = "late"
version = 1
effective_from = "2026-07-01T00:00:00Z"
name = "Late"
issuer = "eu"
currency = "EUR"

[[plan.price]]
id = "late-base"
description = "Base"
model = "flat"
amount = "0"
[plan.price.settings]
proration = "by_day"

[[contract]]
id = "big"
version = 1
name = "Big"
plan = "pro"
currency = "EUR"
starts = "2025-12-31T23:00:00Z"
term_months = 12
[[contract.price]]
id = "calls"
description = "Calls, as agreed"
model = "per_unit"
meter = "calls"
unit_price = "0.01"

[[coupon]]
id = "launch"
issuer = "eu"
description = "Launch"
amount = "5"
currency = "EUR"
plans = ["pro"]
prices = ["late-base"]
products = ["geo"]

[[tax_rate]]
id = "vat"
version = 1
effective_from = "2025-01-01T00:00:00Z"
issuer = "eu"
description = "VAT"
percent = "19"
"#;

fn problems(text: &str) -> Vec<String> {
    let told = Catalog::parse(&[CatalogFile { path: "c.toml".into(), text: text.into() }]).err().unwrap_or_default();
    told.iter().map(Problem::to_string).collect()
}

/// Each row: a piece of the catalog, which of those it is, what stands there instead, and the words of the one problem.
#[test]
fn what_names_a_refused_entry_says_nothing_more() {
    assert_eq!(problems(WHOLE), [""; 0]);
    for (from, nth, to, words) in [
        // A version of a plan.
        ("currency = \"EUR\"", 0, "currency = \"XXX\"", "currency \"XXX\" is not known"),
        ("currency = \"EUR\"", 2, "currency = \"eur\"", "currency \"eur\" is not known"),
        ("version = 1", 0, "version = 0", "version must be 1 or more"),
        ("issuer = \"eu\"", 0, "issuer = \"ue\"", "no issuer ue"),
        ("per = \"s\"", 0, "per = \"sec\"", "per \"sec\" is not known"),
        ("meter = \"calls\", per", 0, "meter = \"cals\", per", "no meter cals"),
        ("rate_limit", 0, "trial_days = 900\nrate_limit", "trial_days must be"),
        ("2025-06-01T00:00:00Z", 0, "June", "not an RFC 3339"),
        ("2026-07-01T00:00:00Z", 0, "2025-05-01T00:00:00Z", "plan pro version 2 does not follow version 1"),
        ("version = 1\n", 0, "", "a plan needs version"),
        ("unit_price = \"0.02\"", 0, "unit_price = 0.02", "invalid type: floating point"),
        ("amount = \"0\"", 0, "amount = 0.5", "invalid type: floating point"),
        // What has no id that can be read, or one that is none.
        ("id = \"eu\"\n", 0, "", "an issuer needs id"),
        ("id = \"eu\"\n", 0, "id = 5\n", "invalid type: a whole number"),
        ("id = \"maps\"\n", 0, "", "a product needs id"),
        ("id = \"calls\"\n", 0, "", "a meter needs id"),
        ("id = \"pro\"\n", 0, "", "a plan needs id"),
        ("id = \"late\"\n", 0, "", "a plan needs id"),
        // A meter that says what a price goes by otherwise.
        ("{ region =", 0, "{ Region =", "dimension \"Region\" must be"),
        ("aggregation = \"count\"", 0, "aggregation = \"cuont\"", "aggregation \"cuont\""),
        // Sections.
        ("[[issuer]]", 0, "[[issuers]]", "unknown field `issuers`"),
        ("[[issuer]]", 0, "[issuer]", "issuer is a table"),
        ("[[product]]", 0, "[[products]]", "unknown field `products`"),
        ("[[product]]", 1, "[[products]]", "unknown field `products`"),
        ("[[meter]]", 0, "[[tariff]]", "unknown field `tariff`"),
        ("[[plan]]", 1, "[[plans]]", "unknown field `plans`"),
        ("[[plan]]", 2, "[[plans]]", "unknown field `plans`"),
        ("[[contract]]", 0, "[[contracts]]", "unknown field `contracts`"),
    ] {
        let parts: Vec<&str> = WHOLE.split(from).collect();
        assert!(parts.len() > nth + 1, "{from}");
        let text = format!("{}{to}{}", parts[..=nth].join(from), parts[nth + 1..].join(from));
        let told = problems(&text);
        assert!(told.len() == 1 && told[0].contains(words), "{from} -> {to}: {told:#?}");
    }
    // In every name of it.
    let told = problems(&WHOLE.replace("\"eu\"", "\"e u\""));
    assert!(told.len() == 1 && told[0].contains("must be 1 to 64"), "{told:#?}");
    // Without one that is right before it.
    let plan = WHOLE.find("[[plan]]").unwrap()..WHOLE.rfind("[[plan]]").unwrap();
    let told = problems(&format!("{}{}", &WHOLE[..plan.start], WHOLE[plan.end..].replace("[[plan]]", "[[plans]]")));
    let told: Vec<&String> = told.iter().filter(|told| !told.contains("no plan pro")).collect();
    assert!(told.len() == 1 && told[0].contains("unknown field `plans`"), "{told:#?}");
}

/// What is not the same mistake is still told beside one that was.
#[test]
fn a_refused_entry_hides_no_other_mistake() {
    let text = WHOLE.replacen("name = \"Geo\"", "name = 5", 1);
    for (from, to, words) in [
        ("issuer = \"eu\"\ndescription = \"VAT\"", "issuer = \"ue\"\ndescription = \"VAT\"", "no issuer ue"),
        ("plan = \"pro\"", "plan = \"late\"", "plan late has no version in force"),
        ("prices = [\"late-base\"]", "prices = [\"nobodys\"]", "no plan has a price nobodys"),
        ("dimensions = [\"region\"]", "dimensions = [\"regoin\"]", "has no dimension regoin"),
    ] {
        let told = problems(&text.replacen(from, to, 1));
        assert!(told.len() == 2 && told.iter().any(|told| told.contains(words)), "{to}: {told:#?}");
    }
}

/// A version of a plan may stand in the file that cannot be read.
#[test]
fn nothing_is_said_of_what_may_stand_in_a_broken_file() {
    let file = |path: &str, text: &str| CatalogFile { path: path.into(), text: text.into() };
    let (start, end) = (WHOLE.find("[[plan]]").unwrap(), WHOLE.find("[[plan]]\nid = \"pro\"\nversion = 2").unwrap());
    let broken = format!("{}\nx = \n", &WHOLE[start..end]);
    let rest = format!("{}{}", &WHOLE[..start], &WHOLE[end..]);
    let told = Catalog::parse(&[file("a.toml", &broken), file("b.toml", &rest)]).unwrap_err();
    assert!(told.len() == 1 && told[0].path == "a.toml", "{told:#?}");
}
