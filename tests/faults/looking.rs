//! What is looked at without billing: lists, previews, other price books and plans, a parallel run, the past.

use serde_json::{Value, json};

use crate::catalog::{PARTNERS, feed};
use crate::folder::{Folder, MONTH, Ran};

const CATALOG: &str = "catalog/catalog.toml";

/// Two partners that can be billed and one without a profile. Of acme six calls of June, three of them before the
/// 15th: two are free, the others cost 0.50 each.
fn june() -> Folder {
    let folder = Folder::new();
    let catalog = std::fs::read_to_string(folder.path(CATALOG)).unwrap();
    let catalog = catalog.replace("up_to = \"10000\"", "up_to = \"2\"").replace("\"0.002\"", "\"0.5\"");
    folder.write(CATALOG, catalog);
    folder.write("partners.csv", PARTNERS);
    let call = |day: u32| {
        let (head, tail) = (r#""path":"/maps/tile","status":200,"consumer":"acme""#, "T10:00:00Z");
        format!("{{\"event_id\":\"e{day}\",\"occurred_at\":\"2026-06-{day:02}{tail}\",{head}}}\n")
    };
    folder.write("calls.log", [2, 3, 4, 20, 21, 22].map(call).concat());
    // Read when the month was over, as the feed is.
    let month_end = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_783_036_800);
    let file = std::fs::File::options().write(true).open(folder.path("calls.log")).unwrap();
    file.set_modified(month_end).unwrap();
    assert_eq!(folder.ingest("calls.log", "native"), (6, 0));
    feed(&folder);
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    folder
}

fn bill(folder: &Folder, arguments: &[&str]) -> Ran {
    folder.run(&[&["bill"][..], arguments].concat())
}

/// What a step prints with --json, an object a line.
fn objects(ran: &Ran) -> Vec<Value> {
    ran.printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A figure without the zeros that its column gives it; a hyphen for none.
fn figure(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match (value.is_null(), text.split_once('.')) {
        (true, _) => "-".to_owned(),
        (_, Some((whole, part))) if part.bytes().all(|digit| digit == b'0') => whole.to_owned(),
        _ => text,
    }
}

/// A catalog folder with another text in one place.
fn other_catalog(folder: &Folder, from: &str, to: &str) {
    let catalog = std::fs::read_to_string(folder.path(CATALOG)).unwrap();
    assert!(catalog.contains(from), "{from}");
    std::fs::create_dir_all(folder.path("next")).unwrap();
    folder.write("next/catalog.toml", catalog.replacen(from, to, 1));
}

#[test]
fn a_preview_is_no_draft() {
    let folder = june();
    let before = folder.all_rows();
    let preview = |as_of: &str| {
        bill(&folder, &["preview", "--period", "2026-06", "--as-of", as_of, "--json"])
            .fails(0, &["a preview of 2026-06, no invoice", "nothing was written"])
    };
    for (as_of, acme, told) in [
        ("2026-06-01T00:00:00Z", 4900, "data behind usage reach to 2026-07-03T00:00:00Z"),
        ("2026-06-15T00:00:00Z", 4950, "data behind usage reach to 2026-07-03T00:00:00Z"),
        ("2026-07-03T00:00:00Z", 5100, "the period of 2 documents has ended"),
    ] {
        let ran = preview(as_of);
        let found = objects(&ran);
        assert!(ran.told.contains(told), "{}", ran.told);
        let of = |partner: &str| found.iter().find(|one| one["partner_id"] == partner).unwrap();
        assert_eq!(of("acme")["total_minor"], acme, "{as_of}");
        assert_eq!((&of("acme")["preview"], &of("dora")["total_minor"]), (&json!(true), &json!(4900)));
        assert!(of("bolt")["blocked"].as_str().unwrap().contains("no billing profile"), "{found:?}");
    }
    let one = bill(&folder, &["preview", "--partner", "acme", "--as-of", "2026-06-15T00:00:00Z"]).done();
    assert!(one.printed.contains("total so far") && one.printed.contains("49.50"), "{}", one.printed);
    assert!(!one.printed.contains("dora"), "{}", one.printed);
    bill(&folder, &["preview", "--partner", "nobody", "--as-of", MONTH[3]]).fails(2, &["there is no partner nobody"]);
    assert_eq!(folder.all_rows(), before, "a preview writes nothing");
}

#[test]
fn documents_are_listed_and_shown_by_number_and_id() {
    let folder = june();
    assert_eq!(objects(&bill(&folder, &["list", "--json"]).done()), Vec::<Value>::new());
    // Words that a spreadsheet would run.
    let catalog = std::fs::read_to_string(folder.path("catalog/catalog.toml")).unwrap();
    folder.write("catalog/catalog.toml", catalog.replacen("\"Maps Pro, monthly\"", "\"=Maps Pro, monthly\"", 1));
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    bill(&folder, &[&["draft"][..], &MONTH].concat()).done();
    let drafts = objects(&bill(&folder, &["list", "--state", "draft", "--json"]).done());
    assert_eq!(drafts.len(), 2);
    assert_eq!((&drafts[0]["partner_id"], &drafts[0]["total_minor"]), (&json!("acme"), &json!(5100)));
    let id = drafts[0]["invoice_id"].as_str().unwrap().to_owned();
    bill(&folder, &[&["issue"][..], &MONTH].concat()).done();
    for (filter, partners) in [
        (&["--period", "2026-06"][..], "acme dora"),
        (&["--period", "2026-01..2026-06", "--partner", "dora"], "dora"),
        (&["--period", "2026-05"], ""),
        (&["--state", "issued"], "acme dora"),
        (&["--state", "paid"], ""),
    ] {
        let rows = objects(&bill(&folder, &[&["list", "--json"][..], filter].concat()).done());
        let found: Vec<&str> = rows.iter().map(|row| row["partner_id"].as_str().unwrap()).collect();
        assert_eq!(found.join(" "), partners, "{filter:?}");
    }
    // Lines of what was issued, for a ledger; a draft has none there.
    let lines = objects(&bill(&folder, &["lines", "--period", "2026-06", "--format", "json"]).done());
    let told =
        |line: &Value| format!("{} {} {}", line["number"], line["line_number"], line["amount_minor"]).replace('"', "");
    let found: Vec<String> = lines.iter().map(told).collect();
    assert_eq!(found, ["AC-000001 1 4900", "AC-000001 2 200", "AC-000002 1 4900", "AC-000002 2 0"]);
    assert_eq!((&lines[0]["document_kind"], &lines[0]["status"]), (&json!("invoice"), &json!("issued")));
    // What it takes to come to an amount again; a tier table has no one price.
    let told = |line: &Value| ["unit", "unit_price", "amount", "contract_id"].map(|key| figure(&line[key])).join(" ");
    let found: Vec<String> = lines.iter().map(told).collect();
    assert_eq!(found, ["- 49 49 -", "call - 2 -", "- 49 49 -", "call - 0 -"]);
    let csv = bill(&folder, &["lines", "--partner", "dora", "--format", "csv"]).done().printed;
    let heads: Vec<&str> = csv.lines().map(|line| &line[..10]).collect();
    assert_eq!(heads, ["number,doc", "AC-000002,", "AC-000002,"], "{csv}");
    assert!(csv.contains(",\"'=Maps Pro, monthly\","), "{csv}");
    assert_eq!(objects(&bill(&folder, &["lines", "--period", "2026-05", "--json"]).done()), Vec::<Value>::new());
    bill(&folder, &["lines", "--format", "parquet"]).fails(2, &["--out FILE"]);
    bill(&folder, &["list", "--state", "gone"]).fails(2, &["there is no state gone; there are draft, withdrawn"]);
    bill(&folder, &["list", "--period", "june"]).fails(2, &["neither a month such as 2026-06 nor a range"]);
    for name in ["AC-000001", &id, &id[..10], id.strip_prefix("inv_").unwrap()] {
        let shown: Value =
            serde_json::from_str(bill(&folder, &["show", name, "--json"]).done().printed.trim()).unwrap();
        assert_eq!((&shown["invoice_id"], &shown["number"]), (&json!(id), &json!("AC-000001")), "{name}");
        let kinds: Vec<&str> =
            shown["history"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
        assert_eq!((kinds, &shown["document"]["total_minor"]), (vec!["drafted", "issued"], &json!(5100)));
        assert_eq!((&shown["kind"], &shown["unit_prices"]), (&json!("invoice"), &json!(["49", null])));
        assert_eq!((&shown["used_outside_subscriptions"], &shown["credited_by"]), (&json!([]), &json!([])));
    }
    let shown = bill(&folder, &["show", "AC-000001"]).done().printed;
    for words in [
        "AC-000001 · invoice · inv_",
        "acme · issued\n2026-06: Acme APIs GmbH (acme-eu), issued at 2026-07-03T00:00:00Z\n",
        "Map calls",
        "49 EUR",
        "by tier",
        "above 2 up to 100000",
        "maps-pro v1",
        "graduated  map-calls  2026-05-31T22:00:00Z  2026-06-30T22:00:00Z",
        "total 51.00 EUR",
        "drafted",
        "lin_",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    for name in ["AC-000009", "inv_00", "inv_00000", "acme"] {
        bill(&folder, &["show", name]).fails(2, &["there is no invoice", "`tollbook bill list`"]);
    }
}

#[test]
fn history_is_repriced_by_another_price_book() {
    let folder = june();
    let before = folder.all_rows();
    let reprice = |more: &[&str]| {
        let given = ["reprice", "--catalog", "next", "--period", "2026-06..2026-07", "--as-of", MONTH[3]];
        bill(&folder, &[&given[..], more].concat())
    };
    other_catalog(&folder, "amount = \"49\"", "amount = \"59\"");
    let ran = reprice(&["--json"]).fails(0, &["nothing was written", "2 months of partners are in no sum"]);
    let found = objects(&ran);
    // July runs as well, with nothing used: 49 and 51, and 49 again.
    assert_eq!(
        found[..2],
        [("acme", 10_000), ("dora", 9800)].map(|(partner, old)| {
            json!({ "partner_id": partner, "currency": "EUR", "old_minor": old, "new_minor": old + 2000, "delta_minor": 2000 })
        })
    );
    let left_out: Vec<&Value> = found.iter().filter(|one| one["left_out"] == "bolt").collect();
    assert_eq!(left_out.len(), 4, "two months by two catalogs: {found:?}");
    let sum = found.last().unwrap();
    assert_eq!((&sum["delta_minor"], &sum["losers"], &sum["winners"]), (&json!(4000), &json!(2), &json!(0)));
    // A version of the future prices nothing, unless it is asked for.
    other_catalog(
        &folder,
        "effective_from = \"2026-01-01T00:00:00Z\"\nname = \"Maps Pro\"",
        "effective_from = \"2026-01-01T00:00:00Z\"\nname = \"Pro\"",
    );
    let next = std::fs::read_to_string(folder.path("next/catalog.toml")).unwrap();
    let version = "\n[[plan]]\nid = \"maps-pro\"\nversion = 2\neffective_from = \"2027-01-01T00:00:00Z\"\nname = \"Pro\"\n\
                   issuer = \"acme-eu\"\ncurrency = \"EUR\"\nprice = [ { id = \"base\", description = \"All\", model = \"flat\", amount = \"40\" } ]\n";
    folder.write("next/catalog.toml", next + version);
    let ran = reprice(&["--json"]).fails(0, &["maps-pro version 2 (from 2027-01-01T00:00:00Z)", "--newest"]);
    assert_eq!(objects(&ran).last().unwrap()["delta_minor"], 0);
    let inner = folder.path("next/catalog.toml");
    let later = std::fs::read_to_string(&inner).unwrap();
    folder.write("next/catalog.toml", later.replace("2027-01-01", "2026-06-15"));
    let words = ["these begin within the months", "maps-pro version 2 (from 2026-06-15T00:00:00Z)", "--newest"];
    assert!(!reprice(&[]).fails(0, &words).told.contains("begin after the months"));
    folder.write("next/catalog.toml", later);
    let sum = objects(&reprice(&["--json", "--newest"]).done()).pop().unwrap();
    assert_eq!((&sum["delta_minor"], &sum["winners"]), (&json!(-3800), &json!(2)));
    let table = reprice(&["--newest"]).done().printed;
    assert!(table.contains("pay less (winners)") && table.contains("-20.00"), "{table}");
    // What counts something else cannot price what was counted.
    other_catalog(&folder, "status between 200 and 299", "status = 200");
    reprice(&[]).fails(
        2,
        &["meter map-calls counts something else: filter was status between 200 and 299 and is status = 200"],
    );
    bill(&folder, &["reprice", "--catalog", "nowhere", "--period", "2026-06", "--as-of", MONTH[3]])
        .fails(2, &["nowhere is neither a folder nor the hash of a kept catalog"]);
    assert_eq!(folder.all_rows(), before);
}

#[test]
fn the_cheapest_plan_is_told_with_why_others_are_none() {
    let folder = june();
    let ran =
        bill(&folder, &["fit", "--period", "2026-06", "--as-of", MONTH[3], "--json"]).fails(0, &["bolt is blocked"]);
    let found = objects(&ran);
    let of = |partner: &str| found.iter().find(|one| one["partner_id"] == partner).unwrap();
    assert_eq!((&of("acme")["cost_minor"], &of("acme")["cheapest"]), (&json!(5100), &json!("maps-pro")));
    let reason = of("acme")["others"][0]["no_candidate"].as_str().unwrap();
    assert_eq!(reason, "it has no price for map-calls (6 call used)");
    // Who used nothing would have paid nothing.
    assert_eq!((&of("dora")["cheapest"], &of("dora")["saving_minor"]), (&json!("maps-free"), &json!(4900)));
    let table = bill(&folder, &["fit", "--period", "2026-06", "--as-of", MONTH[3], "--partner", "dora"]).done().printed;
    assert!(table.contains("1 subscriptions; 1 would cost less on another plan, by 49.00 EUR together"), "{table}");
    let early = ["fit", "--period", "2026-06", "--as-of", "2026-06-15T00:00:00Z"];
    bill(&folder, &early).fails(0, &["2026-06 has not ended by 2026-06-15T00:00:00Z: this is its usage so far"]);
}

#[test]
fn a_parallel_run_ends_with_10_where_a_line_differs() {
    const HEAD: &str = "partner_id,period,price_id,description,quantity,amount,currency\n";
    let folder = june();
    let before = folder.all_rows();
    let compare = |lines: &str| {
        folder.write("legacy.csv", format!("{HEAD}{lines}"));
        bill(&folder, &["compare", "--with", "legacy.csv", "--as-of", MONTH[3], "--json"])
    };
    let same = "acme,2026-06,base,,,49.00,EUR\nacme,2026-06,,Map calls,6,2.00,EUR\ndora,2026-06,base,,1,49.00,EUR\n";
    let ran = compare(same).fails(0, &["nothing was written, and nothing sent", "bolt is blocked"]);
    let summary = objects(&ran).pop().unwrap();
    assert_eq!((&summary["equal"], &summary["different"], &summary["zero_alone"]), (&json!(3), &json!(0), &json!(1)));
    let ran = compare(&same.replace("2.00", "2.50").replace("dora", "corp")).fails(10, &[]);
    let found = objects(&ran);
    let what: Vec<String> =
        found.iter().map(|one| format!("{} {}", one["what"].as_str().unwrap(), one["difference_minor"])).collect();
    assert_eq!(what[..3], ["amount -50", "only_in_legacy -4900", "only_in_tollbook 4900"]);
    assert_eq!(found[0]["file_lines"], json!([3]));
    let table = bill(&folder, &["compare", "--with", "legacy.csv", "--as-of", MONTH[3]]).fails(10, &[]).printed;
    assert!(table.contains("only in legacy") && table.contains("1 lines are equal, 3 differ"), "{table}");
    compare("acme,2026-06,base,,,49.005,EUR\n").fails(2, &["legacy.csv line 2, amount: 49.005 is no amount of EUR"]);
    compare("").fails(2, &["has no lines"]);
    bill(&folder, &["compare", "--with", "nowhere.csv", "--as-of", MONTH[3]]).fails(2, &["nowhere.csv cannot be read"]);
    // Also once it is issued: the invoice is what is compared.
    bill(&folder, &[&["draft"][..], &MONTH].concat()).done();
    bill(&folder, &[&["issue"][..], &MONTH].concat()).done();
    let issued = folder.all_rows();
    compare(same).fails(0, &[]);
    assert_eq!((folder.all_rows() == issued, before == issued), (true, false));
}

/// The lake as the run left it that issued June: what came later is not there.
#[test]
fn questions_are_asked_of_the_lake_as_a_month_was_closed() {
    let folder = june();
    let sql = |query: &str, more: &[&str]| {
        let ran = folder.run(&[&["sql", query, "--format", "csv"][..], more].concat()).done();
        (ran.printed.lines().nth(1).unwrap().to_owned(), ran.told)
    };
    let close = ["--as-of-close", "2026-06"];
    folder
        .run(&["sql", "select 1", "--as-of-close", "2026-06"])
        .fails(2, &["no run issued an invoice of 2026-06", "run_history"]);
    bill(&folder, &[&["draft"][..], &MONTH].concat()).done();
    bill(&folder, &[&["issue"][..], &MONTH].concat()).done();
    // A run that issues nothing more is not the one that issued.
    bill(&folder, &[&["issue"][..], &MONTH].concat()).done();
    let header = PARTNERS.lines().next().unwrap();
    folder.write("more.csv", format!("{header}\nfern,Fern,,2026-06-20T00:00:00Z,,,,,,,,,,,,,,\n"));
    folder.run(&["partner", "import", "more.csv", "--apply"]).done();
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    for (query, now, then) in [
        ("select count(*) from partner", "4", "3"),
        ("select count(*) from invoice_status", "2", "2"),
        ("select count(*) > 0 from partner_event where partner_id = 'fern'", "true", "false"),
        ("select count(*) from job_run where job = 'bill issue'", "2", "0"),
    ] {
        assert_eq!(sql(query, &[]).0, now, "{query}");
        let (found, told) = sql(query, &close);
        assert_eq!(found, then, "{query}");
        assert!(told.contains("as run run_") && told.contains("which issued 2026-06 at"), "{told}");
    }
    // The funnel had four partners at the last count, and three when June was issued.
    let funnel = |more: &[&str]| folder.run(&[&["report", "funnel", "--json"][..], more].concat()).json();
    assert_eq!(funnel(&["--as-of", MONTH[3]])["steps"][0]["reached"], 4);
    assert_eq!(funnel(&close)["steps"][0]["reached"], 3);
    let roi = folder.run(&[&["report", "roi", "--json"][..], &close].concat()).json();
    assert_eq!((&roi["as_of"], &roi["completeness"]["watermark"]), (&json!(MONTH[3]), &json!(MONTH[3])));
    let run_id = sql("select run_id from run_history where job = 'bill issue' order by sequence limit 1", &[]).0;
    let by_run = folder.run(&["report", "roi", "--json", "--as-of-run", &run_id]).json();
    assert_eq!(by_run, roi);
    folder.run(&["report", "roi", "--as-of-close", "2026-05"]).fails(2, &["no run issued an invoice of 2026-05"]);
    folder.run(&["report", "roi", "--as-of-close", "2026-06", "--as-of", MONTH[3]]).fails(2, &["cannot be used with"]);
}

/// Lists, lines and registers as they were when a month was issued: with the drafts, the profiles and the usage of
/// then.
#[test]
fn lists_and_registers_look_back_to_a_close() {
    let folder = june();
    bill(&folder, &[&["draft"][..], &MONTH].concat()).done();
    bill(&folder, &[&["issue"][..], &MONTH].concat()).done();
    let header = PARTNERS.lines().next().unwrap();
    folder.write("more.csv", format!("{header}\nfern,Fern,,2026-06-20T00:00:00Z,,,,,,,,,,,,,,\n"));
    folder.run(&["partner", "import", "more.csv", "--apply"]).done();
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    // Of bolt a profile came later: it is billed now, and was blocked then.
    let profile = "bolt,,,,,,,,,,2026-05-31T22:00:00Z,Bolt Ltd,Street 3,DE,,billing@bolt.example,,14";
    folder.write("profile.csv", format!("{header}\n{profile}\n"));
    folder.run(&["partner", "import", "profile.csv", "--apply"]).done();
    bill(&folder, &[&["draft"][..], &MONTH].concat()).done();
    let told = |words: &[&str], key: &str| -> Vec<String> {
        let rows = objects(&bill(&folder, &[words, &["--period", "2026-06", "--json"]].concat()).done());
        rows.iter().map(|row| format!("{} {}", row["partner_id"].as_str().unwrap(), row[key])).collect()
    };
    let state = |words: &[&str]| told(words, "state");
    assert_eq!(state(&["list"]), ["acme \"issued\"", "dora \"issued\"", "bolt \"draft\""]);
    assert_eq!(state(&["list", "--as-of-close", "2026-06"]), ["acme \"issued\"", "dora \"issued\""]);
    let register = state(&["register", "--as-of", MONTH[3]]);
    assert_eq!(register, ["acme \"issued\"", "bolt \"draft\"", "dora \"issued\"", "fern null"]);
    let register = state(&["register", "--as-of-close", "2026-06"]);
    assert_eq!(register, ["acme \"issued\"", "bolt null", "dora \"issued\""]);
    let notes = told(&["register", "--as-of-close", "2026-06"], "note");
    assert!(notes[0] == "acme null" && notes[1].contains("blocked: no billing profile"), "{notes:?}");
    bill(&folder, &["register", "--as-of-close", "2026-06", "--as-of", MONTH[3]]).fails(2, &["cannot be used with"]);
    assert_eq!(told(&["lines", "--as-of-close", "2026-06"], "line_number").len(), 4);
    bill(&folder, &[&["issue"][..], &MONTH].concat()).done();
    // The last run that issued something of the month is the one that closed it.
    assert_eq!(state(&["list", "--as-of-close", "2026-06"]).len(), 3);
    assert_eq!((told(&["lines"], "line_number").len(), state(&["register"]).len()), (6, 4));
}
