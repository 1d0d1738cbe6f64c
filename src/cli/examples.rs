//! The ends of the help texts: one or two real examples for each command. A test parses each of them.

pub(super) const ALL: &str = "\
Examples:
  tollbook demo
  tollbook init books
  tollbook --config books/tollbook.toml check
Every COMMAND --help ends with examples.";

pub(super) const DEMO: &str = "\
Examples:
  tollbook demo
  tollbook demo --seed 7 --events 50000 --dir /tmp/demo";

pub(super) const INIT: &str = "\
Examples:
  tollbook init
  tollbook init /srv/tollbook";

pub(super) const CHECK: &str = "\
Examples:
  tollbook check
  tollbook --config /srv/tollbook/tollbook.toml check --json";

pub(super) const INGEST: &str = "\
Examples:
  tollbook ingest --until-caught-up
  tollbook ingest --file access.log.1 --decoder nginx --gateway edge --environment production";

pub(super) const AGGREGATE: &str = "\
Examples:
  tollbook aggregate
  tollbook aggregate --as-of 2026-07-01T00:00:00Z";

pub(super) const BILL: &str = "\
A month, step by step:
  tollbook bill draft --period 2026-06
  tollbook bill issue --period 2026-06
  tollbook bill push --period 2026-06
  tollbook bill sync
  tollbook bill register --period 2026-06";

pub(super) const DRAFT: &str = "\
Examples:
  tollbook bill draft
  tollbook bill draft --period 2026-06
  tollbook bill draft --period 2026-06 --actor staff:ann";

pub(super) const HOLD: &str = "\
Examples:
  tollbook bill hold --partner acme --period 2026-06 --actor staff:ann --reason \"dispute of May\"
  tollbook bill hold inv_0123456789abcdef0123 --actor staff:ann --reason \"wrong address\"";

pub(super) const RELEASE: &str = "\
Examples:
  tollbook bill release --partner acme --period 2026-06 --actor staff:ann --reason settled
  tollbook bill release inv_0123456789abcdef0123 --actor staff:ann --reason settled";

pub(super) const APPROVE: &str = "\
Example:
  tollbook bill approve inv_0123456789abcdef0123 --actor staff:bob --reason \"a new branch\"";

pub(super) const ADJUST: &str = "\
Examples: a credit, a charge, a credit note of an issued invoice, one that is taken back
  tollbook bill adjust --partner acme --period 2026-06 --amount=-12.34 --currency EUR \\
    --description \"Goodwill\" --reason \"outage of 3 June\" --actor staff:ann
  tollbook bill adjust --partner acme --period 2026-06 --amount 250 --currency EUR \\
    --description \"Workshop\" --reason \"order 17\" --actor staff:ann
  tollbook bill adjust --partner acme --period 2026-06 --amount=-49 --currency EUR \\
    --for-invoice AC-000001 --description \"Credit of May\" --reason dispute --actor staff:ann
  tollbook bill adjust --partner acme --revoke adj_0123456789abcdef0123 \\
    --reason \"made twice\" --actor staff:ann";

pub(super) const ADJUSTMENTS: &str = "\
Examples: what is still to be billed, everything of a partner
  tollbook bill adjustments
  tollbook bill adjustments --partner acme --all --json";

pub(super) const ISSUE: &str = "\
Examples:
  tollbook bill issue --period 2026-06
For flat plans of a program without requests:
  tollbook bill draft --period 2026-06 --as-of 2026-07-01T00:00:00Z
  tollbook bill issue --period 2026-06 --accept-incomplete \"flat plans only\"";

pub(super) const DUE: &str = "\
Examples:
  tollbook bill due
  tollbook bill due --period 2026-06 --partner acme --json";

pub(super) const PUSH: &str = "\
Examples:
  tollbook bill push
  tollbook bill push --period 2026-06";

pub(super) const SYNC: &str = "\
Examples:
  tollbook bill sync
From cron:
  45 * * * * tollbook --config /srv/tollbook/tollbook.toml bill sync";

pub(super) const EXPLAIN: &str = "\
Examples:
  tollbook sql \"select line_id, description from invoice_line where partner_id = 'acme'\"
  tollbook bill explain lin_0123456789abcdef0123";

pub(super) const VERIFY: &str = "\
Examples:
  tollbook bill verify 2026-06
  tollbook bill verify AC-000001
  tollbook bill verify inv_0123456789abcdef0123 --json";

pub(super) const REGISTER: &str = "\
Examples:
  tollbook bill register --period 2026-06
  tollbook bill register --period previous --csv > register.csv
  tollbook bill register --period 2026-06 --as-of-close 2026-06";

pub(super) const LIST: &str = "\
Examples:
  tollbook bill list
  tollbook bill list --period 2026-01..2026-06 --partner acme
  tollbook bill list --state draft --json
  tollbook bill list --period 2026-06 --as-of-close 2026-06";

pub(super) const LINES: &str = "\
Examples:
  tollbook bill lines --period 2026-06 --format csv --out lines.csv
  tollbook bill lines --period 2026-01..2026-06 --format parquet --out lines.parquet
  tollbook bill lines --period 2026-06 --partner acme";

pub(super) const CREDITS: &str = "\
Examples:
  tollbook bill credits
  tollbook bill credits --partner acme --as-of 2026-07-01T00:00:00Z --json";

pub(super) const SHOW: &str = "\
Examples:
  tollbook bill show AC-000001
  tollbook bill show inv_093c68";

pub(super) const PREVIEW: &str = "\
Examples:
  tollbook bill preview
  tollbook bill preview --partner acme
  tollbook bill preview --period 2026-06 --as-of 2026-06-15T00:00:00Z";

pub(super) const REPRICE: &str = "\
Examples:
  tollbook bill reprice --catalog catalog-of-july --period 2026-06
  tollbook bill reprice --catalog catalog-of-july --newest --period 2026-01..2026-06 --json";

pub(super) const FIT: &str = "\
Examples:
  tollbook bill fit --period 2026-06
  tollbook bill fit --period 2026-06 --partner acme --json";

pub(super) const QUOTA: &str = "\
Examples:
  tollbook bill quota --period 2026-06
  tollbook bill quota --period 2026-06 --all --json";

pub(super) const COMPARE: &str = "\
The file, with a quantity where the other system tells one:
  partner_id,period,price_id,quantity,amount,currency
  acme,2026-06,base,,49.00,EUR
Examples:
  tollbook bill compare --with legacy.csv
  tollbook bill compare --with legacy.csv --period 2026-06 --json";

pub(super) const ESTIMATE: &str = "\
Example:
  echo '{\"currency\":\"EUR\",\"price\":{\"model\":\"per_unit\",\"unit_price\":\"0.002\"},\"quantity\":\"1250\"}' \\
    | tollbook bill estimate";

pub(super) const CLOSE: &str = "\
Examples:
  tollbook close --period previous
From cron:
  15 3 * * * tollbook --config /srv/tollbook/tollbook.toml close";

pub(super) const PARTNER: &str = "\
Examples:
  tollbook partner import partners.csv
  tollbook partner record --help";

pub(super) const IMPORT: &str = "\
Examples: write an example, edit it, look at what it would do, do it
  tollbook partner import --template > partners.csv
  tollbook partner import partners.csv
  tollbook partner import partners.csv --apply";

pub(super) const RECORD: &str = "\
Example:
  tollbook partner record --partner acme --type subscription.cancelled \\
    --at 2026-06-15T00:00:00Z --actor staff:ann --data '{\"subscription_id\":\"s1\"}'";

pub(super) const REPORT: &str = "\
Examples:
  tollbook report funnel
  tollbook report invoices --period 2026-06 --out pages";

pub(super) const FUNNEL: &str = "\
Examples:
  tollbook report funnel
  tollbook report funnel --as-of 2026-07-01T00:00:00Z --out pages";

pub(super) const ROI: &str = "\
Examples:
  tollbook report roi
  tollbook report roi --json > roi.json
  tollbook report roi --as-of-close 2026-06 --out june";

pub(super) const INVOICES: &str = "\
Examples:
  tollbook report invoices
  tollbook report invoices --period 2026-06 --out pages";

pub(super) const SQL: &str = "\
How many active partners do we have?
  tollbook sql \"select count(*) as active, max(as_of) as as_of from active_partner\"
Examples:
  tollbook sql \"show tables\"
  tollbook sql \"describe usage\"
  tollbook sql \"select * from revenue_monthly\" --format csv
  tollbook sql \"select * from usage_daily\" --format parquet --out usage.parquet
  tollbook sql \"select count(*) from access_log\" --as-of-run run_0123456789abcdef0123
  tollbook sql \"select status, count(*) from invoice_status group by 1\" --as-of-close 2026-06";

pub(super) const CATALOG: &str = "\
Examples:
  tollbook catalog diff catalog-of-may
  tollbook catalog diff 49b7b64b66ea
  tollbook catalog diff 49b7b64b66ea catalog-of-july --json
Catalogs that were used:
  tollbook sql \"select distinct catalog_sha256, kept_at from catalog_file order by 2\"";

pub(super) const COVERAGE: &str = "\
Examples:
  tollbook catalog coverage
  tollbook catalog coverage --period 2026-06 --depth 2 --json";

pub(super) const LAKE: &str = "\
Examples:
  tollbook lake files usage
  tollbook lake compact";

pub(super) const FILES: &str = "\
Examples:
  tollbook lake files usage
  tollbook lake files access_log --json";

pub(super) const COMPACT: &str = "\
Examples:
  tollbook lake compact
  tollbook lake compact usage access_log
From cron:
  40 2 * * * tollbook --config /srv/tollbook/tollbook.toml lake compact";
