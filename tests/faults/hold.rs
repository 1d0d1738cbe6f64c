//! People in the loop: what is held is issued by nobody, the reason stands wherever somebody looks, and what was
//! approved is what is issued.

use serde_json::{Value, json};
use tollbook_schemas::tables::billing::INVOICE_EVENT;

use crate::catalog::{PARTNERS, feed};
use crate::folder::{Folder, MONTH, Ran};

/// Two partners that can be billed, drafted.
fn june(hold: &str) -> Folder {
    let folder = Folder::new();
    folder.configure(hold);
    folder.write("partners.csv", PARTNERS);
    feed(&folder);
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    folder
}

fn bill(folder: &Folder, step: &str) -> Ran {
    folder.run(&[&["bill", step][..], &MONTH].concat())
}

fn first_line(ran: &Ran) -> Value {
    serde_json::from_str(ran.printed.lines().next().unwrap()).unwrap()
}

fn register(folder: &Folder) -> Vec<Value> {
    let printed = folder.run(&[&["--json", "bill", "register"][..], &MONTH].concat()).done().printed;
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn row(folder: &Folder, partner: &str) -> Value {
    register(folder).into_iter().find(|row| row["partner_id"] == partner).unwrap()
}

const ANN: [&str; 4] = ["--actor", "staff:ann", "--reason", "dispute of May"];
const BOB: [&str; 4] = ["--actor", "staff:bob", "--reason", "seen"];

#[test]
fn what_somebody_holds_is_not_issued_by_anybody() {
    let folder = june("");
    let of_acme = ["--partner", "acme", "--period", "2026-06"];
    // Before the first draft: `close` drafts and issues in one go.
    let hold = [&["bill", "hold"][..], &of_acme, &ANN].concat();
    let held = folder.run(&hold).done();
    assert_eq!(held.printed, "acme: every document of 2026-06 is held by staff:ann: dispute of May\n");
    let events = folder.rows(&INVOICE_EVENT);
    let again = folder.run(&hold).done();
    assert!(again.printed.contains("nothing was added"), "{}", again.printed);
    assert_eq!(folder.rows(&INVOICE_EVENT), events);

    let way_out = [
        "2026-06 acme: inv_",
        "is held by staff:ann: dispute of May; it goes on by `tollbook bill release --partner acme --period 2026-06`",
    ];
    let drafted = bill(&folder, "draft").fails(0, &way_out);
    assert_eq!((&first_line(&drafted)["drafted"], &first_line(&drafted)["held"]), (&json!(2), &json!(1)));
    let issued = bill(&folder, "issue").fails(0, &way_out);
    let told = first_line(&issued);
    assert_eq!((&told["issued"], &told["held"][0]["partner_id"]), (&json!(1), &json!("acme")));
    assert_eq!(told["held"][0]["by"], json!([{ "actor": "staff:ann", "what": "dispute of May" }]));
    let runs = folder.run(&["sql", "select counts from job_run where job = 'bill issue'", "--format", "csv"]).done();
    assert!(runs.printed.contains(r#"""actor"":""staff:ann"",""what"":""dispute of May"""#), "{}", runs.printed);
    let acme = row(&folder, "acme");
    assert_eq!((&acme["state"], &acme["held"]), (&json!("draft"), &json!(true)));
    assert_eq!(acme["note"], "held by staff:ann: dispute of May");
    assert_eq!(row(&folder, "dora")["held"], false);

    // Who cannot be held, and what an act must say.
    for (arguments, words) in [
        (vec!["--partner", "nobody", "--period", "2026-06"], "nobody knows the partner"),
        (vec!["inv_0123456789abcdef0123"], "inv_0123456789abcdef0123 is no document"),
        (vec!["--partner", "acme"], "--period"),
    ] {
        folder.run(&[&["bill", "hold"][..], &arguments, &ANN].concat()).fails(2, &[words]);
    }
    for (actor, reason, words) in [
        ("ann", "why", "staff:NAME"),
        ("partner:acme", "why", "it takes a person"),
        ("staff:ann@acme.example", "why", "staff:NAME"),
        ("staff:ann", " ", "one line of 1 to 200 characters"),
        ("staff:ann", "ask ann@acme.example", "e-mail address"),
    ] {
        let by = ["--actor", actor, "--reason", reason];
        folder.run(&[&["bill", "release"][..], &of_acme, &by].concat()).fails(2, &[words]);
    }

    // What is to come for a month is held also where nothing can be billed yet, or an invoice is out.
    folder.run(&[&["bill", "hold", "--partner", "bolt", "--period", "2026-06"][..], &ANN].concat()).done();
    let dora = ["--partner", "dora", "--period", "2026-06"];
    let issued = folder.run(&[&["bill", "hold"][..], &dora, &ANN].concat());
    issued.fails(0, &["dora 2026-06: AC-000001 was issued before, and stays as it is"]);
    folder.run(&[&["bill", "release"][..], &dora, &BOB].concat()).done();

    let release = [&["bill", "release"][..], &of_acme, &BOB].concat();
    let released = folder.run(&[&["--json"][..], &release].concat()).json();
    assert_eq!(
        (&released["kind"], &released["is_new"], &released["actor"]),
        (&json!("released"), &json!(true), &json!("staff:bob"))
    );
    assert!(folder.run(&release).done().printed.contains("nothing was added"));
    folder
        .run(&[&["bill", "release", "--partner", "dora", "--period", "2026-07"][..], &BOB].concat())
        .fails(2, &["nobody held"]);
    assert_eq!(first_line(&bill(&folder, "issue"))["issued"], 1);
    assert_eq!(row(&folder, "acme")["state"], "issued");
}

#[test]
fn what_a_policy_holds_waits_for_an_approval_of_that_very_document() {
    let folder = june("[billing.hold]\nfirst_invoice = true\nfour_eyes = true\ncustomer_fields = [\"tax_id\"]\n");
    bill(&folder, "draft").fails(2, &["four_eyes in [billing.hold] must know who drafts", "TOLLBOOK_ACTOR"]);
    let draft = [&["bill", "draft", "--actor", "staff:ann"][..], &MONTH].concat();
    let first = "held by system:first_invoice: the first invoice of this partner and issuer in EUR";
    let tax_id = "held by system:missing_field: billing profile prf_";
    folder.run(&draft).fails(0, &[first, tax_id, "has no tax_id", "it goes on by `tollbook bill approve inv_"]);
    let issued = bill(&folder, "issue").fails(0, &[first]);
    assert_eq!(
        (&first_line(&issued)["issued"], &first_line(&issued)["held"].as_array().unwrap().len()),
        (&json!(0), &2)
    );
    let acme = row(&folder, "acme");
    assert!(acme["note"].as_str().unwrap().starts_with(first), "{acme}");
    let id = acme["invoice_id"].as_str().unwrap();
    folder.run(&[&["bill", "approve", id][..], &ANN].concat()).fails(2, &["staff:ann drafted inv_", "somebody else"]);
    let approved = folder.run(&[&["bill", "approve", id][..], &BOB].concat()).done();
    assert_eq!(approved.printed, format!("acme: {id} is approved by staff:bob: seen\n"));

    // Another document, because its customer is another: it is looked at again, and only what it lacks is told.
    let moved = PARTNERS.replace("Street 1,DE,,", "Street 9,DE,DE9,");
    folder.write("partners.csv", moved);
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    folder.run_with(&[&["bill", "draft"][..], &MONTH].concat(), &[("TOLLBOOK_ACTOR", "system:cron")]).done();
    let issued = bill(&folder, "issue").fails(0, &[first]);
    assert_eq!(first_line(&issued)["issued"], 0);
    let again = row(&folder, "acme");
    assert_eq!(again["note"], first);
    folder.run(&[&["bill", "approve", id][..], &BOB].concat()).fails(2, &["is not the draft any more: inv_"]);
    let again = again["invoice_id"].as_str().unwrap();
    folder.run(&[&["bill", "approve", again][..], &ANN].concat()).done();
    assert_eq!(first_line(&bill(&folder, "issue"))["issued"], 1);
    let found = folder
        .run(&[
            "sql",
            "select kind, step, detail from invoice_event where kind in ('held', 'approved', \
        'drafted') and partner_id = 'acme' order by invoice_id, kind, step",
            "--format",
            "csv",
        ])
        .done()
        .printed;
    for words in [
        "drafted,draft,staff:ann",
        "drafted,draft,system:cron",
        "approved,approve,staff:bob seen",
        "held,hold-first_invoice,system:first_invoice the first invoice",
        "held,hold-missing_field,system:missing_field",
    ] {
        assert!(found.contains(words), "{words}: {found}");
    }
    // What was approved is what was issued.
    let issued = folder
        .run(&[
            "sql",
            "select i.invoice_id from invoice_event i join invoice_event a on a.invoice_id = \
        i.invoice_id and a.kind = 'approved' where i.kind = 'issued'",
            "--format",
            "csv",
        ])
        .done()
        .printed;
    assert_eq!(issued, format!("invoice_id\n{again}\n"));
}

/// A charge and a credit by hand: once, on the month's document, with who and why; what is made after issue is on the
/// next.
#[test]
fn what_is_made_by_hand_is_billed_once_with_who_and_why() {
    let folder = june("[billing.hold]\nby_hand = true\nfour_eyes = true\n");
    let draft = [&["bill", "draft", "--actor", "staff:cleo"][..], &MONTH].concat();
    let adjust = |more: &[&str]| {
        folder.run(&[&["bill", "adjust", "--partner", "acme", "--actor", "staff:ann"][..], more].concat())
    };
    let credit = ["--period", "2026-06", "--amount=-12.34", "--currency", "EUR", "--description", "Goodwill"];
    let outage = [&credit[..], &["--reason", "outage of 3 June"]].concat();
    for (more, words) in [
        ([&credit[..], &["--reason", "ask ann@acme.example"]].concat(), "e-mail address"),
        (
            ["--period", "2026-06", "--amount", "0.005", "--currency", "EUR", "--description", "x", "--reason", "y"]
                .to_vec(),
            "no whole number",
        ),
        (
            ["--period", "2026-06", "--amount", "0", "--currency", "EUR", "--description", "x", "--reason", "y"]
                .to_vec(),
            "changes nothing",
        ),
        (
            ["--period", "2026-06", "--amount", "1", "--currency", "XYZ", "--description", "x", "--reason", "y"]
                .to_vec(),
            "XYZ",
        ),
        (["--period", "2026-06", "--amount", "1", "--currency", "EUR", "--reason", "y"].to_vec(), "--description"),
        ([&outage[..], &["--issuer", "nobody"]].concat(), "--issuer nobody is none; the catalog has acme-eu"),
        (["--revoke", "adj_0123456789abcdef0123", "--reason", "y"].to_vec(), "acme has no adjustment adj_"),
    ] {
        adjust(&more).fails(2, &[words]);
    }
    folder
        .run(
            &["bill", "adjust", "--partner", "nobody", "--actor", "staff:ann"]
                .into_iter()
                .chain(outage.clone())
                .collect::<Vec<_>>(),
        )
        .fails(2, &["nobody knows partner nobody"]);
    let record = [
        "partner",
        "record",
        "--partner",
        "acme",
        "--type",
        "adjustment.made",
        "--at",
        "2026-06-01T00:00:00Z",
        "--actor",
        "staff:ann",
    ];
    folder.run(&record).fails(2, &["`tollbook bill adjust`"]);

    let made = adjust(&outage).done().printed;
    assert!(made.contains("of -12.34 EUR for 2026-06 is made") && made.contains("2026-06 bears it"), "{made}");
    let again = folder
        .run(&[&["--json", "bill", "adjust", "--partner", "acme", "--actor", "staff:ann"][..], &outage].concat())
        .json();
    assert_eq!(
        (&again["is_new"], &again["amount_minor"], &again["issuer_id"]),
        (&json!(false), &json!(-1234), &json!("acme-eu"))
    );
    let id = again["adjustment_id"].as_str().unwrap();

    // A draft that does not know it yet is not issued.
    let bare = [&["bill", "draft", "--actor", "staff:cleo"][..], &MONTH].concat();
    folder.run(&bare).done();
    bill(&folder, "issue").fails(5, &["drafts of acme are stale"]);
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    let held = "held by system:by_hand: -12.34 EUR was made by staff:ann (outage of 3 June)";
    folder.run(&draft).fails(0, &[held]);
    let acme = row(&folder, "acme");
    assert_eq!((&acme["total_minor"], &acme["note"]), (&json!(4900 - 1234), &json!(held)));
    let draft_id = acme["invoice_id"].as_str().unwrap();
    // Whoever made the line does not approve it; nor does whoever drafted.
    for (who, words) in [("staff:ann", "made a line by hand of"), ("staff:cleo", "staff:cleo drafted")] {
        folder.run(&["bill", "approve", draft_id, "--actor", who, "--reason", "seen"]).fails(2, &[words]);
    }
    folder.run(&[&["bill", "approve", draft_id][..], &BOB].concat()).done();
    assert_eq!(first_line(&bill(&folder, "issue"))["issued"], 1);
    let line =
        "select description, amount_minor, price_model, working from invoice_line where subscription_id like 'adj_%'";
    let found = folder.run(&["sql", line, "--format", "csv"]).done().printed;
    for words in ["Goodwill,-1234,by_hand", r#"""actor"":""staff:ann"""#, r#"""reason"":""outage of 3 June"""#] {
        assert!(found.contains(words), "{words}: {found}");
    }
    let line = "select line_id from invoice_line where subscription_id like 'adj_%'";
    let line = folder.run(&["sql", line, "--format", "csv"]).done().printed;
    let explained = folder.run(&["bill", "explain", line.lines().nth(1).unwrap()]).done().printed;
    assert!(
        explained.contains("by_hand 1  in [2026-05-31T22:00:00Z, 2026-06-30T22:00:00Z) = -12.34 EUR"),
        "{explained}"
    );
    assert!(explained.contains("made by staff:ann: outage of 3 June"), "{explained}");

    // The month is closed: what is taken back now is told where it goes.
    let back = adjust(&["--revoke", id, "--reason", "there was no outage"]).done().printed;
    assert!(back.contains("is taken back") && back.contains("2026-06 was issued as AC-00000"), "{back}");
    assert!(adjust(&["--revoke", id, "--reason", "there was no outage"]).done().printed.contains("nothing was added"));
    adjust(&outage).fails(2, &["was taken back, for good"]);
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    folder.run(&draft).done();
    // June stays as it is, and July bears it.
    let july = ["--period", "2026-07", "--as-of", MONTH[3]];
    let drafted = folder.run(&[&["bill", "draft", "--actor", "staff:cleo"][..], &july].concat()).done();
    assert!(drafted.told.contains("12.34 EUR was taken back by staff:ann (there was no outage)"), "{}", drafted.told);
    let lines =
        "select description, amount_minor from invoice_line where period = '2026-07' and subscription_id like 'adj_%'";
    let found = folder.run(&["sql", lines, "--format", "csv"]).done().printed;
    assert_eq!(found, "description,amount_minor\nGoodwill (taken back),1234\n");
}

/// A credit names an issued invoice of the partner, and gives back no more than is left of it; a slip is refused at
/// once.
#[test]
fn a_credit_of_an_invoice_is_refused_where_it_cannot_be() {
    let folder = june("");
    for step in ["draft", "issue"] {
        bill(&folder, step).done();
    }
    let number = |partner: &str| row(&folder, partner)["number"].as_str().unwrap().to_owned();
    let (of_acme, of_dora) = (number("acme"), number("dora"));
    let adjust = |period: &str, amount: &str, reason: &str, more: &[&str]| {
        let of = ["--partner", "acme", "--period", period, amount, "--currency", "EUR", "--description", "Credit"];
        let by = ["--actor", "staff:ann", "--reason", reason];
        folder.run(&[&["bill", "adjust"][..], &of, &by, more].concat())
    };
    for (period, amount, number, words) in [
        ("2026-07", "--amount=-500", of_acme.as_str(), "--amount -500.00 EUR: 49.00 EUR are left of invoice AC-00000"),
        ("2026-07", "--amount=-49.01", &of_acme, "49.00 EUR are left"),
        (
            "2026-07",
            "--amount=-1",
            "AC-000099",
            "AC-000099 is no issued invoice of acme in EUR: no invoice of this number",
        ),
        ("2026-07", "--amount=-1", &of_dora, "it is an invoice of dora; `tollbook bill list --partner acme`"),
        (
            "2036-09",
            "--amount=-1",
            &of_acme,
            "--period 2036-09 lies more than 12 months ahead; give a month up to 2027-07",
        ),
    ] {
        adjust(period, amount, "slip", &["--for-invoice", number]).fails(2, &[words]);
    }
    let credit = |amount, reason| adjust("2026-07", amount, reason, &["--for-invoice", &of_acme]);
    credit("--amount=-10", "first").done();
    let told = "39.00 EUR are left of invoice";
    let second = credit("--amount=-45", "second")
        .fails(2, &[told, "(49.00 EUR less 10.00 EUR of credits that are not issued yet)"]);
    assert_eq!(second.printed, "");
    assert!(credit("--amount=-10", "first").done().printed.contains("nothing was added"));
    credit("--amount=-39", "rest").done();
    // What no document bears yet is listed.
    let listed = folder.run(&["--json", "bill", "adjustments"]).done().printed;
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let open: i64 = listed.iter().map(|one| one["open_minor"].as_i64().unwrap()).sum();
    assert_eq!(
        (listed.len(), open, &listed[0]["state"], &listed[0]["for_invoice"]),
        (2, -4900, &json!("open"), &json!(of_acme))
    );
    // Headings alone.
    assert_eq!(folder.run(&["bill", "adjustments", "--partner", "dora"]).done().printed.lines().count(), 2);
}
