//! The operator's folder: configuration, catalog, partners, and the binary's commands on it, as the README has them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tempfile::TempDir;
use tollbook_schemas::period::print_instant;

use super::driver::Cell;

/// The one key that the double takes.
pub const STRIPE_KEY: &str = "sk_test_tollbook";

const COLUMNS: &str = "partner_id,display_name,segment,registered_at,consumer,consumer_from,environment,\
                       subscription_id,plan_id,time_zone,subscription_from,legal_name,address,country,tax_id,\
                       billing_email,purchase_order,payment_terms_days";

/// A folder with `tollbook.toml`, gone at the end.
pub struct Books {
    folder: TempDir,
}

impl Books {
    /// Writes it. `topic`: brokers and name; without it only files are read.
    pub fn new(topic: Option<(&str, &str)>, stripe_url: &str, clock: DateTime<Utc>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kafka = topic.map_or_else(String::new, |(brokers, name)| {
            format!(
                "[kafka]\nbrokers = \"{brokers}\"\ncluster_alias = \"real\"\n\n[[topic]]\nname = \"{name}\"\n\
                 decoder = \"nginx\"\ngateway = \"edge\"\ngeneration = \"1\"\n"
            )
        });
        let text = format!(
            "[lake]\nroot = \"lake\"\n\n[catalog]\nfolder = \"catalog\"\n\n{kafka}\n\
             [credentials]\ncurrent = {{ key_id = \"t1\", secret_file = \"credential.key\" }}\n\n\
             [stripe]\nbase_url = \"{stripe_url}\"\nnamespace = \"nginx\"\naccount = \"acct_nginx\"\n\
             secret_file = \"stripe.key\"\n\n\
             # Requests are sent now; by this clock their month is over.\n[clock]\nfixed = \"{}\"\n",
            print_instant(clock)
        );
        std::fs::create_dir(folder.path().join("catalog")).unwrap();
        for (name, text) in [
            ("tollbook.toml", text.as_str()),
            ("catalog/catalog.toml", include_str!("catalog.toml")),
            ("credential.key", "a key of the tests\n"),
            ("stripe.key", STRIPE_KEY),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder }
    }

    /// A path in it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Registers the partners, from an instant on.
    pub fn import_partners(&self, from: DateTime<Utc>) {
        let from = print_instant(from);
        let mut csv = COLUMNS.to_owned();
        for (partner, consumer, environment) in
            [("acme", "acme-gw", "production"), ("globex", "globex-gw", ""), ("initech", "initech-gw", "production")]
        {
            csv.push_str(&format!(
                "\n{partner},{partner} Ltd,standard,{from},{consumer},,{environment},sub-{partner},metered,UTC,{from},\
                 {partner} Ltd,\"Street 1\\n10115 Berlin\",DE,,billing@{partner}.example,,14"
            ));
        }
        csv.push_str(&format!("\nacme,,,,acme-sandbox,{from},sandbox,,,,,,,,,,,\n"));
        let file = self.folder.path().join("partners.csv");
        std::fs::write(&file, csv).unwrap();
        self.run(&["partner", "import", file.to_str().unwrap(), "--apply"]);
    }

    /// Runs a command; gives what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_tollbook"))
            .arg("--config")
            .arg(self.folder.path().join("tollbook.toml"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} ended with {}: {errors}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, where it prints JSON.
    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let printed = self.run(&[&["--json"], arguments].concat());
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// One number that a query gives.
    pub fn number(&self, query: &str) -> u64 {
        let printed = self.run(&["sql", query, "--format", "json"]);
        let row: BTreeMap<String, u64> = serde_json::from_str(&printed).unwrap();
        row.into_values().next().unwrap()
    }

    /// Quantities that a query gives: environment, partner_id, meter_id, quantity as text.
    fn quantities(&self, query: &str) -> BTreeMap<Cell, u64> {
        let printed = self.run(&["sql", query, "--format", "json"]);
        printed
            .lines()
            .map(|line| {
                let row: Value = serde_json::from_str(line).unwrap();
                let text = |name: &str| row[name].as_str().unwrap_or_else(|| panic!("no {name} in {row}")).to_owned();
                let quantity = text("quantity");
                let (whole, part) = quantity.split_once('.').unwrap_or((&quantity, ""));
                assert!(part.bytes().all(|digit| digit == b'0'), "{row}");
                ((text("environment"), text("partner_id"), text("meter_id")), whole.parse().unwrap())
            })
            .collect()
    }

    /// What `usage` has of partners.
    pub fn usage(&self) -> BTreeMap<Cell, u64> {
        self.quantities(
            "select environment, partner_id, meter_id, cast(sum(quantity) as varchar) as quantity from usage
             where partner_id is not null group by environment, partner_id, meter_id",
        )
    }

    /// What issued invoices bill: an invoice line has no environment, since only production is billed.
    pub fn invoiced(&self) -> BTreeMap<Cell, u64> {
        self.quantities(
            "select 'production' as environment, partner_id, meter_id, cast(sum(quantity) as varchar) as quantity
             from invoice_line where meter_id is not null
             and invoice_id in (select invoice_id from invoice_event where kind = 'issued')
             group by partner_id, meter_id",
        )
    }
}
