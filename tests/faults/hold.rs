//! People in the loop: what is held is issued by nobody, the reason stands wherever somebody looks, and what was approved is
//! what is issued.

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
    let held = folder.run(&[&hold[..], &["--as-of", MONTH[3]]].concat()).done();
    assert!(held.printed.contains("is held by staff:ann: dispute of May"), "{}", held.printed);
    let events = folder.rows(&INVOICE_EVENT);
    let again = folder.run(&[&hold[..], &["--as-of", MONTH[3]]].concat()).done();
    assert!(again.printed.contains("nothing was added"), "{}", again.printed);
    assert_eq!(folder.rows(&INVOICE_EVENT), events);

    let way_out =
        ["2026-06 acme: inv_", "is held by staff:ann: dispute of May; it goes on by `tollbook bill release inv_"];
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
        (vec!["--partner", "dora", "--period", "2026-06"], "invoice AC-000001 was issued in this place before"),
        (vec!["--partner", "bolt", "--period", "2026-06"], "no billing profile is in force"),
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

    let release = [&["bill", "release"][..], &of_acme, &BOB].concat();
    let released = folder.run(&[&["--json"][..], &release].concat()).json();
    assert_eq!(
        (&released["kind"], &released["is_new"], &released["actor"]),
        (&json!("released"), &json!(true), &json!("staff:bob"))
    );
    assert!(folder.run(&release).done().printed.contains("nothing was added"));
    folder
        .run(&[&["bill", "release", "--partner", "dora", "--period", "2026-06"][..], &BOB].concat())
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
