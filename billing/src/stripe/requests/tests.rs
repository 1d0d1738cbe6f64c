use super::*;

#[test]
fn metadata_is_in_order_of_its_keys_and_nothing_else_moves() {
    for (form, expected) in [
        ("b=1&a=2", "b=1&a=2"),
        ("x=1&metadata[b]=1&metadata[a]=2&c=3", "x=1&metadata[a]=2&metadata[b]=1&c=3"),
        (
            "lines[0][metadata][b]=1&lines[0][metadata][a]=2&lines[1][metadata][a]=0",
            "lines[0][metadata][a]=2&lines[0][metadata][b]=1&lines[1][metadata][a]=0",
        ),
        ("", ""),
    ] {
        assert_eq!(in_order(form), expected);
    }
}

#[test]
fn requests_are_the_same_bytes_each_time_and_carry_what_the_protocol_needs() {
    let document = crate::stripe::testing::document(3);
    let first = create_invoice("ns", &document, "B-000001", "cus_1");
    for _ in 0..20 {
        assert_eq!(create_invoice("ns", &document, "B-000001", "cus_1"), first);
    }
    assert_eq!(first.path, "/v1/invoices");
    for (name, value) in [
        ("auto_advance", "false"),
        ("collection_method", "send_invoice"),
        ("pending_invoice_items_behavior", "exclude"),
        ("days_until_due", "21"),
        ("currency", "eur"),
        ("customer", "cus_1"),
        ("description", "Invoice B-000001"),
        ("metadata[tollbook_number]", "B-000001"),
        ("metadata[tollbook_line_count]", "3"),
        ("metadata[tollbook_invoice_id]", document.invoice_id.as_str()),
    ] {
        assert_eq!(field_of(&first.body, name).as_deref(), Some(value), "{name}");
    }
    let lines: Vec<&Line> = document.body.lines.iter().collect();
    let lines = add_lines(&document, "in_1", &lines);
    assert_eq!(lines.path, "/v1/invoices/in_1/add_lines");
    assert_eq!(field_of(&lines.body, "lines[2][amount]").as_deref(), Some("300"));
    let description = field_of(&lines.body, "lines[0][description]");
    assert_eq!(description.as_deref(), Some("Line 1: 100 % of a+b & c=d; ü"), "every character survives the form");
    assert_eq!(field_of(&lines.body, "lines[0][metadata][tollbook_line_id]"), Some(document.line_id(1).to_string()));
    assert_eq!(field_of(&finalise("in_1").body, "auto_advance").as_deref(), Some("true"));
    assert_eq!(list_lines("in_1", Some("il_9")), "/v1/invoices/in_1/lines?limit=100&starting_after=il_9");
}

fn profile(address: &str, tax_id: Option<&str>) -> Profile {
    let at = tollbook_schemas::period::parse_instant("2026-01-01T00:00:00Z").unwrap();
    Profile {
        profile_version_id: ProfileVersionId::derive([address]),
        partner_id: tollbook_schemas::id::PartnerId::parse("acme").unwrap(),
        effective_from: at,
        legal_name: "Acme & Söhne".into(),
        address: address.into(),
        country: "DE".into(),
        tax_id: tax_id.map(str::to_owned),
        billing_email: "bills+june@acme.example".into(),
        purchase_order: None,
        payment_terms_days: 14,
        recorded_at: at,
    }
}

/// The form as `name=value`, without what is the same everywhere.
fn form(frozen: &Frozen) -> String {
    let pairs = form_urlencoded::parse(&frozen.body).filter(|(name, _)| !name.starts_with("metadata"));
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(" ")
}

/// A create says what there is; an update says also what there is no more.
#[test]
fn a_customer_is_given_all_of_a_profile() {
    const WHO: &str = "email=bills+june@acme.example";
    const FIELD: &str = "invoice_settings[custom_fields][0]";
    let vat = format!("{FIELD}[name]=Tax id {FIELD}[value]=DE 1");
    for (address, tax_id, created, updated) in [
        (
            "Road 1",
            None,
            format!("address[country]=DE address[line1]=Road 1 {WHO} name=Acme & Söhne"),
            format!(
                "address[country]=DE address[line1]=Road 1 address[line2]= {WHO} name=Acme & Söhne \
                 invoice_settings[custom_fields]="
            ),
        ),
        (
            "Acme & Söhne\nRoad 1\n\n10115 Berlin\nGermany",
            Some("DE 1"),
            format!(
                "address[country]=DE address[line1]=Road 1 address[line2]=10115 Berlin, Germany {WHO} {vat} \
                 name=Acme & Söhne"
            ),
            format!(
                "address[country]=DE address[line1]=Road 1 address[line2]=10115 Berlin, Germany {WHO} {vat} \
                 name=Acme & Söhne"
            ),
        ),
        (
            "",
            Some("  "),
            format!("address[country]=DE {WHO} name=Acme & Söhne"),
            format!(
                "address[country]=DE address[line1]= address[line2]= {WHO} name=Acme & Söhne \
                 invoice_settings[custom_fields]="
            ),
        ),
    ] {
        let profile = profile(address, tax_id);
        let (create, update) = (create_customer("ns", &profile), update_customer("ns", &profile, "cus_1"));
        assert_eq!((create.path.as_str(), update.path.as_str()), ("/v1/customers", "/v1/customers/cus_1"));
        assert_eq!((form(&create), form(&update)), (created, updated), "{address}");
        for frozen in [&create, &update] {
            assert_eq!(profile_version_in(&frozen.body), Some(profile.profile_version_id.clone()));
            assert_eq!(field_of(&frozen.body, "metadata[tollbook_partner_id]").as_deref(), Some("acme"));
            assert_eq!(field_of(&frozen.body, "metadata[tollbook_namespace]").as_deref(), Some("ns"));
        }
        for _ in 0..20 {
            assert_eq!(update_customer("ns", &profile, "cus_1"), update);
        }
    }
    assert_eq!(profile_version_in(b"name=Acme&email=a%40b.c"), None, "made before customers had a version");
}
