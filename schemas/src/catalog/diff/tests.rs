use super::*;
use crate::catalog::CatalogFile;
use crate::id::{PartnerId, PlanId, SubscriptionId};
use crate::period::{parse_instant, print_instant};
use crate::registry::{Course, Subscription};

const OLD: &str = r#"
[[issuer]]
id = "acme"
legal_name = "Acme GmbH"
address = ["Street 1", "Berlin"]
number_prefix = "AC-"
time_zone = "Europe/Berlin"
payment_terms_days = 14

[[product]]
id = "maps"
name = "Maps"
routes = ["/maps/"]

[[product]]
id = "other"
name = "Other"
routes = ["/other/"]

[[meter]]
id = "calls"
name = "Calls"
unit = "call"
product = "maps"
aggregation = "count"
filter = "status = 200"
group_by = { region = "attributes['region']" }

[[meter]]
id = "slow"
name = "Slow"
unit = "ms"
product = "maps"
aggregation = "percentile"
percentile = "99.9"
value = "latency_us"

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
tiers = [{ up_to = "10", unit_price = "0" }, { unit_price = "0.002" }]

[[plan.price]]
id = "map"
description = "By region"
model = "matrix"
meter = "calls"
dimensions = ["region"]
cells = [{ values = ["eu"], unit_price = "1" }]

[[plan.price]]
id = "units"
description = "Units"
model = "per_unit"
meter = "calls"
unit_price = "1"
minimum = "5"

[[plan.price]]
id = "pack"
description = "Packs"
model = "package"
meter = "calls"
package_size = "10"
package_price = "15"

[[plan.price]]
id = "cut"
description = "Cut"
model = "percentage"
meter = "calls"
percent = "1.3"

[[plan]]
id = "free"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Free"
issuer = "acme"
currency = "EUR"

[[plan.price]]
id = "base"
description = "Free"
model = "flat"
amount = "0"
"#;

/// The second version of the plan.
const SECOND: &str = r#"
[[plan]]
id = "pro"
version = 2
effective_from = "2026-06-10T00:00:00Z"
name = "Pro"
issuer = "acme"
currency = "EUR"

[[plan.price]]
id = "base"
description = "Base"
model = "flat"
amount = "59"
"#;

fn parse(text: &str) -> Catalog {
    let files = [CatalogFile { path: "c.toml".into(), text: text.into() }];
    Catalog::parse(&files).unwrap_or_else(|problems| panic!("{}", crate::catalog::problem::shown_all(&problems)))
}

/// One line for each key that differs.
fn told(changes: &[EntryChange]) -> Vec<String> {
    let lines = changes.iter().flat_map(|entry| {
        let version = entry.version.map(|version| format!(" {version}")).unwrap_or_default();
        let head = format!("{} {}{version} {}: ", entry.section.as_str(), entry.id, entry.change.as_str());
        entry.fields.iter().map(move |field| format!("{head}{field}"))
    });
    lines.collect()
}

/// Each row replaces a piece of the catalog; what is told of it; whether the version, its meters or its products are
/// another than those that were billed.
#[test]
fn each_key_that_changes_is_told() {
    let plan = "plan pro 1 changed: ";
    let rows: &[(&str, &str, &str, bool)] = &[
        ("\"Acme GmbH\"", "\"Acme AG\"", "issuer acme changed: legal_name was Acme GmbH and is Acme AG", false),
        (
            "\"Street 1\", \"Berlin\"",
            "\"Street 1, Berlin\"",
            "issuer acme changed: address was \"Street 1\", \"Berlin\"",
            false,
        ),
        ("[\"Street 1\"", "[\"S\", \"Street 1\"", "address", false),
        (
            "number_prefix",
            "tax_id = \"DE1\"\nnumber_prefix",
            "issuer acme changed: tax_id was not there and is DE1",
            false,
        ),
        ("\"AC-\"", "\"AD-\"", "number_prefix was AC- and is AD-", false),
        ("Europe/Berlin", "UTC", "time_zone was Europe/Berlin and is UTC", false),
        ("payment_terms_days = 14", "payment_terms_days = 30", "payment_terms_days was 14 and is 30", false),
        (
            "payment_terms_days = 14",
            "payment_terms_days = 14\neffective_from = \"2020-01-01T00:00:00Z\"",
            "issuer acme changed: effective_from was not there and is 2020-01-01T00:00:00Z",
            false,
        ),
        (
            "\"/maps/\"",
            "\"/maps/\", \"/m/\"",
            "product maps changed: routes was \"/maps/\" and is \"/maps/\", \"/m/\"",
            true,
        ),
        ("\"/other/\"", "\"/o/\"", "product other changed: routes", false),
        (
            "routes = [\"/maps/\"]",
            "routes = [\"/maps/\"]\nrule = [{ route = \"/m/\", host = \"*.a.com\", method = [\"PUT\", \"GET\"] }]",
            "product maps changed: rule.1.method was not there and is GET, PUT",
            true,
        ),
        (
            "routes = [\"/maps/\"]",
            "routes = [\"/maps/\"]\nrule = [{ tag = { tier = \"gold\" } }]",
            "product maps changed: rule.1.tag.tier was not there and is gold",
            true,
        ),
        (
            "routes = [\"/maps/\"]",
            "routes = [\"/maps/\"]\ndescription = \"Maps of the world\"",
            "product maps changed: description was not there and is Maps of the world",
            false,
        ),
        (
            "routes = [\"/maps/\"]",
            "routes = [\"/maps/\"]\nterms_version = \"2\"",
            "product maps changed: terms_version was not there and is 2",
            false,
        ),
        (
            "routes = [\"/maps/\"]",
            "routes = [\"/maps/\"]\nsandbox = { product = \"other\", required_endpoints = [\"GET /maps/1\"] }",
            "product maps changed: sandbox.required_endpoints was not there and is \"GET /maps/1\"",
            false,
        ),
        (
            "currency = \"EUR\"",
            "currency = \"EUR\"\nrate_limit = { requests = \"100\", per = \"s\" }",
            "plan pro 1 changed: rate_limit.requests was not there and is 100",
            true,
        ),
        (
            "currency = \"EUR\"",
            "currency = \"EUR\"\nquota = [{ meter = \"calls\", per_month = \"1000\" }]",
            "plan pro 1 changed: quota.1.per_month was not there and is 1000",
            true,
        ),
        (
            "amount = \"49\"",
            "amount = \"49\"\ntax_code = \"txcd_1\"",
            "plan pro 1 changed: price.base.tax_code was not there and is txcd_1",
            true,
        ),
        ("name = \"Maps\"", "name = \"Map\"", "product maps changed: name was Maps and is Map", false),
        ("name = \"Calls\"", "name = \"Requests\"", "meter calls changed: name", false),
        ("unit = \"call\"", "unit = \"request\"", "meter calls changed: unit was call and is request", true),
        ("status = 200", "status < 400", "meter calls changed: filter was status = 200 and is status < 400", true),
        ("filter = \"status = 200\"\n", "", "filter was status = 200 and is not there", true),
        ("['region']", "['area']", "meter calls changed: group_by.region was", true),
        (
            "filter =",
            "exclude = [\"health_checks\", \"try_it\"]\nfilter =",
            "exclude was not there and is health_checks, try_it",
            true,
        ),
        (
            "aggregation = \"count\"",
            "aggregation = \"sum\"\nvalue = \"response_bytes\"",
            "aggregation was count and is sum",
            true,
        ),
        (
            "aggregation = \"count\"",
            "aggregation = \"sum\"\nvalue = \"response_bytes\"",
            "value was not there and is response_bytes",
            true,
        ),
        (
            "aggregation = \"count\"",
            "aggregation = \"sum\"\nallow_negative = true\nvalue = \"response_bytes\"",
            "allow_negative was not there and is true",
            true,
        ),
        (
            "\"calls\"\nname = \"Calls\"\nunit = \"call\"\nproduct = \"maps\"",
            "\"calls\"\nname = \"Calls\"\nunit = \"call\"",
            "product was maps",
            true,
        ),
        ("\"99.9\"", "\"99\"", "meter slow changed: percentile was 99.9 and is 99", false),
        ("\"99.9\"", "\"99.9\"\nmethod = \"linear\"", "method was nearest_rank and is linear", false),
        ("2026-01-01", "2026-01-02", "plan pro 1 changed: effective_from was 2026-01-01T00:00:00Z", true),
        ("name = \"Pro\"", "name = \"Professional\"", "plan pro 1 changed: name was Pro", false),
        ("currency = \"EUR\"", "currency = \"USD\"", "plan pro 1 changed: currency was EUR and is USD", true),
        ("\"Base\"", "\"Basis\"", "price.base.description was Base and is Basis", true),
        ("amount = \"49\"", "amount = \"49.01\"", "price.base.amount was 49 and is 49.01", true),
        ("\"0.002\"", "\"0.003\"", "price.calls.tiers.2.unit_price was 0.002 and is 0.003", true),
        ("up_to = \"10\"", "up_to = \"11\"", "price.calls.tiers.1.up_to was 10 and is 11", true),
        (
            "unit_price = \"0\" }",
            "unit_price = \"0\", flat_price = \"1\" }",
            "price.calls.tiers.1.flat_price was 0 and is 1",
            true,
        ),
        (
            "{ unit_price = \"0.002\" }",
            "{ up_to = \"99\", unit_price = \"0.002\" }, { unit_price = \"1\" }",
            "tiers.3.unit_price was not there and is 1",
            true,
        ),
        ("\"graduated\"", "\"volume\"", "price.calls.model was graduated and is volume", true),
        (
            "\"graduated\"",
            "\"volume\"\nsettings = { tier_edge = \"ceil\" }",
            "price.calls.settings.tier_edge was not there and is ceil",
            true,
        ),
        ("[\"eu\"]", "[\"us\"]", "price.map.cells.1.values was \"eu\" and is \"us\"", true),
        (
            "dimensions =",
            "default_unit_price = \"2\"\ndimensions =",
            "price.map.default_unit_price was not there and is 2",
            true,
        ),
        ("minimum = \"5\"", "minimum = \"6\"\nmaximum = \"9\"", "price.units.maximum was not there and is 9", true),
        (
            "minimum = \"5\"",
            "convert = { divide_by = \"1000\" }",
            "price.units.convert.divide_by was not there and is 1000",
            true,
        ),
        ("minimum = \"5\"", "discount_percent = 5", "price.units.discount_percent was not there and is 5", true),
        ("minimum = \"5\"", "included = 5", "price.units.included was not there and is 5", true),
        (
            "minimum = \"5\"",
            "round_quantity = { direction = \"half_up\", digits = 2 }",
            "price.units.round_quantity.to_multiple_of was not there and is 0.01",
            true,
        ),
        (
            "package_size = \"10\"",
            "package_size = \"10\"\nfree_units = 5",
            "price.pack.free_units was 0 and is 5",
            true,
        ),
        ("percent = \"1.3\"", "percent = \"1.3\"\nfree_total = 3", "price.cut.free_total was not there and is 3", true),
        ("id = \"units\"", "id = \"unit\"", "price.units.unit_price was 1 and is not there", true),
        (
            "id = \"units\"",
            "id = \"unit\"",
            "price was base, calls, map, units, pack, cut and is base, calls, map, unit",
            true,
        ),
        // The same in other words.
        ("\"0.002\"", "\"0.0020\"", "", false),
        ("minimum = \"5\"", "minimum = 5 # the least", "", false),
        ("percent = \"1.3\"", "percent = \"1.3\"\nsettings = { limits = \"before_discount\" }", "", false),
        ("\"99.9\"", "\"99.9\"\nmethod = \"nearest_rank\"", "", false),
    ];
    let old = parse(OLD);
    assert_eq!(diff(&old, &old), []);
    let pro = PlanId::parse("pro").unwrap();
    for (from, to, words, is_broken) in rows {
        assert!(OLD.contains(from), "{from}");
        let new = parse(&OLD.replacen(from, to, 1));
        let lines = told(&diff(&old, &new));
        let fits = if words.is_empty() { lines.is_empty() } else { lines.iter().any(|line| line.contains(words)) };
        assert!(fits, "{to}: {lines:#?}");
        let back = told(&diff(&new, &old));
        assert_eq!(back.len(), lines.len(), "{to}: the way back tells the same keys");
        let broken = broken(&old, &new, &pro, 1);
        assert_eq!(!broken.is_empty(), *is_broken, "{to}: {broken:#?}");
        assert!(lines.iter().all(|line| !line.starts_with(plan) || line.contains(" was ")), "{lines:#?}");
    }
}

#[test]
fn versions_and_entries_come_and_go() {
    let (old, new) = (parse(OLD), parse(&format!("{OLD}{SECOND}")));
    let added = diff(&old, &new);
    assert_eq!((added.len(), added[0].version, added[0].compared_with), (1, Some(2), Some(1)));
    assert_eq!(added[0].change, Change::Added);
    let lines = told(&added);
    assert!(lines.contains(&"plan pro 2 added: price.base.amount was 49 and is 59".to_owned()), "{lines:#?}");
    let removed = diff(&new, &old);
    assert_eq!((removed.len(), removed[0].change, removed[0].compared_with), (1, Change::Removed, None));
    assert!(told(&removed).contains(&"plan pro 2 removed: price.base.amount was 59 and is not there".to_owned()));
    let pro = PlanId::parse("pro").unwrap();
    // A new version breaks no promise; a version that is gone does.
    assert_eq!(broken(&old, &new, &pro, 1), []);
    assert_eq!(broken(&new, &old, &pro, 2)[0].change, Change::Removed);
    assert_eq!(broken(&old, &new, &pro, 2), [], "what was never there cannot be broken");
    let free = OLD.find("[[plan]]\nid = \"free\"").unwrap();
    let less = diff(&old, &parse(&OLD[..free]));
    assert_eq!((less.len(), less[0].id.as_str(), less[0].change), (1, "free", Change::Removed));
    let other = OLD.replacen("id = \"other\"", "id = \"new\"", 1);
    let kinds: Vec<_> = diff(&old, &parse(&other)).iter().map(|entry| (entry.id.clone(), entry.change)).collect();
    assert_eq!(kinds, [("new".to_owned(), Change::Added), ("other".to_owned(), Change::Removed)]);
}

/// Each row is a key that was changed, and what stands at the place that is shown for it.
#[test]
fn a_change_is_shown_where_it_stands() {
    let old = parse(OLD);
    for (from, to, underlined) in [
        ("\"0.002\"", "\"0.003\"", "\"0.003\""),
        ("amount = \"49\"", "amount = \"50\"", "\"50\""),
        ("currency = \"EUR\"", "currency = \"USD\"", "\"USD\""),
        ("status = 200", "status = 201", "\"status = 201\""),
        ("filter = \"status = 200\"\n", "", "\"calls\""),
        ("[\"eu\"]", "[\"us\"]", "[\"us\"]"),
        ("minimum = \"5\"", "", "\"units\""),
    ] {
        let text = OLD.replacen(from, to, 1);
        let new = parse(&text);
        let changes = diff(&old, &new);
        let problem = new.problem_in_entry(&changes[0], &changes[0].fields[0].path, "what", "mend");
        assert!(text[problem.span.clone()].starts_with(underlined), "{to}: {}", problem.shown());
    }
    // An entry that is gone is shown at the beginning.
    let removed = diff(&parse(&format!("{OLD}{SECOND}")), &old);
    let problem = old.problem_in_entry(&removed[0], &[], "what", "mend");
    assert_eq!((problem.line, problem.path.as_str()), (1, "c.toml"));
}

type Span = (&'static str, Option<&'static str>, Option<&'static str>, Option<&'static str>);

/// Each row: the change, then start, end and zone of a subscription and what was billed of it; the first month and part
/// of it that the change affects, and why.
#[test]
fn who_is_affected_from_which_period_on() {
    let old = parse(OLD);
    let second = format!("{OLD}{SECOND}");
    let first_of_month = second.replace("2026-06-10T00:00:00Z", "2026-05-31T22:00:00Z");
    let dearer = OLD.replacen("amount = \"49\"", "amount = \"50\"", 1);
    let meter = OLD.replacen("status = 200", "status < 400", 1);
    let routes = OLD.replacen("\"/maps/\"", "\"/maps/\", \"/m/\"", 1);
    let other = OLD.replacen("\"/other/\"", "\"/o/\"", 1);
    let unused = OLD.replacen("\"99.9\"", "\"99\"", 1);
    let issuer = OLD.replacen("payment_terms_days = 14", "payment_terms_days = 30", 1);
    let moved = format!(
        "{OLD}[[issuer]]\nid = \"acme\"\nlegal_name = \"Acme AG\"\naddress = []\nnumber_prefix = \"AC-\"\n\
         time_zone = \"Europe/Berlin\"\npayment_terms_days = 14\neffective_from = \"2026-06-10T00:00:00Z\"\n"
    );
    assert_eq!(
        told(&diff(&old, &parse(&moved)))[0],
        "issuer acme changed: from 2026-06-10T00:00:00Z.legal_name was not there and is Acme AG"
    );
    let gone = OLD.replacen("id = \"pro\"", "id = \"prime\"", 1);
    let later = OLD.replacen("2026-01-01", "2026-03-15", 1);
    let march: Span = ("2026-03-05T00:00:00Z", None, None, None);
    /// Subscription, plan, span; what is affected and from which period.
    type Affected<'a> = (&'a str, &'a str, Span, Option<(&'a str, &'a str)>);
    let rows: Vec<Affected<'_>> = vec![
        ("nothing", OLD, march, None),
        // The version in force when a month begins prices it: not the month in which the new one begins.
        // A document bears the issuer of the end of its period: the one of June is another.
        ("issuer from a day", &moved, march, Some(("2026-05-31T22:00:00Z", "issuer acme changes"))),
        ("version", &second, march, Some(("2026-06-30T22:00:00Z", "plan pro version 2 instead of 1"))),
        ("at a month's start", &first_of_month, march, Some(("2026-05-31T22:00:00Z", "version 2 instead of 1"))),
        (
            "in a zone of its own",
            &first_of_month,
            ("2026-03-05T00:00:00Z", None, Some("America/New_York"), None),
            Some(("2026-06-01T04:00:00Z", "version 2 instead of 1")),
        ),
        (
            "that began within the month",
            &second,
            ("2026-06-12T00:00:00Z", None, None, None),
            Some(("2026-06-12T00:00:00Z", "version 2")),
        ),
        ("ended before", &second, ("2026-03-05T00:00:00Z", Some("2026-06-20T00:00:00Z"), None, None), None),
        (
            "billed for a while",
            &second,
            ("2026-03-05T00:00:00Z", None, None, Some("2026-08-31T22:00:00Z")),
            Some(("2026-08-31T22:00:00Z", "version 2 instead of 1")),
        ),
        ("price", &dearer, march, Some(("2026-03-05T00:00:00Z", "plan pro version 1 changes"))),
        (
            "ended and not billed",
            &dearer,
            ("2026-03-05T00:00:00Z", Some("2026-03-20T00:00:00Z"), None, None),
            Some(("2026-03-05T00:00:00Z", "version 1 changes")),
        ),
        (
            "ended and billed",
            &dearer,
            ("2026-03-05T00:00:00Z", Some("2026-03-20T00:00:00Z"), None, Some("2026-03-20T00:00:00Z")),
            None,
        ),
        ("meter", &meter, march, Some(("2026-03-05T00:00:00Z", "meter calls changes"))),
        ("product", &routes, march, Some(("2026-03-05T00:00:00Z", "product maps changes"))),
        ("product of others", &other, march, None),
        ("meter of nobody", &unused, march, None),
        ("issuer", &issuer, march, Some(("2026-03-05T00:00:00Z", "issuer acme changes"))),
        ("plan that is gone", &gone, march, Some(("2026-03-05T00:00:00Z", "plan pro loses version 1"))),
        ("version that begins later", &later, march, Some(("2026-03-05T00:00:00Z", "plan pro loses version 1"))),
    ];
    let instant = |text: &str| parse_instant(text).unwrap();
    for (name, text, (start, end, zone, billed), wanted) in rows {
        let subscription = Subscription {
            subscription_id: SubscriptionId::parse("s1").unwrap(),
            partner_id: PartnerId::parse("p1").unwrap(),
            plan_id: PlanId::parse("pro").unwrap(),
            time_zone: zone.map(|zone| zone.parse().unwrap()),
            started_at: instant(start),
            ended_at: end.map(instant),
            course: Course::default(),
        };
        let id = subscription.subscription_id.clone();
        let billed_until = billed.map(|billed| (id.clone(), instant(billed))).into_iter().collect();
        let subscriptions = BTreeMap::from([((id, subscription.started_at), subscription)]);
        let who = Subscribers { subscriptions: &subscriptions, contracts: &[], billed_until: &billed_until };
        let found = affected(&old, &parse(text), who).unwrap();
        let first = found.first().map(|one| (print_instant(one.period.start), one.because.join("; ")));
        match (first, wanted) {
            (None, None) => {}
            (Some((at, because)), Some((wanted, words))) => {
                assert!(at == wanted && because.contains(words), "{name}: {at} {because}");
            }
            (found, wanted) => panic!("{name}: {found:?}, not {wanted:?}"),
        }
    }
}
