use tollbook_billing::policy::{Deviation, HeldCreditNotes};
use tollbook_schemas::decimal::Decimal;

use super::*;

const SAMPLE: &str = include_str!("../../tollbook.toml");

fn parse(text: &str, overrides: &[(&str, &str)]) -> anyhow::Result<Configuration> {
    let overrides = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Configuration::parse(text, overrides, PathBuf::from("/x"))
}

#[test]
fn the_sample_is_valid_and_the_environment_overrides_it() {
    let sample = parse(SAMPLE, &[]).unwrap();
    assert_eq!(sample.path("lake"), PathBuf::from("/x/lake"));
    let other = parse(SAMPLE, &[("KAFKA__BROKERS", "other:1"), ("STRIPE__LIVE", "true")]).unwrap();
    assert_eq!((other.kafka().unwrap().brokers.as_str(), other.stripe().unwrap().live), ("other:1", true));
    let error = format!("{:#}", parse(SAMPLE, &[("KAFKA__BROKER", "typo:1")]).unwrap_err());
    assert!(error.contains("did you mean TOLLBOOK__KAFKA__BROKERS?"), "{error}");
}

#[test]
fn mistakes_are_told() {
    for (from, to, words) in [
        ("decoder = \"native\"", "decoder = \"natve\"", "use native, nginx, kong or cloudevents"),
        ("gateway = \"edge\"", "", "gateway is missing"),
        ("brokers =", "broker =", "unknown field `broker`"),
        ("[lake]", "[lakes]", "unknown field `lakes`"),
        ("live = false", "timeout_ms = 0", "must be 1 or more"),
        ("[lake]", "[lake]\nquery_memory_bytes_max = 67108863", "less than the 67108864 that a sort begins with"),
        ("[billing.hold]", "[billing.hold]\ndeviation_minimum = \"-1\"\ndeviation_percent = 5", "below 0"),
        ("[billing.hold]", "[billing.hold]\ndeviation_minimum = \"1\"", "add such as deviation_percent = 50"),
        ("[billing.hold]", "[billing.hold]\ndeviation_minimum = \"1,5\"", "not a plain decimal number"),
        ("[billing.hold]", "[billing.hold]\nissuer_fields = [\"taxid\"]", "did you mean tax_id?"),
        ("[billing.hold]", "[billing.hold]\ncustomer_fields = [\"fax\"]", "use legal_name, address, country"),
        (
            "[stripe]",
            "[[alert]]\nname = \"a\"\nmeter = \"m\"\n[stripe]",
            "either meter and quantity, or spend and currency",
        ),
        ("[stripe]", "[[alert]]\nname = \"a\"\nspend = \"1.005\"\ncurrency = \"EUR\"\n[stripe]", "no whole number"),
        ("[stripe]", "[[alert]]\nname = \"a\"\nmeter = \"m\"\nquantity = \"0\"\n[stripe]", "not above 0"),
        ("[stripe]", "[[alert]]\nname = \"a b\"\nmeter = \"m\"\nquantity = \"1\"\n[stripe]", "a name is 1 to 64"),
        ("[billing.hold]", "[billing.hold]\nfirst = true", "unknown field `first`"),
        ("[billing]", "[billing]\ngrace_hours = 2209", "more than 2208 (92 days)"),
        ("[billing]", "[billing]\ngrace_hours = -1", "invalid value"),
        ("[billing]", "[billing]\ngrace = 5", "unknown field `grace`"),
        ("[billing]", "[billing]\nskips_grace = true", "unknown field `skips_grace`"),
        ("[lake]", "[clock]\nfixed = \"noon\"\n[lake]", "[clock] fixed is no instant"),
    ] {
        assert!(SAMPLE.contains(from), "{from}");
        let error = format!("{:#}", parse(&SAMPLE.replacen(from, to, 1), &[]).unwrap_err());
        assert!(error.contains(words), "{to}: {error}");
    }
}

/// The commented keys of the sample are keys, and what is left out keeps its default.
#[test]
fn what_is_held_is_configured() {
    assert_eq!(parse(SAMPLE, &[]).unwrap().hold_policy().unwrap(), HoldPolicy::default());
    let start = SAMPLE.find("[billing.hold]").unwrap();
    let section = &SAMPLE[start..start + SAMPLE[start..].find("\n\n").unwrap()];
    let keys = section.lines().filter(|line| line.contains(" = "));
    let all: Vec<&str> = keys.map(|line| line.trim_start_matches("# ")).collect();
    let text = SAMPLE.replace(section, &format!("[billing.hold]\n{}", all.join("\n")));
    let policy = parse(&text, &[]).unwrap().hold_policy().unwrap();
    let deviation = Deviation { limit_percent: 50, minimum: Decimal::whole(10) };
    assert_eq!((all.len(), policy.deviation, policy.negative_total), (11, Some(deviation), true));
    assert!(policy.first_invoice && policy.by_hand && policy.every_invoice && policy.four_eyes);
    assert_eq!(policy.credit_note, HeldCreditNotes::All);
    assert_eq!((policy.issuer_fields.len(), policy.customer_fields.len()), (3, 5));
    let off = parse(SAMPLE, &[("BILLING__HOLD__NEGATIVE_TOTAL", "false")]).unwrap().hold_policy().unwrap();
    assert_eq!(off, HoldPolicy { negative_total: false, ..HoldPolicy::default() });
}

#[test]
fn grace_is_hours_and_none_by_default() {
    let hours =
        |text: &str, environment: &[(&str, &str)]| parse(text, environment).unwrap().grace().unwrap().num_hours();
    assert_eq!(hours(SAMPLE, &[]), 0);
    assert_eq!(hours(&SAMPLE.replace("# grace_hours", "grace_hours"), &[]), 48);
    assert_eq!(hours(SAMPLE, &[("BILLING__GRACE_HOURS", "72")]), 72);
    let mut skipping = parse(SAMPLE, &[("BILLING__GRACE_HOURS", "72")]).unwrap();
    skipping.billing.skips_grace = true;
    assert_eq!(skipping.grace().unwrap().num_hours(), 0);
}

#[test]
fn files_need_neither_kafka_nor_stripe() {
    let text = SAMPLE.split("[kafka]").next().unwrap().to_owned()
        + &SAMPLE[SAMPLE.find("[credentials]").unwrap()..SAMPLE.find("[stripe]").unwrap()];
    let small = parse(&text, &[]).unwrap();
    assert_eq!(small.feeds().unwrap(), Feeds::default());
    for error in [small.kafka_properties().unwrap_err(), small.stripe_secret().unwrap_err()] {
        assert!(format!("{error}").contains("is missing") && error.is::<ConfigurationError>(), "{error}");
    }
    let topics = SAMPLE.find("[[topic]]").unwrap()..SAMPLE.find("[credentials]").unwrap();
    let error = parse(&(text + &SAMPLE[topics]), &[]).unwrap_err();
    assert!(format!("{error:#}").contains("[kafka] is missing"), "{error:#}");
}

#[test]
fn a_secret_has_one_place() {
    let sample = parse(SAMPLE, &[]).unwrap();
    let told = |env: Option<&str>, file: Option<&str>| {
        let place = SecretPlace { secret_env: env.map(str::to_owned), secret_file: file.map(str::to_owned) };
        sample.secret(&["credentials", "current"], &place).unwrap_err().to_string()
    };
    for (env, file, words) in [
        (None, None, "only one of them"),
        (Some("A"), Some("b"), "only one of them"),
        (
            Some("TOLLBOOK_NOT_SET"),
            None,
            "[credentials] current wants its secret in the environment variable TOLLBOOK_NOT_SET",
        ),
        (None, Some("nowhere.key"), "/x/nowhere.key, which cannot be read"),
        (Some("sk_test_canary"), None, "may be the secret itself"),
        (Some("whsec_canary"), None, "may be the secret itself"),
        (Some("0123456789canary"), None, "may be the secret itself"),
        (Some("dGhpcw=canary"), None, "may be the secret itself"),
    ] {
        let told = told(env, file);
        assert!(told.contains(words) && !told.contains("canary"), "{env:?} {file:?}: {told}");
    }
}

/// Which secrets are not there, whether somebody needs them, and where they are named; no value is shown.
#[test]
fn absent_secrets_are_told_at_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = Path::new("tollbook.toml");
    let text = SAMPLE
        .replace("secret_env = \"TOLLBOOK_CREDENTIAL_KEY\"", "secret_file = \"now.key\"")
        .replace("secret_env = \"TOLLBOOK_STRIPE_KEY\"", "secret_file = \"stripe.key\"")
        .replace(
            "# \"sasl.password\" = { secret_env = \"TOLLBOOK_KAFKA_PASSWORD\" }",
            "\"sasl.password\" = { secret_env = \"TOLLBOOK_NOT_SET\" }",
        );
    let absent = |text: &str| {
        let configuration = Configuration::parse(text, [], folder.path().to_path_buf()).unwrap();
        configuration
            .absent_secrets(path, text)
            .into_iter()
            .map(|secret| {
                (
                    secret.is_needed,
                    text.lines().nth(secret.problem.line - 1).unwrap().to_owned(),
                    secret.problem.shown(),
                )
            })
            .collect::<Vec<_>>()
    };
    let told = absent(&text);
    let lines: Vec<(bool, &str)> = told.iter().map(|(needed, line, _)| (*needed, line.as_str())).collect();
    let kafka = "\"sasl.password\" = { secret_env = \"TOLLBOOK_NOT_SET\" }";
    let current = "current = { key_id = \"k1\", secret_file = \"now.key\" }";
    assert_eq!(lines, [(true, current), (true, kafka), (false, "secret_file = \"stripe.key\"")]);
    assert!(told[0].2.contains("now.key") && told[0].2.contains("write it there"), "{}", told[0].2);
    // What is there and cannot be used is wrong for everybody.
    std::fs::write(folder.path().join("now.key"), "canary").unwrap();
    std::fs::write(folder.path().join("stripe.key"), "sk_live_canary").unwrap();
    let told = absent(&text.replace(kafka, ""));
    let words: Vec<(bool, bool)> = told.iter().map(|(needed, _, told)| (*needed, told.contains("canary"))).collect();
    assert_eq!(words, [(true, false), (true, false)], "{told:?}");
    assert!(told[0].2.contains("shorter than 16 bytes") && told[1].2.contains("stripe.live = true"), "{told:?}");
    let told = absent(&text.replace(kafka, "").replace("live = false", "live = true"));
    assert_eq!(told.len(), 1, "{told:?}");
    // A secret in the place of its name is hidden in the line that is shown, too.
    let told = absent(&text.replace("secret_file = \"stripe.key\"", "secret_env = \"sk_test_canary\""));
    assert!(told.iter().all(|(_, _, told)| !told.contains("canary")) && told[2].2.contains('^'), "{told:?}");
}

/// Each row: overrides, and what must be told of them; values are not shown.
#[test]
fn a_wrong_override_is_told_by_its_name() {
    for (overrides, words) in [
        (
            &[("STRIPE__LVIE", "true")][..],
            &["TOLLBOOK__STRIPE__LVIE, which the environment sets", "did you mean TOLLBOOK__STRIPE__LIVE?"][..],
        ),
        (&[("KAKFA__BROKERS", "canary")], &["TOLLBOOK__KAKFA__BROKERS", "did you mean TOLLBOOK__KAFKA__BROKERS?"]),
        (
            &[("STRIPE__LIVE", "canary")],
            &["TOLLBOOK__STRIPE__LIVE", "write true or false, without quotes, or unset it"],
        ),
        (&[("STRIPE__TIMEOUT_MS", "0")], &["TOLLBOOK__STRIPE__TIMEOUT_MS", "must be 1 or more"]),
        (
            &[("KAFKA__BROKERS__X", "1")],
            &["TOLLBOOK__KAFKA__BROKERS__X", "does not name a key of a section", "unset it"],
        ),
        (&[("STRIPE__NAMESPACE", "n"), ("STRIPE__LVIE", "true"), ("COLOUR", "1")], &["TOLLBOOK__STRIPE__LVIE, which"]),
    ] {
        let told = format!("{:#}", parse(SAMPLE, overrides).unwrap_err());
        for word in words {
            assert!(told.contains(word), "{overrides:?} {word}: {told}");
        }
        assert!(!told.contains("canary"), "{told}");
    }
    // The file's own mistake keeps its place, and an override may say what the file leaves out.
    let broken = SAMPLE.replacen("live = false", "lvie = false", 1);
    let error = parse(&broken, &[("KAFKA__BROKERS", "other:1")]).unwrap_err();
    assert!(error.downcast_ref::<toml::de::Error>().unwrap().span().is_some());
    let open = SAMPLE.replacen("namespace = \"tollbook\"", "", 1);
    assert!(parse(&open, &[]).is_err() && parse(&open, &[("STRIPE__NAMESPACE", "n")]).is_ok());
    let told = format!("{:#}", parse(&open, &[("STRIPE__NAMESPACE", "n"), ("STRIPE__LVIE", "1")]).unwrap_err());
    assert!(told.contains("TOLLBOOK__STRIPE__LVIE, which"), "{told}");
}

/// A file on the disk, as `read` tells of it.
fn told(text: &str) -> anyhow::Error {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollbook.toml");
    std::fs::write(&path, text).unwrap();
    Configuration::read(&path).unwrap_err()
}

/// Each row: a mistake, the underlined text, and the suggestion.
#[test]
fn a_mistake_is_shown_at_its_place() {
    for (from, to, underlined, mend) in [
        ("brokers =", "broker =", "broker", "did you mean brokers?"),
        ("[lake]", "[lakes]", "lakes", "did you mean lake?"),
        ("live = false", "live = \"no\"", "\"no\"", "write true or false, without quotes"),
        ("live = false", "timeout_ms = 0", "0", "write 1 or more"),
        ("generation = \"1\"", "", "[[topic]]", "add generation = \"1\""),
        ("generation = \"1\"", "generation = 1", "1", "write it in quotes"),
        ("decoder = \"native\"", "decoder = \"natve\"", "\"natve\"", "use native, nginx, kong or cloudevents"),
        ("gateway = \"edge\"", "", "[[topic]]", "add such as gateway = \"edge\""),
        ("gateway = \"edge\"", "gateway = \"edge\"\nenvironment = \"prod\"", "\"prod\"", "use one of them"),
        ("[lake]", "[clock]\nfixed = \"noon\"\n[lake]", "\"noon\"", "leave [clock] out"),
        ("[catalog]", "[catalog", "[catalog", "tollbook init"),
    ] {
        assert!(SAMPLE.contains(from), "{from}");
        let error = told(&SAMPLE.replacen(from, to, 1));
        let ConfigurationProblem(problem) = error.downcast_ref().unwrap_or_else(|| panic!("{error:#}"));
        let shown = error.to_string();
        let part: String = problem.text.chars().skip(problem.column - 1).take(problem.end - problem.column).collect();
        assert!(underlined.starts_with(&part) || part == underlined, "{to}: {shown}");
        assert!(shown.contains("^") && problem.mend.contains(mend), "{to}: {shown}");
    }
}

/// A secret that stands where none may stand is not shown to whoever reads the log.
#[test]
fn a_misplaced_secret_is_not_shown() {
    for (from, to) in [
        ("live = false", "secret = \"canary\""),
        ("live = false", "live = \"sk_test_canary\""),
        ("brokers =", "password = 'canary'\nbrokers ="),
        ("[stripe]", "[kafka.secrets]\n\"sasl.password\" = \"canary\"\n[stripe]"),
        ("current = {", "current = { secret = \"canary\","),
    ] {
        assert!(SAMPLE.contains(from), "{from}");
        let error = format!("{:#}", told(&SAMPLE.replacen(from, to, 1)));
        assert!(error.contains("^") && !error.contains("canary"), "{to}: {error}");
    }
}

#[test]
fn a_short_credential_key_is_refused_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let text = SAMPLE.replace("secret_env = \"TOLLBOOK_CREDENTIAL_KEY\"", "secret_file = \"k\"");
    assert_ne!(text, SAMPLE);
    let mut configuration = parse(&text, &[]).unwrap();
    configuration.folder = folder.path().to_path_buf();
    for (secret, is_long) in [("canarycanarycan\n", false), ("  canary  \n", false), ("canarycanarycana", true)] {
        std::fs::write(folder.path().join("k"), secret).unwrap();
        match configuration.key_ring() {
            Ok(_) => assert!(is_long, "{secret}"),
            Err(error) => {
                assert!(!is_long && error.is::<ConfigurationError>(), "{error:#}");
                let told = format!("{error:#}");
                assert!(told.contains("16 bytes") && told.contains("openssl rand -hex 32"), "{told}");
                assert!(!told.contains("canary"), "{told}");
            }
        }
    }
}
